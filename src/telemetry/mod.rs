//! What the world can see of a running worker: logs, traces, metrics and probes.
//!
//! Not for what people see of deliveries: that is in the database. Nothing in here may block or fail a delivery, and
//! nothing may carry a secret or a personal datum, raw or hashed.
//!
//! Call sites say what happened (`destination.settled(…)`, `spans::process(…)`); names, labels and formats are decided here.

pub mod context;
pub mod endpoint;
pub mod health;
pub mod http;
mod ids;
pub mod logs;
mod losses;
pub mod metrics;
pub mod metrics_export;
pub mod names;
pub mod redact;
pub mod spans;
pub mod traces;

use metrics::Metrics;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;

/// What an operator decides about logs and traces. Plain values, already read from file and environment.
#[derive(Clone, Debug, Default)]
pub struct TelemetrySettings {
    /// How a log line looks.
    pub log_format: LogFormat,
    /// `level` or `target=level`, comma separated, e.g. `info,conversion_outbox=debug`. `RUST_LOG` wins. Empty means `info`.
    pub filter: String,
    /// Base URL of an OTLP/HTTP collector, e.g. `http://collector:4318`. `None`: the `OTEL_*` variables decide.
    pub otlp_endpoint: Option<String>,
    /// Whether the numbers of `/metrics` go to the collector too. `OTEL_METRICS_EXPORTER=otlp` asks for it as well.
    pub otlp_metrics: bool,
    /// How a delivery's span relates to the row's trace.
    pub relation: Relation,
    /// Share of deliveries traced that went well, 0 to 1; failures always are. `None`: `OTEL_TRACES_SAMPLER` decides, and without it all
    /// are.
    pub sample_ratio: Option<f64>,
    /// `deployment.environment.name`, e.g. `production`.
    pub environment: Option<String>,
    /// `service.instance.id`: unlike in every replica, e.g. the pod uid or a random id.
    pub service_instance_id: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people at a terminal.
    Pretty,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// For `run`, whose only output is its log.
    Stdout,
    /// For commands whose standard output is data.
    Stderr,
}

/// How a delivery's span relates to the trace of the row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relation {
    /// A trace of its own with a link to the row's. Sampling of the application does not touch it.
    #[default]
    Link,
    /// A child of the row's span at the first attempt, with the link as well; retries, hours later, are always linked.
    Parent,
}

/// Reads one environment variable. Passed in, so that only the configuration knows the process environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log filter cannot be read.
    #[error("log filter: {0}")]
    Filter(#[from] logs::FilterError),
    /// The trace exporter cannot be built.
    #[error("traces: {0}")]
    Traces(#[from] traces::ExportError),
    /// The metrics exporter cannot be built.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_export::StartError),
    /// Something else in this process already receives log lines.
    #[error("a log subscriber is already installed in this process")]
    Installed(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Running telemetry. Call [`Telemetry::shutdown`] last, or the spans of the last seconds are lost.
#[derive(Debug)]
pub struct Telemetry {
    export: Option<traces::Export>,
    metrics: Option<metrics_export::Export>,
}

impl Telemetry {
    /// Installs logs, the panic hook and, if an endpoint is configured, the exporters. Once a process, inside a runtime.
    pub fn start(
        settings: &TelemetrySettings,
        stream: LogStream,
        env: Env<'_>,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let export = traces::Export::start(settings, env, metrics.span_losses())?;
        let subscriber = subscriber(export.as_ref(), settings, stream, env)?;
        tracing::subscriber::set_global_default(subscriber)?;
        logs::install_panic_hook();
        let metrics = metrics_export::Export::start(settings, env, metrics)?;
        if settings.otlp_metrics && metrics.is_none() {
            tracing::warn!(
                "telemetry.otlp_metrics is set and there is no collector: set telemetry.otlp_endpoint or OTEL_EXPORTER_OTLP_ENDPOINT"
            );
        }
        Ok(Self { export, metrics })
    }

    /// Whether spans are created and exported at all.
    pub fn is_tracing(&self) -> bool {
        self.export.is_some()
    }

    /// Sends the last numbers and the remaining spans, each at most 5 seconds long and at the same time; the spans off the runtime's threads: a direct call can deadlock a runtime
    /// with one thread (crate `opentelemetry_sdk`, `span_processor.rs`).
    pub async fn shutdown(self) {
        let spans = self
            .export
            .map(|export| tokio::task::spawn_blocking(move || export.shutdown()));
        if let Some(metrics) = self.metrics {
            metrics.shutdown().await;
        }
        if let Some(spans) = spans
            && spans.await.is_err()
        {
            tracing::warn!("the last spans could not be flushed");
        }
    }
}

fn subscriber(
    export: Option<&traces::Export>,
    settings: &TelemetrySettings,
    stream: LogStream,
    env: Env<'_>,
) -> Result<impl Subscriber + Send + Sync + use<>, logs::FilterError> {
    Ok(tracing_subscriber::registry()
        .with(export.map(traces::Export::layer))
        .with(logs::layer(settings, stream, env)?))
}
