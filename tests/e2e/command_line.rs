//! What the command line asks of a running process, and of a terminal.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::sluicegate::{binary, write_config};
use crate::support::{Sluicegate, Upstream, permits_are_all_back, soon};

#[tokio::test]
async fn in_a_dry_run_of_everything_nothing_waits_and_it_is_said_everywhere() {
    let mut upstream = Upstream::start().await;
    let text = Sluicegate::with_limit(1).queue(0).upstream("slots = 1").text(&upstream.url());
    let file = write_config(&text);
    let file = file.to_str().expect("a path in UTF-8");
    let variables = [("SLUICEGATE_DRY_RUN", "true"), ("SLUICEGATE_ADMIN", "127.0.0.1:0")];
    let gate = Sluicegate::run_with(&["-c", file], &variables).await;
    assert!(gate.start_line.contains("dry run: nothing waits or is rejected"), "{}", gate.start_line);
    let mut inside = Vec::new();
    for n in 0..4 {
        let client = gate.get(&format!("/{n}")).await;
        inside.push((client, soon("one of many", upstream.next()).await));
    }
    let status = gate.command(&["status"]).await.stdout;
    assert!(status.starts_with("dry run, nothing waits or is rejected: default, upstreams.default\n"), "{status}");
    assert!(status.contains("\ndefault: dry run: 0 would have waited, 3 been rejected\n"), "{status}");
    assert!(status.contains("\nupstreams.default: dry run: 3 would have waited, 0 been rejected\n"), "{status}");
    assert!(status.lines().all(|line| line.chars().count() <= 80), "{status}");
    let json: serde_json::Value = serde_json::from_str(&gate.command(&["status", "--json"]).await.stdout).unwrap();
    let limit = &json["limits"][0];
    assert_eq!((&limit["dry_run_queued"], &limit["dry_run_rejected"]), (&0.into(), &3.into()), "{limit}");
    for (mut client, call) in inside {
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(gate.metrics().await["sluicegate_dry_run_rejected_total{limit=\"default\"}"], 3.0);
    let _ = std::fs::remove_file(file);
}

#[tokio::test]
async fn a_flag_asks_for_a_dry_run_as_well_and_a_reload_keeps_it() {
    let mut upstream = Upstream::start().await;
    let (url, file) = (upstream.url(), write_config("[routes.default]\nlimit = 1\n"));
    let path = file.to_str().expect("a path in UTF-8");
    let args = ["-c", path, "--upstream", &url, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--dry-run"];
    let gate = Sluicegate::run(&args).await;
    for round in 0..2 {
        let (mut one, mut other) = (gate.get("/1").await, gate.get("/2").await);
        for _ in 0..2 {
            soon("both", upstream.next()).await.respond(200, "").await;
        }
        assert_eq!((one.answer().await.status, other.answer().await.status), (200, 200));
        if round == 0 {
            std::fs::write(&file, "[routes.default]\nlimit = 1\nqueue = 0\ndry_run = false\n").expect("as before");
            assert_eq!(gate.command(&["reload"]).await.code, Some(0));
        }
    }
    let _ = std::fs::remove_file(file);
}

#[tokio::test]
async fn a_file_that_is_watched_is_in_force_as_soon_as_it_has_changed_and_a_broken_one_never() {
    let mut upstream = Upstream::start().await;
    let limit = |limit: usize| Sluicegate::with_limit(limit).queue(16).text(&upstream.url());
    let (one, two) = (limit(1), limit(2));
    let file = write_config(&one);
    let path = file.to_str().expect("a path in UTF-8");
    let mut gate = Sluicegate::run(&["-c", path, "--watch", "--admin", "127.0.0.1:0"]).await;
    let mut first = gate.get("/first").await;
    let first_call = soon("the first", upstream.next()).await;
    let mut second = gate.waiting("/second").await;

    std::fs::write(&file, one.replace("limit = 1", "limit = \"many\"")).expect("the file can be written");
    soon("word of the mistake", gate.said("stays in force")).await;
    std::fs::write(&file, two).expect("the file can be written");
    let second_call = soon("the waiter, now that two may be in", upstream.next()).await;
    for call in [first_call, second_call] {
        call.respond(200, "").await;
    }
    assert_eq!((first.answer().await.status, second.answer().await.status), (200, 200));
    permits_are_all_back(&gate, &mut upstream, 2).await;
    let _ = std::fs::remove_file(file);
}

#[tokio::test]
async fn forwarded_fields_of_a_peer_that_is_not_trusted_are_told_once() {
    let upstream = Upstream::that_works_for(std::time::Duration::ZERO).await;
    let mut gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    for _ in 0..3 {
        let mut client = gate.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n").await;
        assert_eq!(client.answer().await.status, 200);
    }
    soon("the warning", gate.said("not in server.trusted_proxies")).await;
    assert_eq!(gate.stderr().matches("not in server.trusted_proxies").count(), 1, "{}", gate.stderr());
    assert!(gate.stderr().contains("127.0.0.1"), "{}", gate.stderr());
}

#[tokio::test]
async fn to_watch_nothing_is_exit_2() {
    let flags = ["--upstream", "http://127.0.0.1:1", "--limit", "1", "--listen", "127.0.0.1:0", "--watch"];
    let ended = Sluicegate::run_to_end(&flags).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: there is nothing to watch"), "{}", ended.stderr);
    assert_eq!(Sluicegate::run_to_end(&["-t", "--watch"]).await.code, Some(2));
}

#[tokio::test]
async fn a_status_that_is_watched_through_a_pipe_is_one_block_each_time_until_ctrl_c() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).admin().in_front_of(&upstream).await;
    let (mut child, mut lines) = watch(&gate, &[]);
    let mut text = String::new();
    while text.matches("sluicegate ").count() < 3 {
        text += &(soon("a line", lines.next_line()).await.expect("text").expect("more of it") + "\n");
    }
    let blocks: Vec<_> = text.split("sluicegate ").collect();
    assert!(blocks[1].contains("default        0/3") && blocks[1].ends_with("\n\n"), "{text}");
    assert!(blocks[1].contains("ADMITTED ") && blocks[2].contains("ADMITTED/S"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    interrupt(&child);
    assert_eq!(soon("its end", child.wait()).await.expect("our child").code(), Some(0));
}

#[tokio::test]
async fn a_status_that_is_watched_ends_with_what_it_watches_and_says_so() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).admin().in_front_of(&upstream).await;
    let (child, mut lines) = watch(&gate, &["--json"]);
    let line = soon("a line", lines.next_line()).await.expect("text").expect("some");
    let status: serde_json::Value = serde_json::from_str(&line).expect("a line is an object");
    assert_eq!(status["limits"][0]["limit"], 3);
    drop(gate);
    let ended = soon("its end", child.wait_with_output()).await.expect("our child");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("does not answer"), "{said}");
}

#[tokio::test]
async fn on_a_terminal_the_status_is_drawn_over_itself_and_the_screen_is_given_back() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).admin().in_front_of(&upstream).await;
    let (plain, coloured) = (drawn(&gate, "NO_COLOR=1").await, drawn(&gate, "NO_COLOR=").await);
    for text in [&plain, &coloured] {
        assert!(text.contains("\x1b[?1049h") && text.matches("\x1b[H").count() >= 2, "{text:?}");
        let (_, after) = text.rsplit_once("\x1b[?1049l").expect("the screen is given back");
        assert!(after.contains("default        0/3"), "{text:?}");
    }
    assert!(coloured.contains("\x1b[1m") && !plain.contains("\x1b[1m"), "{plain:?}");
}

/// What a terminal gets until two pictures have been drawn and Ctrl-C has been pressed.
async fn drawn(gate: &Sluicegate, variable: &str) -> String {
    const SCRIPT: &str = "if True:
        import os, pty, sys
        seen, pictures = b'', 0
        child, terminal = pty.fork()
        if child == 0:
            os.execvp('env', ['env', *sys.argv[1:]])
        while True:
            try:
                some = os.read(terminal, 4096)
            except OSError:
                break
            seen += some
            if seen.count(b'\\x1b[J') >= 2 and pictures == 0:
                pictures = 1
                os.write(terminal, b'\\x03')
        os.write(1, seen)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))";
    let admin = gate.admin_address().to_string();
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", SCRIPT, variable, env!("CARGO_BIN_EXE_sluicegate"), "status", "--watch", "--admin", &admin]);
    let output = soon("the end", command.stdin(Stdio::null()).kill_on_drop(true).output()).await.expect("python");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn watch(gate: &Sluicegate, more: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = binary();
    command.args(["status", "--watch", "--admin", &gate.admin_address().to_string()]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the binary has been built");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines)
}

fn interrupt(child: &Child) {
    let pid = child.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
}
