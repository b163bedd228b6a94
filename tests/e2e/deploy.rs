//! `deploy/`: what is there is understood by whom it is for, and says to sluicegate what sluicegate understands.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use crate::support::bridge::Directory;
use crate::support::tools::{has, has_compose, output_of};
use crate::support::{Sluicegate, soon};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
const SLUICEGATE: &str = env!("CARGO_BIN_EXE_sluicegate");

#[tokio::test]
async fn the_composition_is_understood_and_its_variables_are_a_configuration() {
    let Some(compose) = has_compose() else { return };
    let file = format!("{DEPLOY}/compose/compose.yaml");
    let (program, first) = compose.split_first().expect("a program");
    let arguments = [first, &["-f", &file, "config"]].concat();
    let understood = output_of(program, &arguments).await;
    assert!(understood.contains("SLUICEGATE_UPSTREAM: http://api:3000"), "{understood}");
    let variables = understood.lines().filter_map(|line| line.trim().split_once(": "));
    check_variables(variables).await;
}

#[tokio::test]
async fn the_compositions_prometheus_finds_its_alerts() {
    if !has("promtool") {
        return;
    }
    // Beside each other, as the composition mounts them.
    let directory = Directory::new();
    for (from, name) in [("compose/prometheus.yml", "prometheus.yml"), ("prometheus/alerts.yml", "alerts.yml")] {
        std::fs::copy(format!("{DEPLOY}/{from}"), directory.file(name)).expect("a file of ours");
    }
    let checked = output_of("promtool", &["check", "config", &directory.path("prometheus.yml")]).await;
    assert!(checked.contains("is valid prometheus config file") && checked.contains("1 rule files found"), "{checked}");
}

#[tokio::test]
async fn the_compositions_load_is_answered_by_its_api_through_sluicegate() {
    if !has("python3") {
        return;
    }
    let (_api, mut api) = python(&[&format!("{DEPLOY}/compose/api.py"), "0"]);
    let line = soon("the API", api.next_line()).await.expect("text").expect("its first line");
    let port = line.strip_prefix("listening on ").expect("where it listens");
    let url = format!("http://127.0.0.1:{port}");
    let gate =
        Sluicegate::run(&["--upstream", &url, "--limit", "4", "--listen", "127.0.0.1:0", "--admin", "off"]).await;
    let (_load, mut load) = python(&[&format!("{DEPLOY}/compose/load.py"), &format!("http://{}/", gate.address)]);
    let answered = async {
        while let Some(line) = load.next_line().await.expect("text") {
            if line.contains("'200': ") {
                return;
            }
        }
        panic!("it ended without an answer");
    };
    soon("answers", answered).await;
}

#[tokio::test]
async fn kustomize_takes_the_manifests_and_sluicegate_what_they_say() {
    let file = format!("{DEPLOY}/kubernetes/base/sluicegate.toml");
    let checked = output_of(SLUICEGATE, &["check", "--strict", "-c", &file]).await;
    assert!(checked.starts_with("ok: "), "{checked}");
    if !has("kubectl") {
        return;
    }
    let base = output_of("kubectl", &["kustomize", &format!("{DEPLOY}/kubernetes/base")]).await;
    for kind in ["kind: ConfigMap", "kind: Deployment", "kind: Service"] {
        assert!(base.contains(kind), "{base}");
    }
    let sidecar = output_of("kubectl", &["kustomize", &format!("{DEPLOY}/kubernetes/sidecar")]).await;
    let lines: Vec<&str> = sidecar.lines().map(str::trim).collect();
    let variables =
        lines.windows(2).filter_map(|pair| Some((pair[0].strip_prefix("- name: ")?, pair[1].strip_prefix("value: ")?)));
    check_variables(variables).await;
}

#[tokio::test]
async fn systemd_takes_the_unit_and_finds_little_to_reproach_it_with() {
    if !has("systemd-analyze") {
        return;
    }
    let directory = Directory::new();
    let unit = std::fs::read_to_string(format!("{DEPLOY}/systemd/sluicegate.service")).expect("a file of ours");
    // A program that is not there is all that it would say otherwise.
    let unit = unit.replace("/usr/local/bin/sluicegate", SLUICEGATE);
    let path = directory.path("sluicegate.service");
    std::fs::write(&path, unit).expect("a directory of ours");
    let verified = output_of("systemd-analyze", &["verify", &path]).await;
    let about_it: Vec<&str> = verified.lines().filter(|line| line.contains("sluicegate.service")).collect();
    assert!(about_it.is_empty(), "{verified}");

    let judged = output_of("systemd-analyze", &["security", "--offline=true", "--no-pager", &path]).await;
    let exposure = judged.split("sluicegate.service: ").nth(1).and_then(|rest| rest.split(' ').next());
    let exposure: f64 = exposure.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{judged}"));
    assert!(exposure <= 2.0, "{judged}");
}

/// Whether those of them that are for sluicegate are a whole configuration.
async fn check_variables<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) {
    let variables: Vec<_> = variables.filter(|(name, _)| name.starts_with("SLUICEGATE_")).collect();
    assert!(variables.iter().any(|(name, _)| *name == "SLUICEGATE_LIMIT"), "{variables:?}");
    let variables = variables.into_iter().map(|(name, value)| (name, value.trim_matches(['"', '\''])));
    let mut command = Command::new(SLUICEGATE);
    command.args(["check", "--strict"]).env_clear().envs(variables);
    let output = soon("the check", command.output()).await.expect("our binary");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A Python program of ours, with what it says. It ends with the first of them.
fn python(arguments: &[&str]) -> (tokio::process::Child, Lines<BufReader<ChildStdout>>) {
    let mut command = Command::new("python3");
    command.arg("-u").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("python3 is there");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines)
}
