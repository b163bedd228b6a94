//! The keys of a route beside those of its limits.

use super::{Default, Key, Kind, LIMIT_MAX};

/// Which requests, and where they go: what only a route itself can say.
pub(super) const MATCH: &[Key] = &[
    Key {
        name: "host",
        kind: Kind::Text(&["\"api.example.com\"", "\"*.example.com\""]),
        default: Default::Nothing,
        about: "Which hosts; any if it is not written. Exact names win over wildcards.",
    },
    Key {
        name: "path",
        kind: Kind::Text(&["\"/health\"", "\"/users/{id}\"", "\"/v1/*\""]),
        default: Default::Nothing,
        about: "Which paths; any if it is not written. Exact ones win over those with parameters, and those over \
                prefixes, the longest first. `/v1/*` takes `/v1`, too.",
    },
    Key {
        name: "method",
        kind: Kind::List(&Kind::Text(&["\"GET\"", "\"POST\""])),
        default: Default::Nothing,
        about: "Which methods; any if it is not written.",
    },
    Key {
        name: "header",
        kind: Kind::Map(["x-tenant", "accept"], &Kind::Text(&["\"acme\"", "\"*\""])),
        default: Default::Nothing,
        about: "Headers that must be there with these values; `*` is any value. Of routes with the same host and path, \
                the one with more conditions wins.",
    },
    Key {
        name: "upstream",
        kind: Kind::NameOf("upstreams"),
        default: Default::Says("the only one"),
        about: "Where its requests go.",
    },
    Key {
        name: "upgrade",
        kind: Kind::Either(&[
            Kind::Words(&["count", "deny"]),
            Kind::Table(&[Key {
                name: "separate",
                kind: Kind::Integer(1, LIMIT_MAX),
                default: Default::Required,
                about: "How many upgraded connections there may be, beside the route's limits.",
            }]),
        ]),
        default: Default::Is("\"count\""),
        about: "What becomes of a request to upgrade its connection: it holds its permits until the connection closes, \
                it is refused, or it moves to places of its own.",
    },
];

/// What becomes of an exchange. Routes and defaults.
pub(super) const EXCHANGE: &[Key] = &[
    Key {
        name: "priority",
        kind: Kind::Words(&["critical", "high", "normal", "low", "background", "header"]),
        default: Default::Is("\"normal\""),
        about: "Who goes first. `header`: as `X-Request-Priority` or `Priority` (RFC 9218) says. Strict, and a waiter \
                rises one level for every 5 s.",
    },
    Key {
        name: "cost",
        kind: Kind::Either(&[Kind::Integer(1, LIMIT_MAX), Kind::Text(&["\"header:x-cost\""])]),
        default: Default::Is("1"),
        about: "How many permits a request takes of each limit.",
    },
    Key {
        name: "deadline",
        kind: Kind::Boolean,
        default: Default::Is("true"),
        about: "Whether clients' deadlines are heeded: `grpc-timeout`, `x-request-timeout`, \
                `x-envoy-expected-rq-timeout-ms`, `x-request-deadline`.",
    },
    Key {
        name: "trust_headers",
        kind: Kind::Words(&["trusted", "all"]),
        default: Default::Is("\"trusted\""),
        about: "Whose word counts about priority and cost: that of `trusted_proxies`, or everybody's.",
    },
    Key {
        name: "on_client_gone",
        kind: Kind::Words(&["abort", "reset", "finish"]),
        default: Default::Is("\"abort\""),
        about: "What the upstream is told when the client has left. `abort`: our side is closed for writing, and the \
                permit comes back when it has ended. `reset`: the connection is closed, and the permit is back at \
                once. `finish`: nothing, but for one whose answer is no HTTP/1. With `abort` after its grace, with `reset`, and over HTTP/2, an upstream that \
                works on does so beyond the limit.",
    },
    Key {
        name: "abort_grace",
        kind: Kind::Duration { zero: true },
        default: Default::Is("\"30s\""),
        about: "How long such an exchange is waited for before its connection is reset.",
    },
    Key {
        name: "buffer_request",
        kind: Kind::Size(0),
        default: Default::Is("0"),
        about: "So many bytes of a request's body are read before admission: a slow uploader holds no permit.",
    },
    Key {
        name: "buffer_response",
        kind: Kind::Size(0),
        default: Default::Is("0"),
        about: "So many bytes of an answer are read ahead of its client: a slow reader holds no permit.",
    },
    Key {
        name: "timeout",
        kind: Kind::Either(&[Kind::Duration { zero: false }, Kind::Words(&["none"])]),
        default: Default::Is("\"none\""),
        about: "Longest time of an exchange from its admission on, unless its connection is upgraded.",
    },
    Key {
        name: "max_duration",
        kind: Kind::Either(&[Kind::Duration { zero: false }, Kind::Words(&["none"])]),
        default: Default::Is("\"none\""),
        about: "The same, upgraded or not.",
    },
    Key {
        name: "queue_events",
        kind: Kind::Words(&["off", "sse"]),
        default: Default::Is("\"off\""),
        about: "`sse`: who asks for an event stream and has waited for 5 s is told its place, every 5 s.",
    },
    Key {
        name: "log",
        kind: Kind::Boolean,
        default: Default::Is("true"),
        about: "Whether its requests leave lines in the access log.",
    },
    Key {
        name: "strip_prefix",
        kind: Kind::Text(&["\"/v1\""]),
        default: Default::Nothing,
        about: "The beginning that is taken off the path before it goes upstream.",
    },
    Key {
        name: "set_headers",
        kind: Kind::Map(["x-tenant", "accept"], &Kind::Text(&["\"acme\""])),
        default: Default::Nothing,
        about: "Header fields of every request that goes upstream. They replace the client's; those of `[defaults]` are \
                added, name by name.",
    },
    Key {
        name: "set_response_headers",
        kind: Kind::Map(["x-frame-options", "server"], &Kind::Text(&["\"deny\""])),
        default: Default::Nothing,
        about: "Header fields of every answer, our own included. Those of `[defaults]` are added, name by name.",
    },
];
