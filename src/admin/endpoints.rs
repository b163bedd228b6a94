//! `/api/v1/upstreams/{name}/endpoints/{endpoint}/…`: taking an endpoint out, and back.

use axum::extract::{Extension, Path, State};
use axum::response::Response;
use http::StatusCode;

use super::context::{Connection, Context};
use super::problem::Problem;
use super::status::json;
use super::upstreams;

/// `POST …/drain`: no new requests. What is under way goes on.
pub(super) async fn drain(
    State(context): State<Context>,
    Extension(connection): Extension<Connection>,
    Path((upstream, endpoint)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let by = connection.by().to_string();
    set(&context, &upstream, &endpoint, Some(&by))?;
    tracing::info!(upstream, endpoint, by, "an endpoint gets no requests any more");
    answer(&context, &upstream)
}

/// `POST …/enable`: requests as before. Nothing to take back is as good.
pub(super) async fn enable(
    State(context): State<Context>,
    Extension(connection): Extension<Connection>,
    Path((upstream, endpoint)): Path<(String, String)>,
) -> Result<Response, Problem> {
    set(&context, &upstream, &endpoint, None)?;
    tracing::info!(upstream, endpoint, by = %connection.by(), "an endpoint is not kept from requests any more");
    answer(&context, &upstream)
}

fn set(context: &Context, upstream: &str, endpoint: &str, by: Option<&str>) -> Result<(), Problem> {
    if context.server.proxy().drain_endpoint(upstream, endpoint, by) {
        return Ok(());
    }
    let mut all = upstreams::all(context);
    let detail = match all.iter().position(|known| known.name == upstream).map(|at| all.swap_remove(at)) {
        None => {
            let names: Vec<_> = all.into_iter().map(|known| known.name).collect();
            format!("There is no upstream {upstream}. There are: {}.", names.join(", "))
        }
        Some(known) => {
            let names: Vec<_> = known.endpoints.into_iter().map(|endpoint| endpoint.endpoint).collect();
            format!("{upstream} has no endpoint {endpoint}. It has {}.", names.join(", "))
        }
    };
    Err(Problem::new(StatusCode::NOT_FOUND, detail))
}

/// The upstream as it is now.
fn answer(context: &Context, upstream: &str) -> Result<Response, Problem> {
    let state = upstreams::all(context).into_iter().find(|other| other.name == upstream);
    let gone = || Problem::new(StatusCode::NOT_FOUND, format!("There is no upstream {upstream} any more."));
    Ok(json(StatusCode::OK, &state.ok_or_else(gone)?))
}
