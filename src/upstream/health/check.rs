//! One check.

use std::io;

use ::http::uri::{Authority, Scheme};
use ::http::{HeaderValue, Request, StatusCode, Uri};
use tokio::time::timeout;

use super::{Health, Probe, grpc, http};
use crate::upstream::connect::dial;
use crate::upstream::error::BoxError;
use crate::upstream::settings::{HostHeader, Protocol, Settings};
use crate::upstream::site::Site;

/// What is wrong with an endpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ill {
    #[error("it cannot be reached: {0}")]
    Connect(#[source] io::Error),
    #[error("its answer did not come in time")]
    TooSlow,
    #[error("it does not answer as it should: {0}")]
    Broken(#[source] BoxError),
    #[error("its answer is {0}")]
    Status(StatusCode),
    #[error("it says that it does not serve")]
    NotServing,
}

/// Asks an endpoint once, on a connection of its own.
pub(super) async fn check(settings: &Settings, health: &Health, site: &Site) -> Result<(), Ill> {
    timeout(health.timeout, ask(settings, &health.probe, site)).await.unwrap_or(Err(Ill::TooSlow))
}

async fn ask(settings: &Settings, probe: &Probe, site: &Site) -> Result<(), Ill> {
    let socket = dial(settings, site, settings.protocol != Protocol::Http1).await.map_err(Ill::Connect)?;
    let h2 = settings.protocol == Protocol::H2c || socket.is_h2();
    match probe {
        Probe::Tcp => {
            socket.close_for_writing();
            Ok(())
        }
        Probe::Http { path, expect } => {
            let request = request(settings, site, path.as_str());
            let status =
                if h2 { http::over_http2(socket, request).await } else { http::over_http1(socket, request).await };
            let status = status.map_err(Ill::Broken)?;
            if expect.iter().any(|good| good.contains(&status.as_u16())) { Ok(()) } else { Err(Ill::Status(status)) }
        }
        Probe::Grpc { .. } if !h2 => Err(Ill::Broken("it does not speak HTTP/2".into())),
        Probe::Grpc { service } => grpc::ask(socket, request(settings, site, grpc::PATH), service).await,
    }
}

/// A GET for this target, which names the scheme and the host.
fn request(settings: &Settings, site: &Site, path: &str) -> Request<()> {
    let host = match &settings.host {
        HostHeader::Fixed(host) => host.clone(),
        HostHeader::Preserve | HostHeader::Upstream => site.endpoint.authority(settings.protocol),
    };
    let scheme = if settings.protocol == Protocol::Tls { Scheme::HTTPS } else { Scheme::HTTP };
    // A fixed host may be none that a target can name.
    let authority = Authority::try_from(host.as_bytes()).unwrap_or_else(|_| Authority::from_static("localhost"));
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    let mut request = Request::new(());
    *request.uri_mut() = uri.expect("a checked target of a checked host");
    request.headers_mut().insert(::http::header::USER_AGENT, AGENT);
    request
}

const AGENT: HeaderValue = HeaderValue::from_static(concat!("sluicegate-health/", env!("CARGO_PKG_VERSION")));
