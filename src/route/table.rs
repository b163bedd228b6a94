//! The routes in the order in which they are tried.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use http::{HeaderMap, Method};

use super::conditions::Extra;
use super::{Conditions, HostPattern, Mismatch, PathPattern, host, normalize};

/// Finds the route of a request.
///
/// Exact hosts, wildcards and exact paths are looked up by hash; patterns with parameters and prefixes of one host
/// are tried in turn.
#[derive(Debug, Clone)]
pub struct Table<T> {
    routes: Vec<T>,
    hosts: HashMap<String, Paths>,
    wildcards: HashMap<String, Paths>,
    any_host: Paths,
    /// Whether any route has a path. If none has, paths need not be made normal.
    looks_at_path: bool,
}

/// Two routes that one request can match equally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// Index of the one that came first.
    pub first: usize,
    /// Index of the other.
    pub second: usize,
}

impl<T> Table<T> {
    /// Sorts the routes by precedence, or names every pair that one request can match equally.
    ///
    /// There is nothing to say about routes that can never be reached, because there are none: a route that always
    /// wins over another would have to match all that the other matches, and a wider host or path has a lower
    /// precedence. With the same host and path it would need at least as many conditions, each of them implied by one
    /// of the other's, so it would have just as many, and that is a conflict.
    pub fn try_new(routes: Vec<(Conditions, T)>) -> Result<Table<T>, Vec<Conflict>> {
        let mut table = Table {
            routes: Vec::with_capacity(routes.len()),
            hosts: HashMap::new(),
            wildcards: HashMap::new(),
            any_host: Paths::default(),
            looks_at_path: false,
        };
        let mut by_host: BTreeMap<(bool, Option<String>), Cells> = BTreeMap::new();
        for (index, (mut conditions, route)) in routes.into_iter().enumerate() {
            table.routes.push(route);
            let host = match conditions.host.take() {
                Some(HostPattern::Exact(name)) => (false, Some(name)),
                Some(HostPattern::Wildcard(name)) => (true, Some(name)),
                None => (false, None),
            };
            let path = conditions.path.take().unwrap_or_else(PathPattern::any);
            table.looks_at_path |= !path.is_any();
            by_host.entry(host).or_default().entry(path).or_default().push((Extra::new(conditions), index));
        }
        let mut conflicts: Vec<Conflict> = by_host.values().flat_map(BTreeMap::values).flat_map(ties).collect();
        if !conflicts.is_empty() {
            conflicts.sort_by_key(|conflict| (conflict.first, conflict.second));
            return Err(conflicts);
        }
        for (host, cells) in by_host {
            let paths = Paths::new(cells);
            match host {
                (_, None) => table.any_host = paths,
                (false, Some(name)) => drop(table.hosts.insert(name, paths)),
                (true, Some(name)) => drop(table.wildcards.insert(name, paths)),
            }
        }
        Ok(table)
    }

    /// The route that takes a request, if any does. `host` is the request's host, with or without a port; `path` is
    /// its path as it came, without the query.
    pub fn find(&self, method: &Method, host: Option<&str>, path: &str, headers: &HeaderMap) -> Option<&T> {
        let (host, path) = self.normal(host, path);
        let takes_it = |(extra, _): &&(Extra, usize)| extra.mismatch(method, headers).is_none();
        self.candidates(host.as_deref(), &path).find(takes_it).map(|(_, index)| &self.routes[*index])
    }

    /// All routes whose host and path match a request, the strongest first, and why those do not take it that do not.
    /// The first of the others is the one that [`find`](Table::find) finds.
    pub fn explain(
        &self,
        method: &Method,
        host: Option<&str>,
        path: &str,
        headers: &HeaderMap,
    ) -> Vec<(&T, Option<Mismatch<'_>>)> {
        let (host, path) = self.normal(host, path);
        let candidates = self.candidates(host.as_deref(), &path);
        candidates.map(|(extra, index)| (&self.routes[*index], extra.mismatch(method, headers))).collect()
    }

    /// Host and path as far as they are looked at, in the form in which they are compared.
    fn normal<'a>(&self, host: Option<&'a str>, path: &'a str) -> (Option<Cow<'a, str>>, Cow<'a, str>) {
        let looks_at_host = !self.hosts.is_empty() || !self.wildcards.is_empty();
        let host = host.filter(|_| looks_at_host).map(host::name_of);
        (host, if self.looks_at_path { normalize(path) } else { Cow::Borrowed(path) })
    }

    /// The routes whose host and path match, the strongest first.
    fn candidates<'a, 'r>(
        &'a self,
        host: Option<&'r str>,
        path: &'r str,
    ) -> impl Iterator<Item = &'a (Extra, usize)> + use<'a, 'r, T> {
        let by_name = host.into_iter().flat_map(|name| {
            let wildcards = host::suffixes(name).filter_map(|suffix| self.wildcards.get(suffix));
            self.hosts.get(name).into_iter().chain(wildcards)
        });
        by_name.chain(std::iter::once(&self.any_host)).flat_map(|paths| paths.candidates(path))
    }
}

/// The routes of one host that have the same path each, the strongest path first.
type Cells = BTreeMap<PathPattern, Cell>;

/// The routes of one host and path.
type Cell = Vec<(Extra, usize)>;

/// Patterns that differ can match the same path, but never with the same precedence, and so do hosts. What is left
/// are the routes of one host and path with as many conditions.
fn ties(cell: &Cell) -> impl Iterator<Item = Conflict> {
    cell.iter().enumerate().flat_map(|(at, (extra, first))| {
        cell[at + 1..]
            .iter()
            .filter(|(other, _)| other.count() == extra.count() && other.overlaps(extra))
            .map(|(_, second)| Conflict { first: *first, second: *second })
    })
}

/// The routes of one host by their paths.
#[derive(Debug, Clone, Default)]
struct Paths {
    exact: HashMap<String, Cell>,
    /// The others, the strongest first.
    patterns: Vec<(PathPattern, Cell)>,
}

impl Paths {
    fn new(cells: Cells) -> Self {
        let mut paths = Paths::default();
        for (pattern, mut cell) in cells {
            cell.sort_by_key(|(extra, _)| std::cmp::Reverse(extra.count()));
            match pattern.exact() {
                Some(path) => drop(paths.exact.insert(path.to_owned(), cell)),
                None => paths.patterns.push((pattern, cell)),
            }
        }
        paths
    }

    /// The routes whose path matches, the strongest first. `path` is in normal form.
    fn candidates<'a, 'r>(&'a self, path: &'r str) -> impl Iterator<Item = &'a (Extra, usize)> + use<'a, 'r> {
        let patterns = self.patterns.iter().filter(|(pattern, _)| pattern.matches(path)).map(|(_, cell)| cell);
        self.exact.get(path).into_iter().chain(patterns).flatten()
    }
}
