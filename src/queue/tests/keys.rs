//! Turns, caps, and what a flood of keys can do.

use std::collections::HashMap;
use std::num::NonZeroU32;

use super::*;

const fn n(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number)
}

#[test]
fn keys_take_turns_and_arrival_order_holds_within_each() {
    let mut bench = Bench::new();
    for waiter in 0..4 {
        bench.push(waiter, of("a"));
    }
    bench.push(10, of("b"));
    bench.push(11, of("b"));
    bench.push(20, PLAIN);
    assert_eq!(bench.drain(), [0, 10, 20, 1, 11, 2, 3]);
}

#[test]
fn one_who_comes_goes_before_the_next_turn_of_one_who_was_served() {
    let mut bench = Bench::new();
    for waiter in 0..10 {
        bench.push(waiter, Like { seats: 8, ..of("wide") });
    }
    bench.room.limit = 8;
    assert_eq!(bench.go(), Some(0));
    bench.push(100, of("narrow"));
    bench.end(8);
    assert_eq!(bench.go(), Some(100));
}

#[test]
fn turns_are_charged_by_seats_and_weight() {
    let mut rules = Rules::default();
    rules.keys.insert("double", KeyRule { weight: n(2), ..KeyRule::default() });
    let mut bench = Bench::with_rules(rules);
    bench.room.limit = 1000;
    for waiter in 0..400 {
        bench.push(waiter, of("plain"));
        bench.push(1000 + waiter, Like { seats: 4, ..of("wide") });
        bench.push(2000 + waiter, of("double"));
    }
    let mut seats = HashMap::new();
    for _ in 0..325 {
        let waiter = bench.go().unwrap();
        *seats.entry(waiter / 1000).or_insert(0) += if waiter / 1000 == 1 { 4 } else { 1 };
        bench.room.in_flight = 0;
    }
    assert!((99..=101).contains(&seats[&0]) && (96..=104).contains(&seats[&1]), "{seats:?}");
    assert!((198..=202).contains(&seats[&2]), "{seats:?}");
}

#[test]
fn a_key_that_was_away_has_saved_nothing_up() {
    let mut bench = Bench::new();
    for waiter in 0..100 {
        bench.push(waiter, of("a"));
    }
    for _ in 0..50 {
        bench.go();
        bench.end(1);
    }
    for waiter in 100..150 {
        bench.push(waiter, of("b"));
    }
    let first: Vec<_> = bench.drain().into_iter().take(20).collect();
    let of_b = first.iter().filter(|waiter| **waiter >= 100).count();
    assert!((9..=11).contains(&of_b), "{first:?}");
}

#[test]
fn new_keys_without_end_leave_an_old_key_its_turn() {
    // Two newcomers for each that goes, all of them with a key of their own.
    let names: Vec<&'static str> = (0..300).map(|name| &*Box::leak(name.to_string().into_boxed_str())).collect();
    let mut bench = Bench::new();
    for waiter in 0..20 {
        bench.push(waiter, of("old"));
    }
    let mut served = 0;
    for (waiter, pair) in (1000..).zip(names.chunks(2)) {
        for name in pair {
            bench.push(waiter, of(name));
        }
        served += u32::from(bench.go().unwrap() < 1000);
        bench.end(1);
    }
    // With one more in line each time, its share is the sum of 1/n: about five in 150.
    assert!((4..=8).contains(&served), "{served}");
}

#[test]
fn a_full_queue_drops_from_the_longest_key() {
    let mut bench = Bench::new();
    for waiter in 0..4 {
        bench.push(waiter, of("a"));
    }
    bench.push(10, of("b"));
    assert_eq!(bench.offer(4, of("a"), 5), Err(Why::LongestKey));
    assert_eq!(bench.offer(20, of("c"), 5), Ok(Some((3, Why::LongestKey))));
    assert_eq!(bench.offer(11, of("b"), 5), Ok(Some((2, Why::LongestKey))));
    // All are as long as its own would be.
    assert_eq!(bench.offer(21, of("c"), 5), Err(Why::Full));
    bench.queue.set_order(Order::Lifo);
    assert_eq!(bench.offer(22, of("c"), 5), Ok(Some((20, Why::Order))));
    assert_eq!(bench.queue.len(), 5);
}

#[test]
fn what_is_longest_is_seen_through_the_weights() {
    let mut rules = Rules::default();
    rules.keys.insert("heavy", KeyRule { weight: n(4), ..KeyRule::default() });
    let mut bench = Bench::with_rules(rules);
    for waiter in 0..4 {
        bench.push(waiter, of("heavy"));
        bench.push(10 + waiter, of("light"));
    }
    assert_eq!(bench.offer(4, of("heavy"), 8), Ok(Some((13, Why::LongestKey))));
    assert_eq!(bench.offer(14, of("light"), 8), Err(Why::LongestKey));
}

#[test]
fn a_key_may_have_only_so_many_waiting() {
    let rules = Rules { per_key_queue: Some(2), ..Rules::default() };
    let mut bench = Bench::with_rules(rules);
    assert_eq!(bench.offer(0, of("a"), 100), Ok(None));
    assert_eq!(bench.offer(1, Like { level: Level::Low, ..of("a") }, 100), Ok(None));
    assert_eq!(bench.offer(2, of("b"), 100), Ok(None));
    assert_eq!(bench.offer(3, Like { level: Level::Low, ..of("a") }, 100), Err(Why::KeyFull));
    assert_eq!(bench.offer(4, of("a"), 100), Ok(Some((1, Why::KeyFull))));
    assert_eq!(bench.offer(5, of("a"), 100), Err(Why::KeyFull));
    bench.queue.set_order(Order::Lifo);
    assert_eq!(bench.offer(6, of("a"), 100), Ok(Some((0, Why::KeyFull))));
}

/// Lets one go and keeps count under its key.
fn go(bench: &mut Bench) -> Option<(u32, FlowId)> {
    let Next::Go(choice) = bench.queue.next(bench.now, bench.room)? else { panic!("nobody expires here") };
    let ticket = choice.ticket();
    bench.room.in_flight += choice.seats();
    let waker = bench.queue.grant(choice, ())?;
    let flow = bench.queue.counted(ticket)?;
    bench.queue.remove(ticket);
    Some((waker, flow))
}

#[test]
fn a_capped_key_blocks_nobody_and_goes_on_when_one_of_its_own_ends() {
    let mut rules = Rules { per_key: n(2), ..Rules::default() };
    rules.keys.insert("b", KeyRule { per_key: n(1), ..KeyRule::default() });
    let mut bench = Bench::with_rules(rules);
    bench.room.limit = 100;
    let a = bench.queue.begin(Some(&"a"), 1).unwrap();
    for waiter in 0..3 {
        bench.push(waiter, of("a"));
        bench.push(10 + waiter, of("b"));
    }
    let went: Vec<_> = std::iter::from_fn(|| go(&mut bench)).collect();
    assert_eq!(went.iter().map(|(waker, _)| *waker).collect::<Vec<_>>(), [0, 10]);
    // Those who come do not pass those of their key who wait.
    assert_eq!(bench.queue.begin(Some(&"a"), 1), None);
    assert!(bench.queue.begin(Some(&"c"), 1).is_some());
    assert_eq!(bench.queue.key(Some(&"a")), Some(KeyView { key: Some(&"a"), waiting: 2, in_flight: 2 }));
    bench.queue.end(a, 1);
    assert_eq!(go(&mut bench).map(|(waker, _)| waker), Some(1));
    assert_eq!(go(&mut bench), None);
    bench.queue.end(went[1].1, 1);
    assert_eq!(go(&mut bench).map(|(waker, _)| waker), Some(11));
    assert_eq!(go(&mut bench), None);
    let top: Vec<_> = bench.queue.top_keys(2).iter().map(|view| view.key.copied()).collect();
    assert_eq!(top, [Some("a"), Some("b")]);
}

#[test]
fn new_rules_hold_for_the_keys_that_are_there() {
    let mut bench = Bench::with_rules(Rules { per_key: n(1), ..Rules::default() });
    bench.room.limit = 100;
    for waiter in 0..4 {
        bench.push(waiter, of("a"));
    }
    assert_eq!(std::iter::from_fn(|| go(&mut bench)).count(), 1);
    bench.queue.set_rules(Rules { per_key: n(3), ..Rules::default() });
    assert_eq!(std::iter::from_fn(|| go(&mut bench)).count(), 2);
}

#[test]
fn keys_beyond_the_most_share_a_flow_and_live_ones_stay() {
    let rules = Rules { per_key: n(1), max_keys: 2, ..Rules::default() };
    let mut bench = Bench::with_rules(rules);
    bench.room.limit = 1000;
    let a = bench.queue.begin(Some(&"a"), 1).unwrap();
    bench.push(0, of("b"));
    bench.push(1, of("c"));
    bench.push(2, of("d"));
    assert_eq!(bench.queue.keys_tracked(), 2);
    assert_eq!(bench.queue.key(None).unwrap().waiting, 2);
    assert_eq!(bench.queue.begin(Some(&"a"), 1), None);
    bench.queue.end(a, 1);
    // Its place is free again.
    assert!(bench.queue.begin(Some(&"e"), 1).is_some());
    assert_eq!(bench.queue.keys_tracked(), 2);
}

#[test]
fn a_key_is_forgotten_once_nothing_is_known_about_it() {
    let names: Vec<&'static str> = (0..1000).map(|name| &*Box::leak(name.to_string().into_boxed_str())).collect();
    let mut bench = Bench::with_rules(Rules { max_keys: 100, ..Rules::default() });
    for (waiter, name) in (0..).zip(&names) {
        bench.push(waiter, of(name));
        if waiter % 7 == 0 {
            bench.drain();
        }
        assert!(bench.queue.keys_tracked() <= 100);
    }
    bench.drain();
    // Freed a few at a time, as others leave.
    for waiter in 0..10 {
        let ticket = bench.push(waiter, PLAIN);
        bench.queue.remove(ticket);
    }
    // The shared flow's lane stays.
    assert_eq!((bench.queue.keys_tracked(), bench.queue.turns.indices().len()), (0, 1));
}

#[test]
fn those_whom_only_their_keys_cap_holds_back_are_ahead_of_nobody() {
    let mut bench = Bench::with_rules(Rules { per_key: NonZeroU32::new(1), ..Rules::default() });
    bench.queue.begin(Some(&"a"), 1).unwrap();
    let flow = bench.queue.begin(Some(&"b"), 1).unwrap();
    for waiter in 0..5 {
        bench.push(waiter, Like { level: Level::High, ..of("a") });
        bench.push(10 + waiter, of("b"));
    }
    assert_eq!(bench.queue.ahead(bench.now, Some(&"new"), Level::Normal), Ahead::default());
    bench.queue.end(flow, 1);
    assert_eq!(bench.queue.ahead(bench.now, Some(&"new"), Level::Low), Ahead { waiters: 5, seats: 5 });
    assert_eq!(bench.queue.ahead(bench.now, Some(&"new"), Level::Normal), Ahead { waiters: 1, seats: 1 });
}

#[test]
fn where_nobody_of_a_key_may_wait_the_first_may_not_either() {
    let mut bench = Bench::with_rules(Rules { per_key_queue: Some(0), ..Rules::default() });
    assert_eq!(bench.offer(0, of("a"), 10), Err(Why::KeyFull));
    assert_eq!(bench.offer(1, PLAIN, 10), Err(Why::KeyFull));
}
