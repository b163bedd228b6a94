//! HAProxy on both sides: what it sends is understood, and what it closes is not missed.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::support::tools::{has, output_of};
use crate::support::{Client, Sluicegate, Upstream, soon, until};

#[tokio::test]
async fn no_get_is_lost_when_haproxy_closes_what_has_idled_for_a_moment() {
    if !has("haproxy") || !has("h2load") {
        return;
    }
    let answer = "http-request return status 200 content-type text/plain string ok";
    for (scheme, how) in [("http", ""), ("h2c", "proto h2")] {
        let haproxy = Haproxy::start(how, "timeout http-keep-alive 20ms", answer).await;
        let gate = Sluicegate::with_limit(8).queue(1000).in_front_of_url(&haproxy.url(scheme)).await;
        let url = format!("http://{}/", gate.address);
        // Fewer at once than there are permits, so that connections idle now and then.
        for clients in ["1", "20"] {
            let report = output_of("h2load", &["--h1", "-n", "3000", "-c", clients, "-t", "1", &url]).await;
            assert!(report.contains("3000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{scheme}: {report}");
        }
    }
}

#[tokio::test]
async fn haproxy_says_whose_a_connection_is_in_both_versions() {
    if !has("haproxy") {
        return;
    }
    for version in ["send-proxy", "send-proxy-v2"] {
        let mut upstream = Upstream::start().await;
        let setup = Sluicegate::with_limit(1).queue(1).server("proxy_protocol = \"required\"");
        let gate = setup.in_front_of(&upstream).await;
        // Its client is shown by another address than its own, which is all that a machine alone can do.
        let lines = format!(
            "http-request set-src str(192.0.2.1)\n  default_backend gate\nbackend gate\n  server gate {} {version}",
            gate.address
        );
        let haproxy = Haproxy::start("", "timeout http-keep-alive 5s", &lines).await;
        let mut client = Client::connect(([127, 0, 0, 1], haproxy.port).into()).await;
        client.get("/whose").await;
        let call = soon("the request", upstream.next()).await;
        assert_eq!(call.head.field("x-forwarded-for").as_deref(), Some("192.0.2.1"), "{version}");
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

/// A HAProxy with one frontend.
struct Haproxy {
    file: PathBuf,
    port: u16,
    _child: Child,
}

impl Haproxy {
    async fn start(how: &str, timeout: &str, frontend: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = std::env::temp_dir().join(format!("sluicegate-haproxy-{}-{port}.cfg", std::process::id()));
        let config = format!(
            "global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 20s\n  \
             timeout server 20s\n  {timeout}\nfrontend in\n  bind 127.0.0.1:{port} {how}\n  {frontend}\n"
        );
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).kill_on_drop(true);
        let child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it was found");
        let serves = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        until("HAProxy to serve", serves).await;
        Haproxy { file, port, _child: child }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}
