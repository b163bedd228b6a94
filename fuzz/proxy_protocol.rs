//! What a connection begins with.

use super::{Introduction, V1_MAX, V2_HEAD, V2_MAX, parse};
use crate::fuzz::fuzz;

const SEEDS: &[&str] = &[
    "PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\nGET / HTTP/1.1\r\n",
    "PROXY TCP6 2001:db8::1 ::1 0 443\r\n",
    "PROXY UNKNOWN\r\n",
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c0123456789ab\x16\x03",
    "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24abcdefghijklmnopqrstuvwxyz0123456789",
];

#[test]
fn an_introduction_is_the_same_however_it_comes_and_is_bounded() {
    fuzz("introductions", SEEDS, &["PROXY ", "TCP4", "\r\n", " ", "65535", "\0", "::1"], |bytes| {
        let whole = parse(bytes);
        // What was decided by a part of it stands.
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut]) {
                Introduction::Incomplete => {}
                decided => assert_eq!(decided, whole, "at {cut}"),
            }
        }
        match whole {
            Introduction::Header { len, .. } => assert!(len <= bytes.len() && len <= V2_HEAD + V2_MAX),
            Introduction::Incomplete => assert!(bytes.len() < V1_MAX.max(V2_HEAD + V2_MAX)),
            Introduction::Absent | Introduction::Broken(_) => {}
        }
        match whole {
            Introduction::Header { source, .. } => Some(source.is_some()),
            _ => None,
        }
    });
}
