//! The members of a JSON object, as they were written.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// In the order in which they stand there. A name may be there more than once, which a map would hide.
#[derive(Debug)]
pub(super) struct Members(pub(super) Vec<(String, Value)>);

impl Members {
    /// The names that are there more than once, each of them once.
    pub(super) fn doubled(&self) -> impl Iterator<Item = &str> {
        let mut counts = BTreeMap::new();
        self.0.iter().for_each(|(name, _)| *counts.entry(name.as_str()).or_insert(0) += 1);
        counts.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}
