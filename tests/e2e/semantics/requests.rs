//! What must arrive of a request.

use super::Content::{Known, Unknown};
use super::Expect::{Body, Field, Host, Length, Line, NoLength, Once, Trailer};
use super::{ALL, FROM_HTTP1, FROM_HTTP2, TO_HTTP1, rules};

rules! {
    "RFC 9110 §7.6.1" fields_that_any_connection_line_names_stay_here on FROM_HTTP1 {
        fields: &[
            b"Connection: keep-alive, X-One",
            b"X-One: 1",
            b"X-Two: 2",
            b"connection: ,x-two,, ",
            b"X-Three: 3",
        ],
        arrives: &[Field("x-one", &[]), Field("x-two", &[]), Field("connection", &[]), Field("x-three", &[b"3"])],
    }
    "RFC 9110 §7.6.1" fields_of_a_connection_stay_here_though_nobody_names_them on FROM_HTTP1 {
        fields: &[
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: keep-alive",
            b"TE: deflate",
            b"Upgrade: websocket",
            b"HTTP2-Settings: AAMAAABk",
        ],
        arrives: &[
            Field("keep-alive", &[]),
            Field("proxy-connection", &[]),
            Field("te", &[]),
            Field("upgrade", &[]),
            Field("http2-settings", &[]),
        ],
    }
    "RFC 9110 §7.6.1" a_connection_line_cannot_take_away_what_the_proxy_says on FROM_HTTP1 {
        fields: &[b"Connection: x-forwarded-for, x-request-id, via, host, x-request-start"],
        arrives: &[
            Field("x-forwarded-for", &[b"127.0.0.1"]),
            Field("via", &[b"1.1 sluicegate"]),
            Host("api.test"),
            Once("x-request-id"),
            Once("x-request-start"),
        ],
    }
    "RFC 9110 §7.6.1" a_connection_line_that_names_the_framing_changes_no_framing on FROM_HTTP1 {
        method: "POST",
        fields: &[b"Connection: content-length"],
        body: Known(b"GET /smuggled HTTP/1.1\r\n\r\n"),
        arrives: &[Body(b"GET /smuggled HTTP/1.1\r\n\r\n"), Line("POST /")],
    }
    "RFC 9110 §10.1.4" te_says_trailers_and_nothing_else on FROM_HTTP1 {
        fields: &[b"TE: gzip;q=0.5, trailers", b"Connection: te"],
        arrives: &[Field("te", &[b"trailers"])],
    }
    "RFC 9113 §8.2.2" te_says_trailers_from_http_2_as_well on FROM_HTTP2 {
        fields: &[b"te: trailers"],
        arrives: &[Field("te", &[b"trailers"])],
    }
    "RFC 9110 §10.1.4" te_comes_with_its_connection_option on TO_HTTP1 {
        fields: &[b"TE: trailers"],
        arrives: &[Field("te", &[b"trailers"]), Field("connection", &[b"te"])],
    }
    "RFC 9110 §7.6.3" via_of_http_1_is_added_behind_those_before on FROM_HTTP1 {
        fields: &[b"Via: 1.0 a", b"Via: 2 b (c)"],
        arrives: &[Field("via", &[b"1.0 a, 2 b (c), 1.1 sluicegate"])],
    }
    "RFC 9110 §7.6.3" via_of_http_2_is_added_behind_those_before on FROM_HTTP2 {
        fields: &[b"via: 1.0 a"],
        arrives: &[Field("via", &[b"1.0 a, 2.0 sluicegate"])],
    }
    "RFC 9110 §7.6.2" max_forwards_of_options_is_one_less on ALL {
        method: "OPTIONS",
        fields: &[b"Max-Forwards: 7"],
        arrives: &[Field("max-forwards", &[b"6"])],
    }
    "RFC 9110 §7.6.2" max_forwards_of_other_methods_means_nothing on ALL {
        fields: &[b"Max-Forwards: 0"],
        arrives: &[Line("GET /"), Field("max-forwards", &[b"0"])],
    }
    "RFC 9112 §3.2.2" the_host_of_an_absolute_target_is_what_counts on FROM_HTTP1 {
        target: "http://other.test:81/a?b",
        arrives: &[Line("GET /a?b"), Host("other.test:81")],
    }
    "RFC 9112 §3.2.4" options_of_the_server_arrive_as_a_star on ALL {
        method: "OPTIONS",
        target: "*",
        arrives: &[Line("OPTIONS *"), Host("api.test")],
    }
    "RFC 9112 §3.2.4" options_of_a_path_arrive_as_that_path on FROM_HTTP1 {
        method: "OPTIONS",
        target: "http://other.test/",
        arrives: &[Line("OPTIONS /"), Host("other.test")],
    }
    "RFC 9110 §7.7" the_bytes_of_path_and_query_are_untouched on ALL {
        target: "/%7Ea//b/./../c%2F%2e;p=1/!$&'()*+,;=:@-._~?q=%zz&&a=+%20/?:@",
        arrives: &[Line("GET /%7Ea//b/./../c%2F%2e;p=1/!$&'()*+,;=:@-._~?q=%zz&&a=+%20/?:@")],
    }
    "RFC 9110 §7.7" an_empty_query_is_a_query on ALL {
        target: "/a?",
        arrives: &[Line("GET /a?")],
    }
    "RFC 9110 §5.3" values_of_one_name_keep_their_order_their_bytes_and_their_number on ALL {
        fields: &[b"x-a: 1", b"x-b: between", b"x-a: 1", b"x-a: ", b"x-a: \xff\xe9 \t, \"x", b"x-a: 2,3"],
        arrives: &[Field("x-a", &[b"1", b"1", b"", b"\xff\xe9 \t, \"x", b"2,3"])],
    }
    "RFC 9110 §9.1" methods_that_nobody_knows_arrive on ALL {
        method: "M-SEARCH!",
        arrives: &[Line("M-SEARCH! /")],
    }
    "RFC 9110 §9.1" methods_are_the_same_only_in_the_same_case on ALL {
        method: "get",
        arrives: &[Line("get /")],
    }
    "RFC 9110 §8.6" a_length_that_was_said_is_said on ALL {
        method: "POST",
        body: Known(b"hello"),
        arrives: &[Length(5), Body(b"hello")],
    }
    "RFC 9110 §8.6" a_length_of_nothing_that_was_said_is_said on ALL {
        method: "POST",
        body: Known(b""),
        arrives: &[Length(0), Body(b"")],
    }
    "RFC 9110 §9.3.1" a_get_with_a_body_keeps_it on ALL {
        body: Known(b"hello"),
        arrives: &[Line("GET /"), Length(5), Body(b"hello")],
    }
    "RFC 9112 §6.1" a_get_with_a_body_of_unknown_length_keeps_it on ALL {
        body: Unknown(&[b"one", b"two"]),
        arrives: &[Line("GET /"), NoLength, Body(b"onetwo")],
    }
    "RFC 9112 §7.1" a_body_of_unknown_length_goes_to_http_1_in_chunks on TO_HTTP1 {
        method: "DELETE",
        body: Unknown(&[b"one", b"two"]),
        arrives: &[Field("transfer-encoding", &[b"chunked"]), NoLength, Body(b"onetwo")],
    }
    "RFC 9110 §6.5" trailers_of_a_request_arrive on ALL {
        method: "POST",
        fields: &[b"Trailer: x-sum, x-more"],
        body: Unknown(&[b"data"]),
        trailers: &[b"x-sum: 42", b"x-more: \xff"],
        arrives: &[Body(b"data"), Trailer("x-sum", &[b"42"]), Trailer("x-more", &[b"\xff"])],
    }
    "RFC 9110 §10.1.1" the_proxy_has_met_the_expectation_and_says_no_more_of_it on FROM_HTTP1 {
        method: "POST",
        fields: &[b"Expect: 100-Continue"],
        arrives: &[Field("expect", &[]), Line("POST /")],
    }
    "RFC 9110 §14" ranges_and_conditions_pass on ALL {
        fields: &[b"range: bytes=1-2, -1", b"if-range: \"a\"", b"if-none-match: W/\"b\", *"],
        arrives: &[
            Field("range", &[b"bytes=1-2, -1"]),
            Field("if-range", &[b"\"a\""]),
            Field("if-none-match", &[b"W/\"b\", *"]),
        ],
    }
    "RFC 9110 §8.4" content_codings_pass on ALL {
        method: "POST",
        fields: &[b"content-encoding: gzip", b"accept-encoding: br;q=0.5, gzip", b"content-type: a/b"],
        body: Known(b"\x1f\x8b\0\xff\r\n0\r\n\r\n"),
        arrives: &[
            Body(b"\x1f\x8b\0\xff\r\n0\r\n\r\n"),
            Field("content-encoding", &[b"gzip"]),
            Field("accept-encoding", &[b"br;q=0.5, gzip"]),
            Field("content-type", &[b"a/b"]),
        ],
    }
    "RFC 9110 §11.7" credentials_pass on ALL {
        fields: &[b"authorization: Basic eDp5", b"proxy-authorization: Basic eDp5"],
        arrives: &[Field("authorization", &[b"Basic eDp5"]), Field("proxy-authorization", &[b"Basic eDp5"])],
    }
    "W3C Trace Context §3.2" the_trace_passes on ALL {
        fields: &[
            b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"tracestate: a=1",
            b"tracestate: b=2",
        ],
        arrives: &[
            Field("traceparent", &[b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
            Field("tracestate", &[b"a=1", b"b=2"]),
        ],
    }
}
