//! Who may see and change what is not for everyone.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::support::admin::{ask, command};
use crate::support::sluicegate::write_config;
use crate::support::{Sluicegate, Upstream, soon, until};

#[tokio::test]
async fn a_foreign_host_or_origin_is_refused_and_changes_nothing() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).admin().in_front_of(&upstream).await;
    let address = gate.admin_address();
    let own = format!("Host: {address}");
    let rebound = format!("Host: evil.example:{}", address.port());
    let patch = r#"{"limit":8}"#;
    for fields in [
        &[rebound.as_str()][..],
        &["Host: evil.example"],
        &[&own, "Origin: http://evil.example"],
        &[&own, "Origin: null"],
        &[&own, &rebound],
    ] {
        for (start, body) in [
            ("GET /api/v1/status", ""),
            ("PATCH /api/v1/limits/default", patch),
            ("DELETE /api/v1/limits/default", ""),
            ("POST /api/v1/drain", ""),
            ("GET /", ""),
        ] {
            // Two hosts are refused by whoever sees them first.
            let status = ask(address, start, fields, body).await.status;
            assert!(matches!(status, 400 | 403), "{start} {fields:?}: {status}");
        }
        for path in ["/livez", "/readyz", "/healthz", "/metrics"] {
            let status = ask(address, &format!("GET {path}"), fields, "").await.status;
            assert!(matches!(status, 200 | 400), "{path} {fields:?}: {status}");
        }
    }
    assert_eq!(gate.limit_status().await["limit"], 3);
    assert_eq!(ask(address, "GET /api/v1/status", &[&rebound], "").await.status, 403);
    let own_origin = format!("Origin: http://{address}");
    let localhost = format!("Host: localhost:{}", address.port());
    assert_eq!(ask(address, "PATCH /api/v1/limits/default", &[&own, &own_origin], patch).await.status, 200);
    assert_eq!(ask(address, "GET /api/v1/status", &[&localhost], "").await.status, 200);
}

#[tokio::test]
async fn from_elsewhere_it_takes_the_token() {
    let Some(here) = outward_address() else { return };
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).open_admin(Some("open-sesame")).in_front_of(&upstream).await;
    let address = SocketAddr::new(here, gate.admin_address().port());
    let host = format!("Host: {address}");
    let status = async |fields: &[&str]| ask(address, "GET /api/v1/status", fields, "").await;
    let missing = status(&[&host]).await;
    assert_eq!((missing.status, missing.head.field("www-authenticate").as_deref()), (401, Some("Bearer")));
    assert_eq!(status(&[&host, "Authorization: Bearer sesame"]).await.status, 401);
    assert_eq!(status(&[&host, "Authorization: Bearer open-sesame"]).await.status, 200);
    assert_eq!(status(&["Host: evil.example", "Authorization: Bearer open-sesame"]).await.status, 403);
    assert_eq!(ask(address, "GET /livez", &["Host: probe"], "").await.status, 200);
    // On the machine itself no token is needed, and it is in no log.
    assert_eq!(gate.limit_status().await["limit"], 3);
    assert!(!gate.log().contains("sesame"), "{}", gate.log());

    let admin = format!("http://{address}");
    let without = command(&["status"], &[("SLUICEGATE_ADMIN", &admin)]).await;
    assert_eq!(without.code, Some(1));
    assert!(without.stderr.contains("--token-file"), "{without:?}");
    let variables = [("SLUICEGATE_ADMIN", admin.as_str()), ("SLUICEGATE_ADMIN_TOKEN", "open-sesame")];
    let with = command(&["status"], &variables).await;
    assert_eq!(with.code, Some(0), "{with:?}");
}

#[tokio::test]
async fn a_new_token_in_the_file_is_in_force_without_a_reload_and_what_is_none_changes_nothing() {
    let Some(here) = outward_address() else { return };
    let upstream = Upstream::start().await;
    let file = write_config("first-token\n");
    let path = file.to_str().expect("a path in UTF-8");
    let admin = format!("\n[admin]\nlisten = \"0.0.0.0:0\"\ntoken_file = \"{path}\"\n");
    let mut gate = Sluicegate::configured(&(Sluicegate::with_limit(3).text(&upstream.url()) + &admin)).await;
    let address = SocketAddr::new(here, gate.admin_address().port());
    let (host, admin) = (format!("Host: {address}"), format!("http://{address}"));
    let status = async |token: &str| {
        let token = format!("Authorization: Bearer {token}");
        ask(address, "GET /api/v1/status", &[&host, &token], "").await.status
    };
    assert_eq!((status("first-token").await, status("second-token").await), (200, 401));
    // As an editor leaves it for a moment.
    std::fs::write(&file, "").expect("the file can be written");
    soon("word of the mistake", gate.said("files have changed and cannot be used")).await;
    assert_eq!(status("first-token").await, 200);
    std::fs::write(&file, "second-token\n").expect("the file can be written");
    until("the new token", async || status("second-token").await == 200).await;
    assert_eq!(status("first-token").await, 401);
    let with = command(&["status", "--admin", &admin, "--token-file", path], &[]).await;
    assert_eq!(with.code, Some(0), "{with:?}");
    assert!(gate.metrics().await["sluicegate_file_reload_errors_total"] >= 1.0);
    assert!(!gate.log().contains("-token"), "{}", gate.log());
    let _ = std::fs::remove_file(file);
}

#[tokio::test]
async fn from_elsewhere_without_a_configured_token_it_is_403() {
    let Some(here) = outward_address() else { return };
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).open_admin(None).in_front_of(&upstream).await;
    let address = SocketAddr::new(here, gate.admin_address().port());
    let host = format!("Host: {address}");
    for fields in [&[host.as_str()][..], &[&host, "Authorization: Bearer x"]] {
        assert_eq!(ask(address, "GET /api/v1/status", fields, "").await.status, 403);
        assert_eq!(ask(address, "POST /api/v1/drain", fields, "").await.status, 403);
    }
    assert_eq!(ask(address, "GET /metrics", &[&host], "").await.status, 200);
}

/// An address of this machine under which its peers are not on loopback.
pub(super) fn outward_address() -> Option<IpAddr> {
    // Connecting a datagram socket sends nothing; it only asks for the way.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    let address = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()).ok().map(|address| address.ip());
    let address = address.filter(|address| !address.is_loopback() && !address.is_unspecified());
    if address.is_none() {
        use std::io::Write;
        let _ = writeln!(std::io::stderr().lock(), "SKIPPED: this machine has only loopback addresses");
    }
    address
}
