//! `GET /api/v1/events`: a snapshot, and each second what has changed since, as server-sent events.
//!
//! A follower waits for the next second only once its connection has taken the one before. One that is slow skips
//! seconds, and then gets a snapshot again; it makes nobody wait, and nothing piles up.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::board::FOLLOWERS_MAX;
use super::context::Context;
use super::problem::Problem;

struct Follower {
    context: Context,
    ticks: watch::Receiver<u64>,
    /// The tick of what it was told last.
    last: u64,
    _place: OwnedSemaphorePermit,
}

/// `GET /api/v1/events`.
pub(super) async fn show(State(context): State<Context>) -> Result<Response, Problem> {
    let Ok(place) = context.board.places.clone().try_acquire_owned() else {
        let detail = format!("{FOLLOWERS_MAX} others follow the events already.");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let ticks = context.board.ticks();
    let follower = Follower { context, ticks, last: 0, _place: place };
    let events = unfold((follower, false), |(mut follower, begun)| async move {
        let event = if begun { follower.next().await? } else { follower.first() };
        Some((Ok::<_, Infallible>(event), (follower, true)))
    });
    let content_type = (CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(([content_type], Body::from_stream(events)).into_response())
}

impl Follower {
    fn first(&mut self) -> Bytes {
        self.ticks.mark_unchanged();
        let (tick, event) = self.context.board.opening(&self.context);
        self.last = tick;
        event
    }

    /// `None` when there will be no more.
    async fn next(&mut self) -> Option<Bytes> {
        self.ticks.changed().await.ok()?;
        let (tick, event) = self.context.board.event(&self.context, self.last);
        self.last = tick;
        Some(event)
    }
}
