//! The events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use sluicegate::queue::{DrainRate, Entry, Level, Next, Order, Queue, Room, Ticket, Waiter};

use super::controllers::{Controller, Sample};
use super::draw::exponential;
use super::server::Server;
use super::{Class, Setup, at};

/// What came out, by half second.
#[derive(Default, Clone)]
pub(crate) struct Outcome {
    pub(crate) bins: Vec<Bin>,
}

#[derive(Default, Clone)]
pub(crate) struct Bin {
    /// Work that was offered, and work that could be done of it at the knee.
    pub(crate) offered: f64,
    pub(crate) possible: f64,
    /// Work finished in time, by when it was finished.
    pub(crate) good: f64,
    pub(crate) limit: f64,
    pub(crate) in_flight: f64,
    /// Of those admitted, from arrival to the end.
    pub(crate) latencies: Vec<f32>,
    pub(crate) arrivals: u32,
    pub(crate) refused: u32,
}

pub(crate) const BIN: f64 = 0.5;
/// The housekeeper's visits.
pub(crate) const TICK: f64 = 0.010;

#[derive(Clone, Copy, PartialEq)]
enum Where {
    Gone,
    Waiting(Ticket),
    Inside,
}

#[derive(Clone, Copy)]
struct Request {
    /// Which of those that had this place: events of former ones are void.
    turn: u32,
    class: usize,
    work: f64,
    pause: f64,
    came: f64,
    started: f64,
    in_flight: u32,
    place: Where,
    given_up: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival(usize),
    GiveUp(u32, u32),
    Paused(u32),
    Tick,
}

struct Model<'a> {
    setup: &'a Setup,
    controller: &'a mut dyn Controller,
    random: fastrand::Rng,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    serial: u64,
    now: f64,
    start: Instant,
    server: Server,
    queue: Queue<u32, (), ()>,
    rate: DrainRate,
    completed: u64,
    limit: u32,
    in_flight: u32,
    requests: Vec<Request>,
    free: Vec<u32>,
    high: bool,
    turns_at: f64,
    outcome: Outcome,
}

pub(crate) fn run(setup: &Setup, controller: &mut dyn Controller) -> Outcome {
    let mut queue = Queue::default();
    queue.set_order(Order::AdaptiveLifo);
    let mut model = Model {
        setup,
        random: fastrand::Rng::with_seed(setup.seed),
        events: BinaryHeap::new(),
        serial: 0,
        now: 0.0,
        start: Instant::now(),
        server: Server::new(at(&setup.capacity, 0.0), setup.crowding),
        queue,
        rate: DrainRate::default(),
        completed: 0,
        limit: controller.limit(),
        in_flight: 0,
        requests: Vec::new(),
        free: Vec::new(),
        high: false,
        turns_at: 0.0,
        outcome: Outcome { bins: vec![Bin::default(); (setup.ends / BIN).ceil() as usize + 1] },
        controller,
    };
    (0..setup.classes.len()).for_each(|class| model.plan_arrival(class));
    model.at(TICK, Event::Tick);
    model.go();
    for (index, bin) in model.outcome.bins.iter_mut().enumerate() {
        bin.possible = bin.offered.min(at(&setup.capacity, index as f64 * BIN) * BIN);
    }
    model.outcome
}

impl Model<'_> {
    fn go(&mut self) {
        while let Some(Reverse((due, _, event))) = self.events.peek().copied() {
            let due = due as f64 / 1e9;
            if let Some(next) = self.server.next().filter(|next| self.now + next <= due) {
                self.pass(self.now + next);
                let id = self.server.end_next();
                self.done(id);
                continue;
            }
            if due > self.setup.ends {
                return;
            }
            self.pass(due);
            self.events.pop();
            match event {
                Event::Arrival(class) => self.arrival(class),
                Event::GiveUp(id, turn) => self.give_up(id, turn),
                Event::Paused(id) => self.server.begin(id, self.requests[id as usize].work),
                Event::Tick => self.tick(),
            }
        }
    }

    fn pass(&mut self, to: f64) {
        self.server.pass((to - self.now).max(0.0));
        self.now = to;
    }

    fn at(&mut self, after: f64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((((self.now + after) * 1e9) as u64, self.serial, event)));
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.now)
    }

    fn bin(&mut self) -> &mut Bin {
        &mut self.outcome.bins[(self.now / BIN) as usize]
    }

    /// The most that a class ever sends; what it does not is left out on arrival.
    fn peak(&self, class: usize) -> f64 {
        let steady = self.setup.classes[class].per_second.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        steady * self.setup.bursts.map_or(1.0, |bursts| bursts.times)
    }

    fn plan_arrival(&mut self, class: usize) {
        let mean = 1.0 / self.peak(class);
        let after = exponential(&mut self.random, mean);
        self.at(after, Event::Arrival(class));
    }

    fn burst(&mut self) -> f64 {
        let Some(bursts) = self.setup.bursts else { return 1.0 };
        while self.now >= self.turns_at {
            self.high = !self.high;
            self.turns_at += exponential(&mut self.random, if self.high { bursts.high } else { bursts.low });
        }
        match self.high {
            true => bursts.times,
            false => ((bursts.high + bursts.low - bursts.times * bursts.high) / bursts.low).max(0.0),
        }
    }

    fn arrival(&mut self, class: usize) {
        self.plan_arrival(class);
        let Class { per_second, pause, work, patience } = &self.setup.classes[class];
        let rate = at(per_second, self.now) * self.burst();
        if self.random.f64() >= rate / self.peak(class) {
            return;
        }
        let pause = pause.draw(&mut self.random) * at(&self.setup.pauses, self.now);
        let work = work.draw(&mut self.random);
        let patience = *patience;
        self.bin().offered += work;
        self.bin().arrivals += 1;
        let limit = self.limit;
        let room = self.queue.is_empty() && self.in_flight < limit;
        self.controller.arrival(!room);
        if !room && self.is_in_vain() {
            self.bin().refused += 1;
            return;
        }
        let request = Request {
            turn: 0,
            class,
            work,
            pause,
            came: self.now,
            started: 0.0,
            in_flight: 0,
            place: Where::Inside,
            given_up: false,
        };
        let id = self.place(request);
        self.at(patience, Event::GiveUp(id, self.requests[id as usize].turn));
        if room { self.begin(id) } else { self.join(id) }
    }

    fn place(&mut self, request: Request) -> u32 {
        match self.free.pop() {
            Some(id) => {
                let turn = self.requests[id as usize].turn + 1;
                self.requests[id as usize] = Request { turn, ..request };
                id
            }
            None => {
                self.requests.push(request);
                self.requests.len() as u32 - 1
            }
        }
    }

    fn is_in_vain(&mut self) -> bool {
        let now = self.instant();
        self.rate.observe(now, self.completed, !self.queue.is_empty());
        let Some(rate) = self.rate.per_second() else { return false };
        self.queue.backlog(None, Level::Normal).seats as f64 / rate > self.setup.queue_timeout
    }

    /// As wide as the configuration's default.
    fn join(&mut self, id: u32) {
        let (now, capacity) = (self.instant(), (4 * self.limit).clamp(16, 1000));
        match self.queue.room_for(now, None, Level::Normal, capacity) {
            Entry::Free => {}
            Entry::InPlaceOf(ticket, _) => {
                let loser = self.queue.settle(ticket, ()).expect("it was waiting");
                self.queue.remove(ticket);
                self.refuse(loser);
            }
            Entry::Refused(_) => return self.refuse(id),
        }
        let deadline = now + Duration::from_secs_f64(self.setup.queue_timeout);
        let waiter =
            Waiter { waker: id, tag: id.into(), key: None, level: Level::Normal, seats: 1, since: now, deadline };
        self.requests[id as usize].place = Where::Waiting(self.queue.push(now, waiter));
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let now = self.instant();
        while let Some(next) = self.queue.next(now, Room { limit: self.limit, in_flight: self.in_flight }) {
            match next {
                Next::Expired(ticket) => self.expire(ticket),
                Next::Go(choice) => {
                    let ticket = choice.ticket();
                    let id = self.queue.grant(choice, ()).expect("it was waiting");
                    self.queue.remove(ticket);
                    self.begin(id);
                }
            }
        }
    }

    fn expire(&mut self, ticket: Ticket) {
        let id = self.queue.settle(ticket, ()).expect("it was waiting");
        self.queue.remove(ticket);
        self.refuse(id);
    }

    fn refuse(&mut self, id: u32) {
        self.bin().refused += 1;
        self.leave(id);
    }

    fn leave(&mut self, id: u32) {
        self.requests[id as usize].place = Where::Gone;
        self.free.push(id);
    }

    fn begin(&mut self, id: u32) {
        let (now, in_flight) = (self.now, self.in_flight);
        self.in_flight += 1;
        assert!(self.in_flight <= self.limit, "more than the limit");
        let request = &mut self.requests[id as usize];
        (request.place, request.started, request.in_flight) = (Where::Inside, now, in_flight);
        let (pause, work) = (request.pause, request.work);
        if pause > 0.0 {
            self.at(pause, Event::Paused(id))
        } else {
            self.server.begin(id, work)
        }
        self.controller.began(in_flight + 1);
    }

    fn done(&mut self, id: u32) {
        let request = self.requests[id as usize];
        if !(request.given_up && self.setup.forgets) {
            self.in_flight -= 1;
            self.completed += 1;
        }
        if !request.given_up {
            let (now, in_flight) = (self.now, request.in_flight);
            self.controller.sample(Sample { now, time: now - request.started, in_flight, cut: false });
            let bin = self.bin();
            bin.good += request.work;
            bin.latencies.push((now - request.came) as f32);
        }
        self.leave(id);
        self.hand_over();
    }

    fn give_up(&mut self, id: u32, turn: u32) {
        let request = self.requests[id as usize];
        if request.turn != turn {
            return;
        }
        match request.place {
            Where::Gone => {}
            Where::Waiting(ticket) => {
                self.queue.remove(ticket);
                self.leave(id);
            }
            Where::Inside => {
                self.requests[id as usize].given_up = true;
                let (now, in_flight) = (self.now, request.in_flight);
                self.controller.sample(Sample { now, time: now - request.started, in_flight, cut: true });
                if self.setup.forgets {
                    self.in_flight -= 1;
                    self.completed += 1;
                    self.hand_over();
                }
            }
        }
    }

    fn tick(&mut self) {
        self.at(TICK, Event::Tick);
        self.server.capacity = at(&self.setup.capacity, self.now);
        let now = self.instant();
        while let Some(ticket) = self.queue.next_due(now) {
            self.expire(ticket);
        }
        self.controller.tick(self.now, self.in_flight);
        self.limit = self.controller.limit();
        let share = TICK / BIN;
        let (limit, in_flight) = (f64::from(self.limit), f64::from(self.in_flight));
        let bin = self.bin();
        bin.limit += limit * share;
        bin.in_flight += in_flight * share;
        self.hand_over();
    }
}
