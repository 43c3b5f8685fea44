//! Where telemetry goes, and who speaks: what configuration and the standard `OTEL_*` variables say together.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use url::Url;

use super::{Env, TelemetrySettings, names};

/// How long a collector may take for one export, unless a variable says otherwise (OTLP exporter specification).
const TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a collector cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "the endpoint from {origin} is not an http or https URL; expected e.g. http://collector:4318"
)]
pub struct EndpointError {
    /// Where it was set.
    pub origin: &'static str,
}

/// One kind of telemetry, as the specification names its path and its variables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal {
    path: &'static str,
    endpoint: &'static str,
    exporter: &'static str,
    headers: &'static str,
    timeout: &'static str,
}

pub(super) const TRACES: Signal = Signal {
    path: "/v1/traces",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    exporter: "OTEL_TRACES_EXPORTER",
    headers: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
};

pub(super) const METRICS: Signal = Signal {
    path: "/v1/metrics",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    exporter: "OTEL_METRICS_EXPORTER",
    headers: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
};

impl Signal {
    /// The full URL of the collector's path for it. A base URL gets the path, as the OTLP specification says; the signal's
    /// own variable is taken as it is. None where nothing is set, or the SDK or the exporter is switched off.
    pub(super) fn endpoint(
        self,
        settings: &TelemetrySettings,
        env: Env<'_>,
    ) -> Result<Option<String>, EndpointError> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let is_off = set("OTEL_SDK_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || set(self.exporter).is_some_and(|value| value == "none");
        if is_off {
            return Ok(None);
        }
        let (text, origin, is_base) = if let Some(text) = settings.otlp_endpoint.clone() {
            (text, "the configuration", true)
        } else if let Some(text) = set(self.endpoint) {
            (text, self.endpoint, false)
        } else if let Some(text) = set("OTEL_EXPORTER_OTLP_ENDPOINT") {
            (text, "OTEL_EXPORTER_OTLP_ENDPOINT", true)
        } else {
            return Ok(None);
        };
        let url = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or(EndpointError { origin })?;
        if !is_base {
            return Ok(Some(url.to_string()));
        }
        // Whoever wrote the path of one signal meant the collector.
        let base = url.as_str().trim_end_matches('/');
        let base = [TRACES.path, METRICS.path]
            .iter()
            .find_map(|path| base.strip_suffix(path))
            .unwrap_or(base);
        Ok(Some(format!("{base}{}", self.path)))
    }

    /// What a variable says of the exporter, such as `otlp`; empty where nothing is said.
    pub(super) fn exporter(self, env: Env<'_>) -> String {
        env(self.exporter).unwrap_or_default()
    }

    /// Headers for the collector: `name=value`, comma separated, values as in a URL. The signal's own come last.
    pub(super) fn headers(self, env: Env<'_>) -> Vec<(String, String)> {
        ["OTEL_EXPORTER_OTLP_HEADERS", self.headers]
            .iter()
            .filter_map(|name| env(name))
            .flat_map(|text| text.split(',').filter_map(header).collect::<Vec<_>>())
            .collect()
    }

    /// How long the collector may take for one export.
    pub(super) fn timeout(self, env: Env<'_>) -> Duration {
        [self.timeout, "OTEL_EXPORTER_OTLP_TIMEOUT"]
            .iter()
            .find_map(|name| millis(env, name))
            .unwrap_or(TIMEOUT)
    }
}

/// A duration that a variable gives in milliseconds, above nought.
pub(super) fn millis(env: Env<'_>, name: &str) -> Option<Duration> {
    let millis: u64 = env(name)?.trim().parse().ok()?;
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// Who is speaking. `OTEL_RESOURCE_ATTRIBUTES` and then `OTEL_SERVICE_NAME` win over our own.
pub(super) fn resource(settings: &TelemetrySettings, env: Env<'_>) -> Resource {
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

fn header(pair: &str) -> Option<(String, String)> {
    // In this list a plus is a plus, other than in a form.
    let pair = pair.trim().replace('+', "%2B");
    let (name, value) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    let (name, value) = (name.trim(), value.trim());
    (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(signal: Signal, configured: Option<&str>, env: &[(&str, &str)]) -> Option<String> {
        let settings = TelemetrySettings {
            otlp_endpoint: configured.map(str::to_owned),
            ..Default::default()
        };
        signal.endpoint(&settings, &|name| from(env, name)).unwrap()
    }

    fn from(env: &[(&str, &str)], name: &str) -> Option<String> {
        env.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_endpoint_is_resolved_as_the_specification_says() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318/");
        let own = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://signal:4318/custom",
        );
        let traces = |configured, env: &[(&str, &str)]| resolved(TRACES, configured, env);
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(traces(None, &[]), None);
        assert_eq!(traces(None, &[base]), is("http://base:4318/v1/traces"));
        assert_eq!(traces(None, &[base, own]), is("http://signal:4318/custom"));
        assert_eq!(
            resolved(METRICS, None, &[base, own]),
            is("http://base:4318/v1/metrics")
        );
        assert_eq!(
            traces(Some("https://own/otlp"), &[base]),
            is("https://own/otlp/v1/traces")
        );
        for signal in [TRACES, METRICS] {
            let url = resolved(signal, Some("https://own/v1/traces"), &[]);
            assert_eq!(url, is(&format!("https://own{}", signal.path)));
        }
        assert_eq!(traces(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), None);
        assert_eq!(traces(None, &[base, ("OTEL_SDK_DISABLED", "True")]), None);
        assert_eq!(
            traces(Some("http://own"), &[("OTEL_TRACES_EXPORTER", "none")]),
            None
        );
    }

    #[test]
    fn a_bad_endpoint_is_named_by_its_origin_and_not_repeated() {
        let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://user:hunter2@base")];
        let error = TRACES
            .endpoint(&TelemetrySettings::default(), &|name| from(&env, name))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn headers_and_time_limit_are_read_as_the_specification_writes_them() {
        let env = [
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "a=1, authorization=Bearer%20x+y==",
            ),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "b=2,,=3"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "0"),
        ];
        let env = |name: &str| from(&env, name);
        let pairs = [("a", "1"), ("authorization", "Bearer x+y=="), ("b", "2")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(METRICS.headers(&env), pairs);
        assert_eq!(METRICS.timeout(&env), Duration::from_millis(1500));
        assert_eq!(TRACES.timeout(&|_| None), TIMEOUT);
    }
}
