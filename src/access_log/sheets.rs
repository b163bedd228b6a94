//! Where workers write their lines, and the writing thread takes them from.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use super::entry::Entry;
use super::line::{write_json, write_text};
use super::stamp::Stamp;

/// A sheet for each worker, which that worker alone writes on. Its lock is taken by the writing thread as well, for as long as
/// it takes to change one pointer for another.
#[derive(Debug)]
pub(super) struct Sheets {
    sheets: Box<[Mutex<Sheet>]>,
    /// Whether the writing thread has to be woken for a line.
    asleep: AtomicBool,
    writer: OnceLock<Thread>,
    pub(super) counts: Counts,
}

/// What becomes of lines that are not written, under all configurations.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) dropped: AtomicU64,
    pub(super) suppressed: AtomicU64,
}

/// Lines that wait to be written. On cache lines that no other worker writes to.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Sheet {
    page: Page,
    /// For people.
    text: bool,
    stamp: Stamp,
}

/// Lines, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Room, of which the beginning is in use.
    room: Vec<u8>,
    used: usize,
    lines: u64,
}

/// How much room a sheet has at first; a line takes half a KiB.
const LEAST: usize = 16 << 10;
/// How much it has when the next lines are dropped.
const MOST: usize = 4 << 20;
/// So much room is kept for the next lines.
const KEPT: usize = 256 << 10;

impl Sheets {
    pub(super) fn new(workers: usize, text: bool) -> Self {
        let sheet = || Mutex::new(Sheet { text, ..Sheet::default() });
        Sheets {
            sheets: (0..workers.max(1)).map(|_| sheet()).collect(),
            asleep: AtomicBool::new(false),
            writer: OnceLock::new(),
            counts: Counts::default(),
        }
    }

    /// Writes an entry down. A worker beyond their number shares the sheet of another.
    pub(super) fn write(&self, worker: usize, entry: &Entry) {
        let written = self.sheet(worker).write(entry);
        if !written {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
        // Behind the lock: who goes to sleep has said so before he looks at the sheet for the last time.
        if self.asleep.load(Relaxed) && self.asleep.swap(false, Relaxed) {
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

    /// Whoever writes a line from here on wakes the writing thread. Returns whether there is none by now.
    pub(super) fn go_to_sleep(&self) -> bool {
        self.asleep.store(true, Relaxed);
        let is_empty = (0..self.sheets.len()).all(|worker| self.sheet(worker).page.used == 0);
        if !is_empty {
            self.wake_up();
        }
        is_empty
    }

    /// Nobody need wake the writing thread.
    pub(super) fn wake_up(&self) {
        self.asleep.store(false, Relaxed);
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
            if let Some(left) = format(entry, &mut self.stamp, room) {
                page.used += before - left;
                page.lines += 1;
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
    pub(super) fn empty_into(&mut self, write: impl FnOnce(&[u8], u64)) {
        if self.used > 0 {
            write(&self.room[..self.used], self.lines);
        }
        (self.used, self.lines) = (0, 0);
        if self.room.len() > KEPT {
            self.room = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::SystemTime;

    use http::HeaderValue;
    use tokio::time::Instant;

    use super::*;

    fn entry(id: &'static str) -> Entry {
        let start = Instant::now();
        let mut entry = Entry::new(Ipv4Addr::LOCALHOST.into(), HeaderValue::from_static(id), SystemTime::now(), start);
        entry.end = Some(start);
        entry
    }

    /// The lines that are there, and how many that are said to be.
    fn collect(sheets: &Sheets, text: bool) -> (Vec<String>, u64) {
        let (mut lines, mut count) = (Vec::new(), 0);
        let mut pages = Vec::new();
        sheets.take(&mut pages, text);
        for page in &mut pages {
            page.empty_into(|written, number| {
                assert_eq!(written.last(), Some(&b'\n'));
                lines.extend(str::from_utf8(written).unwrap().lines().map(str::to_owned));
                count += number;
            });
        }
        (lines, count)
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
        let (lines, count) = collect(&sheets, false);
        assert_eq!((lines.len(), count), (written, written as u64), "all but one, and one on the other sheet");
        assert_eq!(sheets.counts.dropped.load(Relaxed), 2);
        sheets.write(1, &entry);
        assert_eq!(collect(&sheets, false).1, 1, "there is room again");
    }

    #[test]
    fn lines_for_people_and_for_programs_are_never_in_one_batch() {
        let sheets = Sheets::new(1, false);
        sheets.write(0, &entry("a"));
        let (lines, _) = collect(&sheets, true);
        assert!(lines[0].starts_with('{') && lines.len() == 1, "{lines:?}");
        sheets.write(0, &entry("b"));
        let (lines, _) = collect(&sheets, true);
        assert!(lines[0].ends_with(" 127.0.0.1") && lines.len() == 1, "{lines:?}");
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
            while count < 4 * EACH as u64 {
                let (lines, number) = collect(&sheets, false);
                assert_eq!(lines.len() as u64, number);
                for line in lines {
                    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                    assert_eq!(line["request_id"], "id-\"1");
                }
                count += number;
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
}
