//! The dashboard: as it is sent, and in a browser.

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::protection::outward_address;
use crate::support::admin::ask;
use crate::support::tools::{has, has_python};
use crate::support::{Sluicegate, Upstream, soon, until};

/// What the first paint may need, all in all.
const FIRST_PAINT: usize = 60 << 10;

#[tokio::test]
async fn the_page_has_the_numbers_before_any_script_runs() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).admin().in_front_of(&upstream).await;
    let _running = gate.get("/runs").await;
    let _call = soon("the request", upstream.next()).await;
    let _waiting = gate.waiting("/waits").await;
    let mut client = gate.client().await;
    client.request("GET", "/", &["x-request-id: <b>\"&"]).await;
    client.answer().await.expect(503, "queue_full");
    let page = gate.ask_admin("GET /", "").await;
    assert_eq!(page.head.field("content-type").as_deref(), Some("text/html; charset=utf-8"));
    let policy = page.head.field("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    let text = page.body.text();
    assert!(text.contains("<td>default<td>1 of 1<td>1 of 1<td>0."), "{text}");
    assert!(text.contains("<td class=id>&lt;b&gt;&quot;&amp;"), "{text}");
    assert!(text.contains(&upstream.address.to_string()), "{text}");
    assert!(text.len() <= FIRST_PAINT, "{} bytes", text.len());
}

#[tokio::test]
async fn there_is_no_page_where_there_is_to_be_none() {
    let flags =
        ["--upstream", "http://127.0.0.1:1", "--limit", "1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let gate = Sluicegate::run_with(&flags, &[("SLUICEGATE__ADMIN__DASHBOARD", "false")]).await;
    assert_eq!(gate.ask_admin("GET /", "").await.status, 404);
    assert_eq!(gate.ask_admin("GET /api/v1/status", "").await.status, 200);
}

#[tokio::test]
async fn from_elsewhere_the_page_has_no_numbers() {
    let Some(here) = outward_address() else { return };
    let upstream = Upstream::start().await;
    for (token, status) in [(Some("open-sesame"), 401), (None, 403)] {
        let gate = Sluicegate::with_limit(3).open_admin(token).in_front_of(&upstream).await;
        let address = SocketAddr::new(here, gate.admin_address().port());
        let page = ask(address, "GET /", &[&format!("Host: {address}")], "").await;
        assert_eq!(page.status, status);
        let text = page.body.text();
        assert!(!text.contains("<td>"), "{text}");
        assert_eq!(text.contains("No token is configured"), token.is_none(), "{text}");
        assert!(text.contains("SLUICEGATE__ADMIN__TOKEN") == token.is_none(), "{text}");
        let foreign = ask(address, "GET /", &["Host: evil.example"], "").await;
        assert_eq!(foreign.status, 403);
        let text = foreign.body.text();
        assert!(text.contains("Open this by its address") && !text.contains("<td>"), "{text}");
    }
}

#[tokio::test]
async fn a_browser_shows_live_numbers_and_changes_a_limit_for_ten_minutes() {
    if !has_browser() {
        return;
    }
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).admin().in_front_of(&upstream).await;
    let mut browser = Browser::open(&format!("http://{}/", gate.admin_address()), "light").await;
    browser.until("the page to be live", "document.querySelector('#link').dataset.is", "live").await;
    browser.until("nobody to be in flight", &figure(0), "0 of 1").await;
    assert_eq!(browser.eval("document.querySelector('#plain').hidden").await, true);

    // What happens is seen.
    let mut running = gate.get("/runs").await;
    let call = soon("the request", upstream.next()).await;
    let mut waiting = gate.waiting("/waits").await;
    browser.until("one to be in flight", &figure(0), "1 of 1").await;
    browser.until("one to wait", &figure(1), "1 of 5").await;
    browser.until("the state", "document.querySelector('.limit').dataset.state", "queueing").await;
    browser.until("the tab's title", "document.title", "1 waiting – sluicegate").await;
    let drawn = browser.eval("document.querySelector('.flow-line').getAttribute('d').length").await;
    assert!(drawn.as_u64() > Some(10), "{drawn}");

    // The limit is set, and it is seen until when.
    browser.eval("document.querySelector('.control input').value = 2").await;
    browser.eval("document.querySelector('.control input').dispatchEvent(new Event('input'))").await;
    browser.eval("document.querySelector('.control button').click()").await;
    soon("the waiter", upstream.next()).await.respond(200, "").await;
    assert_eq!(waiting.answer().await.status, 200);
    browser.until("the new limit", &figure(0), "1 of 2").await;
    let answers = "document.querySelector('#upstreams [data-name=\"Answers / s\"]').textContent > 0";
    browser.until("that its endpoint answers", answers, true).await;
    let changed =
        "/^limit 2 until [0-9:]+, (9:[0-9]{2}|10:00) left$/.test(document.querySelector('.changed').textContent)";
    browser.until("when it reverts", changed, true).await;
    let over = gate.limit_status().await;
    assert_eq!(over["override"]["by"], "127.0.0.1", "{over}");

    // What is wrong is said, and changes nothing.
    browser.eval("document.querySelector('.control').noValidate = true").await;
    browser.eval("document.querySelector('.control input').value = 0").await;
    browser.eval("document.querySelector('.control button').click()").await;
    let said = "document.querySelector('.control .error').textContent.includes('from 1 to 16777215')";
    browser.until("what is wrong", said, true).await;
    assert_eq!(gate.limit_status().await["limit"], 2);
    // That one is an answer of 422, which browsers report as a failed load.
    assert_eq!(browser.complaints().await.len(), 1);

    browser.eval("document.querySelector('.control button.quiet').click()").await;
    browser.until("the limit as configured", &figure(0), "1 of 1").await;

    // Who is turned away is seen, and is no markup.
    gate.ask_admin("PATCH /api/v1/limits/default", r#"{"queue":0}"#).await;
    let mut client = gate.client().await;
    client.request("GET", "/x", &["x-request-id: <img/src=x/onerror=alert(1)>"]).await;
    client.answer().await.expect(503, "no_permit");
    let id = "document.querySelector('#rejections .id')?.textContent";
    browser.until("the rejection", id, "<img/src=x/onerror=alert(1)>").await;
    let why = browser.eval("document.querySelector('#rejections .why').textContent").await;
    assert!(why.as_str().unwrap().contains("1 of 1 in flight, 0 of 0 waiting"), "{why}");
    assert_eq!(browser.complaints().await.len(), 1);

    call.respond(200, "").await;
    assert_eq!(running.answer().await.status, 200);
    browser.until("nobody to be in flight", &figure(0), "0 of 1").await;
}

#[tokio::test]
async fn a_browser_elsewhere_logs_in_with_the_token() {
    let Some(here) = outward_address().filter(|_| has_browser()) else { return };
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).open_admin(Some("open-sesame")).in_front_of(&upstream).await;
    let address = SocketAddr::new(here, gate.admin_address().port());
    let mut browser = Browser::open(&format!("http://{address}/"), "phone").await;
    browser.until("the login", "document.querySelector('#login').hidden", false).await;
    let log_in = async |browser: &mut Browser, token: &str| {
        browser.eval(&format!("document.querySelector('#token').value = '{token}'")).await;
        browser.eval("document.querySelector('#login button').click()").await;
    };
    log_in(&mut browser, "sesame").await;
    browser.until("a refusal", "document.querySelector('#login-error').textContent", "That is not it.").await;
    log_in(&mut browser, "open-sesame").await;
    browser.until("the numbers", &figure(0), "0 of 3").await;
    assert_eq!(browser.eval("document.querySelector('#login').hidden").await, true);
    // Also after the tab is loaded again.
    browser.eval("window.before = true; location.reload()").await;
    browser.until("the tab anew", "window.before ?? false", false).await;
    browser.until("the numbers", &figure(0), "0 of 3").await;
    let wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
    browser.until("no need to scroll sideways on a phone", wide, false).await;
}

#[tokio::test]
async fn a_dry_run_and_a_shadow_are_told_and_no_table_is_wider_than_a_phone() {
    let mut upstream = Upstream::start().await;
    let shadow = "shadow = { adaptive = \"knee\", min = 1, max = 50 }";
    let route = format!("dry_run = true\nkey = \"header:x-tenant\"\nper_key = 9\n{shadow}");
    let setup = Sluicegate::with_limit(1).route(&route).upstream("retries = 0").admin();
    let gate = setup.in_front_of(&upstream).await;
    let mut failing = gate.get("/fails").await;
    soon("the request", upstream.next()).await.close();
    failing.answer().await.expect(502, "upstream_reset");
    let _running = [gate.get("/one").await, gate.get("/two").await];
    let _calls = [soon("the first", upstream.next()).await, soon("the second", upstream.next()).await];
    let text = gate.ask_admin("GET /", "").await.body.text();
    assert!(text.contains("1 would have waited, 0 been rejected."), "{text}");
    assert!(text.contains("<p>Shadow, not enforced: ") && text.contains(" of 1 to 50, "), "{text}");
    if !has_browser() {
        return;
    }
    let mut browser = Browser::open(&format!("http://{}/", gate.admin_address()), "phone").await;
    browser.until("both in flight", &figure(0), "2 of 1, not enforced").await;
    let notes = "[...document.querySelectorAll('.notes p')].map((note) => note.textContent.replace(/\\d+ of (.*), \\w+ \\d+ s ago.*/, 'N of $1, WHY'))";
    let expected = [
        "Nothing is held back. Until now 1 would have waited, and 0 been rejected.",
        "Shadow, not enforced: N of 1 to 50, WHY",
    ];
    browser.until("what it only counts, and the shadow", notes, expected.to_vec()).await;
    let keys = "[...document.querySelectorAll('.keys tbody tr, .more h4')].map((row) => row.textContent)";
    let expected = ["Rejected in the last minute", "No key of its own is busy", "_ (no key of their own)2"];
    browser.until("the shared bucket", keys, expected.to_vec()).await;
    // With the tables for those without a script, which are there and hidden.
    let wide = "document.querySelector('#plain').hidden = false, [...document.querySelectorAll('.scroll')] \
                .map((table) => table.clientWidth > 0 && table.scrollWidth <= table.clientWidth)";
    browser.until("all five tables to fit", wide, vec![true; 5]).await;
    let why =
        "document.querySelector('#plain').hidden = false, document.querySelector('#plain .why').clientWidth > 200";
    browser.until("room for the reason", why, true).await;
    gate.ask_admin("PATCH /api/v1/limits/default", r#"{"limit":1200}"#).await;
    // An element that is hidden has no size.
    let control = "[...document.querySelectorAll('.control input, .control button')].map((part) => part.getBoundingClientRect()) \
                   .every((part) => part.width > 60 && part.right <= document.querySelector('.control').getBoundingClientRect().right)";
    browser.until("room for what changes the limit, and takes that back", control, true).await;
    assert_eq!(browser.complaints().await, Vec::<Value>::new());
}

/// What the n-th gauge of the first limit shows.
fn figure(n: usize) -> String {
    format!("document.querySelectorAll('.gauge .figure')[{n}]?.textContent")
}

fn has_browser() -> bool {
    has("chromium") && has_python("websockets")
}

/// A tab of a Chromium. Dropping it closes the browser.
struct Browser {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    _driver: Child,
}

impl Browser {
    async fn open(url: &str, look: &str) -> Self {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/browser.py")).args([url, look]);
        // It ends with its stdin, and the browser with it.
        let mut driver = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was found");
        let (stdin, stdout) = (driver.stdin.take().expect("piped"), driver.stdout.take().expect("piped"));
        let mut browser = Browser { stdin, stdout: BufReader::new(stdout), _driver: driver };
        assert_eq!(browser.line().await, "ready");
        browser
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        soon("the browser", self.stdout.read_line(&mut line)).await.expect("text");
        line.trim_end().to_owned()
    }

    async fn eval(&mut self, expression: &str) -> Value {
        self.stdin.write_all(format!("{expression}\n").as_bytes()).await.expect("it reads");
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{expression}: {error}: {line:?}"))
    }

    async fn until(&mut self, what: &str, expression: &str, value: impl Into<Value>) {
        let value = value.into();
        until(what, async || self.eval(expression).await == value).await;
    }

    /// What the page has complained of, or was refused.
    async fn complaints(&mut self) -> Vec<Value> {
        let complaints = self.eval("!errors").await;
        complaints.as_array().expect("a list").clone()
    }
}
