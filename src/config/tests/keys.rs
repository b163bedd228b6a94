//! What each key means.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::server::Listen;
use crate::upstream::{Balance, Eject, HostHeader, OnClientGone, Protocol};

const WHOLE: &str = r#"
[server]
listen = ["127.0.0.1:8080", "[::1]:8080"]
threads = 3
tcp_keepalive = "1m"
header_timeout = "5s"
idle_timeout = "1m30s"
body_idle_timeout = "6s"
write_idle_timeout = "7s"
max_header_bytes = "64KiB"
trusted_proxies = ["private", "192.0.2.0/24"]
drain_delay = "2s"
drain_timeout = "1m"

[upstreams.api]
url = "http://api:3000/base/"
host = "upstream"
connect_timeout = "250ms"
response_timeout = "1h"
read_idle_timeout = "8s"
idle_timeout = "0s"
retries = 0

[upstreams.other]
url = "http://[::1]"
host = "other.example.com"

[routes.api]
host = "*.example.com"
path = "/v1/*"
method = ["GET", "HEAD"]
header = { X-Tenant = "a", authorization = "*" }
upstream = "api"
on_client_gone = "reset"
abort_grace = "0s"
limit = 5
queue = 0
queue_timeout = "3s"
queue_bytes = 1024
reject_status = 429

[routes.free]
path = "/healthz"
upstream = "other"
limit = "none"

[admin]
listen = "[::1]:9902"
token = "s3cret"

[log]
level = "info,sluicegate=debug"
access = "/var/log/access.log"
format = "text"
reject_burst = 7
headers = ["User-Agent", "x-tenant"]
"#;

#[test]
fn every_key_is_read() {
    let given = Given::default().file(WHOLE);
    let Settings { server, plan, admin, log_level, access_log, log_format, log_lines, tracing } = given.settings();
    assert_eq!(tracing, None);
    assert_eq!(server.listen, ["127.0.0.1:8080", "[::1]:8080"].map(|address| Listen::Tcp(address.parse().unwrap())));
    assert_eq!(server.threads.get(), 3);
    assert_eq!(server.tcp_keepalive, Duration::from_secs(60));
    assert_eq!(server.header_timeout, Duration::from_secs(5));
    assert_eq!(server.idle_timeout, Duration::from_secs(90));
    assert_eq!(server.body_idle_timeout, Duration::from_secs(6));
    assert_eq!(server.write_idle_timeout, Duration::from_secs(7));
    assert_eq!(server.max_header_bytes, 64 << 10);
    assert!(server.trusted_proxies.contains("10.0.0.1".parse().unwrap()));
    assert!(server.trusted_proxies.contains("192.0.2.9".parse().unwrap()));
    assert!(!server.trusted_proxies.contains("192.0.3.9".parse().unwrap()));
    assert_eq!(server.drain_delay, Duration::from_secs(2));
    assert_eq!(server.drain_timeout, Duration::from_secs(60));
    assert_eq!(admin.listen, Some(crate::admin::Listen::Tcp("[::1]:9902".parse().unwrap())));
    assert!(admin.token.unwrap().token().matches(b"s3cret"));
    assert_eq!(log_level.as_deref(), Some("info,sluicegate=debug"));
    assert_eq!(access_log, AccessLog::File("/var/log/access.log".into()));
    assert_eq!(log_format, LogFormat::Text);
    assert_eq!(
        (log_lines.reject_burst, log_lines.headers),
        (7, vec!["user-agent".parse().unwrap(), "x-tenant".parse().unwrap()])
    );

    let [api, other] = &plan.upstreams[..] else { panic!("{plan:?}") };
    assert_eq!((api.endpoints[0].to_string().as_str(), api.base_path.as_str()), ("api:3000", "/base"));
    assert_eq!(api.host, HostHeader::Upstream);
    assert_eq!(api.connect_timeout, Duration::from_millis(250));
    assert_eq!(api.response_timeout, Duration::from_secs(3600));
    assert_eq!(api.read_idle_timeout, Duration::from_secs(8));
    assert_eq!((api.idle_timeout, api.retries), (Some(Duration::ZERO), 0));
    assert_eq!(other.endpoints[0].to_string(), "[::1]:80");
    assert_eq!(other.host, HostHeader::Fixed("other.example.com".parse().unwrap()));

    let [api, free] = &plan.routes[..] else { panic!("{plan:?}") };
    assert_eq!((api.name.as_str(), api.upstream), ("api", 0));
    assert_eq!(api.conditions.host, Some("*.example.com".parse().unwrap()));
    assert_eq!(api.conditions.path, Some("/v1/*".parse().unwrap()));
    assert_eq!(api.conditions.methods, [http::Method::GET, http::Method::HEAD]);
    assert_eq!(api.conditions.headers.len(), 2);
    assert_eq!((api.ending.on_client_gone, api.ending.abort_grace), (OnClientGone::Reset, Duration::ZERO));
    let [limit] = &plan.limits[..] else { panic!("{plan:?}") };
    assert_eq!((limit.name.as_str(), limit.limit.get(), limit.queue, limit.queue_bytes), ("api", 5, 0, 1024));
    assert_eq!((limit.queue_timeout, limit.reject_status.as_u16()), (Duration::from_secs(3), 429));
    assert_eq!((api.limits.as_slice(), free.limits.as_slice(), free.upstream), (&[0][..], &[][..], 1));
}

#[test]
fn an_upstream_can_have_several_endpoints() {
    let list = |upstream: &str| {
        let given = Given::default().file(&format!("[upstreams.a]\n{upstream}\n[routes.a]\nlimit = 1\n"));
        given.load().map(|loaded| loaded.settings.plan.upstreams[0].clone()).map_err(|_| given.problems())
    };
    let read =
        list("endpoints = [\"h2c://a:1/x\", \"h2c://b/x\"]\nbalance = \"round_robin\"\neject = { failures = 2 }")
            .unwrap();
    let endpoints: Vec<_> = read.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!((endpoints, read.base_path.as_str()), (vec!["a:1".to_owned(), "b:80".to_owned()], "/x"));
    assert_eq!((read.protocol, read.balance), (Protocol::H2c, Balance::RoundRobin));
    assert_eq!(read.eject, Some(Eject { failures: 2, ..Eject::default() }));
    assert_eq!(list("url = \"http://a\"\neject = \"off\"").unwrap().eject, None);
    for (lines, expected) in [
        ("endpoints = []", "0:2:13 upstreams.a.endpoints must not be empty"),
        ("endpoints = [\"http://a\", \"b\"]", "0:2:26 upstreams.a.endpoints must be a URL"),
        ("endpoints = [\"http://a\", \"http://a:80/\"]", "0:2:26 upstreams.a.endpoints is there twice"),
        ("endpoints = [\"http://a\", \"h2c://b\"]", "0:2:26 upstreams.a.endpoints has another scheme or path"),
        ("endpoints = [\"http://a\", \"http://b/x\"]", "0:2:26 upstreams.a.endpoints has another scheme or path"),
        ("endpoints = \"http://a\"\nurl = \"http://b\"", "0:3:1 upstreams.a.url stands beside `endpoints`"),
        (
            "url = \"http://a\"\neject = 5",
            "0:3:9 upstreams.a.eject must be { failures = 5, for = \"10s\" }, or \"off\"",
        ),
        ("balance = \"random\"", "upstreams.a.balance must be one of \"least_inflight\", \"round_robin\""),
        ("retries = 1", "0:1:12 upstreams.a.url is missing"),
    ] {
        let problems = list(lines).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{lines}: {problems:?}");
    }
}

#[test]
fn a_single_address_is_a_list_of_one() {
    let given = Given::minimal().file("[server]\nlisten = \"127.0.0.1:9\"\ntrusted_proxies = \"private\"");
    assert_eq!(given.settings().server.listen, [Listen::Tcp("127.0.0.1:9".parse().unwrap())]);
    assert!(given.settings().server.trusted_proxies.contains("127.0.0.1".parse().unwrap()));
}

#[test]
fn defaults_do_not_stand_in_the_way_of_no_limit() {
    let given = Given::default().file(
        "[defaults]\nlimit = 8\nqueue = 3\n[upstreams.a]\nurl = \"http://a\"\n[routes.a]\nlimit = \"none\"\n\
         [routes.b]\npath = \"/b\"\n",
    );
    let plan = given.settings().plan;
    assert!(plan.routes[0].limits.is_empty());
    assert_eq!((plan.routes[1].limits.as_slice(), plan.limits[0].queue), (&[0][..], 3));
}

#[test]
fn a_header_in_a_variable_has_hyphens() {
    let given = Given::minimal().variable("SLUICEGATE__ROUTES__DEFAULT__HEADER__X_TENANT", "007");
    let (name, condition) = &given.settings().plan.routes[0].conditions.headers[0];
    assert_eq!(name, "x-tenant");
    assert_eq!(*condition, crate::route::HeaderCondition::Equals("007".parse().unwrap()));
}

#[test]
fn the_access_log_can_be_switched_by_a_variable() {
    let log = |value: &str| Given::minimal().variable("SLUICEGATE__LOG__ACCESS", value).settings().access_log;
    assert_eq!((log("true"), log("false")), (AccessLog::Stdout, AccessLog::Off));
    assert_eq!(log("access.log"), AccessLog::File("access.log".into()));
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let given = Given::minimal().variable("SLUICEGATE_LIMITS", "3");
    assert_eq!(
        given.warnings(),
        ["environment variable SLUICEGATE_LIMITS  this variable is not known, and does nothing \
          (did you mean SLUICEGATE_LIMIT?)"]
    );
    let given = Given::default().file(
        "[upstreams.a]\nurl = \"http://a\"\n[upstreams.b]\nurl = \"http://b\"\n[defaults]\nqueue = 101\n\
         [routes.a]\nupstream = \"a\"\nlimit = 2\nqueue_timeout = \"1m\"\n",
    );
    let warnings = given.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[2].starts_with("0:10:1 routes.a.queue_timeout "), "{warnings:?}");
    assert!(warnings[0].starts_with("0:6:1 routes.a.queue lets 101 requests wait for 2 permits"), "{warnings:?}");
    assert!(warnings[1].starts_with("0:3:12 upstreams.b is used by no route"), "{warnings:?}");
}

#[test]
fn examples_load_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let files = vec![entry.unwrap().path()];
        let loaded = load(&Sources { files, ..Sources::default() }).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.warnings, []);
        count += 1;
    }
    assert!(count >= 4);
}

proptest! {
    #[test]
    fn a_damaged_file_never_causes_a_panic(at in 0..2000_usize, length in 0..20_usize, with in "[ -~\u{e4}\n]{0,4}") {
        let text = include_str!("../../../config/routes.toml");
        let (at, end) = (at.min(text.len()), (at + length).min(text.len()));
        let damaged = format!("{}{with}{}", &text[..at], &text[end..]);
        if let Err(error) = Given::default().file(&damaged).load() {
            prop_assert!(error.to_string().starts_with("error: "));
        }
    }
}
