//! The PROXY protocol, with which a balancer that forwards bytes says whose they are.
//!
//! Versions 1 and 2 as HAProxy's `doc/proxy-protocol.txt` has them (sections are of that). This reads headers and no
//! more: who is believed is for the connection to know. Extensions (TLVs) are skipped.

#[cfg(test)]
#[path = "../../fuzz/proxy_protocol.rs"]
mod fuzz;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether connections begin with a header that says who the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// None is looked for.
    #[default]
    Off,
    /// Those of trusted proxies may.
    Optional,
    /// All have to, and all are believed: nobody but the balancer may be able to connect.
    Required,
}

/// What the beginning of a connection is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Introduction {
    /// The beginning of a header, perhaps.
    Incomplete,
    /// A header of so many bytes. Without a source the connection is the balancer's own, or its source has no address.
    Header { len: usize, source: Option<IpAddr> },
    /// Something else.
    Absent,
    /// A header that can't be read.
    Broken(&'static str),
}

const V1: &[u8] = b"PROXY ";
/// §2.1: the longest line there can be, with its end.
const V1_MAX: usize = 107;

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// §2.2: the signature, version and command, family and transport, and the length of the rest.
const V2_HEAD: usize = 16;
/// Of the rest; addresses take 216 bytes at most, and nobody has extensions as large as this.
const V2_MAX: usize = 4096;

/// Looks at what a connection begins with.
pub(super) fn parse(bytes: &[u8]) -> Introduction {
    if bytes.starts_with(V1) {
        v1(bytes)
    } else if bytes.starts_with(V2) {
        v2(bytes)
    } else if V1.starts_with(bytes) || V2.starts_with(bytes) {
        Introduction::Incomplete
    } else {
        Introduction::Absent
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.9 56324 443` and the end of a line, or `PROXY UNKNOWN` with whatever behind it.
fn v1(bytes: &[u8]) -> Introduction {
    let line = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = memchr::memchr(b'\n', line) else {
        return match bytes.len() {
            V1_MAX.. => Introduction::Broken("its line is too long"),
            _ => Introduction::Incomplete,
        };
    };
    let source = line[..end].strip_suffix(b"\r").and_then(|line| v1_source(str::from_utf8(&line[V1.len()..]).ok()?));
    match source {
        Some(source) => Introduction::Header { len: end + 1, source },
        None => Introduction::Broken("its line cannot be read"),
    }
}

/// The source, if the line is a right one.
fn v1_source(line: &str) -> Option<Option<IpAddr>> {
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut words = line.split(' ');
    let family = words.next()?;
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, _) = (address()?, address()?);
    let ports = [words.next()?, words.next()?];
    let is_port = |port: &&str| port.parse::<u16>().is_ok_and(|number| number.to_string() == **port);
    (ports.iter().all(is_port) && words.next().is_none()).then_some(Some(source))
}

fn v2(bytes: &[u8]) -> Introduction {
    let Some(head) = bytes.get(V2.len()..V2_HEAD) else { return Introduction::Incomplete };
    let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let from_balancer = match head[0] {
        0x20 => true,
        0x21 => false,
        _ => return Introduction::Broken("it is of a version or has a command that does not exist"),
    };
    // §2.2: other values must be rejected.
    if head[1] >> 4 > 3 || head[1] & 0xf > 2 {
        return Introduction::Broken("its addresses are of no family that exists");
    }
    if len > V2_MAX {
        return Introduction::Broken("it is too large");
    }
    let Some(rest) = bytes.get(V2_HEAD..V2_HEAD + len) else { return Introduction::Incomplete };
    let source = match head[1] {
        _ if from_balancer => None,
        0x11 if rest.len() < 12 => return Introduction::Broken("its addresses are cut"),
        0x11 => rest.first_chunk::<4>().map(|address| IpAddr::from(*address)),
        0x21 if rest.len() < 36 => return Introduction::Broken("its addresses are cut"),
        0x21 => rest.first_chunk::<16>().map(|address| IpAddr::from(*address)),
        // §2.2: the connection is to be taken as it is.
        _ => None,
    };
    Introduction::Header { len: V2_HEAD + len, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(len: usize, source: &str) -> Introduction {
        Introduction::Header { len, source: (!source.is_empty()).then(|| source.parse().unwrap()) }
    }

    /// A header of version 2.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &len, rest].concat()
    }

    #[test]
    fn lines_of_version_1() {
        const LONGEST: &str = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                               ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
        let no_address = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_MAX - 16));
        let broken = Introduction::Broken("its line cannot be read");
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n", header(42, "192.0.2.1")),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nGET", header(56, "255.255.255.255")),
            ("PROXY TCP6 2001:db8::1 ::1 0 443\r\n", header(34, "2001:db8::1")),
            (LONGEST, header(104, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
            ("PROXY UNKNOWN\r\n", header(15, "")),
            ("PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n", header(43, "")),
            (&no_address, header(V1_MAX, "")),
            (&no_address.replace("UNKNOWN ", "UNKNOWN  "), Introduction::Broken("its line is too long")),
            ("PROXY TCP4 192.0.2.1 192.0.2.9 1 2\n", broken),
            ("PROXY TCP4 192.0.2.1 192.0.2.9 1\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY TCP4 192.0.2.1 192.0.2.9 1 2 3\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY TCP4  192.0.2.1 192.0.2.9 1 2\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY TCP4 192.0.2.1 192.0.2.9 1 65536\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY TCP4 192.0.2.1 192.0.2.9 +1 2\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY TCP4 192.0.2.1 192.0.2.9 01 2\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY TCP4 192.0.2.01 192.0.2.9 1 2\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY TCP6 192.0.2.1 192.0.2.9 1 2\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY UDP4 192.0.2.1 192.0.2.9 1 2\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY UNKNOWNS\r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY \r\n", Introduction::Broken("its line cannot be read")),
            ("PROXY TCP4 192.0.2.1", Introduction::Incomplete),
            ("PROXY", Introduction::Incomplete),
            ("", Introduction::Incomplete),
            ("proxy TCP4", Introduction::Absent),
            ("PRI * HTTP/2.0\r\n", Introduction::Absent),
            ("GET / HTTP/1.1\r\n", Introduction::Absent),
        ] {
            assert_eq!(parse(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn headers_of_version_2() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 9, 0, 1, 0, 2];
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        let with_extension = [&v4[..], &[4, 0, 1, 0]].concat();
        let no_family = Introduction::Broken("its addresses are of no family that exists");
        for (bytes, expected) in [
            (binary(0x21, 0x11, &v4), header(28, "192.0.2.1")),
            (binary(0x21, 0x11, &with_extension), header(32, "192.0.2.1")),
            (binary(0x21, 0x21, &v6), header(52, "2001:db8::1")),
            (binary(0x20, 0x11, &v4), header(28, "")),
            (binary(0x20, 0x00, &[]), header(16, "")),
            (binary(0x21, 0x00, &[1, 2, 3]), header(19, "")),
            (binary(0x21, 0x12, &v4), header(28, "")),
            (binary(0x21, 0x31, &[b'/'; 216]), header(232, "")),
            (binary(0x21, 0x11, &v4[..11]), Introduction::Broken("its addresses are cut")),
            (binary(0x21, 0x21, &v6[..35]), Introduction::Broken("its addresses are cut")),
            (binary(0x21, 0x41, &v4), no_family),
            (binary(0x21, 0x13, &v4), Introduction::Broken("its addresses are of no family that exists")),
            (binary(0x11, 0x11, &v4), Introduction::Broken("it is of a version or has a command that does not exist")),
            (binary(0x22, 0x11, &v4), Introduction::Broken("it is of a version or has a command that does not exist")),
            (binary(0x21, 0x11, &[0; V2_MAX]), header(V2_HEAD + V2_MAX, "0.0.0.0")),
            (binary(0x21, 0x11, &[0; V2_MAX + 1]), Introduction::Broken("it is too large")),
        ] {
            assert_eq!(parse(&bytes), expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(parse(b"\r\n\r\nGET"), Introduction::Absent);
    }

    #[test]
    fn a_header_is_incomplete_until_its_last_byte_and_is_what_it_is_whatever_follows() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 9, 0, 1, 0, 2];
        for whole in [b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n".to_vec(), binary(0x21, 0x11, &v4)] {
            for cut in 0..whole.len() {
                assert_eq!(parse(&whole[..cut]), Introduction::Incomplete, "{cut}");
            }
            let more = [&whole[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(parse(&more), header(whole.len(), "192.0.2.1"));
        }
    }
}
