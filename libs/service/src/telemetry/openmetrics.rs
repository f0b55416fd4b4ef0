use std::collections::HashSet;

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether an `Accept` header would rather have OpenMetrics than Prometheus text.
pub(super) fn is_preferred(accept: &str) -> bool {
    let best = |wanted: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_wanted = parts.next()? == wanted;
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f64>().ok());
            is_wanted.then_some(quality?)
        });
        ranges.fold(0.0, f64::max)
    };
    best("application/openmetrics-text") > best("text/plain")
}

/// Prometheus text as OpenMetrics. They differ in this: a counter's family is named without `_total` and its samples
/// with it, there are no empty lines, and there is an end.
pub(super) fn from_text(text: &str) -> String {
    let counters: HashSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut converted = String::with_capacity(text.len() + 16);
    for line in text.lines().filter(|line| !line.is_empty()) {
        let declared = ["# TYPE ", "# HELP "].into_iter().find_map(|prefix| Some((prefix, line.strip_prefix(prefix)?)));
        match declared {
            Some((prefix, rest)) => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let family = if counters.contains(name) { name.strip_suffix("_total").unwrap_or(name) } else { name };
                converted.extend([prefix, family, " ", rest]);
            }
            None => {
                let end = line.find(['{', ' ']).unwrap_or(line.len());
                let (name, rest) = line.split_at(end);
                let suffix = if counters.contains(name) && !name.ends_with("_total") { "_total" } else { "" };
                converted.extend([name, suffix, rest]);
            }
        }
        converted.push('\n');
    }
    converted.push_str("# EOF\n");
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_format_is_the_one_with_the_higher_quality() {
        assert!(is_preferred("application/openmetrics-text"));
        assert!(is_preferred("text/plain;q=0.5, application/openmetrics-text; version=1.0.0; q=0.8"));
        assert!(!is_preferred("text/plain, application/openmetrics-text;q=0.8"));
        assert!(!is_preferred("*/*"));
        assert!(!is_preferred(""));
        assert!(!is_preferred("application/openmetrics-text;q=zero"));
    }

    #[test]
    fn counters_named_without_total_get_it_on_their_samples() {
        let text = "# TYPE hits counter\nhits{a=\"b c\"} 1\n\n# TYPE lag gauge\nlag 2\n\n";
        assert_eq!(from_text(text), "# TYPE hits counter\nhits_total{a=\"b c\"} 1\n# TYPE lag gauge\nlag 2\n# EOF\n");
    }
}
