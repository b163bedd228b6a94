//! Clients, a gate with the shipped queue, and a server, as a discrete-event model.
//!
//! The server works on up to `CAPACITY` seats at full speed, and the limit is never above that, so work takes as long as
//! it takes; what clients have left unfinished goes on all the same, as behind most servers. Clients come at random, give
//! up after a while, and may try again. The gate does what admission does: in at once if nobody waits, else estimate,
//! else make room, else join.

mod figures;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// Seats at which the server is at its best.
pub(super) const CAPACITY: u32 = 32;
/// Mean work of a request, of exponential distribution.
const WORK: f64 = 0.020;
/// The housekeeper's.
const TICK: f64 = 0.010;

/// A kind of client.
#[derive(Clone, Copy)]
pub(super) struct Class {
    pub(super) like: Like,
    /// What it offers in seats, as a share of the capacity.
    pub(super) load: f64,
    /// The same in the surge.
    pub(super) peak: f64,
    /// From when to when there is one.
    pub(super) surge: Option<(f64, f64)>,
    /// How long its work takes on average.
    pub(super) work: f64,
}

pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) order: Order,
    pub(super) queue: u32,
    pub(super) queue_timeout: f64,
    /// Clients give up after so long.
    pub(super) patience: f64,
    /// And try again so often, after 50 ms, 100 ms, 200 ms.
    pub(super) retries: u32,
    /// Measured from here to there.
    pub(super) measured: (f64, f64),
    pub(super) classes: Vec<Class>,
}

/// What became of one class in the time that was measured, by the moment at which a request first came.
#[derive(Default, Clone)]
pub(super) struct Fate {
    pub(super) offered: u32,
    pub(super) offered_work: f64,
    pub(super) good: u32,
    pub(super) good_work: f64,
    pub(super) latencies: Vec<f64>,
}

pub(super) struct Outcome {
    pub(super) classes: Vec<Fate>,
    /// Work offered and done in time, by half second of the request's first arrival.
    pub(super) bins: Vec<(f64, f64)>,
    /// Waits that lasted for the whole timeout, and the most that one of them lasted longer.
    pub(super) expired: u32,
    pub(super) latest_notice: f64,
    /// Waits that ended because too many others had gone first.
    pub(super) overtaken: u32,
    pub(super) longest_queue: u32,
    /// Work finished in time, whenever the request came, over what could have been: all that the server can do, or all
    /// that was offered where that was less.
    pub(super) goodput: f64,
    /// The same over all that the server could have done.
    pub(super) use_of_capacity: f64,
}

#[derive(Clone, Copy)]
struct Request {
    class: usize,
    work: f64,
    first: f64,
    came: f64,
    tries: u32,
    waits: Option<Ticket>,
    gone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival(usize),
    Retry(usize),
    GiveUp(usize),
    Done(usize),
    Tick,
}

pub(super) struct Simulation {
    setup: Setup,
    random: fastrand::Rng,
    bench: Bench,
    drain_rate: DrainRate,
    completed: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    serial: u64,
    now: f64,
    requests: Vec<Request>,
    outcome: Outcome,
}

impl Simulation {
    pub(super) fn run(setup: Setup) -> Outcome {
        println!("seed {}", setup.seed);
        let mut bench = Bench::with_order(setup.order);
        bench.room.limit = CAPACITY;
        let outcome = Outcome {
            classes: vec![Fate::default(); setup.classes.len()],
            bins: vec![(0.0, 0.0); (setup.measured.1 * 2.0) as usize + 1],
            expired: 0,
            latest_notice: 0.0,
            overtaken: 0,
            longest_queue: 0,
            goodput: 0.0,
            use_of_capacity: 0.0,
        };
        let mut simulation = Simulation {
            random: fastrand::Rng::with_seed(setup.seed),
            setup,
            bench,
            drain_rate: DrainRate::default(),
            completed: 0,
            events: BinaryHeap::new(),
            serial: 0,
            now: 0.0,
            requests: Vec::new(),
            outcome,
        };
        (0..simulation.setup.classes.len()).for_each(|class| simulation.plan_arrival(class));
        simulation.at(TICK, Event::Tick);
        simulation.go();
        let (from, to) = simulation.setup.measured;
        simulation.outcome.use_of_capacity = simulation.outcome.goodput / f64::from(CAPACITY) / (to - from);
        let bins = &simulation.outcome.bins[(from * 2.0) as usize..(to * 2.0) as usize];
        simulation.outcome.goodput /=
            bins.iter().map(|(offered, _)| offered.min(f64::from(CAPACITY) / 2.0)).sum::<f64>();
        simulation.outcome
    }

    fn go(&mut self) {
        // Those who come at the very end may still be served.
        let end = self.setup.measured.1 + 2.0;
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.now = at as f64 / 1e9;
            self.bench.now = self.bench.start + Duration::from_nanos(at);
            if self.now > end {
                return;
            }
            match event {
                Event::Arrival(class) => self.arrival(class),
                Event::Retry(id) => self.admit(id),
                Event::GiveUp(id) => self.give_up(id),
                Event::Done(id) => self.done(id),
                Event::Tick => {
                    self.at(TICK, Event::Tick);
                    while let Some(ticket) = self.bench.queue.next_due(self.bench.now) {
                        self.expire(ticket);
                    }
                }
            }
            self.measure();
        }
    }

    fn at(&mut self, after: f64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((((self.now + after) * 1e9) as u64, self.serial, event)));
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.random.f64()).ln()
    }

    fn plan_arrival(&mut self, class: usize) {
        let Class { like, peak, work, .. } = self.setup.classes[class];
        let rate = peak * f64::from(CAPACITY) / work / f64::from(like.seats);
        let after = self.exponential(1.0 / rate);
        self.at(after, Event::Arrival(class));
    }

    fn arrival(&mut self, class: usize) {
        self.plan_arrival(class);
        let Class { like, load, peak, surge, work } = self.setup.classes[class];
        let load = if surge.is_some_and(|(from, to)| (from..to).contains(&self.now)) { peak } else { load };
        if self.random.f64() > load / peak || self.now > self.setup.measured.1 {
            return;
        }
        let work = self.exponential(work);
        self.requests.push(Request { class, work, first: self.now, came: 0.0, tries: 0, waits: None, gone: false });
        let seat_work = work * f64::from(like.seats);
        self.outcome.bins[(self.now * 2.0) as usize].0 += seat_work;
        if self.now >= self.setup.measured.0 {
            let fate = &mut self.outcome.classes[class];
            fate.offered += 1;
            fate.offered_work += seat_work;
        }
        self.admit(self.requests.len() - 1);
    }

    fn admit(&mut self, id: usize) {
        self.requests[id].came = self.now;
        let like = self.setup.classes[self.requests[id].class].like;
        let Room { limit, in_flight } = self.bench.room;
        if self.bench.queue.is_empty() && in_flight + like.seats <= limit {
            self.at(self.setup.patience, Event::GiveUp(id));
            return self.start(id);
        }
        self.measure();
        if self.setup.order == Order::AdaptiveLifo
            && let Some(rate) = self.drain_rate.per_second().filter(|_| self.drain_rate.is_firm())
        {
            let backlog = self.bench.queue.backlog(like.key.as_ref(), like.level);
            if backlog.seats as f64 / rate > self.setup.queue_timeout {
                return self.fail(id);
            }
        }
        match self.bench.queue.room_for(self.bench.now, like.key.as_ref(), like.level, self.setup.queue) {
            Entry::Free => {}
            Entry::InPlaceOf(ticket, _) => {
                let loser = self.bench.queue.settle(ticket, ()).expect("it was waiting");
                self.bench.queue.remove(ticket);
                self.fail(loser as usize);
            }
            Entry::Refused(_) => return self.fail(id),
        }
        let timeout = Duration::from_secs_f64(self.setup.queue_timeout);
        self.requests[id].waits = Some(self.bench.push(id as u32, Like { timeout, ..like }));
        if self.now >= self.setup.measured.0 {
            self.outcome.longest_queue = self.outcome.longest_queue.max(self.bench.queue.len());
        }
        self.at(self.setup.patience, Event::GiveUp(id));
        self.hand_over();
    }

    fn measure(&mut self) {
        self.drain_rate.observe(self.bench.now, self.completed, !self.bench.queue.is_empty());
    }

    fn hand_over(&mut self) {
        while let Some(next) = self.bench.queue.next(self.bench.now, self.bench.room) {
            match next {
                Next::Expired(ticket) => self.expire(ticket),
                Next::Go(choice) => {
                    let ticket = choice.ticket();
                    let id = self.bench.queue.grant(choice, ()).expect("it was waiting");
                    self.bench.queue.remove(ticket);
                    self.start(id as usize);
                    self.push_out_overtaken();
                }
            }
        }
    }

    fn push_out_overtaken(&mut self) {
        while let Some(ticket) = self.bench.queue.next_overtaken(CAPACITY) {
            self.outcome.overtaken += 1;
            let id = self.bench.queue.settle(ticket, ()).expect("it was waiting") as usize;
            self.bench.queue.remove(ticket);
            self.fail(id);
        }
    }

    fn expire(&mut self, ticket: Ticket) {
        let id = self.bench.queue.settle(ticket, ()).expect("it was waiting") as usize;
        self.bench.queue.remove(ticket);
        self.outcome.expired += 1;
        let late = self.now - self.requests[id].came - self.setup.queue_timeout;
        self.outcome.latest_notice = self.outcome.latest_notice.max(late);
        self.fail(id);
    }

    fn start(&mut self, id: usize) {
        self.requests[id].waits = None;
        self.bench.room.in_flight += self.setup.classes[self.requests[id].class].like.seats;
        assert!(self.bench.room.in_flight <= CAPACITY, "more than the limit");
        self.at(self.requests[id].work, Event::Done(id));
    }

    fn done(&mut self, id: usize) {
        let Request { class, work, first, gone, .. } = self.requests[id];
        let seats = self.setup.classes[class].like.seats;
        self.bench.room.in_flight -= seats;
        self.completed += u64::from(seats);
        if !gone {
            self.requests[id].gone = true;
            let work = work * f64::from(seats);
            self.outcome.bins[(first * 2.0) as usize].1 += work;
            let (from, to) = self.setup.measured;
            if (from..to).contains(&self.now) {
                self.outcome.goodput += work;
            }
            if first >= from {
                let fate = &mut self.outcome.classes[class];
                fate.good += 1;
                fate.good_work += work;
                fate.latencies.push(self.now - first);
            }
        }
        self.hand_over();
    }

    fn give_up(&mut self, id: usize) {
        if self.requests[id].gone {
            return;
        }
        if let Some(ticket) = self.requests[id].waits {
            self.bench.queue.remove(ticket);
        }
        self.fail(id);
    }

    /// The client hears that it failed, or has lost patience. What tries again is another request of the same work.
    fn fail(&mut self, id: usize) {
        self.requests[id].gone = true;
        let request = self.requests[id];
        if request.tries < self.setup.retries {
            self.requests.push(Request { tries: request.tries + 1, waits: None, gone: false, ..request });
            let after = 0.05 * f64::from(1 << request.tries) * (0.5 + self.random.f64());
            self.at(after, Event::Retry(self.requests.len() - 1));
        }
    }
}

impl Fate {
    /// In percent of what was offered.
    pub(super) fn loss(&self) -> f64 {
        100.0 * (1.0 - f64::from(self.good) / f64::from(self.offered))
    }

    pub(super) fn p99(&self) -> f64 {
        let mut latencies = self.latencies.clone();
        latencies.sort_by(f64::total_cmp);
        latencies[(latencies.len() * 99 / 100).min(latencies.len() - 1)]
    }
}
