//! Which layer wins.

use std::time::Duration;

use super::*;

#[test]
fn an_upstream_and_a_limit_are_enough() {
    let Settings { server, plan, admin, log_level, access_log, log_format, log_lines, tracing } =
        Given::minimal().settings();
    assert_eq!(server.listen, [tcp("0.0.0.0:8080")]);
    assert_eq!((log_level, access_log, log_format), (None, AccessLog::Stdout, LogFormat::Auto));
    assert_eq!((log_lines, tracing), (crate::access_log::Lines::default(), None));
    assert_eq!((admin.listen, admin.token.is_none()), (Some(admin_tcp("127.0.0.1:9901")), true));
    assert_eq!(plan.upstreams[0].endpoints[0].to_string(), "127.0.0.1:3000");
    let [route] = &plan.routes[..] else { panic!("{plan:?}") };
    assert_eq!(route.name, "default");
    assert_eq!(route.limits, [0]);
    assert_eq!(plan.limits, [crate::admission::Settings::new("default", 20.try_into().unwrap())]);
}

#[test]
fn short_variables_do_as_well_as_flags() {
    let given = Given::default()
        .variable("SLUICEGATE_UPSTREAM", "http://api")
        .variable("SLUICEGATE_LIMIT", "7")
        .variable("SLUICEGATE_QUEUE", "9")
        .variable("SLUICEGATE_QUEUE_TIMEOUT", "4s")
        .variable("SLUICEGATE_LISTEN", "127.0.0.1:1, 127.0.0.1:2")
        .variable("SLUICEGATE_ADMIN", "127.0.0.1:3")
        .variable("SLUICEGATE_LOG", "debug");
    let Settings { server, plan, admin, log_level, .. } = given.settings();
    assert_eq!(server.listen, ["127.0.0.1:1", "127.0.0.1:2"].map(tcp));
    let limit = &plan.limits[0];
    assert_eq!((limit.limit.get(), limit.queue, limit.queue_timeout), (7, 9, Duration::from_secs(4)));
    assert_eq!(admin.listen, Some(admin_tcp("127.0.0.1:3")));
    assert_eq!(log_level.as_deref(), Some("debug"));
}

#[test]
fn a_dry_run_is_of_all_limits_and_is_asked_for_by_the_flag_or_its_variable() {
    let file = "[upstreams.a]\nurl = \"http://a\"\nslots = 2\n[limits.db]\nlimit = 3\ndry_run = false\n\
                [routes.a]\nlimit = 1\ndry_run = false\nlimits = [\"db\"]\n";
    let runs_dry = |given: Given| {
        let plan = given.settings().plan;
        assert_eq!(plan.limits.len(), 3);
        plan.limits.iter().map(|limit| limit.dry_run).collect::<Vec<_>>()
    };
    let given = || Given::default().file(file);
    assert_eq!(runs_dry(given()), [false; 3]);
    assert_eq!(runs_dry(given().variable("SLUICEGATE_DRY_RUN", "true")), [true; 3]);
    assert_eq!(runs_dry(given().variable("SLUICEGATE_DRY_RUN", "false")), [false; 3]);
    let mut with_flag = given();
    with_flag.sources.flags.dry_run = true;
    assert_eq!(runs_dry(with_flag), [true; 3]);
    let shown = given().variable("SLUICEGATE_DRY_RUN", "true").loaded().show(true);
    let line = "dry_run = true  # environment variable SLUICEGATE_DRY_RUN";
    assert_eq!(shown.lines().filter(|shown| *shown == line).count(), 2, "{shown}");
}

#[test]
fn a_header_is_named_in_a_variable_with_underscores_for_its_hyphens() {
    let given = Given::minimal()
        .variable("SLUICEGATE__ROUTES__DEFAULT__SET_HEADERS__X_ONE", "1")
        .variable("SLUICEGATE__DEFAULTS__SET_RESPONSE_HEADERS__X_TWO", "2")
        .variable("SLUICEGATE__UPSTREAMS__DEFAULT__SET_HEADERS__X_THREE", "3");
    let shown = given.loaded().show(false);
    for name in ["x-one", "x-two", "x-three"] {
        assert!(shown.contains(&format!("{{ {name} = ")), "{name} in {shown}");
    }
}

#[test]
fn the_files_that_are_read_are_known() {
    let files = |variables: &[(&str, &str)], flag: Option<&str>| {
        let environment = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let flags = Flags { upstream: Some("http://a".into()), ..Flags::default() };
        super::files(&Sources { files: flag.map(PathBuf::from).into_iter().collect(), environment, flags })
    };
    assert_eq!(files(&[("SLUICEGATE_CONFIG", "a.toml, b.toml")], None), ["a.toml", "b.toml"].map(PathBuf::from));
    assert_eq!(files(&[("SLUICEGATE_CONFIG", "a.toml")], Some("c.toml")), [PathBuf::from("c.toml")]);
    assert!(files(&[], None).is_empty());
}

#[test]
fn each_layer_wins_over_the_one_before() {
    fn limit(given: &Given) -> u32 {
        given.limit().limit.get()
    }
    const UPSTREAM: &str = "[upstreams.default]\nurl = \"http://a\"\n[routes.default]\n";
    let mut given = Given::default().file(UPSTREAM).file("[defaults]\nlimit = 1\n");
    assert_eq!(limit(&given), 1);
    given = given.file("[routes.default]\nlimit = 2\n");
    assert_eq!(limit(&given), 2);
    given = given.file("[routes.default]\nlimit = 3\n");
    assert_eq!(limit(&given), 3);
    given = given.variable("SLUICEGATE__DEFAULTS__LIMIT", "99");
    assert_eq!(limit(&given), 3, "a default stays a default wherever it comes from");
    given = given.variable("SLUICEGATE__ROUTES__DEFAULT__LIMIT", "4");
    assert_eq!(limit(&given), 4);
    given = given.variable("SLUICEGATE_LIMIT", "5");
    assert_eq!(limit(&given), 5);
    given = given.flag_limit("6");
    assert_eq!(limit(&given), 6);
}

#[test]
fn the_default_file_is_read_if_nothing_else_was_asked_for() {
    const FILE: &str = "[upstreams.api]\nurl = \"http://a\"\n[routes.api]\nlimit = 1\n";
    assert_eq!(Given::default().default_file(FILE).settings().plan.routes[0].name, "api");
    let with_listen = Given::default().default_file(FILE).variable("SLUICEGATE_LISTEN", "127.0.0.1:1");
    assert_eq!(with_listen.settings().plan.routes[0].name, "api");
    assert_eq!(Given::minimal().default_file(FILE).settings().plan.routes[0].name, "default");
    let by_variables = Given::default().variable("SLUICEGATE_UPSTREAM", "http://b").variable("SLUICEGATE_LIMIT", "1");
    assert_eq!(by_variables.default_file(FILE).settings().plan.routes[0].name, "default");
    let other = FILE.replace("api", "other");
    assert_eq!(Given::default().default_file(FILE).file(&other).settings().plan.routes[0].name, "other");
}

#[test]
fn files_can_be_named_by_a_variable_unless_flags_name_some() {
    let mut given = Given::default();
    let first = given.write("[upstreams.a]\nurl = \"http://a\"\n[routes.a]\nlimit = 1\n");
    let second = given.write("[routes.a]\nlimit = 2\n");
    let given = given.variable("SLUICEGATE_CONFIG", &format!("{},{}", first.display(), second.display()));
    assert_eq!(given.limit().limit.get(), 2);
    let given = given.file("[upstreams.b]\nurl = \"http://b\"\n[routes.b]\nlimit = 3\n");
    assert_eq!(given.settings().plan.routes[0].name, "b");
}

#[test]
fn flags_stand_over_the_default_tables_of_a_file() {
    let file = "[upstreams.default]\nurl = \"http://a\"\nretries = 3\n[routes.default]\nlimit = 1\nqueue = 2\n";
    let plan = Given::minimal().file(file).settings().plan;
    assert_eq!((plan.upstreams[0].endpoints[0].to_string().as_str(), plan.upstreams[0].retries), ("127.0.0.1:3000", 3));
    let limit = &plan.limits[0];
    assert_eq!((limit.limit.get(), limit.queue), (20, 2));
}

#[test]
fn an_upstream_by_flag_takes_its_limit_from_the_defaults() {
    let given = Given::default().flag_upstream("http://a").file("[defaults]\nlimit = 8\n");
    assert_eq!(given.limit().limit.get(), 8);
}

#[test]
fn the_place_of_a_value_is_that_of_the_variable_that_it_came_from() {
    let file = "[upstreams.a]\nurl = \"http://a\"\n[routes.a]\nlimit = 1\nqueue = 10\n";
    let given = Given::default().file(file).variable("SLUICEGATE__ROUTES__A__QUEUE", "51");
    let warnings = given.warnings();
    assert!(warnings[0].starts_with("environment variable SLUICEGATE__ROUTES__A__QUEUE "), "{warnings:?}");
}

#[test]
fn variables_of_kubernetes_are_passed_over_in_silence() {
    let given = Given::minimal()
        .variable("SLUICEGATE_SERVICE_HOST", "10.0.0.1")
        .variable("SLUICEGATE_SERVICE_PORT", "80")
        .variable("SLUICEGATE_SERVICE_PORT_HTTP", "80")
        .variable("SLUICEGATE_PORT", "tcp://10.0.0.1:80")
        .variable("SLUICEGATE_PORT_80_TCP_ADDR", "10.0.0.1");
    assert_eq!(given.warnings(), Vec::<String>::new());
}

fn tcp(address: &str) -> crate::server::Listen {
    crate::server::Listen::Tcp(address.parse().unwrap())
}

fn admin_tcp(address: &str) -> crate::admin::Listen {
    crate::admin::Listen::Tcp(address.parse().unwrap())
}
