//! The task that sends.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::collector::{Collector, Refused};
use super::messages::{ExportTraceServiceRequest, InstrumentationScope, Resource, ResourceSpans, ScopeSpans};
use super::resource::resource;
use super::settings::Settings;
use super::spans::spans;
use crate::access_log::{Entry, TraceCounts, Tracer};

/// Sends the spans of traced requests to their collector, in batches. Dropping it ends that at once.
#[derive(Debug)]
pub struct Exporter {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// How many requests are remembered that have ended and have not been sent. With one second between batches, as many as
/// that can be traced in a second, and some that come while the collector is slow.
const ROOM: usize = 8192;
/// How many are sent at once, at the most.
const BATCH: usize = 512;
/// How long the first of a batch waits for others.
const DELAY: Duration = Duration::from_secs(1);
/// How often it is looked for those. Whoever ends a request wakes nobody meanwhile.
const TICK: Duration = Duration::from_millis(50);
/// From one attempt to the next; after the last one, the batch is given up.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// The most that a collector is believed that says how long it wants to be left alone.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the end of the process waits for the collector.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// What goes on failing is said so often.
const SAID_EVERY: Duration = Duration::from_secs(60);

impl Exporter {
    /// Starts it on the current runtime, which must be none of the workers'; `None` where no settings ask for it. Returns
    /// what traces requests for it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(settings: Option<Settings>) -> Option<(Tracer, Exporter)> {
        let settings = settings?;
        let (tracer, entries) = Tracer::new(settings.sample, ROOM);
        let (stop, stopping) = watch::channel(false);
        let sending = Sending {
            entries,
            stopping,
            resource: resource(|name| std::env::var(name).ok()),
            place: settings.collector.url(),
            collector: Collector::new(settings.collector),
            counts: tracer.counts().clone(),
            said: None,
        };
        let task = tokio::spawn(sending.run());
        Some((tracer, Exporter { stop, task }))
    }

    /// Sends what is there, once, and ends; after two seconds in any case.
    pub async fn finish(mut self) {
        self.stop.send_replace(true);
        let _ = timeout(LAST_SPANS, &mut self.task).await;
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Sending {
    entries: Receiver<Box<Entry>>,
    stopping: watch::Receiver<bool>,
    resource: Resource,
    place: String,
    collector: Collector,
    counts: Arc<TraceCounts>,
    /// When it was last said that something is wrong.
    said: Option<Instant>,
}

impl Sending {
    async fn run(mut self) {
        while let Some(batch) = self.batch().await {
            let count = batch.len() as u64;
            let message = self.encode(&batch);
            drop(batch);
            let counter = match self.send(message).await {
                Ok(()) => &self.counts.exported,
                Err(_) => &self.counts.dropped,
            };
            counter.fetch_add(count, Relaxed);
        }
    }

    /// The next requests that have ended. `None` when there will be no more.
    async fn batch(&mut self) -> Option<Vec<Box<Entry>>> {
        let mut batch = Vec::new();
        tokio::select! {
            _ = self.entries.recv_many(&mut batch, BATCH) => {}
            () = stopped(&mut self.stopping) => self.entries.close(),
        }
        let first = Instant::now();
        while batch.len() < BATCH && first.elapsed() < DELAY && !self.entries.is_closed() {
            tokio::select! {
                () = sleep(TICK) => {}
                () = stopped(&mut self.stopping) => self.entries.close(),
            }
            while batch.len() < BATCH
                && let Ok(entry) = self.entries.try_recv()
            {
                batch.push(entry);
            }
        }
        if batch.is_empty() {
            // It has been closed: what is left comes without waiting.
            self.entries.recv_many(&mut batch, BATCH).await;
        }
        (!batch.is_empty()).then_some(batch)
    }

    fn encode(&self, batch: &[Box<Entry>]) -> Bytes {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let spans = batch.iter().flat_map(|entry| spans(entry)).collect();
        let scope = ScopeSpans { scope: Some(scope), spans };
        let resource = Some(self.resource.clone());
        let spans = ResourceSpans { resource, scope_spans: vec![scope] };
        ExportTraceServiceRequest { resource_spans: vec![spans] }.encode_to_vec().into()
    }

    /// Sends a batch, again and again for a while. With nobody left to wait, once.
    async fn send(&mut self, batch: Bytes) -> Result<(), Refused> {
        let mut pauses = PAUSES.iter();
        loop {
            let refused = match self.collector.send(batch.clone()).await {
                Ok(complaint) => {
                    match complaint {
                        Some(complaint) => self.say(&complaint),
                        None if self.said.take().is_some() => {
                            tracing::info!(collector = self.place, "spans arrive again")
                        }
                        None => {}
                    }
                    return Ok(());
                }
                Err(refused) => refused,
            };
            self.say(&refused.to_string());
            let pause = pauses.next().filter(|_| !*self.stopping.borrow());
            let (Some(pause), Refused::ForNow { after, .. }) = (pause, &refused) else { return Err(refused) };
            // Those that lost their collector together do not come back together.
            let pause = after.unwrap_or(pause.mul_f64(0.8 + 0.4 * fastrand::f64())).min(PAUSE_MAX);
            tokio::select! {
                () = sleep(pause) => {}
                () = stopped(&mut self.stopping) => {}
            }
        }
    }

    fn say(&mut self, error: &str) {
        if self.said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            self.said = Some(Instant::now());
            tracing::warn!(collector = self.place, error, "spans can't be sent (said once a minute)");
        }
    }
}

/// Resolves when it is to end, or nobody is left who could say so.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopped| *stopped).await;
}
