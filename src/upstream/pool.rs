//! Idle HTTP/1.1 connections, last in, first out.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::room::Room;
use super::upload::Upload;
use crate::socket::Socket;

/// A connection to the upstream, driven by a task on its home worker.
#[derive(Debug)]
pub(super) struct Connection<B> {
    pub(super) sender: SendRequest<Upload<B>>,
    pub(super) socket: Socket,
    pub(super) room: Room,
    pub(super) home: u32,
    /// How long it may idle and still be used.
    pub(super) reuse_for: Duration,
    /// Whether it has carried an exchange before.
    pub(super) reused: bool,
}

/// The idle connections of every worker to one endpoint.
///
/// A worker takes from its own pool, where nobody contends for the lock. One whose pool is empty takes from another's
/// before it dials: at small limits the permit often goes to a worker other than the one with the idle connection, and
/// the number of connections would grow to limit times workers. The connection's task stays where it is.
#[derive(Debug)]
pub(super) struct Pools<B> {
    workers: Box<[Mutex<Vec<Idle<B>>>]>,
    /// Whether nothing goes on them any more.
    retired: AtomicBool,
}

#[derive(Debug)]
struct Idle<B> {
    connection: Connection<B>,
    since: Instant,
}

/// A request that must not be sent twice goes on no connection that has idled for longer: the older, the likelier the
/// upstream is closing it just now.
const FRESH: Duration = Duration::from_secs(1);

impl<B> Pools<B> {
    pub(super) fn new(workers: usize) -> Self {
        Pools { workers: (0..workers.max(1)).map(|_| Mutex::default()).collect(), retired: AtomicBool::new(false) }
    }

    /// An idle connection, if there is one that can be used.
    pub(super) fn take(&self, worker: usize, idempotent: bool) -> Option<Connection<B>> {
        let mut now = None;
        let workers = self.workers.len();
        (0..workers).find_map(|step| {
            let mut pool = self.lock((worker + step) % workers);
            while let Some(idle) = pool.pop() {
                let age = now.get_or_insert_with(Instant::now).saturating_duration_since(idle.since);
                if !idle.connection.is_open() || age >= idle.connection.reuse_for {
                    continue;
                }
                if !idempotent && age >= FRESH {
                    pool.push(idle);
                    return None;
                }
                return Some(Connection { reused: true, ..idle.connection });
            }
            None
        })
    }

    /// Takes a connection back after an exchange.
    pub(super) fn put(&self, connection: Connection<B>) {
        if !connection.reuse_for.is_zero() && connection.is_open() {
            let home = connection.home as usize % self.workers.len();
            let mut pool = self.lock(home);
            if self.retired.load(Relaxed) {
                // Closed outside the lock.
                drop(pool);
                return;
            }
            let crowded = connection.room.is_crowded().then(|| connection.room.clone());
            pool.push(Idle { connection, since: Instant::now() });
            drop(pool);
            if let Some(room) = crowded {
                room.freed();
            }
        }
    }

    /// Others have taken their place: closes all that idle, and each of the rest when it comes back.
    pub(super) fn retire(&self) {
        self.retired.store(true, Relaxed);
        for worker in 0..self.workers.len() {
            // Whoever puts one there behind this has the lock after us, and sees that it is over.
            let idle = std::mem::take(&mut *self.lock(worker));
            drop(idle);
        }
    }

    /// Closes what has idled for too long.
    pub(super) fn prune(&self, worker: usize) {
        let now = Instant::now();
        self.lock(worker % self.workers.len()).retain(|idle| {
            idle.connection.is_open() && now.saturating_duration_since(idle.since) < idle.connection.reuse_for
        });
    }

    /// Closes the connection that has idled for longest in one of the pools, if any idles.
    pub(super) fn close_idle(&self) -> bool {
        (0..self.workers.len()).any(|worker| {
            let mut pool = self.lock(worker);
            let oldest = (!pool.is_empty()).then(|| pool.remove(0));
            drop(pool);
            oldest.is_some()
        })
    }

    /// How many idle.
    pub(super) fn idle(&self) -> usize {
        (0..self.workers.len()).map(|worker| self.lock(worker).len()).sum()
    }

    fn lock(&self, worker: usize) -> MutexGuard<'_, Vec<Idle<B>>> {
        self.workers[worker].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Connection<B> {
    /// Believes the upstream's `Keep-Alive: timeout`, less a second for the way.
    pub(super) fn learn_idle_timeout(&mut self, headers: &HeaderMap) {
        let Some(value) = headers.get("keep-alive").and_then(|value| value.to_str().ok()) else { return };
        let timeout = value.split(',').find_map(|word| word.trim().strip_prefix("timeout=")?.parse().ok());
        if let Some(timeout) = timeout {
            self.reuse_for = Duration::from_secs(timeout).saturating_sub(Duration::from_secs(1));
        }
    }

    fn is_open(&self) -> bool {
        !self.sender.is_closed() && !self.socket.is_hung_up()
    }
}
