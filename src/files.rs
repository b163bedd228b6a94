//! Things that are made of files, and made anew when those change.
//!
//! Certificates are renewed while we run, by programs that replace files and tell nobody. What a file holds now is put in
//! force if it can be used; if not, what was in force stays, and that is an error in the log and in a count.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

/// How often files are looked at.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

static ERRORS: AtomicU64 = AtomicU64::new(0);

/// How often, since the process began, files had changed to something that can't be used.
pub(crate) fn reload_errors() -> u64 {
    ERRORS.load(Relaxed)
}

/// What was made of some files.
#[derive(Debug)]
pub(crate) struct FromFiles<T> {
    current: ArcSwap<T>,
    files: Vec<PathBuf>,
    /// The files as they were when they were last read.
    seen: Mutex<Vec<Option<Stamp>>>,
}

/// What changes with a file: its place on the disk when it is replaced, also behind a symbolic link; its time when it is
/// written or its permissions are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl<T> FromFiles<T> {
    /// Makes it of `files` for the first time.
    pub(crate) fn try_new<E>(files: Vec<PathBuf>, make: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        // Before they are read: what changes meanwhile is seen the next time.
        let seen = stamps(&files);
        let current = ArcSwap::from_pointee(make()?);
        Ok(FromFiles { current, files, seen: Mutex::new(seen) })
    }

    /// What is in force.
    pub(crate) fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// The same for a moment.
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<T>> {
        self.current.load()
    }

    /// Makes it anew if the files have changed since they were last read.
    pub(crate) fn check<E: Display>(&self, make: impl FnOnce() -> Result<T, E>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamps(&self.files);
        if *seen == now {
            return;
        }
        *seen = now;
        match make() {
            Ok(new) => {
                self.current.store(Arc::new(new));
                tracing::info!(files = ?self.files, "files have changed, and what they hold now is in force");
            }
            Err(error) => {
                ERRORS.fetch_add(1, Relaxed);
                tracing::error!(files = ?self.files, %error, "files have changed and cannot be used; what they held before stays in force");
            }
        }
    }
}

/// How files are now; `None` where one can't be looked at.
pub(crate) fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let file = fs::metadata(file).ok()?;
        Some(Stamp {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            written: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_used_is_put_in_force_and_a_failure_is_counted_once() {
        let file = std::env::temp_dir().join(format!("sluicegate-files-{}", std::process::id()));
        let make = || {
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            text.parse::<u32>().map_err(|error| error.to_string())
        };
        fs::write(&file, "1").unwrap();
        let number = FromFiles::try_new(vec![file.clone()], make).unwrap();
        let errors = reload_errors();
        for (text, current) in [("22", 22), ("one", 22), ("333", 333)] {
            fs::write(&file, text).unwrap();
            number.check(make);
            number.check(|| -> Result<u32, String> { panic!("nothing has changed") });
            assert_eq!(*number.current(), current);
        }
        // As Kubernetes and certbot do: another file in its place.
        let other = file.with_extension("new");
        fs::write(&other, "444").unwrap();
        fs::rename(&other, &file).unwrap();
        number.check(make);
        assert_eq!(*number.current(), 444);
        fs::remove_file(&file).unwrap();
        number.check(make);
        assert_eq!((*number.current(), reload_errors() - errors), (444, 2));
    }
}
