//! Files whose content is picked up by itself.

use std::time::Duration;

use crate::server::Handle;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(10);

/// Reads them again and again, for as long as it is polled. Dropping it between two readings loses nothing.
pub(super) async fn watch(handle: Handle) {
    loop {
        tokio::time::sleep(EVERY).await;
        let handle = handle.clone();
        // A file system may keep its reader waiting, and whoever waits here would miss the signals.
        let read = tokio::task::spawn_blocking(move || handle.proxy().refresh_secrets());
        // It does not panic, and is not aborted.
        let _ = read.await;
    }
}
