//! The numbers of `/metrics` over OTLP, for those who scrape nothing: pushed every minute by a task of its own.
//!
//! One registry, read once for each export, so that both ways tell the same values. The SDK's instruments are not used: it
//! cannot be given histograms that were counted elsewhere, and counting twice is how numbers come to differ.
//! A collector that is down or hangs costs numbers of the moment, one log line a minute and a counter; counters are
//! cumulative, so the next export tells all of it.

mod bridge;

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::endpoint::{self, EndpointError, METRICS};
use super::losses::Losses;
use super::metrics::Metrics;
use super::{Env, TelemetrySettings, names};

/// How often, unless `OTEL_METRIC_EXPORT_INTERVAL` says otherwise (specification of the SDK's environment variables).
const EVERY: Duration = Duration::from_secs(60);

/// How long the last export may take. Must fit, with the drain, into the grace period of the pod.
const LAST: Duration = Duration::from_secs(5);

/// The exporter cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The collector's address cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A header of `OTEL_EXPORTER_OTLP_HEADERS` cannot be sent. Its value may be a secret.
    #[error(
        "OTEL_EXPORTER_OTLP_HEADERS: header {0:?} has a name or a value that no request may carry"
    )]
    Header(String),
    /// The HTTP client could not be made.
    #[error("cannot build the OTLP client (are CA certificates installed?)")]
    Client(#[source] reqwest::Error),
}

/// A running exporter.
#[derive(Debug)]
pub(super) struct Export {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Everything but the numbers.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    resource: Resource,
    since: SystemTime,
    losses: Losses,
}

impl Export {
    /// Starts the task, inside a runtime. `None` where nobody asked for it: neither the configuration (`otlp_metrics`) nor
    /// `OTEL_METRICS_EXPORTER=otlp`; or where there is no collector.
    pub(super) fn start(
        settings: &TelemetrySettings,
        env: Env<'_>,
        metrics: &Metrics,
    ) -> Result<Option<Export>, StartError> {
        if !settings.otlp_metrics && METRICS.exporter(env) != "otlp" {
            return Ok(None);
        }
        let Some(url) = METRICS.endpoint(settings, env)? else {
            return Ok(None);
        };
        crate::tls::install_provider();
        let collector = Collector {
            client: client(METRICS.timeout(env)).map_err(StartError::Client)?,
            url,
            headers: headers(METRICS.headers(env))?,
            resource: resource(settings, env),
            since: SystemTime::now(),
            losses: metrics.metric_losses(),
        };
        let every = endpoint::millis(env, "OTEL_METRIC_EXPORT_INTERVAL").unwrap_or(EVERY);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(collector, metrics.clone(), every, stopped));
        Ok(Some(Export { stop, task }))
    }

    /// Sends the last numbers, at most 5 seconds long.
    pub(super) async fn shutdown(self) {
        // A task that has ended needs no word.
        self.stop.send(()).ok();
        let abort = self.task.abort_handle();
        if tokio::time::timeout(LAST, self.task).await.is_err() {
            abort.abort();
            tracing::warn!("the last metrics could not be sent");
        }
    }
}

async fn run(
    collector: Collector,
    metrics: Metrics,
    every: Duration,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            _ = &mut stopped => true,
            _ = ticks.tick() => false,
        };
        let body = collector.body(&metrics.render(), SystemTime::now());
        // Whoever stops us has the last word also while an export hangs.
        tokio::select! {
            () = collector.send(body) => {}
            _ = &mut stopped, if !is_last => {
                let body = collector.body(&metrics.render(), SystemTime::now());
                return collector.send(body).await;
            }
        }
        if is_last {
            return;
        }
    }
}

impl Collector {
    fn body(&self, text: &str, now: SystemTime) -> Vec<u8> {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope),
                    metrics: bridge::metrics(text, self.since, now),
                    schema_url: names::SCHEMA_URL.to_owned(),
                }],
                schema_url: names::SCHEMA_URL.to_owned(),
            }],
        };
        request.encode_to_vec()
    }

    async fn send(&self, body: Vec<u8>) {
        let request = self
            .client
            .post(&self.url)
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(body);
        let why = match request.send().await {
            Ok(answer) if answer.status().is_success() => return,
            Ok(_) => "refused",
            Err(error) if error.is_timeout() => "timeout",
            Err(error) if error.is_connect() => "connect",
            Err(_) => "export",
        };
        self.losses.failed(1, why);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a collector is no platform: it may be on a private address, and is given no event"
)]
fn client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .user_agent(concat!("conversion-outbox/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn headers(pairs: Vec<(String, String)>) -> Result<HeaderMap, StartError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let parsed = HeaderName::try_from(&name).ok();
        match (parsed, HeaderValue::try_from(&value)) {
            (Some(parsed), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.insert(parsed, value);
            }
            _ => return Err(StartError::Header(name)),
        }
    }
    Ok(headers)
}

fn resource(settings: &TelemetrySettings, env: Env<'_>) -> Resource {
    let attributes = endpoint::resource(settings, env);
    Resource {
        attributes: attributes
            .iter()
            .map(|(key, value)| bridge::attribute(key.as_str(), &value.as_str()))
            .collect(),
        ..Resource::default()
    }
}

#[cfg(test)]
mod tests;
