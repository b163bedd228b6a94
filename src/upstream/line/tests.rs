//! Waits on a clock that does not wait.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;

const NOW: Patience = Patience { waited: Duration::ZERO, queue: Duration::ZERO, until: None };

fn seconds(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

/// Waits; how long it took, and whether it was let go.
async fn wait(line: &Line, time: f64, patience: Patience) -> (Duration, bool) {
    let start = Instant::now();
    let seat = line.wait(seconds(time), patience, || (!line.is_closed()).then_some(())).await;
    (start.elapsed(), seat.is_some())
}

fn closed() -> Arc<Line> {
    let line = Arc::<Line>::default();
    line.set(false, None);
    line
}

#[tokio::test(start_paused = true)]
async fn an_open_line_is_none() {
    let line = Line::default();
    assert_eq!(wait(&line, 5.0, NOW).await, (Duration::ZERO, true));
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_the_loss_or_from_the_arrival_whichever_was_later() {
    let line = closed();
    assert_eq!(wait(&line, 5.0, NOW).await, (seconds(5.0), false));
    // Here for ten seconds, and without an endpoint for five: it has waited for long enough.
    let long = Patience { waited: seconds(10.0), ..NOW };
    assert_eq!(wait(&line, 5.0, long).await, (Duration::ZERO, false));
    let three = Patience { waited: seconds(3.0), ..NOW };
    assert_eq!(wait(&line, 5.0, three).await, (seconds(2.0), false));
    let soon = Patience { until: Some(Instant::now() + seconds(1.0)), ..NOW };
    assert_eq!(wait(&line, 5.0, soon).await, (seconds(1.0), false));
}

#[tokio::test(start_paused = true)]
async fn all_are_let_go_in_order_over_a_second() {
    let line = closed();
    for round in 0..3 {
        let mut waits = JoinSet::new();
        for i in 0..10 {
            let line = line.clone();
            waits.spawn(async move { (i, wait(&line, 60.0, NOW).await) });
            // Each has its ticket before the next one comes.
            tokio::task::yield_now().await;
        }
        sleep(seconds(7.0)).await;
        line.set(true, None);
        for i in 0..10 {
            let (who, (took, seated)) = waits.join_next().await.unwrap().unwrap();
            assert!(seated);
            assert_eq!((who, took.as_millis()), (i, 7_000 + 100 * i), "round {round}");
        }
        line.set(false, None);
    }
}

#[tokio::test(start_paused = true)]
async fn who_finds_it_closed_again_waits_on_and_is_let_go_as_gradually() {
    let line = closed();
    let mut waits = JoinSet::new();
    for i in 0..10 {
        let line = line.clone();
        waits.spawn(async move { (i, wait(&line, 60.0, NOW).await) });
        tokio::task::yield_now().await;
    }
    line.set(true, None);
    sleep(seconds(0.45)).await;
    line.set(false, None);
    let mut seated = 0;
    while waits.try_join_next().is_some() {
        seated += 1;
    }
    assert_eq!(seated, 5);
    sleep(seconds(3.0)).await;
    let start = Instant::now();
    line.set(true, None);
    for i in 5..10 {
        let (who, (_, seated)) = waits.join_next().await.unwrap().unwrap();
        assert!(seated);
        assert_eq!((who, start.elapsed().as_millis()), (i, 200 * (i - 5)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_waited_for_by_those_who_can_outlast_it_and_by_nobody_else() {
    let line = closed();
    let pause = |time| line.set(false, Some(Instant::now() + seconds(time)));
    let queue = |time| Patience { queue: seconds(time), ..NOW };
    pause(2.0);
    // Neither the queue's time nor the upstream's own is long enough, or a deadline comes before.
    assert_eq!(wait(&line, 1.0, queue(1.9)).await, (Duration::ZERO, false));
    let waited = Patience { waited: seconds(3.0), ..queue(4.0) };
    assert_eq!(wait(&line, 0.0, waited).await, (Duration::ZERO, false));
    let late = Patience { until: Some(Instant::now() + seconds(1.0)), ..queue(5.0) };
    assert_eq!(wait(&line, 0.0, late).await, (Duration::ZERO, false));
    for (time, patience) in [(3.0, NOW), (0.0, queue(3.0))] {
        pause(2.0);
        let (one, waiting) = (line.clone(), line.clone());
        let waiting = tokio::spawn(async move { wait(&waiting, time, patience).await });
        sleep(seconds(2.0)).await;
        one.set(true, None);
        assert_eq!(waiting.await.unwrap(), (seconds(2.0), true));
        line.set(false, None);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_that_a_pause_has_become_too_long_and_that_it_is_none_any_more() {
    for (after, time, took) in [(Some(9.0), 0.0, 1.0), (None, 0.0, 1.0), (None, 3.0, 4.0)] {
        let line = closed();
        line.set(false, Some(Instant::now() + seconds(2.0)));
        let waiting = line.clone();
        let patience = Patience { queue: seconds(5.0), ..NOW };
        let waiting = tokio::spawn(async move { wait(&waiting, time, patience).await });
        sleep(seconds(1.0)).await;
        line.set(false, after.map(|time| Instant::now() + seconds(time)));
        assert_eq!(waiting.await.unwrap(), (seconds(took), false), "{after:?}");
    }
}
