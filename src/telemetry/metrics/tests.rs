use std::collections::{BTreeMap, BTreeSet};

use super::words::*;
use super::*;

const TRACE: [u8; 16] = [0xab; 16];

/// With `other`, twelve.
const EVENT_TYPES: [&str; 11] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
const DESTINATIONS: [&str; 8] = ["d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8"];

fn check(metrics: &Metrics, line: &str) {
    let text = metrics.render();
    assert!(
        text.lines().any(|found| found == line),
        "no line {line} in\n{text}"
    );
}

#[test]
fn known_label_sets_start_at_zero() {
    let metrics = Metrics::new(&["meta_eu"], &["order_paid"]);
    for line in [
        r#"conversion_outbox_deliveries_total{destination="meta_eu",event_type="order_paid",state="rejected"} 0"#,
        r#"conversion_outbox_attempts_total{destination="meta_eu",result="ambiguous"} 0"#,
        r#"conversion_outbox_oldest_due_age_seconds{destination="meta_eu"} 0.0"#,
        r#"conversion_outbox_backlog{destination="meta_eu",state="due"} 0"#,
        r#"conversion_outbox_polls_total{result="empty"} 0"#,
        r#"conversion_outbox_delivery_latency_seconds_count{destination="meta_eu"} 0"#,
        r#"conversion_outbox_destination_held{destination="meta_eu"} 0"#,
        "conversion_outbox_late_settlements_total 0",
        r#"conversion_outbox_retries_total{destination="meta_eu"} 0"#,
        r#"conversion_outbox_notices_total{destination="meta_eu",notice="version_warning"} 0"#,
        r#"conversion_outbox_suppressed_total{destination="meta_eu",reason="too_old"} 0"#,
        r#"conversion_outbox_duplicates_total{source="enqueue"} 0"#,
        "conversion_outbox_conflicts_total 0",
        r#"conversion_outbox_heartbeat_timestamp_seconds{stage="settled"} 0.0"#,
    ] {
        check(&metrics, line);
    }
    assert!(metrics.destination("unknown").is_none());
}

#[test]
fn what_happened_is_counted_where_it_belongs() {
    let metrics = Metrics::new(&["ga4"], &["order_paid"]);
    let ga4 = metrics.destination("ga4").unwrap();
    ga4.attempted("sent", 2);
    ga4.settled("order_paid", "sent");
    ga4.taken(Duration::from_secs(2), None);
    ga4.settled("jane@example.com", "rejected");
    ga4.suppressed("superseded");
    ga4.answered("host", Some(299), None, Duration::from_millis(10), None);
    ga4.answered("host", None, Some("timeout"), Duration::from_secs(10), None);
    ga4.answered("host", Some(503), None, Duration::from_secs(3), None);
    ga4.answered("host", Some(429), None, Duration::from_secs(3), None);
    ga4.answered("host", Some(401), None, Duration::from_secs(3), None);
    ga4.circuit("open");
    ga4.unverified_accepts(3);
    metrics.claimed(3, 100, Duration::from_millis(2));
    metrics.claimed(0, 100, Duration::from_millis(2));
    metrics.build_info("abc", 1);
    for line in [
        r#"conversion_outbox_attempts_total{destination="ga4",result="sent"} 2"#,
        r#"conversion_outbox_deliveries_total{destination="ga4",event_type="order_paid",state="sent"} 1"#,
        r#"conversion_outbox_deliveries_total{destination="ga4",event_type="other",state="rejected"} 1"#,
        r#"conversion_outbox_delivery_latency_seconds_bucket{le="5.0",destination="ga4"} 1"#,
        r#"conversion_outbox_http_responses_total{destination="ga4",code="other"} 1"#,
        r#"conversion_outbox_http_responses_total{destination="ga4",code="none"} 1"#,
        r#"conversion_outbox_suppressed_total{destination="ga4",reason="other"} 1"#,
        r#"http_client_request_duration_seconds_count{server_address="host",http_response_status_code="none",error_type="timeout"} 1"#,
        // The first ways of a host have series of their own, the others share one.
        r#"http_client_request_duration_seconds_count{server_address="host",http_response_status_code="other",error_type="other"} 3"#,
        r#"conversion_outbox_circuit_state{destination="ga4"} 2"#,
        r#"conversion_outbox_circuit_transitions_total{destination="ga4",to="open"} 1"#,
        r#"conversion_outbox_unverified_accepts_total{destination="ga4"} 3"#,
        r#"conversion_outbox_polls_total{result="partial"} 1"#,
        r#"conversion_outbox_claim_batch_size_count 1"#,
    ] {
        check(&metrics, line);
    }
    assert!(!metrics.render().contains("jane"));
    assert!(metrics.render().contains(r#"revision="abc""#));
}

#[test]
fn a_request_is_in_flight_until_its_guard_drops() {
    let metrics = Metrics::new(&["meta"], &[]);
    let guard = metrics.destination("meta").unwrap().in_flight();
    check(
        &metrics,
        r#"conversion_outbox_inflight{destination="meta"} 1"#,
    );
    drop(guard);
    check(
        &metrics,
        r#"conversion_outbox_inflight{destination="meta"} 0"#,
    );
}

#[test]
fn a_drained_backlog_reports_zero() {
    let metrics = Metrics::new(&["meta"], &[]);
    let meta = metrics.destination("meta").unwrap();
    meta.backlog(&Backlog {
        due: 5,
        oldest_due_age: 3.5,
        ..Backlog::default()
    });
    check(
        &metrics,
        r#"conversion_outbox_oldest_due_age_seconds{destination="meta"} 3.5"#,
    );
    meta.backlog(&Backlog::default());
    check(
        &metrics,
        r#"conversion_outbox_backlog{destination="meta",state="due"} 0"#,
    );
}

/// What is not known is absent, and what is over goes away.
#[test]
fn what_nobody_knows_has_no_series() {
    let metrics = Metrics::new(&["meta"], &["order_paid"]);
    let meta = metrics.destination("meta").unwrap();
    let series = |name: &str| {
        let text = metrics.render();
        let of_it = text.lines().filter(|line| line.starts_with(name));
        of_it.map(str::to_owned).collect::<Vec<_>>()
    };
    let end = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    assert!(series("conversion_outbox_credential_expiry_timestamp_seconds{").is_empty());
    meta.credential_expires(Some(end));
    meta.version_expires(Some(end));
    meta.hold_info(Some("credential"));
    meta.hold_info(Some("paused"));
    for line in [
        r#"conversion_outbox_credential_expiry_timestamp_seconds{destination="meta"} 2000000000.0"#,
        r#"conversion_outbox_api_version_expiry_timestamp_seconds{destination="meta"} 2000000000.0"#,
        r#"conversion_outbox_hold_info{destination="meta",reason="paused"} 1"#,
    ] {
        check(&metrics, line);
    }
    assert_eq!(series("conversion_outbox_hold_info{").len(), 1);
    meta.credential_expires(None);
    meta.hold_info(None);
    assert!(series("conversion_outbox_credential_expiry_timestamp_seconds{").is_empty());
    assert!(series("conversion_outbox_hold_info{").is_empty());

    let compared = Compared {
        source: 40,
        difference: -2,
    };
    metrics.reconciled("meta", "order_paid", compared);
    metrics.reconciled("nobody", "order_paid", compared);
    metrics.reconciliation_closed("meta", end);
    for line in [
        r#"conversion_outbox_reconciliation_difference{destination="meta",event_type="order_paid"} -2"#,
        r#"conversion_outbox_reconciliation_source{destination="meta",event_type="order_paid"} 40"#,
        r#"conversion_outbox_reconciliation_last_closed_day_timestamp_seconds{destination="meta"} 2000000000.0"#,
    ] {
        check(&metrics, line);
    }
    assert!(!metrics.render().contains("nobody"));
}

#[test]
fn a_bucket_names_a_trace_in_openmetrics_and_nowhere_else() {
    let metrics = Metrics::new(&["meta"], &[]);
    let meta = metrics.destination("meta").unwrap();
    meta.taken(Duration::from_secs(2), Some(TRACE));
    meta.answered("host", Some(200), None, Duration::from_secs(3), Some(TRACE));
    let trace = format!("# {{trace_id=\"{}\"}}", "ab".repeat(16));
    for bucket in [
        r#"conversion_outbox_delivery_latency_seconds_bucket{le="5.0",destination="meta"} 1 "#,
        r#"http_client_request_duration_seconds_bucket{le="10.0",server_address="host",http_response_status_code="200",error_type=""} 1 "#,
    ] {
        let text = metrics.render();
        let found = text.lines().find_map(|line| line.strip_prefix(bucket));
        assert!(found.is_some_and(|rest| rest.starts_with(&trace)), "{text}");
    }
    let plain = metrics.render_plain();
    assert!(!plain.contains("trace_id") && !plain.contains("EOF") && !plain.contains("UNIT"));
    assert!(plain.contains("# TYPE conversion_outbox_attempts_total counter\n"));
    assert!(plain.contains(
        "conversion_outbox_delivery_latency_seconds_bucket{le=\"5.0\",destination=\"meta\"} 1\n"
    ));
}

#[test]
fn the_pool_is_looked_at_when_somebody_reads() {
    let metrics = Metrics::new(&[], &[]);
    let busy = Arc::new(std::sync::atomic::AtomicU64::new(1));
    let now = busy.clone();
    metrics.watch_pool(move || [4, now.load(std::sync::atomic::Ordering::Relaxed), 10]);
    check(
        &metrics,
        r#"conversion_outbox_pool_connections{state="busy"} 1"#,
    );
    busy.store(3, std::sync::atomic::Ordering::Relaxed);
    check(
        &metrics,
        r#"conversion_outbox_pool_connections{state="busy"} 3"#,
    );
    check(
        &metrics,
        r#"conversion_outbox_pool_connections{state="max"} 10"#,
    );
}

/// Labels hold words of closed lists and configured names only.
#[test]
fn labels_are_closed() {
    let metrics = a_bad_day();
    let mut known: Vec<&str> = [
        &FINAL_STATES[..],
        &RESULTS,
        &SUPPRESSED,
        &BACKLOG,
        &POLLS,
        &DUPLICATES,
        &STAGES,
        &NOTICES,
        &HOLDS,
    ]
    .into_iter()
    .chain([
        &SIGNALS[..],
        &PRESENCE,
        &CONSENT,
        &CIRCUIT,
        &POOL,
        &ADMIN_REFUSALS,
        &EVENT_TYPES,
        &DESTINATIONS,
    ])
    .flatten()
    .copied()
    .collect();
    known.extend(["other", "none", "consent", "", "timeout", "connect"]);
    let trace = "ab".repeat(16);
    let codes = CODES.map(|code| code.to_string());
    known.extend(codes.iter().map(String::as_str));
    // A trace id is an exemplar's, never a series'.
    let text = metrics.render();
    assert!(!metrics.render_plain().contains(&trace));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.split(" # ").next().unwrap();
        let labels = series
            .split_once('{')
            .map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once('=').unwrap();
            let is_bounded = matches!(
                name,
                "le" | "server_address" | "version" | "revision" | "schema_version"
            );
            assert!(
                is_bounded || known.contains(&value.trim_matches('"')),
                "{line}"
            );
        }
    }
}

#[test]
fn the_series_budget_holds_on_a_bad_day() {
    let text = a_bad_day().render();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= 2000, "{series} series");
}

/// Eight destinations with a host each, twelve event types, and everything that can have happened has.
fn a_bad_day() -> Metrics {
    let metrics = Metrics::new(&DESTINATIONS, &EVENT_TYPES);
    metrics.build_info("abc", 1);
    let end = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    for (number, name) in DESTINATIONS.iter().enumerate() {
        let destination = metrics.destination(name).unwrap();
        let host = format!("host{number}.example");
        for status in CODES.into_iter().chain([418]) {
            destination.answered(
                &host,
                Some(status),
                None,
                Duration::from_secs(1),
                Some(TRACE),
            );
        }
        for error_type in ["timeout", "connect"] {
            destination.answered(&host, None, Some(error_type), Duration::from_secs(1), None);
        }
        destination.taken(Duration::from_secs(1), Some(TRACE));
        destination.credential_expires(Some(end));
        destination.version_expires(Some(end));
        destination.hold_info(Some("credential"));
        metrics.reconciliation_closed(name, end);
        for event_type in EVENT_TYPES {
            let compared = Compared {
                source: 1,
                difference: 1,
            };
            metrics.reconciled(name, event_type, compared);
        }
    }
    metrics
}

/// `docs/metrics.md` names every metric with its type, its labels and the words of its closed lists, and no other.
#[test]
fn the_documentation_tells_what_there_is() {
    const DOCUMENT: &str = include_str!("../../../docs/metrics.md");
    /// Labels of names, numbers and hosts.
    const OPEN: [&str; 10] = [
        "le",
        "destination",
        "event_type",
        "code",
        "server_address",
        "http_response_status_code",
        "error_type",
        "version",
        "revision",
        "schema_version",
    ];
    let cells = |row: &str| -> Vec<String> {
        let cells = row.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let mut rows: BTreeMap<String, &str> = BTreeMap::new();
    let mut told: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for row in DOCUMENT.lines().filter(|line| line.starts_with("| `")) {
        let [name, kind, labels, _, meaning, ..] = &cells(row)[..] else {
            continue;
        };
        assert!(!meaning.is_empty(), "{row}");
        let labels = labels.split(", ").filter(|label| *label != "–");
        let labels = labels.map(|label| label.trim_matches('`').to_owned());
        let name = name.trim_matches('`').to_owned();
        rows.insert(name.clone(), row);
        let twice = told.insert(name, (kind.clone(), labels.collect()));
        assert_eq!(twice, None, "{row}");
    }
    let text = a_bad_day().render_plain();
    let mut there: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            there.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            let (name, labels) = line.split_once(['{', ' ']).unwrap();
            let family = ["", "_bucket", "_sum", "_count"].iter().find_map(|part| {
                let family = name.strip_suffix(part)?;
                there.contains_key(family).then_some(family)
            });
            let names = &mut there.get_mut(family.unwrap()).unwrap().1;
            let labels = labels.rsplit_once('}').map_or("", |(labels, _)| labels);
            for label in labels.split("\",").filter(|label| !label.is_empty()) {
                let (label, word) = label.split_once("=\"").unwrap();
                names.extend((label != "le").then(|| label.to_owned()));
                let is_word = !OPEN.contains(&label) && word != OTHER;
                let row = rows.get(family.unwrap()).copied().unwrap_or_default();
                let word = format!("`{}`", word.trim_end_matches('"'));
                assert!(!is_word || row.contains(&word), "{word} in {row}");
            }
        }
    }
    assert_eq!(told, there);
}
