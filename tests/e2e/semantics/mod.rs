//! What RFC 9110 and RFC 9112 ask of an intermediary, rule by rule, over every pair of protocols that it holds for.
//!
//! A rule is a row: what the client sends and what must arrive, what the upstream answers and what must return. Each row
//! makes a test of its name, and runs over each of its pairs.

mod answers;
mod flow;
mod requests;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::support::client::Answer;
use crate::support::http2::Http2;
use crate::support::message::field;
use crate::support::{Call, Client, Http2Upstream, Sluicegate, StreamCall, Upstream, soon};

/// Makes a test of each rule.
macro_rules! rules {
    ($($rfc:literal $name:ident on $pairs:ident { $($rule:tt)* })+) => {$(
        #[tokio::test]
        async fn $name() {
            super::holds($rfc, $pairs, &super::Rule { $($rule)* ..super::Rule::GET }).await;
        }
    )+};
}
use rules;

/// What is spoken on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    Http2,
}
use Speaks::{Http1, Http2 as H2};

/// The client's side and the upstream's.
type Pair = (Speaks, Speaks);

const ALL: &[Pair] = &[(Http1, Http1), (H2, Http1), (Http1, H2), (H2, H2)];
/// Where the client speaks HTTP/1: the rest can't be said in HTTP/2.
const FROM_HTTP1: &[Pair] = &[(Http1, Http1), (Http1, H2)];
/// Where the upstream speaks HTTP/1.
const TO_HTTP1: &[Pair] = &[(Http1, Http1), (H2, Http1)];
/// Where the client speaks HTTP/2.
const FROM_HTTP2: &[Pair] = &[(H2, Http1), (H2, H2)];

/// Field lines: `name: value`.
type Lines = &'static [&'static [u8]];

#[derive(Debug, Clone, Copy)]
enum Content {
    None,
    /// With its length said before.
    Known(&'static [u8]),
    /// Without, in these pieces.
    Unknown(&'static [&'static [u8]]),
}

/// What a client sends and what must arrive; what the upstream answers and what must return.
struct Rule {
    method: &'static str,
    target: &'static str,
    fields: Lines,
    body: Content,
    trailers: Lines,
    arrives: &'static [Expect],
    status: u16,
    answer_fields: Lines,
    answer: Content,
    answer_trailers: Lines,
    returns: &'static [Expect],
}

/// What one side gets.
#[derive(Debug)]
enum Expect {
    /// Method and target.
    Line(&'static str),
    Host(&'static str),
    Status(u16),
    /// All values of a field, in order; none if it must not be there.
    Field(&'static str, &'static [&'static [u8]]),
    /// A field that is there once, whatever it says.
    Once(&'static str),
    Body(&'static [u8]),
    /// The length is said before the body.
    Length(u64),
    /// It is not.
    NoLength,
    Trailer(&'static str, &'static [&'static [u8]]),
}

/// A message as one side has got it.
#[derive(Debug, Default)]
struct Seen {
    line: String,
    host: String,
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

impl Rule {
    /// An exchange in which nothing happens.
    const GET: Rule = Rule {
        method: "GET",
        target: "/",
        fields: &[],
        body: Content::None,
        trailers: &[],
        arrives: &[],
        status: 200,
        answer_fields: &[],
        answer: Content::Known(b"answer"),
        answer_trailers: &[],
        returns: &[],
    };
}

/// Shows that a rule holds on each of `pairs`.
async fn holds(rfc: &str, pairs: &[Pair], rule: &Rule) {
    let mut wrong = Vec::new();
    for pair in pairs {
        let (arrived, returned) = exchange(*pair, rule).await;
        for (side, seen, expected) in [("arrives", &arrived, rule.arrives), ("returns", &returned, rule.returns)] {
            for expect in expected.iter().filter(|expect| !expect.is_met(seen)) {
                wrong.push(format!("{pair:?} {side}: {expect:?}, but: {seen:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{rfc}: {wrong:#?}");
}

/// Sends a rule's request and answer, and returns what has arrived on either side.
async fn exchange((client, upstream): Pair, rule: &Rule) -> (Seen, Seen) {
    match upstream {
        Http1 => {
            let mut upstream = Upstream::start().await;
            let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
            let answering = async { answer_http1(soon("the request", upstream.next()).await, rule).await };
            tokio::join!(answering, ask(client, &gate, rule))
        }
        H2 => {
            let mut upstream = Http2Upstream::start().await;
            let gate = Sluicegate::with_limit(1).in_front_of_url(&upstream.url()).await;
            let answering = async { answer_http2(soon("the request", upstream.next()).await, rule).await };
            tokio::join!(answering, ask(client, &gate, rule))
        }
    }
}

async fn ask(speaks: Speaks, gate: &Sluicegate, rule: &Rule) -> Seen {
    match speaks {
        Http1 => {
            let mut client = gate.client().await;
            let mut request = format!("{} {} HTTP/1.1\r\nHost: api.test\r\n", rule.method, rule.target).into_bytes();
            write_message(&mut request, rule.fields, rule.body, rule.trailers);
            client.send_request(rule.method, request).await;
            seen_by_http1(client).await
        }
        H2 => {
            let client = Http2::connect(gate.address).await;
            let mut request = http::Request::builder().method(rule.method).uri(match rule.target {
                "*" => "*".to_owned(),
                target => format!("http://api.test{target}"),
            });
            *request.headers_mut().expect("a request") = map(rule.fields);
            let mut request = request.body(()).expect("a request");
            if rule.target == "*" {
                // The h2 crate makes the authority of a Host where the target has none.
                request.headers_mut().insert("host", HeaderValue::from_static("api.test"));
            }
            if let Content::Known(body) = rule.body {
                request.headers_mut().insert("content-length", body.len().into());
            }
            let ends = matches!(rule.body, Content::None) && rule.trailers.is_empty();
            let mut asked = client.ask(request, ends).await;
            for piece in pieces(rule.body) {
                asked.body.send_data(piece.to_vec().into(), false).expect("the stream is open");
            }
            if !ends && rule.trailers.is_empty() {
                asked.body.send_data(Vec::new().into(), true).expect("the stream is open");
            } else if !ends {
                asked.body.send_trailers(map(rule.trailers)).expect("the stream is open");
            }
            let answer = asked.answer().await;
            Seen {
                status: answer.head.status().as_u16(),
                fields: list(answer.head.headers()),
                body: answer.body.to_vec(),
                trailers: list(&answer.trailers.unwrap_or_default()),
                ..Seen::default()
            }
        }
    }
}

async fn seen_by_http1(mut client: Client) -> Seen {
    let Answer { status, head, body, interim, .. } = client.answer().await;
    assert!(interim.is_empty(), "{interim:?} were not asked for");
    Seen { status, fields: head.fields, body: body.bytes, trailers: body.trailers, ..Seen::default() }
}

async fn answer_http1(mut call: Call, rule: &Rule) -> Seen {
    let body = call.body().await.expect("the whole request");
    let head = call.head.clone();
    let mut answer = format!("HTTP/1.1 {} Told\r\n", rule.status).into_bytes();
    let known = match rule.answer {
        // What the length would have been is a field of the row.
        Content::Known(_) if rule.method == "HEAD" => Content::None,
        content => content,
    };
    write_message(&mut answer, rule.answer_fields, known, rule.answer_trailers);
    call.respond_raw(answer).await;
    Seen {
        line: format!("{} {}", head.word(0), head.word(1)),
        host: head.all("host").join(", "),
        fields: head.fields,
        body: body.bytes,
        trailers: body.trailers,
        status: 0,
    }
}

async fn answer_http2(mut call: StreamCall, rule: &Rule) -> Seen {
    let body = call.body().await.expect("the whole request");
    let (head, line) = (call.head.clone(), format!("{} {}", call.method(), call.path()));
    let mut fields = map(rule.answer_fields);
    let bodiless = rule.method == "HEAD" || matches!(rule.answer, Content::None);
    if let (Content::Known(body), false) = (rule.answer, bodiless) {
        fields.insert("content-length", body.len().into());
    }
    call.start_fields(rule.status, fields, bodiless);
    if !bodiless {
        for piece in pieces(rule.answer) {
            call.chunk(piece).await.expect("the proxy takes the answer");
        }
        call.finish_fields(map(rule.answer_trailers));
    }
    Seen {
        line,
        host: head.uri().authority().map(ToString::to_string).unwrap_or_default(),
        fields: list(head.headers()),
        body: body.bytes,
        trailers: body.trailers,
        status: 0,
    }
}

/// The rest of an HTTP/1 message after its first line.
fn write_message(message: &mut Vec<u8>, fields: Lines, content: Content, trailers: Lines) {
    let lines = |message: &mut Vec<u8>, lines: Lines| {
        lines.iter().for_each(|line| message.extend_from_slice(&[line, &b"\r\n"[..]].concat()));
    };
    lines(message, fields);
    match content {
        Content::None => message.extend_from_slice(b"\r\n"),
        Content::Known(body) => {
            message.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            message.extend_from_slice(body);
        }
        Content::Unknown(pieces) => {
            message.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in pieces {
                message.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                message.extend_from_slice(&[piece, &b"\r\n"[..]].concat());
            }
            message.extend_from_slice(b"0\r\n");
            lines(message, trailers);
            message.extend_from_slice(b"\r\n");
        }
    }
}

fn pieces(content: Content) -> Vec<&'static [u8]> {
    match content {
        Content::None => Vec::new(),
        Content::Known(body) => vec![body],
        Content::Unknown(pieces) => pieces.to_vec(),
    }
}

fn map(lines: Lines) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines.iter().map(|line| field(line)) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        map.append(name, HeaderValue::from_bytes(&value).expect("a value"));
    }
    map
}

fn list(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

impl Expect {
    fn is_met(&self, seen: &Seen) -> bool {
        let all = |fields: &[(String, Vec<u8>)], name: &str| -> Vec<Vec<u8>> {
            fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone()).collect()
        };
        match self {
            Expect::Line(line) => seen.line == *line,
            Expect::Host(host) => seen.host == *host,
            Expect::Status(status) => seen.status == *status,
            Expect::Field(name, values) => all(&seen.fields, name) == *values,
            Expect::Once(name) => all(&seen.fields, name).len() == 1,
            Expect::Body(body) => seen.body == *body,
            Expect::Length(length) => {
                let none = all(&seen.fields, "transfer-encoding").is_empty();
                none && all(&seen.fields, "content-length") == [length.to_string().into_bytes()]
            }
            Expect::NoLength => all(&seen.fields, "content-length").is_empty(),
            Expect::Trailer(name, values) => all(&seen.trailers, name) == *values,
        }
    }
}
