//! `run --watch`: the files of the configuration, and when they have changed.

use std::path::PathBuf;
use std::time::Duration;

use crate::files::{Stamp, stamps};

/// How often they are looked at. By their times and places, and not by what the system tells of them: a mounted
/// ConfigMap is a chain of links that are replaced, and network file systems tell nothing.
const PERIOD: Duration = Duration::from_millis(500);

/// Some files as they were when they were last loaded, and last seen.
#[derive(Debug)]
pub(super) struct Watched {
    files: Vec<PathBuf>,
    loaded: Vec<Option<Stamp>>,
    seen: Vec<Option<Stamp>>,
}

impl Watched {
    /// To be called before they are loaded: what changes meanwhile has changed.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let loaded = stamps(&files);
        Watched { files, seen: loaded.clone(), loaded }
    }

    /// Whether there is nothing to watch.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Resolves when they have changed since they were loaded, and then stood still: an editor may write in pieces. They
    /// count as loaded then. Dropping it loses nothing.
    pub(super) async fn changed(&mut self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            let files = self.files.clone();
            // A file system may keep its reader waiting. It does not panic, and is not aborted.
            let Ok(now) = tokio::task::spawn_blocking(move || stamps(&files)).await else { continue };
            let stands_still = now == self.seen;
            self.seen.clone_from(&now);
            if stands_still && now != self.loaded {
                self.loaded = now;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_and_also_where_another_file_takes_its_place() {
        let file = std::env::temp_dir().join(format!("sluicegate-watched-{}", std::process::id()));
        let quiet = Duration::from_secs(60);
        std::fs::write(&file, "1").unwrap();
        let mut watched = Watched::new(vec![file.clone()]);
        assert!(tokio::time::timeout(quiet, watched.changed()).await.is_err());
        std::fs::write(&file, "22").unwrap();
        watched.changed().await;
        assert!(tokio::time::timeout(quiet, watched.changed()).await.is_err());
        let other = file.with_extension("new");
        std::fs::write(&other, "333").unwrap();
        std::fs::rename(&other, &file).unwrap();
        watched.changed().await;
        std::fs::remove_file(&file).unwrap();
        watched.changed().await;
    }
}
