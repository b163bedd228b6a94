//! Endpoints that come and go while requests are sent.

use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use super::super::settings::{Endpoint, Settings};
use super::super::site::Site;
use super::*;

/// Lets through as many as it was told: `[limit: 32 | in flight: 32]`.
#[derive(Default)]
struct Gate(AtomicU64);

impl Gate {
    fn enter(&self) -> bool {
        let more = |word: u64| ((word as u32) < (word >> 32) as u32).then_some(word + 1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    fn set_limit(&self, limit: u32) {
        let set = |word: u64| Some(u64::from(word as u32) | u64::from(limit) << 32);
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, set);
    }

    fn limit(&self) -> u32 {
        (self.0.load(Ordering::SeqCst) >> 32) as u32
    }
}

#[test]
fn whoever_was_let_in_finds_a_slot_also_while_endpoints_come_and_go() {
    const SLOTS: [u32; 3] = [1, 2, 3];
    let endpoints = ["a", "b", "c"].map(|host| Endpoint { host: host.to_owned(), port: 1 });
    let slots = SLOTS.into_iter().filter_map(NonZeroU32::new).collect();
    let settings = Settings { endpoints: endpoints.to_vec(), slots, ..Settings::new("u", endpoints[0].clone()) };
    let members = Arc::new(Members::new());
    members.put(&settings, 1);
    let gate = Arc::new(Gate::default());
    let told = gate.clone();
    members.tell_slots(Box::new(move |slots| told.set_limit(slots.get())));
    assert_eq!(gate.limit(), 6);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    if !gate.enter() {
                        thread::yield_now();
                        continue;
                    }
                    let seat = members.seat(Balance::LeastInFlight, &[], true).expect("one is up");
                    let at = endpoints.iter().position(|endpoint| seat.member().is_at(&Site::new(endpoint))).unwrap();
                    assert!(seat.member().load().taken() <= SLOTS[at], "one too many");
                    drop(seat);
                    gate.leave();
                }
            });
        }
        scope.spawn(|| {
            for round in 0..2_000 {
                let load = members.list.load()[round % 2].load().clone();
                assert!(members.take_out_unless_last(&load, Out::Ejected));
                thread::yield_now();
                load.set(Out::Ejected, false);
                members.recount();
            }
        });
    });
    assert_eq!(gate.limit(), 6);
    assert!(members.list.load().iter().all(|member| (member.load().taken(), member.load().in_flight()) == (0, 0)));
}

#[test]
fn the_last_endpoint_stays() {
    let endpoint = Endpoint { host: "a".to_owned(), port: 1 };
    let members = Arc::new(Members::new());
    members.put(&Settings::new("u", endpoint), 1);
    let load = members.list.load()[0].load().clone();
    assert!(!members.take_out_unless_last(&load, Out::Ejected) && !load.is_out());
}

fn two() -> Arc<Members> {
    let endpoints = ["a", "b"].map(|host| Endpoint { host: host.to_owned(), port: 1 });
    let members = Arc::new(Members::new());
    let settings = Settings::new("u", endpoints[0].clone());
    let respect_retry_after = Some(Duration::from_secs(60));
    members.put(&Settings { endpoints: endpoints.to_vec(), respect_retry_after, ..settings }, 1);
    members
}

#[test]
fn who_is_paused_is_passed_over_and_the_last_one_closes_the_line_but_not_for_those_on_their_way() {
    let members = two();
    let soon = Instant::now() + Duration::from_secs(9);
    let [one, other] = [0, 1].map(|at| members.list.load()[at].load().clone());
    assert!(members.pause(&one, soon) && !members.pause(&one, soon));
    for _ in 0..20 {
        let seat = members.seat(Balance::LeastInFlight, &[], false).unwrap();
        assert!(Arc::ptr_eq(seat.member().load(), &other));
    }
    assert!(!members.line.is_closed());
    let later = soon + Duration::from_secs(1);
    assert!(members.pause(&other, later));
    assert!(members.line.is_closed() && members.line.back() == Some(soon));
    assert!(members.seat(Balance::LeastInFlight, &[], false).is_some());
    // One that is ill as well is not soon back.
    assert!(members.set(&one, Out::Down, true));
    assert_eq!(members.line.back(), Some(later));
    assert!(members.set(&other, Out::Down, true));
    assert!(members.line.back().is_none() && members.seat(Balance::LeastInFlight, &[], false).is_none());
}

#[test]
fn one_that_was_ejected_comes_back_for_a_loss_and_not_for_a_pause() {
    let members = two();
    let [one, other] = [0, 1].map(|at| members.list.load()[at].load().clone());
    assert!(members.take_out_unless_last(&one, Out::Ejected));
    assert!(members.pause(&other, Instant::now() + Duration::from_secs(9)));
    assert!(one.is(Out::Ejected) && members.line.is_closed());
    assert!(members.set(&other, Out::Down, true));
    assert!(!one.is_out() && !members.line.is_closed());
}
