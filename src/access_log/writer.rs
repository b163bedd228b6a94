//! The thread that writes.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use http::HeaderName;

use super::burst::Burst;
use super::entry::{Entry, Outcome};
use super::line::missing;
use super::settings::{AccessLog, Lines, LogFormat};
use super::sheets::{Counts, Page, Sheets};

/// A handle to the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log(Arc<Shared>);

/// What all handles of one configuration share.
#[derive(Debug)]
struct Shared {
    sheets: Arc<Sheets>,
    lines: Lines,
    burst: Burst,
}

/// The writing thread. Dropping this has it write what there is, and end.
#[derive(Debug)]
pub struct Writer {
    log: Log,
    given: Arc<Given>,
    /// Hears of the thread's end.
    ended: Receiver<()>,
}

/// What the thread is told.
#[derive(Debug, Default)]
struct Given {
    /// Where it is to write, one after the other. Whoever holds this is the only one that takes pages.
    next: Mutex<Vec<Next>>,
    /// Nothing that matters comes after this.
    stop: AtomicBool,
}

/// Where lines go from some moment on.
#[derive(Debug)]
struct Next {
    output: Output,
    /// Lines that were there before, for where they went until then.
    before: Vec<Page>,
}

/// Where lines go, and how they look.
pub struct Output {
    out: Box<dyn Write + Send>,
    /// For people.
    text: bool,
}

/// The log's file can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the access log {}", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// How long the end of the process waits for a reader of the log.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long the first line waits for others.
const GATHERED_FOR: Duration = Duration::from_millis(10);
/// How often it is said that lines are missing.
const MISSING_EVERY: Duration = Duration::from_secs(1);

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
    /// Starts the thread that writes the lines of so many workers to `output`.
    pub fn start(output: Output, lines: Lines, workers: usize) -> Self {
        let sheets = Arc::new(Sheets::new(workers, output.text));
        let log = Log::new(sheets.clone(), lines);
        let (end, ended) = sync_channel(1);
        let given = Arc::<Given>::default();
        let told = given.clone();
        let thread = thread::spawn(move || {
            write(&sheets, output, &told);
            let _ = end.send(());
        });
        log.0.sheets.attended_by(thread.thread().clone());
        Writer { log, given, ended }
    }

    /// A handle whose lines have other things in them. Entries that are open go on as they began.
    pub fn with_lines(&self, lines: Lines) -> Log {
        Log::new(self.log.0.sheets.clone(), lines)
    }

    /// Lines that are not written down yet go there. Those that are go where it has written until now, which is closed
    /// then.
    pub fn write_to(&self, output: Output) {
        let mut next = self.given.lock();
        let mut before = Vec::new();
        self.log.0.sheets.take(&mut before, output.text);
        next.push(Next { output, before });
        drop(next);
        self.log.0.sheets.wake();
    }

    /// A handle for those who have something to log.
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// Writes what is there, and ends. Blocks until that is done, but not for a reader that takes nothing.
    pub fn finish(self) {
        self.stop();
        let _ = self.ended.recv_timeout(LAST_LINES);
    }

    fn stop(&self) {
        self.given.stop.store(true, Release);
        self.log.0.sheets.wake();
    }
}

impl Given {
    fn lock(&self) -> MutexGuard<'_, Vec<Next>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Log {
    fn new(sheets: Arc<Sheets>, lines: Lines) -> Self {
        let burst = Burst::new(lines.reject_burst);
        Log(Arc::new(Shared { sheets, lines, burst }))
    }

    /// Lines that were not written because the reader was too slow, or gone.
    pub fn dropped(&self) -> u64 {
        self.0.sheets.counts.dropped.load(Relaxed)
    }

    /// Rejections that were not written because there were too many of them.
    pub fn suppressed(&self) -> u64 {
        self.0.sheets.counts.suppressed.load(Relaxed)
    }

    /// Fields of requests that lines have.
    pub fn headers(&self) -> &[HeaderName] {
        &self.0.lines.headers
    }

    /// Writes the line of a request that a worker has served.
    pub(super) fn write(&self, worker: usize, entry: &Entry) {
        let Shared { sheets, burst, .. } = &*self.0;
        let rejected = entry.outcome == Outcome::Rejected;
        if rejected && !entry.end.is_none_or(|now| burst.may_write(now.into_std())) {
            sheets.counts.suppressed.fetch_add(1, Relaxed);
            return;
        }
        sheets.write(worker, entry);
    }
}

/// Writes lines in batches, a hundred a second at the most. A failing reader costs the batch, not the thread. What lines there
/// are not is said about once a second, while there are others, and when those have ended.
fn write(sheets: &Sheets, mut output: Output, given: &Given) {
    let counts = &sheets.counts;
    let mut pages = Vec::new();
    let mut missing = Missing { said: (0, 0), at: Instant::now() };
    let mut last_line = Instant::now();
    loop {
        // Looked at before the lines: those that were there by then are written.
        let stopped = given.stop.load(Acquire);
        let mut next = given.lock();
        let text = next.last().map_or(output.text, |next| next.output.text);
        let mut any = sheets.take(&mut pages, text);
        let changes = std::mem::take(&mut *next);
        drop(next);
        for Next { output: later, mut before } in changes {
            output.write_all(&mut before, counts);
            output = later;
            any = true;
        }
        output.write_all(&mut pages, counts);
        missing.say(counts, stopped, &mut output);
        if stopped {
            return;
        }
        if any || !sheets.go_to_sleep() {
            // To be woken costs whoever ends a request more than all the rest; those that end until then need not.
            thread::park_timeout(GATHERED_FOR);
            last_line = Instant::now();
            continue;
        }
        // Nobody wakes this thread for a line that there is not: it stays awake for them a while behind the last one.
        let quiet_for = last_line.max(missing.at).elapsed();
        if missing.are_all_said(counts) && quiet_for >= MISSING_EVERY {
            thread::park();
        } else {
            thread::park_timeout(MISSING_EVERY.saturating_sub(quiet_for));
        }
        sheets.wake_up();
        if !given.stop.load(Acquire) {
            thread::park_timeout(GATHERED_FOR);
        }
    }
}

impl Output {
    fn write_all(&mut self, pages: &mut [Page], counts: &Counts) {
        for page in pages {
            page.empty_into(|lines, count| {
                if self.write(lines).is_err() {
                    counts.dropped.fetch_add(count, Relaxed);
                }
            });
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.out.write_all(lines)?;
        self.out.flush()
    }
}

/// How many lines there are not, and when that was said.
struct Missing {
    said: (u64, u64),
    at: Instant,
}

impl Missing {
    /// Says how many more there are, if it is time.
    fn say(&mut self, counts: &Counts, at_once: bool, output: &mut Output) {
        let now = Missing::read(counts);
        if now == self.said || !at_once && self.at.elapsed() < MISSING_EVERY {
            return;
        }
        let line = missing(now.0 - self.said.0, now.1 - self.said.1, output.text);
        (self.said, self.at) = (now, Instant::now());
        // It is not a line that somebody would miss.
        let _ = output.write(line.as_bytes());
    }

    fn are_all_said(&self, counts: &Counts) -> bool {
        Missing::read(counts) == self.said
    }

    fn read(counts: &Counts) -> (u64, u64) {
        (counts.suppressed.load(Relaxed), counts.dropped.load(Relaxed))
    }
}
