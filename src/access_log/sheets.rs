//! Where workers write their lines, and the writing thread takes them from.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use super::entry::Entry;
use super::line::{Pen, write_json, write_text};
use super::missing::Counts;

/// A sheet for each worker, which that worker alone writes on. Its lock is taken by the writing thread as well, for as long as
/// it takes to change one pointer for another.
#[derive(Debug)]
pub(super) struct Sheets {
    sheets: Box<[Mutex<Sheet>]>,
    /// Whether the writing thread has to be woken for a line.
    asleep: AtomicBool,
    /// Whether it has to be woken for a line that there will not be.
    pub(super) fast_asleep: AtomicBool,
    writer: OnceLock<Thread>,
    /// Requests that nothing is known of the end of are being cut by us.
    pub(super) cut: AtomicBool,
    pub(super) counts: Counts,
}

/// Lines that wait to be written. On cache lines that no other worker writes to.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Sheet {
    page: Page,
    /// For people.
    text: bool,
    pen: Pen,
}

/// Lines, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Room, of which the beginning is in use.
    room: Vec<u8>,
    used: usize,
}

/// How much room a sheet has at first; a line takes half a KiB.
const LEAST: usize = 16 << 10;
/// So much need not wait for more.
const ENOUGH: usize = 1 << 20;
/// How much room it has when the next lines are dropped.
const MOST: usize = 4 << 20;

impl Sheets {
    pub(super) fn new(workers: usize, text: bool) -> Self {
        let sheet = || Mutex::new(Sheet { text, ..Sheet::default() });
        Sheets {
            sheets: (0..workers.max(1)).map(|_| sheet()).collect(),
            asleep: AtomicBool::new(false),
            fast_asleep: AtomicBool::new(false),
            writer: OnceLock::new(),
            cut: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    /// Writes an entry down. A worker beyond their number shares the sheet of another.
    pub(super) fn write(&self, worker: usize, entry: &Entry) {
        let mut sheet = self.sheet(worker);
        let before = sheet.page.used;
        let written = sheet.write(entry);
        let is_enough = before < ENOUGH && ENOUGH <= sheet.page.used;
        drop(sheet);
        if !written {
            self.lacks(&self.counts.dropped);
        }
        // Behind the lock: who goes to sleep has said so before he looks at the sheet for the last time.
        if is_enough || self.asleep.load(Relaxed) && self.asleep.swap(false, Relaxed) {
            self.wake();
        }
    }

    /// Counts a line that there will not be, so that the log says so.
    pub(super) fn lacks(&self, count: &AtomicU64) {
        count.fetch_add(1, SeqCst);
        // In one order with the count: who goes to sleep has said so before he looks at that.
        if self.fast_asleep.load(SeqCst) && self.fast_asleep.swap(false, SeqCst) {
            self.wake();
        }
    }

    /// Wakes the writing thread.
    #[cold]
    pub(super) fn wake(&self) {
        self.writer.get().iter().for_each(|thread| thread.unpark());
    }

    /// This thread is the one that writes. To be said before anybody has a line.
    pub(super) fn attended_by(&self, writer: Thread) {
        let _ = self.writer.set(writer);
    }

    /// Whoever writes a line from here on wakes the writing thread. Returns whether there is none by now; then hardly any
    /// room is kept.
    pub(super) fn go_to_sleep(&self) -> bool {
        self.asleep.store(true, Relaxed);
        let is_empty = (0..self.sheets.len()).all(|worker| self.sheet(worker).page.shrink());
        if !is_empty {
            self.wake_up();
        }
        is_empty
    }

    /// Whoever [lacks](Sheets::lacks) a line from here on wakes the writing thread, unless `lacks_none` finds that somebody
    /// already does. Returns whether it finds none.
    pub(super) fn sleep_fast(&self, lacks_none: impl FnOnce(&Counts) -> bool) -> bool {
        self.fast_asleep.store(true, SeqCst);
        let none = lacks_none(&self.counts);
        if !none {
            self.fast_asleep.store(false, Relaxed);
        }
        none
    }

    /// Nobody need wake the writing thread.
    pub(super) fn wake_up(&self) {
        self.asleep.store(false, Relaxed);
        self.fast_asleep.store(false, Relaxed);
    }

    /// Takes the pages of all sheets that have lines, and leaves empty ones of `pages` in their place. Lines from then on are
    /// for people or for programs, as `text` says. Returns whether there were any.
    pub(super) fn take(&self, pages: &mut Vec<Page>, text: bool) -> bool {
        pages.resize_with(self.sheets.len(), Page::default);
        let mut any = false;
        for (worker, page) in pages.iter_mut().enumerate() {
            let mut sheet = self.sheet(worker);
            sheet.text = text;
            if sheet.page.used > 0 {
                mem::swap(&mut sheet.page, page);
                any = true;
            }
        }
        any
    }

    fn sheet(&self, worker: usize) -> MutexGuard<'_, Sheet> {
        // A line that was begun by one who panicked is not in use.
        self.sheets[worker % self.sheets.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sheet {
    /// Whether there was room for it.
    fn write(&mut self, entry: &Entry) -> bool {
        let format = if self.text { write_text } else { write_json };
        let page = &mut self.page;
        loop {
            let room = &mut page.room[page.used..];
            let before = room.len();
            if let Some(left) = format(entry, &mut self.pen, room) {
                page.used += before - left;
                return true;
            }
            let more = (page.room.len() * 2).max(LEAST);
            if more > MOST {
                return false;
            }
            page.room.resize(more, 0);
        }
    }
}

impl Page {
    /// Hands over its lines, if it has any, and is empty then.
    pub(super) fn empty_into(&mut self, write: impl FnOnce(&[u8])) {
        if self.used > 0 {
            write(&self.room[..self.used]);
        }
        self.used = 0;
    }

    /// Gives back the room that many lines have taken. Returns whether it is empty; otherwise it keeps what it has.
    pub(super) fn shrink(&mut self) -> bool {
        let is_empty = self.used == 0;
        if is_empty && self.room.len() > LEAST {
            self.room = Vec::new();
        }
        is_empty
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::{Duration, SystemTime};

    use http::HeaderValue;
    use tokio::time::Instant;

    use super::*;

    fn entry(id: &'static str) -> Entry {
        let start = Instant::now();
        let mut entry = Entry::new(Ipv4Addr::LOCALHOST.into(), HeaderValue::from_static(id), SystemTime::now(), start);
        entry.end = Some(Duration::ZERO);
        entry
    }

    /// The lines that are there.
    fn collect(sheets: &Sheets, text: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let mut pages = Vec::new();
        sheets.take(&mut pages, text);
        for page in &mut pages {
            page.empty_into(|written| {
                assert_eq!(written.last(), Some(&b'\n'));
                lines.extend(str::from_utf8(written).unwrap().lines().map(str::to_owned));
            });
        }
        lines
    }

    #[test]
    fn what_exceeds_a_sheet_is_dropped_and_counted() {
        let sheets = Sheets::new(2, false);
        let entry = entry("a");
        let mut written = 0;
        while sheets.counts.dropped.load(Relaxed) == 0 {
            sheets.write(1, &entry);
            written += 1;
        }
        sheets.write(1, &entry);
        assert!(sheets.sheet(1).page.room.len() <= MOST);
        sheets.write(0, &entry);
        assert_eq!(collect(&sheets, false).len(), written, "all but one, and one on the other sheet");
        assert_eq!(sheets.counts.dropped.load(Relaxed), 2);
        sheets.write(1, &entry);
        assert_eq!(collect(&sheets, false).len(), 1, "there is room again");
    }

    #[test]
    fn lines_for_people_and_for_programs_are_never_in_one_batch() {
        let sheets = Sheets::new(1, false);
        sheets.write(0, &entry("a"));
        let lines = collect(&sheets, true);
        assert!(lines[0].starts_with('{') && lines.len() == 1, "{lines:?}");
        sheets.write(0, &entry("b"));
        let lines = collect(&sheets, true);
        assert!(lines[0].ends_with(" 127.0.0.1 b") && lines.len() == 1, "{lines:?}");
    }

    #[test]
    fn lines_of_many_workers_are_all_there_and_whole() {
        const EACH: usize = 2000;
        let sheets = Sheets::new(2, false);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let sheets = &sheets;
                scope.spawn(move || (0..EACH).for_each(|_| sheets.write(worker, &entry("id-\"1"))));
            }
            let mut count = 0;
            while count < 4 * EACH {
                for line in collect(&sheets, false) {
                    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                    assert_eq!(line["request_id"], "id-\"1");
                    count += 1;
                }
            }
        });
        assert_eq!(sheets.counts.dropped.load(Relaxed), 0);
    }

    #[test]
    fn who_writes_a_line_wakes_the_thread_unless_it_is_awake() {
        let sheets = Sheets::new(1, false);
        assert!(sheets.go_to_sleep());
        sheets.write(0, &entry("a"));
        assert!(!sheets.asleep.load(Relaxed), "it was woken");
        assert!(!sheets.go_to_sleep(), "there is a line");
        assert!(!sheets.asleep.load(Relaxed));
    }

    #[test]
    fn who_lacks_a_line_wakes_the_thread_that_knows_of_none() {
        let sheets = Sheets::new(1, false);
        let none = |counts: &Counts| counts.suppressed.load(Relaxed) == 0;
        assert!(sheets.sleep_fast(none));
        sheets.lacks(&sheets.counts.suppressed);
        assert!(!sheets.fast_asleep.load(Relaxed), "it was woken");
        assert!(!sheets.sleep_fast(none), "one is lacking");
        assert!(!sheets.fast_asleep.load(Relaxed));
    }
}
