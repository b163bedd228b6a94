//! What is in force, and where it comes from.

use std::collections::HashMap;
use std::fmt::Write;

use config::{Map, Value, ValueKind};

use super::keys::{Default, Key, Kind, TABLES, Table};
use super::value::is_outside_files;
use super::{Loaded, Settings, Written};
use crate::proxy::RouteSettings;

impl Loaded {
    /// The effective configuration, as a file that says the same; secrets are stars. With `origins`, each value is
    /// followed by where it was written.
    pub fn show(&self, origins: bool) -> String {
        self.written.show(&self.settings, origins)
    }
}

impl Written {
    /// The same, with the settings that were made of it.
    pub fn show(&self, settings: &Settings, origins: bool) -> String {
        let plan = &settings.plan;
        let limits = plan.limits.iter().enumerate().map(|(index, limit)| (limit.name.as_str(), index)).collect();
        let routes = plan.routes.iter().map(|route| (route.name.as_str(), route)).collect();
        let mut page = Page { written: self, settings, limits, routes, origins, text: String::new() };
        for table in &TABLES {
            match table.named {
                false => page.table(table, None),
                true => page.names(table).iter().for_each(|name| page.table(table, Some(name))),
            }
        }
        page.text
    }
}

struct Page<'a> {
    written: &'a Written,
    settings: &'a Settings,
    /// Where each limit is in the plan. Asked for each key of each route: of thousands, looking through them would take long.
    limits: HashMap<&'a str, usize>,
    routes: HashMap<&'a str, &'a RouteSettings>,
    origins: bool,
    text: String,
}

impl Page<'_> {
    /// In the order in which they count: that of the plan for limits and routes.
    fn names(&self, table: &Table) -> Vec<String> {
        let mut names: Vec<String> = entries(self.written.tree.get(table.name)).keys().cloned().collect();
        names.sort();
        if table.name == "limits" {
            names.sort_by_key(|name| self.limits.get(name.as_str()));
        }
        names
    }

    fn table(&mut self, table: &Table, name: Option<&str>) {
        let path = name.map_or_else(|| table.name.to_owned(), |name| format!("{}.{name}", table.name));
        let written = match name {
            None => entries(self.written.tree.get(table.name)),
            Some(name) => entries(entries(self.written.tree.get(table.name)).get(name)),
        };
        // What holds for all routes is shown with each of them.
        if table.name == "defaults" {
            return;
        }
        // What is off altogether has no values, and a build without it must be able to read what is shown.
        if table.name == "tracing" && written.is_empty() {
            return;
        }
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}[{path}]");
        for key in table.keys() {
            self.key(table, name, &path, key, written.get(key.name));
        }
    }

    fn key(&mut self, table: &Table, name: Option<&str>, path: &str, key: &Key, own: Option<&Value>) {
        let own_path = format!("{path}.{}", key.name);
        let default_path = format!("defaults.{}", key.name);
        let default = entries(self.written.tree.get("defaults")).get(key.name);
        if let Some(place) =
            self.written.dry_run.clone().filter(|_| key.name == "dry_run" && self.applies(table, name, key))
        {
            return self.line(key, "true", &place);
        }
        if let Some(value) = own {
            let both = default.filter(|_| table.name == "routes" && MERGED.contains(&key.name));
            let shown = match both {
                Some(default) => key.kind.show(&merged(value, default)),
                None => key.kind.show(value),
            };
            return self.line(key, &shown, &self.origin(&own_path, value));
        }
        if let Some(value) = default.filter(|_| self.is_inherited(table, name, key)) {
            return self.line(key, &key.kind.show(value), &self.origin(&default_path, value));
        }
        if !self.applies(table, name, key) {
            return;
        }
        if let Some(value) = self.derived(table, name, key) {
            return self.line(key, &value, BUILT_IN);
        }
        match key.default {
            Default::Is(value) => self.line(key, value, BUILT_IN),
            Default::Says(text) => {
                let _ = writeln!(self.text, "# {}: {text}", key.name);
            }
            Default::Nothing | Default::Required => {}
        }
    }

    fn line(&mut self, key: &Key, value: &str, origin: &str) {
        let _ = match self.origins {
            true => writeln!(self.text, "{} = {value}  # {origin}", key.name),
            false => writeln!(self.text, "{} = {value}", key.name),
        };
    }

    fn origin(&self, path: &str, value: &Value) -> String {
        self.written.places.get(path).map(String::as_str).or(value.origin()).unwrap_or_default().to_owned()
    }

    /// Whether what `[defaults]` says holds for this table.
    fn is_inherited(&self, table: &Table, name: Option<&str>, key: &Key) -> bool {
        let is_about_which = matches!(key.name, "limit" | "limits");
        let of_defaults = TABLES
            .iter()
            .find(|table| table.name == "defaults")
            .is_some_and(|defaults| defaults.keys().any(|default| default.name == key.name));
        match table.name {
            "routes" => {
                of_defaults && (is_about_which && self.inherits_limits(name, key) || self.applies(table, name, key))
            }
            "limits" => of_defaults && !is_about_which && self.applies(table, name, key),
            _ => false,
        }
    }

    /// A route that takes no permit takes no default limits, and one with limits of its own is not told to take none.
    fn inherits_limits(&self, route: Option<&str>, key: &Key) -> bool {
        let Some(route) = route.and_then(|name| self.routes.get(name)) else { return false };
        let has_own = route.limits.first().is_some_and(|limit| self.settings.plan.limits[*limit].name == route.name);
        match key.name {
            "limit" => has_own || route.limits.is_empty(),
            _ => route.limits.len() > usize::from(has_own),
        }
    }

    /// Whether a key says anything there: those of limits say nothing where there is no limit, and those of keys
    /// nothing where there is no key.
    fn applies(&self, table: &Table, name: Option<&str>, key: &Key) -> bool {
        let of_limit = super::limits::Keys::names().any(|known| known == key.name);
        if !of_limit || !table.named || table.name == "upstreams" {
            return true;
        }
        let plan = &self.settings.plan;
        let Some(&index) = name.and_then(|name| self.limits.get(name)) else { return false };
        let is_fixed = plan.limits[index].limit_max.is_none() && plan.measured.iter().all(|one| one.limit != index);
        if key.name == "shadow" && !is_fixed {
            return false;
        }
        let about_keys = super::fairness::Fairness::NAMES.contains(&key.name) && key.name != "key";
        !about_keys || plan.keys[index].is_some()
    }

    /// What a default that depends on other things comes to.
    fn derived(&self, table: &Table, name: Option<&str>, key: &Key) -> Option<String> {
        let plan = &self.settings.plan;
        match (table.name, key.name) {
            ("routes" | "limits", "queue") => {
                let &index = self.limits.get(name?)?;
                // One that follows its upstream's slots, or what is found, has no number of its own.
                let follows = plan.measured.iter().any(|measured| measured.limit == index && measured.queue_follows)
                    || plan.adaptive_of(index).is_some_and(|adaptive| adaptive.queue_follows);
                (!follows).then(|| plan.limits[index].queue.to_string())
            }
            ("routes", "upstream") => {
                let route = self.routes.get(name?)?;
                Some(quoted(&plan.upstreams[route.upstream].name))
            }
            _ => None,
        }
    }
}

const BUILT_IN: &str = "built-in";

/// Tables to which those of the defaults are added, name by name.
const MERGED: [&str; 2] = ["set_headers", "set_response_headers"];

/// Fields whose values open something.
const CREDENTIALS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

fn merged(own: &Value, defaults: &Value) -> Value {
    let mut all = entries(Some(own)).clone();
    for (name, value) in entries(Some(defaults)) {
        if all.keys().all(|own| !own.eq_ignore_ascii_case(name)) {
            all.insert(name.clone(), value.clone());
        }
    }
    Value::new(None, all)
}

fn entries(value: Option<&Value>) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    match value.map(|value| &value.kind) {
        Some(ValueKind::Table(table)) => table,
        _ => &NONE,
    }
}

impl Kind {
    /// A value in TOML. What comes from variables and flags is a text there, whatever it means.
    fn show(&self, value: &Value) -> String {
        let outside = value.origin().is_some_and(is_outside_files);
        match (&value.kind, self) {
            (_, Kind::Secret) => "\"***\"".to_owned(),
            (ValueKind::String(text), kind) if outside && kind.is_list(text) => {
                let item = kind.item().expect("a list has items");
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                let items = items.map(|text| item.show(&Value::new(value.origin().map(str::to_owned).as_ref(), text)));
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            (ValueKind::String(text), kind) if outside && kind.is_bare(text) => text.trim().to_owned(),
            (ValueKind::String(text), _) => quoted(text),
            (ValueKind::Array(items), kind) => {
                let show = |value| kind.item().unwrap_or(kind).show(value);
                format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
            }
            (ValueKind::Table(table), kind) => {
                let mut names: Vec<_> = table.keys().collect();
                names.sort();
                let entries = names.iter().map(|name| {
                    if matches!(kind, Kind::Map(_, Kind::Text(_))) && CREDENTIALS.contains(&&*name.to_ascii_lowercase())
                    {
                        return format!("{} = \"***\"", key(name));
                    }
                    let shown =
                        kind.inner(name).map_or_else(|| table[*name].to_string(), |kind| kind.show(&table[*name]));
                    format!("{} = {shown}", key(name))
                });
                format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
            }
            (ValueKind::I128(number), _) => number.to_string(),
            (ValueKind::Boolean(boolean), _) => boolean.to_string(),
            (other, _) => other.to_string(),
        }
    }

    /// Whether a text stands for something that has no quotes.
    fn is_bare(&self, text: &str) -> bool {
        match self {
            Kind::Integer(..) | Kind::Size(_) => text.trim().parse::<u64>().is_ok(),
            Kind::Share => text.trim().parse::<f64>().is_ok(),
            Kind::Boolean => matches!(text, "true" | "false"),
            Kind::Either(kinds) => kinds.iter().any(|kind| kind.is_bare(text)),
            _ => false,
        }
    }

    /// What a list of this kind consists of.
    fn item(&self) -> Option<&Kind> {
        match self {
            Kind::List(item) => Some(item),
            Kind::Either(kinds) => kinds.iter().find_map(Kind::item),
            _ => None,
        }
    }

    /// Whether a text from outside of files stands for a list.
    fn is_list(&self, text: &str) -> bool {
        match self {
            Kind::List(_) => true,
            Kind::Either(kinds) => {
                let is_word = |kind: &Kind| matches!(kind, Kind::Words(words) if words.contains(&text));
                self.item().is_some() && !kinds.iter().any(|kind| is_word(kind) || kind.is_bare(text))
            }
            _ => false,
        }
    }

    /// What stands below a name in a table of this kind.
    fn inner(&self, name: &str) -> Option<&Kind> {
        match self {
            Kind::Map(_, kind) => Some(kind),
            Kind::Table(keys) => keys.iter().find(|key| key.name == name).map(|key| &key.kind),
            Kind::Either(kinds) => kinds.iter().find_map(|kind| kind.inner(name)),
            Kind::List(kind) => kind.inner(name),
            _ => None,
        }
    }
}

/// A key in TOML: without quotes where it needs none.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A text in TOML. JSON's escapes are TOML's, too, and nothing that a value can hold needs others.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written").replace('\u{7f}', "\\u007f")
}
