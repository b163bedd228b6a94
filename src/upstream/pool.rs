//! Idle HTTP/1.1 connections, last in, first out.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::http1::Connection;
use crate::moment;

/// The idle connections of every worker to one endpoint.
///
/// A worker takes from its own pool, where nobody contends for the lock. One whose pool is empty takes from another's
/// before it dials: at small limits the permit often goes to a worker other than the one with the idle connection, and
/// the number of connections would grow to limit times workers.
#[derive(Debug)]
pub(super) struct Pools {
    workers: Box<[Mutex<Vec<Idle>>]>,
    /// Whether nothing goes on them any more.
    retired: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// A request that must not be sent twice goes on no connection that has idled for longer: the older, the likelier the
/// upstream is closing it just now.
const FRESH: Duration = Duration::from_secs(1);

impl Pools {
    pub(super) fn new(workers: usize) -> Self {
        Pools { workers: (0..workers.max(1)).map(|_| Mutex::default()).collect(), retired: AtomicBool::new(false) }
    }

    /// An idle connection, if there is one that can be used. One of another worker's has this worker's runtime wake whoever
    /// waits for it from now on.
    pub(super) fn take(&self, worker: usize, idempotent: bool) -> Option<Box<Connection>> {
        self.take_at(Instant::now(), worker, idempotent)
    }

    /// The same at this moment, which is now.
    pub(super) fn take_at(&self, now: Instant, worker: usize, idempotent: bool) -> Option<Box<Connection>> {
        let workers = self.workers.len();
        (0..workers).find_map(|step| {
            let from = (worker + step) % workers;
            let age = |idle: &Idle| now.saturating_duration_since(idle.since);
            loop {
                let idle = self.lock(from).pop_if(|idle| idempotent || age(idle) < FRESH)?;
                // What can't be used is closed outside the lock.
                let over = age(&idle) >= idle.connection.reuse_for || !idle.connection.is_quiet();
                let mut connection = idle.connection;
                if over || (step > 0 && connection.move_to(worker).is_err()) {
                    continue;
                }
                connection.reused = true;
                return Some(connection);
            }
        })
    }

    /// Takes a connection back after an exchange.
    pub(super) fn put(&self, connection: Box<Connection>) {
        if !connection.reuse_for.is_zero() {
            let (home, since) = (connection.home % self.workers.len(), moment::now());
            let mut pool = self.lock(home);
            if self.retired.load(Relaxed) {
                // Closed outside the lock.
                drop(pool);
                return;
            }
            let crowded = connection.room.is_crowded().then(|| connection.room.clone());
            pool.push(Idle { connection, since });
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

    /// Closes what has idled for too long, and what the upstream has closed.
    pub(super) fn prune(&self, worker: usize) {
        let now = Instant::now();
        let over = |idle: &mut Idle| {
            now.saturating_duration_since(idle.since) >= idle.connection.reuse_for || !idle.connection.is_quiet()
        };
        let over: Vec<_> = self.lock(worker % self.workers.len()).extract_if(.., over).collect();
        // Outside the lock.
        drop(over);
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

    fn lock(&self, worker: usize) -> MutexGuard<'_, Vec<Idle>> {
        self.workers[worker].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;
    use tokio::task::yield_now;

    use super::*;
    use crate::socket::Socket;
    use crate::upstream::room::Room;

    /// Puts a connection into a worker's pool. The peer's end of it.
    fn idle(pools: &Pools, home: usize) -> UnixStream {
        let (ours, peer) = UnixStream::pair().unwrap();
        pools.put(Connection::new(Socket::new(ours), Room::new(), home, Duration::from_secs(60)));
        peer
    }

    #[tokio::test]
    async fn what_the_upstream_has_closed_does_not_pile_up() {
        let pools = Pools::new(2);
        let _stays = idle(&pools, 0);
        drop((idle(&pools, 0), idle(&pools, 0), idle(&pools, 1)));
        while pools.idle() > 2 {
            // The runtime hears of it in a while.
            yield_now().await;
            pools.prune(0);
        }
        // The rest is another worker's.
        pools.prune(1);
        assert_eq!(pools.idle(), 1);
        assert!(pools.take(0, true).is_some_and(|connection| connection.reused));
    }

    #[tokio::test]
    async fn however_many_the_upstream_has_closed_none_of_them_is_taken() {
        let (pools, last) = (Pools::new(1), Pools::new(1));
        let peers: Vec<_> = (0..200).map(|_| idle(&pools, 0)).collect();
        drop(peers);
        drop(idle(&last, 0));
        while last.idle() > 0 {
            // What the runtime hears of this one, it hears of all before.
            yield_now().await;
            last.prune(0);
        }
        yield_now().await;
        assert!(pools.take(0, true).is_none());
    }

    #[tokio::test]
    async fn one_of_another_workers_is_taken_and_stays_with_its_taker() {
        let pools = Pools::new(3);
        let _peer = idle(&pools, 1);
        for worker in [2, 0] {
            let connection = pools.take(worker, false).expect("it idles");
            assert_eq!(connection.home, worker);
            pools.put(connection);
        }
        assert_eq!(pools.idle(), 1);
        pools.retire();
        assert!(pools.take(0, true).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_idled_for_long_carries_nothing_that_must_not_be_sent_twice() {
        let pools = Pools::new(1);
        let _peer = idle(&pools, 0);
        tokio::time::advance(FRESH).await;
        assert!(pools.take(0, false).is_none());
        assert!(pools.take(0, true).is_some());
    }
}
