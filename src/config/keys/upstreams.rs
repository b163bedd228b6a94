//! `[upstreams.NAME]`.

use super::{Default, Key, Kind, LIMIT_MAX};

pub(super) const UPSTREAM: &[Key] = &[
    Key {
        name: "url",
        kind: Kind::Text(&["\"http://127.0.0.1:3000\"", "\"h2c://api:3000/base\"", "\"unix:/run/api.sock\""]),
        default: Default::Says("required, unless there are `endpoints`"),
        about: "Where it is, and what is spoken there. A path in it goes before the request's. `unix:` is a socket in \
                the file system.",
    },
    Key {
        name: "endpoints",
        kind: Kind::List(&Kind::Either(&[
            Kind::Text(&["\"http://10.0.0.1:3000\"", "\"http://10.0.0.2:3000\""]),
            Kind::Table(&[
                Key {
                    name: "url",
                    kind: Kind::Text(&["\"http://10.0.0.1:3000\""]),
                    default: Default::Required,
                    about: "Where the endpoint is.",
                },
                Key {
                    name: "slots",
                    kind: Kind::Integer(1, LIMIT_MAX),
                    default: Default::Says("the upstream's `slots`"),
                    about: "How many requests it may work on at once.",
                },
            ]),
        ])),
        default: Default::Nothing,
        about: "Several URLs in place of one, all with the same scheme and path.",
    },
    Key {
        name: "slots",
        kind: Kind::Integer(1, LIMIT_MAX),
        default: Default::Nothing,
        about: "How many requests each endpoint may work on at once. Their sum is a limit behind all others, and what \
                `limit = \"slots\"` stands for.",
    },
    Key {
        name: "eject",
        kind: Kind::Either(&[
            Kind::Words(&["off"]),
            Kind::Table(&[
                Key {
                    name: "failures",
                    kind: Kind::Integer(1, 1_000_000),
                    default: Default::Is("5"),
                    about: "So many failures in a row to connect, or connections reset before the head.",
                },
                Key {
                    name: "for",
                    kind: Kind::Duration { zero: false },
                    default: Default::Is("\"10s\""),
                    about: "How long the endpoint gets nothing then.",
                },
            ]),
        ]),
        default: Default::Is("{ failures = 5, for = \"10s\" }"),
        about: "When an endpoint that fails gets no new requests for a while; the last one always does.",
    },
    Key {
        name: "health",
        kind: HEALTH,
        default: Default::Nothing,
        about: "Asks each endpoint how it is, on a connection of its own and without a permit. It is taken for healthy at \
                first; one that is not gets no new requests, and its slots do not count.",
    },
    Key {
        name: "wait_for_endpoint",
        kind: Kind::Duration { zero: true },
        default: Default::Is("\"0s\""),
        about: "How long a request waits where no endpoint takes requests, before it is answered with `no_endpoint`. It \
                has its permits meanwhile.",
    },
    Key {
        name: "respect_retry_after",
        kind: Kind::Either(&[Kind::Boolean, Kind::Text(&["\"1ms\"", "\"60s\""])]),
        default: Default::Is("false"),
        about: "Whether an endpoint that answers 429 or 503 with `Retry-After` gets no new requests for so long, for 60s or \
                this duration at most. Where that holds for all of them, requests wait within their `queue_timeout`.",
    },
    Key {
        name: "resolve",
        kind: Kind::Either(&[Kind::Words(&["once"]), Kind::Duration { zero: false }]),
        default: Default::Is("\"30s\""),
        about: "How often names are looked up. Each address that a name stands for is an endpoint, with `slots` of its own; \
                those that are gone finish what they have, and a look-up that fails changes nothing.",
    },
    Key {
        name: "balance",
        kind: Kind::Words(&["least_inflight", "round_robin"]),
        default: Default::Is("\"least_inflight\""),
        about: "Which endpoint gets the next request: the one that works on the fewest, or the next in turn.",
    },
    Key {
        name: "host",
        kind: Kind::Either(&[Kind::Words(&["preserve", "upstream"]), Kind::Text(&["\"api.example.com\""])]),
        default: Default::Says("\"upstream\" for https, else \"preserve\""),
        about: "Which `Host` it sees: the client's, its own, or a fixed name.",
    },
    Key {
        name: "connect_timeout",
        kind: Kind::Duration { zero: false },
        default: Default::Is("\"2s\""),
        about: "For name resolution and connecting together.",
    },
    Key {
        name: "response_timeout",
        kind: Kind::Duration { zero: false },
        default: Default::Is("\"60s\""),
        about: "From the last byte of the request sent to the head of the response.",
    },
    Key {
        name: "read_idle_timeout",
        kind: Kind::Duration { zero: false },
        default: Default::Is("\"60s\""),
        about: "Silence inside a response body.",
    },
    Key {
        name: "upgrade_idle_timeout",
        kind: Kind::Duration { zero: false },
        default: Default::Is("\"1h\""),
        about: "Silence of an upgraded connection, both ways together. It replaces the other idle timeouts.",
    },
    Key {
        name: "idle_timeout",
        kind: Kind::Duration { zero: true },
        default: Default::Says("the upstream's `Keep-Alive: timeout` less 1s, else 4s; 55s for h2c and https"),
        about: "How long an idle connection may be reused; `0s`: not at all.",
    },
    Key {
        name: "max_connections",
        kind: Kind::Either(&[Kind::Integer(1, LIMIT_MAX), Kind::Words(&["limit"])]),
        default: Default::Says("\"limit\" where limits bound its requests, else any number"),
        about: "How many connections there may be, to all of its endpoints together. `limit`: as many as its limits let \
                requests through. With fewer, a request that has a permit waits for one, at most for `connect_timeout`. \
                Health checks are not among them.",
    },
    Key {
        name: "retries",
        kind: Kind::Integer(0, 10),
        default: Default::Is("1"),
        about: "How often a request may be sent again, only where that is safe. Of what the upstream may have seen, a \
                tenth of all requests and ten a second at most.",
    },
    Key {
        name: "set_headers",
        kind: Kind::Map(["x-tenant", "accept"], &Kind::Text(&["\"acme\""])),
        default: Default::Nothing,
        about: "Header fields of every request to it. They replace the client's.",
    },
    Key {
        name: "secret_headers",
        kind: Kind::Map(["authorization", "x-api-key"], &Kind::File),
        default: Default::Nothing,
        about: "The same with values that are in files, without the newline at their end.",
    },
    Key {
        name: "forwarded",
        kind: Kind::Words(&["append", "replace", "off"]),
        default: Default::Is("\"append\""),
        about: "What becomes of `X-Forwarded-For`, `-Proto` and `-Host` of trusted proxies: ours is added, ours takes \
                their place, or nothing is sent.",
    },
    Key {
        name: "via",
        kind: Kind::Boolean,
        default: Default::Is("true"),
        about: "Whether messages say in `Via` that they came this way.",
    },
    super::tls::OF_UPSTREAM,
];

const INTERVAL: Key = Key {
    name: "interval",
    kind: Kind::Duration { zero: false },
    default: Default::Is("\"5s\""),
    about: "From the end of a check to the next, give or take a tenth.",
};

const TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration { zero: false },
    default: Default::Is("\"1s\""),
    about: "How long a check may take, connecting included.",
};

const UP: Key = Key {
    name: "up",
    kind: Kind::Integer(1, 1_000),
    default: Default::Is("2"),
    about: "After so many good checks in a row the endpoint gets requests again.",
};

const DOWN: Key = Key {
    name: "down",
    kind: Kind::Integer(1, 1_000),
    default: Default::Is("3"),
    about: "After so many bad checks in a row it gets none.",
};

const HEALTH: Kind = Kind::Either(&[
    Kind::Table(&[
        Key {
            name: "path",
            kind: Kind::Text(&["\"/healthz\""]),
            default: Default::Required,
            about: "What is asked for with GET. The path of the URL is not put before it, and redirects are not followed.",
        },
        Key {
            name: "expect",
            kind: Kind::List(&Kind::Text(&["\"2xx\"", "\"204\"", "\"200-399\""])),
            default: Default::Is("\"2xx\""),
            about: "Which statuses are good.",
        },
        INTERVAL,
        TIMEOUT,
        UP,
        DOWN,
    ]),
    Kind::Table(&[
        Key {
            name: "grpc",
            kind: Kind::Either(&[Kind::Boolean, Kind::Text(&["\"acme.Orders\""])]),
            default: Default::Required,
            about: "`grpc.health.v1.Health/Check` of the server as a whole (`true`), or of a service.",
        },
        INTERVAL,
        TIMEOUT,
        UP,
        DOWN,
    ]),
    Kind::Table(&[
        Key {
            name: "tcp",
            kind: Kind::Boolean,
            default: Default::Required,
            about: "Whether a connection can be made, with TLS for `https://`.",
        },
        INTERVAL,
        TIMEOUT,
        UP,
        DOWN,
    ]),
]);
