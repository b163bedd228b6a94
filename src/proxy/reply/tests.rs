//! What clients are told is the same, however it was put together.

use http_body_util::BodyExt as _;

use super::*;
use crate::admission::{Limiter, Settings};
use crate::proxy::names::Names;

/// A rejection as its client reads it.
fn told(mut reply: Reply, names: &Names, request_id: &'static str, prepared: bool) -> (HeaderMap, Bytes) {
    if !prepared {
        reply.rejected = None;
    }
    let about = About {
        route: Some(&names.route),
        on: None,
        limit: names.limits.first(),
        request_id: &HeaderValue::from_static(request_id),
        form: Form::ProblemJson,
        grpc: None,
        close: false,
        record: &Record::UNKEPT,
        reader: None,
        fields: &[],
        queue_position: true,
        quotas: &Quotas::NONE,
    };
    let (head, body) = reply.into_response(&about).into_parts();
    let body = futures_util::FutureExt::now_or_never(body.collect()).expect("it is all there").expect("it is ours");
    (head.headers, body.to_bytes())
}

#[test]
fn what_is_prepared_says_what_is_not() {
    let limiter = Limiter::new(Settings::new("a", std::num::NonZeroU32::MIN));
    let names = Names::new("b", "c", Some(&limiter.into()));
    let reply = |reason, status, retry_after, predicted| {
        let waited = Waited { position: 3, wait: Duration::from_millis(70) };
        let rejection = Rejection { reason, limit: 0, waited, drains_in: None, predicted };
        Reply { retry_after, ..Reply::rejected(&rejection, status) }
    };
    use admission::Reason::{DeadlineExpired, NoPermit, QueueTimeout};
    let (busy, shed) = (StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS);
    for (reason, status, retry_after, predicted, id) in [
        (NoPermit, busy, Some(1), false, "first"),
        (NoPermit, busy, Some(60), false, "second"),
        (NoPermit, shed, Some(1), false, "changed"),
        (QueueTimeout, busy, Some(2), false, "in-vain"),
        (QueueTimeout, busy, Some(2), true, "not-begun"),
        (QueueTimeout, busy, Some(100), false, "in-vain-again"),
        (DeadlineExpired, busy, None, false, "too-late"),
    ] {
        let reply = || reply(reason, status, retry_after, predicted);
        let (slow, fast) = (told(reply(), &names, id, false), told(reply(), &names, id, true));
        assert_eq!(fast, slow, "{id}");
        // In the same order.
        assert!(fast.0.keys().eq(slow.0.keys()), "{id}");
        assert_eq!(
            (&fast.0[X_REQUEST_ID], &fast.0[X_LIMIT]),
            (&HeaderValue::from_static(id), &HeaderValue::from_static("a"))
        );
    }
}
