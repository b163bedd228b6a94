//! Our side of a connection to an upstream.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::identity::Pair;
use super::pem::{Error, roots};
use super::provider;
use crate::files::FromFiles;

/// How a server is judged, and what it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientSettings {
    /// PEM: the CAs that are believed, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The name that the server is asked for and must have, in place of the host's.
    pub sni: Option<String>,
    /// What the server is shown if it asks who we are.
    pub identity: Option<Pair>,
    /// Whether any certificate will do. Anybody on the way can read and change what is sent then.
    pub insecure: bool,
}

/// How servers are judged, as the files have it. A cheap handle.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: ClientSettings,
    made: FromFiles<Made>,
}

#[derive(Debug)]
struct Made {
    /// Offers HTTP/2 and HTTP/1.1.
    both: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone.
    http1: Arc<ClientConfig>,
    not_after: Option<SystemTime>,
}

const HTTP1: &[u8] = b"http/1.1";

impl Client {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that can't be used, and why; or that the system has no CAs, and no file was named.
    pub fn try_new(settings: ClientSettings) -> Result<Self, Error> {
        let pair = settings.identity.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        let files = pair.chain(&settings.ca).cloned().collect();
        let made = FromFiles::try_new(files, || make(&settings))?;
        Ok(Client(Arc::new(Inner { settings, made })))
    }

    /// Reads the files again if they have changed. The system's CAs are read once.
    pub fn check(&self) {
        self.0.made.check(|| make(&self.0.settings));
    }

    /// The file of our own certificate, and until when what is in force of it is valid.
    pub fn not_after(&self) -> Option<(PathBuf, SystemTime)> {
        let pair = self.0.settings.identity.as_ref()?;
        Some((pair.cert.clone(), self.0.made.current().not_after?))
    }

    /// Whether a server of this name can be asked for.
    pub fn can_name(&self, host: &str) -> bool {
        self.server_name(host).is_some()
    }

    /// Our side of the next connection to `host`. It offers HTTP/2, where `h2` says so, and HTTP/1.1.
    pub(crate) fn connection(&self, host: &str, h2: bool) -> Result<ClientConnection, rustls::Error> {
        let name = self.server_name(host).ok_or(rustls::Error::General("the host is no name".to_owned()))?;
        let made = self.0.made.current();
        ClientConnection::new(if h2 { made.both.clone() } else { made.http1.clone() }, name)
    }

    fn server_name(&self, host: &str) -> Option<ServerName<'static>> {
        ServerName::try_from(self.0.settings.sni.as_deref().unwrap_or(host).to_owned()).ok()
    }
}

impl PartialEq for Client {
    /// Whether they are made of the same files, and judge alike.
    fn eq(&self, other: &Self) -> bool {
        self.0.settings == other.0.settings
    }
}

impl Eq for Client {}

fn make(settings: &ClientSettings) -> Result<Made, Error> {
    let nowhere = PathBuf::new();
    let about = settings.ca.as_ref().unwrap_or(&nowhere);
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(about, error))?;
    let builder = if settings.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
    } else {
        let roots = match &settings.ca {
            Some(file) => roots(file)?,
            None => systems_roots()?,
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        builder.with_webpki_verifier(verifier.map_err(|error| Error::new(about, error))?)
    };
    let mut not_after = None;
    let mut both = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let identity = pair.read()?;
            not_after = Some(identity.not_after);
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity.certified)))
        }
    };
    both.alpn_protocols = vec![crate::socket::H2.to_vec(), HTTP1.to_vec()];
    let mut http1 = both.clone();
    http1.alpn_protocols = vec![HTTP1.to_vec()];
    Ok(Made { both: Arc::new(both), http1: Arc::new(http1), not_after })
}

/// The CAs of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`; the image brings some. Unlike a list that is built in,
/// they are kept up to date by somebody, and an operator's own are among them.
fn systems_roots() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems have certificates among theirs that no program of today can read.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        let place = PathBuf::from("the system's CA certificates");
        return Err(Error::new(&place, format!("none were found{why}")));
    }
    Ok(roots)
}

/// Believes every certificate; only the keys of the session are looked at.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
