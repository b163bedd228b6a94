//! Where the access log goes and how logs are written, once the configuration has been checked.

use std::path::PathBuf;

use http::HeaderName;

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

/// What is in the lines, and how many of them there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// So many rejections a second have a line; what exceeds them is counted. Default: 100.
    pub reject_burst: u32,
    /// Fields of requests that are written with them, in this order. Default: none.
    pub headers: Vec<HeaderName>,
}

impl Default for Lines {
    fn default() -> Self {
        Lines { reject_burst: 100, headers: Vec::new() }
    }
}
