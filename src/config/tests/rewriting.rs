//! What is changed about requests and answers.

use http::{HeaderName, HeaderValue};

use super::*;
use crate::proxy::{Cors, Fields, Rewrite};
use crate::upstream::Forwarded;

fn route(defaults: &str, route: &str) -> Rewrite {
    let text = format!(
        "[upstreams.a]\nurl = \"http://a\"\n[defaults]\nlimit = 2\n{defaults}\n[routes.a]\npath = \"/*\"\n{route}\n"
    );
    Given::default().file(&text).settings().plan.routes[0].rewrite.clone()
}

fn fields(fields: &[(&'static str, &'static str)]) -> Fields {
    let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    fields.collect()
}

#[test]
fn by_default_nothing_is_changed() {
    assert_eq!(route("", ""), Rewrite::default());
    let upstream = &Given::minimal().settings().plan.upstreams[0];
    assert!(upstream.via && upstream.set_headers.is_empty() && upstream.secret_headers.is_empty());
    assert_eq!(upstream.forwarded, Forwarded::Append);
}

#[test]
fn a_routes_fields_come_before_those_of_the_defaults_name_by_name() {
    let rewrite = route(
        "strip_prefix = \"/d\"\nset_headers = { X-A = \"d\", x-b = \"d\" }\nset_response_headers = { x-c = \"d\" }",
        "strip_prefix = \"/r\"\nset_headers = { x-a = \"\" }",
    );
    assert_eq!(rewrite.strip_prefix, "/r".parse().ok());
    assert_eq!(rewrite.set_headers, fields(&[("x-a", ""), ("x-b", "d")]));
    assert_eq!(rewrite.set_response_headers, fields(&[("x-c", "d")]));
}

#[test]
fn an_upstream_has_fields_of_its_own_and_secrets_from_files() {
    let mut given = Given::default();
    let secret = given.write("Bearer s3cret\n");
    let text = format!(
        "[upstreams.a]\nurl = \"http://a\"\nset_headers = {{ x-a = \"1\" }}\nforwarded = \"off\"\nvia = false\n\
         secret_headers = {{ Authorization = \"{}\" }}\n[routes.a]\nlimit = 1\n",
        secret.display()
    );
    let settings = given.file(&text).settings();
    let upstream = &settings.plan.upstreams[0];
    assert_eq!(upstream.set_headers, fields(&[("x-a", "1")]));
    assert_eq!((upstream.forwarded, upstream.via), (Forwarded::Off, false));
    assert_eq!(upstream.secret_headers[0].name(), "authorization");
    assert_eq!(upstream.secret_headers[0].value(), "Bearer s3cret");
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn origins_that_may_read_our_answers_are_none_all_or_a_list() {
    let cors = |text: &str| {
        let file = format!("[response_headers]\n{text}\n");
        Given::minimal().file(&file).settings().plan.response_headers.cors
    };
    let these = |origins: &[&'static str]| Cors::These(origins.iter().map(|o| HeaderValue::from_static(o)).collect());
    assert_eq!(cors(""), Cors::Off);
    assert_eq!(cors("cors = \"off\""), Cors::Off);
    assert_eq!(cors("cors = \"*\""), Cors::Any);
    assert_eq!(cors("cors = \"https://a.example\""), these(&["https://a.example"]));
    assert_eq!(cors("cors = [\"https://a.example\", \"http://b:81\"]"), these(&["https://a.example", "http://b:81"]));
}
