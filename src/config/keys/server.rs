//! `[server]`, `[admin]`, `[log]`, `[tracing]` and `[response_headers]`.

use super::{Default, Key, Kind};

pub(super) const SERVER: &[Key] = &[
    Key {
        name: "listen",
        kind: Kind::List(&Kind::Text(&["\"0.0.0.0:8080\"", "\"[::1]:8080\"", "\"unix:/run/http.sock\"", "\"fd:web\""])),
        default: Default::Is("\"0.0.0.0:8080\""),
        about: "Where to listen: addresses and ports, `unix:` sockets in the file system, `fd:` sockets that systemd passes on.",
    },
    Key {
        name: "threads",
        kind: Kind::Either(&[Kind::Integer(1, 1024), Kind::Words(&["auto"])]),
        default: Default::Is("\"auto\""),
        about: "Worker threads; `auto` is one for each processor that we may use.",
    },
    Key {
        name: "tcp_keepalive",
        kind: Kind::Duration { zero: false },
        default: Default::Is("\"30s\""),
        about: "Silence after which TCP asks whether the client is still there.",
    },
    Key {
        name: "max_connections",
        kind: Kind::Integer(1, 10_000_000),
        default: Default::Is("10000"),
        about: "How many connections may be open, over all workers. At this many, one more takes the place of the one that \
                has been idle the longest; if none is idle, it is not accepted until one is or ends.",
    },
    Key {
        name: "header_timeout",
        kind: Kind::Duration { zero: false },
        default: Default::Is("\"10s\""),
        about: "From a head's first byte to its last.",
    },
    Key {
        name: "idle_timeout",
        kind: Kind::Duration { zero: false },
        default: Default::Is("\"75s\""),
        about: "How long a kept-alive connection without a request is kept.",
    },
    Key {
        name: "body_idle_timeout",
        kind: Kind::Duration { zero: false },
        default: Default::Is("\"30s\""),
        about: "Silence inside a request body that is waited for.",
    },
    Key {
        name: "write_idle_timeout",
        kind: Kind::Duration { zero: false },
        default: Default::Is("\"30s\""),
        about: "How long a client may take no byte of its answer.",
    },
    Key {
        name: "max_header_bytes",
        kind: Kind::Size(8 << 10),
        default: Default::Is("\"32KiB\""),
        about: "Largest request head, up to 16MiB.",
    },
    Key {
        name: "max_body",
        kind: Kind::Either(&[Kind::Words(&["unlimited"]), Kind::Size(1)]),
        default: Default::Is("\"unlimited\""),
        about: "Largest request body. One that declares more is answered with 413 at once, one that turns out to be more \
                as soon as it is.",
    },
    Key {
        name: "h2_max_streams",
        kind: Kind::Integer(1, 65_536),
        default: Default::Is("128"),
        about: "How many requests of one HTTP/2 connection may be open at once.",
    },
    Key {
        name: "trusted_proxies",
        kind: Kind::List(&Kind::Text(&["\"10.0.0.0/8\"", "\"192.0.2.7\"", "\"private\""])),
        default: Default::Is("[]"),
        about: "Whose forwarded fields are believed: networks, addresses, or `private` for loopback, RFC 1918 and \
                unique local addresses.",
    },
    Key {
        name: "proxy_protocol",
        kind: Kind::Words(&["off", "optional", "required"]),
        default: Default::Is("\"off\""),
        about: "Whether connections begin with a header of the PROXY protocol, version 1 or 2, before TLS, that says who \
                the client is: none do; those of `trusted_proxies` may; all have to, and everybody is believed who can \
                connect. A connection whose header is missing or broken is closed. `trusted_proxies` then go by the \
                address in the header.",
    },
    Key {
        name: "health_path",
        kind: Kind::Either(&[Kind::Words(&["off"]), Kind::Text(&["\"/healthz\""])]),
        default: Default::Is("\"off\""),
        about: "Where load balancers ask, with GET or HEAD, whether requests are welcome: 200, or 503 from the first \
                moment of a drain. Answered before routing and limits, and without a line in the access log.",
    },
    super::tls::OF_SERVER,
    Key {
        name: "drain_delay",
        kind: Kind::Duration { zero: true },
        default: Default::Is("\"0s\""),
        about: "How long a drain only says that it is coming, so that load balancers notice.",
    },
    Key {
        name: "drain_timeout",
        kind: Kind::Duration { zero: true },
        default: Default::Is("\"25s\""),
        about: "How long a drain may take, the delay included. What is left then is cut.",
    },
    Key {
        name: "preflight",
        kind: Kind::Words(&["first", "count", "exempt"]),
        default: Default::Is("\"first\""),
        about: "What a CORS preflight takes: a permit ahead of every priority, a permit like any other, or none.",
    },
];

pub(super) const ADMIN: &[Key] = &[
    Key {
        name: "listen",
        kind: Kind::Text(&["\"127.0.0.1:9901\"", "\"unix:/run/admin.sock\"", "\"off\""]),
        default: Default::Is("\"127.0.0.1:9901\""),
        about: "Address and port of the admin listener, a `unix:` socket, or `off`.",
    },
    Key {
        name: "token",
        kind: Kind::Secret,
        default: Default::Nothing,
        about: "What opens the admin listener for those who are not on this machine.",
    },
    Key {
        name: "token_file",
        kind: Kind::File,
        default: Default::Nothing,
        about: "A file with the token, in place of `token`, followed every 10 s and at a reload. The newline at its end is not part of it.",
    },
    Key {
        name: "dashboard",
        kind: Kind::Boolean,
        default: Default::Is("true"),
        about: "Whether a browser is shown the dashboard.",
    },
];

pub(super) const LOG: &[Key] = &[
    Key {
        name: "level",
        kind: Kind::Text(&["\"info\"", "\"warn,sluicegate::upstream=debug\""]),
        default: Default::Is("\"info\""),
        about: "What goes to the standard error: `error`, `warn`, `info`, `debug`, `trace`, or directives.",
    },
    Key {
        name: "access",
        kind: Kind::Either(&[Kind::Boolean, Kind::Text(&["\"/var/log/sluicegate.log\""])]),
        default: Default::Is("true"),
        about: "Whether each finished request leaves a line on the standard output, or in which file. A named pipe must have \
                its reader when the configuration is loaded.",
    },
    Key {
        name: "format",
        kind: Kind::Words(&["auto", "json", "text"]),
        default: Default::Is("\"auto\""),
        about: "How these lines are written; `auto` is text on a terminal, else JSON.",
    },
    Key {
        name: "reject_burst",
        kind: Kind::Integer(0, 1_000_000),
        default: Default::Is("100"),
        about: "So many rejections and refusals a second leave a line. What exceeds them is counted, in \
                `sluicegate_log_suppressed_total` and in lines of the kind `missing`.",
    },
    Key {
        name: "headers",
        kind: Kind::List(&Kind::Text(&["\"user-agent\"", "\"x-tenant\""])),
        default: Default::Is("[]"),
        about: "Fields of requests that their lines have in `headers`. Credentials (`authorization`, \
                `proxy-authorization`, `cookie`, `set-cookie`, `x-api-key`) are refused.",
    },
];

pub(super) const TRACING: &[Key] = &[
    Key {
        name: "endpoint",
        kind: Kind::Text(&["\"http://127.0.0.1:4318\"", "\"https://otel.example.com\""]),
        default: Default::Nothing,
        about: "Where the collector takes OTLP over HTTP; `/v1/traces` is put behind it. Without it no request is traced.",
    },
    Key {
        name: "sample",
        kind: Kind::Share,
        default: Default::Says("1, all of them"),
        about: "The share of requests that are traced, from 0 to 1, of those that come without a `traceparent`. Where one \
                came, its sampled flag decides.",
    },
];

pub(super) const RESPONSE_HEADERS: &[Key] = &[
    Key {
        name: "queue_position",
        kind: Kind::Boolean,
        default: Default::Is("true"),
        about: "Whether each answer to a request that waited, and each rejection, has `x-sluicegate-queue: \
                position=7;wait=12.400`: the place in line on arrival, and the seconds spent there.",
    },
    Key {
        name: "ratelimit",
        kind: Kind::Words(&["keys", "rejected", "off"]),
        default: Default::Is("\"keys\""),
        about: "Which answers to requests that a limit counted under a key with a quota (`per_key`, or its own in `keys`) \
                name that, as `RateLimit-Policy: \"api\";q=5;qu=\"concurrent-requests\"`: all of them, the rejections, or none.",
    },
    Key {
        name: "cors",
        kind: Kind::Either(&[Kind::Words(&["off", "*"]), Kind::List(&Kind::Text(&["\"https://app.example.com\""]))]),
        default: Default::Is("\"off\""),
        about: "Whose scripts may read answers of our own: those of no origin, of every one, or of these.",
    },
];
