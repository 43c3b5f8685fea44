use std::io::Write as _;
use std::sync::mpsc::{Receiver, channel};

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;

use super::super::traces::receiver::read;
use super::*;

/// A collector that answers with this status, and hands out what it was sent.
fn collector(status: &'static str) -> (String, Receiver<ExportMetricsServiceRequest>) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let body = read(&stream, "/v1/metrics");
            let request = ExportMetricsServiceRequest::decode(&body[..]).unwrap();
            if sender.send(request).is_err() {
                return;
            }
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, receiver)
}

fn settings(url: &str) -> TelemetrySettings {
    TelemetrySettings {
        otlp_endpoint: Some(url.to_owned()),
        otlp_metrics: true,
        service_instance_id: "pod-1".into(),
        ..Default::default()
    }
}

fn full_polls(request: &ExportMetricsServiceRequest) -> i64 {
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let polls = metrics
        .iter()
        .find(|metric| metric.name == "conversion_outbox.polls")
        .unwrap();
    let Some(Data::Sum(sum)) = &polls.data else {
        panic!("{polls:?}")
    };
    let point = sum
        .data_points
        .iter()
        .find(|point| format!("{:?}", point.attributes).contains("full"))
        .unwrap();
    match point.value {
        Some(Value::AsInt(count)) => count,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_numbers_go_at_the_start_and_at_the_end() {
    let (url, received) = collector("200 OK");
    let metrics = Metrics::new(&["meta"], &["order_paid"]);
    let env = |name: &str| (name == "OTEL_EXPORTER_OTLP_HEADERS").then(|| "x-tenant=1".to_owned());
    let export = Export::start(&settings(&url), &env, &metrics)
        .unwrap()
        .unwrap();
    let (first, received) =
        tokio::task::spawn_blocking(move || (received.recv().unwrap(), received))
            .await
            .unwrap();
    assert_eq!(full_polls(&first), 0);
    let resource = first.resource_metrics[0].resource.as_ref().unwrap();
    assert!(format!("{:?}", resource.attributes).contains("pod-1"));
    metrics.claimed(5, 5, Duration::ZERO);
    export.shutdown().await;
    assert_eq!(full_polls(&received.try_recv().unwrap()), 1);
    assert!(
        metrics
            .render()
            .contains("conversion_outbox_metric_export_failures_total 0")
    );
}

#[tokio::test]
async fn it_is_off_unless_asked_for() {
    let metrics = Metrics::new(&["meta"], &["order_paid"]);
    let is_on = |is_set: bool, variable: &'static str, url: Option<&str>| {
        let settings = TelemetrySettings {
            otlp_metrics: is_set,
            otlp_endpoint: url.map(str::to_owned),
            ..Default::default()
        };
        let env = |name: &str| (name == "OTEL_METRICS_EXPORTER").then(|| variable.to_owned());
        let export = Export::start(&settings, &env, &metrics).unwrap();
        export.inspect(|export| export.task.abort()).is_some()
    };
    let there = Some("http://127.0.0.1:9");
    assert!(is_on(true, "", there) && is_on(false, "otlp", there));
    assert!(!is_on(false, "", there) && !is_on(true, "none", there) && !is_on(true, "", None));
}

#[tokio::test]
async fn a_collector_that_refuses_is_counted_and_holds_up_nothing() {
    let (url, received) = collector("503 Service Unavailable");
    let metrics = Metrics::new(&["meta"], &["order_paid"]);
    let export = Export::start(&settings(&url), &|_| None, &metrics)
        .unwrap()
        .unwrap();
    export.shutdown().await;
    assert!(received.try_iter().count() >= 1);
    let text = metrics.render();
    assert!(
        !text.contains("conversion_outbox_metric_export_failures_total 0"),
        "{text}"
    );
}

/// It takes the connection and never answers: the end does not wait for it longer than the time limit.
#[tokio::test]
async fn a_collector_that_hangs_does_not_hold_up_the_end() {
    let hanging = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", hanging.local_addr().unwrap());
    let metrics = Metrics::new(&["meta"], &["order_paid"]);
    let env = |name: &str| (name == "OTEL_EXPORTER_OTLP_TIMEOUT").then(|| "300".to_owned());
    let begun = std::time::Instant::now();
    let export = Export::start(&settings(&url), &env, &metrics)
        .unwrap()
        .unwrap();
    tokio::task::yield_now().await;
    export.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(
        !metrics
            .render()
            .contains("conversion_outbox_metric_export_failures_total 0")
    );
}

#[test]
fn a_header_that_cannot_be_sent_is_named_without_its_value() {
    let bad = vec![("x-token".to_owned(), "se\ncret".to_owned())];
    let error = headers(bad).unwrap_err().to_string();
    assert!(
        error.contains("x-token") && !error.contains("cret\""),
        "{error}"
    );
}
