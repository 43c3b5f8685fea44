//! Log lines: one line an event, JSON or for people, and the panic hook.
//!
//! Lines say everything themselves: fields of spans are not repeated in them, because without a trace exporter there are
//! no spans. Dependencies are never heard below WARN, whatever the filter says: HTTP and database crates print bodies
//! and rows at DEBUG and TRACE. Text passes `redact::scrub` on its way out, as a second net under careful call sites.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::panic::PanicHookInfo;

use chrono::{SecondsFormat, Utc};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, FilterFn, ParseError, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::{Env, LogFormat, LogStream, TelemetrySettings, redact};

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} from {origin} is not a list of `level` or `target=level`, e.g. `info,conversion_outbox=debug`"
)]
pub struct FilterError {
    text: String,
    origin: &'static str,
    source: ParseError,
}

/// Whether the text is a list of `level` or `target=level` that [`FilterError`] would not complain of.
pub fn is_filter(text: &str) -> bool {
    !text.is_empty() && text.parse::<Targets>().is_ok()
}

/// The layer that writes log lines to `stream`.
pub(super) fn layer<S>(
    settings: &TelemetrySettings,
    stream: LogStream,
    env: Env<'_>,
) -> Result<impl Layer<S> + use<S>, FilterError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let wanted = wanted(settings, env)?;
    let writer = match stream {
        LogStream::Stdout => BoxMakeWriter::new(std::io::stdout),
        LogStream::Stderr => BoxMakeWriter::new(std::io::stderr),
    };
    Ok(to_writer(settings.log_format, wanted, writer))
}

/// Logs where and on which thread a panic happened. Its message is left out: `expect` and `assert` print the values
/// they were given, and those may be a person's.
pub(super) fn install_panic_hook() {
    std::panic::set_hook(Box::new(report));
}

fn to_writer<S>(format: LogFormat, wanted: Targets, writer: BoxMakeWriter) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let events =
        FilterFn::new(|metadata| metadata.is_event()).with_max_level_hint(LevelFilter::TRACE);
    let own = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("conversion_outbox", LevelFilter::TRACE);
    tracing_subscriber::fmt::layer()
        .event_format(Line(format))
        .with_writer(writer)
        .with_filter(wanted.and(own).and(events))
}

fn report(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(
        location = place.as_deref().unwrap_or("unknown"),
        thread = std::thread::current().name().unwrap_or("unnamed"),
        "panic: a bug in this program; its message is withheld because it may hold personal data"
    );
}

fn wanted(settings: &TelemetrySettings, env: Env<'_>) -> Result<Targets, FilterError> {
    let (text, origin) = match env("RUST_LOG").filter(|text| !text.is_empty()) {
        Some(text) => (text, "RUST_LOG"),
        None if settings.filter.is_empty() => ("info".to_owned(), "the default"),
        None => (settings.filter.clone(), "the configuration"),
    };
    text.parse().map_err(|source| FilterError {
        text,
        origin,
        source,
    })
}

/// Formats one event.
struct Line(LogFormat);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.add_trace();
        let ts = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let (level, target) = (event.metadata().level(), event.metadata().target());
        match self.0 {
            LogFormat::Json => {
                let msg = json_text(&fields.msg);
                write!(
                    out,
                    r#"{{"ts":"{ts}","level":"{level}","target":"{target}","msg":{msg}"#
                )?;
                for (name, value) in &fields.rest {
                    write!(out, ",{}:{value}", json_text(name))?;
                }
                writeln!(out, "}}")
            }
            LogFormat::Pretty => {
                write!(out, "{ts} {level:5} {target}: {}", fields.msg)?;
                for (name, value) in &fields.rest {
                    write!(out, " {name}={value}")?;
                }
                writeln!(out)
            }
        }
    }
}

/// The fields of one event: its message, and the rest as JSON values in the order they were given.
#[derive(Default)]
struct Fields {
    msg: String,
    rest: Vec<(&'static str, String)>,
}

/// Fields that name a thing of ours. They are long or hexadecimal, so that scrubbing would hide them, and never personal.
const IDENTIFIERS: [&str; 7] = [
    "event_id",
    "trace_id",
    "span_id",
    "destination",
    "location",
    "revision",
    "day",
];

impl Fields {
    fn text(&mut self, field: &Field, text: &str) {
        let text = match IDENTIFIERS.contains(&field.name()) {
            true => Cow::Borrowed(text),
            false => redact::scrub(text),
        };
        match field.name() {
            "message" => self.msg = text.into_owned(),
            name => self.rest.push((name, json_text(&text))),
        }
    }

    fn number(&mut self, field: &Field, value: impl fmt::Display) {
        self.rest.push((field.name(), value.to_string()));
    }

    /// The ids of the span this event happened in, unless the call site gave the row's.
    fn add_trace(&mut self) {
        if self.rest.iter().any(|(name, _)| *name == "trace_id") {
            return;
        }
        Context::map_current(|context| {
            let span = context.span().span_context().clone();
            if span.is_valid() {
                self.rest
                    .push(("trace_id", format!("\"{}\"", span.trace_id())));
                self.rest
                    .push(("span_id", format!("\"{}\"", span.span_id())));
            }
        });
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A Debug that fails half-way has still said something worth a line.
        if write!(text, "{value:?}").is_err() {
            text.push('…');
        }
        self.text(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let chain: Vec<String> = std::iter::successors(Some(value), |error| error.source())
            .map(ToString::to_string)
            .collect();
        self.text(field, &chain.join(": "));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.number(field, value),
            false => self.text(field, &value.to_string()),
        }
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
