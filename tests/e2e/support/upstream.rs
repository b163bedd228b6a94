//! An upstream that answers when told, and knows how many requests it works on.
//!
//! A request is *inside* from the moment its head has been read until its answer is completely sent or the upstream
//! decides to end it. What becomes of the connection in the meantime does not matter: an upstream that works on is the
//! normal case.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use super::upstream_call::Call;
use super::wire::Wire;

pub struct Upstream {
    pub address: SocketAddr,
    tally: Arc<Tally>,
    calls: mpsc::UnboundedReceiver<Call>,
    is_told: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Upstream {
    /// Answers when told: see [`Upstream::next`].
    pub async fn start() -> Self {
        let mut upstream = Self::that(|_| std::future::ready(())).await;
        upstream.answers_when_told();
        upstream
    }

    /// Does the same with each request, in a task of its own.
    pub async fn that<F>(work: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (told, calls) = mpsc::unbounded_channel();
        let (tally, is_told) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
        let is_told_now = is_told.clone();
        let work = Arc::new(move |call| {
            if is_told_now.load(Ordering::Relaxed) {
                // A test that is over does not mind.
                let _ = told.send(call);
                Box::pin(std::future::ready(())) as Working
            } else {
                Box::pin(work(call))
            }
        });
        let accepting = tokio::spawn(accept(listener, work, tally.clone()));
        Upstream { address, tally, calls, is_told, accepting }
    }

    /// From now on: see [`Upstream::next`].
    pub fn answers_when_told(&mut self) {
        self.is_told.store(true, Ordering::Relaxed);
    }

    /// Answers after a time, and never notices that nobody waits for it any more.
    pub async fn that_works_for(time: Duration) -> Self {
        Self::that(move |call| async move {
            tokio::time::sleep(time).await;
            call.respond(200, "done\n").await;
        })
        .await
    }

    /// Answers after a time, or ends at once when its peer closes its side.
    pub async fn that_heeds_a_hang_up(time: Duration) -> Self {
        Self::that(move |mut call| async move {
            tokio::select! {
                () = tokio::time::sleep(time) => call.respond(200, "done\n").await,
                () = call.until_hung_up() => call.close(),
            }
        })
        .await
    }

    /// The next request. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Call {
        self.calls.recv().await.expect("the upstream answers when told")
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests worked on at this moment.
    pub fn inside(&self) -> usize {
        *self.tally.inside.borrow()
    }

    /// The most that were ever worked on at once.
    pub fn peak(&self) -> usize {
        self.tally.peak.load(Ordering::Relaxed)
    }

    /// Requests that ever arrived.
    pub fn total(&self) -> usize {
        self.tally.total.load(Ordering::Relaxed)
    }

    /// Connections that were ever made.
    pub fn connections(&self) -> usize {
        self.tally.connections.load(Ordering::Relaxed)
    }

    pub async fn until_inside(&self, n: usize) {
        self.tally.until_inside(n).await;
    }

    /// Starts (`true`) and ends (`false`) with their moments, in order.
    pub fn events(&self) -> Vec<(Instant, bool)> {
        self.tally.events.lock().expect("no test panics while it holds this").clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Working = Pin<Box<dyn Future<Output = ()> + Send>>;
type Work = Arc<dyn Fn(Call) -> Working + Send + Sync>;

async fn accept(listener: TcpListener, work: Work, tally: Arc<Tally>) {
    while let Ok((stream, _)) = listener.accept().await {
        tally.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(serve_connection(stream, work.clone(), tally.clone()));
    }
}

/// One request after the other, until one of them keeps or closes the connection.
async fn serve_connection(stream: TcpStream, work: Work, tally: Arc<Tally>) {
    let mut wire = Wire::new(stream);
    while let Ok(Some(head)) = wire.head().await {
        let (back, returned) = oneshot::channel();
        work(Call::new(head, wire, Seat::take(&tally), back)).await;
        match returned.await {
            Ok(again) => wire = again,
            Err(_) => return,
        }
    }
}

#[derive(Default)]
pub(super) struct Tally {
    pub(super) inside: watch::Sender<usize>,
    pub(super) peak: AtomicUsize,
    pub(super) total: AtomicUsize,
    pub(super) connections: AtomicUsize,
    events: Mutex<Vec<(Instant, bool)>>,
}

impl Tally {
    pub(super) async fn until_inside(&self, n: usize) {
        let mut inside = self.inside.subscribe();
        let what = format!("{n} inside the upstream");
        let reached = super::soon(&what, inside.wait_for(|&inside| inside == n)).await;
        reached.expect("the tally outlives the upstream");
    }

    fn note(&self, start: bool) {
        self.events.lock().expect("no test panics while it holds this").push((Instant::now(), start));
    }
}

/// One request inside. Dropping it is its end.
pub struct Seat(Arc<Tally>);

impl Seat {
    pub(super) fn take(tally: &Arc<Tally>) -> Self {
        tally.total.fetch_add(1, Ordering::Relaxed);
        tally.note(true);
        tally.inside.send_modify(|inside| {
            *inside += 1;
            tally.peak.fetch_max(*inside, Ordering::Relaxed);
        });
        Seat(tally.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.note(false);
        self.0.inside.send_modify(|inside| *inside -= 1);
    }
}
