//! Clients that come at their own pace and give up.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a client waits for its answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// One of the two, and what has become of its requests.
pub(crate) struct Side {
    address: SocketAddr,
    seconds: Mutex<Vec<Second>>,
}

/// What came to an end in one second.
#[derive(Default, Clone)]
pub(crate) struct Second {
    /// How long those took that were answered in time.
    pub(crate) good: Vec<Duration>,
    /// Told at once, or before they gave up, that there is no room.
    pub(crate) rejected: u32,
    pub(crate) gave_up: u32,
}

enum End {
    Good,
    Rejected,
    GaveUp,
}

impl Side {
    pub(crate) fn new(address: SocketAddr, seconds: usize) -> Self {
        Side { address, seconds: Mutex::new(vec![Second::default(); seconds]) }
    }

    /// What came to an end in second `number`.
    pub(crate) fn second(&self, number: usize) -> Second {
        self.seconds.lock().expect(UNPOISONED)[number].clone()
    }

    /// Sends `asked` requests over the second, whatever becomes of those before.
    pub(crate) async fn ask(self: Arc<Self>, start: Instant, second: usize, asked: u32) {
        let begin = start + Duration::from_secs(second as u64);
        for n in 0..asked {
            sleep_until(begin + Duration::from_secs(1) * n / asked).await;
            tokio::spawn(self.clone().one(start));
        }
    }

    async fn one(self: Arc<Self>, start: Instant) {
        let begun = Instant::now();
        let end = match timeout(PATIENCE, get(self.address)).await {
            Ok(Ok(200)) => End::Good,
            Ok(Ok(503)) => End::Rejected,
            _ => End::GaveUp,
        };
        let mut seconds = self.seconds.lock().expect(UNPOISONED);
        // What ends after the last second is not part of the picture.
        let Some(second) = seconds.get_mut(start.elapsed().as_secs() as usize) else { return };
        match end {
            End::Good => second.good.push(begun.elapsed()),
            End::Rejected => second.rejected += 1,
            End::GaveUp => second.gave_up += 1,
        }
    }
}

/// A plain GET. Returns the status of its answer.
async fn get(address: SocketAddr) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0))
}

const UNPOISONED: &str = "nobody panics while holding what became of requests";
