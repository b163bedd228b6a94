//! `explain`: which route takes a request, and what it meets there.

use std::fmt::Write;
use std::net::IpAddr;

use clap::Args;
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use super::{Ending, count, misused, print, print_error, print_warnings};
use crate::admission::{self, AdaptiveSettings, Claim, Keyed, Order};
use crate::config::{self, Flags, Loaded, Settings, Sources};
use crate::duration::show;
use crate::proxy::{Client, Cost, Explanation, Plan, Preflight, RouteSettings, Taken, Upgrade, WhyNot};
use crate::route::PathPattern;
use crate::upstream::OnClientGone;

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// The request's method.
    #[arg(value_name = "METHOD")]
    method: String,

    /// The request's URL, or only its path.
    #[arg(value_name = "URL")]
    url: String,

    /// A field of the request's head; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// The address of the client, or of the proxy in front.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from: IpAddr,

    /// Configuration file; may be given several times, later files win.
    #[arg(short, long = "config", value_name = "FILE")]
    config: Vec<std::path::PathBuf>,
}

/// Explains a request by the configuration. No route is an ending of its own.
pub(super) fn explain(arguments: ExplainArguments) -> Ending {
    let request = match request(&arguments.method, &arguments.url, &arguments.headers) {
        Ok(request) => request,
        Err(mistake) => {
            print_error(format_args!("error: {mistake}"));
            return Ending::Misused;
        }
    };
    let sources = Sources::try_from_process(arguments.config, Flags::default());
    let Loaded { settings, warnings, .. } = match sources.and_then(|sources| config::load(&sources)) {
        Ok(loaded) => loaded,
        Err(error) => return misused(&error),
    };
    print_warnings(&warnings);
    // Loading has looked for conflicts already.
    let Some((route, text)) = answer(&settings, arguments.from, &request) else { return Ending::Misused };
    let ending = if route.is_some() { Ending::Done } else { Ending::NoRoute };
    match print(&text) {
        Ok(()) => ending,
        Err(_) => Ending::Failed,
    }
}

/// The route that takes a request, if one does, and why. `None` where routes conflict.
pub(super) fn answer(settings: &Settings, from: IpAddr, request: &Request<()>) -> Option<(Option<String>, String)> {
    let client = Client::new(from, &settings.server.trusted_proxies);
    let explanation = settings.plan.explain(&client, request).ok()?;
    let route = explanation.taken.as_ref().map(|taken| taken.route.name.clone());
    Some((route, text(&explanation, settings, request)))
}

/// A request that is only asked about.
pub(super) fn request(method: &str, url: &str, headers: &[String]) -> Result<Request<()>, String> {
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| format!("METHOD must be a method such as GET, not {method:?}"))?;
    let wrong_url = || format!("URL must be like http://api.example.com/v1/x or /v1/x, not {url:?}");
    let uri: Uri = url.parse().map_err(|_| wrong_url())?;
    if uri.scheme().is_none() && !url.starts_with('/') {
        return Err(wrong_url());
    }
    let mut request = Request::builder().method(method).uri(uri).body(()).map_err(|_| wrong_url())?;
    for field in headers {
        let wrong = || format!("-H must be like 'x-tenant: acme', not {field:?}");
        let (name, value) = field.split_once(':').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let value: HeaderValue = value.trim().parse().map_err(|_| wrong())?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

fn text(explanation: &Explanation<'_>, settings: &Settings, request: &Request<()>) -> String {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    let mut line = |name: &str, value: String| text += &format!("{name:<12}{value}\n");
    let Some(taken) = &explanation.taken else {
        line("route", "none: 404 no_route".to_owned());
        for (route, why) in explanation.candidates.iter().take(SHOWN) {
            line("", format!("not {}: {}", route.name, why_not(route, why.as_ref())));
        }
        for reason in near(explanation) {
            line("", reason);
        }
        if explanation.candidates.is_empty() && explanation.near.is_empty() {
            line("", "no route has this host and path; there are:".to_owned());
            for route in settings.plan.routes.iter().take(SHOWN) {
                line("", described(route));
            }
        }
        return text;
    };
    line("route", described(taken.route));
    for reason in others(explanation, taken.route).into_iter().chain(near(explanation)) {
        line("", reason);
    }
    let upstream = &settings.plan.upstreams[taken.route.upstream];
    line("upstream", format!("{}, {}", upstream.name, upstream.url()));
    limits(taken, &settings.plan, &mut line);
    claim(taken, settings, request, &mut line);
    let duration = |duration: Option<_>| duration.map_or_else(|| "none".to_owned(), show);
    let handling = &taken.route.handling;
    line(
        "timeouts",
        format!(
            "connect {}, response head {}, silence {}, whole exchange {}",
            show(upstream.connect_timeout),
            show(upstream.response_timeout),
            show(upstream.read_idle_timeout),
            duration(handling.timeout.into_iter().chain(handling.max_duration).min()),
        ),
    );
    line("client gone", client_gone(taken.route));
    match taken.route.upgrade {
        Upgrade::Count => {}
        Upgrade::Deny => line("upgrades", "refused: 403 upgrade_denied".to_owned()),
        Upgrade::Separate(places) => line("upgrades", format!("{places} places of their own")),
    }
    text
}

/// So many routes are shown of those that do not take a request.
const SHOWN: usize = 5;

/// A route's name and conditions.
fn described(route: &RouteSettings) -> String {
    let conditions = &route.conditions;
    let any = || "any".to_owned();
    let host = conditions.host.as_ref().map_or_else(any, ToString::to_string);
    let path = conditions.path.as_ref().map_or_else(any, ToString::to_string);
    let mut text = format!("{} (host {host}, path {path}", route.name);
    if !conditions.methods.is_empty() {
        let _ = write!(text, ", method {}", methods(route));
    }
    for (name, _) in &conditions.headers {
        let _ = write!(text, ", header {name}");
    }
    text + ")"
}

fn methods(route: &RouteSettings) -> String {
    route.conditions.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(" or ")
}

/// Why not one of those that would have come first, and why not the next one.
fn others(explanation: &Explanation<'_>, taken: &RouteSettings) -> Vec<String> {
    let mut stronger = Vec::new();
    let mut candidates = explanation.candidates.iter();
    for (route, why) in candidates.by_ref().take_while(|(route, _)| route.name != taken.name) {
        stronger.push(format!("not {}, which would come first: {}", route.name, why_not(route, why.as_ref())));
    }
    stronger.truncate(SHOWN);
    let next = candidates.find(|(_, why)| why.is_none()).map(|(route, _)| {
        let (ours, theirs) = (&taken.conditions, &route.conditions);
        let why = if ours.host != theirs.host {
            "its host is less specific"
        } else if ours.path != theirs.path {
            "its path is less specific"
        } else {
            "it has fewer conditions"
        };
        format!("not {}, which matches as well: {why}", described(route))
    });
    stronger.into_iter().chain(next).collect()
}

/// Why not those that say a path without what is below it.
fn near(explanation: &Explanation<'_>) -> impl Iterator<Item = String> {
    let said = |(route, wider): &(&RouteSettings, PathPattern)| {
        let path = route.conditions.path.as_ref().map_or_else(String::new, ToString::to_string);
        format!("not {}: that is {path} alone; what is below it would be {wider}", described(route))
    };
    explanation.near.iter().take(SHOWN).map(said)
}

fn why_not(route: &RouteSettings, why: Option<&WhyNot>) -> String {
    match why {
        None => "it takes it".to_owned(),
        Some(WhyNot::Method) => format!("its method is {}", methods(route)),
        Some(WhyNot::Header(name, None)) => format!("the header {name} is not there"),
        Some(WhyNot::Header(name, Some(value))) => format!("the header {name} is not {value:?}"),
    }
}

fn limits(taken: &Taken<'_>, plan: &Plan, line: &mut impl FnMut(&str, String)) {
    if taken.limits.is_empty() {
        let why = match taken.preflight {
            Some(Preflight::Exempt) => "none: a CORS preflight takes no permit here",
            _ => "none: it takes no permit",
        };
        return line("limits", why.to_owned());
    }
    for (at, (limit, key)) in taken.limits.iter().enumerate() {
        let order = match limit.order {
            Order::Fifo => "first come, first served",
            Order::Lifo => "newest first",
            Order::AdaptiveLifo => "newest first when the queue stands",
        };
        let key = match key {
            None => String::new(),
            Some(Keyed::Own(key)) => format!(", key {key}"),
            Some(Keyed::Shared) => ", the key shared by those without one of their own".to_owned(),
            Some(Keyed::Refused) => ", no key that it takes: 429 key_limit".to_owned(),
        };
        let dry_run = if limit.dry_run { ", only counted (dry_run)" } else { "" };
        let index = plan.limits.iter().position(|other| other.name == limit.name).unwrap_or_default();
        let (permits, adaptive) = (plan.permits(index), plan.adaptive_of(index));
        let queue = match adaptive {
            Some(AdaptiveSettings { queue_follows: true, .. }) => "four for each".to_owned(),
            _ => limit.queue.to_string(),
        };
        let adaptive = match adaptive {
            None => String::new(),
            Some(AdaptiveSettings { shadow: false, .. }) => {
                format!(" (it finds the number itself, beginning at {})", limit.limit)
            }
            Some(AdaptiveSettings { min, max, .. }) => format!(" (with a shadow from {min} to {max})"),
        };
        let word = if permits == "1" { "permit" } else { "permits" };
        let text =
            format!("{}. {}: {permits} {word}{adaptive}, queue {queue}, {order}{key}{dry_run}", at + 1, limit.name);
        line(if at == 0 { "limits" } else { "" }, text);
    }
    // One budget for all of them.
    let wait = taken.limits.iter().map(|(limit, _)| limit.queue_timeout).min();
    line("wait", format!("at most {}", wait.map_or_else(String::new, show)));
}

fn claim(taken: &Taken<'_>, settings: &Settings, request: &Request<()>, line: &mut impl FnMut(&str, String)) {
    match &taken.claim {
        Ok(claim) => {
            line("priority", claim.level.as_str().to_owned());
            let permits = count(claim.seats as usize, "permit");
            let unheard = match &taken.route.claim.cost {
                Cost::Header(name) if request.headers().contains_key(name) && !claim.seats_from_client => {
                    format!("; {name} is not believed of this peer (trust_headers, server.trusted_proxies)")
                }
                _ => String::new(),
            };
            line("cost", format!("{permits} of each limit{unheard}"));
            if let Some(limit) = too_small(taken, settings, claim) {
                let most = count(limit.limit.get() as usize, "permit");
                line("rejected", format!("400 cost: {} has {most}, and never more", limit.name));
            }
            if let Some(deadline) = claim.deadline {
                let left = deadline.saturating_duration_since(std::time::Instant::now());
                // The clock has gone on since it was read.
                line(
                    "deadline",
                    format!("in about {}", show(std::time::Duration::from_secs(left.as_secs_f64().round() as u64))),
                );
            }
        }
        Err(reason) => line("rejected", format!("before it asks for a permit: {}", reason.as_str())),
    }
}

/// The first limit that can never give as much as a client asks for. One that changes by itself gives all that it has.
fn too_small<'a>(taken: &'a Taken<'_>, settings: &Settings, claim: &Claim) -> Option<&'a admission::Settings> {
    let plan = &settings.plan;
    let is_measured = |name: &str| plan.measured.iter().any(|measured| plan.limits[measured.limit].name == name);
    let mut limits = taken.limits.iter().map(|(limit, _)| *limit).filter(|_| claim.seats_from_client);
    limits.find(|limit| claim.seats > limit.limit.get() && !limit.dry_run && !is_measured(&limit.name))
}

fn client_gone(route: &RouteSettings) -> String {
    match route.ending.on_client_gone {
        OnClientGone::Abort => format!("abort, and a reset after {}", show(route.ending.abort_grace)),
        OnClientGone::Reset => "reset".to_owned(),
        OnClientGone::Finish => "finish".to_owned(),
    }
}
