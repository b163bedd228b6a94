//! What is noted of an upload that comes to nothing: one whose client has left is nobody's mistake.

use serde_json::{Value, json};

use crate::support::{AccessLog, Call, Client, Setup, Sluicegate, Upstream, soon, until};

#[tokio::test]
async fn a_client_that_leaves_in_mid_upload_is_gone() {
    let log = AccessLog::new("mid-upload");
    let mut upstream = Upstream::start().await;
    let gate = one_permit(&log).in_front_of(&upstream).await;
    for (upload, leave) in cases() {
        let (client, mut call) = begun(&gate, &mut upstream, upload).await;
        leave(client);
        assert!(call.body().await.is_err(), "a cut upload is not a complete one");
    }
    all_are_gone(&gate, &log, "upstream").await;
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_upload_behind_the_head_of_its_answer_is_gone() {
    let log = AccessLog::new("mid-upload-answered");
    let mut upstream = Upstream::start().await;
    let gate = one_permit(&log).in_front_of(&upstream).await;
    for (upload, leave) in cases() {
        let (mut client, mut call) = begun(&gate, &mut upstream, upload).await;
        call.start_streaming(&[]).await;
        client.head().await;
        leave(client);
        assert!(call.body().await.is_err(), "a cut upload is not a complete one");
    }
    all_are_gone(&gate, &log, "response").await;
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_upload_before_it_is_admitted_is_gone() {
    let mut upstream = Upstream::start().await;
    for buffer_request in ["0B", "64KiB"] {
        let log = AccessLog::new(&format!("mid-upload-{buffer_request}"));
        let route = format!("buffer_request = \"{buffer_request}\"");
        let gate = one_permit(&log).route(&route).in_front_of(&upstream).await;
        let _holder = gate.get("/holder").await;
        let call = soon("the holder's request", upstream.next()).await;
        for (upload, leave) in cases() {
            let mut client = gate.client().await;
            client.send(upload).await;
            client.settled().await;
            leave(client);
        }
        all_are_gone(&gate, &log, "queued").await;
        call.close();
    }
}

#[tokio::test]
async fn an_upload_that_is_malformed_is_still_a_bad_request() {
    let log = AccessLog::new("mid-upload-malformed");
    let mut upstream = Upstream::start().await;
    let gate = one_permit(&log).in_front_of(&upstream).await;
    let (mut client, call) = begun(&gate, &mut upstream, CHUNKED).await;
    client.send("zz\r\n").await;
    client.answer().await.expect(400, "bad_request");
    call.close();
    let line = &log.about("/upload", 1).await[0];
    assert_eq!(
        (&line["status"], &line["outcome"], &line["reason"]),
        (&json!(400), &json!("refused"), &json!("bad_request"))
    );
}

const CHUNKED: &str = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n";
const DECLARED: &str = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\npart";

/// Each kind of upload, with each way of leaving.
fn cases() -> impl Iterator<Item = (&'static str, fn(Client))> {
    let ways = [Client::leave as fn(Client), Client::abort];
    [CHUNKED, DECLARED].into_iter().flat_map(move |upload| ways.map(|leave| (upload, leave)))
}

fn one_permit(log: &AccessLog) -> Setup {
    Sluicegate::with_limit(1).queue(4).server(&log.table()).admin()
}

/// An upload of which the upstream has a part.
async fn begun(gate: &Sluicegate, upstream: &mut Upstream, upload: &str) -> (Client, Call) {
    let mut client = gate.client().await;
    client.send(upload).await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(soon("the part", call.piece()).await.unwrap().unwrap(), b"part");
    (client, call)
}

/// All of them are logged so, and counted in this phase.
async fn all_are_gone(gate: &Sluicegate, log: &AccessLog, phase: &str) {
    let count = cases().count();
    let status = if phase == "response" { 200 } else { 499 };
    for line in log.about("/upload", count).await {
        let seen = ["status", "outcome", "reason", "client_gone"].map(|name| line[name].clone());
        let gone: [Value; 4] = [json!(status), json!("client_gone"), json!("client_closed"), json!(phase)];
        assert_eq!(seen, gone, "{line}");
    }
    let aborts = format!("sluicegate_client_aborts_total{{route=\"default\",phase=\"{phase}\"}}");
    until("all of them counted", async || gate.metrics().await[&aborts] == count as f64).await;
}
