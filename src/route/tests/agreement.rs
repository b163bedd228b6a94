//! The table against the rules as they are written, which know nothing of its ways.

use proptest::prelude::*;

use super::*;

/// A route, and its path as it was written.
#[derive(Debug, Clone, PartialEq)]
struct Route {
    path: String,
    conditions: Conditions,
}

impl Route {
    fn matches(&self, method: &Method, host: Option<&str>, path: &str, fields: &HeaderMap) -> bool {
        let host = match (&self.conditions.host, host) {
            (None, _) => true,
            (Some(HostPattern::Exact(wanted)), Some(name)) => wanted == name,
            (Some(HostPattern::Wildcard(wanted)), Some(name)) => name.ends_with(&format!(".{wanted}")),
            (Some(_), None) => false,
        };
        host && self.matches_path(path) && Extra::new(self.conditions.clone()).mismatch(method, fields).is_none()
    }

    fn matches_path(&self, path: &str) -> bool {
        let (wanted, prefix) = match self.path.strip_suffix("/*") {
            Some(wanted) => (wanted, true),
            None => (self.path.as_str(), self.path.is_empty()),
        };
        let wanted: Vec<&str> = wanted.split('/').skip(1).collect();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let same = |(wanted, text): (&&str, &&str)| wanted == text || *wanted == "{x}" && !text.is_empty();
        (segments.len() == wanted.len() || prefix && segments.len() > wanted.len())
            && wanted.iter().zip(&segments).all(same)
    }

    /// Less is stronger.
    fn rank(&self) -> impl Ord {
        let host = match &self.conditions.host {
            Some(HostPattern::Exact(_)) => (0, 0),
            Some(HostPattern::Wildcard(name)) => (1, usize::MAX - name.len()),
            None => (2, 0),
        };
        let kind = match self.path.as_str() {
            path if path.is_empty() || path.ends_with("/*") => 2,
            path if path.contains('{') => 1,
            _ => 0,
        };
        let segments: Vec<&str> = self.path.trim_end_matches("/*").split('/').skip(1).collect();
        let parameters: Vec<bool> = segments.iter().map(|segment| segment.starts_with('{')).collect();
        let conditions = usize::from(!self.conditions.methods.is_empty()) + self.conditions.headers.len();
        (host, kind, usize::MAX - segments.len(), parameters, usize::MAX - conditions)
    }
}

fn route() -> impl Strategy<Value = Route> {
    let host = prop::sample::select(vec!["-", "a.org", "b.a.org", "*.a.org", "*.b.a.org", "*.org", "org"]);
    let method = prop::sample::select(vec!["", "GET", "POST", "GET,POST"]);
    let header = prop::sample::select(vec!["", "x=1", "x=2", "x=*", "x=1 y=*"]);
    (host, path(), method, header).prop_map(|(host, path, method, header)| Route {
        conditions: conditions(&format!("{method} {host}{path} {header}")),
        path,
    })
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["/a", "/b", "/{x}"]);
    let end = prop::sample::select(vec!["", "/", "/*"]);
    (prop::collection::vec(segment, 0..4), end).prop_map(|(segments, end)| segments.concat() + end)
}

fn request_host() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(vec!["a.org", "b.a.org", "c.b.a.org", "x.org", "org"]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn the_table_agrees_with_trying_every_route(
        candidates in prop::collection::vec(route(), 1..24),
        requests in prop::collection::vec((request_host(), "(/(a|b|c)){0,4}/?", 0..2_usize, 0..4_usize), 1..24),
    ) {
        // Routes that conflict with an earlier one are left out.
        let mut routes: Vec<Route> = Vec::new();
        for candidate in candidates {
            routes.push(candidate);
            let all = routes.iter().map(|route| (route.conditions.clone(), ())).collect();
            if Table::try_new(all).is_err() {
                routes.pop();
            }
        }
        let all = routes.iter().map(|route| (route.conditions.clone(), route.clone())).collect();
        let table = Table::try_new(all).unwrap();
        for (host, path, method, fields) in requests {
            let method = [Method::GET, Method::POST][method].clone();
            let fields = [&[][..], &[("x", "1")], &[("x", "2"), ("y", "1")], &[("x", "1"), ("y", "1")]][fields];
            let fields = headers(fields);
            let mut matching: Vec<&Route> =
                routes.iter().filter(|route| route.matches(&method, host, &path, &fields)).collect();
            matching.sort_by_key(|route| route.rank());
            if let [first, second, ..] = matching[..] {
                prop_assert!(first.rank() < second.rank(), "{first:?} ties with {second:?}");
            }
            prop_assert_eq!(table.find(&method, host, &path, &fields), matching.first().copied());
            let explained = table.explain(&method, host, &path, &fields);
            let taking: Vec<&Route> =
                explained.iter().filter(|(_, mismatch)| mismatch.is_none()).map(|(route, _)| *route).collect();
            prop_assert_eq!(taking, matching);
            for (route, mismatch) in explained {
                prop_assert_eq!(mismatch.is_none(), route.matches(&method, host, &path, &fields));
                prop_assert!(route.matches_path(&path), "{:?} at {}", route, path);
            }
        }
    }
}
