//! The `tls` tables of `[server]` and of upstreams. The files are read here, so that what is wrong with them is said with
//! everything else.

use std::path::PathBuf;

use config::{Value, ValueKind};

use super::report::Report;
use super::section::{Section, closest};
use super::value::{Taken, as_text, boolean, list, text, wrong, wrong_with_help};
use crate::tls::{Client, ClientSettings, Error, Pair, Server, ServerSettings};

const PAIR_HELP: &str = "write both: cert = \"/etc/sluicegate/tls.crt\", key = \"/etc/sluicegate/tls.key\"";

/// What clients are shown and asked for; `None` if there is no such table, or it has been reported.
pub(super) fn server(mut section: Section<'_>, report: &Report) -> Option<Server> {
    let errors = report.errors();
    let first = pair(&mut section, "cert", "key", report);
    let client_ca = section.take("client_ca", file);
    let others = section.take("certs", list(entry)).unwrap_or_default();
    // A key that is misspelt is told below.
    if first.is_none() && others.is_empty() && !section.has_more() && report.errors() == errors {
        report.error(section.problem("cert", "is missing").help(PAIR_HELP));
    }
    let pairs = first.into_iter().chain(others).collect();
    let settings = ServerSettings { pairs, client_ca };
    let complete = report.errors() == errors && !settings.pairs.is_empty();
    let made = complete.then(|| Server::try_new(settings.clone()));
    let made = made.and_then(|made| made.map_err(|error| blame(&section, &error, report)).ok());
    section.finish(&[]);
    made
}

/// How upstreams are judged. Without a table, by the system's CAs.
pub(super) fn client(mut section: Section<'_>, report: &Report) -> Option<Client> {
    let errors = report.errors();
    let settings = ClientSettings {
        ca: section.take("ca", file),
        sni: section.take("sni", server_name),
        identity: pair(&mut section, "client_cert", "client_key", report),
        insecure: section.take_or("insecure", boolean, false),
    };
    if settings.insecure {
        let message = "believes whoever answers: anybody on the way can read and change what is sent";
        report.warning(section.problem("insecure", message).help("name the CA of its certificate with ca"));
        if settings.ca.is_some() {
            let message = "names a CA that insecure = true does not ask";
            report.error(section.problem("ca", message).help("remove one of the two"));
        }
    }
    let made = (report.errors() == errors).then(|| Client::try_new(settings));
    let made = made.and_then(|made| made.map_err(|error| blame(&section, &error, report)).ok());
    section.finish(&[]);
    made
}

/// Two keys that need each other.
fn pair(section: &mut Section<'_>, cert: &'static str, key: &'static str, report: &Report) -> Option<Pair> {
    let both = (section.take(cert, file), section.take(key, file));
    let (written, missing) = match (section.was_written(cert), section.was_written(key)) {
        (true, false) => (cert, key),
        (false, true) => (key, cert),
        _ => {
            let (cert, key) = (both.0?, both.1?);
            return Some(Pair { cert, key });
        }
    };
    let help = format!("write {missing} = \"/path/to/file.pem\" beside it");
    let lacks = format!("{}.{missing}", section.path());
    report.error(section.problem(written, format!("needs {missing}")).lacks(lacks).help(help));
    None
}

/// Reports a file at the key that names it.
fn blame(section: &Section<'_>, error: &Error, report: &Report) {
    let keys = ["cert", "key", "client_ca", "client_cert", "client_key", "ca"];
    let named = keys.into_iter().find(|key| section.said(key).as_deref() == Some(error.file()));
    let others = if section.was_written("certs") { "certs" } else { "" };
    let problem = match named.unwrap_or(others) {
        "" => section.problem_of_all(format!("cannot be used: {error}")),
        key => section.problem(key, format!("names {error}")),
    };
    report.error(
        problem.help("a PEM file that this process may read; `openssl x509 -text -in FILE` shows a certificate"),
    );
}

/// One of `certs`.
fn entry(value: &Value) -> Taken<Pair> {
    const EXPECTED: &str = "must be tables such as { cert = \"a.crt\", key = \"a.key\" }";
    let ValueKind::Table(table) = &value.kind else { return wrong(EXPECTED) };
    if let Some(unknown) = table.keys().find(|name| !["cert", "key"].contains(&name.as_str())) {
        let help = match closest(unknown, ["cert", "key"]) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "the keys here are cert, key".to_owned(),
        };
        return wrong_with_help(format!("has a table with the key {unknown}, which is not known"), help);
    }
    match (table.get("cert"), table.get("key")) {
        (Some(cert), Some(key)) => Ok(Pair { cert: file(cert)?, key: file(key)? }),
        _ => wrong_with_help("has a table without cert or without key", PAIR_HELP),
    }
}

fn file(value: &Value) -> Taken<PathBuf> {
    match text(value)? {
        empty if empty.is_empty() => wrong("must name a file"),
        file => Ok(file.into()),
    }
}

fn server_name(value: &Value) -> Taken<String> {
    match as_text(value) {
        Some(name) if rustls::pki_types::ServerName::try_from(name).is_ok() => Ok(name.to_owned()),
        _ => wrong("must be a host name such as \"api.internal\""),
    }
}
