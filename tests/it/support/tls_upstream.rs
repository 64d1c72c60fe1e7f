//! An upstream behind TLS, with certificates of its own making.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{Acceptor, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, StreamOwned};
use tempfile::TempDir;

use super::framing::request_length;

/// An authority that nobody knows but who is told.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// What is right or wrong with a certificate for `localhost`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Certificate {
    Good,
    Expired,
    WrongHost,
    SelfSigned,
}

/// A certificate with its key.
pub(crate) struct Issued {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    /// A new one, its certificate in a file.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let dir = TempDir::new().expect("a folder");
        // Each has a name of its own.
        let name = dir.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).expect("a file");
        Self { issuer, dir }
    }

    /// Where its certificate is.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A server's certificate.
    pub(crate) fn issue(&self, kind: Certificate) -> Issued {
        let name = match kind {
            Certificate::WrongHost => "elsewhere.test",
            Certificate::Good | Certificate::Expired | Certificate::SelfSigned => "localhost",
        };
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        if matches!(kind, Certificate::Expired) {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = match kind {
            Certificate::SelfSigned => params.self_signed(&key),
            Certificate::Good | Certificate::Expired | Certificate::WrongHost => {
                params.signed_by(&key, &self.issuer)
            }
        };
        Issued {
            certificate: certificate.expect("a certificate"),
            key,
        }
    }

    /// Files of a client's certificate and its key.
    pub(crate) fn client_files(&self) -> (PathBuf, PathBuf) {
        self.files("client")
    }

    /// Files of a certificate for `localhost` and its key.
    pub(crate) fn server_files(&self) -> (PathBuf, PathBuf) {
        self.files("server")
    }

    fn files(&self, whose: &str) -> (PathBuf, PathBuf) {
        let issued = self.issue(Certificate::Good);
        let files = ["pem", "key"].map(|kind| self.dir.path().join(format!("{whose}.{kind}")));
        std::fs::write(&files[0], issued.certificate.pem()).expect("a file");
        std::fs::write(&files[1], issued.key.serialize_pem()).expect("a file");
        files.into()
    }
}

/// A server that answers every connection's first request with the same bytes and then says goodbye in order.
pub(crate) struct TlsUpstream {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    offered: Vec<Vec<u8>>,
    requests: usize,
    stopped: bool,
}

impl TlsUpstream {
    /// One that lets everyone in. It knows HTTP/2 and HTTP/1.1.
    pub(crate) fn start(issued: Issued, answer: impl AsRef<[u8]>) -> Self {
        let config = builder().with_no_client_auth();
        Self::serving(config, issued, answer.as_ref())
    }

    /// One that wants a client's certificate of an authority.
    pub(crate) fn demanding(issued: Issued, authority: &Authority, answer: Vec<u8>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().expect("a verifier");
        let config = builder().with_client_cert_verifier(verifier);
        Self::serving(config, issued, &answer)
    }

    fn serving(
        config: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
        issued: Issued,
        answer: &[u8],
    ) -> Self {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(issued.key.serialize_der()));
        let chain = vec![issued.certificate.der().clone()];
        let mut config = config.with_single_cert(chain, key).expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let seen = Arc::<Mutex<Seen>>::default();
        let (theirs, config, answer) = (seen.clone(), Arc::new(config), answer.to_vec());
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if theirs.lock().expect("no holder panics").stopped {
                    return;
                }
                let (seen, config, answer) = (theirs.clone(), config.clone(), answer.clone());
                let stream = stream.expect("a connection");
                // A handshake that the peer refuses ends here.
                std::thread::spawn(move || drop(serve(stream, &config, &answer, &seen)));
            }
        });
        Self {
            address,
            seen,
            acceptor: Some(acceptor),
        }
    }

    /// Base URL with its version.
    pub(crate) fn base_url(&self) -> String {
        format!("https://localhost:{}/v1", self.address.port())
    }

    /// The protocols that the first client offered.
    pub(crate) fn offered(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("no holder panics").offered.clone()
    }

    /// Requests that were read.
    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().expect("no holder panics").requests
    }
}

impl Drop for TlsUpstream {
    fn drop(&mut self) {
        self.seen.lock().expect("no holder panics").stopped = true;
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().expect("the acceptor does not panic");
        }
    }
}

fn builder() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
}

fn serve(
    mut stream: TcpStream,
    config: &Arc<ServerConfig>,
    answer: &[u8],
    seen: &Mutex<Seen>,
) -> std::io::Result<()> {
    let mut acceptor = Acceptor::default();
    let accepted = loop {
        acceptor.read_tls(&mut stream)?;
        if let Some(accepted) = acceptor
            .accept()
            .map_err(|(error, _)| std::io::Error::other(error))?
        {
            break accepted;
        }
    };
    let offered = accepted.client_hello().alpn().into_iter().flatten();
    seen.lock().expect("no holder panics").offered = offered.map(<[u8]>::to_vec).collect();
    let connection = accepted
        .into_connection(config.clone())
        .map_err(|(error, _)| std::io::Error::other(error))?;
    let mut tls = StreamOwned::new(connection, stream);
    let mut request = Vec::new();
    let mut buffer = [0; 16 << 10];
    while request_length(&request).is_none() {
        match tls.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    seen.lock().expect("no holder panics").requests += 1;
    tls.write_all(answer)?;
    tls.conn.send_close_notify();
    tls.flush()?;
    while tls.sock.read(&mut buffer)? != 0 {}
    Ok(())
}
