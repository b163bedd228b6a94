//! The connections to one endpoint, and who dials.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::connect::{NoConnection, connect};
use super::connection::{Connection, Lease, MAX_STREAMS};
use crate::upstream::error::Failure;
use crate::upstream::forward::Told;
use crate::upstream::room::{Room, Spot};
use crate::upstream::settings::Settings;
use crate::upstream::site::Site;

/// The connections of every worker to one endpoint.
///
/// A request takes a place on a connection of its own worker, else on another worker's, else on one that is being made,
/// and only where all of those are full it has another one made: a hundred requests at once dial once. Dialling is a
/// task's work, not a request's: a client that leaves meanwhile takes the connection from nobody.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    site: Site,
    idle_timeout: Duration,
    workers: Box<[Mutex<Vec<Arc<Connection>>>]>,
    dials: Mutex<Dials>,
    /// The peer has been offered both, and chose HTTP/1.1.
    chose_http1: AtomicBool,
}

/// Locked only by those who find no place and by those who dial, and before a worker's connections, never after.
#[derive(Debug)]
struct Dials {
    under_way: Vec<Arc<watch::Sender<Outcome>>>,
    /// How many may wait for one connection: as many streams as the last one took.
    room: usize,
}

/// How many connections one request waits for: one to learn how many streams the upstream takes, one of its own, and a few
/// for bad luck. An upstream that greets and goes would have it dial for ever.
pub(super) const ROUNDS: usize = 5;

/// What came of dialling; `None` while it goes on.
type Outcome = Option<Result<(), Undone>>;

/// A connection that could not be made. Many may hear of it, and it has happened once.
#[derive(Debug)]
struct Undone {
    error: NoConnection,
    /// Whether somebody has heard of it.
    told: AtomicBool,
}

/// Why there is no place.
#[derive(Debug)]
pub(in crate::upstream) struct NoLease {
    pub(in crate::upstream) failure: Failure,
    /// Whether it says something about the endpoint that nobody has been told yet.
    pub(in crate::upstream) news: bool,
}

/// How long an idle connection is kept: servers commonly close after 60 s.
const IDLE: Duration = Duration::from_secs(55);

impl Pool {
    pub(in crate::upstream) fn new(settings: &Settings, site: &Site, workers: usize) -> Self {
        Pool(Arc::new(Inner {
            settings: settings.clone(),
            site: site.clone(),
            idle_timeout: settings.idle_timeout.unwrap_or(IDLE),
            workers: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
            dials: Mutex::new(Dials { under_way: Vec::new(), room: MAX_STREAMS }),
            chose_http1: AtomicBool::new(false),
        }))
    }

    /// A place for one stream. It waits for a connection to be made, if it has to, or for one to have a place, where there is
    /// no room for another; then `told` hears of it, and `make_room` may close one that idles elsewhere.
    ///
    /// # Errors
    /// Why the connection that it waited for could not be made, or that each of them was gone or full at once, or that there
    /// was none for too long.
    ///
    /// # Cancel safety
    /// Dropping it leaves the dialling to those who come next.
    pub(in crate::upstream) async fn lease(
        &self,
        worker: usize,
        room: &Room,
        told: &mut Told<'_>,
        make_room: impl Fn(),
    ) -> Result<Lease, NoLease> {
        let patience = self.0.settings.connect_timeout;
        if self.0.idle_timeout.is_zero() {
            // It is in no pool, and closes with its one stream.
            let spot = match (!room.is_crowded()).then(|| room.try_enter()).flatten() {
                Some(spot) => spot,
                None => {
                    let waited = room.wait_and_tell(told, patience, || room.try_enter(), make_room);
                    waited.await.map_err(|_| no_room())?
                }
            };
            let connection =
                self.0.connect(spot).await.map_err(|error| NoLease { failure: error.into(), news: true })?;
            return Arc::new(connection).lease(Duration::MAX).ok_or_else(gone);
        }
        for _ in 0..ROUNDS {
            let joined = match (!room.is_crowded()).then(|| self.join_or_dial(worker, room)).flatten() {
                Some(joined) => joined,
                None => {
                    let join = || self.join_or_dial(worker, room);
                    room.wait_and_tell(told, patience, join, &make_room).await.map_err(|_| no_room())?
                }
            };
            let mut outcome = match joined {
                Ok(lease) => return Ok(lease),
                Err(outcome) => outcome,
            };
            match outcome.wait_for(Option::is_some).await.as_deref() {
                // A place may have been given back meanwhile.
                Ok(Some(Err(Undone { error, told }))) => {
                    let news = || !told.swap(true, Relaxed);
                    return self.take(worker).ok_or_else(|| NoLease { failure: error.clone().into(), news: news() });
                }
                // It is there, and ours before theirs who have come to no dial. Others may have been faster all the same; then
                // the next one is for us.
                Ok(_) => {
                    if let Some(lease) = self.take(worker) {
                        return Ok(lease);
                    }
                }
                Err(_) => return Err(gone()),
            }
        }
        self.take(worker).ok_or_else(gone)
    }

    /// Whether the peer speaks HTTP/1.1, and was free to choose. It is not asked again: one that is renewed has its
    /// connections all the same.
    pub(in crate::upstream) fn chose_http1(&self) -> bool {
        self.0.chose_http1.load(Relaxed)
    }

    /// Closes what has idled for too long.
    pub(in crate::upstream) fn prune(&self, worker: usize) {
        let worker = worker % self.0.workers.len();
        self.connections(worker).retain(|connection| connection.is_usable(self.0.idle_timeout));
    }

    /// Closes a connection that idles, if there is one.
    pub(in crate::upstream) fn close_idle(&self) -> bool {
        (0..self.0.workers.len()).any(|worker| {
            let mut connections = self.connections(worker);
            let idle = connections.iter().position(|connection| connection.retire_if_idle());
            let closed = idle.map(|at| connections.remove(at));
            drop(connections);
            closed.is_some()
        })
    }

    /// How many idle.
    pub(in crate::upstream) fn idle(&self) -> usize {
        let workers = 0..self.0.workers.len();
        workers.map(|worker| self.connections(worker).iter().filter(|connection| connection.is_idle()).count()).sum()
    }

    /// Closes what idles, and each of the others once its last stream has ended.
    pub(in crate::upstream) fn close(&self, worker: usize) {
        let worker = worker % self.0.workers.len();
        self.connections(worker).clear();
    }

    /// The same, for every worker.
    pub(in crate::upstream) fn close_all(&self) {
        (0..self.0.workers.len()).for_each(|worker| self.close(worker));
    }

    fn take(&self, worker: usize) -> Option<Lease> {
        let workers = self.0.workers.len();
        (0..workers).find_map(|step| {
            let mut connections = self.connections((worker + step) % workers);
            let lease = connections.iter().find_map(|connection| connection.lease(self.0.idle_timeout));
            if lease.is_none() {
                connections.retain(|connection| !connection.is_retired());
            }
            lease
        })
    }

    /// A place, or one among those who wait for a connection that is being made; has one made where there is room.
    fn join_or_dial(&self, worker: usize, room: &Room) -> Option<Result<Lease, watch::Receiver<Outcome>>> {
        if let Some(lease) = self.take(worker) {
            return Some(Ok(lease));
        }
        let mut dials = self.dials();
        // Meanwhile there may be a place after all.
        if let Some(lease) = self.take(worker) {
            return Some(Ok(lease));
        }
        let places = dials.room;
        if let Some(dial) = dials.under_way.iter().find(|dial| dial.receiver_count() < places) {
            return Some(Err(dial.subscribe()));
        }
        let spot = room.try_enter()?;
        let (sender, receiver) = watch::channel(None);
        let dial = Arc::new(sender);
        dials.under_way.push(dial.clone());
        tokio::spawn(UnderWay { pool: self.clone(), dial }.run(worker, spot));
        Some(Err(receiver))
    }

    fn connections(&self, worker: usize) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.0.workers[worker].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dials(&self) -> MutexGuard<'_, Dials> {
        self.0.dials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    async fn connect(&self, spot: Spot) -> Result<Connection, NoConnection> {
        let connected = connect(&self.settings, &self.site, spot).await;
        if let Err(NoConnection::Http1) = &connected {
            self.chose_http1.store(true, Relaxed);
        }
        connected
    }
}

/// A connection being made. Dropping it ends the wait for it.
struct UnderWay {
    pool: Pool,
    dial: Arc<watch::Sender<Outcome>>,
}

impl UnderWay {
    async fn run(self, worker: usize, spot: Spot) {
        let room = spot.room().clone();
        let outcome = self.pool.0.connect(spot).await.map_err(Undone::new).map(|connection| {
            self.pool.dials().room = connection.room().max(1);
            let worker = worker % self.pool.0.workers.len();
            self.pool.connections(worker).push(Arc::new(connection));
        });
        // Whoever comes now finds the connection and does not wait for it, or makes an attempt of its own.
        self.leave();
        self.dial.send_replace(Some(outcome));
        // It may have more places than they need who waited for it.
        room.freed();
    }

    fn leave(&self) {
        self.pool.dials().under_way.retain(|other| !Arc::ptr_eq(other, &self.dial));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.leave();
    }
}

/// There were connections, but none to be used.
fn gone() -> NoLease {
    let error = io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was gone or full at once");
    NoLease { failure: Failure::Connect(error), news: true }
}

/// That is ours, and says nothing about the endpoint.
fn no_room() -> NoLease {
    NoLease { failure: Failure::NoRoom, news: false }
}

impl Undone {
    fn new(error: NoConnection) -> Self {
        Undone { error, told: AtomicBool::new(false) }
    }
}
