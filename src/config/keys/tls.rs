//! The `tls` tables of `[server]` and of upstreams.

use super::{Default, Key, Kind};

pub(super) const OF_SERVER: Key = Key {
    name: "tls",
    kind: Kind::Table(&[
        CERT,
        KEY,
        Key {
            name: "client_ca",
            kind: Kind::File,
            default: Default::Nothing,
            about: "CAs of which every client must show a certificate.",
        },
        Key {
            name: "certs",
            kind: Kind::List(&Kind::Table(&[CERT, KEY])),
            default: Default::Nothing,
            about: "More certificates, chosen by the name that the client asks for.",
        },
    ]),
    default: Default::Says("required where `listen` has `tls:`"),
    about: "What clients are shown on `tls:` addresses. Its files are followed every 10 s and at a reload.",
};

pub(super) const OF_UPSTREAM: Key = Key {
    name: "tls",
    kind: Kind::Table(&[
        Key {
            name: "ca",
            kind: Kind::File,
            default: Default::Says("the system's"),
            about: "CAs that its certificate must come from.",
        },
        Key {
            name: "sni",
            kind: Kind::Text(&["\"api.internal\""]),
            default: Default::Says("the host of its URL"),
            about: "The name that it is asked for, and that its certificate must have.",
        },
        Key { name: "client_cert", kind: Kind::File, default: Default::Nothing, about: "What it is shown of us." },
        Key { name: "client_key", kind: Kind::File, default: Default::Nothing, about: "The key of `client_cert`." },
        Key {
            name: "insecure",
            kind: Kind::Boolean,
            default: Default::Is("false"),
            about: "Whether any certificate is believed.",
        },
    ]),
    default: Default::Nothing,
    about: "How an `https://` upstream is judged. The files are followed every 10 s and at a reload.",
};

const CERT: Key = Key {
    name: "cert",
    kind: Kind::File,
    default: Default::Says("required, with `key`"),
    about: "A PEM file with the certificate and those between it and its CA.",
};

const KEY: Key = Key {
    name: "key",
    kind: Kind::File,
    default: Default::Says("required, with `cert`"),
    about: "Its private key, in PEM.",
};
