//! A TOML file becomes a layer whose values know their lines.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use config::{Map, Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::layer::Layer;
use super::not_toml::{Mistake, line_start, without_tokens};
use super::report::{Report, problem};

/// Reads a file. If it cannot be read, or is not TOML, that is reported and there is no layer.
pub(super) fn read(path: &Path, report: &mut Report) -> Option<Layer> {
    let name = path.display().to_string();
    let problem = match bytes(path) {
        Ok(bytes) if bytes.len() > LARGEST => problem(&name, "", "the configuration file is larger than 16 MiB")
            .help("is that the right path? A thousand routes are less than 1 MiB"),
        Ok(bytes) => match text(bytes) {
            Ok(text) => return parse(name, text, report),
            Err(NotText { line, column, help }) => {
                problem(&format!("{name}:{line}:{column}"), "", "the configuration file is not UTF-8").help(help)
            }
        },
        Err(error) => problem(&name, "", format!("the configuration file cannot be read: {error}"))
            .help("is that the right path, and may this user read it?"),
    };
    report.error(problem);
    None
}

/// More than anybody writes, and less than it takes to keep a machine busy with what was never meant to be read.
const LARGEST: usize = 16 << 20;

/// What a file holds, and not much more than is read of it: a device may never end.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where a file ceases to be a text.
struct NotText {
    line: usize,
    column: usize,
    help: &'static str,
}

/// The text, without the mark that some editors begin it with.
fn text(bytes: Vec<u8>) -> Result<String, NotText> {
    let is_utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line_start = valid.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let help = match is_utf16 {
                true => "it is UTF-16: save it as UTF-8",
                false => "save it as UTF-8; is that the right path?",
            };
            Err(NotText {
                line: valid.iter().filter(|byte| **byte == b'\n').count() + 1,
                column: String::from_utf8_lossy(&valid[line_start..]).chars().count() + 1,
                help,
            })
        }
    }
}

fn parse(name: String, text: String, report: &mut Report) -> Option<Layer> {
    let file = report.origins.add_file(name, text.clone());
    let (document, errors) = DeTable::parse_recoverable(&text);
    let table = Walk { file, report }.table(document.get_ref(), "");
    let mut errors: Vec<_> = errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    let is_toml = errors.is_empty();
    // One mistake leads to another in the same line.
    errors.sort_by_key(|(span, _)| span.start);
    errors.dedup_by_key(|(span, _)| line_start(&text, span.start));
    let text = if is_toml { String::new() } else { without_tokens(&text) };
    for (span, message) in errors {
        let mistake = Mistake { text: &text, at: span.start, message };
        let problem = mistake.problem(&report.origins.place(file, span));
        let first = mistake.first().map(|first| report.origins.place(file, first));
        report.error(first.into_iter().fold(problem, |problem, first| problem.also(&first)));
    }
    is_toml.then_some(Layer(table))
}

struct Walk<'a> {
    file: usize,
    report: &'a mut Report,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Map<String, Value> {
        let mut map = Map::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let place = self.report.origins.place(self.file, key.span());
            self.report.origins.note_key(path.clone(), &place, value.get_ref().is_table());
            let kind = self.kind(value.get_ref(), &path);
            let origin = self.report.origins.place(self.file, value.span());
            map.insert(name.to_owned(), Value::new(Some(&origin), kind));
        }
        map
    }

    fn kind(&mut self, value: &DeValue<'_>, path: &str) -> ValueKind {
        match value {
            DeValue::String(text) => ValueKind::String(text.clone().into_owned()),
            DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(integer) => ValueKind::I128(integer),
                // Beyond what any key takes; its reader says what it does take.
                Err(_) => ValueKind::Nil,
            },
            DeValue::Float(float) => float.as_str().parse().map_or(ValueKind::Nil, ValueKind::Float),
            DeValue::Boolean(boolean) => ValueKind::Boolean(*boolean),
            // No key takes one, and as a text it might pass for a name.
            DeValue::Datetime(_) => ValueKind::Nil,
            DeValue::Array(array) => {
                let mut values = Vec::with_capacity(array.len());
                for value in array.iter() {
                    let kind = self.kind(value.get_ref(), path);
                    let origin = self.report.origins.place(self.file, value.span());
                    values.push(Value::new(Some(&origin), kind));
                }
                ValueKind::Array(values)
            }
            DeValue::Table(table) => ValueKind::Table(self.table(table, path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_text_says_where_and_a_mark_at_its_start_is_no_part_of_it() {
        assert_eq!(text(b"\xef\xbb\xbfa = 1\r\n".to_vec()).ok().as_deref(), Some("a = 1\r\n"));
        let of = |bytes: &[u8]| text(bytes.to_vec()).err().map(|NotText { line, column, help }| (line, column, help));
        let not_utf8 = "save it as UTF-8; is that the right path?";
        assert_eq!(of(b"# \xc3\xa4\n# \xc3\xa4 \xe4"), Some((2, 5, not_utf8)));
        assert_eq!(of(b"\xff\xfea\0"), Some((1, 1, "it is UTF-16: save it as UTF-8")));
    }

    #[test]
    fn what_never_ends_is_too_large() {
        let mut report = Report::default();
        assert!(read(Path::new("/dev/zero"), &mut report).is_none());
        assert!(report.into_error().to_string().contains("larger than 16 MiB"));
    }
}
