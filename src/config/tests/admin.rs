//! The admin listener and its token, which nothing shows.

use super::*;

const TOKEN: &str = "s3cret-t0ken";

#[test]
fn the_flag_wins_over_the_variable_and_that_over_files() {
    let listen = |given: &Given| given.settings().admin.listen.map(|address| address.to_string());
    let mut given = Given::minimal().file("[admin]\nlisten = \"127.0.0.1:1\"\n");
    assert_eq!(listen(&given).as_deref(), Some("127.0.0.1:1"));
    given = given.variable("SLUICEGATE__ADMIN__LISTEN", "127.0.0.1:2");
    assert_eq!(listen(&given).as_deref(), Some("127.0.0.1:2"));
    given = given.variable("SLUICEGATE_ADMIN", "127.0.0.1:3");
    assert_eq!(listen(&given).as_deref(), Some("127.0.0.1:3"));
    given = given.flag_admin("off");
    assert_eq!(listen(&given), None);
}

#[test]
fn a_token_comes_from_a_file_without_its_last_newline() {
    for end in ["", "\n", "\r\n"] {
        let mut given = Given::minimal();
        let path = given.write(&format!("{TOKEN}{end}"));
        let given = given.file(&format!("[admin]\ntoken_file = \"{}\"\n", path.display()));
        assert!(given.settings().admin.token.unwrap().token().matches(TOKEN.as_bytes()), "{end:?}");
    }
}

#[test]
fn a_token_comes_from_a_variable() {
    let given = Given::minimal().variable("SLUICEGATE__ADMIN__TOKEN", TOKEN);
    assert!(given.settings().admin.token.unwrap().token().matches(TOKEN.as_bytes()));
}

#[test]
fn there_is_a_dashboard_unless_there_is_to_be_none() {
    assert!(Given::minimal().settings().admin.dashboard);
    assert!(!Given::minimal().file("[admin]\ndashboard = false\n").settings().admin.dashboard);
    assert!(!Given::minimal().variable("SLUICEGATE__ADMIN__DASHBOARD", "false").settings().admin.dashboard);
}

#[test]
fn a_mistake_is_reported_with_its_place_and_key() {
    for (line, expected) in [
        (
            "listen = \"localhost\"",
            r#"0:2:10 admin.listen must be an address and port such as "127.0.0.1:9901", "unix:/path", or "off" (there is no port: write "localhost:9901")"#,
        ),
        (
            "listen = \"unix:x\"",
            r#"0:2:10 admin.listen must be "unix:" and an absolute path (write "unix:/run/sluicegate/http.sock")"#,
        ),
        ("listen = false", "0:2:10 admin.listen must be an address and port"),
        ("dashboard = \"off\"", "0:2:13 admin.dashboard must be true or false"),
        ("token = \"\"", "0:2:1 admin.token is empty"),
        ("token = 5", "0:2:1 admin.token must be a text in quotes"),
        ("token = \"a b\"", "0:2:1 admin.token holds a character that no header can carry"),
        ("token_file = 5", "0:2:14 admin.token_file must be a text in quotes"),
        ("token_file = \"/nowhere/x\"", "0:2:1 admin.token_file names /nowhere/x, which cannot be read: No such file"),
        ("token_file = \"/dev/null\"", "0:2:1 admin.token_file names /dev/null, which is empty"),
        (
            "token_file = \"f\"\ntoken = \"x\"",
            "0:2:1 admin.token_file says where to find what admin.token says already",
        ),
    ] {
        let problems = Given::minimal().file(&format!("[admin]\n{line}\n")).problems();
        assert!(problems[0].starts_with(expected), "{line}\nexpected {expected}\ngot      {problems:#?}");
        assert_eq!(problems.len(), 1, "{line}: {problems:#?}");
    }
}

#[test]
fn a_token_is_in_no_message() {
    let mut given = vec![
        Given::minimal().variable("SLUICEGATE__ADMIN__TOKEN", &format!("{TOKEN} ")),
        Given::minimal().variable("SLUICEGATE__ADMIN__TOKEN", TOKEN).file("[admin]\ntoken_file = \"x\""),
        Given::minimal().variable("SLUICEGATE__ADMIN__TOKN", TOKEN),
    ];
    let files = [
        "[admin]\ntoken = \"TOKEN \"",
        "[admin]\ntoken = TOKEN",
        "[admin]\ntoken = \"TOKEN",
        "[admin]\ntoken = \"TOKEN\" x",
        "[admin]\ntoken = [\"TOKEN\"]",
        "[admin]\ntoken = \"TOKEN\"\ntoken = \"TOKEN\"",
        "[admin]\ntoken = \"\"\"\nTOKEN\\q\"\"\"",
        "[admin]\ntoken = \"TOKEN\"\ntoken_file = \"x\"",
        "admin = { token = \"TOKEN\", listn = 1 }",
        "admin.token = \"TOKEN\"\nadmin.listen = 5",
    ];
    given.extend(files.map(|text| Given::minimal().file(&text.replace("TOKEN", TOKEN))));
    for given in given {
        let error = given.load().unwrap_err();
        assert!(!format!("{error}{error:?}").contains(TOKEN), "{error}");
    }
    let settings = Given::minimal().variable("SLUICEGATE__ADMIN__TOKEN", TOKEN).settings();
    assert!(!format!("{settings:?}").contains(TOKEN));
}
