//! TLS towards providers: rustls over ring, the system's roots plus extra ones, HTTP/1.1 only.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};

/// Where extra trust and the client's own certificate lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM file of further authorities, added to the system's.
    pub ca_cert: Option<PathBuf>,
    /// PEM files of our certificate chain and its key, for mutual TLS.
    pub client_identity: Option<(PathBuf, PathBuf)>,
}

impl TlsOptions {
    /// SHA-256 over what the files hold: the same as long as the settings made of them are.
    ///
    /// # Errors
    /// [`TlsError::File`] when one cannot be read.
    pub fn digest(&self) -> Result<[u8; 32], TlsError> {
        let mut digest = Sha256::new();
        let identity = self.client_identity.iter();
        let identity = identity.flat_map(|(chain, key)| [chain, key]);
        for path in self.ca_cert.iter().chain(identity) {
            let bytes = std::fs::read(path).map_err(|error| file_error(path, &error))?;
            digest.update(Sha256::digest(bytes));
        }
        Ok(digest.finalize().into())
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of the kind that is needed.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// rustls refuses what the files hold.
    #[error("TLS settings: {0}")]
    Settings(#[from] rustls::Error),
}

/// Builds the client side of TLS. Verification cannot be switched off.
///
/// # Errors
/// [`TlsError`] when a file cannot be used.
pub fn client_config(options: &TlsOptions) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &options.ca_cert {
        for certificate in certificates(path)? {
            roots.add(certificate)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match &options.client_identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| file_error(key, &error))?;
            builder.with_client_auth_cert(certificates(chain)?, key)?
        }
    };
    // Never `h2`: awc's HTTP/2 stack (h2 0.3) has an advisory without a fix.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| file_error(path, &error))?;
    let certificates: Result<Vec<_>, _> = read.collect();
    let certificates = certificates.map_err(|error| file_error(path, &error))?;
    if certificates.is_empty() {
        return Err(file_error(path, &"holds no certificate"));
    }
    Ok(certificates)
}

fn file_error(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

/// The class of a TLS failure behind an I/O error, for the record; `None` when TLS is not to blame.
pub(super) fn class(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    let tls = inner.downcast_ref::<rustls::Error>()?;
    Some(match tls {
        rustls::Error::InvalidCertificate(reason) => format!("certificate refused: {reason:?}"),
        rustls::Error::AlertReceived(alert) => format!("alert received: {alert:?}"),
        other => other.to_string(),
    })
}
