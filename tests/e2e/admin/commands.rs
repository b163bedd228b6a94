//! The binary's own commands against a running one.

use crate::support::admin::command;
use crate::support::sluicegate::{free_address, write_config};
use crate::support::{Sluicegate, Upstream, soon, until};

#[tokio::test]
async fn limit_set_and_reset_change_what_status_shows() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).queue(20).admin().in_front_of(&upstream).await;
    let set = gate.command(&["limit", "set", "default", "8", "--queue", "5", "--queue-timeout", "2s", "--for", "10m"]);
    let set = set.await;
    assert_eq!((set.code, set.stderr.as_str()), (Some(0), ""));
    assert!(set.stdout.starts_with("default: limit 8, queue 5, queue timeout 2s until 2"), "{}", set.stdout);
    let status = gate.command(&["status"]).await;
    assert_eq!(status.code, Some(0));
    let lines: Vec<_> = status.stdout.lines().collect();
    assert!(lines[0].starts_with("LIMIT ") && lines[0].ends_with(" OVERRIDE"), "{}", status.stdout);
    let cells: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(cells[..6], ["default", "0/8", "0/5", "-", "0", "0"], "{}", status.stdout);
    let change = cells[6..].join(" ");
    assert!(change.starts_with("limit 8, queue 5, queue timeout 2s until 2"), "{change}");
    assert!(change.ends_with("Z by 127.0.0.1"), "{change}");
    let json: serde_json::Value = serde_json::from_str(&gate.command(&["status", "--json"]).await.stdout).unwrap();
    assert_eq!(json["limits"][0]["override"]["limit"], 8);

    let forever = gate.command(&["limit", "set", "default", "4", "--for", "forever"]).await;
    assert_eq!(forever.stdout, "default: limit 4, queue 5, queue timeout 2s until the process ends\n");
    let reset = gate.command(&["limit", "reset", "default"]).await;
    assert_eq!(
        (reset.code, reset.stdout.as_str()),
        (Some(0), "default: limit 3, queue 20, queue timeout 1m, as configured\n")
    );
}

#[tokio::test]
async fn what_goes_wrong_is_exit_1_and_one_line_that_says_what_to_do() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).admin().in_front_of(&upstream).await;
    for (args, part) in [
        (&["limit", "set", "defalt", "8"][..], "Did you mean `default`?"),
        (&["limit", "set", "default"], "there is nothing to change"),
        (&["limit", "set", "default", "--per-key", "2"], "`default` has no `key`"),
        (&["limit", "set", "default", "--freeze"], "adaptive limit"),
        (&["limit", "reset", "de/fault?"], "There is no limit `de/fault?`"),
        (&["status", "--admin", "http://127.0.0.1:1"], "--admin"),
        (&["status", "--admin", "https://127.0.0.1:1"], "no TLS"),
        (&["status", "--admin", "off"], "--admin"),
        (&["drain", "--token-file", "/no/such/file"], "/no/such/file"),
    ] {
        let failed = gate.command(args).await;
        assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""), "{args:?}: {failed:?}");
        assert!(failed.stderr.starts_with("error: ") && failed.stderr.contains(part), "{args:?}: {failed:?}");
        assert_eq!(failed.stderr.lines().count(), 1, "{args:?}: {failed:?}");
    }
    // What is wrong whatever is running is no command line.
    for (args, part) in [
        (&["limit", "set", "default", "0"][..], "from 1 to 16777215, or \"none\""),
        (&["limit", "set", "default", "-5"], "invalid value '-5' for '[N]'"),
        (&["limit", "set", "default", "8", "--for", "soon"], "forever"),
    ] {
        let misused = gate.command(args).await;
        assert_eq!((misused.code, misused.stdout.as_str()), (Some(2), ""), "{args:?}: {misused:?}");
        assert!(misused.stderr.contains(part), "{args:?}: {misused:?}");
    }
    assert_eq!(gate.limit_status().await["limit"], 3);
}

#[tokio::test]
async fn a_wrong_token_and_an_empty_one_are_told_as_such() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).open_admin(Some("a-secret-that-is-right")).in_front_of(&upstream).await;
    // From loopback it takes no token.
    let Some(address) = super::protection::outward_address() else { return };
    let url = format!("http://{address}:{}", gate.admin_address().port());
    for (token, code, said) in [
        ("another-secret-altogether", 1, "takes another token than this one"),
        ("\n", 1, "is empty"),
        ("a-secret-that-is-right\n", 0, ""),
    ] {
        let file = write_config(token);
        let path = file.to_str().expect("a path in UTF-8");
        let status = command(&["status", "--admin", &url, "--token-file", path], &[]).await;
        assert_eq!(status.code, Some(code), "{status:?}");
        assert!(status.stderr.contains(said) && !status.stderr.contains("secret"), "{status:?}");
        let _ = std::fs::remove_file(file);
    }
}

#[tokio::test]
async fn drain_ends_it_with_0_once_all_is_served() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let drain = gate.command(&["drain"]).await;
    assert_eq!((drain.code, drain.stdout.as_str()), (Some(0), "draining\n"));
    until("it to be unready", async || gate.command(&["health", "--ready"]).await.code == Some(1)).await;
    let unready = gate.command(&["health", "--ready"]).await;
    assert!(unready.stderr.contains("draining"), "{unready:?}");
    assert_eq!(gate.command(&["health"]).await.code, Some(0), "it lives");
    assert!(gate.command(&["status"]).await.stdout.starts_with("draining\n"));
    call.respond(200, "served").await;
    assert_eq!(client.answer().await.body.text(), "served");
    assert_eq!(gate.exit_code().await, Some(0));
}

#[tokio::test]
async fn health_says_whether_it_runs() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    for args in [&["health"][..], &["health", "--ready"]] {
        assert_eq!(gate.command(args).await.code, Some(0));
    }
    // An address to listen on is read as one to connect to.
    let everywhere = format!("0.0.0.0:{}", gate.admin_address().port());
    assert_eq!(command(&["health"], &[("SLUICEGATE_ADMIN", &everywhere)]).await.code, Some(0));
    let nobody = command(&["health"], &[("SLUICEGATE_ADMIN", "127.0.0.1:1")]).await;
    assert_eq!((nobody.code, nobody.stderr.lines().count()), (Some(1), 1), "{nobody:?}");
}

#[tokio::test]
async fn without_an_admin_listener_health_is_whether_requests_are_accepted() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let listen = format!("0.0.0.0:{}", gate.address.port());
    let health = command(&["health"], &[("SLUICEGATE_ADMIN", "off"), ("SLUICEGATE_LISTEN", &listen)]).await;
    assert_eq!(health.code, Some(0), "{health:?}");
    let health = command(&["health"], &[("SLUICEGATE_ADMIN", "off"), ("SLUICEGATE_LISTEN", "127.0.0.1:1")]).await;
    assert_eq!(health.code, Some(1), "{health:?}");
    // A configuration says it as well.
    for (listen, code) in [(listen.as_str(), 0), ("127.0.0.1:1", 1), ("fd:web", 1)] {
        let file = write_config(&format!("[server]\nlisten = \"{listen}\"\n[admin]\nlisten = \"off\"\n"));
        let health = command(&["health", "-c", file.to_str().expect("a path in UTF-8")], &[]).await;
        assert_eq!(health.code, Some(code), "{listen}: {health:?}");
        let _ = std::fs::remove_file(file);
    }
}

#[tokio::test]
async fn commands_find_the_listener_and_its_token_in_the_configuration() {
    let upstream = Upstream::start().await;
    let socket = format!("{}/found-{}.sock", std::env::temp_dir().display(), std::process::id());
    let text = Sluicegate::with_limit(7).text(&upstream.url());
    let file = write_config(&format!("{text}\n[admin]\nlisten = \"unix:{socket}\"\n"));
    let file = file.to_str().expect("a path in UTF-8");
    let mut gate = Sluicegate::run_with(&["-c", file], &[("SLUICEGATE_ADMIN", &format!("unix:{socket}"))]).await;
    let status = command(&["status"], &[("SLUICEGATE_CONFIG", file)]).await;
    assert_eq!((status.code, status.stderr.as_str()), (Some(0), ""));
    assert!(status.stdout.contains("0/7"), "{}", status.stdout);
    // There, nobody has an address.
    let set = command(&["limit", "set", "default", "9"], &[("SLUICEGATE_CONFIG", file)]).await;
    assert_eq!(set.code, Some(0), "{set:?}");
    let status = command(&["status"], &[("SLUICEGATE_CONFIG", file)]).await;
    assert!(status.stdout.contains(" by unix\n"), "{}", status.stdout);
    soon("the change's line", gate.said("by=unix")).await;
    let elsewhere = command(&["status", "--admin", "http://127.0.0.1:1"], &[("SLUICEGATE_CONFIG", file)]).await;
    assert_eq!(elsewhere.code, Some(1));
}

#[tokio::test]
async fn a_configuration_that_is_named_says_where_the_admin_listener_is() {
    let upstream = Upstream::start().await;
    let address = free_address();
    let text = Sluicegate::with_limit(3).text(&upstream.url()) + &format!("[admin]\nlisten = \"{address}\"\n");
    let _gate = Sluicegate::configured(&text).await;
    let file = write_config(&text);
    let path = file.to_str().expect("a path in UTF-8");
    let status = command(&["status", "-c", path], &[]).await;
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.stdout.contains("0/3"), "{status:?}");
    let both = command(&["status", "-c", path, "--admin", "http://127.0.0.1:1"], &[]).await;
    assert_eq!(both.code, Some(2), "{both:?}");
    std::fs::write(&file, "[admin]\nlisten = 1\n").expect("the file can be written");
    let wrong = command(&["status", "-c", path], &[]).await;
    assert!(wrong.code == Some(1) && wrong.stderr.contains("admin.listen must be"), "{wrong:?}");
    assert!(wrong.stderr.starts_with("error: admin.listen"), "{wrong:?}");
    let empty = command(&["limit", "set", "", "5", "-c", path], &[]).await;
    assert!(empty.code == Some(2) && empty.stderr.contains("the name of a limit"), "{empty:?}");
    let _ = std::fs::remove_file(file);
}
