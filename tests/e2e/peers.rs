//! Programs of others on both sides, counted where the work is done. Skipped loudly where they are missing.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::certificates::Ca;
use crate::support::quiet::alone;
use crate::support::tools::{has, has_python, output_of};
use crate::support::{Sluicegate, Upstream, permits_are_all_back, soon, until};

/// Debian's own, for which Debian's packages are.
const PYTHON: &str = "/usr/bin/python3";

#[tokio::test]
async fn a_python_websocket_client_holds_the_limit() {
    if !has_python("websockets") {
        return;
    }
    let mut server = Peer::start("websocket_server.py").await;
    let gate = Sluicegate::with_limit(3).queue(100).in_front_of_url(&server.url("http")).await;
    run("websocket_client.py", &[&format!("ws://{}/echo", gate.address), "24"]).await;
    assert_eq!(server.word("peak").await, 3);
    assert_eq!(server.word("total").await, 24);
}

#[tokio::test]
async fn a_python_grpc_client_holds_the_limit() {
    if !has_python("grpc") {
        return;
    }
    let mut server = Peer::start("grpc_server.py").await;
    let gate = Sluicegate::with_limit(4).queue(500).in_front_of_url(&server.url("h2c")).await;
    let address = gate.address.to_string();
    run("grpc_client.py", &[&address, "load"]).await;
    run("grpc_client.py", &[&address, "status"]).await;
    assert_eq!(server.word("peak").await, 4);
    assert_eq!(server.word("total").await, 151);
}

#[tokio::test]
async fn cancelled_grpc_calls_hold_the_limit_where_the_upstream_works_on() {
    if !has_python("grpc") {
        return;
    }
    let mut server = Peer::start("grpc_server.py").await;
    let setup = Sluicegate::with_limit(4).queue(500).route("on_client_gone = \"finish\"");
    let gate = setup.in_front_of_url(&server.url("h2c")).await;
    run("grpc_client.py", &[&gate.address.to_string(), "cancelled"]).await;
    assert_eq!(server.word("peak").await, 4);
    // Who has cancelled waits for nobody.
    soon("the last of them to end", async { while server.word("inside").await > 0 {} }).await;
}

#[tokio::test]
async fn a_grpc_server_hears_of_calls_that_are_cancelled() {
    if !has_python("grpc") {
        return;
    }
    let mut server = Peer::start("grpc_server.py").await;
    let gate = Sluicegate::with_limit(4).queue(500).in_front_of_url(&server.url("h2c")).await;
    run("grpc_client.py", &[&gate.address.to_string(), "told"]).await;
    assert_eq!(server.word("cancelled").await, 20);
}

#[tokio::test]
async fn a_grpc_client_understands_a_rejection() {
    if !has_python("grpc") {
        return;
    }
    let mut server = Peer::start("grpc_server.py").await;
    let gate = Sluicegate::with_limit(2).queue(0).in_front_of_url(&server.url("h2c")).await;
    run("grpc_client.py", &[&gate.address.to_string(), "rejected"]).await;
    assert_eq!(server.word("total").await, 2);
}

#[tokio::test]
async fn h2load_with_100_streams_never_has_more_than_8_inside() {
    if !has("h2load") {
        return;
    }
    let _alone = alone();
    for connections in ["1", "8"] {
        let mut upstream = Upstream::that_works_for(Duration::from_millis(1)).await;
        let gate = Sluicegate::with_limit(8).queue(1000).in_front_of(&upstream).await;
        let url = format!("http://{}/", gate.address);
        let report = output_of("h2load", &["-n", "4000", "-c", connections, "-m", "100", &url]).await;
        assert!(report.contains("4000 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
        assert_eq!((upstream.peak(), upstream.total()), (8, 4000));
        upstream.answers_when_told();
        permits_are_all_back(&gate, &mut upstream, 8).await;
    }
}

#[tokio::test]
async fn no_post_is_lost_when_nginx_sends_goaway_every_hundred_requests() {
    if !has("nginx") || !has("h2load") {
        return;
    }
    let nginx = Nginx::start("keepalive_requests 100; location / { return 200 ok; }").await;
    let gate = Sluicegate::with_limit(50).queue(1000).in_front_of_url(&nginx.url("h2c")).await;
    let body = nginx.dir.join("body");
    std::fs::write(&body, "x".repeat(2000)).unwrap();
    let body = body.to_str().expect("a path in UTF-8");
    let url = format!("http://{}/", gate.address);
    let report = output_of("h2load", &["-n", "6000", "-c", "10", "-m", "10", "-d", body, &url]).await;
    assert!(report.contains("6000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{report}");
}

#[tokio::test]
async fn nothing_is_lost_when_nginx_speaks_tls_and_ends_its_connections() {
    if !has("nginx") || !has("h2load") {
        return;
    }
    let ca = Ca::new();
    ca.issue("a", &["127.0.0.1"]);
    let files = format!("ssl_certificate {}; ssl_certificate_key {};", ca.path("a.crt"), ca.path("a.key"));
    for (how, version) in [("ssl http2", "HTTP/2.0"), ("ssl", "HTTP/1.1")] {
        let server = format!("{files} keepalive_requests 100; location / {{ return 200 $server_protocol; }}");
        let nginx = Nginx::listening(how, &server).await;
        let tls = format!("tls = {{ ca = \"{}\" }}", ca.path("ca.crt"));
        let gate = Sluicegate::with_limit(20).queue(1000).upstream(&tls).in_front_of_url(&nginx.url("https")).await;
        let mut client = gate.get("/").await;
        assert_eq!(client.answer().await.body.text(), version);
        let url = format!("http://{}/", gate.address);
        let args = ["-n", "3000", "-c", "10", "-m", "10"];
        let report = output_of("h2load", &[&args[..], &[&url]].concat()).await;
        assert!(report.contains("3000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{how}: {report}");
    }
}

#[tokio::test]
async fn curl_is_served_over_tls_as_it_likes() {
    if !has("curl") {
        return;
    }
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    ca.issue("known", &["known.test"]);
    let upstream = Upstream::that_works_for(Duration::from_millis(1)).await;
    let (cert, key) = (ca.path("a.crt"), ca.path("a.key"));
    let client_ca = ca.path("ca.crt");
    let tls = format!("tls = {{ cert = \"{cert}\", key = \"{key}\", client_ca = \"{client_ca}\" }}");
    let setup = Sluicegate::with_limit(5).queue(5).listen("tls:127.0.0.1:0").server(&tls);
    let gate = setup.in_front_of(&upstream).await;
    let port = gate.start_line.split("https://127.0.0.1:").nth(1).unwrap().split(',').next().unwrap();
    let (url, resolve) = (format!("https://a.test:{port}/"), format!("a.test:{port}:127.0.0.1"));
    let (known, known_key) = (ca.path("known.crt"), ca.path("known.key"));
    let always = ["-sS", "--cacert", &client_ca, "--resolve", &resolve, "-w", "%{http_version}", &url];
    let shows = ["--cert", &known, "--key", &known_key];
    for (how, version) in [
        (&["--http1.1", "--tlsv1.3"][..], "1.1"),
        (&["--http1.1", "--tlsv1.2", "--tls-max", "1.2"], "1.1"),
        (&["--http2", "--tlsv1.3"], "2"),
        (&["--http2", "--tlsv1.2", "--tls-max", "1.2"], "2"),
    ] {
        let output = output_of("curl", &[how, &shows, &always].concat()).await;
        assert_eq!(output, format!("done\n{version}"), "{how:?}");
        // By TLS 1.2 the handshake fails, by TLS 1.3 the first read after it.
        let output = output_of("curl", &[how, &always].concat()).await;
        assert!(output.contains("curl: ("), "{how:?}: {output}");
    }
    assert_eq!(upstream.total(), 4);
}

#[tokio::test]
async fn an_upload_of_openssl_that_is_cut_is_not_complete() {
    if !has("openssl") {
        return;
    }
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    let mut upstream = Upstream::start().await;
    let tls = format!("tls = {{ cert = \"{}\", key = \"{}\" }}", ca.path("a.crt"), ca.path("a.key"));
    let setup = Sluicegate::with_limit(1).queue(5).listen("tls:127.0.0.1:0").server(&tls);
    let gate = setup.in_front_of(&upstream).await;
    let address = gate.start_line.split("https://").nth(1).unwrap().split(',').next().unwrap();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", address, "-servername", "a.test"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut client = command.spawn().expect("it was found");
    let head = "POST /upload HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    client.stdin.as_mut().expect("piped").write_all(head.as_bytes()).await.unwrap();
    let mut call = soon("the upload", upstream.next()).await;
    client.kill().await.unwrap();
    assert!(soon("its end", call.body()).await.is_err());
    call.close();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

fn script(name: &str) -> String {
    format!("{}/tests/peers/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a script to its end, which must be a good one.
async fn run(name: &str, args: &[&str]) {
    let mut command = Command::new(PYTHON);
    command.arg(script(name)).args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{name} {args:?} has not ended")).expect("it was found");
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A script that serves until its stdin ends.
struct Peer {
    port: u16,
    child: Child,
    stdout: BufReader<ChildStdout>,
    words: String,
}

impl Peer {
    async fn start(name: &str) -> Self {
        let mut command = Command::new(PYTHON);
        command.arg(script(name)).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it was found");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut port = String::new();
        soon("its port", stdout.read_line(&mut port)).await.expect("it runs");
        let port = port.trim().parse().unwrap_or_else(|_| panic!("{name} does not serve: {port:?}"));
        Peer { port, child, stdout, words: String::new() }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The number behind a word of what it has to say at its end.
    async fn word(&mut self, word: &str) -> u64 {
        drop(self.child.stdin.take());
        soon("its last words", self.stdout.read_to_string(&mut self.words)).await.expect("text");
        let mut words = self.words.split_whitespace().skip_while(|found| *found != word);
        words.nth(1).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no {word} in {:?}", self.words))
    }
}

/// An nginx with one server, that speaks HTTP/2 too.
struct Nginx {
    dir: PathBuf,
    port: u16,
    child: Child,
}

impl Nginx {
    async fn start(server: &str) -> Self {
        Self::listening("http2", server).await
    }

    /// With these words behind its port.
    async fn listening(how: &str, server: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = std::env::temp_dir().join(format!("sluicegate-nginx-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {}/{what};", dir.display()))
            .concat();
        let config = format!(
            "daemon off; worker_processes 1; pid {0}/pid; error_log {0}/error.log; events {{ }}
            http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port} {how}; {server} }} }}",
            dir.display()
        );
        std::fs::write(dir.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(&dir).arg("-c").arg(dir.join("nginx.conf")).kill_on_drop(true);
        let child = command.stderr(Stdio::null()).spawn().expect("it was found");
        let serves = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        until("nginx to serve", serves).await;
        Nginx { dir, port, child }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker would outlive a master that is killed.
        if let Some(master) = self.child.id() {
            let _ = std::process::Command::new("kill").arg(master.to_string()).status();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
