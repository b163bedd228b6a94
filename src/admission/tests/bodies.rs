//! Permits in response bodies, and request bodies that are read ahead.

use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{Full, StreamBody};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};
use tower::{Layer, Service, service_fn};

use super::{limiter, settings};
use crate::admission::{AdmissionLayer, Claim, Error, Limiter, Limits, PermitBody, Settings, Spool};

type Frames = Vec<Result<http_body::Frame<Bytes>, std::io::Error>>;

fn stream(frames: Frames) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
    StreamBody::new(futures_util::stream::iter(frames))
}

fn data(bytes: &'static str) -> Result<http_body::Frame<Bytes>, std::io::Error> {
    Ok(http_body::Frame::data(Bytes::from_static(bytes.as_bytes())))
}

async fn next_frame<B: Body + Unpin>(body: &mut B) -> Option<Result<http_body::Frame<B::Data>, B::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

#[tokio::test]
async fn the_permit_comes_back_with_the_last_frame_not_with_the_drop() {
    let limiter = limiter(1, 0);
    let permit = limiter.try_acquire().unwrap();
    let mut body = PermitBody::new(stream(vec![data("a"), data("b")]), permit);
    next_frame(&mut body).await;
    next_frame(&mut body).await;
    assert_eq!(limiter.in_flight(), 1);
    assert!(next_frame(&mut body).await.is_none());
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test]
async fn a_body_of_known_length_gives_its_permit_back_with_its_last_byte() {
    let limiter = limiter(1, 0);
    let mut body = PermitBody::new(Full::new(Bytes::from_static(b"all")), limiter.try_acquire().unwrap());
    assert_eq!(body.size_hint().exact(), Some(3));
    next_frame(&mut body).await;
    assert_eq!(limiter.in_flight(), 0);
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn an_empty_a_failed_and_a_dropped_body_give_their_permits_back() {
    let limiter = limiter(1, 0);
    drop(PermitBody::new(stream(vec![data("a")]), limiter.try_acquire().unwrap()));
    assert_eq!(limiter.in_flight(), 0);

    let _empty = PermitBody::new(Full::new(Bytes::new()), limiter.try_acquire().unwrap());
    assert_eq!(limiter.in_flight(), 0);

    let error = Err(std::io::ErrorKind::BrokenPipe.into());
    let mut failing = PermitBody::new(stream(vec![error]), limiter.try_acquire().unwrap());
    assert!(next_frame(&mut failing).await.unwrap().is_err());
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test]
async fn a_waiting_request_reads_its_body_ahead_and_passes_it_on_whole() {
    let limiter = limiter(1, 1);
    let permit = limiter.try_acquire().unwrap();
    let echo = service_fn(|request: Request<Spool<_>>| async move {
        let mut body = request.into_body();
        let mut text = Vec::new();
        while let Some(frame) = next_frame(&mut body).await {
            text.extend(frame?.into_data().unwrap());
        }
        Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from(text))))
    });
    let mut service = AdmissionLayer::new(limiter.clone()).layer(echo);
    let mut call = spawn(service.call(Request::new(stream(vec![data("one "), data("two")]))));
    assert_pending!(call.poll());
    drop(permit);
    let mut response = assert_ready_ok!(call.poll());
    let body = next_frame(response.body_mut()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(body, "one two");
}

#[tokio::test]
async fn a_body_that_fails_while_its_request_waits_ends_the_wait() {
    let limiter = limiter(1, 1);
    let _permit = limiter.try_acquire().unwrap();
    let never = service_fn(|_: Request<Spool<_>>| async move {
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::new())))
    });
    let mut service = AdmissionLayer::new(limiter.clone()).layer(never);
    let body = stream(vec![data("a"), Err(std::io::ErrorKind::TimedOut.into())]);
    let mut call = spawn(service.call(Request::new(body)));
    let error = assert_ready!(call.poll()).map(drop).unwrap_err();
    assert!(matches!(error, Error::Body(error) if error.kind() == std::io::ErrorKind::TimedOut));
    assert_eq!(limiter.queue_len(), 0);
}

#[tokio::test]
async fn who_must_not_be_told_to_continue_yet_is_not_read_ahead() {
    let limiter = limiter(1, 1);
    let _permit = limiter.try_acquire().unwrap();
    let never = service_fn(|_: Request<Spool<_>>| async move {
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::new())))
    });
    let mut service = AdmissionLayer::new(limiter.clone()).layer(never);
    let body = stream(vec![Err(std::io::ErrorKind::TimedOut.into())]);
    let request = Request::builder().header("expect", "100-continue").body(body).unwrap();
    assert_pending!(spawn(service.call(request)).poll());
}

#[tokio::test]
async fn what_is_read_ahead_at_one_limit_stays_on_its_account_at_the_next() {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use bytes::Bytes;
    use futures_util::StreamExt;
    use http::{Request, Response};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use crate::admission::{Admitted, NoKeys};

    let [first, second] = [(); 2].map(|()| Limiter::new(Settings { queue_bytes: 64 << 10, ..settings(1, 4) }));
    let limits = Limits::new(vec![first.clone(), second.clone()]).unwrap();
    let (held, _held) = (first.try_acquire().unwrap(), second.try_acquire().unwrap());
    let read = Arc::new(AtomicUsize::new(0));
    let counted = read.clone();
    let frames = futures_util::stream::iter(0..1000).map(move |_| {
        counted.fetch_add(16 << 10, Relaxed);
        Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; 16 << 10])))
    });
    let request = Request::new(StreamBody::new(frames));
    let echo = tower::service_fn(|_: Admitted<_>| async { Ok::<_, Infallible>(Response::new(())) });
    let mut call = spawn(limits.admit(request, Claim::default(), NoKeys, echo));
    assert_pending!(call.poll());
    assert!(read.load(Relaxed) <= 128 << 10);
    drop(held);
    assert_pending!(call.poll());
    assert!(read.load(Relaxed) <= 256 << 10, "{} bytes in memory, queue_bytes is 64 KiB", read.load(Relaxed));
}
