//! A tiny API to play with: it works for a while on each request and says how many are inside.
//!
//! `cargo run --release --example upstream -- 3000 1s` listens on port 3000 and takes a second for each request.

use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().as_deref().unwrap_or("3000").parse().map_err(|_| USAGE)?;
    let work = duration(args.next().as_deref().unwrap_or("1s")).ok_or(USAGE)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("working {work:?} on each request to http://{}", listener.local_addr()?);
    let inside = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        let inside = inside.clone();
        let service = service_fn(move |request| answer(request, work, inside.clone()));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer<B>(
    request: Request<B>,
    work: Duration,
    inside: Arc<AtomicUsize>,
) -> Result<Response<String>, Infallible> {
    let _inside = Inside::enter(inside, format!("{} {}", request.method(), request.uri()));
    tokio::time::sleep(work).await;
    Ok(Response::new(format!("{} is done\n", request.uri())))
}

/// One request inside. Its drop is its end, also where its client has left.
struct Inside {
    count: Arc<AtomicUsize>,
    request: String,
}

impl Inside {
    fn enter(count: Arc<AtomicUsize>, request: String) -> Self {
        println!("{:3} inside  + {request}", count.fetch_add(1, Ordering::Relaxed) + 1);
        Inside { count, request }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        println!("{:3} inside  - {}", self.count.fetch_sub(1, Ordering::Relaxed) - 1, self.request);
    }
}

/// `250ms` or `1s`.
fn duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(milliseconds) => milliseconds.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

const USAGE: &str = "usage: upstream [PORT [DURATION]], such as: upstream 3000 250ms";
