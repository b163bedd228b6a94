//! What an upstream gets.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Frame;
use http_body_util::{Empty, Full, StreamBody};

use super::peer::{parts, sent};
use crate::upstream::error::BoxError;

type Frames = Vec<Result<Frame<Bytes>, BoxError>>;

fn frames(
    pieces: &[&'static str],
    trailers: &[(&'static str, &'static str)],
) -> Option<impl http_body::Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static> {
    let mut frames: Frames = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
    if !trailers.is_empty() {
        let fields = trailers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        frames.push(Ok(Frame::trailers(HeaderMap::from_iter(fields))));
    }
    Some(StreamBody::new(futures_util::stream::iter(frames)))
}

const NONE: Option<Empty<Bytes>> = None;

#[tokio::test]
async fn a_head_goes_out_as_it_is() {
    let get = parts(Method::GET, &[("host", "a"), ("x-a", "1"), ("x-a", "2")]);
    assert_eq!(sent(get, NONE).await, "GET /a?b HTTP/1.1\r\nhost: a\r\nx-a: 1\r\nx-a: 2\r\n\r\n");
}

#[tokio::test]
async fn a_target_may_be_a_star() {
    let mut options = parts(Method::OPTIONS, &[]);
    options.uri = "*".parse().unwrap();
    assert_eq!(sent(options, NONE).await, "OPTIONS * HTTP/1.1\r\n\r\n");
}

#[tokio::test]
async fn what_has_no_body_has_no_coding() {
    let post = parts(Method::POST, &[("transfer-encoding", "chunked")]);
    assert_eq!(sent(post, NONE).await, "POST /a?b HTTP/1.1\r\n\r\n");
}

#[tokio::test]
async fn a_declared_length_is_kept() {
    let post = parts(Method::POST, &[("content-length", "5")]);
    let whole = "POST /a?b HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(sent(post.clone(), Some(Full::new(Bytes::from("hello")))).await, whole);
    assert_eq!(sent(post, frames(&["he", "", "llo"], &[("x", "y")])).await, whole);
}

#[tokio::test]
async fn what_has_no_length_goes_in_chunks_whatever_the_method() {
    for method in [Method::GET, Method::POST] {
        let head = format!("{method} /a?b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
        for fields in [&[][..], &[("transfer-encoding", "chunked")]] {
            let sent = sent(parts(method.clone(), fields), frames(&["hello", "", ", world of chunks"], &[])).await;
            assert_eq!(sent, format!("{head}5\r\nhello\r\n11\r\n, world of chunks\r\n0\r\n\r\n"));
        }
    }
}

#[tokio::test]
async fn a_large_piece_is_a_chunk_as_well() {
    let large = "x".repeat(70_000);
    let sent = sent(parts(Method::POST, &[]), Some(Full::new(Bytes::from(large.clone())))).await;
    assert!(sent.ends_with(&format!("\r\n\r\n11170\r\n{large}\r\n0\r\n\r\n")));
}

#[tokio::test]
async fn trailers_go_that_were_announced_and_may_be_some() {
    let post = parts(Method::POST, &[("trailer", "x-sum, Host"), ("trailer", "X-B")]);
    let trailers = &[("x-sum", "1"), ("x-b", "2"), ("host", "b"), ("x-c", "3")];
    let sent = sent(post, frames(&["a"], trailers)).await;
    assert!(sent.ends_with("\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\nx-b: 2\r\n\r\n"), "{sent}");
}
