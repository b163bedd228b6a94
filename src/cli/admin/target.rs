//! Where the admin listener is, and what opens it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use http::uri::{Authority, Uri};

use crate::admin::{Listen, Secret, Settings};

/// Where the admin listener is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Nowhere.
    Off,
    /// Somewhere.
    At(Address),
}

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A host and port.
    Tcp(Authority),
    /// A socket's file.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(authority) => write!(f, "http://{authority}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

const DEFAULT: &str = "127.0.0.1:9901";
const DEFAULT_PORT: u16 = 9901;

impl Target {
    /// As the flag says, else the environment, else the configuration, else where it is by default. With it comes the
    /// configured token, where it was the configuration that said so: another listener is not told it.
    pub(super) fn find(
        flag: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
        configured: impl FnOnce() -> Result<Option<Settings>, String>,
    ) -> Result<(Self, Option<Secret>), String> {
        let named = |name: &str, written: &str| match Self::read(written) {
            Ok(target) => Ok((target, None)),
            Err(mistake) => Err(format!("{name} {mistake}")),
        };
        if let Some(written) = flag {
            return named("--admin", written);
        }
        if let Some(written) = variable("SLUICEGATE_ADMIN").filter(|written| !written.is_empty()) {
            return named("SLUICEGATE_ADMIN", &written);
        }
        let Some(Settings { listen, token, .. }) = configured()? else { return Ok((Self::read(DEFAULT)?, None)) };
        let target = match listen {
            None => Target::Off,
            Some(Listen::Tcp(address)) if address.port() == 0 => {
                return Err("the configuration leaves the admin listener's port to the system; say where it is with \
                            --admin URL"
                    .to_owned());
            }
            Some(listen) => Self::read(&listen.to_string())?,
        };
        Ok((target, token))
    }

    fn read(written: &str) -> Result<Self, String> {
        if written == "off" {
            return Ok(Target::Off);
        }
        if let Some(path) = written.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Target::At(Address::Unix(path.into())));
        }
        let wrong = || format!("must be like http://127.0.0.1:9901 or unix:/path, not {written:?}");
        if written.starts_with("https://") {
            return Err(format!("{}: the admin listener speaks no TLS", wrong()));
        }
        let url = if written.contains("://") { written.to_owned() } else { format!("http://{written}") };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let (Some("http"), Some(authority), "/") = (uri.scheme_str(), uri.authority(), uri.path()) else {
            return Err(wrong());
        };
        let has_bad_port = authority.port_u16().is_none() && authority.as_str() != authority.host();
        if has_bad_port || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(wrong());
        }
        Ok(Target::At(Address::Tcp(reachable(authority, DEFAULT_PORT))))
    }
}

/// An address to connect to, where the written one is an address to listen on.
pub(super) fn reachable(authority: &Authority, default_port: u16) -> Authority {
    let host = authority.host();
    let host = match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => "127.0.0.1",
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => "[::1]",
        _ => host,
    };
    let port = authority.port_u16().unwrap_or(default_port);
    format!("{host}:{port}").parse().expect("a host and a port are an authority")
}

/// The token, if there is one: of the flag's file, else of the environment.
pub(super) fn token(file: Option<&Path>) -> Result<Option<String>, String> {
    let from = |file: &Path| {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read the token: {}: {error}", file.display()))?;
        // Editors end files with a line end; no token has one.
        match text.trim_end() {
            "" => Err(format!("cannot read the token: {} is empty", file.display())),
            token => Ok(Some(token.to_owned())),
        }
    };
    if let Some(file) = file {
        return from(file);
    }
    match (std::env::var("SLUICEGATE_ADMIN_TOKEN"), std::env::var_os("SLUICEGATE_ADMIN_TOKEN_FILE")) {
        (Ok(token), _) => Ok(Some(token)),
        (Err(_), Some(file)) => from(Path::new(&file)),
        (Err(_), None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Token;

    fn find(flag: Option<&str>, variable: Option<&str>) -> Result<String, String> {
        find_with(flag, variable, None)
    }

    fn find_with(flag: Option<&str>, variable: Option<&str>, settings: Option<Settings>) -> Result<String, String> {
        let variable = |name: &str| variable.filter(|_| name == "SLUICEGATE_ADMIN").map(str::to_owned);
        Target::find(flag, variable, || Ok(settings)).map(|(target, token)| match target {
            _ if token.is_some() => format!("{} with a token", text(&target)),
            _ => text(&target),
        })
    }

    fn text(target: &Target) -> String {
        match target {
            Target::Off => "off".to_owned(),
            Target::At(Address::Tcp(authority)) => authority.to_string(),
            Target::At(address) => address.to_string(),
        }
    }

    #[test]
    fn the_configuration_goes_before_the_default_and_lends_its_token_to_nobody_else() {
        let settings = |listen: &str| Settings {
            listen: Some(Listen::Tcp(listen.parse().unwrap())),
            token: Some(Secret::fixed(Token::try_new("secret").unwrap())),
            ..Settings::default()
        };
        let configured = Some(settings("0.0.0.0:9000"));
        assert_eq!(find_with(None, None, configured.clone()).unwrap(), "127.0.0.1:9000 with a token");
        assert_eq!(find_with(Some("http://a:1"), None, configured.clone()).unwrap(), "a:1");
        assert_eq!(find_with(None, Some("b:2"), configured).unwrap(), "b:2");
        let off = Settings { listen: None, ..Settings::default() };
        assert_eq!(find_with(None, None, Some(off)).unwrap(), "off");
        assert!(find_with(None, None, Some(settings("127.0.0.1:0"))).unwrap_err().contains("--admin"));
    }

    #[test]
    fn the_flag_goes_before_the_variable_and_that_before_the_default() {
        assert_eq!(find(Some("http://a:1"), Some("b:2")).unwrap(), "a:1");
        assert_eq!(find(None, Some("b:2")).unwrap(), "b:2");
        assert_eq!(find(None, Some("")).unwrap(), DEFAULT);
        assert_eq!(find(None, None).unwrap(), DEFAULT);
        assert_eq!(find(None, Some("off")).unwrap(), "off");
        assert_eq!(find(Some("unix:/run/admin.sock"), None).unwrap(), "unix:/run/admin.sock");
    }

    #[test]
    fn an_address_to_listen_on_becomes_one_to_connect_to() {
        for (written, read) in [
            ("0.0.0.0:9901", "127.0.0.1:9901"),
            ("[::]:9901", "[::1]:9901"),
            ("http://127.0.0.1:9901/", "127.0.0.1:9901"),
            ("sluicegate", "sluicegate:9901"),
            ("http://10.0.0.1", "10.0.0.1:9901"),
        ] {
            assert_eq!(find(Some(written), None).unwrap(), read);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_the_name_that_it_came_under() {
        for written in
            ["https://a:1", "ftp://a:1", "http://", "http://a:1/path", "a b", "user@a:1", ":1", "a:99999", "unix:a"]
        {
            assert!(find(Some(written), None).unwrap_err().starts_with("--admin must be like"), "{written}");
        }
        assert!(find(None, Some("a b")).unwrap_err().starts_with("SLUICEGATE_ADMIN must be like"));
    }
}
