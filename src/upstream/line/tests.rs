//! Waits on a clock that does not wait.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;

const NOW: Patience = Patience { waited: Duration::ZERO, until: None };

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
    line.set_open(false);
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
    let long = Patience { waited: seconds(10.0), until: None };
    assert_eq!(wait(&line, 5.0, long).await, (Duration::ZERO, false));
    let three = Patience { waited: seconds(3.0), until: None };
    assert_eq!(wait(&line, 5.0, three).await, (seconds(2.0), false));
    let soon = Patience { waited: Duration::ZERO, until: Some(Instant::now() + seconds(1.0)) };
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
        line.set_open(true);
        for i in 0..10 {
            let (who, (took, seated)) = waits.join_next().await.unwrap().unwrap();
            assert!(seated);
            assert_eq!((who, took.as_millis()), (i, 7_000 + 100 * i), "round {round}");
        }
        line.set_open(false);
    }
}

#[tokio::test(start_paused = true)]
async fn who_finds_it_closed_again_waits_on_and_nobody_is_forgotten() {
    let line = closed();
    let mut waits = JoinSet::new();
    for _ in 0..10 {
        let line = line.clone();
        waits.spawn(async move { wait(&line, 60.0, NOW).await });
        tokio::task::yield_now().await;
    }
    line.set_open(true);
    sleep(seconds(0.45)).await;
    line.set_open(false);
    let mut seated = 0;
    while waits.try_join_next().is_some() {
        seated += 1;
    }
    assert_eq!(seated, 5);
    sleep(seconds(3.0)).await;
    line.set_open(true);
    let rest = async { while waits.join_next().await.is_some() {} };
    timeout(seconds(1.1), rest).await.expect("the others are let go within a second");
}
