//! Our side of a connection from a client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::identity::Pair;
use super::names::Certificates;
use super::pem::{Error, roots};
use super::provider;
use crate::files::FromFiles;

/// Where what a server shows and asks for is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// The certificates, at least one. The first is for clients that name no server, or none that we know.
    pub pairs: Vec<Pair>,
    /// PEM: the CAs of which every client must have a certificate; `None` asks for none.
    pub client_ca: Option<PathBuf>,
}

/// What clients are shown and asked for, as the files have it. A cheap handle.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: ServerSettings,
    made: FromFiles<Made>,
}

#[derive(Debug)]
struct Made {
    config: Arc<ServerConfig>,
    not_after: Vec<SystemTime>,
}

impl Server {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that can't be used, and why.
    pub fn try_new(settings: ServerSettings) -> Result<Self, Error> {
        let pairs = settings.pairs.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        let files = pairs.chain(&settings.client_ca).cloned().collect();
        let made = FromFiles::try_new(files, || make(&settings))?;
        Ok(Server(Arc::new(Inner { settings, made })))
    }

    /// Reads the files again if they have changed.
    pub fn check(&self) {
        self.0.made.check(|| make(&self.0.settings));
    }

    /// Each certificate's file, and until when what is in force of it is valid.
    pub fn not_after(&self) -> Vec<(PathBuf, SystemTime)> {
        let certs = self.0.settings.pairs.iter().map(|pair| pair.cert.clone());
        certs.zip(self.0.made.current().not_after.iter().copied()).collect()
    }

    /// What the next connection is made with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.made.current().config.clone()
    }
}

impl PartialEq for Server {
    /// Whether they are made of the same files.
    fn eq(&self, other: &Self) -> bool {
        self.0.settings == other.0.settings
    }
}

impl Eq for Server {}

fn make(settings: &ServerSettings) -> Result<Made, Error> {
    let identities = settings.pairs.iter().map(Pair::read).collect::<Result<Vec<_>, _>>()?;
    let first = &settings.pairs.first().expect("there is at least one").cert;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(first, error))?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(file)?), provider()).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| Error::new(file, error))?)
        }
    };
    let certified = identities.iter().map(|identity| identity.certified.clone()).collect();
    let mut config = builder.with_cert_resolver(Arc::new(Certificates::new(certified)));
    config.alpn_protocols = vec![crate::socket::H2.to_vec(), b"http/1.1".to_vec()];
    // Tickets cost no memory per client. Theirs end with this configuration: a client that another CA vouched for must
    // not come back on one.
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| Error::new(first, error))?;
    let not_after = identities.iter().map(|identity| identity.not_after).collect();
    Ok(Made { config: Arc::new(config), not_after })
}
