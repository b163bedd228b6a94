//! Which certificate a client is shown.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates by the names that they are valid for. One for the very name goes before one for `*.` and the rest of
/// it, and the first one of all is for those who name nobody that we know: what they make of it is up to them.
#[derive(Debug)]
pub(super) struct Certificates {
    all: Vec<Arc<CertifiedKey>>,
    /// Lower-case names to places in `all`, in its order.
    names: HashMap<String, Vec<usize>>,
}

impl Certificates {
    /// Takes them in their order; there is at least one.
    pub(super) fn new(all: Vec<Arc<CertifiedKey>>) -> Self {
        let mut names: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, certified) in all.iter().enumerate() {
            let Ok(certificate) = certified.end_entity_cert() else { continue };
            let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { continue };
            for name in certificate.valid_dns_names() {
                names.entry(name.to_ascii_lowercase()).or_default().push(index);
            }
        }
        Certificates { all, names }
    }

    /// The first one of a name that suits; several of one name may have keys of different kinds.
    fn choose(&self, name: Option<&str>, suits: impl Fn(&CertifiedKey) -> bool) -> Option<Arc<CertifiedKey>> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let exact = name.as_deref().and_then(|name| self.names.get(name));
        let wildcard = || self.names.get(&format!("*.{}", name.as_deref()?.split_once('.')?.1));
        let named = exact.or_else(wildcard).map(Vec::as_slice).unwrap_or_default();
        let of_name = named.iter().map(|index| &self.all[*index]).find(|certified| suits(certified));
        of_name.or_else(|| self.all.iter().find(|certified| suits(certified))).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), |certified| certified.key.choose_scheme(hello.signature_schemes()).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::provider;

    fn certified(names: &[&str]) -> Arc<CertifiedKey> {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let key = provider().key_provider.load_private_key(key.into()).unwrap();
        Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key))
    }

    #[test]
    fn the_most_exact_name_chooses_and_the_first_certificate_is_for_the_rest() {
        let all = [&["first.test"][..], &["*.b.test", "b.test"], &["x.b.test"], &["b.test"]].map(certified);
        let certificates = Certificates::new(all.to_vec());
        for (name, expected) in [
            (None, 0),
            (Some("first.test"), 0),
            (Some("unknown.test"), 0),
            (Some("b.test"), 1),
            (Some("a.b.test"), 1),
            (Some("X.B.test"), 2),
            (Some("x.b.test."), 2),
            // A wildcard stands for one label (RFC 6125 §6.4.3).
            (Some("a.x.b.test"), 0),
            (Some("test"), 0),
        ] {
            let chosen = certificates.choose(name, |_| true).unwrap();
            assert!(Arc::ptr_eq(&chosen, &all[expected]), "{name:?}");
        }
        let not_the_second = |certified: &CertifiedKey| !std::ptr::eq(certified, &*all[1]);
        assert!(Arc::ptr_eq(&certificates.choose(Some("b.test"), not_the_second).unwrap(), &all[3]));
        assert!(certificates.choose(Some("b.test"), |_| false).is_none());
    }
}
