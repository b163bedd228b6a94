//! The numbers of one moment as tables, for those who run no scripts.

use std::fmt::{self, Write as _};
use std::time::Duration;

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
    let names =
        ["Limit", "In flight", "Waiting", "Oldest waiter", "Wait p95", "Admitted / s", "Rejected / s", "Changed"];
    table(html, "Limits", &names, &snapshot.limits, row)?;
    let endpoints: Vec<_> = snapshot
        .upstreams
        .iter()
        .flat_map(|upstream| upstream.endpoints.iter().map(move |endpoint| (upstream, endpoint)))
        .collect();
    let names = ["Name", "Endpoint", "State", "In flight", "Latency, ms", "Errors"];
    table(html, "Upstreams", &names, &endpoints, |html, (upstream, endpoint)| {
        let (name, address) = (Escaped(&upstream.name), Escaped(&endpoint.endpoint));
        write!(html, "<td>{name}<td>{address}<td>{}", endpoint.state)?;
        if let Some(left) = endpoint.paused_for_seconds.filter(|_| endpoint.state == "paused") {
            write!(html, " for {} s", left.ceil())?;
        }
        write!(html, "<td>{}", endpoint.in_flight)?;
        match endpoint.latency_ms {
            Some(latency) => write!(html, "<td>{latency:.1}<td>{}", endpoint.errors),
            None => write!(html, "<td>–<td>{}", endpoint.errors),
        }
    })?;
    let names = ["At", "Reason", "Route", "Why", "Request id"];
    table(html, "Recent rejections", &names, &snapshot.rejections, |html, rejection| {
        let (route, why, id) = (Escaped(&rejection.route), Escaped(&rejection.why), Escaped(&rejection.request_id));
        write!(html, "<td>{}<td>{}<td>{route}<td>{why}<td class=id>{id}", rejection.at, rejection.reason)
    })
}

/// End tags that HTML does not need are left out.
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
    html.write_str("<div class=scroll><table><thead><tr>")?;
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
    match &status.r#override {
        None => html.write_str("<td>–"),
        Some(over) => {
            let until = over.until.as_deref().unwrap_or("it is taken back");
            write!(html, "<td>{}, until {until}, by {}", Escaped(&over.to_string()), Escaped(&over.by))
        }
    }
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.3} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_has_sent_is_no_markup() {
        assert_eq!(Escaped("<a b='c' d=\"e\">&").to_string(), "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;");
    }
}
