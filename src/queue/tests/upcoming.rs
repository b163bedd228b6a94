//! What is told of the order is the order.

use std::collections::HashMap;
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

const KEYS: [Option<&str>; 4] = [None, Some("a"), Some("b"), Some("heavy")];

fn rules() -> Rules<&'static str> {
    let heavy = KeyRule { weight: NonZeroU32::new(3), ..KeyRule::default() };
    Rules { keys: [("heavy", heavy)].into(), ..Rules::default() }
}

proptest! {
    #[test]
    fn all_go_in_the_order_that_was_told(
        order in prop::sample::select(vec![Order::Fifo, Order::Lifo, Order::AdaptiveLifo]),
        steps in prop::collection::vec((0..KEYS.len(), 0..5_usize, 1..4_u32, 0..80_u64, 0..4_u32), 1..80),
    ) {
        let mut bench = Bench::with_rules(rules());
        bench.queue.set_order(order);
        let mut numbers = HashMap::new();
        for (number, (key, level, seats, pause, kind)) in (0..).zip(steps) {
            bench.pass(pause * 10);
            // Some go before, so that turns have been had, and others leave from the middle.
            if kind == 0 {
                bench.room = Room { limit: 1, in_flight: 0 };
                bench.go();
            }
            let ticket = bench.push(number, Like { key: KEYS[key], level: Level::ALL[level], seats, ..PLAIN });
            numbers.insert(ticket, number);
            if kind == 1 && number % 7 == 3 {
                bench.queue.remove(ticket);
            }
        }
        let told: Vec<u32> = bench.queue.upcoming(bench.now).map(|standing| numbers[&standing.ticket]).collect();
        prop_assert_eq!(told, bench.drain());
    }
}

#[test]
fn who_waits_is_shown_with_what_it_asks() {
    let mut bench = Bench::new();
    bench.push(0, PLAIN);
    bench.pass(30);
    let ticket = bench.push(1, Like { level: Level::High, seats: 2, ..of("a") });
    let now = bench.now;
    let first = bench.queue.upcoming(now).next().unwrap();
    assert_eq!(first, Standing { ticket, tag: 0, key: Some(&"a"), level: Level::High, seats: 2, since: now });
    assert_eq!(bench.queue.upcoming(now).count(), 2);
}

#[test]
fn who_is_saved_up_for_stays_first_though_newer_ones_come() {
    let mut bench = Bench::with_order(Order::Lifo);
    bench.room = Room { limit: 4, in_flight: 2 };
    let first = bench.push(0, Like { seats: 3, ..PLAIN });
    assert_eq!(bench.go(), None);
    bench.push(1, PLAIN);
    let last = bench.push(2, PLAIN);
    let tickets: Vec<_> = bench.queue.upcoming(bench.now).map(|standing| standing.ticket).collect();
    assert_eq!(tickets[..2], [first, last]);
    assert_eq!(bench.drain(), [0, 2, 1]);
}
