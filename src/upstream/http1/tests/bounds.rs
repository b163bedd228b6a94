//! Nothing is read without end.

use http::Method;

use super::{End, hypers, ours};

/// What comes of it, to us and to hyper.
fn ends(answer: &str) -> (End, End) {
    let pieces: Vec<_> = answer.as_bytes().chunks(4096).collect();
    (ours(&Method::GET, &pieces, false).end, hypers(&Method::GET, &pieces, false).end)
}

#[test]
fn a_head_is_not_read_without_end() {
    let field = |len: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {}", "x".repeat(len));
    assert_eq!(ends(&field(33 << 10)), (End::Failed, End::Failed));
    let complete = End::Complete { reusable: true };
    assert_eq!(ends(&(field(30 << 10) + "\r\n\r\n")), (complete, complete));
}

#[test]
fn a_head_has_a_hundred_fields_at_most() {
    let head = |fields: usize| "HTTP/1.1 204 No Content\r\n".to_owned() + &"a: b\r\n".repeat(fields) + "\r\n";
    let complete = End::Complete { reusable: true };
    assert_eq!(ends(&head(100)), (complete, complete));
    assert_eq!(ends(&head(101)), (End::Failed, End::Failed));
}

#[test]
fn interim_answers_are_not_taken_without_end() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let last = "HTTP/1.1 204 No Content\r\n\r\n";
    let complete = End::Complete { reusable: true };
    assert_eq!(ends(&(interim.repeat(1000) + last)), (complete, complete));
    // hyper takes them for ever.
    assert_eq!(ends(&(interim.repeat(1001) + last)), (End::Failed, complete));
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let answer = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let many = "x".repeat(16 << 10);
    assert_eq!(ends(&answer(&format!("1;{many}\r\na\r\n0\r\n\r\n"))), (End::Failed, End::Failed));
    assert_eq!(ends(&answer(&format!("1 {}\r\na\r\n0\r\n\r\n", " ".repeat(16 << 10)))).0, End::Failed);
    assert_eq!(ends(&answer(&"1;aaaaaaaa\r\na\r\n".repeat(2400))), (End::Failed, End::Failed));
    assert_eq!(ends(&answer(&format!("0\r\nx: {many}\r\n\r\n"))), (End::Failed, End::Failed));
    assert_eq!(ends(&answer(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(101)))).0, End::Failed);
}

#[test]
fn a_long_answer_may_have_something_behind_each_size() {
    let answer = |chunk: &str| {
        let body = chunk.repeat(4000);
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n")
    };
    let complete = End::Complete { reusable: true };
    // Padding is of each chunk.
    assert_eq!(ends(&answer("2      \r\nok\r\n")), (complete, complete));
    assert_eq!(ends(&answer(&format!("2{}\r\nok\r\n", " ".repeat(256)))).0, End::Failed);
    // Extensions are counted against the data, which hyper does not.
    let data = "z".repeat(32);
    assert_eq!(ends(&answer(&format!("20;name=\"0123456789\"\r\n{data}\r\n"))), (complete, End::Failed));
    assert_eq!(ends(&answer("2;name=\"0123456789\"\r\nok\r\n")).0, End::Failed);
}
