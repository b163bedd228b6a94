//! The admission layer in an axum service: at most three reports are made at once, twelve requests wait for their turn,
//! and who comes beyond that is told at once. Routes without the layer are not held up.
//!
//! `cargo run --release --example axum_limit` listens on port 3000 (another one as its argument).

use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sluicegate::admission::{self, AdmissionLayer, Limiter, Settings};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).as_deref().unwrap_or("3000").parse()?;
    let three = NonZeroU32::new(3).expect("three is not zero");
    let limiter = Limiter::new(Settings { queue: 12, ..Settings::new("reports", three) });

    // The layer holds one permit from admission to the last frame of the response body. It is behind what turns its
    // errors into answers, since a service of axum may not fail.
    let limited =
        ServiceBuilder::new().layer(HandleErrorLayer::new(rejected)).layer(AdmissionLayer::new(limiter.clone()));
    let app = Router::new().route("/report", get(report).layer(limited)).route(
        "/",
        get(async move || {
            format!("{} of {} at work, {} wait\n", limiter.in_flight(), limiter.limit(), limiter.queue_len())
        }),
    );

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("http://{}/report takes a second, three at a time; / says how it goes", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn report() -> &'static str {
    tokio::time::sleep(Duration::from_secs(1)).await;
    "the report\n"
}

/// Why a request was not let in, as the client shall see it.
async fn rejected(error: admission::Error<Infallible, axum::Error>) -> Response {
    match error {
        admission::Error::Rejected(rejection) => {
            // How long those ahead would take; nobody knows before the first has been done.
            let retry_after = rejection.drains_in.map_or(1, |wait| wait.as_secs() + 1);
            let why = format!("{}\n", rejection.reason.as_str());
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, retry_after.to_string())], why).into_response()
        }
        admission::Error::Body(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        admission::Error::Inner(never) => match never {},
    }
}
