//! Exchanges with a peer that does as it is told.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{Empty, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::super::{Connection, Exchange};
use crate::socket::Socket;
use crate::upstream::await_head::Unanswered;
use crate::upstream::error::{BoxError, Failure};
use crate::upstream::room::Room;
use crate::upstream::source::Source;
use crate::upstream::upload::Progress;

pub(super) fn connection() -> (Box<Connection>, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    (Connection::new(Socket::new(ours), Room::new(), 0, Duration::from_secs(4)), peer)
}

pub(super) fn parts(method: Method, fields: &[(&'static str, &'static str)]) -> Box<Parts> {
    let mut request = Request::builder().method(method).uri("/a?b");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Box::new(request.body(()).unwrap().into_parts().0)
}

/// A body that is sent as it is told, and its teller.
fn told() -> (mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>, impl Body<Data = Bytes, Error = BoxError> + Unpin)
{
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, StreamBody::new(frames))
}

fn begin<B>(connection: Box<Connection>, parts: Box<Parts>, body: B) -> (Exchange<B>, Arc<Progress>) {
    let (exchange, progress) = Exchange::new(connection, parts, Some(Source::new(body)));
    (exchange, progress.expect("there is a body"))
}

async fn read_until(peer: &mut UnixStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        assert!(peer.read_buf(&mut read).await.unwrap() > 0, "only {:?}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_connection_goes_on_behind_an_answer_and_not_behind_a_word_too_many() {
    let (mut connection, mut peer) = connection();
    for more in ["", "!"] {
        let (mut exchange, _) = Exchange::<Empty<Bytes>>::new(connection, parts(Method::GET, &[]), None);
        peer.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{more}").as_bytes()).await.unwrap();
        let head = poll_fn(|cx| exchange.poll_head(cx)).await.ok().unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        let frame = poll_fn(|cx| exchange.poll_frame(cx)).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "ok");
        assert!(exchange.is_end_stream());
        match exchange.into_connection() {
            Some(again) if more.is_empty() => connection = again,
            None if !more.is_empty() => return,
            _ => panic!("behind {more:?}"),
        }
        assert!(connection.is_quiet());
        read_until(&mut peer, "\r\n\r\n").await;
    }
}

#[tokio::test]
async fn who_says_something_unasked_or_has_closed_is_not_quiet() {
    for says in ["HTTP/1.1 408 Request Timeout\r\n\r\n", ""] {
        let (connection, mut peer) = connection();
        assert!(connection.is_quiet());
        peer.write_all(says.as_bytes()).await.unwrap();
        if says.is_empty() {
            drop(peer);
        }
        // The runtime has to hear of it first.
        while connection.is_quiet() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_request_of_which_nothing_was_written_comes_back_whole() {
    let (connection, peer) = connection();
    drop(peer);
    let fields = &[("content-length", "5"), ("x-a", "b")];
    let (mut exchange, progress) = begin(connection, parts(Method::POST, fields), Full::new(Bytes::from("hello")));
    let failed = poll_fn(|cx| exchange.poll_head(cx)).await.unwrap_err();
    let Unanswered::Unprocessed { parts: Some(parts), body: Some(mut body), failure, refused: false } = failed else {
        panic!("it is lost")
    };
    assert!(matches!(failure, Failure::Reset(_)) && failure.is_of_the_upstream() && !progress.is_complete());
    assert_eq!((parts.uri.path(), parts.headers.len()), ("/a", 2));
    let piece = poll_fn(|cx| body.poll_piece(cx)).await.unwrap();
    assert!(matches!(piece, crate::upstream::source::Piece::Last(data) if data == "hello"));
}

#[tokio::test]
async fn a_request_that_was_written_and_closed_upon_comes_back_without_its_body() {
    let (connection, mut peer) = connection();
    let (mut exchange, _) = Exchange::<Empty<Bytes>>::new(connection, parts(Method::GET, &[("x-a", "b")]), None);
    assert!(poll_fn(|cx| Poll::Ready(exchange.poll_head(cx))).await.is_pending());
    read_until(&mut peer, "\r\n\r\n").await;
    peer.write_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2").await.unwrap();
    drop(peer);
    let failed = poll_fn(|cx| exchange.poll_head(cx)).await.unwrap_err();
    let Unanswered::Closed { parts: Some(parts), .. } = failed else { panic!("it is lost") };
    assert_eq!(parts.headers["x-a"], "b");
}

#[tokio::test]
async fn an_upload_goes_on_while_nobody_reads_the_answer() {
    let (connection, mut peer) = connection();
    let (sender, body) = told();
    let (mut exchange, progress) = begin(connection, parts(Method::POST, &[]), body);
    peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    poll_fn(|cx| exchange.poll_head(cx)).await.ok().unwrap();
    assert!(!progress.is_complete());
    // From here on nobody polls the exchange.
    const MANY: usize = 4 << 20;
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n0\r\n\r\n") {
            assert!(peer.read_buf(&mut read).await.unwrap() > 0);
        }
        (read.iter().filter(|byte| **byte == b'~').count(), peer)
    });
    for _ in 0..MANY / 65536 {
        sender.send(Ok(Frame::data(Bytes::from(vec![b'~'; 65536])))).unwrap();
    }
    drop(sender);
    let (count, _peer) = reading.await.unwrap();
    assert_eq!(count, MANY);
    while !progress.is_complete() {
        tokio::task::yield_now().await;
    }
    poll_fn(|cx| exchange.poll_frame(cx)).await.unwrap().unwrap();
    assert!(exchange.into_connection().is_some());
}

#[tokio::test]
async fn an_upload_that_is_stopped_ends_with_its_body() {
    let (connection, mut peer) = connection();
    let (sender, body) = told();
    let (mut exchange, progress) = begin(connection, parts(Method::POST, &[]), body);
    peer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    poll_fn(|cx| exchange.poll_head(cx)).await.ok().unwrap();
    progress.stop();
    sender.closed().await;
    assert!(!progress.is_complete());
}

#[tokio::test]
async fn an_answer_that_came_before_the_upload_failed_is_an_answer() {
    let (connection, mut peer) = connection();
    let (sender, body) = told();
    let (mut exchange, progress) = begin(connection, parts(Method::POST, &[]), body);
    assert!(poll_fn(|cx| Poll::Ready(exchange.poll_head(cx))).await.is_pending());
    read_until(&mut peer, "\r\n\r\n").await;
    peer.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    drop(peer);
    sender.send(Ok(Frame::data(Bytes::from_static(b"too much")))).unwrap();
    let head = poll_fn(|cx| exchange.poll_head(cx)).await.ok().unwrap();
    assert_eq!(head.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!progress.is_complete() && exchange.into_connection().is_none());
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_declared_gets_no_end() {
    for frames in [vec!["hello", "!"], vec!["hell"]] {
        let (connection, mut peer) = connection();
        let (sender, body) = told();
        let (mut exchange, progress) = begin(connection, parts(Method::POST, &[("content-length", "5")]), body);
        frames.into_iter().for_each(|frame| sender.send(Ok(Frame::data(Bytes::from(frame)))).unwrap());
        drop(sender);
        assert!(poll_fn(|cx| Poll::Ready(exchange.poll_head(cx))).await.is_pending());
        assert!(progress.take_error().is_some() && !progress.is_complete());
        drop(exchange);
        let mut read = String::new();
        peer.read_to_string(&mut read).await.unwrap();
        assert!(!read.contains('!'), "{read}");
    }
}

#[tokio::test]
async fn what_comes_right_behind_a_101_goes_with_the_connection() {
    let (connection, mut peer) = connection();
    let (mut exchange, _) = Exchange::<Empty<Bytes>>::new(connection, parts(Method::GET, &[]), None);
    peer.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\nhel").await.unwrap();
    let head = poll_fn(|cx| exchange.poll_head(cx)).await.ok().unwrap();
    assert_eq!(head.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = exchange.into_upgraded();
    peer.write_all(b"lo").await.unwrap();
    let mut read = [0; 5];
    io.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
    io.write_all(b"hi").await.unwrap();
    assert!(read_until(&mut peer, "hi").await.starts_with("GET /a?b HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_large_answer_is_read_with_large_reads_and_leaves_no_large_buffer() {
    let (connection, mut peer) = connection();
    let (mut exchange, _) = Exchange::<Empty<Bytes>>::new(connection, parts(Method::GET, &[]), None);
    const MANY: usize = 1 << 20;
    let writing = tokio::spawn(async move {
        peer.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {MANY}\r\n\r\n").as_bytes()).await.unwrap();
        peer.write_all(&vec![0; MANY]).await.unwrap();
        peer
    });
    poll_fn(|cx| exchange.poll_head(cx)).await.ok().unwrap();
    let (mut read, mut largest) = (0, 0);
    while !exchange.is_end_stream() {
        let data = poll_fn(|cx| exchange.poll_frame(cx)).await.unwrap().unwrap().into_data().unwrap();
        (read, largest) = (read + data.len(), largest.max(data.len()));
    }
    assert_eq!(read, MANY);
    assert!((16 << 10..=64 << 10).contains(&largest), "{largest}");
    let _peer = writing.await.unwrap();
    assert_eq!(exchange.into_connection().unwrap().receiving.input.capacity(), 0);
}

#[tokio::test]
async fn an_answer_as_large_as_the_last_comes_in_one_read() {
    let (mut connection, mut peer) = connection();
    for (length, frames) in [(10 << 10, 2), (10 << 10, 1), (100, 1), (10 << 10, 2)] {
        let (mut exchange, _) = Exchange::<Empty<Bytes>>::new(connection, parts(Method::GET, &[]), None);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        peer.write_all(&[head.as_bytes(), &vec![0; length]].concat()).await.unwrap();
        poll_fn(|cx| exchange.poll_head(cx)).await.ok().unwrap();
        let mut read = Vec::new();
        while !exchange.is_end_stream() {
            read.push(poll_fn(|cx| exchange.poll_frame(cx)).await.unwrap().unwrap().into_data().unwrap().len());
        }
        assert_eq!((read.len(), read.iter().sum::<usize>()), (frames, length), "{read:?}");
        connection = exchange.into_connection().unwrap();
    }
}

#[test]
fn a_connection_can_be_moved_to_another_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let (mut connection, peer) = first.block_on(async { connection() });
    let mut peer = second.block_on(async move { UnixStream::from_std(peer.into_std().unwrap()).unwrap() });
    second.block_on(async { connection.move_to(1).unwrap() });
    // Nobody else could wake it from here on.
    drop(first);
    second.block_on(async {
        let (mut exchange, _) = Exchange::<Empty<Bytes>>::new(connection, parts(Method::GET, &[]), None);
        let answered = async {
            read_until(&mut peer, "\r\n\r\n").await;
            peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        };
        let (head, ()) = tokio::join!(poll_fn(|cx| exchange.poll_head(cx)), answered);
        assert_eq!(head.ok().unwrap().status(), StatusCode::NO_CONTENT);
        assert_eq!(exchange.into_connection().unwrap().home, 1);
    });
}

/// What the upstream gets of a request with this body.
pub(super) async fn sent<B>(parts: Box<Parts>, body: Option<B>) -> String
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let (connection, mut peer) = connection();
    let (mut exchange, _) = Exchange::new(connection, parts, body.map(Source::new));
    assert!(poll_fn(|cx| Poll::Ready(exchange.poll_head(cx))).await.is_pending());
    exchange.close_for_writing();
    let mut read = String::new();
    peer.read_to_string(&mut read).await.unwrap();
    drop(exchange);
    read
}
