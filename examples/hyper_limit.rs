//! The admission layer around a service of plain hyper: at most three reports are made at once, twelve requests wait for
//! their turn, and who comes beyond that is told at once.
//!
//! `cargo run --release --example hyper_limit` listens on port 3000 (another one as its argument).

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use sluicegate::admission::{self, AdmissionLayer, Limiter, PermitBody, Settings, Spool};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).as_deref().unwrap_or("3000").parse()?;
    let three = NonZeroU32::new(3).expect("three is not zero");
    let limiter = Limiter::new(Settings { queue: 12, ..Settings::new("reports", three) });
    // One limit for all connections: what is cloned shares it. A permit is held from admission to the last frame of the
    // response body.
    let service = AdmissionLayer::new(limiter).layer(service_fn(report)).map_result(answer);

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("http://{}/ takes a second, three at a time", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn report(_: Request<Spool<Incoming>>) -> Result<Response<Full<Bytes>>, Infallible> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(Response::new(Full::from("the report\n")))
}

type Report = Response<PermitBody<Full<Bytes>>>;
type Answer = Response<Either<PermitBody<Full<Bytes>>, Full<Bytes>>>;
type Error = admission::Error<Infallible, hyper::Error>;

/// What the client gets: the report, or why it was not let in. A body that failed takes its connection with it.
fn answer(outcome: Result<Report, Error>) -> Result<Answer, Error> {
    match outcome {
        Ok(report) => Ok(report.map(Either::Left)),
        Err(Error::Rejected(rejection)) => {
            let mut answer = Response::new(Either::Right(Full::from(format!("{}\n", rejection.reason.as_str()))));
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok(answer)
        }
        Err(failed) => Err(failed),
    }
}
