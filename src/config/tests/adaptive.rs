//! Limits that find themselves, and shadows.

use super::*;
use crate::admission::AdaptiveSettings;

const UPSTREAM: &str = "[upstreams.a]\nurl = \"http://a\"\n";

fn given(routes: &str) -> Given {
    Given::default().file(&format!("{UPSTREAM}{routes}"))
}

#[test]
fn an_adaptive_limit_has_bounds_and_a_beginning() {
    let routes = "[routes.a]\nlimit = { adaptive = \"knee\", min = 2, max = 50, initial = 20 }\nlimits = [\"s\"]\ncost = 3\n\
                  [limits.s]\nlimit = { adaptive = \"knee\", min = 1, max = 5 }\nqueue = 7\n";
    let plan = given(routes).settings().plan;
    let limits: Vec<_> =
        plan.limits.iter().map(|limit| (limit.limit.get(), limit.limit_max.unwrap().get(), limit.queue)).collect();
    assert_eq!(limits, [(20, 50, 80), (5, 5, 7)]);
    let bounds = |index: usize| {
        let AdaptiveSettings { min, max, initial, shadow, queue_follows } = *plan.adaptive_of(index).unwrap();
        (min.get(), max.get(), initial.map(|initial| initial.get()), shadow, queue_follows)
    };
    assert_eq!(bounds(0), (2, 50, Some(20), false, true));
    assert_eq!(bounds(1), (1, 5, None, false, false));
    assert_eq!((plan.permits(0), plan.permits(1)), ("2 to 50".to_owned(), "1 to 5".to_owned()));
}

#[test]
fn a_shadow_is_for_a_fixed_limit() {
    let shadow = "shadow = { adaptive = \"knee\", min = 1, max = 500 }\n";
    let plan = given(&format!("[routes.a]\nlimit = 20\n{shadow}")).settings().plan;
    assert!(plan.adaptive_of(0).unwrap().shadow);
    assert_eq!((plan.limits[0].limit_max, plan.permits(0)), (None, "20".to_owned()));

    let adaptive = "limit = { adaptive = \"knee\", min = 1, max = 50 }\n";
    let problems = given(&format!("[routes.a]\n{adaptive}{shadow}")).problems();
    let expected = "0:5:1 routes.a.shadow is for a fixed limit, and this one is adaptive itself (remove one of the two";
    assert!(problems[0].starts_with(expected), "{problems:#?}");
    let problems = given(&format!("[routes.a]\nlimit = \"none\"\n{shadow}")).problems();
    assert!(problems[0].contains("routes.a.shadow says nothing beside limit = \"none\""), "{problems:#?}");
}

#[test]
fn the_shadow_of_the_defaults_is_for_limits_that_are_fixed() {
    let plan = given(
        "[defaults]\nshadow = { adaptive = \"knee\", min = 1, max = 9 }\n[routes.a]\nlimit = 20\n\
         [routes.b]\npath = \"/b\"\nlimit = { adaptive = \"knee\", min = 1, max = 50 }\n",
    )
    .settings()
    .plan;
    let shadows: Vec<_> = (0..2).map(|limit| plan.adaptive_of(limit).map(|adaptive| adaptive.shadow)).collect();
    assert_eq!(shadows, [Some(true), Some(false)]);
}

#[test]
fn variables_change_a_bound() {
    let routes = "[routes.a]\nlimit = { adaptive = \"knee\", min = 1, max = 50 }\n";
    let plan = given(routes).variable("SLUICEGATE__ROUTES__A__LIMIT__MAX", "30").settings().plan;
    assert_eq!(plan.permits(0), "1 to 30");
}
