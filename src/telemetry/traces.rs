//! The trace exporter: OTLP over HTTP/protobuf to a configured collector.
//!
//! No endpoint, no exporter and no spans at all: every span of `spans` is then disabled at its call site. A collector that
//! is down costs spans, one log line a minute and a counter, never a delivery.
//!
//! Not for the spans themselves, see `spans`.

mod kept;
mod queue;

use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::trace::{ParentBasedSampler, Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::registry::LookupSpan;

use super::endpoint::{self, EndpointError, TRACES};
use super::ids::RootedIds;
use super::losses::{Losses, error_type};
use super::{Env, TelemetrySettings, names, spans};
use kept::FailuresKept;
use queue::Queue;

/// How long the last spans may take. Must fit, with the drain, into the grace period of the pod.
const FLUSH: Duration = Duration::from_secs(5);

/// Links one span may hold. A claim links every row it took, and the SDK's default of 128 is less than a batch.
const LINKS_MAX: u32 = 1024;

/// The exporter cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The collector's address cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The HTTP client cannot be built, most often because there are no root certificates.
    #[error("cannot build the OTLP client (are CA certificates installed?)")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
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
        losses: Losses,
    ) -> Result<Option<Self>, ExportError> {
        let Some(endpoint) = TRACES.endpoint(settings, env)? else {
            return Ok(None);
        };
        // The exporter's HTTP client is built without a TLS provider of its own and panics if the process has none.
        crate::tls::install_provider();
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_http_client(
                client(TRACES.timeout(env)).map_err(|error| ExportError::Client(error.into()))?,
            )
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .build()
            .map_err(|error| ExportError::Client(error.into()))?;
        let mut builder = SdkTracerProvider::builder()
            .with_span_processor(Queue::start(exporter, spans_max(env), losses))
            .with_id_generator(RootedIds::default())
            .with_resource(endpoint::resource(settings, env));
        let sampler = sampler(settings, env);
        builder = if is_off(settings, env) {
            builder.with_sampler(sampler)
        } else {
            builder.with_sampler(FailuresKept(sampler))
        };
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
        self.shutdown_within(FLUSH);
    }

    fn shutdown_within(self, patience: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(patience) {
            tracing::warn!(error.type = error_type(&error), "the last spans could not be flushed");
        }
    }
}

/// Follows no redirect: the collector's headers hold a key, and another host is not to get it.
fn client(timeout: Duration) -> Result<reqwest::blocking::Client, reqwest::Error> {
    let build = move || {
        reqwest::blocking::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .user_agent(concat!("conversion-outbox/", env!("CARGO_PKG_VERSION")))
            .build()
    };
    // It panics where a runtime is at work, so it is built elsewhere.
    std::thread::spawn(build)
        .join()
        .expect("building a client does not panic")
}

fn spans_max(env: Env<'_>) -> usize {
    env("OTEL_BSP_MAX_QUEUE_SIZE")
        .and_then(|text| text.parse().ok())
        .filter(|max| *max > 0)
        .unwrap_or(queue::SPANS_MAX)
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

/// Whether somebody wants no span at all, failed or not. A share of 0 in the configuration means failures alone.
fn is_off(settings: &TelemetrySettings, env: Env<'_>) -> bool {
    let name = env("OTEL_TRACES_SAMPLER").unwrap_or_default();
    settings.sample_ratio.is_none() && name.trim_start_matches("parentbased_") == "always_off"
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

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) mod receiver;
