//! Certificates of the tests' own, made when they are needed.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::bridge::Directory;

/// A CA, and the directory where its certificates are.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pub directory: Directory,
}

/// A certificate with its key, in memory.
pub struct Issued {
    pub der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Ca {
    /// A new one, whose own certificate is in `ca.crt`.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // OpenSSL takes a certificate whose issuer has the same name for one that is signed by itself.
        params.distinguished_name.push(DnType::CommonName, "the CA of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let directory = Directory::new();
        std::fs::write(directory.file("ca.crt"), certificate.pem()).unwrap();
        Ca { issuer: Issuer::new(params, key), der: certificate.der().clone(), directory }
    }

    /// A certificate for these names, in `file.crt` and `file.key`.
    pub fn issue(&self, file: &str, names: &[&str]) -> Issued {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, file);
        params.not_after = rcgen::date_time_ymd(2049, 12, 31);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.directory.file(&format!("{file}.crt")), certificate.pem()).unwrap();
        std::fs::write(self.directory.file(&format!("{file}.key")), key.serialize_pem()).unwrap();
        Issued { der: certificate.der().clone(), key: key.into() }
    }

    pub fn path(&self, file: &str) -> String {
        self.directory.path(file)
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        Arc::new(roots)
    }

    /// A client that believes this CA, and shows what it was given.
    pub fn client(&self, shows: Option<Issued>, alpn: &[&str]) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(self.roots());
        let mut config = match shows {
            Some(issued) => builder.with_client_auth_cert(vec![issued.der], issued.key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// A server with a certificate, which asks for one of this CA if `asks`.
    pub fn server(&self, issued: Issued, asks: bool, alpn: &[&str]) -> ServerConfig {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = if asks {
            let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![issued.der], issued.key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}
