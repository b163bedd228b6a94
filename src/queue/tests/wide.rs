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
fn capacity_is_kept_for_a_second_then_open_for_a_second_then_kept_for_two() {
    let mut bench = wide_first();
    assert_eq!([bench.go(), bench.go(), bench.go()], [Some(1), Some(2), None]);
    bench.end(1);
    assert_eq!([bench.go(), bench.go()], [Some(3), None]);
    bench.end(1);
    bench.pass(999);
    assert_eq!(bench.go(), None);
    bench.pass(1);
    assert_eq!([bench.go(), bench.go()], [Some(4), None]);
    bench.end(1);
    bench.pass(999);
    assert_eq!([bench.go(), bench.go()], [Some(5), None]);
    bench.end(1);
    bench.pass(1);
    assert_eq!(bench.go(), None);
    bench.pass(1999);
    assert_eq!(bench.go(), None);
    bench.pass(1);
    assert_eq!([bench.go(), bench.go()], [Some(6), None]);
}

#[test]
fn those_behind_it_in_its_own_lane_go_in_turn_while_nothing_is_kept() {
    let mut bench = Bench::new();
    bench.room = Room { limit: 10, in_flight: 5 };
    bench.push(0, Like { seats: 8, ..PLAIN });
    bench.push(1, PLAIN);
    bench.push(2, Like { seats: 7, ..PLAIN });
    bench.push(3, PLAIN);
    assert_eq!(bench.go(), None);
    bench.pass(1000);
    assert_eq!([bench.go(), bench.go(), bench.go()], [Some(1), Some(3), None]);
    bench.end(5);
    assert_eq!([bench.go(), bench.go()], [Some(0), None]);
}

#[test]
fn a_wide_one_goes_once_capacity_is_kept_for_longer_than_the_narrow_take() {
    // Each narrow one takes three seconds, and there are always more of them.
    let mut bench = Bench::new();
    bench.room = Room { limit: 10, in_flight: 10 };
    bench.push(0, Like { seats: 8, ..PLAIN });
    let mut ends: std::collections::VecDeque<u64> = (1..=10).map(|n| 300 * n).collect();
    let (mut idle, mut went) = (0, None);
    for (id, tenth) in (1..).zip(0..200u64) {
        let now = 100 * tenth;
        while ends.front().is_some_and(|end| *end <= now) {
            ends.pop_front();
            bench.end(1);
        }
        for n in 0..10 {
            bench.push(10 * id + n, PLAIN);
        }
        while let Some(waiter) = bench.go() {
            if waiter == 0 {
                went = Some(now);
                break;
            }
            ends.push_back(now + 3000);
        }
        if went.is_some() {
            break;
        }
        idle += 10 - bench.room.in_flight;
        bench.pass(100);
    }
    let went = went.expect("it starves");
    assert!(went <= 10_000, "after {went} ms");
    assert!(u64::from(idle) * 100 <= 10 * went / 2, "{idle} seat-tenths idle in {went} ms");
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
