//! What the process writes of itself and of requests, and how that follows a reload.

use std::fmt;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::access_log::{Log, OpenError, Output, Writer};
use crate::config::Settings;

/// The log on the standard error, and the access log.
pub(super) struct Logs {
    /// `None` where this process has had another log before.
    set_filter: Option<Box<dyn Fn(EnvFilter)>>,
    /// Stays while there is to be no access log: requests that are under way have their lines.
    access: Option<Writer>,
    /// Whether what arrives now leaves lines.
    on: bool,
}

/// The logs of another configuration, before it is in force.
pub(super) struct Next {
    filter: EnvFilter,
    /// What becomes of requests goes here.
    pub(super) log: Option<Log>,
    /// Where the writer that there is goes on.
    output: Option<Output>,
    writer: Option<Writer>,
}

impl Logs {
    /// Logs to the standard error from now on, as `level` says.
    pub(super) fn to_stderr(level: Option<&str>) -> Self {
        let colour =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter(level))
            .with_writer(std::io::stderr)
            .with_ansi(colour)
            .with_target(false)
            .with_filter_reloading();
        let handle = builder.reload_handle();
        let set_filter = move |filter| drop(handle.reload(filter));
        // A second call in one process would find a subscriber there; the first one stays.
        let set_filter = builder.try_init().is_ok().then(|| Box::new(set_filter) as Box<dyn Fn(EnvFilter)>);
        Logs { set_filter, access: None, on: false }
    }

    /// What `settings` say, made ready; nothing has changed until it [begins](Logs::begin). A file is opened anew even if it
    /// is the same: it may have been moved out of the way.
    pub(super) fn prepare(&self, settings: &Settings) -> Result<Next, OpenError> {
        let output = Output::open(&settings.access_log, settings.log_format)?;
        let lines = settings.log_lines.clone();
        let filter = filter(settings.log_level.as_deref());
        Ok(match (&self.access, output) {
            (_, None) => Next { filter, log: None, output: None, writer: None },
            (Some(writer), Some(output)) => {
                Next { filter, log: Some(writer.with_lines(lines)), output: Some(output), writer: None }
            }
            (None, Some(output)) => {
                let writer = Writer::start(output, lines, settings.server.threads.get());
                Next { filter, log: Some(writer.log()), output: None, writer: Some(writer) }
            }
        })
    }

    /// It will be in force, and nobody has its handle yet: where there was no log, what arrives then is not to be written to
    /// where the one before it went.
    pub(super) fn begin(&self, next: &mut Next) {
        if let (Some(writer), false) = (&self.access, self.on)
            && let Some(output) = next.output.take()
        {
            writer.write_to(output);
        }
    }

    /// Whether the log that `settings` say can be opened, as far as that can be told without making a file.
    pub(super) fn can_follow(settings: &Settings) -> Result<(), OpenError> {
        Output::can_open(&settings.access_log)
    }

    /// Puts it in force.
    pub(super) fn follow(&mut self, next: Next) {
        if let Some(set_filter) = &self.set_filter {
            set_filter(next.filter);
        }
        self.on = next.log.is_some();
        if let Some(writer) = next.writer {
            self.access = Some(writer);
        }
        if let (Some(writer), Some(output)) = (&self.access, next.output) {
            writer.write_to(output);
        }
    }

    /// Writes what is there.
    pub(super) fn finish(self) {
        if let Some(access) = self.access {
            access.finish();
        }
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("access", &self.access).finish_non_exhaustive()
    }
}

/// A level, or directives such as `sluicegate::upstream=debug`. h2 warns of every peer that misbehaves, which is for peers
/// to decide and not for the log: whoever wants it says `h2=warn`.
fn filter(level: Option<&str>) -> EnvFilter {
    EnvFilter::try_new(format!("h2=error,{}", level.unwrap_or("info")))
        .unwrap_or_else(|_| EnvFilter::new("h2=error,info"))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::path::PathBuf;
    use std::time::SystemTime;

    use http::HeaderValue;
    use tokio::time::Instant;

    use super::*;
    use crate::access_log::{AccessLog, Entry, Open};
    use crate::config::{Flags, Sources, load};

    fn write(log: Option<Log>, id: &'static str) {
        let id = HeaderValue::from_static(id);
        drop(Open::new(Entry::new(Ipv4Addr::LOCALHOST.into(), id, SystemTime::now(), Instant::now()), 0, log, None));
    }

    #[test]
    fn a_log_that_is_switched_on_again_begins_in_its_own_file() {
        let flags = Flags { upstream: Some("http://127.0.0.1:1".into()), limit: Some("1".into()), ..Flags::default() };
        let sources = Sources { files: Vec::new(), environment: Vec::new(), flags };
        let mut settings = load(&sources).unwrap().settings;
        let file = |name| std::env::temp_dir().join(format!("sluicegate-log-{name}-{}.log", std::process::id()));
        let (before, after) = (file("before"), file("after"));
        let mut to = |access_log| {
            settings.access_log = access_log;
            settings.clone()
        };
        let mut logs = Logs { set_filter: None, access: None, on: false };
        let first = logs.prepare(&to(AccessLog::File(before.clone()))).unwrap();
        let log = first.log.clone();
        logs.follow(first);
        write(log, "first");
        let off = logs.prepare(&to(AccessLog::Off)).unwrap();
        logs.follow(off);

        let mut on = logs.prepare(&to(AccessLog::File(after.clone()))).unwrap();
        logs.begin(&mut on);
        // A worker has it as soon as there is one.
        write(on.log.clone(), "second");
        while !read(&before).contains("second") && !read(&after).contains("second") {
            std::thread::yield_now();
        }
        logs.follow(on);
        logs.finish();
        let (lines_before, lines_after) = (read(&before), read(&after));
        [before, after].iter().for_each(|file| std::fs::remove_file(file).unwrap());
        assert!(lines_before.contains("first") && !lines_before.contains("second"), "{lines_before}");
        assert!(lines_after.contains("second"), "{lines_after}");
    }

    fn read(file: &PathBuf) -> String {
        std::fs::read_to_string(file).unwrap()
    }
}
