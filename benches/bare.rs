//! hyper's server with nothing around it: each request gets an answer that was ready before it came, with the fields and the
//! size of a rejection. What `compare.py` sets rejections beside, for nothing built upon hyper can take less.
//!
//! `cargo bench --bench bare -- PORT`

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo adds a flag of its own.
    let Some(port) = std::env::args().find_map(|argument| argument.parse::<u16>().ok()) else {
        println!("nothing to measure by itself: benches/compare.py gives it a port");
        return Ok(());
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(reject)));
    }
}

async fn reject(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    const BODY: &[u8] = &[b'x'; 243];
    let mut answer = Response::new(Full::new(Bytes::from_static(BODY)));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    headers.insert("x-request-id", HeaderValue::from_static("4d02ee1773dd0baaa24fb01ab1ad151b"));
    headers.insert("x-sluicegate-reason", HeaderValue::from_static("no_permit"));
    headers.insert("x-sluicegate-limit", HeaderValue::from_static("held"));
    headers.insert("x-sluicegate-queue", HeaderValue::from_static("position=1;wait=0.000"));
    Ok(answer)
}
