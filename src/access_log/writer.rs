//! The thread that writes.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
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

/// What all handles of one configuration share.
#[derive(Debug)]
struct Shared {
    lines: Lines,
    burst: Burst,
    counts: Arc<Counts>,
}

/// What becomes of lines that are not written, under all configurations.
#[derive(Debug, Default)]
struct Counts {
    dropped: AtomicU64,
    suppressed: AtomicU64,
}

/// The writing thread.
#[derive(Debug)]
pub struct Writer {
    log: Log,
    /// Where it is to write from now on.
    next: Arc<Mutex<Option<Output>>>,
    /// Hears of the thread's end.
    ended: Receiver<()>,
}

/// Where lines go, and how they look.
pub struct Output {
    out: Box<dyn Write + Send>,
    /// For people.
    text: bool,
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

impl Output {
    /// Opens the log; a file is appended to, and made if it is not there. `None` if there is to be none.
    ///
    /// # Errors
    /// When a file can't be opened for appending.
    pub fn open(settings: &AccessLog, format: LogFormat) -> Result<Option<Self>, OpenError> {
        let (out, terminal): (Box<dyn Write + Send>, bool) = match settings {
            AccessLog::Off => return Ok(None),
            AccessLog::Stdout => (Box::new(io::stdout()), io::stdout().is_terminal()),
            AccessLog::File(path) => match OpenOptions::new().create(true).append(true).open(path) {
                Ok(file) => (Box::new(file), false),
                Err(source) => return Err(OpenError { path: path.clone(), source }),
            },
        };
        let text = match format {
            LogFormat::Auto => terminal,
            LogFormat::Json => false,
            LogFormat::Text => true,
        };
        Ok(Some(Output { out, text }))
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("text", &self.text).finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts the thread that writes to `output`.
    pub fn start(output: Output, lines: Lines) -> Self {
        let (sender, messages) = sync_channel(QUEUE);
        let counts = Arc::<Counts>::default();
        let log = Log::new(sender, lines, counts.clone());
        let (end, ended) = sync_channel(1);
        let next = Arc::<Mutex<Option<Output>>>::default();
        let given = next.clone();
        thread::spawn(move || {
            write(&messages, output, &given, &counts);
            let _ = end.send(());
        });
        Writer { log, next, ended }
    }

    /// A handle whose lines have other things in them. Entries that are open go on as they began.
    pub fn with_lines(&self, lines: Lines) -> Log {
        Log::new(self.log.messages.clone(), lines, self.log.shared.counts.clone())
    }

    /// Writes elsewhere from the next batch on, and closes where it has written.
    pub fn write_to(&self, output: Output) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
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
    fn new(messages: SyncSender<Message>, lines: Lines, counts: Arc<Counts>) -> Self {
        let burst = Burst::new(lines.reject_burst);
        Log { messages, shared: Arc::new(Shared { lines, burst, counts }) }
    }

    /// Lines that were not written because the reader was too slow, or gone.
    pub fn dropped(&self) -> u64 {
        self.shared.counts.dropped.load(Relaxed)
    }

    /// Rejections that were not written because there were too many of them.
    pub fn suppressed(&self) -> u64 {
        self.shared.counts.suppressed.load(Relaxed)
    }

    /// Fields of requests that lines have.
    pub fn headers(&self) -> &[HeaderName] {
        &self.shared.lines.headers
    }

    pub(super) fn write(&self, entry: Box<Entry>) {
        let rejected = entry.outcome == Outcome::Rejected;
        if rejected && !entry.end.is_none_or(|now| self.shared.burst.may_write(now.into_std())) {
            self.shared.counts.suppressed.fetch_add(1, Relaxed);
            return;
        }
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.messages.try_send(Message::Entry(entry))
        {
            self.shared.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// Writes entries in batches: as many as are there, up to a size. A failing reader costs the batch, not the thread. What
/// lines there are not is said about once a second, while there are others, and when those have ended.
fn write(messages: &Receiver<Message>, output: Output, next: &Mutex<Option<Output>>, counts: &Counts) {
    let Output { mut out, mut text } = output;
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
        if let Some(given) = next.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Output { out, text } = given;
        }
        let format = if text { write_text } else { write_json };
        let mut lines = 0;
        let mut waiting = first.ok();
        while let Some(message) = waiting {
            match message {
                Message::Entry(entry) => {
                    format(&entry, &mut stamp, &mut batch);
                    lines += 1;
                }
                Message::Stop => stopped = true,
            }
            waiting = (batch.len() < BATCH && !stopped).then(|| messages.try_recv().ok()).flatten();
        }
        if let Some((suppressed, dropped)) = missing.due(counts, idle || stopped) {
            write_missing(suppressed, dropped, text, &mut stamp, &mut batch);
        }
        if !batch.is_empty() && out.write_all(&batch).and_then(|()| out.flush()).is_err() {
            counts.dropped.fetch_add(lines, Relaxed);
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
    fn due(&mut self, counts: &Counts, at_once: bool) -> Option<(u64, u64)> {
        let now = (counts.suppressed.load(Relaxed), counts.dropped.load(Relaxed));
        if now == self.said || !at_once && self.at.elapsed() < MISSING_EVERY {
            return None;
        }
        let before = std::mem::replace(&mut self.said, now);
        self.at = Instant::now();
        Some((now.0 - before.0, now.1 - before.1))
    }
}
