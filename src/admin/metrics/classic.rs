//! OpenMetrics text in the words of Prometheus' older format.
//!
//! The samples are the same. There, a counter is described under the name of its samples, with `_total`, an info is a
//! gauge under the name of its samples, and there is no end mark.

/// Describes the same samples as version 0.0.4 does.
pub(super) fn from_open_metrics(text: &str) -> String {
    let mut classic = String::with_capacity(text.len() + 256);
    // A family's help comes before its type, which decides about the name of both.
    let mut help = None;
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|described| described.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                classic += &format!("# HELP {name}{suffix} {help}\n");
            }
            classic += &format!("# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            classic += line;
            classic.push('\n');
        }
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_described_under_the_names_of_their_samples() {
        let open = "# HELP a A.\n# TYPE a counter\na_total{x=\"1\"} 5\n# HELP b B.\n# TYPE b gauge\nb 1.5\n\
                    # HELP c C.\n# TYPE c info\nc_info{v=\"2\"} 1\n# EOF\n";
        let classic = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\"} 5\n# HELP b B.\n# TYPE b gauge\nb 1.5\n\
                       # HELP c_info C.\n# TYPE c_info gauge\nc_info{v=\"2\"} 1\n";
        assert_eq!(from_open_metrics(open), classic);
    }
}
