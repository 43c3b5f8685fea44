use super::words::*;
use super::*;

const EVENT_TYPES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
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
    ga4.settled("order_paid", "sent", Some(Duration::from_secs(2)));
    ga4.settled("jane@example.com", "rejected", None);
    ga4.answered("host", Some(299), None, Duration::from_millis(10));
    ga4.answered("host", None, Some("timeout"), Duration::from_secs(10));
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
    let codes = CODES.map(|code| code.to_string());
    known.extend(codes.iter().map(String::as_str));
    for line in metrics
        .render()
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let labels = line
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

/// Eight destinations with a host each, twelve event types, and every destination answering in five ways.
fn a_bad_day() -> Metrics {
    let metrics = Metrics::new(&DESTINATIONS, &EVENT_TYPES);
    metrics.build_info("abc", 1);
    for (number, name) in DESTINATIONS.iter().enumerate() {
        let destination = metrics.destination(name).unwrap();
        let host = format!("host{number}.example");
        let answers = [
            (Some(200), None),
            (Some(400), None),
            (Some(429), None),
            (Some(503), None),
            (None, Some("timeout")),
        ];
        for (code, error_type) in answers {
            destination.answered(&host, code, error_type, Duration::from_secs(1));
        }
    }
    metrics
}
