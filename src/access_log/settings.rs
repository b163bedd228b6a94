//! Where the access log goes and how logs are written, once the configuration has been checked.

use std::path::PathBuf;

/// Where each finished request leaves a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// The standard output, which holds nothing else.
    #[default]
    Stdout,
    /// At the end of a file.
    File(PathBuf),
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// As text to a terminal, else as JSON.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
