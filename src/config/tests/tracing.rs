//! `[tracing]`, in builds with and without the feature.

use super::*;

const ROUTE: &str = "[upstreams.a]\nurl = \"http://a\"\n[routes.a]\nlimit = 1\n";

fn given(table: &str) -> Given {
    Given::default().file(&format!("{ROUTE}{table}\n"))
}

#[cfg(feature = "otel")]
#[test]
fn a_collector_has_its_path_below_its_own() {
    for (endpoint, url) in [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector", "http://collector:80/v1/traces"),
        ("https://otel.example.com/base/", "https://otel.example.com:443/base/v1/traces"),
        ("http://[::1]:4318/v1/traces", "http://[::1]:4318/v1/traces"),
    ] {
        let tracing = given(&format!("[tracing]\nendpoint = \"{endpoint}\"")).settings().tracing.unwrap();
        assert_eq!((tracing.collector.url().as_str(), tracing.sample), (url, 1.0));
    }
    let given =
        given("[tracing]\nendpoint = \"http://collector:4317\"").variable("SLUICEGATE__TRACING__SAMPLE", "0.25");
    assert_eq!(given.settings().tracing.unwrap().sample, 0.25);
    let [warning] = &given.warnings()[..] else { panic!("{:?}", given.warnings()) };
    assert!(warning.starts_with("0:6:1 tracing.endpoint has the port of OTLP over gRPC"), "{warning}");
}

#[cfg(feature = "otel")]
#[test]
fn mistakes_about_traces_are_explained() {
    for (line, expected) in [
        ("sample = 1", "0:5:2 tracing.endpoint is missing (write endpoint = \"http://127.0.0.1:4318\""),
        ("endpoint = \"h2c://a:1\"", "0:6:12 tracing.endpoint must be a URL such as \"http://127.0.0.1:4318\""),
        ("endpoint = \"collector:4318\"", "0:6:12 tracing.endpoint must be a URL such as"),
        (
            "endpoint = \"http://a\"\nsample = \"10%\"",
            "0:7:10 tracing.sample must be a number from 0 to 1, such as 0.1 (did you mean 0.1?)",
        ),
        ("endpoint = \"http://a\"\nsample = 10", "0:7:10 tracing.sample must be a number from 0 to 1"),
        ("endpoint = \"http://a\"\nsamples = 1", "0:7:1 tracing.samples is not a known key (did you mean `sample`?)"),
    ] {
        let problems = given(&format!("[tracing]\n{line}")).problems();
        assert!(problems[0].starts_with(expected), "{line}\nexpected {expected}\ngot      {problems:#?}");
        assert_eq!(problems.len(), 1, "{line}: {problems:#?}");
    }
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_build_that_exports_no_traces_says_so() {
    let problems = given("[tracing]\nendpoint = \"http://a\"\nsample = 1").problems();
    let expected =
        "0:5:2 tracing cannot be used: this build has no OTLP export (build with --features otel, or remove the table)";
    assert_eq!(problems, [expected]);
    assert_eq!(given("[tracing]").settings().tracing, None);
}
