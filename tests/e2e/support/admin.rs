//! The admin listener, asked over its socket and by the binary's own commands.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;

use super::sluicegate::binary;
use super::{Answer, Client, Sluicegate, soon};

/// Sends one request with these field lines, which include the host, and takes its answer.
pub async fn ask(address: SocketAddr, start: &str, fields: &[&str], body: &str) -> Answer {
    let mut client = Client::connect(address).await;
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    client.send(format!("{start} HTTP/1.1\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())).await;
    client.answer().await
}

impl Sluicegate {
    /// Its admin listener's address, as one connects to it.
    pub fn admin_address(&self) -> SocketAddr {
        let address = self.admin.expect("it was set up with an admin listener");
        SocketAddr::new([127, 0, 0, 1].into(), address.port())
    }

    /// `METHOD /path` from this machine.
    pub async fn ask_admin(&self, start: &str, body: &str) -> Answer {
        let address = self.admin_address();
        ask(address, start, &[&format!("Host: {address}")], body).await
    }

    /// What there is to see of the limit of the route `default`.
    pub async fn limit_status(&self) -> serde_json::Value {
        self.ask_admin("GET /api/v1/limits/default", "").await.json()
    }

    /// The samples of `/metrics`, by name with labels.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        samples(&self.ask_admin("GET /metrics", "").await.body.text())
    }

    /// Runs a command of the binary against it.
    pub async fn command(&self, args: &[&str]) -> Finished {
        let admin = format!("http://{}", self.admin_address());
        command(args, &[("SLUICEGATE_ADMIN", &admin)]).await
    }
}

/// Each line is a comment or a sample.
pub fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line:?}")))
        })
        .collect()
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command of the binary with these variables and none else of ours.
pub async fn command(args: &[&str], variables: &[(&str, &str)]) -> Finished {
    let mut command = binary();
    command.args(args).envs(variables.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let output = soon("a command to end", command.output()).await.expect("the binary has been built");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Finished { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}
