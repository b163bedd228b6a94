//! Never more than the limit inside, no capacity left idle, and first come first served.

use std::time::{Duration, Instant};

use crate::support::quiet::alone;
use crate::support::{Sluicegate, Upstream, one_of_three, soon};

#[tokio::test]
async fn ten_tasks_at_limit_3_run_three_at_a_time_and_each_start_follows_a_finish_within_20_ms() {
    let _alone = alone();
    one_of_three(async || {
        let upstream = Upstream::that_works_for(Duration::from_millis(200)).await;
        let gate = Sluicegate::with_limit(3).queue(16).in_front_of(&upstream).await;
        let start = Instant::now();
        let mut clients = Vec::new();
        for n in 0..10 {
            clients.push(gate.get(&format!("/{n}")).await);
        }
        for client in &mut clients {
            assert_eq!(client.answer().await.status, 200);
        }
        // What is promised always.
        assert_eq!((upstream.peak(), upstream.total()), (3, 10));
        // What a machine under load may delay.
        let events = upstream.events();
        let moments = |of_start| events.iter().filter(move |(_, start)| *start == of_start).map(|(at, _)| *at);
        let lags: Vec<_> = moments(true).skip(3).zip(moments(false)).map(|(start, finish)| start - finish).collect();
        assert_eq!(lags.len(), 7);
        let took = start.elapsed();
        let fast = lags.iter().all(|lag| *lag < Duration::from_millis(20)) && took < Duration::from_millis(1000);
        if fast { Ok(()) } else { Err(format!("lags {lags:?}, in all {took:?}")) }
    })
    .await;
}

#[tokio::test]
async fn at_limit_1_arrival_order_is_admission_order() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(16).in_front_of(&upstream).await;
    let mut clients = Vec::new();
    for n in 0..12 {
        let mut client = gate.get(&format!("/{n}")).await;
        client.settled().await;
        clients.push(client);
    }
    for (n, client) in clients.iter_mut().enumerate() {
        let call = soon("the next in line", upstream.next()).await;
        assert_eq!((call.path(), upstream.inside()), (format!("/{n}").as_str(), 1));
        call.respond(200, "").await;
        let answer = client.answer().await;
        assert_eq!(answer.queue().map(|(position, _)| position), (n > 0).then_some(n as u32));
    }
    assert_eq!(upstream.peak(), 1);
}

#[tokio::test]
async fn a_waiter_that_leaves_does_not_disturb_the_order_of_the_others() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(16).in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder's request", upstream.next()).await;
    let mut stay = Vec::new();
    let mut go = Vec::new();
    for n in 0..8 {
        let mut client = gate.get(&format!("/{n}")).await;
        client.settled().await;
        if n % 3 == 1 { go.push(client) } else { stay.push((n, client)) }
    }
    for client in go {
        client.leave();
    }
    // Nobody can be seen leaving a queue with room; a departure takes far less than this.
    tokio::time::sleep(Duration::from_millis(300)).await;
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    for (n, mut client) in stay {
        let call = soon("the next in line", upstream.next()).await;
        assert_eq!(call.path(), format!("/{n}"));
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn many_kept_connections_never_exceed_a_small_limit() {
    let upstream = Upstream::that_works_for(Duration::from_millis(2)).await;
    let gate = Sluicegate::with_limit(3).queue(100).in_front_of(&upstream).await;
    let clients = (0..30).map(|_| async {
        let mut client = gate.client().await;
        for n in 0..20 {
            client.get(&format!("/{n}")).await;
            assert_eq!(client.answer().await.status, 200);
        }
    });
    futures_util::future::join_all(clients).await;
    assert_eq!((upstream.peak(), upstream.total()), (3, 600));
}

#[tokio::test]
async fn limit_1_means_one_even_on_many_threads() {
    let upstream = Upstream::that_works_for(Duration::from_millis(1)).await;
    let limit = ["--limit", "1", "--queue", "100", "--threads", "4", "--listen", "127.0.0.1:0"];
    let gate = Sluicegate::run(&[&["--upstream", &upstream.url()], &limit[..]].concat()).await;
    let clients = (0..20).map(|_| async {
        let mut client = gate.client().await;
        for _ in 0..10 {
            client.get("/").await;
            assert_eq!(client.answer().await.status, 200);
        }
    });
    futures_util::future::join_all(clients).await;
    assert_eq!((upstream.peak(), upstream.total()), (1, 200));
}
