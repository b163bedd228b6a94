//! What must return of an answer.

use super::Content::{Known, None, Unknown};
use super::Expect::{Body, Field, Length, NoLength, Once, Status, Trailer};
use super::{ALL, TO_HTTP1, rules};

rules! {
    "RFC 9110 §7.6.1" fields_that_any_connection_line_names_stay_here on TO_HTTP1 {
        answer_fields: &[
            b"Connection: X-One",
            b"X-One: 1",
            b"Connection: keep-alive ,x-two",
            b"X-Two: 2",
            b"X-Three: 3",
        ],
        returns: &[Field("x-one", &[]), Field("x-two", &[]), Field("x-three", &[b"3"]), Body(b"answer")],
    }
    "RFC 9110 §7.6.1" fields_of_a_connection_stay_here_though_nobody_names_them on TO_HTTP1 {
        answer_fields: &[
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: keep-alive",
            b"TE: trailers",
            b"Upgrade: h2c, websocket",
        ],
        returns: &[
            Field("keep-alive", &[]),
            Field("proxy-connection", &[]),
            Field("te", &[]),
            Field("upgrade", &[]),
            Body(b"answer"),
        ],
    }
    "RFC 9110 §5.3" values_of_one_name_keep_their_order_their_bytes_and_their_number on ALL {
        answer_fields: &[
            b"set-cookie: b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            b"x-b: between",
            b"set-cookie: a=1",
            b"set-cookie: ",
            b"set-cookie: \xffz=\xe9",
            b"set-cookie: a=1",
        ],
        returns: &[Field(
            "set-cookie",
            &[b"b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT", b"a=1", b"", b"\xffz=\xe9", b"a=1"],
        )],
    }
    "RFC 9110 §6.6.1" an_answer_without_a_date_gets_one on ALL {
        returns: &[Once("date")],
    }
    "RFC 9110 §6.6.1" a_date_stays_what_it_is on ALL {
        answer_fields: &[b"date: Thu, 01 Jan 1970 00:00:00 GMT"],
        returns: &[Field("date", &[b"Thu, 01 Jan 1970 00:00:00 GMT"])],
    }
    "RFC 9110 §10.2.4" nobody_says_who_the_server_is_but_itself on ALL {
        returns: &[Field("server", &[])],
    }
    "RFC 9110 §15" statuses_that_nobody_knows_return on ALL {
        status: 599,
        returns: &[Status(599), Body(b"answer")],
    }
    "RFC 9110 §9.3.2" an_answer_to_head_has_the_length_of_the_body_that_it_has_not on ALL {
        method: "HEAD",
        answer_fields: &[b"content-length: 123456"],
        returns: &[Status(200), Field("content-length", &[b"123456"]), Body(b"")],
    }
    "RFC 9110 §9.3.2" an_answer_to_head_need_not_say_a_length on ALL {
        method: "HEAD",
        returns: &[Status(200), NoLength, Body(b"")],
    }
    "RFC 9110 §15.4.5" an_answer_that_says_not_modified_has_no_body_whatever_its_length on ALL {
        status: 304,
        answer_fields: &[b"content-length: 123456", b"etag: \"a\""],
        answer: None,
        returns: &[Status(304), Field("etag", &[b"\"a\""]), Field("transfer-encoding", &[]), Body(b"")],
    }
    "RFC 9110 §15.3.5" an_answer_without_content_has_none on ALL {
        status: 204,
        answer: None,
        returns: &[Status(204), Body(b""), NoLength, Field("transfer-encoding", &[])],
    }
    "RFC 9110 §8.6" an_answer_without_content_says_no_length on ALL {
        status: 204,
        answer_fields: &[b"content-length: 0"],
        answer: None,
        returns: &[Status(204), NoLength, Body(b"")],
    }
    "RFC 9110 §8.6" a_length_that_was_said_is_said on ALL {
        returns: &[Length(6), Body(b"answer")],
    }
    "RFC 9112 §6.1" a_body_of_unknown_length_returns_whole on ALL {
        answer: Unknown(&[b"one", b"two"]),
        returns: &[NoLength, Body(b"onetwo")],
    }
    "RFC 9110 §6.5" trailers_return_to_those_who_take_them on ALL {
        fields: &[b"te: trailers"],
        answer_fields: &[b"trailer: grpc-status, grpc-message"],
        answer: Unknown(&[b"data"]),
        answer_trailers: &[b"grpc-status: 0", b"grpc-message: \xff"],
        returns: &[Body(b"data"), Trailer("grpc-status", &[b"0"]), Trailer("grpc-message", &[b"\xff"])],
    }
    "RFC 9110 §14.4" a_range_returns on ALL {
        status: 206,
        answer_fields: &[b"content-range: bytes 1-6/9", b"accept-ranges: bytes"],
        returns: &[Status(206), Field("content-range", &[b"bytes 1-6/9"]), Length(6), Body(b"answer")],
    }
    "RFC 9110 §15.5.17" a_range_that_is_not_there_returns_as_that on ALL {
        status: 416,
        answer_fields: &[b"content-range: bytes */9"],
        returns: &[Status(416), Field("content-range", &[b"bytes */9"])],
    }
    "RFC 9110 §8.4" content_codings_pass on ALL {
        answer_fields: &[b"content-encoding: gzip", b"vary: accept-encoding", b"etag: W/\"x\""],
        answer: Known(b"\x1f\x8b\0\xff\r\n0\r\n\r\n"),
        returns: &[
            Field("content-encoding", &[b"gzip"]),
            Field("vary", &[b"accept-encoding"]),
            Field("etag", &[b"W/\"x\""]),
            Body(b"\x1f\x8b\0\xff\r\n0\r\n\r\n"),
        ],
    }
    "RFC 9110 §11.6" challenges_return on ALL {
        status: 401,
        answer_fields: &[b"www-authenticate: Basic", b"www-authenticate: Bearer realm=\"a\"", b"location: /a%2f?"],
        returns: &[
            Status(401),
            Field("www-authenticate", &[b"Basic", b"Bearer realm=\"a\""]),
            Field("location", &[b"/a%2f?"]),
        ],
    }
}
