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
}

/// The logs of another configuration, before it is in force.
pub(super) struct Next {
    filter: EnvFilter,
    /// What becomes of requests goes here.
    pub(super) log: Option<Log>,
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
        Logs { set_filter, access: None }
    }

    /// What `settings` say, made ready. A file is opened anew even if it is the same: it may have been moved out of the way.
    pub(super) fn prepare(&self, settings: &Settings) -> Result<Next, OpenError> {
        let output = Output::open(&settings.access_log, settings.log_format)?;
        let lines = settings.log_lines.clone();
        let filter = filter(settings.log_level.as_deref());
        Ok(match (&self.access, output) {
            (_, None) => Next { filter, log: None, output: None, writer: None },
            (Some(writer), output) => Next { filter, log: Some(writer.with_lines(lines)), output, writer: None },
            (None, Some(output)) => {
                let writer = Writer::start(output, lines, settings.server.threads.get());
                Next { filter, log: Some(writer.log()), output: None, writer: Some(writer) }
            }
        })
    }

    /// Puts it in force.
    pub(super) fn follow(&mut self, next: Next) {
        if let Some(set_filter) = &self.set_filter {
            set_filter(next.filter);
        }
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
