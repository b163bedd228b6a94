//! Under a real load generator. Skipped loudly where its programs are missing.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::support::quiet::alone;
use crate::support::tools::{has, output_of};
use crate::support::{Sluicegate, Upstream, until};

#[tokio::test]
async fn wrk_with_64_connections_sees_no_error_at_limit_8_in_front_of_nginx() {
    if !has("wrk") || !has("nginx") {
        return;
    }
    let _alone = alone();
    let nginx = Nginx::start().await;
    let shape = ["--limit", "8", "--queue", "1000", "--listen", "127.0.0.1:0"];
    let url = format!("http://127.0.0.1:{}", nginx.port);
    let gate = Sluicegate::run(&[&["--upstream", &url], &shape[..]].concat()).await;
    wrk(&gate).await;
}

#[tokio::test]
async fn wrk_with_64_connections_never_has_more_than_8_inside() {
    if !has("wrk") {
        return;
    }
    let _alone = alone();
    let upstream = Upstream::that_works_for(Duration::from_millis(1)).await;
    let gate = Sluicegate::with_limit(8).queue(1000).in_front_of(&upstream).await;
    wrk(&gate).await;
    assert_eq!(upstream.peak(), 8);
}

/// Three seconds of load without an error.
async fn wrk(gate: &Sluicegate) {
    let url = format!("http://{}/", gate.address);
    let report = output_of("wrk", &["-t", "2", "-c", "64", "-d", "3s", "--timeout", "10s", &url]).await;
    let requests = report.lines().find_map(|line| line.split(" requests in ").next()?.trim().parse::<u64>().ok());
    assert!(requests.is_some_and(|n| n > 100), "{report}");
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
}

/// An nginx with a directory of its own. Dropping it kills its worker with it.
struct Nginx {
    port: u16,
    directory: PathBuf,
    _child: Child,
}

impl Nginx {
    async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nginx-{port}"));
        std::fs::create_dir_all(&directory).unwrap();
        // A single process, so that killing it ends it.
        let config = format!(
            "daemon off; master_process off; error_log stderr crit; pid {0}/pid;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {0}/body;\n\
             proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n\
             server {{ listen 127.0.0.1:{port}; location / {{ return 200 hello; }} }} }}\n",
            directory.display()
        );
        let file = directory.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let mut command =
            Command::new(if Path::new("/usr/sbin/nginx").is_file() { "/usr/sbin/nginx" } else { "nginx" });
        command.arg("-p").arg(&directory).arg("-c").arg(&file);
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().expect("nginx was found");
        until("nginx to listen", async || {
            tokio::time::sleep(Duration::from_millis(10)).await;
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        Nginx { port, directory, _child: child }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
