//! Tables of header fields: `{ x-tenant = "a" }`.

use std::collections::HashMap;

use config::Value;
use http::header::{self, HeaderName, HeaderValue};

use super::report::Report;
use super::section::Section;
use super::value::{Taken, as_text, text, wrong, wrong_with_help};
use crate::proxy::Fields;
use crate::upstream::SecretHeader;

/// Which messages the fields are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Requests,
    Answers,
}

/// The fields of a table, no name twice.
pub(super) fn take(section: &mut Section<'_>, key: &'static str, of: Of, report: &Report) -> Fields {
    distinct(section, key, report, |name, value| Ok((may_be_set(name, of)?, field_value(value)?)))
}

/// The fields of a table whose values are names of files.
pub(super) fn take_secrets(section: &mut Section<'_>, key: &'static str, report: &Report) -> Vec<SecretHeader> {
    let read = |name: &str, value: &Value| {
        let (name, file) = (may_be_set(name, Of::Requests)?, text(value)?);
        match SecretHeader::read(name.clone(), &file) {
            Ok(secret) => Ok((name, secret)),
            Err(error) => {
                let causes = [Some(error.to_string()), std::error::Error::source(&error).map(ToString::to_string)];
                let why = causes.into_iter().flatten().collect::<Vec<String>>().join(": ");
                let help = "the file holds the whole value of the header, such as \"Bearer …\", in one line";
                wrong_with_help(format!("names {file}, which {why}"), help)
            }
        }
    };
    distinct(section, key, report, read).into_iter().map(|(_, secret)| secret).collect()
}

/// The entries of a table whose keys are names of headers, no name twice.
pub(super) fn distinct<T>(
    section: &mut Section<'_>,
    key: &'static str,
    report: &Report,
    read: impl Fn(&str, &Value) -> Taken<(HeaderName, T)>,
) -> Vec<(HeaderName, T)> {
    let entries = section.entries(key, read);
    let mut seen: HashMap<&HeaderName, &str> = HashMap::new();
    for (written, (name, _)) in &entries {
        if let Some(first) = seen.insert(name, written) {
            let message = "is there twice: names of headers are the same in upper and lower case";
            let first = section.problem(&format!("{key}.{first}"), "").place;
            let problem = section.problem(&format!("{key}.{written}"), message).also(&first);
            report.error(problem.help("remove one of the two"));
        }
    }
    entries.into_iter().map(|(_, field)| field).collect()
}

/// The name of a header.
pub(super) fn field_name(name: &str) -> Taken<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).or_else(|_| {
        wrong_with_help("is not the name of a header", "names are letters, digits and hyphens, without the colon")
    })
}

/// The value of a header.
fn field_value(value: &Value) -> Taken<HeaderValue> {
    match as_text(value) {
        Some(text) => {
            HeaderValue::from_str(text).or_else(|_| wrong("holds a character that the value of a header cannot have"))
        }
        None => wrong("must be the value of a header in quotes"),
    }
}

/// A name that is not ours or the protocol's to write.
fn may_be_set(name: &str, of: Of) -> Taken<HeaderName> {
    let name = field_name(name)?;
    let problem = |message: &str, help: &str| wrong_with_help(message, help);
    if name == header::HOST {
        return problem("cannot be set here", "the upstream's key `host` says which Host it sees");
    }
    if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::TRAILER, header::EXPECT].contains(&name) {
        return problem("cannot be set: it says how the message is framed", "remove it: each message has its own");
    }
    if crate::upstream::headers::is_hop_by_hop(&name) {
        return problem("cannot be set: it is about one connection, which is ours", "remove it");
    }
    if of == Of::Answers && name.as_str().starts_with("x-sluicegate-") {
        return problem("cannot be set: who reads it takes the answer for one of ours", "use another name");
    }
    Ok(name)
}
