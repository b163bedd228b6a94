//! It starts whole or not at all.

use tokio::net::UnixDatagram;

use crate::support::bridge::Directory;
use crate::support::{Sluicegate, Upstream, soon};

#[tokio::test]
async fn flags_alone_are_enough_and_the_start_line_says_what_is_served() {
    let mut upstream = Upstream::start().await;
    let url = upstream.url();
    let gate = Sluicegate::run(&["--upstream", &url, "--limit", "3", "--listen", "127.0.0.1:0"]).await;
    for part in [format!("upstream {url}"), "limit 3".to_owned(), "queue 16".to_owned()] {
        assert!(gate.start_line.contains(&part), "{part} in {}", gate.start_line);
    }
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_service_manager_is_told_when_it_serves_reloads_and_stops() {
    let directory = Directory::new();
    let manager = UnixDatagram::bind(directory.file("notify")).expect("a path of our own");
    let hears = async || {
        let mut message = [0; 4096];
        let length = soon("word to the service manager", manager.recv(&mut message)).await.expect("a socket of ours");
        String::from_utf8(message[..length].to_vec()).expect("text")
    };
    let text =
        "[upstreams.a]\nurl = \"http://127.0.0.1:1\"\n[server]\nlisten = \"127.0.0.1:0\"\n[routes.a]\nlimit = 1\n";
    let variables = [("NOTIFY_SOCKET", &*directory.path("notify"))];
    let mut gate = Sluicegate::configured_with(text, &[], &variables).await;
    let started = hears().await;
    let line = gate.start_line.trim_start_matches("sluicegate: ");
    assert_eq!(started, format!("READY=1\nSTATUS={line}\n"));

    // Also where the configuration is refused: it goes on serving.
    for text in [text.replace("limit = 1", "limit = 2"), "nonsense".to_owned()] {
        gate.reload(&text).await;
        let reloading = hears().await;
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(hears().await, "READY=1\n");
    }

    gate.terminate();
    assert_eq!(hears().await, "STOPPING=1\nSTATUS=draining\n");
    assert_eq!(gate.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_port_that_is_taken_is_exit_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let ended = run_on(&listen).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&listen), "{}", ended.stderr);
    assert!(!ended.stderr.contains("listening on"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_port_taken_by_another_sluicegate_is_exit_1() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let listen = gate.address.to_string();
    let ended = run_on(&listen).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&listen), "{}", ended.stderr);
    // The first one has lost nothing by it.
    for _ in 0..10 {
        let mut client = gate.get("/").await;
        soon("the request", upstream.next()).await.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn with_one_of_two_ports_taken_neither_is_served() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
    let ended = Sluicegate::run_config_to_end(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\", \"{}\"]\n[upstreams.a]\nurl = \"http://127.0.0.1:1\"\n\
         [routes.a]\nlimit = 1\n",
        taken.1
    ))
    .await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(!ended.stderr.contains("listening on"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_bad_configuration_is_exit_2_with_every_problem_listed() {
    let ended = Sluicegate::run_config_to_end(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nheader_timeout = \"soon\"\nmax_heeder_bytes = \"1KiB\"\n\
         [upstreams.api]\nurl = \"ftp://127.0.0.1:3000\"\n\
         [routes.a]\npath = \"/a\"\nupstream = \"apy\"\nlimit = 0\n\
         [routes.b]\npath = \"/b\"\nupstream = \"api\"\n",
    )
    .await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for part in ["header_timeout", "max_heeder_bytes", "ftp://", "apy", "routes.a", "routes.b", ":3:", ":4:", ":6:"] {
        assert!(ended.stderr.contains(part), "{part} is missing in:\n{}", ended.stderr);
    }
    assert!(ended.stderr.contains("max_header_bytes"), "a suggestion is missing in:\n{}", ended.stderr);
    assert!(!ended.stderr.contains("listening on"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_route_without_a_limit_key_is_an_error() {
    let ended = Sluicegate::run_to_end(&["--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("limit"), "{}", ended.stderr);
}

#[tokio::test]
async fn wrong_usage_is_exit_2() {
    for args in [&["--no-such-flag"][..], &["-c", "/no/such/file.toml"], &["--limit", "many", "--upstream", "x"]] {
        let ended = Sluicegate::run_to_end(args).await;
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_file_that_is_no_toml_is_exit_2_with_its_place() {
    let ended = Sluicegate::run_config_to_end("[server]\nlisten = [\n").await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(".toml:"), "{}", ended.stderr);
}

async fn run_on(listen: &str) -> crate::support::sluicegate::Ended {
    Sluicegate::run_to_end(&["--upstream", "http://127.0.0.1:1", "--limit", "1", "--listen", listen]).await
}
