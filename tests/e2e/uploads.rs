//! A client that is in the middle of a large upload sees the rejection, and not a reset.
//!
//! `SLUICEGATE_REPEAT` sets how often each is tried.

use crate::support::tools::{has, output_of, times};
use crate::support::{Call, Client, Sluicegate, Upstream, soon};

#[tokio::test]
async fn curl_sees_the_503_of_a_rejected_20_mb_post() {
    if !has("curl") {
        return;
    }
    let (gate, _held) = full().await;
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("twenty-megabytes");
    std::fs::write(&file, vec![b'x'; 20 << 20]).unwrap();
    let data = format!("@{}", file.display());
    let url = format!("http://{}/", gate.address);
    let repeat = times("SLUICEGATE_REPEAT", 20);
    let mut seen = Vec::new();
    // Without being told to continue, with it, and of unknown length.
    for header in ["Expect:", "Expect: 100-continue", "Transfer-Encoding: chunked"] {
        for _ in 0..repeat {
            let args = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, "--data-binary", &data, &url];
            seen.push(output_of("curl", &args).await);
        }
    }
    assert!(seen.iter().all(|status| status == "503"), "{seen:?}");
}

#[tokio::test]
async fn python_sees_the_503_of_a_rejected_20_mb_post() {
    if !has("python3") {
        return;
    }
    let (gate, _held) = full().await;
    let repeat = times("SLUICEGATE_REPEAT", 20);
    let script = format!(
        "import http.client\n\
         body = b'x' * (20 << 20)\n\
         for _ in range({repeat}):\n    \
             try:\n        \
                 connection = http.client.HTTPConnection('127.0.0.1', {}, timeout=20)\n        \
                 connection.request('POST', '/', body)\n        \
                 print(connection.getresponse().status)\n    \
             except Exception as error:\n        \
                 print(repr(error))\n",
        gate.address.port()
    );
    let output = output_of("python3", &["-c", &script]).await;
    assert_eq!(output, "503\n".repeat(repeat));
}

#[tokio::test]
async fn a_large_rejected_upload_is_answered_then_read_away_then_closed() {
    let (gate, _held) = full().await;
    let mut client = gate.client().await;
    client.post("/", vec![b'x'; 20 << 20]).await;
    let answer = client.answer().await;
    answer.expect(503, "no_permit");
    assert!(answer.closes(), "so much is not read away to keep a connection");
    client.expect_closed().await;
}

#[tokio::test]
async fn a_refused_upload_is_answered_and_not_reset() {
    let (gate, _held) = full().await;
    for _ in 0..20 {
        let mut client = gate.client().await;
        let head = "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 2000000\r\n\r\n";
        client.send([head.as_bytes(), &[b'x'; 2_000_000]].concat()).await;
        client.answer().await.expect(400, "bad_request");
    }
}

/// A gate that rejects everything, and what keeps it so.
async fn full() -> (Sluicegate, (Upstream, Client, Call)) {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let holder = gate.get("/").await;
    let call = soon("the holder's request", upstream.next()).await;
    (gate, (upstream, holder, call))
}
