//! What did the operator ask?
//!
//! Files, environment and flags become layers of one tree of values, each of which knows where it was written; the
//! `config` crate merges them, and the sections below read the merged tree into the settings of the other modules.
//! From the weakest: built-in values, `[defaults]`, named tables, environment, flags.
//!
//! What comes out cannot be wrong: [`load`] either returns settings that can be used as they are, or every problem of
//! the configuration at once, each with its place and key. Beyond this module nobody knows that there was a file.

mod adaptive;
mod address;
mod admin;
mod claims;
mod connections;
mod dry_run;
mod environment;
mod excerpt;
mod fairness;
mod fields;
mod file;
mod flags;
#[cfg(test)]
#[path = "../../fuzz/config.rs"]
mod fuzz;
mod handling;
mod health;
mod keys;
mod layer;
mod limits;
mod log;
mod not_toml;
mod origins;
mod overridable;
mod page;
mod place;
mod problem;
mod read;
mod report;
mod response_headers;
mod rewriting;
mod routes;
mod schema;
mod secrets;
mod section;
mod server;
mod shared;
mod show;
mod slots;
#[cfg(test)]
mod tests;
mod tls;
mod together;
mod tracing;
mod units;
mod upstreams;
mod value;
mod written;

use std::path::{Path, PathBuf};

pub use flags::Flags;
pub use page::page;
pub use place::Place;
pub use problem::{Error, Problem};
pub use schema::schema;
pub use written::Written;

use crate::access_log::{AccessLog, Lines, LogFormat};
use crate::proxy;
use report::Report;

/// The file that is read if it is there and nothing else was asked for.
pub const DEFAULT_FILE: &str = "/etc/sluicegate/sluicegate.toml";

/// Where the configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Files, later ones over earlier ones. If there are none, those of `SLUICEGATE_CONFIG`.
    pub files: Vec<PathBuf>,
    /// Variables whose names begin with `SLUICEGATE`, and their values.
    pub environment: Vec<(String, String)>,
    /// What the command line says.
    pub flags: Flags,
}

impl Sources {
    /// Takes the variables from the environment of this process. One that is not UTF-8 is a problem.
    pub fn try_from_process(files: Vec<PathBuf>, flags: Flags) -> Result<Self, Error> {
        Ok(Sources { files, environment: environment::decode(std::env::vars_os())?, flags })
    }
}

/// A configuration without errors.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What to run with.
    pub settings: Settings,
    /// What is allowed, but probably not meant.
    pub warnings: Vec<Problem>,
    /// What the settings were made of.
    pub written: Written,
}

/// Everything that the operator can decide.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The client side.
    pub server: crate::server::Settings,
    /// Upstreams, limits and routes.
    pub plan: proxy::Plan,
    /// The operators' side.
    pub admin: crate::admin::Settings,
    /// A level, or directives for an `EnvFilter`.
    pub log_level: Option<String>,
    /// Where each finished request leaves a line.
    pub access_log: AccessLog,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What is in the lines of the access log.
    pub log_lines: Lines,
    /// Which requests leave spans, and where. `None`: none does.
    pub tracing: Option<crate::traces::Settings>,
}

/// All that a check has found.
#[derive(Debug, Clone)]
pub struct Findings {
    /// What to run with, if there is no error.
    pub settings: Option<Settings>,
    /// What is wrong.
    pub errors: Vec<Problem>,
    /// What is allowed, but probably not meant.
    pub warnings: Vec<Problem>,
}

/// Reads and checks the whole configuration.
pub fn load(sources: &Sources) -> Result<Loaded, Error> {
    load_with_default_file(sources, Path::new(DEFAULT_FILE))
}

/// The same for those who want to know everything: warnings too where there are errors.
pub fn check(sources: &Sources) -> Findings {
    let (report, settings) = read(sources, Path::new(DEFAULT_FILE));
    report.into_findings(settings)
}

/// The admin listener's part alone, for those who call it. `None` if nothing is said about it.
///
/// # Errors
/// What keeps it from being read. Other tables are not looked at.
pub fn admin(sources: &Sources) -> Result<Option<crate::admin::Settings>, Error> {
    let mut report = Report::default();
    let tree = merged(sources, Path::new(DEFAULT_FILE), &mut report);
    let settings = tree
        .filter(|tree| tree.contains_key("admin") && report.errors() == 0)
        .map(|tree| admin::read(section::Section::root(tree, &report).section("admin"), &report));
    if report.errors() > 0 { Err(report.into_error()) } else { Ok(settings) }
}

/// Where clients are listened to, for those who look whether that is so. `None` if nothing is said about it.
///
/// # Errors
/// What keeps it from being read. Other keys are not looked at.
pub fn listen(sources: &Sources) -> Result<Option<Vec<crate::server::Listen>>, Error> {
    let mut report = Report::default();
    let tree = merged(sources, Path::new(DEFAULT_FILE), &mut report);
    let listen = tree
        .filter(|_| report.errors() == 0)
        .and_then(|tree| server::listen(&mut section::Section::root(tree, &report).section("server")));
    if report.errors() > 0 { Err(report.into_error()) } else { Ok(listen) }
}

fn load_with_default_file(sources: &Sources, default_file: &Path) -> Result<Loaded, Error> {
    let mut report = Report::default();
    let tree = merged(sources, default_file, &mut report);
    let settings = tree.clone().and_then(|tree| dry_run::settings(tree, sources, &report));
    let dry_run = dry_run::place(sources);
    report.finish(settings, |places| Written { tree: tree.unwrap_or_default(), places, dry_run })
}

fn read(sources: &Sources, default_file: &Path) -> (Report, Option<Settings>) {
    let mut report = Report::default();
    let settings =
        merged(sources, default_file, &mut report).and_then(|tree| dry_run::settings(tree, sources, &report));
    (report, settings)
}

/// The files that are read, weakest first.
pub fn files(sources: &Sources) -> Vec<PathBuf> {
    let mut environment = environment::read(&sources.environment, &Report::default());
    let shorts = std::mem::take(&mut environment.shorts).into_iter().chain(flags::shorts(&sources.flags));
    files_of(sources, environment.files, &shorts.collect::<Vec<_>>(), Path::new(DEFAULT_FILE))
}

/// Those of the command line, else those of the environment, else the default one.
fn files_of(
    sources: &Sources,
    of_environment: Vec<PathBuf>,
    shorts: &[flags::Short],
    default_file: &Path,
) -> Vec<PathBuf> {
    let mut files = if sources.files.is_empty() { of_environment } else { sources.files.clone() };
    let default_file_applies = files.is_empty() && !shorts.iter().any(flags::Short::replaces_default_file);
    // If it cannot be said whether it is there, reading it will say why.
    if default_file_applies && default_file.try_exists().unwrap_or(true) {
        files.push(default_file.to_owned());
    }
    files
}

/// The tree of all that was written. `None` if a file could not be read, which has been reported.
fn merged(
    sources: &Sources,
    default_file: &Path,
    report: &mut Report,
) -> Option<::config::Map<String, ::config::Value>> {
    let mut environment = environment::read(&sources.environment, report);
    let mut shorts = std::mem::take(&mut environment.shorts);
    shorts.extend(flags::shorts(&sources.flags));

    let files = files_of(sources, std::mem::take(&mut environment.files), &shorts, default_file);
    let mut layers = Vec::new();
    for file in &files {
        layers.extend(file::read(file, report));
    }
    if layers.len() < files.len() {
        // Half a file is not worth reading on: what it lacks would look like further mistakes.
        return None;
    }
    environment.note_paths(&mut report.origins);
    layers.push(environment.layer);
    layers.push(flags::layer(shorts, &layers, report));
    Some(layer::merge(layers))
}
