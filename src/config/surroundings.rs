//! `[telemetry]`, `[http]` and `[identity]`: the sections around the work itself.

use std::net::{Ipv4Addr, SocketAddr};

use url::Url;

use super::read::Reader;
use crate::telemetry::{LogFormat, Relation, TelemetrySettings, logs};

/// What stands for the id in the address of a trace's page.
pub const TRACE_ID: &str = "{trace_id}";

/// `[telemetry]`.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// How log lines look. Default JSON.
    pub log_format: LogFormat,
    /// A filter as in `RUST_LOG`, such as `info,conversion_outbox=debug`. Default `info`.
    pub log_level: String,
    /// Base address of an OTLP/HTTP collector. Without it, and without the standard `OTEL_` variables, no traces leave.
    pub otlp_endpoint: Option<Url>,
    /// Whether the numbers of `/metrics` are sent to the collector as well. Default no; `OTEL_METRICS_EXPORTER=otlp` asks for it too.
    pub otlp_metrics: bool,
    /// Where a person sees a trace, with [`TRACE_ID`] in the place of its id. Without it no links are shown.
    pub trace_url: Option<String>,
    /// How a delivery's span belongs to the trace of the business transaction. Default a link.
    pub trace_relation: Relation,
    /// Share of new traces that are recorded, 0 to 1. Without it `OTEL_TRACES_SAMPLER` decides, and without that all are.
    pub sample_ratio: Option<f64>,
    /// The deployment's name, such as `production`, which also refuses settings meant for tests.
    pub environment: Option<String>,
}

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where probes and metrics are served. Default `127.0.0.1:9464`; in a container, `0.0.0.0:9464`.
    pub listen: SocketAddr,
}

/// `[identity]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityConfig {
    /// Calling code of phone numbers written without one, such as 49. Without it they are not used: a guess
    /// would be another person's number.
    pub default_calling_code: Option<u16>,
}

impl Default for TelemetryConfig {
    fn default() -> TelemetryConfig {
        TelemetryConfig {
            log_format: LogFormat::default(),
            log_level: "info".to_owned(),
            otlp_endpoint: None,
            otlp_metrics: false,
            trace_url: None,
            trace_relation: Relation::default(),
            sample_ratio: None,
            environment: None,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
        }
    }
}

impl TelemetryConfig {
    /// Reads the section; what is absent keeps its default.
    pub fn read(reader: &mut Reader<'_>) -> Option<TelemetryConfig> {
        let default = TelemetryConfig::default();
        let log_level = reader.text_where(
            "log_level",
            logs::is_filter,
            "must be a log filter",
            "write a level such as info, or directives such as info,conversion_outbox=debug",
        );
        let otlp_endpoint = reader.text("otlp_endpoint").and_then(|text| {
            let url = Url::parse(&text)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https"));
            if url.is_none() {
                let fix = "write the collector's base address, such as http://127.0.0.1:4318";
                reader.fault("otlp_endpoint", "must be an http or https address", fix);
            }
            url
        });
        Some(TelemetryConfig {
            log_format: reader
                .one_of(
                    "log_format",
                    &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)],
                )
                .unwrap_or(default.log_format),
            log_level: log_level.unwrap_or(default.log_level),
            otlp_endpoint,
            otlp_metrics: reader
                .boolean("otlp_metrics")
                .unwrap_or(default.otlp_metrics),
            trace_url: reader.text_where(
                "trace_url",
                is_trace_url,
                "must be an http or https address with {trace_id} in it, once",
                "write such as https://tempo.example.com/trace/{trace_id}",
            ),
            trace_relation: reader
                .one_of(
                    "trace_relation",
                    &[("link", Relation::Link), ("parent", Relation::Parent)],
                )
                .unwrap_or(default.trace_relation),
            sample_ratio: reader.share("sample_ratio"),
            environment: reader.text("environment"),
        })
    }

    /// The page of one trace, for a link that people follow. None where no such address is configured, or the id is none: 32
    /// lower-case hexadecimal digits.
    pub fn trace_url(&self, trace_id: &str) -> Option<String> {
        let is_id = trace_id.len() == 32
            && trace_id
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let template = self.trace_url.as_ref().filter(|_| is_id)?;
        Some(template.replace(TRACE_ID, trace_id))
    }

    /// What telemetry needs to know. `service_instance_id` is unlike in every replica.
    pub fn settings(&self, service_instance_id: String) -> TelemetrySettings {
        TelemetrySettings {
            log_format: self.log_format,
            filter: self.log_level.clone(),
            otlp_endpoint: self.otlp_endpoint.as_ref().map(Url::to_string),
            otlp_metrics: self.otlp_metrics,
            relation: self.trace_relation,
            sample_ratio: self.sample_ratio,
            environment: self.environment.clone(),
            service_instance_id,
        }
    }

    /// Whether this is the real thing, where settings meant for tests are refused.
    pub fn is_production(&self) -> bool {
        self.environment
            .as_deref()
            .is_some_and(|name| matches!(name, "production" | "prod"))
    }
}

/// With its one placeholder filled in, a URL that a page may link to. A host that is the placeholder is none.
fn is_trace_url(text: &str) -> bool {
    let filled = text.replace(TRACE_ID, "4bf92f3577b34da6a3ce929d0e0e4736");
    let is_web = Url::parse(&filled).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| text.contains(host))
    });
    is_web && text.matches(TRACE_ID).count() == 1
}

impl HttpConfig {
    /// Reads the section; what is absent keeps its default.
    pub fn read(reader: &mut Reader<'_>) -> Option<HttpConfig> {
        let listen = reader.text("listen").and_then(|text| {
            let address = text.parse().ok();
            if address.is_none() {
                let fix = "write an IP address and a port, such as 127.0.0.1:9464";
                reader.fault("listen", "must be an address to listen on", fix);
            }
            address
        });
        Some(listen.map_or_else(HttpConfig::default, |listen| HttpConfig { listen }))
    }
}

impl IdentityConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Option<IdentityConfig> {
        let code = reader.integer("default_calling_code", 1..=999);
        Some(IdentityConfig {
            default_calling_code: code.and_then(|code| code.try_into().ok()),
        })
    }
}
