//! Configurations with one mistake each, and what is said about them.

use super::*;

/// What surrounds a mistake: it is written into one of the tables, at the line and column that follow.
const TABLES: [(&str, &str); 5] = [
    ("server", "[server]\n"),
    ("upstream", "[routes.a]\nlimit = 1\n[upstreams.a]\n"),
    ("url", "[routes.a]\nlimit = 1\n[upstreams.a]\nurl = \"http://a\"\n"),
    ("route", "[upstreams.a]\nurl = \"http://a\"\n[routes.a]\n"),
    ("limit", "[upstreams.a]\nurl = \"http://a\"\n[routes.a]\nlimit = 5\n"),
];

fn problems_of(table: &str, line: &str) -> Vec<String> {
    let (_, before) = TABLES.iter().find(|(name, _)| *name == table).expect("the table has a name");
    let given = if table == "server" { Given::minimal() } else { Given::default() };
    given.file(&format!("{before}{line}\n")).problems()
}

#[test]
fn a_mistake_is_reported_with_its_place_and_key() {
    for (table, line, expected) in [
        ("server", "listen = 8080", "0:2:10 server.listen must be an address and port"),
        (
            "server",
            r#"listen = "8080""#,
            r#"0:2:10 server.listen must be an address and port such as "0.0.0.0:8080" or "tls:0.0.0.0:8443", "unix:/path" or "fd:NAME" (there is no address: write "0.0.0.0:8080")"#,
        ),
        (
            "server",
            r#"listen = ["127.0.0.1:1", "x"]"#,
            r#"0:2:26 server.listen must be an address and port such as "0.0.0.0:8080" or "tls:0.0.0.0:8443", "unix:/path" or "fd:NAME" (there is no port"#,
        ),
        ("server", "listen = []", "0:2:10 server.listen must not be empty"),
        (
            "server",
            r#"listen = "tls:0.0.0.0:443""#,
            r#"0:2:1 server.listen speaks TLS without a certificate (write tls = { cert ="#,
        ),
        ("server", r#"listen = "unix:x""#, r#"0:2:10 server.listen must be "unix:" and an absolute path (write"#),
        ("server", "threads = 0", r#"0:2:11 server.threads must be a whole number from 1 to 1024, or "auto""#),
        (
            "server",
            r#"threads = "4""#,
            r#"0:2:11 server.threads must be a whole number from 1 to 1024, or "auto" (write it without quotes: 4)"#,
        ),
        (
            "server",
            "header_timeout = 10",
            r#"0:2:18 server.header_timeout must be a duration such as "250ms", "10s" or "1m30s" (a duration has a unit: "10s""#,
        ),
        (
            "server",
            r#"header_timeout = "0s""#,
            r#"0:2:18 server.header_timeout must be a duration from "1ms" to "8760h""#,
        ),
        ("server", "idle_timeout = 07:32:00", "0:2:16 server.idle_timeout must be a duration"),
        ("server", r#"tcp_keepalive = "10ms""#, r#"0:2:17 server.tcp_keepalive must be a duration from "1s""#),
        ("server", r#"max_header_bytes = "1KB""#, r#"0:2:20 server.max_header_bytes must be a size such as "64KiB""#),
        ("server", "max_header_bytes = 1", "0:2:20 server.max_header_bytes must be a size from 8KiB to 16MiB"),
        (
            "server",
            r#"trusted_proxies = ["private", "10.0.0.0/33"]"#,
            "0:2:31 server.trusted_proxies must be a list of networks",
        ),
        ("server", r#"drain_delay = "26s""#, r#"0:2:1 server.drain_delay is longer than server.drain_timeout ("25s")"#),
        ("server", "theads = 4", "0:2:1 server.theads is not a known key (did you mean `threads`?)"),
        ("server", "zebra = 4", "0:2:1 server.zebra is not a known key (the keys here are listen, tls, threads,"),
        ("server", "max_connections = 0", "0:2:19 server.max_connections must be a whole number from 1 to 10000000"),
        ("server", r#"max_body = "2KB""#, r#"0:2:12 server.max_body must be a size such as "64KiB""#),
        ("server", "max_body = 0", "0:2:12 server.max_body must be a size from 1B to 1073741824GiB, or \"unlimited\""),
        (
            "server",
            r#"health_path = "healthz""#,
            r#"0:2:15 server.health_path must be a path such as "/healthz", or "off" (write "/healthz")"#,
        ),
        ("server", r#"health_path = "/healthz?x""#, r#"0:2:15 server.health_path must be a path such as "/healthz""#),
        ("upstream", "url = 5", "0:4:7 upstreams.a.url must be a URL"),
        (
            "upstream",
            r#"url = "a:80""#,
            r#"0:4:7 upstreams.a.url must be a URL such as "http://127.0.0.1:3000" (write "http://a:80")"#,
        ),
        ("upstream", r#"url = "http://a/?x""#, "0:4:7 upstreams.a.url must have neither query nor fragment"),
        ("upstream", r#"url = "http://u:p@a""#, "0:4:7 upstreams.a.url must not hold a user or password"),
        ("upstream", r#"url = "http://a:0""#, "0:4:7 upstreams.a.url must be a URL"),
        ("upstream", "", "0:3:12 upstreams.a.url is missing (write url ="),
        ("url", r#"host = "a b""#, r#"0:5:8 upstreams.a.host must be "preserve", "upstream" or a host name"#),
        (
            "url",
            "tls = { insecure = true }",
            "0:5:1 upstreams.a.tls is for upstreams with an https:// URL (write url =",
        ),
        (
            "server",
            "listen = \"tls:127.0.0.1:1\"\ntls = { cert = \"x\" }",
            "0:3:9 server.tls.cert needs key (write key = \"/path/to/file.pem\" beside it)",
        ),
        ("server", "tls = { }", "0:2:1 server.tls.cert is missing (write both: cert ="),
        (
            "server",
            "tls = { cert = \"/no/such.crt\", key = \"/no/such.key\" }",
            "0:2:9 server.tls.cert names /no/such.crt: cannot be read: No such file",
        ),
        (
            "server",
            "tls = { certs = [{ cert = \"a\" }] }",
            "0:2:18 server.tls.certs has a table without cert or without key",
        ),
        ("server", "tls = { cart = \"a\" }", "0:2:9 server.tls.cart is not a known key (did you mean `cert`?)"),
        ("url", "retries = 11", "0:5:11 upstreams.a.retries must be a whole number from 0 to 10"),
        ("url", "retries = 99999999999999999999", "0:5:11 upstreams.a.retries must be a whole number from 0 to 10"),
        ("url", "slots = 0", "0:5:9 upstreams.a.slots must be a whole number from 1 to 16777215"),
        (
            "url",
            r#"connect_timout = "1s""#,
            "0:5:1 upstreams.a.connect_timout is not a known key (did you mean `connect_timeout`?)",
        ),
        (
            "route",
            r#"limit = "many""#,
            r#"0:4:9 routes.a.limit must be a whole number from 1 to 16777215, "slots" or "none""#,
        ),
        (
            "route",
            r#"limit = "50""#,
            r#"0:4:9 routes.a.limit must be a whole number from 1 to 16777215, "slots" or "none" (write it without quotes: 50)"#,
        ),
        ("route", "limit = 0", "0:4:9 routes.a.limit must be a whole number from 1"),
        ("route", "limit = 16777216", "0:4:9 routes.a.limit must be a whole number from 1"),
        (
            "route",
            r#"limit = "slots""#,
            r#"0:4:1 routes.a.limit is "slots", and the endpoints of upstreams.a have none (write slots = 4 into [upstreams.a]"#,
        ),
        (
            "route",
            r#"limit = { adaptive = "knee", max = 10 }"#,
            r#"0:4:1 routes.a.limit.min is missing (write { adaptive = "knee", min = 1, max = 500 })"#,
        ),
        (
            "route",
            r#"limit = { adaptive = "knee", min = 20, max = 10 }"#,
            "0:4:46 routes.a.limit.max is below `min`, which is 20 (write max = 20 or more",
        ),
        (
            "route",
            r#"limit = { adaptive = "knee", min = 2, max = 10, initial = 1 }"#,
            "0:4:59 routes.a.limit.initial is 1, which is not between `min` and `max` (write a number from 2 to 10",
        ),
        (
            "route",
            r#"limit = { adaptive = "knee", min = 0, max = 10 }"#,
            "0:4:36 routes.a.limit.min must be a whole number from 1 to 16777215",
        ),
        (
            "route",
            r#"limit = { adaptive = "kneee", min = 1, max = 10 }"#,
            r#"0:4:22 routes.a.limit.adaptive must be one of "knee" (did you mean "knee"?)"#,
        ),
        (
            "route",
            r#"limit = { adaptive = "knee", mni = 1, max = 10, min = 1 }"#,
            "0:4:30 routes.a.limit.mni is not a known key (the keys of an adaptive limit are adaptive, min, max, initial)",
        ),
        (
            "limit",
            "shadow = 5",
            r#"0:5:10 routes.a.shadow must be an adaptive limit in braces (write { adaptive = "knee", min = 1, max = 500 })"#,
        ),
        ("route", "", "0:3:9 routes.a.limit is missing: a route has a limit of its own or from [defaults]"),
        ("route", "limit = \"none\"\nqueue = 5", r#"0:5:1 routes.a.queue says nothing beside limit = "none""#),
        ("limit", "queue = -1", "0:5:9 routes.a.queue must be a whole number from 0"),
        ("limit", "queue = 1.5", "0:5:9 routes.a.queue must be a whole number from 0"),
        ("limit", r#"queue_timeout = "0s""#, "0:5:17 routes.a.queue_timeout must not be zero (queue = 0 rejects"),
        (
            "limit",
            r#"queue_timeout = "10""#,
            r#"0:5:17 routes.a.queue_timeout must be a duration such as "250ms", "10s" or "1m30s" (a duration has a unit: "10s""#,
        ),
        ("limit", r#"queue_timeout = "1s1m""#, "0:5:17 routes.a.queue_timeout must be a duration"),
        ("limit", r#"queue_bytes = "1TiB""#, "0:5:15 routes.a.queue_bytes must be a size"),
        ("limit", "reject_status = 200", "0:5:17 routes.a.reject_status must be a whole number from 400 to 599"),
        (
            "limit",
            r#"on_client_gone = "abbort""#,
            r#"0:5:18 routes.a.on_client_gone must be one of "abort", "reset", "finish" (did you mean "abort"?)"#,
        ),
        ("limit", "abort_grace = true", "0:5:15 routes.a.abort_grace must be a duration"),
        (
            "limit",
            r#"host = "a:80""#,
            r#"0:5:8 routes.a.host must be a host such as "api.example.com" or "*.example.com" (`a:80` names a port"#,
        ),
        (
            "limit",
            r#"path = "v1""#,
            r#"0:5:8 routes.a.path must be a path such as "/users/{id}" or "/v1/*" (`v1` does not begin with a slash)"#,
        ),
        ("limit", "path = 1", "0:5:8 routes.a.path must be a path"),
        (
            "limit",
            r#"method = "get""#,
            r#"0:5:10 routes.a.method must be a method such as "GET", or a list of methods (methods are in upper case: "GET")"#,
        ),
        ("limit", r#"method = ["GET", ""]"#, "0:5:18 routes.a.method must be a method"),
        ("limit", r#"method = "CONNECT""#, "0:5:10 routes.a.method must be a method that is forwarded"),
        ("limit", r#"header = { "a b" = "1" }"#, "0:5:20 routes.a.header.a b is not the name of a header"),
        ("limit", "header = { a = 1 }", "0:5:16 routes.a.header.a must be the value of a header in quotes"),
        ("limit", r#"header = { A = "1", a = "2" }"#, "0:5:21 routes.a.header.a is there twice"),
        ("limit", r#"header = "a""#, "0:5:10 routes.a.header must be a table"),
        (
            "limit",
            r#"upstream = "b""#,
            r#"0:5:1 routes.a.upstream names an upstream that is not there: "b" (the upstreams are a)"#,
        ),
        (
            "limit",
            "strip_prefix = \"/a/\"",
            "0:5:16 routes.a.strip_prefix must be the beginning of a path such as \"/v1\" (write it with a slash",
        ),
        ("limit", "strip_prefix = \"/a b\"", "0:5:16 routes.a.strip_prefix must be the beginning of a path"),
        ("limit", "set_headers = { a = 1 }", "0:5:21 routes.a.set_headers.a must be the value of a header in quotes"),
        (
            "limit",
            r#"set_headers = { a = "\u0007" }"#,
            "0:5:21 routes.a.set_headers.a holds a character that the value",
        ),
        ("limit", r#"set_headers = { A = "1", a = "2" }"#, "0:5:26 routes.a.set_headers.a is there twice"),
        (
            "limit",
            r#"set_headers = { host = "a" }"#,
            "0:5:24 routes.a.set_headers.host cannot be set here (the upstream's key `host` says which Host it sees)",
        ),
        (
            "limit",
            r#"set_headers = { Content-Length = "1" }"#,
            "0:5:34 routes.a.set_headers.Content-Length cannot be set: it says how the message is framed (remove it",
        ),
        (
            "limit",
            r#"set_response_headers = { keep-alive = "1" }"#,
            "0:5:39 routes.a.set_response_headers.keep-alive cannot be set: it is about one connection",
        ),
        (
            "limit",
            r#"set_response_headers = { x-sluicegate-reason = "1" }"#,
            "0:5:48 routes.a.set_response_headers.x-sluicegate-reason cannot be set: who reads it takes the answer",
        ),
        (
            "url",
            r#"set_headers = { upgrade = "a" }"#,
            "0:5:27 upstreams.a.set_headers.upgrade cannot be set: it is about",
        ),
        ("url", r#"set_headers = "a""#, "0:5:15 upstreams.a.set_headers must be a table"),
        (
            "url",
            r#"secret_headers = { authorization = "/nowhere" }"#,
            "0:5:36 upstreams.a.secret_headers.authorization names /nowhere, which cannot be read: No such file",
        ),
        (
            "url",
            r#"secret_headers = { host = "/nowhere" }"#,
            "0:5:27 upstreams.a.secret_headers.host cannot be set here",
        ),
        (
            "url",
            r#"forwarded = "apend""#,
            r#"0:5:13 upstreams.a.forwarded must be one of "append", "replace", "off" (did you mean "append"?)"#,
        ),
        ("url", "via = 1", "0:5:7 upstreams.a.via must be true or false"),
        (
            "limit",
            "[response_headers]\ncors = [\"https://a/\"]",
            r#"0:6:9 response_headers.cors must be "off", "*", or a list of origins"#,
        ),
        (
            "limit",
            "[response_headers]\ncors = \"https://a:443\"",
            r#"0:6:8 response_headers.cors must be "off", "*", or a list of origins such as "https://app.example.com" (browsers send "https://a")"#,
        ),
        ("limit", "buffer_request = \"2GiB\"", "0:5:18 routes.a.buffer_request must be a size from 0B to 1GiB"),
        ("limit", "log = \"false\"", "0:5:7 routes.a.log must be true or false (write it without quotes: false)"),
        ("limit", "queue_events = true", "0:5:16 routes.a.queue_events must be one of \"off\", \"sse\""),
        ("limit", "timeout = \"0s\"", "0:5:11 routes.a.timeout must be a duration from \"1ms\""),
        (
            "limit",
            r#"queue_timout = "3s""#,
            "0:5:1 routes.a.queue_timout is not a known key (did you mean `queue_timeout`?)",
        ),
        (
            "limit",
            "[upstreams.b]\nurl = \"http://b\"",
            "0:3:9 routes.a.upstream is missing: there is more than one upstream (name one of a, b)",
        ),
        ("limit", "[routes.B]\npath = \"/b\"\nlimit = 1", "0:5:9 routes.B is not a valid name"),
        ("limit", "[routes.b_]\npath = \"/b\"\nlimit = 1", "0:5:9 routes.b_ is not a valid name"),
        ("limit", "[routes.b]\nlimit = 1", "0:3:9 routes.a and routes.b can match the same request equally"),
        ("limit", "[defaults]\nqueue = \"x\"", "0:6:9 defaults.queue must be a whole number"),
        ("limit", "[defaults]\npath = \"/x\"", "0:6:1 defaults.path says which requests a route takes"),
        (
            "limit",
            "[log]\nlevel = \"verbose\"",
            r#"0:6:9 log.level must be "error", "warn", "info", "debug" or "trace", or directives"#,
        ),
        (
            "limit",
            "[log]\nlevel = \"inof\"",
            r#"0:6:9 log.level must be "error", "warn", "info", "debug" or "trace", or directives (did you mean "info"?)"#,
        ),
        ("limit", "[log]\nlevel = \"x=loud\"", r#"0:6:9 log.level must be "error""#),
        (
            "limit",
            "[log]\nformat = \"jsno\"",
            r#"0:6:10 log.format must be one of "auto", "json", "text" (did you mean "json"?)"#,
        ),
        (
            "limit",
            "[log]\naccess = \"false\"",
            "0:6:10 log.access must be true, false, or the path of a file in quotes (write it without quotes: false)",
        ),
        (
            "limit",
            "[log]\naccess = \"off\"",
            "0:6:10 log.access must be true, false, or the path of a file in quotes (false",
        ),
        ("limit", "[log]\naccess = 1", "0:6:10 log.access must be true, false, or the path of a file in quotes"),
        ("limit", "[log]\nreject_burst = -1", "0:6:16 log.reject_burst must be a whole number from 0 to 1000000"),
        (
            "limit",
            "[log]\nheaders = [\"x-a\", \"Authorization\"]",
            "0:6:19 log.headers names \"authorization\", which holds credentials (they are never logged; leave it out)",
        ),
        ("limit", "[log]\nheaders = \"a b\"", "0:6:11 log.headers must be the name of a header"),
        ("limit", "[route.b]\nlimit = 1", "0:5:2 route is not a known key (did you mean `routes`?)"),
        ("limit", "[[log]]\nlevel = \"info\"", "0:5:1 log must be a table (write [log] above its keys)"),
        ("limit", "[[limits]]\nlimit = 1", "0:5:1 limits must be a table (write [limits.NAME] above the keys of each)"),
    ] {
        let problems = problems_of(table, line);
        assert!(problems[0].starts_with(expected), "{line}\nexpected {expected}\ngot      {problems:#?}");
        assert_eq!(problems.len(), 1, "{line}: {problems:#?}");
    }
}
