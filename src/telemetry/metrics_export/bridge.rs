//! The text of `/metrics` as OTLP metrics. Pure.
//!
//! Reads what our own registry writes (OpenMetrics text 1.0.0), nothing else's. Names become those of OpenTelemetry, in the way
//! that gives back the very names of `/metrics` where a backend turns dots, units and counters into Prometheus names
//! (`open-telemetry/opentelemetry-specification`, `compatibility/prometheus_and_openmetrics.md`): dashboards and alerts serve
//! both ways. `_total` and the unit go from the name, `conversion_outbox_` becomes `conversion_outbox.`, and the time of requests
//! is the conventions' own `http.client.request.duration`.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
};

/// Counted since the process began.
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// Names that the semantic conventions give themselves (`docs/http/http-metrics.md`, stable), ours first.
const CONVENTIONAL: [(&str, &str); 4] = [
    (
        "http_client_request_duration",
        "http.client.request.duration",
    ),
    ("server_address", "server.address"),
    ("http_response_status_code", "http.response.status_code"),
    ("error_type", "error.type"),
];

/// One line of the text: a name, its labels, its number.
#[derive(Debug, PartialEq)]
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    number: &'a str,
}

/// A metric with all its lines.
#[derive(Debug, Default)]
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    unit: &'a str,
    samples: Vec<Sample<'a>>,
}

/// All metrics of the text, counted since `since`, read at `now`.
pub(super) fn metrics(text: &str, since: SystemTime, now: SystemTime) -> Vec<Metric> {
    let (since, now) = (nanos(since), nanos(now));
    families(text)
        .iter()
        .map(|family| metric(family, since, now))
        .collect()
}

/// An attribute with a text.
pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            if let (Some(family), Some(sample)) = (families.last_mut(), sample(line)) {
                family.samples.push(sample);
            }
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (Some(what), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        let rest = words.next().unwrap_or_default();
        if families.last().is_none_or(|family| family.name != name) {
            families.push(Family {
                name,
                ..Family::default()
            });
        }
        let family = families.last_mut().expect("it was just pushed");
        match what {
            "HELP" => family.help = rest.trim_end_matches('.'),
            "TYPE" => family.kind = rest,
            "UNIT" => family.unit = rest,
            _ => {}
        }
    }
    families
}

/// `name{key="value",…} number`, and whatever follows: a timestamp or an exemplar.
fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((key, value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let number = rest.split_ascii_whitespace().next()?;
    Some(Sample {
        name,
        labels,
        number,
    })
}

/// Text up to the quote that ends it, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn metric(family: &Family<'_>, since: u64, now: u64) -> Metric {
    let numbers = || {
        let points = family
            .samples
            .iter()
            .map(|sample| number_point(sample, since, now));
        points.collect()
    };
    let data = match family.kind {
        "counter" => Data::Sum(Sum {
            data_points: numbers(),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        "histogram" => Data::Histogram(Histogram {
            data_points: histogram_points(&family.samples, since, now),
            aggregation_temporality: CUMULATIVE,
        }),
        _ => Data::Gauge(Gauge {
            data_points: numbers(),
        }),
    };
    Metric {
        name: named(family),
        description: family.help.to_owned(),
        unit: match family.unit {
            "seconds" => "s",
            "bytes" => "By",
            // No unit: `1` would make backends call it a ratio.
            other => other,
        }
        .to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn named(family: &Family<'_>) -> String {
    let unit = format!("_{}", family.unit);
    let name = match family.unit {
        "" => family.name,
        _ => family.name.strip_suffix(&unit).unwrap_or(family.name),
    };
    match name.strip_prefix("conversion_outbox_") {
        Some(own) => format!("conversion_outbox.{own}"),
        None => conventional(name).to_owned(),
    }
}

fn conventional(name: &str) -> &str {
    let found = CONVENTIONAL.iter().find(|(ours, _)| *ours == name);
    found.map_or(name, |(_, theirs)| theirs)
}

fn attributes(labels: &[(&str, String)]) -> Vec<KeyValue> {
    labels
        .iter()
        .filter(|(key, _)| *key != "le")
        .map(|(key, value)| attribute(conventional(key), value))
        .collect()
}

fn number_point(sample: &Sample<'_>, since: u64, now: u64) -> NumberDataPoint {
    let number = match sample.number.parse() {
        Ok(whole) => Number::AsInt(whole),
        Err(_) => Number::AsDouble(real(sample.number)),
    };
    NumberDataPoint {
        attributes: attributes(&sample.labels),
        start_time_unix_nano: since,
        time_unix_nano: now,
        value: Some(number),
        ..NumberDataPoint::default()
    }
}

/// The lines of a histogram, one point for each set of labels. Each bucket of the text counts those below it too; each of OTLP
/// counts itself alone, and the last one has no end.
fn histogram_points(samples: &[Sample<'_>], since: u64, now: u64) -> Vec<HistogramDataPoint> {
    let mut points: Vec<HistogramDataPoint> = Vec::new();
    let mut below = 0;
    for sample in samples {
        let attributes = attributes(&sample.labels);
        if points
            .last()
            .is_none_or(|last| last.attributes != attributes)
        {
            below = 0;
            points.push(HistogramDataPoint {
                attributes,
                start_time_unix_nano: since,
                time_unix_nano: now,
                ..HistogramDataPoint::default()
            });
        }
        let point = points.last_mut().expect("it was just pushed");
        if sample.name.ends_with("_sum") {
            point.sum = Some(real(sample.number));
        } else if sample.name.ends_with("_count") {
            point.count = sample.number.parse().unwrap_or(0);
        } else if let Some((_, le)) = sample.labels.iter().find(|(key, _)| *key == "le") {
            let so_far: u64 = sample.number.parse().unwrap_or(0);
            point.bucket_counts.push(so_far.saturating_sub(below));
            below = so_far;
            if le != "+Inf" {
                point.explicit_bounds.push(real(le));
            }
        }
    }
    points
}

fn real(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().unwrap_or(f64::NAN),
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
