use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_test::{assert_pending, task};

use crate::upstream::{Answer, Ending, Endpoint, Failure, How, MaxConnections, OnClientGone, Settings, Step, Upstream};

const HOW: How = How {
    worker: 0,
    ending: Ending { on_client_gone: OnClientGone::Abort, abort_grace: Duration::from_secs(30) },
    slot: false,
    detached: false,
};

/// What was told of a request.
#[derive(Default)]
struct Heard(Mutex<Vec<&'static str>>);

impl Heard {
    fn hears(&self, step: Step<'_>) {
        self.0.lock().unwrap().push(match step {
            Step::To(_) => "to",
            Step::Waits => "waits",
            Step::Goes => "goes",
            Step::Unreached(..) => "unreached",
            Step::Connected => "connected",
        });
    }

    fn so_far(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

/// An upstream with room for one connection, which answers when told, once for each of these.
async fn one_connection(connect_timeout: Duration, told: Vec<oneshot::Receiver<()>>) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for told in told {
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            let _ = told.await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    });
    let max_connections = MaxConnections::Fixed(NonZeroU32::MIN);
    let upstream = Upstream::new(Settings { max_connections, connect_timeout, ..Settings::new("u", endpoint) }, 1);
    upstream.bound_connections(Box::new(|| None));
    upstream
}

async fn send(upstream: &Upstream, heard: &Heard) -> Result<Answer<Empty<Bytes>, ()>, Failure> {
    let (head, body) = Request::get("/").body(Empty::<Bytes>::new()).unwrap().into_parts();
    upstream.send(HOW, Box::new(head), Some(body), (), |step| heard.hears(step)).await
}

#[tokio::test]
async fn who_waits_for_room_is_told_of_and_so_is_the_end_of_it() {
    let (answer, told) = oneshot::channel();
    let upstream = one_connection(Duration::from_secs(3600), vec![told, oneshot::channel().1]).await;
    let (first, second) = (Heard::default(), Heard::default());
    let mut goes = task::spawn(send(&upstream, &first));
    assert_pending!(goes.poll());
    let mut waits = task::spawn(send(&upstream, &second));
    assert_pending!(waits.poll());
    assert_eq!((first.so_far(), second.so_far()), (vec!["to"], vec!["to", "waits"]));
    answer.send(()).unwrap();
    goes.await.unwrap();
    waits.await.unwrap();
    assert_eq!(first.so_far(), ["to", "connected"]);
    assert_eq!(second.so_far(), ["to", "waits", "goes"]);
}

#[tokio::test]
async fn who_waits_for_room_in_vain_is_told_of_as_well() {
    let upstream = one_connection(Duration::from_millis(20), Vec::new()).await;
    let (first, second) = (Heard::default(), Heard::default());
    let mut holder = task::spawn(send(&upstream, &first));
    assert_pending!(holder.poll());
    assert!(matches!(send(&upstream, &second).await, Err(Failure::NoRoom)));
    assert_eq!(second.so_far(), ["to", "waits", "goes"]);
}
