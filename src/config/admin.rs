//! `[admin]`.

use config::Value;

use super::address;
use super::report::Report;
use super::section::Section;
use super::value::{as_text, boolean, text};
use crate::admin::{Secret, Settings, Token};

const TOKEN_HELP: &str = "a token is of visible ASCII characters: `openssl rand -hex 32` makes one";

/// Reads the keys of the admin listener.
pub(super) fn read(mut section: Section<'_>, report: &Report) -> Settings {
    let s = &mut section;
    let default = Settings::default();
    let settings = Settings {
        listen: s.take_or("listen", address::admin, default.listen),
        token: token(s, report),
        dashboard: s.take_or("dashboard", boolean, default.dashboard),
    };
    section.finish(&[]);
    settings
}

/// The token, from here or from a file. What is wrong with it is said without it.
fn token(section: &mut Section<'_>, report: &Report) -> Option<Secret> {
    // Taken whatever it is: a reader's mistakes may be reported with the value.
    let here = section.take("token", |value: &Value| Ok(value.clone()));
    let file = section.take("token_file", text);
    let (key, token) = match (here, file) {
        (Some(_), _) if section.was_written("token_file") => {
            let problem = section.problem("token_file", "says where to find what admin.token says already");
            let token_place = section.problem("token", "").place;
            report.error(problem.also(&token_place).help("remove one of the two"));
            return None;
        }
        (Some(value), _) => ("token", from_value(&value)),
        (None, Some(path)) => ("token_file", from_file(&path)),
        (None, None) => return None,
    };
    token.map_err(|message| report.error(section.problem(key, message).help(TOKEN_HELP))).ok()
}

fn from_value(value: &Value) -> Result<Secret, String> {
    let text = as_text(value).ok_or("must be a text in quotes")?;
    Token::try_new(text).map(Secret::fixed).map_err(|error| error.to_string())
}

fn from_file(path: &str) -> Result<Secret, String> {
    Secret::read(path).map_err(|error| format!("names {path}, which {error}"))
}
