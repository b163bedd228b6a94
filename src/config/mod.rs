//! What did the operator ask?
//!
//! Files, environment and flags become layers of one tree of values, each of which knows where it was written; the
//! `config` crate merges them, and the sections below read the merged tree into the settings of the other modules.
//! From the weakest: built-in values, `[defaults]`, named tables, environment, flags.
//!
//! What comes out cannot be wrong: [`load`] either returns settings that can be used as they are, or every problem of
//! the configuration at once, each with its place and key. Beyond this module nobody knows that there was a file.

mod address;
mod admin;
mod claims;
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
mod layer;
mod limits;
mod log;
mod origins;
mod overridable;
mod problem;
mod read;
mod report;
mod response_headers;
mod rewriting;
mod routes;
mod secrets;
mod section;
mod server;
mod shared;
#[cfg(test)]
mod tests;
mod units;
mod upstreams;
mod value;

use std::path::{Path, PathBuf};

pub use flags::Flags;
pub use problem::{Error, Problem};

use crate::access_log::{AccessLog, LogFormat};
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
}

/// Reads and checks the whole configuration.
pub fn load(sources: &Sources) -> Result<Loaded, Error> {
    load_with_default_file(sources, Path::new(DEFAULT_FILE))
}

fn load_with_default_file(sources: &Sources, default_file: &Path) -> Result<Loaded, Error> {
    let mut report = Report::default();
    let mut environment = environment::read(&sources.environment, &report);
    let mut shorts = std::mem::take(&mut environment.shorts);
    shorts.extend(flags::shorts(&sources.flags));

    let mut files = sources.files.clone();
    if files.is_empty() {
        files.append(&mut environment.files);
    }
    let default_file_applies = files.is_empty() && !shorts.iter().any(flags::Short::replaces_default_file);
    // If it cannot be said whether it is there, reading it will say why.
    if default_file_applies && default_file.try_exists().unwrap_or(true) {
        files.push(default_file.to_owned());
    }
    let mut layers = Vec::new();
    for file in &files {
        layers.extend(file::read(file, &mut report));
    }
    if layers.len() < files.len() {
        // Half a file is not worth reading on: what it lacks would look like further mistakes.
        return Err(report.into_error());
    }
    environment.note_paths(&mut report.origins);
    layers.push(environment.layer);
    layers.push(flags::layer(shorts, &layers, &mut report));

    let settings = read::settings(layer::merge(layers), &report);
    report.finish(settings)
}
