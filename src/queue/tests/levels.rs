//! Priority and age.

use super::*;

fn at(level: Level) -> Like {
    Like { level, ..PLAIN }
}

#[test]
fn levels_are_strict_and_arrival_order_holds_within_each() {
    let mut bench = Bench::new();
    let levels =
        [Level::Low, Level::Normal, Level::Background, Level::Critical, Level::Normal, Level::High, Level::Low];
    for (waiter, level) in (0..).zip(levels) {
        bench.push(waiter, at(level));
    }
    assert_eq!(bench.queue.ahead(bench.now, None, Level::Normal).waiters, 4);
    assert_eq!(bench.queue.waiting(Level::Low), 2);
    assert_eq!(bench.drain(), [3, 5, 1, 4, 0, 6, 2]);
}

#[test]
fn a_waiter_rises_one_level_per_five_seconds() {
    // Who has waited how long, against a fresh waiter of which level, and who goes first.
    let cases = [
        (Level::Normal, 4_999, Level::High, false),
        (Level::Normal, 5_001, Level::High, true),
        (Level::Low, 9_999, Level::High, false),
        (Level::Low, 10_001, Level::High, true),
        (Level::Background, 19_999, Level::Critical, false),
        (Level::Background, 20_001, Level::Critical, true),
        (Level::Critical, 0, Level::Critical, true),
    ];
    for (level, waited, fresh, first) in cases {
        let mut bench = Bench::new();
        bench.push(0, at(level));
        bench.pass(waited);
        bench.push(1, at(fresh));
        let expected = if first { [0, 1] } else { [1, 0] };
        assert_eq!(bench.drain(), expected, "{level:?} after {waited} ms against {fresh:?}");
    }
}

#[test]
fn on_a_level_risen_to_one_stands_behind_those_who_were_there() {
    let mut bench = Bench::new();
    bench.push(0, at(Level::Normal));
    bench.pass(4_000);
    bench.push(1, at(Level::High));
    bench.pass(2_000);
    bench.push(2, at(Level::High));
    // The first rose at five seconds: after the second came, before the third did.
    assert_eq!(bench.drain(), [1, 0, 2]);
}

#[test]
fn a_key_that_made_its_own_waiters_old_does_not_go_before_the_fresh_ones_of_others() {
    let mut bench = Bench::new();
    for waiter in 0..50 {
        bench.push(waiter, of("flood"));
    }
    bench.pass(8_000);
    assert_eq!(bench.go(), Some(0));
    bench.end(1);
    bench.push(100, of("quiet"));
    assert_eq!(bench.go(), Some(100));
}

#[test]
fn a_flood_of_fresh_keys_on_a_starved_level_does_not_keep_it_young() {
    const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut bench = Bench::new();
    bench.push(0, Like { level: Level::Low, ..of("patient") });
    for (waiter, key) in (1..).zip(KEYS) {
        bench.pass(1_000);
        bench.push(waiter, Like { level: Level::Low, ..of(key) });
    }
    bench.push(100, at(Level::Normal));
    assert_eq!(bench.go(), Some(0));
}

#[test]
fn a_full_queue_gives_way_from_the_bottom() {
    let mut bench = Bench::new();
    for (waiter, level) in (0..).zip([Level::Low, Level::Normal, Level::Background, Level::Low]) {
        bench.push(waiter, at(level));
    }
    assert_eq!(bench.offer(10, at(Level::Background), 4), Err(Why::Full));
    assert_eq!(bench.offer(11, at(Level::High), 4), Ok(Some((2, Why::Level))));
    assert_eq!(bench.offer(12, at(Level::Normal), 4), Ok(Some((3, Why::Level))));
    assert_eq!(bench.offer(13, at(Level::Low), 4), Err(Why::Full));
    bench.queue.set_order(Order::Lifo);
    assert_eq!(bench.offer(14, at(Level::Low), 4), Ok(Some((0, Why::Order))));
    assert_eq!(bench.drain(), [11, 12, 1, 14]);
}

#[test]
fn one_that_has_aged_does_not_give_way_to_one_that_it_goes_before() {
    let mut bench = Bench::new();
    bench.push(0, at(Level::Low));
    bench.pass(6_000);
    assert_eq!(bench.offer(1, at(Level::Normal), 1), Err(Why::Full));
    assert_eq!(bench.offer(2, at(Level::High), 1), Ok(Some((0, Why::Level))));
}

#[test]
fn newest_first_it_is_the_oldest_that_rises() {
    let mut bench = Bench::with_order(Order::Lifo);
    bench.push(0, at(Level::Normal));
    bench.pass(5_001);
    bench.push(1, at(Level::Normal));
    bench.push(2, at(Level::High));
    bench.push(3, at(Level::High));
    // It stands before those who came to the level after it rose; the newest of its own level does not.
    assert_eq!(bench.drain(), [0, 3, 2, 1]);
}

#[test]
fn newest_first_an_old_one_is_not_pushed_out_by_one_that_it_goes_before() {
    let mut bench = Bench::with_order(Order::Lifo);
    bench.push(0, at(Level::Normal));
    bench.pass(5_001);
    assert_eq!(bench.offer(1, at(Level::High), 1), Err(Why::Full));
    assert_eq!(bench.offer(2, at(Level::Critical), 1), Ok(Some((0, Why::Level))));
}

#[test]
fn the_first_go_before_every_priority_however_old() {
    let mut bench = Bench::new();
    bench.push(0, at(Level::Critical));
    bench.pass(60_000);
    bench.push(1, at(Level::First));
    assert_eq!(bench.drain(), [1, 0]);
    assert_eq!("first".parse::<Level>(), Err(NoSuchLevel));
}
