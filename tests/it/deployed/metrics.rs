//! Queries name metrics, labels and label values that this program has, and add up over workers as each metric asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use conversion_outbox::telemetry::metrics::{Compared, Metrics};

use super::queries::{self, Query};
use super::read;

/// Labels that Prometheus adds.
const OF_THE_TARGET: [&str; 2] = ["job", "instance"];

/// What every worker reads from the same database.
const FROM_THE_DATABASE: [&str; 8] = [
    "conversion_outbox_backlog",
    "conversion_outbox_oldest_due_age_seconds",
    "conversion_outbox_oldest_open_age_seconds",
    "conversion_outbox_expiring_deliveries",
    "conversion_outbox_held_rules",
    "conversion_outbox_hold_info",
    "conversion_outbox_reconciliation_difference",
    "conversion_outbox_reconciliation_source",
];

/// Samples by name: their labels and values.
type Known = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What a worker may ever show, all of it at once.
fn known() -> Known {
    let metrics = Metrics::new(&["meta"], &["order_paid"]);
    let meta = metrics.destination("meta").expect("it was named");
    metrics.build_info("abc", 1);
    metrics.reconciled(
        "meta",
        "order_paid",
        Compared {
            source: 1,
            difference: 0,
        },
    );
    metrics.reconciliation_closed("meta", SystemTime::UNIX_EPOCH);
    meta.credential_expires(Some(SystemTime::UNIX_EPOCH));
    meta.version_expires(Some(SystemTime::UNIX_EPOCH));
    meta.hold_info(Some("paused"));
    meta.answered("host", Some(503), None, Duration::from_secs(1), None);
    let mut known = Known::new();
    for line in metrics
        .render()
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (series, _) = line
            .rsplit_once("} ")
            .or(line.rsplit_once(' '))
            .expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let of_name = known.entry(name.to_owned()).or_default();
        for (label, value) in pairs(labels.split("} ").next().expect("text")) {
            of_name.entry(label).or_default().insert(value.1);
        }
    }
    known
}

/// `name="value",…` as names, operators and values.
fn pairs(labels: &str) -> Vec<(String, (String, String))> {
    let mut found = Vec::new();
    let mut rest = labels;
    while let Some((name, more)) = rest.split_once('"') {
        let (value, more) = more.split_once('"').expect("a closing quote");
        let name = name.trim_start_matches([',', ' ']);
        let at = name.find(['=', '!']).expect("an operator");
        found.push((
            name[..at].to_owned(),
            (name[at..].to_owned(), value.to_owned()),
        ));
        rest = more;
    }
    found
}

/// Metrics of a query: where each begins, its name, and what stands in its braces.
fn metrics_of(query: &str) -> Vec<(usize, &str, &str)> {
    let is_of_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == ':';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = ["conversion_outbox", "http_client"]
        .iter()
        .filter_map(|start| query[at..].find(start))
        .min()
    {
        let start = at + next;
        let end = query[start..]
            .find(|sign| !is_of_name(sign))
            .map_or(query.len(), |length| start + length);
        let braces = query[end..]
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'));
        found.push((
            start,
            &query[start..end],
            braces.map_or("", |(inside, _)| inside),
        ));
        at = end;
    }
    found
}

fn recorded() -> BTreeSet<String> {
    let rules = read("deploy/prometheus/rules.yml");
    rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: ").map(str::to_owned))
        .collect()
}

#[test]
fn queries_name_what_there_is() {
    let (known, recorded) = (known(), recorded());
    for Query { place, text } in queries::all() {
        for (_, name, matchers) in metrics_of(&text) {
            if name.contains(':') {
                assert!(recorded.contains(name), "{place}: nothing records {name}");
                continue;
            }
            let labels = known
                .get(name)
                .unwrap_or_else(|| panic!("{place}: there is no {name}"));
            for (label, (operator, value)) in pairs(matchers) {
                if OF_THE_TARGET.contains(&label.as_str()) {
                    continue;
                }
                let values = labels
                    .get(&label)
                    .unwrap_or_else(|| panic!("{place}: {name} has no label {label}"));
                // What a person chooses, and patterns, are anything.
                if value.starts_with('$')
                    || value.contains("..")
                    || label == "reason" && name.ends_with("hold_info")
                {
                    continue;
                }
                for word in value.split('|') {
                    assert!(
                        values.contains(word),
                        "{place}: {name} has no {label}{operator}{word}"
                    );
                }
            }
        }
    }
}

#[test]
fn groups_are_of_labels_that_there_are() {
    let labels: BTreeSet<String> = known()
        .into_values()
        .flat_map(BTreeMap::into_keys)
        .collect();
    for Query { place, text } in queries::all() {
        for clause in ["by (", "on (", "without ("] {
            for part in text.split(clause).skip(1) {
                let (names, _) = part.split_once(')').expect("a closing bracket");
                for name in names.split(',').map(str::trim) {
                    let is_known =
                        name == "le" || OF_THE_TARGET.contains(&name) || labels.contains(name);
                    assert!(is_known, "{place}: no metric has a label {name}: {text}");
                }
            }
        }
    }
}

/// Two workers must not double a number of the database, nor one of them hide what the other counted.
#[test]
fn workers_are_added_up_as_each_metric_asks_for() {
    for Query { place, text } in queries::all()
        .into_iter()
        .filter(|query| !query.text.starts_with("label_values"))
    {
        for (start, name, _) in metrics_of(&text) {
            let before = &text[..start];
            let last = |word: &str| before.rfind(word);
            let nearest = ["sum", "max by (", "min by (", "avg", "count"]
                .into_iter()
                .max_by_key(|word| last(word));
            let nearest = nearest.filter(|word| last(word).is_some());
            if FROM_THE_DATABASE.contains(&name) {
                assert_eq!(nearest, Some("max by ("), "{place}: {name} in {text}");
            }
            if name.ends_with("_total") || name.ends_with("_bucket") {
                assert_eq!(nearest, Some("sum"), "{place}: {name} in {text}");
            }
        }
    }
}

/// What a worker shows and nobody looks at is not watched: every metric is on a dashboard.
#[test]
fn every_metric_is_on_a_dashboard() {
    let dashboards = super::stems("deploy/grafana", ".json");
    let shown: BTreeSet<String> = queries::all()
        .iter()
        .filter(|query| dashboards.contains(&query.place))
        .flat_map(|query| {
            metrics_of(&query.text)
                .into_iter()
                .map(|(_, name, _)| stem(name).to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    let hidden: Vec<String> = known()
        .into_keys()
        .filter(|name| !shown.contains(stem(name)))
        .collect();
    assert!(hidden.is_empty(), "not shown: {hidden:?}");
}

/// The histogram that a sample belongs to.
fn stem(name: &str) -> &str {
    ["_bucket", "_count", "_sum"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name)
}
