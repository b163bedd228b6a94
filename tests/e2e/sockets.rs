//! Where bytes come on something else than a port of ours: sockets in the file system, and sockets that were passed on.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use crate::support::admin::command;
use crate::support::bridge::{Bridge, Directory};
use crate::support::tools::has_python;
use crate::support::{Client, Sluicegate, Upstream, permits_are_all_back, soon, until};

fn config(listen: &str, url: &str, limit: usize) -> String {
    format!(
        "[server]\nlisten = [{listen}]\nthreads = 2\n[upstreams.default]\nurl = \"{url}\"\n\
         [routes.default]\nlimit = {limit}\nqueue = 10\nqueue_timeout = \"60s\"\n"
    )
}

#[tokio::test]
async fn a_client_on_a_socket_is_served_as_one_on_this_machine() {
    let directory = Directory::new();
    let mut upstream = Upstream::start().await;
    let socket = directory.path("http.sock");
    let listen = format!("\"127.0.0.1:0\", \"unix:{socket}\"");
    let gate = Sluicegate::configured(&config(&listen, &upstream.url(), 1)).await;
    assert!(gate.start_line.contains(&format!(" and unix:{socket}, ")), "{}", gate.start_line);
    let (address, _bridge) = Bridge::to_unix(&directory.file("http.sock")).await;
    let mut client = Client::connect(address).await;
    client.get("/first").await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.head.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    // It shares the limit with everybody else, and leaves the queue when its client does.
    let mut leaver = Client::connect(address).await;
    leaver.get("/leaver").await;
    assert!(leaver.hears_nothing().await);
    leaver.leave();
    call.respond(200, "one").await;
    assert_eq!(client.answer().await.body.text(), "one");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn clients_on_a_socket_reach_every_worker() {
    let directory = Directory::new();
    let upstream = Upstream::that_works_for(std::time::Duration::from_millis(5)).await;
    let listen = format!("\"127.0.0.1:0\", \"unix:{}\"", directory.path("http.sock"));
    let _gate = Sluicegate::configured(&config(&listen, &upstream.url(), 4)).await;
    let (address, _bridge) = Bridge::to_unix(&directory.file("http.sock")).await;
    for _ in 0..20 {
        let mut clients = Vec::new();
        for _ in 0..8 {
            let mut client = Client::connect(address).await;
            client.get("/").await;
            clients.push(client);
        }
        for mut client in clients {
            assert_eq!(client.answer().await.status, 200);
        }
    }
    assert!(upstream.peak() <= 4);
}

#[tokio::test]
async fn the_file_of_a_socket_is_open_to_all_and_gone_after_the_drain() {
    let directory = Directory::new();
    let upstream = Upstream::start().await;
    let listen = format!("\"127.0.0.1:0\", \"unix:{}\"", directory.path("http.sock"));
    let gate = Sluicegate::configured(&config(&listen, &upstream.url(), 1)).await;
    let mode = std::fs::metadata(directory.file("http.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    gate.terminate();
    assert_eq!(gate.exit_code().await, Some(0));
    assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 0);
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_one_in_use_is_exit_1() {
    let directory = Directory::new();
    let upstream = Upstream::start().await;
    drop(UnixListener::bind(directory.file("http.sock")).unwrap());
    let listen = format!("\"127.0.0.1:0\", \"unix:{}\"", directory.path("http.sock"));
    let text = config(&listen, &upstream.url(), 1);
    let _gate = Sluicegate::configured(&text).await;
    UnixStream::connect(directory.file("http.sock")).unwrap();
    let ended = Sluicegate::run_config_to_end(&text).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&directory.path("http.sock")), "{}", ended.stderr);
    // The first one goes on.
    UnixStream::connect(directory.file("http.sock")).unwrap();
}

#[tokio::test]
async fn an_upstream_on_a_socket_gets_the_clients_host_or_localhost() {
    let directory = Directory::new();
    let mut upstream = Upstream::start().await;
    let _bridge = Bridge::from_unix(&directory.file("api.sock"), upstream.address);
    let url = format!("unix:{}", directory.path("api.sock"));
    let gate = Sluicegate::with_limit(2).queue(5).in_front_of_url(&url).await;
    assert!(gate.start_line.contains(&format!("upstream {url}, ")), "{}", gate.start_line);
    let mut client = gate.get("/a").await;
    let call = soon("the request", upstream.next()).await;
    assert_ne!(call.head.field("host").as_deref(), Some("localhost"));
    call.respond(200, "one").await;
    assert_eq!(client.answer().await.body.text(), "one");
    permits_are_all_back(&gate, &mut upstream, 2).await;

    let gate = Sluicegate::with_limit(1).upstream("host = \"upstream\"").in_front_of_url(&url).await;
    let mut client = gate.get("/b").await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.head.field("host").as_deref(), Some("localhost"));
    call.respond(200, "two").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn an_upstream_on_a_socket_that_nobody_listens_on_is_502() {
    let directory = Directory::new();
    let url = format!("unix:{}", directory.path("api.sock"));
    let gate = Sluicegate::with_limit(1).in_front_of_url(&url).await;
    gate.get("/").await.answer().await.expect(502, "connect_failed");
}

#[tokio::test]
async fn an_upstream_on_a_socket_is_told_when_its_client_leaves() {
    let directory = Directory::new();
    let mut upstream = Upstream::start().await;
    let _bridge = Bridge::from_unix(&directory.file("api.sock"), upstream.address);
    let url = format!("unix:{}", directory.path("api.sock"));
    let gate = Sluicegate::with_limit(1).queue(5).in_front_of_url(&url).await;
    let client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    client.leave();
    soon("the hint", call.until_hung_up()).await;
    call.close();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn the_admin_listener_on_a_socket_obeys_its_owner_without_a_token() {
    let directory = Directory::new();
    let upstream = Upstream::start().await;
    let admin = format!("unix:{}", directory.path("admin.sock"));
    let text = format!("{}[admin]\nlisten = \"{admin}\"\n", config("\"127.0.0.1:0\"", &upstream.url(), 3));
    let file = directory.file("sluicegate.toml");
    std::fs::write(&file, text).unwrap();
    // The variable that keeps the admin listener of other tests off would rule.
    let variables = [("SLUICEGATE_ADMIN", admin.as_str())];
    let gate = Sluicegate::run_with(&["-c", file.to_str().unwrap()], &variables).await;
    assert!(gate.start_line.ends_with(&format!(", admin {admin}")), "{}", gate.start_line);
    let mode = std::fs::metadata(directory.file("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status = command(&["status", "--json", "--admin", &admin], &[]).await;
    assert_eq!(status.code, Some(0), "{}", status.stderr);
    assert!(status.stdout.contains("\"default\""), "{}", status.stdout);
    let set = command(&["limit", "set", "default", "7"], &variables).await;
    assert_eq!(set.code, Some(0), "{}", set.stderr);
    assert_eq!(command(&["health", "--ready"], &variables).await.code, Some(0));
    assert_eq!(command(&["drain"], &variables).await.code, Some(0));
    assert_eq!(gate.exit_code().await, Some(0));
    assert!(!directory.file("admin.sock").exists());
    let gone = command(&["status"], &variables).await;
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.contains(&admin), "{}", gone.stderr);
}

#[tokio::test]
async fn sockets_that_were_passed_on_are_served_by_their_names() {
    if !has_python("socket") {
        return;
    }
    let directory = Directory::new();
    let mut upstream = Upstream::start().await;
    let file = directory.file("sluicegate.toml");
    std::fs::write(&file, config("\"fd:web\", \"fd:local\"", &upstream.url(), 1)).unwrap();
    let args = ["-c", file.to_str().unwrap()];
    let gate = Sluicegate::with_passed_sockets(&directory.path("local.sock"), &args).await;
    assert!(gate.start_line.contains("(fd:web) and fd:local, "), "{}", gate.start_line);
    let (local, _bridge) = Bridge::to_unix(&directory.file("local.sock")).await;
    for address in [gate.address, local] {
        let mut client = Client::connect(address).await;
        client.get("/").await;
        soon("the request", upstream.next()).await.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
    gate.terminate();
    assert_eq!(gate.exit_code().await, Some(0));
    // It is not ours to remove.
    assert!(directory.file("local.sock").exists());
}

#[tokio::test]
async fn a_socket_that_was_not_passed_on_is_exit_1_with_the_names_of_those_that_were() {
    let upstream = Upstream::start().await;
    let ended = Sluicegate::run_config_to_end(&config("\"fd:web\"", &upstream.url(), 1)).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("fd:web: no sockets were passed"), "{}", ended.stderr);
    if !has_python("socket") {
        return;
    }
    let directory = Directory::new();
    let file = directory.file("sluicegate.toml");
    std::fs::write(&file, config("\"fd:wep\"", &upstream.url(), 1)).unwrap();
    let args = ["-c", file.to_str().unwrap()];
    let ended = Sluicegate::with_passed_sockets_to_end(&directory.path("local.sock"), &args).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("fd:wep") && ended.stderr.contains("web, local"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_request_in_the_backlog_of_a_socket_is_served_by_a_drain() {
    let directory = Directory::new();
    let upstream = Upstream::that_works_for(std::time::Duration::from_millis(1)).await;
    let listen = format!("\"127.0.0.1:0\", \"unix:{}\"", directory.path("http.sock"));
    let gate = Sluicegate::configured(&config(&listen, &upstream.url(), 4)).await;
    gate.freeze().await;
    let (address, _bridge) = Bridge::to_unix(&directory.file("http.sock")).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(address).await;
        client.get("/").await;
        clients.push(client);
    }
    // One line for the listening socket, and one for each connection in its backlog.
    let name = directory.path("http.sock");
    let lines = || std::fs::read_to_string("/proc/net/unix").map_or(0, |sockets| sockets.matches(&name).count());
    until("all to have connected", async || lines() >= 6).await;
    gate.terminate();
    gate.signal("CONT");
    for mut client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(gate.exit_code().await, Some(0));
}
