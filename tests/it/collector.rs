//! A collector of OTLP over HTTP on loopback, which remembers what it was sent.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// What arrived.
#[derive(Default)]
struct Arrived {
    spans: Vec<Span>,
    /// Of the last export alone.
    metrics: Vec<Metric>,
}

pub(crate) struct Collector {
    pub(crate) url: String,
    arrived: Arc<Mutex<Arrived>>,
}

impl Collector {
    pub(crate) async fn start() -> Collector {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let arrived = Arc::new(Mutex::new(Arrived::default()));
        let (of_spans, of_metrics) = (arrived.clone(), arrived.clone());
        let take_spans = async move |body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).expect("spans");
            let scopes = request
                .resource_spans
                .into_iter()
                .flat_map(|one| one.scope_spans);
            let spans = scopes.flat_map(|one| one.spans);
            of_spans.lock().expect("whole").spans.extend(spans);
        };
        let take_metrics = async move |body: Bytes| {
            let request = ExportMetricsServiceRequest::decode(body).expect("metrics");
            let scopes = request
                .resource_metrics
                .into_iter()
                .flat_map(|one| one.scope_metrics);
            of_metrics.lock().expect("whole").metrics =
                scopes.flat_map(|one| one.metrics).collect();
        };
        let router = Router::new()
            .route("/v1/traces", post(take_spans))
            .route("/v1/metrics", post(take_metrics));
        tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        Collector { url, arrived }
    }

    /// Every span so far. After the end of the worker that is all of them.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.arrived.lock().expect("whole").spans.clone()
    }

    /// The metrics of the last export.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.arrived.lock().expect("whole").metrics.clone()
    }
}

/// An attribute as text; empty where there is none.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|one| one.key == key);
    match found.and_then(|one| one.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => panic!("{key} is {other:?}"),
        None => String::new(),
    }
}

/// Lower-case digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
