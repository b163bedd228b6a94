//! Files of certificates and keys.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why files can't be used. It begins with the file's name.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub struct Error {
    file: String,
    message: String,
}

impl Error {
    /// The file.
    pub fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn new(file: &Path, message: impl std::fmt::Display) -> Self {
        Error { file: file.display().to_string(), message: message.to_string() }
    }
}

/// The certificates of a file, at least one, in their order.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates.map_err(|error| Error::new(file, format!("is not PEM: {error}")))? {
        none if none.is_empty() => Err(Error::new(file, "holds no certificate (-----BEGIN CERTIFICATE-----)")),
        certificates => Ok(certificates),
    }
}

/// The first private key of a file.
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            Error::new(file, "holds no private key without a password (-----BEGIN PRIVATE KEY-----)")
        }
        error => Error::new(file, format!("is not PEM: {error}")),
    })
}

/// The certificates of a file as roots of trust.
pub(super) fn roots(file: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| Error::new(file, format!("holds no CA certificate: {error}")))?;
    }
    Ok(roots)
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|error| Error::new(file, format!("cannot be read: {error}")))
}
