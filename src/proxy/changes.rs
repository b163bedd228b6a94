//! What is different from one plan to the next, by name.

use std::collections::HashMap;

use super::settings::{Plan, RouteSettings};

/// What another configuration changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Limits, with the routes' own under the names of those.
    pub limits: Difference,
    /// Routes.
    pub routes: Difference,
    /// Upstreams.
    pub upstreams: Difference,
    /// Places to listen at. No plan has any: whoever knows them adds them.
    pub listeners: Difference,
    /// Keys of tables that are none of the above, such as `server.idle_timeout`. The same goes for these.
    pub settings: Difference,
}

/// Names of things of one kind, in the order of the plans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// What there was not.
    pub added: Vec<String>,
    /// What was otherwise.
    pub changed: Vec<String>,
    /// What there is no more.
    pub removed: Vec<String>,
}

impl Plan {
    /// What `next` changes. A limit or upstream that another route takes now has not changed itself.
    pub fn changes(&self, next: &Plan) -> Changes {
        Changes {
            limits: Difference::between(self.named_limits(), next.named_limits()),
            routes: Difference::between(self.named_routes(), next.named_routes()),
            upstreams: Difference::between(self.named_upstreams(), next.named_upstreams()),
            listeners: Difference::default(),
            settings: Difference::default(),
        }
    }

    fn named_limits(&self) -> impl Iterator<Item = (&str, impl PartialEq)> {
        let measured: HashMap<_, _> = self.measured.iter().map(|each| (each.limit, each)).collect();
        let adaptive: HashMap<_, _> = self.adaptive.iter().map(|each| (each.limit, each.settings)).collect();
        self.limits.iter().enumerate().map(move |(index, limit)| {
            let measured = measured.get(&index);
            let adaptive = adaptive.get(&index).copied();
            let measured = measured.map(|each| (&*self.upstreams[each.upstream].name, each.queue_follows));
            (&*limit.name, (limit, self.keys.get(index), measured, adaptive))
        })
    }

    fn named_upstreams(&self) -> impl Iterator<Item = (&str, impl PartialEq)> {
        self.upstreams.iter().map(|upstream| (&*upstream.name, upstream))
    }

    /// By the names of what they lead to: an index is another in every plan.
    fn named_routes(&self) -> impl Iterator<Item = (&str, impl PartialEq)> {
        self.routes.iter().map(|route| {
            let limits: Vec<&str> = route.limits.iter().map(|limit| &*self.limits[*limit].name).collect();
            let own = RouteSettings { upstream: 0, limits: Vec::new(), ..route.clone() };
            (&*route.name, (own, &*self.upstreams[route.upstream].name, limits))
        })
    }
}

impl Difference {
    /// What is different between two lists of things with names.
    pub fn between<'a, T: PartialEq>(
        before: impl Iterator<Item = (&'a str, T)>,
        after: impl Iterator<Item = (&'a str, T)>,
    ) -> Self {
        let before: Vec<(&str, T)> = before.collect();
        let mut gone: HashMap<&str, &T> = before.iter().map(|(name, value)| (*name, value)).collect();
        let mut difference = Difference::default();
        for (name, value) in after {
            match gone.remove(name) {
                None => difference.added.push(name.to_owned()),
                Some(before) if *before != value => difference.changed.push(name.to_owned()),
                Some(_) => {}
            }
        }
        let removed = before.iter().map(|(name, _)| *name).filter(|name| gone.contains_key(name));
        difference.removed = removed.map(str::to_owned).collect();
        difference
    }

    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_other_or_gone_is_named_and_the_rest_is_not() {
        let before = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
        let after = [("d", 4), ("e", 5), ("b", 22), ("a", 1)];
        let Difference { added, changed, removed } = Difference::between(before.into_iter(), after.into_iter());
        assert_eq!((added, changed, removed), (vec!["e".to_owned()], vec!["b".to_owned()], vec!["c".to_owned()]));
        assert!(Difference::between(before.into_iter(), before.into_iter()).is_empty());
    }
}
