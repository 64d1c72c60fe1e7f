//! Where Redis is, and how a connection to it is made: URL, socket, TLS, log-in. The password leaves [`Secret`] for a
//! log-in only, and no error tells it.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::OpenError;
use crate::config::Secret;

/// Commands of one connection that wait to be written; a call waits for its place within its limit.
const WAITING: usize = 1024;

/// How to reach Redis.
#[derive(Debug)]
pub(super) struct Address {
    url: Secret,
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
}

/// Why Redis does not do as it should, in words without secrets.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No answer in time.
    Late,
    /// The connection ended.
    Ended,
    /// It cannot be reached, or its certificate is refused.
    Connect(io::Error),
    /// It said so, or what it said makes no sense. `code` is its own word, such as `OOM`.
    Refused { code: String, of_one_key: bool },
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Address {
    /// Reads `redis://[user][:password]@host[:port][/number]`, or `rediss://` for TLS.
    pub(super) fn parse(url: &str, ca_cert: Option<&Path>) -> Result<Self, OpenError> {
        let (is_tls, info) = read(url).map_err(OpenError::Url)?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(OpenError::Url("names no host"));
        };
        let tls = if is_tls {
            Some(tls_settings(ca_cert).map_err(OpenError::Tls)?)
        } else {
            None
        };
        Ok(Self {
            url: Secret::new(url),
            host: host.clone(),
            port: *port,
            tls,
        })
    }

    /// What a log-in says: user, password, number of the database.
    pub(super) fn login(&self) -> Result<RedisConnectionInfo, Trouble> {
        let (_, info) = read(self.url.expose()).map_err(io::Error::other)?;
        Ok(info.redis_settings().clone())
    }

    /// Connects and logs in. What comes with the connection has to be polled for it to work.
    pub(super) async fn connect<'a>(
        &self,
        login: &'a RedisConnectionInfo,
    ) -> Result<
        (
            MultiplexedConnection,
            impl Future<Output = ()> + Send + use<'a>,
        ),
        Trouble,
    > {
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await?;
        socket.set_nodelay(true)?;
        let wire: Box<dyn Wire> = match &self.tls {
            None => Box::new(socket),
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
                Box::new(
                    TlsConnector::from(tls.clone())
                        .connect(name, socket)
                        .await?,
                )
            }
        };
        let settings = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_pipeline_buffer_size(WAITING);
        Ok(MultiplexedConnection::new_with_config(login, wire, settings).await?)
    }
}

fn read(url: &str) -> Result<(bool, ConnectionInfo), &'static str> {
    let (is_tls, rest) = match url.split_once("://") {
        Some(("redis", rest)) => (false, rest),
        Some(("rediss", rest)) => (true, rest),
        Some(_) | None => return Err("begins neither with redis:// nor with rediss://"),
    };
    if rest.contains('#') {
        return Err("has a fragment: TLS is always verified, and `#` in a password is %23");
    }
    let info = format!("redis://{rest}").into_connection_info();
    let info = info.map_err(|_| "is none: redis://[user][:password]@host[:port][/number]")?;
    Ok((is_tls, info))
}

fn tls_settings(ca_cert: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_cert {
        let wrong = |reason: &dyn fmt::Display| format!("{}: {reason}", path.display());
        let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
        let before = roots.len();
        for certificate in read {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
        if roots.len() == before {
            return Err(wrong(&"holds no certificate"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(settings))
}

impl Trouble {
    /// Whether only this call's key is to blame: everything else goes on.
    pub(super) fn is_of_one_key(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                of_one_key: true,
                ..
            }
        )
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Connect(error)
    }
}

impl From<redis::RedisError> for Trouble {
    fn from(error: redis::RedisError) -> Self {
        if error.is_io_error() {
            return Self::Ended;
        }
        let code = error.code().unwrap_or_else(|| error.category()).to_owned();
        // `ERR` is said of scripts and arguments, `WRONGTYPE` of what another put there; a value that is none of ours
        // is no answer of the expected kind.
        let of_one_key = matches!(code.as_str(), "ERR" | "WRONGTYPE")
            || error.kind() == redis::ErrorKind::UnexpectedReturnType;
        Self::Refused { code, of_one_key }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("no answer in time"),
            Self::Ended => f.write_str("the connection ended"),
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Refused { code, .. } => write!(f, "refused: {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (url, expected) in [
            ("redis://localhost", ("localhost", 6379, false)),
            ("redis://:pa%23ss@h:7000/2", ("h", 7000, false)),
            ("rediss://u:p@[::1]:7001", ("::1", 7001, true)),
        ] {
            let address = Address::parse(url, None).unwrap();
            let read = (address.host.as_str(), address.port, address.tls.is_some());
            assert_eq!(read, expected, "{url}");
        }
        let (_, info) = read("rediss://u:pa%23ss@h/2").unwrap();
        let info = info.redis_settings();
        assert_eq!(
            (info.username(), info.password(), info.db()),
            (Some("u"), Some("pa#ss"), 2)
        );
    }

    #[test]
    fn neither_errors_nor_debug_tell_the_password() {
        for url in [
            "",
            "localhost",
            "http://u:canary@h",
            "redis://u:canary@",
            "redis://u:canary@h/db",
            "redis://u:canary@h:port",
            "rediss://u:canary@h#insecure",
        ] {
            let error = Address::parse(url, None).unwrap_err();
            assert!(matches!(error, OpenError::Url(_)), "{url}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
        let address = Address::parse("redis://u:canary@h/1", None).unwrap();
        assert!(!format!("{address:?}").contains("canary"));
    }

    #[test]
    fn certificates_that_cannot_be_used_are_an_error() {
        let wrong = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        for (path, reason) in [(wrong.as_path(), "no certificate"), (Path::new("/"), "/:")] {
            let error = Address::parse("rediss://h", Some(path)).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn what_the_server_refuses_is_told_apart() {
        for (line, code, of_one_key) in [
            (
                "-LOADING Redis is loading the dataset in memory",
                "LOADING",
                false,
            ),
            ("-OOM command not allowed", "OOM", false),
            (
                "-READONLY You can't write against a replica",
                "READONLY",
                false,
            ),
            ("-MOVED 3999 127.0.0.1:6381", "MOVED", false),
            ("-CLUSTERDOWN Hash slot not served", "CLUSTERDOWN", false),
            ("-MASTERDOWN Link with MASTER is down", "MASTERDOWN", false),
            ("-NOAUTH Authentication required.", "NOAUTH", false),
            ("-WRONGTYPE Operation against a key", "WRONGTYPE", true),
            ("-ERR value is not an integer", "ERR", true),
        ] {
            let value = redis::parse_redis_value(format!("{line}\r\n").as_bytes()).unwrap();
            let trouble = Trouble::from(value.extract_error().unwrap_err());
            assert_eq!(trouble.to_string(), format!("refused: {code}"));
            assert_eq!(trouble.is_of_one_key(), of_one_key, "{line}");
        }
    }
}
