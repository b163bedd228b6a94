//! Tickets, verdicts, arrival order and deadlines: what holds without keys and levels.

use super::*;

#[test]
fn arrival_order_is_the_order_of_leaving() {
    let mut bench = Bench::new();
    for waiter in 0..5 {
        bench.push(waiter, PLAIN);
        bench.pass(1);
    }
    assert_eq!(bench.drain(), [0, 1, 2, 3, 4]);
    assert!(bench.queue.is_empty());
}

#[test]
fn one_that_leaves_does_not_disturb_the_rest() {
    for leaver in 0..4 {
        let mut bench = Bench::new();
        let tickets: Vec<_> = (0..4).map(|waiter| bench.push(waiter, PLAIN)).collect();
        assert_eq!(bench.queue.remove(tickets[leaver as usize]), None);
        assert_eq!(bench.queue.len(), 3);
        let expected: Vec<_> = (0..4).filter(|waiter| *waiter != leaver).collect();
        assert_eq!(bench.drain(), expected);
    }
}

#[test]
fn a_verdict_waits_for_its_waiter_and_is_collected_once() {
    let now = Instant::now();
    let mut queue: Queue<(), &str> = Queue::default();
    let waiter = Waiter { waker: (), tag: 0, key: None, level: Level::Normal, seats: 1, since: now, deadline: now };
    let ticket = queue.push(now, waiter);
    assert_eq!(queue.settle(ticket, "rejected"), Some(()));
    assert_eq!(queue.settle(ticket, "again"), None);
    assert_eq!(queue.len(), 0);
    assert_eq!(queue.remove(ticket), Some("rejected"));
    assert_eq!(queue.remove(ticket), None);
}

#[test]
fn an_old_ticket_finds_nothing_in_a_slot_that_was_used_again() {
    let mut bench = Bench::new();
    let old = bench.push(1, PLAIN);
    bench.queue.remove(old);
    let new = bench.push(2, PLAIN);
    assert_eq!(bench.queue.settle(old, ()), None);
    assert_eq!(bench.queue.waker_mut(old), None);
    assert_eq!(bench.queue.settle(new, ()), Some(2));
}

#[test]
fn the_due_are_found_whatever_their_order_and_none_of_them_goes() {
    let mut bench = Bench::new();
    for (waiter, timeout) in [(0, 30), (1, 10), (2, 20), (3, 50)] {
        bench.push(waiter, Like { timeout: Duration::from_millis(timeout), ..PLAIN });
    }
    assert_eq!(bench.queue.next_deadline(), Some(bench.start + Duration::from_millis(10)));
    bench.pass(9);
    assert_eq!(bench.queue.next_due(bench.now), None);
    bench.pass(21);
    let mut due = Vec::new();
    while let Some(Next::Expired(ticket)) = bench.queue.next(bench.now, bench.room) {
        due.extend(bench.queue.settle(ticket, ()));
    }
    assert_eq!(due, [1, 2, 0]);
    assert_eq!(bench.queue.next_deadline(), Some(bench.start + Duration::from_millis(50)));
    assert_eq!(bench.go(), Some(3));
    assert_eq!(bench.queue.next_deadline(), None);
}

#[test]
fn a_waiter_is_small() {
    use std::task::Waker;
    assert_eq!(size_of::<nodes::Node<Waker, u16>>(), 72);
    assert_eq!(size_of::<(u64, u32)>(), 16);
    assert_eq!(size_of::<lane::Lane>(), 80);
    assert_eq!(size_of::<flows::Flow<()>>(), 48);
}

#[test]
fn once_warm_the_slots_are_used_again() {
    let mut bench = Bench::new();
    let mut seen = std::collections::HashSet::new();
    for waiter in 0..1000 {
        let ticket = bench.push(waiter, PLAIN);
        bench.push(waiter, of(["a", "b", "c"][waiter as usize % 3]));
        seen.insert(ticket.index);
        bench.pass(1);
        bench.drain();
        assert!(bench.queue.turns.indices().len() <= 4 && bench.queue.keys_tracked() <= 3);
    }
    assert!(seen.len() <= 2, "{seen:?}");
}
