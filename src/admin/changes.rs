//! What is different from one snapshot to the next, for those who have the one before.

use serde_json::{Map, Value};

/// An object.
pub(super) type Members = Map<String, Value>;

/// The members of `now` that are not as they were `before`. Of `limits` there are those with something different: their
/// names, and what that is. `None` if they are no longer the same limits: then nothing less than all of it will do.
pub(super) fn changes(before: &Members, now: &Members) -> Option<Members> {
    let (limits_before, limits) = (limits(before), limits(now));
    if !limits_before.iter().map(name).eq(limits.iter().map(name)) {
        return None;
    }
    let changed = limits_before.iter().zip(limits).filter_map(|(before, now)| {
        let mut members = different(before.as_object()?, now.as_object()?);
        let is_different = !members.is_empty();
        members.insert("name".to_owned(), name(now).clone());
        is_different.then_some(Value::Object(members))
    });
    let changed = changed.collect();
    let mut members = different(before, now);
    members.insert("limits".to_owned(), changed);
    Some(members)
}

fn different(before: &Members, now: &Members) -> Members {
    let members = now.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn limits(snapshot: &Members) -> &[Value] {
    snapshot.get("limits").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn name(limit: &Value) -> &Value {
    &limit["name"]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(before: &Value, now: &Value) -> Option<Value> {
        changes(before.as_object().unwrap(), now.as_object().unwrap()).map(Value::Object)
    }

    #[test]
    fn what_is_as_it_was_is_left_out() {
        let before = json!({"tick": 1, "draining": false, "rejections": [], "limits": [
            {"name": "api", "in_flight": 1, "limit": 4, "oldest_seconds": 0.5},
            {"name": "idle", "in_flight": 0, "limit": 2, "oldest_seconds": null},
        ]});
        let mut now = before.clone();
        now["tick"] = 2.into();
        assert_eq!(changed(&before, &now), Some(json!({"tick": 2, "limits": []})));
        now["rejections"] = json!([{"number": 1}]);
        (now["limits"][0]["in_flight"], now["limits"][0]["oldest_seconds"]) = (2.into(), Value::Null);
        let expected = json!({"tick": 2, "rejections": [{"number": 1}], "limits": [
            {"name": "api", "in_flight": 2, "oldest_seconds": null},
        ]});
        assert_eq!(changed(&before, &now), Some(expected));
    }

    #[test]
    fn other_limits_or_another_order_take_all_of_it() {
        let of = |names: &[&str]| json!({"limits": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()});
        let before = of(&["api", "reports"]);
        for names in [&["api"][..], &["reports", "api"], &["api", "reports", "new"], &["api", "other"], &[]] {
            assert_eq!(changed(&before, &of(names)), None, "{names:?}");
        }
        assert_eq!(changed(&before, &before), Some(json!({"limits": []})));
    }
}
