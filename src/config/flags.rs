//! Flags, and the variables that say the same.

use config::{Value, ValueKind};

use super::layer::Layer;
use super::report::{Report, problem};

/// What the command line says, as it was written, so that a mistake is reported like any other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--upstream`: the URL of `upstreams.default`.
    pub upstream: Option<String>,
    /// `--limit` of `routes.default`.
    pub limit: Option<String>,
    /// `--queue` of `routes.default`.
    pub queue: Option<String>,
    /// `--queue-timeout` of `routes.default`.
    pub queue_timeout: Option<String>,
    /// `--listen`, as often as it was given: `server.listen`.
    pub listen: Vec<String>,
    /// `--admin`: `admin.listen`.
    pub admin: Option<String>,
    /// `--threads`: `server.threads`.
    pub threads: Option<String>,
    /// `--dry-run`: every limit only counts.
    pub dry_run: bool,
}

/// A key that has a short name.
#[derive(Debug)]
pub(super) struct ShortForm {
    /// The variable without `SLUICEGATE_`.
    pub variable: Option<&'static str>,
    path: &'static [&'static str],
}

const UPSTREAM: ShortForm = ShortForm { variable: Some("UPSTREAM"), path: &["upstreams", "default", "url"] };
const LIMIT: ShortForm = ShortForm { variable: Some("LIMIT"), path: &["routes", "default", "limit"] };
const QUEUE: ShortForm = ShortForm { variable: Some("QUEUE"), path: &["routes", "default", "queue"] };
const QUEUE_TIMEOUT: ShortForm =
    ShortForm { variable: Some("QUEUE_TIMEOUT"), path: &["routes", "default", "queue_timeout"] };
const LISTEN: ShortForm = ShortForm { variable: Some("LISTEN"), path: &["server", "listen"] };
const ADMIN: ShortForm = ShortForm { variable: Some("ADMIN"), path: &["admin", "listen"] };
const THREADS: ShortForm = ShortForm { variable: None, path: &["server", "threads"] };
const LOG: ShortForm = ShortForm { variable: Some("LOG"), path: &["log", "level"] };

/// All of them.
pub(super) const SHORT_FORMS: [ShortForm; 8] = [UPSTREAM, LIMIT, QUEUE, QUEUE_TIMEOUT, LISTEN, ADMIN, THREADS, LOG];

/// What the places of flags begin with.
pub(super) const PLACE: &str = "flag ";

/// A key that was set by its short name.
#[derive(Debug)]
pub(super) struct Short {
    path: &'static [&'static str],
    place: String,
    value: Value,
}

impl Short {
    pub(super) fn new(form: &ShortForm, place: &str, value: impl Into<ValueKind>) -> Self {
        Short { path: form.path, place: place.to_owned(), value: Value::new(Some(&place.to_owned()), value) }
    }

    /// Whether the default file is not looked for beside this one.
    pub(super) fn replaces_default_file(&self) -> bool {
        self.path == UPSTREAM.path || self.path == LIMIT.path
    }

    /// Whether it is about `upstreams.default` or `routes.default`.
    fn is_about_default(&self) -> bool {
        self.path[1] == "default"
    }
}

/// The short forms among the flags.
pub(super) fn shorts(flags: &Flags) -> Vec<Short> {
    let single = [
        ("flag --upstream", &UPSTREAM, &flags.upstream),
        ("flag --limit", &LIMIT, &flags.limit),
        ("flag --queue", &QUEUE, &flags.queue),
        ("flag --queue-timeout", &QUEUE_TIMEOUT, &flags.queue_timeout),
        ("flag --admin", &ADMIN, &flags.admin),
        ("flag --threads", &THREADS, &flags.threads),
    ];
    let mut shorts: Vec<Short> = single
        .into_iter()
        .filter_map(|(place, form, value)| Some(Short::new(form, place, value.as_deref()?)))
        .collect();
    if !flags.listen.is_empty() {
        let place = "flag --listen".to_owned();
        let addresses = flags.listen.iter().map(|address| Value::new(Some(&place), address.as_str()));
        shorts.push(Short::new(&LISTEN, &place, addresses.collect::<Vec<Value>>()));
    }
    shorts
}

/// The layer of the short forms, weakest first. Those that define `upstreams.default` and `routes.default` go with no
/// other upstreams and routes: which of them would they be about?
pub(super) fn layer(shorts: Vec<Short>, weaker: &[Layer], report: &mut Report) -> Layer {
    let mut others: Vec<String> = ["upstreams", "routes"]
        .iter()
        .flat_map(|table| weaker.iter().flat_map(move |layer| layer.names(table).map(move |name| (table, name))))
        .filter(|(_, name)| *name != "default")
        .map(|(table, name)| format!("{table}.{name}"))
        .collect();
    others.sort();
    others.dedup();
    let mut layer = Layer::default();
    let mut defines_default = None;
    for short in shorts {
        if short.is_about_default() {
            if !others.is_empty() {
                let key = short.path.join(".");
                let message = format!("cannot be set here, since the configuration names {}", others.join(", "));
                report.error(problem(&short.place, key, message).help(instead(&others, short.path)));
                continue;
            }
            defines_default = Some(short.place.clone());
        }
        report.origins.note_path(short.path, &short.place);
        layer.set(short.path, short.value);
    }
    // An upstream alone defines the route as well, whose limit may be among the defaults.
    if let Some(place) = defines_default
        && layer.names("routes").next().is_none()
    {
        report.origins.note_path(&["routes", "default"], &place);
        layer.set(&["routes", "default"], Value::new(Some(&place), config::Map::<String, Value>::new()));
    }
    layer
}

/// How to say the same of a table that is not the default one.
fn instead(others: &[String], path: &[&str]) -> String {
    let [table, _, key] = path else { return "change the file".to_owned() };
    match others.iter().find_map(|other| other.strip_prefix(table)?.strip_prefix('.')) {
        Some(name) => {
            let variable = format!("{table}__{name}__{key}").to_ascii_uppercase();
            format!("change the file, or use SLUICEGATE__{variable}")
        }
        None => "change the file".to_owned(),
    }
}
