//! `/api/v1/suggest`: the number that Little's law suggests for each limit, by what has been seen of it lately.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::context::Context;
use super::history::Second;
use super::status::json;
use crate::admission::Adaptive;

/// What is suggested for a limit, and what that is based on.
#[derive(Debug, PartialEq, Serialize)]
struct Suggestion {
    limit: String,
    /// What is in force.
    in_force: u32,
    /// `null` where too little has been seen.
    suggested: Option<u32>,
    /// Seconds that were looked at.
    seconds: f64,
    /// Requests admitted per second, in the busiest five seconds.
    peak_per_second: Option<f64>,
    /// How long a permit is held.
    hold_seconds: Option<f64>,
    /// In words.
    because: String,
}

/// `GET /api/v1/suggest`.
pub(super) async fn show(State(context): State<Context>) -> Response {
    let proxy = context.server.proxy();
    let suggestions: Vec<_> = proxy
        .limiters()
        .iter()
        .map(|limiter| {
            let adaptive = proxy.adaptive().iter().find(|each| each.limiter().name() == limiter.name());
            let seconds = context.board.seconds(limiter.name());
            suggest(limiter.name(), limiter.limit(), &seconds, adaptive)
        })
        .collect();
    json(StatusCode::OK, &serde_json::json!({ "suggestions": suggestions }))
}

/// L = X W: as many are in flight as come in a second, times how long each stays.
fn suggest(name: &str, in_force: u32, seconds: &[Second], adaptive: Option<&Adaptive>) -> Suggestion {
    let lasted = |some: &[Second]| some.iter().map(|second| f64::from(second.lasted)).sum::<f64>();
    let came = |some: &[Second]| some.iter().map(|second| f64::from(second.admitted)).sum::<f64>();
    let mut suggestion = Suggestion {
        limit: name.to_owned(),
        in_force,
        suggested: None,
        seconds: lasted(seconds).round(),
        peak_per_second: None,
        hold_seconds: None,
        because: String::new(),
    };
    if let Some(found) = adaptive.filter(|adaptive| !adaptive.is_shadow()) {
        suggestion.suggested = Some(found.limit().get());
        suggestion.because = "it is adaptive: that is what it has found".to_owned();
        return suggestion;
    }
    if lasted(seconds) < ENOUGH_SECONDS || came(seconds) < ENOUGH_REQUESTS {
        suggestion.because = format!(
            "not enough data yet: {:.0} requests in {:.0} s, and it takes {ENOUGH_REQUESTS} in {ENOUGH_SECONDS}",
            came(seconds),
            lasted(seconds)
        );
        return suggestion;
    }
    let rate = |some: &[Second]| came(some) / lasted(some).max(0.001);
    let busiest = seconds.windows(PEAK).max_by(|one, other| rate(one).total_cmp(&rate(other))).unwrap_or(seconds);
    // Held back at its busiest: then that is what the upstream does, and not what is asked of it.
    let full = busiest.iter().any(|second| second.waiting > 0 || second.rejected > 0);
    let quiet: Vec<Second> =
        seconds.iter().filter(|second| second.waiting == 0 && second.rejected == 0).copied().collect();
    let quiet = if came(&quiet) >= ENOUGH_REQUESTS / 2.0 { Some(quiet) } else { None };
    let hold = |some: &[Second]| {
        let occupied: f64 = some.iter().map(|second| f64::from(second.in_flight) * f64::from(second.lasted)).sum();
        occupied / came(some).max(1.0)
    };
    let (peak, held) = (rate(busiest), hold(quiet.as_deref().unwrap_or(seconds)));
    let mean = peak * held;
    let needed = if full { mean } else { mean + 2.0 * mean.sqrt() };
    suggestion.peak_per_second = Some(peak);
    suggestion.hold_seconds = Some(held);
    suggestion.suggested = Some((needed.ceil() as u32).max(1));
    let times = format!("{peak:.0} requests a second, each for {:.1} ms, are {mean:.1} at a time", held * 1e3);
    suggestion.because = match (full, quiet.is_some()) {
        (false, _) => format!("{times}, and twice the root of that for chance; the limit held nobody back then"),
        (true, true) => format!("{times}: the most that was done, at the times of when nobody had to wait"),
        (true, false) => {
            format!("{times}: somebody always waited, so it can't be told whether fewer would do; a shadow can")
        }
    };
    suggestion
}

/// So much must have been seen.
const ENOUGH_SECONDS: f64 = 30.0;
const ENOUGH_REQUESTS: f64 = 200.0;
/// Seconds that make a peak.
const PEAK: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn second(in_flight: u32, admitted: u32, waiting: u32) -> Second {
        Second { in_flight, peak: in_flight, limit: 50, waiting, admitted, rejected: 0, lasted: 1.0 }
    }

    #[test]
    fn too_little_is_said_to_be_too_little() {
        let suggestion = suggest("api", 50, &[second(1, 10, 0); 20], None);
        assert_eq!((suggestion.suggested, suggestion.in_force), (None, 50));
        assert!(suggestion.because.starts_with("not enough data yet: 200 requests in 20 s"), "{suggestion:?}");
        assert_eq!(suggest("api", 50, &[], None).suggested, None);
    }

    #[test]
    fn where_nobody_waits_it_is_what_comes_and_some_room() {
        let suggestion = suggest("api", 50, &[second(16, 400, 0); 60], None);
        // 16 at a time, and twice the root of that.
        assert_eq!(suggestion.suggested, Some(24));
        assert_eq!(suggestion.hold_seconds, Some(0.04));
    }

    #[test]
    fn where_some_wait_it_is_what_is_done_at_the_times_of_when_nobody_does() {
        let quiet = [second(4, 100, 0); 60];
        // Too many at a time: 500 a second, each for a tenth of one.
        let busy = [second(50, 500, 30); 60];
        let suggestion = suggest("api", 50, &[quiet, busy].concat(), None);
        assert_eq!(suggestion.suggested, Some(20), "{suggestion:?}");
        let always = suggest("api", 50, &busy, None);
        assert_eq!(always.suggested, Some(50));
        assert!(always.because.contains("can't be told"), "{always:?}");
    }
}
