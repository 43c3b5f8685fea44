use std::collections::BTreeSet;
use std::time::Duration;

use super::super::super::metrics::{Backlog, Coverage, Metrics};
use super::*;

/// Numbers of every kind, with whatever a configuration may name.
fn some() -> Metrics {
    let metrics = Metrics::new(&["meta", "ga\"4\\"], &["order_paid"]);
    metrics.build_info("abc", 15);
    metrics.claimed(3, 10, Duration::from_millis(4));
    metrics.claimed(700, 1000, Duration::from_millis(700));
    metrics.snapshot_taken(UNIX_EPOCH + Duration::from_millis(1_700_000_000_250));
    let meta = metrics.destination("meta").unwrap();
    meta.settled("order_paid", "accepted");
    meta.taken(Duration::from_secs(2), None);
    meta.settled("order_paid", "accepted");
    meta.taken(Duration::from_secs(100_000), None);
    meta.answered(
        "graph.example",
        Some(503),
        None,
        Duration::from_millis(30),
        None,
    );
    meta.answered(
        "graph.example",
        None,
        Some("timeout"),
        Duration::from_secs(10),
        None,
    );
    meta.backlog(&Backlog::default());
    metrics.covered(
        "order_paid",
        &Coverage {
            click_id: true,
            email: false,
            phone: false,
            external_id: true,
            consent: "granted",
        },
    );
    metrics
}

/// What a backend that speaks Prometheus makes of OTLP: `compatibility/prometheus_and_openmetrics.md`, the other direction.
fn prometheus(metric: &Metric) -> Vec<String> {
    let mut name = metric.name.replace('.', "_");
    if metric.unit == "s" {
        name.push_str("_seconds");
    }
    let line = |name: &str, labels: Vec<String>, number: f64| {
        let labels: BTreeSet<String> = labels.into_iter().collect();
        let labels: Vec<String> = labels.into_iter().collect();
        format!("{name} {} {number:?}", labels.join(","))
    };
    let labels = |attributes: &[KeyValue]| -> Vec<String> {
        attributes
            .iter()
            .map(|one| {
                let value = one.value.clone().unwrap().value.unwrap();
                let any_value::Value::StringValue(value) = value else {
                    panic!("{value:?}")
                };
                format!("{}={value:?}", one.key.replace('.', "_"))
            })
            .collect()
    };
    let numbers = |name: &str, points: &[NumberDataPoint]| -> Vec<String> {
        points
            .iter()
            .map(|point| {
                let number = match point.value.unwrap() {
                    Number::AsInt(whole) => whole as f64,
                    Number::AsDouble(real) => real,
                };
                line(name, labels(&point.attributes), number)
            })
            .collect()
    };
    match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => {
            assert!(sum.is_monotonic);
            numbers(&format!("{name}_total"), &sum.data_points)
        }
        Data::Gauge(gauge) => numbers(&name, &gauge.data_points),
        Data::Histogram(histogram) => histogram
            .data_points
            .iter()
            .flat_map(|point| {
                let own = labels(&point.attributes);
                let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
                let mut so_far = 0;
                let mut lines: Vec<String> = bounds
                    .zip(&point.bucket_counts)
                    .map(|(bound, count)| {
                        so_far += count;
                        let mut all = own.clone();
                        all.push(format!("le={bound:?}"));
                        line(&format!("{name}_bucket"), all, so_far as f64)
                    })
                    .collect();
                assert_eq!(
                    so_far, point.count,
                    "{name}: all buckets together are the count"
                );
                lines.push(line(
                    &format!("{name}_sum"),
                    own.clone(),
                    point.sum.unwrap(),
                ));
                lines.push(line(&format!("{name}_count"), own, point.count as f64));
                lines
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// The lines of `/metrics` themselves, in the same writing.
fn scraped(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let sample = sample(line).unwrap();
            let labels: BTreeSet<String> = sample
                .labels
                .iter()
                .map(|(key, value)| match *key {
                    "le" => format!("le={:?}", real(value)),
                    key => format!("{key}={value:?}"),
                })
                .collect();
            let labels: Vec<String> = labels.into_iter().collect();
            format!(
                "{} {} {:?}",
                sample.name,
                labels.join(","),
                real(sample.number)
            )
        })
        .collect()
}

#[test]
fn a_backend_sees_the_very_lines_of_a_scrape() {
    let text = some().render();
    let now = SystemTime::now();
    let bridged = metrics(&text, now - Duration::from_secs(60), now);
    let told: BTreeSet<String> = bridged.iter().flat_map(prometheus).collect();
    let scraped = scraped(&text);
    assert!(scraped.len() > 200, "{}", scraped.len());
    let lost: Vec<_> = scraped.difference(&told).collect();
    let invented: Vec<_> = told.difference(&scraped).collect();
    assert!(
        lost.is_empty() && invented.is_empty(),
        "lost {lost:#?} invented {invented:#?}"
    );
}

#[test]
fn names_and_units_are_those_of_the_conventions() {
    let now = UNIX_EPOCH + Duration::from_secs(9);
    let bridged = metrics(&some().render(), UNIX_EPOCH, now);
    let the = |name: &str| bridged.iter().find(|metric| metric.name == name).unwrap();
    let latency = the("conversion_outbox.delivery_latency");
    assert_eq!(latency.unit, "s");
    let requests = the("http.client.request.duration");
    let Some(Data::Histogram(histogram)) = &requests.data else {
        panic!("{requests:?}")
    };
    assert_eq!(histogram.aggregation_temporality, CUMULATIVE);
    let point = &histogram.data_points[0];
    let keys: Vec<&str> = point
        .attributes
        .iter()
        .map(|one| one.key.as_str())
        .collect();
    assert_eq!(
        keys,
        ["server.address", "http.response.status_code", "error.type"]
    );
    assert_eq!(
        (point.start_time_unix_nano, point.time_unix_nano),
        (0, 9_000_000_000)
    );
    assert!(
        the("conversion_outbox.polls")
            .description
            .starts_with("Looks for")
    );
    assert!(matches!(
        the("conversion_outbox.backlog").data,
        Some(Data::Gauge(_))
    ));
}

#[test]
fn a_line_is_read_with_whatever_follows_its_number() {
    let line = r#"a_bucket{le="1.0",x="a\"b\\c\nd, #{}"} 17 # {trace_id="4bf9"} 0.5 1.7"#;
    let found = sample(line).unwrap();
    assert_eq!((found.name, found.number), ("a_bucket", "17"));
    assert_eq!(
        found.labels,
        [
            ("le", "1.0".to_owned()),
            ("x", "a\"b\\c\nd, #{}".to_owned())
        ]
    );
    assert_eq!(sample("b 1.5").unwrap().number, "1.5");
    assert_eq!(sample(r#"b{x="1"#), None);
}
