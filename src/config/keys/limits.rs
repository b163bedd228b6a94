//! The keys of a limit, be it `[limits.NAME]`, a route's own or the defaults of both.

use super::{Default, Key, Kind, LIMIT_MAX};

/// `[limits.NAME]` alone.
pub(super) const SHARED: &[Key] = &[Key {
    name: "limit",
    kind: Kind::Either(&[Kind::Integer(1, LIMIT_MAX), Kind::Words(&["slots"]), Kind::Table(ADAPTIVE)]),
    default: Default::Required,
    about: "How many requests of all its routes together may be in flight; `slots`: as many as their upstream has \
            slots. A table: it finds the number itself, between `min` and `max`.",
}];

/// A limit that finds itself.
const ADAPTIVE: &[Key] = &[
    Key {
        name: "adaptive",
        kind: Kind::Words(&["knee"]),
        default: Default::Required,
        about: "How: by small trials, which show how many at a time get done as fast as few.",
    },
    Key { name: "min", kind: Kind::Integer(1, LIMIT_MAX), default: Default::Required, about: "It is never below." },
    Key { name: "max", kind: Kind::Integer(1, LIMIT_MAX), default: Default::Required, about: "It is never above." },
    Key {
        name: "initial",
        kind: Kind::Integer(1, LIMIT_MAX),
        default: Default::Says("10, within `min` and `max`; where it was before a reload"),
        about: "Where it begins.",
    },
];

/// Routes and their defaults.
pub(super) const OF_ROUTE: &[Key] = &[
    Key {
        name: "limit",
        kind: Kind::Either(&[Kind::Integer(1, LIMIT_MAX), Kind::Words(&["slots", "none"]), Kind::Table(ADAPTIVE)]),
        default: Default::Nothing,
        about: "How many requests of the route may be in flight. `slots`: as many as its upstream has slots. `none`: it \
                takes no permit of any kind. A table: it finds the number itself, between `min` and `max`.",
    },
    Key {
        name: "limits",
        kind: Kind::List(&Kind::NameOf("limits")),
        default: Default::Nothing,
        about: "Shared limits whose permits are taken as well, or in place of the route's own.",
    },
];

/// All of them.
pub(super) const LIMIT: &[Key] = &[
    Key {
        name: "queue",
        kind: Kind::Integer(0, LIMIT_MAX),
        default: Default::Says("4 x `limit`, at least 16, at most 1000"),
        about: "How many may wait; 0 rejects at once what cannot be admitted.",
    },
    Key {
        name: "queue_timeout",
        kind: Kind::Duration { zero: false },
        default: Default::Is("\"10s\""),
        about: "How long one may wait. Of several limits of a request the shortest counts, for all its waits together.",
    },
    Key {
        name: "queue_bytes",
        kind: Kind::Size(0),
        default: Default::Is("\"64MiB\""),
        about: "Bytes of bodies that waiting requests, and those read before admission, may hold in memory, all together.",
    },
    Key {
        name: "reject_status",
        kind: Kind::Integer(400, 599),
        default: Default::Is("503"),
        about: "The status of rejections for want of capacity. Those about keys stay 429.",
    },
    Key {
        name: "order",
        kind: Kind::Words(&["fifo", "lifo", "adaptive_lifo"]),
        default: Default::Is("\"fifo\""),
        about: "Who goes next, within a key's turn where there is a key. `adaptive_lifo`: newest first once the queue \
                has stood for 100 ms, with the wait judged on arrival; once it has stood for 300 ms, who has been overtaken \
                100 times, and twice for each permit of the limit, is pushed out (`evicted`).",
    },
    Key {
        name: "hold",
        kind: Kind::Words(&["response", "head"]),
        default: Default::Is("\"response\""),
        about: "Until when a permit is held: the end of the response, or its head.",
    },
    Key {
        name: "dry_run",
        kind: Kind::Boolean,
        default: Default::Is("false"),
        about: "Turns nobody away and makes nobody wait, and counts whom it would have.",
    },
    Key {
        name: "shadow",
        kind: Kind::Table(ADAPTIVE),
        default: Default::Nothing,
        about: "Beside a fixed `limit`: what a limit that finds itself would be, as far as that can be seen without moving \
                it. It is shown and not enforced.",
    },
    Key {
        name: "key",
        kind: Kind::List(&Kind::Text(&[
            "\"client_ip\"",
            "\"client_ip/64\"",
            "\"header:x-tenant\"",
            "\"bearer\"",
            "\"basic_user\"",
            "\"cookie:session\"",
            "\"query:tenant\"",
            "\"path:id\"",
            "\"host\"",
            "\"bearer|client_ip\"",
        ])),
        default: Default::Nothing,
        about: "Whose a request is: keys take fair turns, and a full queue drops from the longest one. `a|b` is the \
                first that is there, a list is all of them together.",
    },
    Key {
        name: "per_key",
        kind: Kind::Integer(1, LIMIT_MAX),
        default: Default::Nothing,
        about: "How many permits one key may have at once. A key at its cap blocks no other. A request that takes more \
                than that by a header goes while its key has no other.",
    },
    Key {
        name: "per_key_queue",
        kind: Kind::Integer(0, LIMIT_MAX),
        default: Default::Nothing,
        about: "How many requests of one key may wait.",
    },
    Key {
        name: "keys",
        kind: Kind::Map(
            ["acme", "_"],
            &Kind::Table(&[
                Key {
                    name: "per_key",
                    kind: Kind::Integer(1, LIMIT_MAX),
                    default: Default::Says("the limit's `per_key`"),
                    about: "How many permits this key may have at once.",
                },
                Key {
                    name: "weight",
                    kind: Kind::Integer(1, 1000),
                    default: Default::Is("1"),
                    about: "How many turns it has where others have one.",
                },
            ]),
        ),
        default: Default::Nothing,
        about: "What holds for single keys, by their value; `_` is the bucket of those without one. Tokens, users and \
                cookies are named as they are shown: `sha256:` and eight digits.",
    },
    Key {
        name: "missing_key",
        kind: Kind::Words(&["shared", "client_ip", "reject"]),
        default: Default::Is("\"shared\""),
        about: "What becomes of a request without a key: one bucket for all of them, its address as the key, or 429.",
    },
    Key {
        name: "unknown_key",
        kind: Kind::Words(&["own", "shared", "reject"]),
        default: Default::Is("\"own\""),
        about: "What becomes of a key that `keys` does not name.",
    },
    Key {
        name: "max_keys",
        kind: Kind::Integer(1, 10_000_000),
        default: Default::Is("10000"),
        about: "How many keys are told apart at once. Further ones share a bucket; a live key is never dropped.",
    },
];
