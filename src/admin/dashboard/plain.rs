//! The numbers of one moment as tables, for those who run no scripts.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::admin::adaptive::AdaptiveState;
use crate::admin::board::{LimitView, Snapshot};
use crate::admin::context::Context;
use crate::admission::LIMIT_MAX;
use crate::duration;

/// A text in which nothing is markup.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}

/// One line about the whole.
pub(super) fn overall(context: &Context) -> String {
    let Snapshot { overall, .. } = context.board.snapshot(context);
    let up = duration::show(Duration::from_secs(overall.uptime_seconds as u64));
    let draining = if overall.draining { " · draining" } else { "" };
    format!("{} · up {up} · {} connections{draining}", overall.version, overall.connections)
}

/// Limits, upstreams and rejections.
pub(super) fn tables(context: &Context) -> String {
    let snapshot = context.board.snapshot(context);
    let mut html = String::new();
    write(&mut html, &snapshot).expect("a string takes everything");
    html
}

fn write(html: &mut String, snapshot: &Snapshot) -> fmt::Result {
    table(html, "Limits", &LIMITS, &snapshot.limits, row)?;
    let endpoints: Vec<_> = snapshot
        .upstreams
        .iter()
        .flat_map(|upstream| upstream.endpoints.iter().map(move |endpoint| (upstream, endpoint)))
        .collect();
    table(html, "Upstreams", &UPSTREAMS, &endpoints, |html, (upstream, endpoint)| {
        let (name, address) = (Escaped(&upstream.name), Escaped(&endpoint.endpoint));
        write!(html, "<td>{name}<td>{address}<td>{}", endpoint.state)?;
        if let Some(left) = endpoint.paused_for_seconds.filter(|_| endpoint.state == "paused") {
            write!(html, " for {} s", left.ceil())?;
        }
        write!(html, "<td>{}", endpoint.in_flight)?;
        match endpoint.latency_ms {
            Some(latency) => write!(html, "<td>{latency:.1}<td>{}", endpoint.errors),
            None => write!(html, "<td><td>{}", endpoint.errors),
        }
    })?;
    table(html, "Recent rejections", &REJECTIONS, &snapshot.rejections, |html, rejection| {
        let (route, why, id) = (Escaped(&rejection.route), Escaped(&rejection.why), Escaped(&rejection.request_id));
        write!(html, "<td>{}<td>{}<td>{route}<td class=why>{why}<td class=id>{id}", rejection.at, rejection.reason)
    })
}

/// What has no value is an empty cell, which the style fills or leaves out. On a phone, where each row is a block, the
/// style also has the names. End tags that HTML does not need are left out.
fn table<T>(
    html: &mut String,
    title: &str,
    names: &[&str],
    items: &[T],
    row: impl Fn(&mut String, &T) -> fmt::Result,
) -> fmt::Result {
    write!(html, "<h2>{title}</h2>")?;
    if items.is_empty() {
        return html.write_str("<p class=empty>None.</p>");
    }
    let class = title.split(' ').next_back().unwrap_or_default().to_ascii_lowercase();
    write!(html, "<div class=scroll><table class={class}><thead><tr>")?;
    names.iter().try_for_each(|name| write!(html, "<th>{name}"))?;
    html.write_str("</thead><tbody>")?;
    for item in items {
        html.write_str("<tr>")?;
        row(html, item)?;
    }
    html.write_str("</tbody></table></div>")
}

fn row(html: &mut String, LimitView { status, pace, .. }: &LimitView) -> fmt::Result {
    write!(html, "<td>{}<td>{}", Escaped(&status.name), status.in_flight)?;
    match status.limit {
        LIMIT_MAX => html.write_str(", no limit")?,
        limit => write!(html, " of {limit}")?,
    }
    write!(html, "<td>{} of {}", status.queue_length, status.queue)?;
    write!(html, "<td>{}<td>{}", seconds(status.oldest_seconds), seconds(pace.last_minute.wait_p95_seconds))?;
    write!(html, "<td>{:.1}<td>{:.1}", pace.admitted_per_second, pace.rejected_per_second)?;
    html.write_str("<td>")?;
    if let Some(over) = &status.r#override {
        let until = over.until.as_deref().unwrap_or("it is taken back");
        write!(html, "{}, until {until}, by {}", Escaped(&over.to_string()), Escaped(&over.by))?;
    }
    html.write_str("<td>")?;
    if status.dry_run {
        let (queued, rejected) = (status.dry_run_queued, status.dry_run_rejected);
        write!(html, "<p>Dry run, nothing is held back: {queued} would have waited, {rejected} been rejected.")?;
    }
    match &status.adaptive {
        None => Ok(()),
        Some(AdaptiveState { shadow, limit, min, max, reason, decided_seconds_ago, baseline_seconds }) => {
            let (what, ago) = (if *shadow { "Shadow, not enforced" } else { "Adaptive" }, decided_seconds_ago.floor());
            write!(html, "<p>{what}: {limit} of {min} to {max}, {reason} {ago} s ago")?;
            baseline_seconds.map_or(Ok(()), |few| write!(html, "; {:.1} ms where there are few", few * 1e3))?;
            html.write_char('.')
        }
    }
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map(|seconds| format!("{seconds:.3} s")).unwrap_or_default()
}

const LIMITS: [&str; 9] =
    ["Limit", "In flight", "Waiting", "Oldest waiter", "Wait p95", "Admitted / s", "Rejected / s", "Changed", "Notes"];
const UPSTREAMS: [&str; 6] = ["Name", "Endpoint", "State", "In flight", "Latency, ms", "Errors"];
const REJECTIONS: [&str; 5] = ["At", "Reason", "Route", "Why", "Request id"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_has_sent_is_no_markup() {
        assert_eq!(Escaped("<a b='c' d=\"e\">&").to_string(), "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;");
    }

    #[test]
    fn on_a_phone_the_style_has_the_names_of_the_columns() {
        let style = crate::admin::dashboard::STYLE;
        for (class, names) in [("limits", &LIMITS[..]), ("upstreams", &UPSTREAMS)] {
            // What a row is about, and texts of their own need no name.
            for (at, name) in names
                .iter()
                .enumerate()
                .filter(|(_, name)| !["Limit", "Name", "Endpoint", "State", "Notes"].contains(name))
            {
                let rule = format!("#plain .{class} td:nth-child({})::before {{ content: \"{name} \"; }}", at + 1);
                assert!(style.contains(&rule), "{rule}");
            }
        }
    }
}
