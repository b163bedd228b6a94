use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::*;

fn drain(line: &mut Line<u32, ()>) -> Vec<u32> {
    std::iter::from_fn(|| {
        let ticket = line.front()?;
        let waker = line.settle(ticket, ())?;
        line.remove(ticket);
        Some(waker)
    })
    .collect()
}

#[test]
fn arrival_order_is_the_order_of_leaving() {
    let now = Instant::now();
    let mut line = Line::default();
    for waiter in 0..5 {
        line.push(waiter, now, now);
    }
    assert_eq!(drain(&mut line), [0, 1, 2, 3, 4]);
    assert!(line.is_empty());
}

#[test]
fn one_that_leaves_does_not_disturb_the_rest() {
    let now = Instant::now();
    for leaver in 0..4 {
        let mut line = Line::default();
        let tickets: Vec<_> = (0..4).map(|waiter| line.push(waiter, now, now)).collect();
        assert_eq!(line.remove(tickets[leaver as usize]), None);
        assert_eq!(line.len(), 3);
        let expected: Vec<_> = (0..4).filter(|waiter| *waiter != leaver).collect();
        assert_eq!(drain(&mut line), expected);
    }
}

#[test]
fn a_verdict_waits_for_its_waiter_and_is_collected_once() {
    let mut line: Line<(), &str> = Line::default();
    let ticket = line.push((), Instant::now(), Instant::now());
    assert_eq!(line.settle(ticket, "granted"), Some(()));
    assert_eq!(line.settle(ticket, "again"), None);
    assert_eq!(line.len(), 0);
    assert_eq!(line.remove(ticket), Some("granted"));
    assert_eq!(line.remove(ticket), None);
}

#[test]
fn an_old_ticket_finds_nothing_in_a_slot_that_was_used_again() {
    let now = Instant::now();
    let mut line: Line<u32, ()> = Line::default();
    let old = line.push(1, now, now);
    line.remove(old);
    let new = line.push(2, now, now);
    assert_eq!(line.settle(old, ()), None);
    assert_eq!(line.waker_mut(old), None);
    assert_eq!(line.settle(new, ()), Some(2));
}

#[test]
fn the_due_are_found_whatever_their_order() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut line = Line::default();
    for (waiter, deadline) in [(0, 30), (1, 10), (2, 20), (3, 50)] {
        line.push(waiter, start, at(deadline));
    }
    assert_eq!(line.next_deadline(), Some(at(10)));
    assert_eq!(line.next_due(at(9)), None);
    let mut due = Vec::new();
    while let Some(ticket) = line.next_due(at(30)) {
        due.extend(line.settle(ticket, ()));
    }
    due.sort_unstable();
    assert_eq!(due, [0, 1, 2]);
    assert_eq!(line.next_deadline(), Some(at(50)));
}

/// Random arrivals, departures, verdicts and expiries against a plain deque.
#[test]
fn agrees_with_a_plain_model() {
    for seed in 0..50 {
        let mut random = fastrand::Rng::with_seed(seed);
        let start = Instant::now();
        let mut now = start;
        let mut line: Line<u64, ()> = Line::default();
        let mut model: VecDeque<(u64, Ticket, Instant)> = VecDeque::new();
        let mut settled: Vec<Ticket> = Vec::new();
        for id in 0..400 {
            now += Duration::from_millis(random.u64(0..5));
            match random.u32(0..10) {
                0..=4 => {
                    let deadline = now + Duration::from_millis(random.u64(1..60));
                    model.push_back((id, line.push(id, now, deadline), deadline));
                }
                5..=6 if !model.is_empty() => {
                    let (_, ticket, _) = model.remove(random.usize(0..model.len())).unwrap();
                    assert_eq!(line.remove(ticket), None, "seed {seed}");
                }
                7 => {
                    let front = line.front();
                    assert_eq!(front, model.front().map(|(_, ticket, _)| *ticket), "seed {seed}");
                    if let Some(ticket) = front {
                        assert_eq!(line.settle(ticket, ()), model.pop_front().map(|(id, ..)| id), "seed {seed}");
                        settled.push(ticket);
                    }
                }
                8 => {
                    while let Some(ticket) = line.next_due(now) {
                        let place = model.iter().position(|(_, t, _)| *t == ticket).unwrap();
                        let (id, _, deadline) = model.remove(place).unwrap();
                        assert!(deadline <= now, "seed {seed}");
                        assert_eq!(line.settle(ticket, ()), Some(id), "seed {seed}");
                        settled.push(ticket);
                    }
                    assert!(model.iter().all(|(.., deadline)| *deadline > now), "seed {seed}");
                }
                _ => {
                    for ticket in settled.drain(..) {
                        assert_eq!(line.remove(ticket), Some(()), "seed {seed}");
                    }
                }
            }
            assert_eq!(line.len() as usize, model.len(), "seed {seed}");
        }
    }
}

#[test]
fn the_drain_rate_is_completions_per_second() {
    let start = Instant::now();
    let mut rate = DrainRate::default();
    assert_eq!(rate.per_second(), None);
    for tenth in 0..=100 {
        rate.observe(start + Duration::from_millis(100 * tenth), 5 * tenth);
    }
    let measured = rate.per_second().unwrap();
    assert!((45.0..55.0).contains(&measured), "{measured}");
}

#[test]
fn the_drain_rate_forgets_time_in_which_nobody_asked() {
    let start = Instant::now();
    let mut rate = DrainRate::default();
    rate.observe(start, 0);
    rate.observe(start + Duration::from_secs(1), 100);
    rate.observe(start + Duration::from_secs(1000), 101);
    rate.observe(start + Duration::from_secs(1001), 201);
    let measured = rate.per_second().unwrap();
    assert!((99.0..101.0).contains(&measured), "{measured}");
}
