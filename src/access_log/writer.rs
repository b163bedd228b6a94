//! The thread that writes.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use http::HeaderName;

use super::burst::Burst;
use super::entry::{Entry, Outcome};
use super::line::{write_json, write_missing, write_text};
use super::settings::{AccessLog, Lines, LogFormat};
use super::stamp::Stamp;

/// A handle to the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    messages: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// What all handles share.
#[derive(Debug)]
struct Shared {
    lines: Lines,
    burst: Burst,
    dropped: AtomicU64,
    suppressed: AtomicU64,
}

/// The writing thread.
#[derive(Debug)]
pub struct Writer {
    log: Log,
    /// Hears of the thread's end.
    ended: Receiver<()>,
}

#[derive(Debug)]
enum Message {
    Entry(Box<Entry>),
    /// Nothing that matters comes after this.
    Stop,
}

/// The log's file can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the access log {}", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// How many entries wait to be written before the next ones are dropped.
const QUEUE: usize = 8192;
/// How long the end of the process waits for a reader of the log.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long the first entry waits for others, if the thread has had to be woken for it.
const GATHERED_FOR: Duration = Duration::from_millis(10);
/// How often it is said that lines are missing.
const MISSING_EVERY: Duration = Duration::from_secs(1);
/// How many bytes are written at once, at the most.
const BATCH: usize = 64 << 10;

impl Writer {
    /// Opens the log, and starts its thread. `None` if there is to be none.
    ///
    /// # Errors
    /// When a file can't be opened for appending.
    pub fn start(settings: AccessLog, format: LogFormat, lines: Lines) -> Result<Option<Self>, OpenError> {
        let (out, terminal): (Box<dyn Write + Send>, bool) = match settings {
            AccessLog::Off => return Ok(None),
            AccessLog::Stdout => (Box::new(io::stdout()), io::stdout().is_terminal()),
            AccessLog::File(path) => match OpenOptions::new().create(true).append(true).open(&path) {
                Ok(file) => (Box::new(file), false),
                Err(source) => return Err(OpenError { path, source }),
            },
        };
        let text = match format {
            LogFormat::Auto => terminal,
            LogFormat::Json => false,
            LogFormat::Text => true,
        };
        let (sender, messages) = sync_channel(QUEUE);
        let burst = Burst::new(lines.reject_burst);
        let (dropped, suppressed) = (AtomicU64::new(0), AtomicU64::new(0));
        let log = Log { messages: sender, shared: Arc::new(Shared { lines, burst, dropped, suppressed }) };
        let shared = log.shared.clone();
        let (end, ended) = sync_channel(1);
        thread::spawn(move || {
            write(&messages, out, text, &shared);
            let _ = end.send(());
        });
        Ok(Some(Writer { log, ended }))
    }

    /// A handle for those who have something to log.
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// Writes what is there, and ends. Blocks until that is done, but not for a reader that takes nothing.
    pub fn finish(self) {
        let deadline = Instant::now() + LAST_LINES;
        while let Err(TrySendError::Full(_)) = self.log.messages.try_send(Message::Stop) {
            if Instant::now() > deadline {
                return;
            }
            thread::sleep(LAST_LINES / 100);
        }
        let _ = self.ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Log {
    /// Lines that were not written because the reader was too slow, or gone.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }

    /// Rejections that were not written because there were too many of them.
    pub fn suppressed(&self) -> u64 {
        self.shared.suppressed.load(Relaxed)
    }

    /// Fields of requests that lines have.
    pub fn headers(&self) -> &[HeaderName] {
        &self.shared.lines.headers
    }

    pub(super) fn write(&self, entry: Box<Entry>) {
        let rejected = entry.outcome == Outcome::Rejected;
        if rejected && !entry.end.is_none_or(|now| self.shared.burst.may_write(now.into_std())) {
            self.shared.suppressed.fetch_add(1, Relaxed);
            return;
        }
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.messages.try_send(Message::Entry(entry))
        {
            self.shared.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// Writes entries in batches: as many as are there, up to a size. A failing reader costs the batch, not the thread. What
/// lines there are not is said about once a second, while there are others, and when those have ended.
fn write(messages: &Receiver<Message>, mut out: Box<dyn Write + Send>, text: bool, shared: &Shared) {
    let format = if text { write_text } else { write_json };
    let mut batch = Vec::with_capacity(BATCH);
    let mut stopped = false;
    let mut stamp = Stamp::default();
    let mut missing = Missing { said: (0, 0), at: Instant::now() };
    let mut idle = true;
    while !stopped {
        let first = messages.try_recv().or_else(|_| {
            // Woken once after the last entry, and by none that is not there.
            let waited = match idle {
                true => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => messages.recv_timeout(MISSING_EVERY),
            };
            if let Ok(Message::Entry(_)) = waited {
                // To wake us costs whoever ends a request more than all the rest; those that end until now need not.
                thread::sleep(GATHERED_FOR);
            }
            waited
        });
        idle = matches!(first, Err(RecvTimeoutError::Timeout));
        stopped = matches!(first, Err(RecvTimeoutError::Disconnected));
        let mut lines = 0;
        let mut next = first.ok();
        while let Some(message) = next {
            match message {
                Message::Entry(entry) => {
                    format(&entry, &mut stamp, &mut batch);
                    lines += 1;
                }
                Message::Stop => stopped = true,
            }
            next = (batch.len() < BATCH && !stopped).then(|| messages.try_recv().ok()).flatten();
        }
        if let Some((suppressed, dropped)) = missing.due(shared, idle || stopped) {
            write_missing(suppressed, dropped, text, &mut stamp, &mut batch);
        }
        if !batch.is_empty() && out.write_all(&batch).and_then(|()| out.flush()).is_err() {
            shared.dropped.fetch_add(lines, Relaxed);
        }
        batch.clear();
    }
}

/// How many lines there are not, and when that was said.
struct Missing {
    said: (u64, u64),
    at: Instant,
}

impl Missing {
    /// How many more it is time to tell of: suppressed ones, and dropped ones.
    fn due(&mut self, shared: &Shared, at_once: bool) -> Option<(u64, u64)> {
        let now = (shared.suppressed.load(Relaxed), shared.dropped.load(Relaxed));
        if now == self.said || !at_once && self.at.elapsed() < MISSING_EVERY {
            return None;
        }
        let before = std::mem::replace(&mut self.said, now);
        self.at = Instant::now();
        Some((now.0 - before.0, now.1 - before.1))
    }
}
