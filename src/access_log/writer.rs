//! The thread that writes.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use http::HeaderName;

use super::burst::Burst;
use super::entry::{Entry, Outcome};
use super::missing::{Counts, Missing};
use super::output::Output;
use super::settings::Lines;
use super::sheets::{Page, Sheets};

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

/// How long the end of the process waits for a reader of the log.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long the first line waits for others, unless they are many. To be woken costs this thread what a hundred lines do.
const GATHERED_FOR: Duration = Duration::from_millis(50);

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

    /// From now on it is us who cut requests, under all configurations: one whose client seems to have left has not.
    pub fn cut(&self) {
        self.0.sheets.cut.store(true, Relaxed);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.0.sheets.cut.load(Relaxed)
    }

    /// Fields of requests that lines have.
    pub fn headers(&self) -> &[HeaderName] {
        &self.0.lines.headers
    }

    /// Writes the line of a request that a worker has served.
    pub(super) fn write(&self, worker: usize, entry: &Entry) {
        let Shared { sheets, burst, .. } = &*self.0;
        // What anybody can cause at no cost must not fill a disk.
        let rejected = matches!(entry.outcome, Outcome::Rejected | Outcome::Refused);
        if rejected && !burst.may_write((entry.start + entry.took()).into_std()) {
            sheets.lacks(&sheets.counts.suppressed);
            return;
        }
        sheets.write(worker, entry);
    }
}

/// Writes lines in batches, twenty a second or as many at once as are worth it. A failing reader costs those that it has not
/// taken, not the thread. What lines there are not is said about once a second, whether there are others or not.
fn write(sheets: &Sheets, mut output: Output, given: &Given) {
    let counts = &sheets.counts;
    let mut pages = Vec::new();
    let mut missing = Missing::new();
    loop {
        // Looked at before the lines: those that were there by then are written.
        let stopped = given.stop.load(Acquire);
        let mut next = given.lock();
        let text = next.last().map_or(output.text, |next| next.output.text);
        let mut any = sheets.take(&mut pages, text);
        let changes = mem::take(&mut *next);
        drop(next);
        for Next { output: later, mut before } in changes {
            write_all(&mut before, &mut output, counts);
            let before = mem::replace(&mut output, later);
            output.follow(before);
            any = true;
        }
        write_all(&mut pages, &mut output, counts);
        missing.say(counts, stopped, &mut output);
        if stopped {
            return;
        }
        if any || !sheets.go_to_sleep() {
            // To be woken costs whoever ends a request more than all the rest; those that end until then need not.
            thread::park_timeout(GATHERED_FOR);
            continue;
        }
        pages.clear();
        // While it is known that some are missing, nobody wakes this thread for one more.
        if sheets.sleep_fast(|counts| missing.are_all_said(counts)) {
            thread::park();
        } else {
            thread::park_timeout(missing.due_in());
        }
        sheets.wake_up();
        if !given.stop.load(Acquire) {
            thread::park_timeout(GATHERED_FOR);
        }
    }
}

fn write_all(pages: &mut [Page], output: &mut Output, counts: &Counts) {
    for page in pages {
        page.empty_into(|lines| {
            counts.dropped.fetch_add(output.write(lines), Relaxed);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::SystemTime;

    use http::HeaderValue;
    use tokio::time::Instant;

    use super::*;
    use crate::access_log::output::tests::script;

    #[test]
    fn it_is_said_that_lines_are_missing_though_no_other_comes() {
        let (output, takes) = script(&[]);
        let writer = Writer::start(output, Lines { reject_burst: 0, ..Lines::default() }, 1);
        let sheets = &writer.log.0.sheets;
        while !sheets.fast_asleep.load(Relaxed) {
            thread::yield_now();
        }
        let start = Instant::now();
        let id = HeaderValue::from_static("a");
        let mut rejected = Entry::new(Ipv4Addr::LOCALHOST.into(), id, SystemTime::now(), start);
        (rejected.outcome, rejected.end) = (Outcome::Rejected, Some(Duration::ZERO));
        writer.log.write(0, &rejected);
        let said = takes.recv_timeout(Duration::from_secs(30)).expect("it is said");
        let line: serde_json::Value = serde_json::from_slice(&said).unwrap();
        assert_eq!((&line["kind"], &line["suppressed"]), (&"missing".into(), &1.into()), "{line}");
    }
}
