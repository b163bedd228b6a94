//! Requests that take several seats.

use super::*;

fn seats(seats: u32, key: &'static str) -> Like {
    Like { seats, ..of(key) }
}

/// A wide one at the head of a limit of 4 with 2 free, and narrow ones of another key behind it.
fn wide_first() -> Bench {
    let mut bench = Bench::new();
    bench.room = Room { limit: 4, in_flight: 2 };
    bench.push(0, seats(3, "wide"));
    for waiter in 1..20 {
        bench.push(waiter, seats(1, "narrow"));
    }
    bench
}

#[test]
fn narrow_ones_of_other_keys_pass_a_wide_one_for_as_many_seats_as_it_wants_and_no_more() {
    let mut bench = wide_first();
    assert_eq!([bench.go(), bench.go(), bench.go()], [Some(1), Some(2), None]);
    bench.end(1);
    assert_eq!([bench.go(), bench.go()], [Some(3), None]);
    // Three have passed; from now on it is saved up.
    bench.end(1);
    assert_eq!(bench.go(), None);
    bench.end(1);
    assert_eq!(bench.go(), None);
    bench.end(1);
    assert_eq!([bench.go(), bench.go()], [Some(0), None]);
}

#[test]
fn nobody_of_its_own_key_and_level_passes_a_wide_one() {
    let mut bench = Bench::new();
    bench.room = Room { limit: 4, in_flight: 2 };
    bench.push(0, seats(3, "a"));
    bench.push(1, seats(1, "a"));
    assert_eq!(bench.go(), None);
    bench.push(2, Like { level: Level::Low, ..seats(1, "a") });
    assert_eq!([bench.go(), bench.go()], [Some(2), None]);
}

#[test]
fn what_passes_is_counted_anew_for_the_next_wide_one() {
    let mut bench = wide_first();
    let next = bench.push(100, seats(3, "wide"));
    assert_eq!([bench.go(), bench.go(), bench.go()], [Some(1), Some(2), None]);
    let Some(Next::Go(_)) = bench.queue.next(bench.now, Room { limit: 4, in_flight: 0 }) else { panic!() };
    bench.end(3);
    assert_eq!(bench.go(), Some(0));
    assert!(bench.queue.waker_mut(next).is_some());
}

#[test]
fn one_that_capacity_is_saved_up_for_stays_next_whoever_comes() {
    let mut bench = Bench::with_order(Order::Lifo);
    bench.room = Room { limit: 4, in_flight: 4 };
    bench.push(0, seats(4, "a"));
    assert_eq!(bench.go(), None);
    // Nothing is saved up yet.
    bench.push(1, seats(3, "a"));
    bench.end(1);
    assert_eq!(bench.go(), None);
    bench.push(2, seats(1, "a"));
    assert_eq!(bench.go(), None);
    bench.end(3);
    assert_eq!([bench.go(), bench.go(), bench.go()], [Some(1), Some(2), None]);
}

#[test]
fn one_that_leaves_takes_its_claim_along() {
    let mut bench = Bench::new();
    bench.room = Room { limit: 4, in_flight: 4 };
    let wide = bench.push(0, seats(4, "a"));
    bench.push(1, seats(1, "a"));
    assert_eq!(bench.go(), None);
    bench.end(1);
    assert_eq!(bench.go(), None);
    bench.queue.remove(wide);
    assert_eq!(bench.go(), Some(1));
}

#[test]
fn one_wider_than_the_limit_runs_alone() {
    let mut bench = Bench::new();
    bench.room = Room { limit: 4, in_flight: 1 };
    bench.push(0, seats(9, "a"));
    for waiter in 1..20 {
        bench.push(waiter, seats(1, "b"));
    }
    // Four pass, as many as it will take.
    assert_eq!([bench.go(), bench.go(), bench.go(), bench.go()], [Some(1), Some(2), Some(3), None]);
    bench.end(1);
    assert_eq!([bench.go(), bench.go()], [Some(4), None]);
    for _ in 0..3 {
        bench.end(1);
        assert_eq!(bench.go(), None);
    }
    bench.end(1);
    assert_eq!([bench.go(), bench.go()], [Some(0), None]);
}

#[test]
fn the_more_urgent_do_not_wait_for_a_wide_one() {
    let mut bench = wide_first();
    assert_eq!([bench.go(), bench.go()], [Some(1), Some(2)]);
    for waiter in 100..110 {
        bench.push(waiter, Like { level: Level::High, ..seats(1, "urgent") });
    }
    for waiter in 100..110 {
        bench.end(1);
        assert_eq!(bench.go(), Some(waiter));
    }
}
