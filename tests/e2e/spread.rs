//! Which worker serves a connection.

use std::time::Duration;

use crate::support::{Client, Sluicegate, Upstream, until};

#[tokio::test]
async fn of_eight_connections_none_of_four_workers_gets_more_than_three() {
    let upstream = Upstream::that_works_for(Duration::ZERO).await;
    let text = Sluicegate::with_limit(8).queue(8).text(&upstream.url()).replace("threads = 2", "threads = 4");
    for _ in 0..5 {
        let gate = Sluicegate::configured(&text).await;
        let Some(mut spread) = gate.connections_of_workers() else {
            eprintln!("SKIPPED: this system does not show what a process watches");
            return;
        };
        let mut clients = Vec::new();
        for n in 1..=8 {
            clients.push(Client::connect(gate.address).await);
            let all = async || {
                spread = gate.connections_of_workers().expect("as before");
                spread.iter().sum::<usize>() == n
            };
            until("the connection to have its worker", all).await;
        }
        assert!(spread.iter().all(|got| *got <= 3), "{spread:?}");
        for client in &mut clients {
            client.get("/").await;
            assert_eq!(client.answer().await.status, 200);
        }
    }
}
