//! In which form a client wants to be told (RFC 9110 §12.5.1).

use http::HeaderValue;

/// The forms of our own answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// RFC 9457; also for whoever does not say.
    ProblemJson,
    Html,
    Text,
}

impl Form {
    /// The form that `Accept` prefers. Of equals, JSON first, then the more readable.
    pub(super) fn wanted(accept: Option<&HeaderValue>) -> Self {
        if accept.is_none_or(|accept| accept == "*/*") {
            return Form::ProblemJson;
        }
        let mut best = (Form::ProblemJson, 0.0);
        for range in accept.and_then(|accept| accept.to_str().ok()).into_iter().flat_map(|ranges| ranges.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/problem+json" | "application/json" | "application/*" | "*/*" => Form::ProblemJson,
                "text/html" | "application/xhtml+xml" => Form::Html,
                "text/plain" | "text/*" => Form::Text,
                _ => continue,
            };
            let quality = parts.find_map(|p| p.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0_f32);
            let preferred = quality > best.1 || (quality == best.1 && form == Form::ProblemJson);
            if quality > 0.0 && preferred {
                best = (form, quality);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_accept() {
        for (accept, form) in [
            (None, Form::ProblemJson),
            (Some("*/*"), Form::ProblemJson),
            (Some("application/json"), Form::ProblemJson),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Form::Html),
            (Some("text/plain"), Form::Text),
            (Some("text/html, application/json"), Form::ProblemJson),
            (Some("text/html;q=0.2, text/plain;q=0.8"), Form::Text),
            (Some("text/html;q=0, */*;q=0.1"), Form::ProblemJson),
            (Some("image/png"), Form::ProblemJson),
        ] {
            assert_eq!(Form::wanted(accept.map(HeaderValue::from_static).as_ref()), form, "{accept:?}");
        }
    }
}
