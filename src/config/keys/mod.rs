//! What can be configured, said once: every key with its type, its default and what it is for.
//!
//! The JSON schema, the reference page and `config show` are made of these tables. The readers of the sections know
//! more than a table can say, so they stay code; tests hold that they take these keys and no others, take what a type
//! allows and nothing else, and have the defaults that are written here.

mod limits;
mod routes;
mod server;
mod tls;
mod upstreams;

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub default: Default,
    /// What it is for: a sentence or two, for the reference page and the schema.
    pub about: &'static str,
}

/// What a value may be.
#[derive(Debug)]
pub(super) enum Kind {
    Boolean,
    /// A whole number of a range.
    Integer(u32, u32),
    /// Whether zero is allowed.
    Duration {
        zero: bool,
    },
    /// Of at least so many bytes.
    Size(u64),
    /// A number from 0 to 1.
    Share,
    /// One of these.
    Words(&'static [&'static str]),
    /// A text that its reader understands, such as these, in TOML.
    Text(&'static [&'static str]),
    /// A text that is not shown.
    Secret,
    /// The path of a file that must be there.
    File,
    /// The name of a table below this one.
    NameOf(&'static str),
    /// A list of these, or one of them.
    List(&'static Kind),
    /// Any of these.
    Either(&'static [Kind]),
    /// A table with these keys and no others.
    Table(&'static [Key]),
    /// A table with names of the operator's choice; two of them, and what stands below them.
    Map([&'static str; 2], &'static Kind),
}

/// What holds where a key is not written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Default {
    /// It must be written.
    Required,
    /// Nothing.
    Nothing,
    /// This value, in TOML.
    Is(&'static str),
    /// What depends on more than the key.
    Says(&'static str),
}

/// A table of the configuration.
#[derive(Debug)]
pub(super) struct Table {
    pub name: &'static str,
    /// Whether there are several, each below a name of the operator's choice.
    pub named: bool,
    pub about: &'static str,
    /// Its keys, in groups.
    pub groups: &'static [&'static [Key]],
}

impl Table {
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().copied().flatten()
    }

    /// As its header is written.
    pub(super) fn header(&self) -> String {
        if self.named { format!("{}.NAME", self.name) } else { self.name.to_owned() }
    }
}

/// All tables, in the order in which they are shown.
pub(super) const TABLES: [Table; 9] = [
    Table {
        name: "server",
        named: false,
        about: "The client side: where to listen, and how patient to be. One table for all routes.",
        groups: &[server::SERVER],
    },
    Table {
        name: "admin",
        named: false,
        about: "The operators' side: probes, metrics, and a way to change limits while it runs.",
        groups: &[server::ADMIN],
    },
    Table { name: "log", named: false, about: "What is written, where and how.", groups: &[server::LOG] },
    Table {
        name: "tracing",
        named: false,
        about: "Spans of requests, for a collector of OpenTelemetry. Needs a build with the feature `otel`; others refuse \
                these keys.",
        groups: &[server::TRACING],
    },
    Table {
        name: "response_headers",
        named: false,
        about: "What answers say beside what they must.",
        groups: &[server::RESPONSE_HEADERS],
    },
    Table { name: "upstreams", named: true, about: "Where requests go.", groups: &[upstreams::UPSTREAM] },
    Table {
        name: "limits",
        named: true,
        about: "A limit that several routes share, by naming it in `limits`. Routes take shared limits in the order in \
                which these tables stand in the files.",
        groups: &[limits::SHARED, limits::LIMIT],
    },
    Table {
        name: "routes",
        named: true,
        about: "Which requests, which limits, which upstream. Every route needs `limit`, `limits` or both, its own or \
                from `[defaults]`; an inline limit has its route's name.",
        groups: &[routes::MATCH, limits::OF_ROUTE, limits::LIMIT, routes::EXCHANGE],
    },
    Table {
        name: "defaults",
        named: false,
        about: "What holds for every route, and but for `limit` and `limits` for every shared limit, that does not say \
                otherwise.",
        groups: &[limits::OF_ROUTE, limits::LIMIT, routes::EXCHANGE],
    },
];

/// What to say about a key where nothing better is known: what it is for.
pub(super) fn help(path: &str) -> Option<String> {
    let mut names = path.split('.');
    let first = names.next()?;
    let table = TABLES.iter().find(|table| table.name == first)?;
    let name = names.nth(usize::from(table.named))?;
    let key = table.keys().find(|key| key.name == name)?;
    let default = match key.default {
        Default::Required | Default::Nothing => String::new(),
        Default::Is(value) => format!(" (by default {value})"),
        Default::Says(text) => format!(" (by default {text})"),
    };
    let sentences = key.about.split_inclusive(". ").map(str::trim).chain([default.trim()]);
    // One line for people at a terminal; the reference page has all of it.
    let mut help = format!("`{name}`:");
    for (at, sentence) in sentences.filter(|sentence| !sentence.is_empty()).enumerate() {
        if at == 0 || help.len() + sentence.len() < LONGEST_HELP {
            help = format!("{help} {sentence}");
        }
    }
    Some(help)
}

/// Columns of what is said beside a mistake about the key in general.
const LONGEST_HELP: usize = 150;

/// The headers of the tables that have this key.
pub(super) fn tables_with(key: &str) -> Vec<String> {
    TABLES.iter().filter(|table| table.keys().any(|known| known.name == key)).map(Table::header).collect()
}

/// The largest limit.
const LIMIT_MAX: u32 = crate::admission::LIMIT_MAX;
