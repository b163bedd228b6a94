//! Which worker serves a connection.
//!
//! The kernel gives connections to workers by a hash of their addresses. That is fair among thousands, and not among eight:
//! of two workers one gets six of them or more in every third case, and may be full while the other one idles. So whoever
//! accepts a connection hands it over where another worker has clearly fewer.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::crowd::Place;
use crate::socket::Unwatched;

/// How many connections each worker has, and the way to it.
#[derive(Debug)]
pub(super) struct Spread(Box<[Load]>);

#[derive(Debug)]
struct Load {
    open: AtomicUsize,
    handed: UnboundedSender<Handed>,
}

/// A connection that another worker has accepted. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) place: Place,
    pub(super) seat: Seat,
    pub(super) stream: Unwatched,
    pub(super) peer: IpAddr,
    pub(super) tls: bool,
}

/// One of a worker's connections, also on its way there. It is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    spread: Arc<Spread>,
    worker: usize,
}

/// A worker may have one more than another, and an eighth more: handing over costs some system calls and the other's sleep,
/// and among many connections the hash is fair.
const MORE: usize = 1;
const PART: usize = 8;

impl Spread {
    /// Among so many workers. Each gets what comes out of its receiver.
    pub(super) fn new(workers: usize) -> (Arc<Self>, Vec<UnboundedReceiver<Handed>>) {
        let (loads, receivers) = (0..workers)
            .map(|_| {
                let (handed, receiver) = unbounded_channel();
                (Load { open: AtomicUsize::new(0), handed }, receiver)
            })
            .unzip::<_, _, Vec<_>, _>();
        (Arc::new(Spread(loads.into())), receivers)
    }

    /// Where a connection is to be served that worker `here` has accepted.
    pub(super) fn choose(self: &Arc<Self>, here: usize) -> Seat {
        let open = |worker: usize| self.0[worker].open.load(Relaxed);
        let least = (0..self.0.len()).min_by_key(|worker| open(*worker)).unwrap_or(here);
        let may_have = open(least) + MORE + open(least) / PART;
        self.seat(if open(here) > may_have { least } else { here })
    }

    /// Where it is in any case.
    pub(super) fn seat(self: &Arc<Self>, worker: usize) -> Seat {
        self.0[worker].open.fetch_add(1, Relaxed);
        Seat { spread: self.clone(), worker }
    }

    /// Gives a connection to the worker that was chosen. Where that one has ended, so has everything else.
    pub(super) fn hand_over(&self, handed: Handed) {
        let _ = self.0[handed.seat.worker].handed.send(handed);
    }
}

impl Seat {
    pub(super) fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.spread.0[self.worker].open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(spread: &Spread) -> Vec<usize> {
        spread.0.iter().map(|load| load.open.load(Relaxed)).collect()
    }

    #[test]
    fn of_eight_connections_none_of_four_workers_gets_more_than_three() {
        let mut chance = fastrand::Rng::with_seed(8);
        for round in 0..1000 {
            let (spread, _receivers) = Spread::new(4);
            // The first time as uneven as can be.
            let accepting = |n: usize| if round == 0 { 0 } else { n };
            let seats: Vec<_> = (0..8).map(|_| spread.choose(accepting(chance.usize(..4)))).collect();
            assert!(open(&spread).iter().all(|open| *open <= 3), "{:?}", open(&spread));
            drop(seats);
            assert_eq!(open(&spread), [0; 4]);
        }
    }

    #[test]
    fn a_worker_that_others_have_left_is_filled_first() {
        let (spread, _receivers) = Spread::new(3);
        let mut seats: Vec<_> = (0..30).map(|n| spread.seat(n % 3)).collect();
        seats.retain(|seat| seat.worker() != 1);
        seats.extend((0..8).map(|_| spread.choose(2)));
        assert_eq!(open(&spread), [10, 8, 10]);
    }

    #[test]
    fn where_the_hash_is_fair_nothing_is_handed_over() {
        let (spread, _receivers) = Spread::new(4);
        let mut chance = fastrand::Rng::with_seed(1);
        let mut handed = 0;
        let mut seats = Vec::new();
        for _ in 0..10_000 {
            let here = chance.usize(..4);
            let seat = spread.choose(here);
            handed += usize::from(seat.worker() != here);
            seats.push(seat);
        }
        assert!(handed < 100, "{handed}");
    }
}
