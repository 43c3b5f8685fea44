//! The same numbers for a reader that does not ask for OpenMetrics: Prometheus' older text format, version 0.0.4.
//! Source: `prometheus.io/docs/instrumenting/exposition_formats`. It knows no exemplars, no units and no end mark, and names a
//! counter with its `_total`.

/// Rewrites an OpenMetrics page of ours.
pub(super) fn plain(openmetrics: &str) -> String {
    let counters: Vec<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        match described(line) {
            Some((word, name, rest)) if counters.contains(&name) => {
                text.push_str(&format!("# {word} {name}_total {rest}"));
            }
            Some(_) => text.push_str(line),
            // No label of ours holds such a sign: see `words`.
            None => text.push_str(line.split(" # {").next().unwrap_or(line)),
        }
        text.push('\n');
    }
    text
}

/// The parts of `# HELP name text` and `# TYPE name type`.
fn described(line: &str) -> Option<(&str, &str, &str)> {
    let (word, rest) = line.strip_prefix("# ")?.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    Some((word, name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_older_format_does_not_know_is_left_out() {
        let openmetrics = "# HELP a Things.\n# TYPE a counter\na_total{x=\"y\"} 1 # {trace_id=\"00\"} 1.0 5.0\n\
                           # HELP b_seconds Time.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 0.5\n# EOF\n";
        assert_eq!(
            plain(openmetrics),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"y\"} 1\n\
             # HELP b_seconds Time.\n# TYPE b_seconds gauge\nb_seconds 0.5\n"
        );
    }
}
