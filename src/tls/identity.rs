//! A certificate with its key.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::InconsistentKeys;
use rustls::sign::CertifiedKey;

use super::pem::{Error, certificates, key};
use super::provider;
use super::validity::not_after;

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// PEM: the certificate itself, then those between it and the CA.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// The two of them, read.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) not_after: SystemTime,
}

impl Pair {
    /// Reads both, and sees that they belong together.
    pub(super) fn read(&self) -> Result<Identity, Error> {
        let chain = certificates(&self.cert)?;
        let key = provider()
            .key_provider
            .load_private_key(key(&self.key)?)
            .map_err(|error| Error::new(&self.key, format!("holds a key that cannot be used: {error}")))?;
        let not_after = not_after(&chain[0]).ok_or_else(|| Error::new(&self.cert, "holds no X.509 certificate"))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // A kind of key that does not say is found out by the first client.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(Error::new(&self.key, format!("is not the key of {}", self.cert.display())));
            }
            Err(error) => return Err(Error::new(&self.cert, format!("cannot be used: {error}"))),
        }
        Ok(Identity { certified: Arc::new(certified), not_after })
    }
}
