//! What requests say of themselves: deadlines, priorities, costs, keys, addresses.

use std::time::{Duration, SystemTime};

use http::Request;

use super::deadline::{subtract, time_left};
use super::key::Asking;
use super::{Client, KeyExpression, cost, priority};
use crate::fuzz::{fields, fuzz};
use crate::proxy::TrustedProxies;

const SEEDS: &[&str] = &[
    "grpc-timeout: 5S\nx-request-timeout: 250ms\nx-request-deadline: 1700000000000\nx-envoy-expected-rq-timeout-ms: 99",
    "x-request-timeout: 1.5\npriority: u=1, i\nx-request-priority: high\nx-cost: 3",
    "authorization: Bearer abc\ncookie: a=1; b=\"2\"\nx-tenant: t\nhost: A.b:80\nx-forwarded-for: 10.0.0.1, ::1",
    "authorization: Basic dXNlcjpwYXNz\ncookie: session=x",
];

const WORDS: &[&str] = &[
    "\n",
    "grpc-timeout: ",
    "x-request-timeout: ",
    "x-request-deadline: ",
    "authorization: ",
    "Bearer ",
    "Basic ",
    "cookie: ",
    "x-forwarded-for: ",
    "99999999",
    "999999999999999999999999",
    "H",
    "M",
    "S",
    "m",
    "u",
    "n",
    "ms",
    "s",
    ".",
    "u=",
    ",",
    ";",
    "=",
    "-1",
    "+1",
    "::ffff:1.2.3.4",
    "\u{e9}",
    " ",
    "\"",
    "e9",
    "inf",
    "nan",
];

#[test]
fn what_a_request_says_of_itself_is_read_or_ignored() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let client = Client::new([10, 0, 0, 1].into(), &trusted);
    let sources =
        ["bearer|client_ip", "basic_user", "cookie:session", "header:x-tenant", "host", "client_ip/64", "query:q"];
    let expressions = sources.map(|source| KeyExpression::try_new([source]).unwrap());
    fuzz("claims", SEEDS, WORDS, |bytes| {
        let headers = fields(bytes);
        let left = time_left(&headers, now);
        let mut told = headers.clone();
        subtract(&mut told, || Duration::from_millis(10));
        let then = time_left(&told, now);
        // The upstream is never told of more time than the client has.
        assert!(then <= left || left.is_none(), "{left:?} became {then:?}");
        let mut request = Request::new(());
        *request.headers_mut() = headers;
        let asking = Asking { request: &request, client: &client, path: None };
        let keys = expressions.each_ref().map(|expression| expression.key_of(&asking).is_some());
        let headers = request.headers();
        let asked = cost::asked(headers, &"x-cost".parse().unwrap()).is_ok();
        (left.is_some(), priority::asked(headers), asked, keys, client.address_of(headers).is_ipv4())
    });
}

#[test]
fn a_key_expression_is_read_or_refused() {
    let seeds = &["header:x-tenant", "bearer|client_ip", "client_ip/64|cookie:a", "path:id", "query:q|host|basic_user"];
    fuzz("keys", seeds, &["|", ":", "/", "header", "client_ip", "128", "-1", " ", "\u{e9}"], |bytes| {
        let text = str::from_utf8(bytes).ok()?;
        Some(KeyExpression::try_new([text]).map(|key| (key.is_secret(), key.names_client_ip())).ok())
    });
}
