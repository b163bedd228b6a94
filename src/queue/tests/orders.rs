//! Oldest or newest first, and what that means for a full queue.

use std::collections::HashMap;

use super::*;

#[test]
fn newest_first_is_the_reverse() {
    let mut bench = Bench::with_order(Order::Lifo);
    for waiter in 0..4 {
        bench.push(waiter, PLAIN);
    }
    assert_eq!(bench.drain(), [3, 2, 1, 0]);
}

#[test]
fn the_order_can_change_while_they_wait() {
    let mut bench = Bench::new();
    for waiter in 0..4 {
        bench.push(waiter, PLAIN);
    }
    bench.queue.set_order(Order::Lifo);
    assert_eq!(bench.go(), Some(3));
    bench.queue.set_order(Order::Fifo);
    assert_eq!(bench.drain(), [0, 1, 2]);
}

#[test]
fn adaptive_is_newest_first_once_the_queue_has_stood_and_oldest_first_once_it_was_empty() {
    let mut bench = Bench::with_order(Order::AdaptiveLifo);
    for waiter in 0..3 {
        bench.push(waiter, PLAIN);
    }
    bench.pass(99);
    assert_eq!(bench.go(), Some(0));
    bench.pass(1);
    assert_eq!(bench.queue.ahead(bench.now, None, Level::Normal), Ahead::default());
    assert_eq!(bench.drain(), [2, 1]);
    bench.push(3, PLAIN);
    bench.push(4, PLAIN);
    assert_eq!(bench.drain(), [3, 4]);
}

#[test]
fn who_gives_way_is_who_would_go_last() {
    let mut bench = Bench::new();
    for waiter in 0..3 {
        assert_eq!(bench.offer(waiter, PLAIN, 3), Ok(None));
    }
    assert_eq!(bench.offer(3, PLAIN, 3), Err(Why::Full));
    bench.queue.set_order(Order::Lifo);
    assert_eq!(bench.offer(4, PLAIN, 3), Ok(Some((0, Why::Order))));
    assert_eq!(bench.drain(), [4, 2, 1]);
    assert_eq!(bench.offer(5, PLAIN, 0), Err(Why::Full));
}

#[test]
fn the_place_in_line_is_how_many_go_first() {
    let mut bench = Bench::new();
    for waiter in 0..5 {
        let ahead = bench.queue.ahead(bench.now, None, Level::Normal);
        assert_eq!(ahead, Ahead { waiters: waiter, seats: u64::from(waiter) * 2 });
        bench.push(waiter, Like { seats: 2, ..PLAIN });
    }
    bench.queue.set_order(Order::Lifo);
    assert_eq!(bench.queue.ahead(bench.now, None, Level::Normal), Ahead::default());
    bench.pass(1500);
    assert_eq!(bench.queue.oldest_since(), Some(bench.start));
}

#[test]
fn a_key_that_floods_turns_around_and_the_others_do_not() {
    let mut bench = Bench::with_order(Order::AdaptiveLifo);
    for waiter in 0..4 {
        bench.push(waiter, of("flood"));
    }
    bench.pass(100);
    bench.push(10, of("quiet"));
    bench.push(11, of("quiet"));
    assert_eq!(bench.drain(), [3, 10, 2, 11, 1, 0]);
}

/// Four seats of a service that takes twenty seconds: one in five seconds comes free, and one comes every four.
#[test]
fn who_waits_for_a_slow_service_is_let_go_of_only_after_a_hundred_turns() {
    let mut bench = Bench::with_order(Order::AdaptiveLifo);
    let mut numbers = HashMap::new();
    let mut gone = Vec::new();
    numbers.insert(bench.push(0, PLAIN), 0);
    for turn in 1..=101 {
        numbers.insert(bench.push(turn, PLAIN), turn);
        bench.pass(5000);
        assert_eq!(bench.go(), Some(turn));
        bench.end(1);
        if let Some(ticket) = bench.queue.next_overtaken(4) {
            gone.push((turn, numbers[&ticket]));
            bench.queue.settle(ticket, ());
            bench.queue.remove(ticket);
        }
    }
    assert_eq!(gone, [(100, 0)]);
}

#[test]
fn of_a_large_limit_one_is_overtaken_twice_for_each_seat_and_in_the_other_orders_never_let_go_of() {
    for (order, limit, expected) in
        [(Order::AdaptiveLifo, 4, 100), (Order::AdaptiveLifo, 80, 160), (Order::Lifo, 4, 500), (Order::Fifo, 4, 500)]
    {
        let mut bench = Bench::with_order(order);
        bench.push(0, PLAIN);
        bench.push(1, PLAIN);
        bench.pass(300);
        let overtaken = (2..502).take_while(|waiter| {
            bench.push(*waiter, PLAIN);
            bench.go();
            bench.end(1);
            bench.queue.next_overtaken(limit).is_none()
        });
        let turns = overtaken.count();
        // The last of those turns is the one after which it is let go of.
        assert_eq!(turns + usize::from(turns < 500), expected, "{order:?}");
    }
}
