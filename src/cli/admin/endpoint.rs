//! `endpoint drain` and `endpoint enable`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Reach, member, segment};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum EndpointCommand {
    /// Send no new requests there, until it is enabled or the process ends. What is under way goes on.
    Drain(Which),
    /// Send requests there again.
    Enable(Which),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Which {
    /// The upstream's name.
    upstream: String,
    /// Its address; a name as it is configured stands for all of its addresses.
    #[arg(value_name = "HOST:PORT")]
    endpoint: String,
    #[command(flatten)]
    reach: Reach,
}

/// Does it, and says how the endpoints of the upstream are now.
pub(super) fn run(command: &EndpointCommand) -> Result<String, String> {
    let (Which { upstream, endpoint, reach }, word) = match command {
        EndpointCommand::Drain(which) => (which, "drain"),
        EndpointCommand::Enable(which) => (which, "enable"),
    };
    let path = format!("/api/v1/upstreams/{}/endpoints/{}/{word}", segment(upstream), segment(endpoint));
    let state = reach.client()?.ask_json("POST", &path, None)?;
    let endpoints = member(&state, "/endpoints")?.as_array().into_iter().flatten();
    endpoints.map(|endpoint| describe(upstream, endpoint)).collect()
}

fn describe(upstream: &str, endpoint: &Value) -> Result<String, String> {
    let text = |path: &str| Ok::<_, String>(member(endpoint, path)?.as_str().unwrap_or_default().to_owned());
    let by = endpoint.pointer("/drained_by").and_then(Value::as_str);
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let in_flight = member(endpoint, "/in_flight")?;
    Ok(format!("{upstream}: {} {}{by}, {in_flight} in flight\n", text("/endpoint")?, text("/state")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_endpoint_is_said_in_a_line() {
        let mut endpoint = json!({"endpoint": "10.0.0.1:80", "state": "up", "in_flight": 2, "drained_by": null});
        assert_eq!(describe("api", &endpoint).unwrap(), "api: 10.0.0.1:80 up, 2 in flight\n");
        endpoint["state"] = "drained".into();
        endpoint["drained_by"] = "127.0.0.1".into();
        assert_eq!(describe("api", &endpoint).unwrap(), "api: 10.0.0.1:80 drained by 127.0.0.1, 2 in flight\n");
        assert!(describe("api", &json!({})).is_err());
    }
}
