mod agreement;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::conditions::Extra;
use super::*;

/// Reads `GET,PUT example.com/path x=1 y=*`: each part may be left out, `-` stands for any host.
fn conditions(text: &str) -> Conditions {
    let mut conditions = Conditions::default();
    for word in text.split_whitespace() {
        if let Some((name, value)) = word.split_once('=') {
            let condition = match value {
                "*" => HeaderCondition::Present,
                _ => HeaderCondition::Equals(HeaderValue::from_str(value).unwrap()),
            };
            conditions.headers.push((HeaderName::try_from(name).unwrap(), condition));
        } else if word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b',') {
            conditions.methods = word.split(',').map(|method| method.parse().unwrap()).collect();
        } else {
            let (host, path) = match word.find('/') {
                Some(at) => (&word[..at], Some(&word[at..])),
                None => (word, None),
            };
            conditions.host = (host != "-").then(|| host.parse().unwrap());
            conditions.path = path.map(|path| path.parse().unwrap());
        }
    }
    conditions
}

fn try_table(routes: &[&'static str]) -> Result<Table<&'static str>, Vec<Conflict>> {
    Table::try_new(routes.iter().map(|route| (conditions(route), *route)).collect())
}

fn table(routes: &[&'static str]) -> Table<&'static str> {
    try_table(routes).unwrap()
}

fn find(table: &Table<&'static str>, host: &str, path: &str) -> Option<&'static str> {
    table.find(&Method::GET, Some(host), path, &HeaderMap::new()).copied()
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn an_empty_table_finds_nothing() {
    assert_eq!(find(&table(&[]), "a", "/"), None);
}

#[test]
fn one_route_without_conditions_takes_everything() {
    let table = table(&["-"]);
    for path in ["/", "/a//b", "*", "", "/%zz"] {
        assert_eq!(find(&table, "a", path), Some("-"));
    }
    assert_eq!(table.find(&Method::OPTIONS, None, "*", &HeaderMap::new()), Some(&"-"));
}

#[test]
fn hosts_come_before_paths() {
    let table = table(&["-/a", "*.x.org/a", "*.b.x.org", "b.x.org/*", "b.x.org/a/b"]);
    for (host, path, route) in [
        ("c.org", "/a", Some("-/a")),
        ("c.org", "/b", None),
        ("d.x.org", "/a", Some("*.x.org/a")),
        ("d.e.x.org:8080", "/a", Some("*.x.org/a")),
        ("x.org", "/a", Some("-/a")),
        ("c.b.x.org", "/a", Some("*.b.x.org")),
        ("B.X.ORG.", "/a", Some("b.x.org/*")),
        ("b.x.org", "/a/b", Some("b.x.org/a/b")),
        ("", "/a", Some("-/a")),
    ] {
        assert_eq!(find(&table, host, path), route, "{host}{path}");
    }
    assert_eq!(table.find(&Method::GET, None, "/a", &HeaderMap::new()), Some(&"-/a"));
}

#[test]
fn a_host_whose_paths_do_not_match_leaves_the_request_to_the_next() {
    let table = table(&["a.x.org/only", "*.x.org/some", "-"]);
    assert_eq!(find(&table, "a.x.org", "/only"), Some("a.x.org/only"));
    assert_eq!(find(&table, "a.x.org", "/some"), Some("*.x.org/some"));
    assert_eq!(find(&table, "a.x.org", "/other"), Some("-"));
}

#[test]
fn paths_are_compared_in_normal_form() {
    let table = table(&["-/reports", "-/admin/*", "-"]);
    for path in ["/reports", "/%72eports", "//reports", "/x/../reports", "/./reports", "/x/%2e%2E/reports"] {
        assert_eq!(find(&table, "a", path), Some("-/reports"), "{path}");
    }
    for path in ["/admin", "/admin/", "/x/..//admin/y", "/%61dmin/y"] {
        assert_eq!(find(&table, "a", path), Some("-/admin/*"), "{path}");
    }
    for path in ["/reports/", "/reports%2F", "/admin%2Fx", "/adminx", "/admin/.."] {
        assert_eq!(find(&table, "a", path), Some("-"), "{path}");
    }
}

#[test]
fn more_conditions_win() {
    let table = table(&["-/a", "GET -/a", "GET,POST -/a x=1", "PUT -/a x=1 y=*", "GET -/a x=1 y=2"]);
    for (method, fields, route) in [
        (Method::PUT, &[][..], "-/a"),
        (Method::GET, &[], "GET -/a"),
        (Method::PUT, &[("x", "1")], "-/a"),
        (Method::POST, &[("x", "1")], "GET,POST -/a x=1"),
        (Method::PUT, &[("x", "1"), ("y", "7")], "PUT -/a x=1 y=*"),
        (Method::GET, &[("x", "1"), ("y", "2")], "GET -/a x=1 y=2"),
        (Method::GET, &[("x", "1"), ("y", "3")], "GET,POST -/a x=1"),
        (Method::GET, &[("x", "2"), ("y", "2")], "GET -/a"),
    ] {
        let found = table.find(&method, None, "/a", &headers(fields)).copied();
        assert_eq!(found, Some(route), "{method} {fields:?}");
    }
}

#[test]
fn only_the_first_field_of_a_name_counts() {
    let table = table(&["- x=1", "- x=2"]);
    let find = |fields| table.find(&Method::GET, None, "/", &headers(fields)).copied();
    assert_eq!(find(&[("x", "1"), ("x", "2")]), Some("- x=1"));
    assert_eq!(find(&[("x", "2"), ("x", "1")]), Some("- x=2"));
    assert_eq!(find(&[("x", "3"), ("x", "1")]), None);
}

#[test]
fn routes_that_one_request_can_match_equally_are_refused() {
    for routes in [
        ["-", "-"],
        ["-", "-/*"],
        ["-/a", "-/%61"],
        ["-/{a}", "-/{b}"],
        ["-/u/{a}/*", "-/u/{b}/*"],
        ["a.org", "A.org."],
        ["*.a.org/x", "*.A.org/x"],
        ["GET -", "GET,POST -"],
        ["- x=1", "- y=1"],
        ["- x=1", "- x=*"],
        ["GET -", "- x=1"],
        ["GET - x=1", "- x=1 y=2"],
    ] {
        assert_eq!(try_table(&routes).unwrap_err(), [Conflict { first: 0, second: 1 }], "{routes:?}");
    }
}

#[test]
fn routes_that_no_request_can_match_equally_are_not() {
    for routes in [
        ["-", "a.org"],
        ["-", "GET -"],
        ["-/a", "-/a/"],
        ["-/a", "-/{a}"],
        ["-/{a}/b", "-/a/{b}"],
        ["-/{a}/*", "-/a/*"],
        ["GET -", "POST -"],
        ["- x=1", "- x=2"],
        ["- x=1", "- x=1 y=2"],
        ["GET - x=1", "POST - y=2"],
        ["*.a.org", "*.b.a.org"],
    ] {
        assert!(try_table(&routes).is_ok(), "{routes:?}");
    }
}

#[test]
fn every_conflict_is_named() {
    let conflicts = try_table(&["-/a", "GET -", "-", "-/a", "-/a"]).unwrap_err();
    let pairs: Vec<(usize, usize)> = conflicts.iter().map(|conflict| (conflict.first, conflict.second)).collect();
    assert_eq!(pairs, [(0, 3), (0, 4), (3, 4)]);
}

#[test]
fn patterns_are_written_as_they_were_read() {
    for text in ["/", "/a", "/a/", "/users/{id}", "/{kind}/x/{id}/*", "/*", "/v1/*"] {
        assert_eq!(text.parse::<PathPattern>().unwrap().to_string(), text);
    }
    for text in ["a.org", "*.a.org", "[::1]"] {
        assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
    }
}

#[test]
fn it_is_explained_why_a_stronger_route_does_not_take_a_request() {
    let table = table(&["-/a x=1", "POST -/a y=1", "-/*", "b.org/a"]);
    let explained = table.explain(&Method::GET, Some("a.org"), "/%61", &HeaderMap::new());
    let name = HeaderName::from_static("x");
    let expected =
        [(&"POST -/a y=1", Some(Mismatch::Method)), (&"-/a x=1", Some(Mismatch::Header(&name))), (&"-/*", None)];
    assert_eq!(explained, expected);
}
