//! What the binary writes to its access log.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::until;

/// A file for an access log. It is removed in the end.
#[derive(Debug)]
pub struct AccessLog(PathBuf);

impl AccessLog {
    /// One of this name, for this run of the tests.
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.log", std::process::id()));
        let _ = std::fs::remove_file(&path);
        AccessLog(path)
    }

    /// A named pipe of this name, which nobody reads yet.
    pub fn pipe(name: &str) -> Self {
        let log = AccessLog::new(name);
        let made = Command::new("mkfifo").arg(&log.0).status().expect("mkfifo is there");
        assert!(made.success());
        log
    }

    /// The reader of a pipe. That it is there is enough for whoever wants to write.
    pub fn reader(&self) -> File {
        // For both, so that it does not wait for a writer.
        OpenOptions::new().read(true).write(true).open(&self.0).expect("the pipe is there")
    }

    /// The table that has it written there, as JSON.
    pub fn table(&self) -> String {
        format!("[log]\nformat = \"json\"\naccess = \"{}\"", self.0.display())
    }

    /// The lines about requests for `path`, once there are so many.
    pub async fn about(&self, path: &str, count: usize) -> Vec<Value> {
        let lines = || self.lines().into_iter().filter(|line| line["path"] == path).collect::<Vec<_>>();
        until(&format!("{count} lines about {path}"), async || lines().len() >= count).await;
        lines()
    }

    /// All lines that are there. The last one may be on its way.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
