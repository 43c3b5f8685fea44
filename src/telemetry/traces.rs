//! The trace exporter: OTLP over HTTP/protobuf to a configured collector.
//!
//! No endpoint, no exporter and no spans at all: every span of `spans` is then disabled at its call site. A collector that
//! is down costs spans, one log line a minute and a counter, never a delivery.
//!
//! Not for the spans themselves, see `spans`.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{
    ParentBasedSampler, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use prometheus_client::metrics::counter::Counter;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

use super::{Env, TelemetrySettings, names, spans};

/// How long the last spans may take, in seconds. Must fit, with the drain, into the grace period of the pod.
const FLUSH_SECS: u64 = 5;

/// Links one span may hold. A claim links every row it took, and the SDK's default of 128 is less than a batch.
const LINKS_MAX: u32 = 1024;

/// Not more than one line about a collector that is down in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// The exporter cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The endpoint is not a URL.
    #[error(
        "the endpoint from {origin} is not an http or https URL; expected e.g. http://collector:4318"
    )]
    Endpoint {
        /// Where it was set.
        origin: &'static str,
    },
    /// The HTTP client cannot be built, most often because there are no root certificates.
    #[error("cannot build the OTLP client (are CA certificates installed?)")]
    Client(#[source] opentelemetry_otlp::ExporterBuildError),
}

/// A running exporter with its queue and thread.
#[derive(Debug)]
pub(super) struct Export {
    provider: SdkTracerProvider,
}

impl Export {
    /// `None` when no endpoint is configured, or `OTEL_SDK_DISABLED=true`, or `OTEL_TRACES_EXPORTER=none`.
    ///
    /// Queue, batch and delay are those of the SDK and of `OTEL_BSP_*`; headers and timeout of `OTEL_EXPORTER_OTLP_*`.
    pub(super) fn start(
        settings: &TelemetrySettings,
        env: Env<'_>,
        failures: Counter,
    ) -> Result<Option<Self>, ExportError> {
        let Some(endpoint) = endpoint(settings, env)? else {
            return Ok(None);
        };
        install_crypto();
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .build()
            .map_err(ExportError::Client)?;
        let mut builder = SdkTracerProvider::builder()
            .with_batch_exporter(Watched::new(exporter, failures))
            .with_sampler(sampler(settings, env))
            .with_resource(resource(settings, env));
        if env("OTEL_SPAN_LINK_COUNT_LIMIT").is_none() {
            builder = builder.with_max_links_per_span(LINKS_MAX);
        }
        Ok(Some(Self {
            provider: builder.build(),
        }))
    }

    /// Turns the spans of `spans`, and nothing else, into exported spans.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(names::SCHEMA_URL)
            .build();
        let ours =
            FilterFn::new(|metadata| metadata.is_span() && metadata.target() == spans::TARGET)
                .with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer_with_scope(scope))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    }

    /// Sends what is queued. Blocks for at most 5 seconds; not to be called on a thread of the async runtime.
    pub(super) fn shutdown(self) {
        if let Err(error) = self
            .provider
            .shutdown_with_timeout(Duration::from_secs(FLUSH_SECS))
        {
            tracing::warn!(error.type = error_type(&error), "the last spans could not be flushed");
        }
    }
}

/// The full URL of the collector's traces path. A base URL gets `/v1/traces`, as the OTLP specification says; the
/// signal's own variable is taken as it is.
fn endpoint(settings: &TelemetrySettings, env: Env<'_>) -> Result<Option<String>, ExportError> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    if off {
        return Ok(None);
    }
    let (text, origin, is_base) = if let Some(text) = settings.otlp_endpoint.clone() {
        (text, "the configuration", true)
    } else if let Some(text) = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        (text, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", false)
    } else if let Some(text) = set("OTEL_EXPORTER_OTLP_ENDPOINT") {
        (text, "OTEL_EXPORTER_OTLP_ENDPOINT", true)
    } else {
        return Ok(None);
    };
    let url = Url::parse(&text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or(ExportError::Endpoint { origin })?;
    let base = url.as_str().trim_end_matches('/');
    let is_full = !is_base || base.ends_with("/v1/traces");
    Ok(Some(if is_full {
        url.to_string()
    } else {
        format!("{base}/v1/traces")
    }))
}

/// Own roots are sampled by ratio. So are spans whose remote parent was not sampled: the application's decision must not
/// make the worker's failures invisible.
fn sampler(settings: &TelemetrySettings, env: Env<'_>) -> ParentBasedSampler {
    let root = match settings.sample_ratio.unwrap_or_else(|| ratio_from_env(env)) {
        ratio if ratio >= 1.0 => Sampler::AlwaysOn,
        ratio => Sampler::TraceIdRatioBased(ratio),
    };
    Sampler::parent_based(root.clone()).with_remote_parent_not_sampled(root)
}

/// The share `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` ask for; 1 when they say nothing readable.
fn ratio_from_env(env: Env<'_>) -> f64 {
    let name = env("OTEL_TRACES_SAMPLER").unwrap_or_default();
    match name.trim_start_matches("parentbased_") {
        "always_off" => 0.0,
        "traceidratio" => env("OTEL_TRACES_SAMPLER_ARG")
            .and_then(|text| text.parse().ok())
            .unwrap_or(1.0),
        _ => 1.0,
    }
}

/// Who is speaking. `OTEL_RESOURCE_ATTRIBUTES` and then `OTEL_SERVICE_NAME` win over our own.
fn resource(settings: &TelemetrySettings, env: Env<'_>) -> Resource {
    let mut own = vec![
        KeyValue::new(names::SERVICE_NAME, env!("CARGO_PKG_NAME")),
        KeyValue::new(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
        KeyValue::new(
            names::SERVICE_INSTANCE_ID,
            settings.service_instance_id.clone(),
        ),
    ];
    if let Some(environment) = &settings.environment {
        own.push(KeyValue::new(
            names::DEPLOYMENT_ENVIRONMENT_NAME,
            environment.clone(),
        ));
    }
    let builder = Resource::builder_empty()
        .with_schema_url(own, names::SCHEMA_URL)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match env("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()) {
        Some(name) => builder.with_service_name(name).build(),
        None => builder.build(),
    }
}

/// The exporter's HTTP client is built without a TLS provider of its own and panics if the process has none.
fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing the race against another thread that installs one is as good as winning it.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
    }
}

/// An exporter that counts its failures and speaks of them once a minute.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    failures: Counter,
    complained: Mutex<Option<Instant>>,
}

impl<E> Watched<E> {
    fn new(exporter: E, failures: Counter) -> Self {
        Self {
            exporter,
            failures,
            complained: Mutex::new(None),
        }
    }

    fn failed(&self, error: &OTelSdkError, now: Instant) {
        self.failures.inc();
        let mut last = self
            .complained
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if last.is_none_or(|last| now.duration_since(last) >= COMPLAIN_EVERY) {
            *last = Some(now);
            tracing::warn!(
                error.type = error_type(error),
                "spans could not be exported and are lost; is the OTLP collector reachable? deliveries are not affected"
            );
        }
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        if let Err(error) = &result {
            self.failed(error, Instant::now());
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The text of an export error may hold the collector's URL with credentials, so only its kind is logged.
fn error_type(error: &OTelSdkError) -> &'static str {
    match error {
        OTelSdkError::AlreadyShutdown => "shut_down",
        OTelSdkError::Timeout(_) => "timeout",
        OTelSdkError::InternalFailure(_) => "export",
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) mod receiver;
