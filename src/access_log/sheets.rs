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
pub(super) struct Sheet {
    /// Room, of which the beginning is in use.
    room: Vec<u8>,
    used: usize,
    lines: u64,
    /// For people.
    text: bool,
    stamp: Stamp,
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
        let is_empty = (0..self.sheets.len()).all(|worker| self.sheet(worker).used == 0);
        if !is_empty {
            self.wake_up();
        }
        is_empty
    }

    /// Nobody need wake the writing thread.
    pub(super) fn wake_up(&self) {
        self.asleep.store(false, Relaxed);
    }

    /// Changes each sheet for the one that is handed out, with its lines on it, which `write` gets. Lines from then on are for
    /// people or for programs, as `text` says. Returns whether there were any.
    pub(super) fn collect(&self, other: &mut Sheet, text: bool, mut write: impl FnMut(&[u8], u64)) -> bool {
        let mut any = false;
        for worker in 0..self.sheets.len() {
            let mut sheet = self.sheet(worker);
            sheet.text = text;
            if sheet.used == 0 {
                continue;
            }
            mem::swap(&mut sheet.room, &mut other.room);
            (other.used, other.lines) = (mem::take(&mut sheet.used), mem::take(&mut sheet.lines));
            drop(sheet);
            write(&other.room[..other.used], other.lines);
            any = true;
            if other.room.len() > KEPT {
                other.room = Vec::new();
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
        loop {
            let room = &mut self.room[self.used..];
            let before = room.len();
            if let Some(left) = format(entry, &mut self.stamp, room) {
                self.used += before - left;
                self.lines += 1;
                return true;
            }
            let more = (self.room.len() * 2).max(LEAST);
            if more > MOST {
                return false;
            }
            self.room.resize(more, 0);
        }
    }
}
