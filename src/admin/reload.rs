//! `POST /api/v1/reload`: another configuration, or word of what is wrong with it.

use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::{Connection, Context};
use super::problem::Problem;
use super::status;
use crate::proxy::{Changes, Difference};
use crate::server::{Refused, Reloaded};

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// `?dry_run`, `?dry_run=true`.
    dry_run: Option<String>,
}

/// Loads the configuration again, as SIGHUP does; with `dry_run` only looks for what is wrong with it.
pub(super) async fn reload(
    State(context): State<Context>,
    Extension(connection): Extension<Connection>,
    Query(asked): Query<Asked>,
) -> Response {
    let dry_run = match asked.dry_run.as_deref() {
        None | Some("false") => false,
        Some("" | "true") => true,
        Some(_) => {
            return Problem::new(StatusCode::BAD_REQUEST, "dry_run is true or false.").into_response();
        }
    };
    tracing::info!(by = %connection.by(), dry_run, "a reload has been asked for");
    if context.server.is_draining() {
        return Problem::new(StatusCode::CONFLICT, "It drains, and takes no new configuration.").into_response();
    }
    match context.server.ask_to_reload(dry_run).await {
        Some(Ok(Reloaded { routes, limits, changes, warnings })) => status::json(
            StatusCode::OK,
            &json!({
                "reloaded": !dry_run,
                "routes": routes,
                "limits": limits,
                "changes": by_kind(&changes),
                "warnings": warnings,
            }),
        ),
        Some(Err(Refused { problems })) => {
            let detail = match dry_run {
                true => "The configuration is wrong.",
                false => "The new configuration was refused; the one before it stays in force.",
            };
            let mut response = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).into_response();
            *response.body_mut() = json!({
                "type": "about:blank",
                "title": "Unprocessable Content",
                "status": 422,
                "detail": detail,
                "problems": problems,
            })
            .to_string()
            .into();
            response
        }
        None => Problem::new(StatusCode::CONFLICT, "It ends, and takes no new configuration.").into_response(),
    }
}

fn by_kind(changes: &Changes) -> Value {
    let Changes { limits, routes, upstreams, listeners, settings } = changes;
    let names = |Difference { added, changed, removed }: &Difference| json!({ "added": added, "changed": changed, "removed": removed });
    json!({
        "limits": names(limits),
        "routes": names(routes),
        "upstreams": names(upstreams),
        "listeners": names(listeners),
        "settings": names(settings),
    })
}
