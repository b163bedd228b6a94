//! Who wants to know what has become of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::HeaderMap;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::entry::Entry;
use super::writer::Log;
use crate::telemetry::Trace;

/// Whoever gets the entries of finished requests. By default nobody.
#[derive(Debug, Clone, Default)]
pub struct Readers {
    /// Gets those of all of them.
    pub log: Option<Log>,
    /// Gets those of requests that are traced.
    pub tracer: Option<Tracer>,
}

/// Decides which requests are traced, and passes their entries on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tracer {
    sample: f64,
    entries: Sender<Box<Entry>>,
    counts: Arc<TraceCounts>,
}

/// What has become of the entries of traced requests.
#[derive(Debug, Default)]
pub struct TraceCounts {
    /// How many have been passed on to who collects them.
    pub exported: AtomicU64,
    /// How many have been lost: too many waited, or they could not be passed on.
    pub dropped: AtomicU64,
}

impl Tracer {
    /// Traces a share of those requests of which nobody says whether they are traced, and has room for so many entries
    /// that have not been taken out of the other end.
    pub fn new(sample: f64, room: usize) -> (Self, Receiver<Box<Entry>>) {
        let (entries, taken) = channel(room);
        (Tracer { sample, entries, counts: Arc::default() }, taken)
    }

    /// The trace of a request that has arrived, if it is traced.
    pub fn begin(&self, headers: &HeaderMap) -> Option<Trace> {
        Trace::begin(headers, self.sample)
    }

    /// What has been counted.
    pub fn counts(&self) -> &Arc<TraceCounts> {
        &self.counts
    }

    /// Never waits: an entry that finds no room is lost, and counted.
    pub(super) fn pass_on(&self, entry: Box<Entry>) {
        if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) = self.entries.try_send(entry) {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}
