//! What is configured, and what becomes of a request by it.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::context::Context;
use super::problem::Problem;
use super::status::json;

/// What there is to say of the configuration in force, by whoever has loaded it.
pub trait Configuration: Debug + Send + Sync {
    /// All of it as a file that says the same, with where each value was written. Secrets are stars.
    fn shown(&self) -> String;

    /// What becomes of a request.
    ///
    /// # Errors
    /// Why it is no request.
    fn explain(&self, question: &Question) -> Result<Explained, String>;
}

/// A request that nobody sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its method.
    pub method: String,
    /// Its URL, or only the path.
    pub url: String,
    /// Its fields, as `name: value`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Who sends it. Default: this machine.
    #[serde(default = "this_machine")]
    pub from: IpAddr,
}

fn this_machine() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The route that takes it, if one does.
    pub route: Option<String>,
    /// Why, and what it meets there, for people.
    pub text: String,
}

/// `GET /api/v1/config`: what is in force, and where each value was written.
pub(super) async fn show(State(context): State<Context>) -> Response {
    json(StatusCode::OK, &serde_json::json!({ "toml": context.configuration.shown() }))
}

/// `POST /api/v1/explain`: which route takes a request, and what it meets there.
pub(super) async fn explain(State(context): State<Context>, body: Bytes) -> Result<Response, Problem> {
    let question: Question = serde_json::from_slice(&body).map_err(|error| {
        let detail = format!(
            "{error}. Write {{\"method\":\"GET\",\"url\":\"/reports\",\"headers\":[\"x-tenant: acme\"],\"from\":\"192.0.2.7\"}}."
        );
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    let Explained { route, text } =
        context.configuration.explain(&question).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error))?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "route": route, "text": text })))
}
