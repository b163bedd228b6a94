//! `GET /`: the dashboard, one page with nothing outside of it.
//!
//! What is sent first has the numbers of that moment in tables, for those who run no scripts; the script then follows
//! the events. Nothing in the page runs but its own script and style: the policy names their hashes, so the page itself
//! is the same for everyone and holds no nonce.

mod plain;

use std::sync::LazyLock;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use super::context::{Connection, Context};
use super::problem::Problem;
use super::protection::{self, Refusal};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page up to its tables, between the two gaps, and after them.
static PARTS: LazyLock<[String; 3]> = LazyLock::new(|| {
    let page = PAGE.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
    let (before, rest) = page.split_once("{{overall}}").expect("the page has a gap for the state of the whole");
    let (between, after) = rest.split_once("{{plain}}").expect("the page has a gap for the tables");
    [before, between, after].map(str::to_owned)
});

/// Nothing is loaded from elsewhere, and nobody puts the page into a frame.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let [style, script] = [STYLE, SCRIPT].map(|text| STANDARD.encode(Sha256::digest(text)));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("visible ASCII")
});

/// `GET /`. Who has to present the token gets the page without a number in it, to log in; who is not let in at all, one
/// that says what to do about it.
pub(super) async fn show(
    State(context): State<Context>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    match protection::check(request.uri(), request.headers(), &connection, context.token().as_deref()) {
        Ok(()) => page(StatusCode::OK, &plain::overall(&context), &plain::tables(&context)),
        Err(Refusal::WrongToken) => {
            let mut response = page(StatusCode::UNAUTHORIZED, "", LOGIN_WITHOUT_SCRIPT);
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Err(Refusal::NoToken) => {
            let port = connection.local.port().to_string();
            page(StatusCode::FORBIDDEN, "", &NO_TOKEN.replace("9901", &port))
        }
        Err(Refusal::Host) => page(StatusCode::FORBIDDEN, "", OTHER_HOST),
        // That is no page that somebody has opened.
        Err(refusal @ Refusal::Origin) => Problem::from(refusal).into_response(),
    }
}

const NO_TOKEN: &str = include_str!("no_token.html");
const OTHER_HOST: &str = include_str!("other_host.html");

const LOGIN_WITHOUT_SCRIPT: &str = "<noscript>To log in takes a script. Without one: curl -H 'Authorization: Bearer TOKEN' shows the tables.</noscript>";

fn page(status: StatusCode, overall: &str, tables: &str) -> Response {
    let [before, between, after] = &*PARTS;
    let page = [before, overall, between, tables, after].concat();
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (status, headers, page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_asks_for_nothing_from_elsewhere() {
        let page = PARTS.concat();
        assert!(!page.contains("{{") && page.trim_end().ends_with("</html>"));
        // The names of namespaces are no addresses.
        let addresses = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!addresses.contains("http://") && !addresses.contains("https://"));
        for inline in [" style=", " onclick=", " onload=", "<script src", "<link rel=\"stylesheet\"", "@import", "url("]
        {
            assert!(!page.contains(inline), "{inline}");
        }
        assert!(
            page.contains(&format!("<script>{SCRIPT}</script>")) && page.contains(&format!("<style>{STYLE}</style>"))
        );
    }
}
