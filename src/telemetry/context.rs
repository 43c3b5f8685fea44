//! The W3C trace context a row carries from the business transaction that inserted it.
//!
//! Only `traceparent` and `tracestate`; baggage is never read, since applications put personal data there.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// A trace id as it is stored with a delivery: 16 bytes, never all zero.
pub type TraceId = [u8; 16];

/// The remote span that inserted the row. Valid by construction.
#[derive(Clone, Debug, PartialEq)]
pub struct RowContext(SpanContext);

impl RowContext {
    /// Reads the two columns. Anything malformed, upper-case or all zero gives `None` and never an error: a row without
    /// a trace is delivered like any other (W3C Trace Context, section 3.2.2).
    pub fn parse(traceparent: Option<&str>, tracestate: Option<&str>) -> Option<Self> {
        let columns = Columns {
            traceparent: traceparent?,
            tracestate,
        };
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &columns);
        let span_context = context.span().span_context().clone();
        span_context.is_valid().then_some(Self(span_context))
    }

    /// The trace of the business transaction.
    pub fn trace_id(&self) -> TraceId {
        self.0.trace_id().to_bytes()
    }

    /// Whether somebody keeps that trace.
    pub fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }

    /// For a link.
    pub(super) fn span_context(&self) -> SpanContext {
        self.0.clone()
    }

    /// For a parent.
    pub(super) fn as_parent(&self) -> Context {
        Context::new().with_remote_span_context(self.0.clone())
    }
}

struct Columns<'a> {
    traceparent: &'a str,
    tracestate: Option<&'a str>,
}

impl Extractor for Columns<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.traceparent),
            "tracestate" => self.tracestate,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_both_columns() {
        let row = RowContext::parse(Some(GOOD), Some("vendor=1")).unwrap();
        assert_eq!(
            row.trace_id()[..4],
            [0x4b, 0xf9, 0x2f, 0x35],
            "the trace id is the second field"
        );
        assert_eq!(row.span_context().trace_state().header(), "vendor=1");
        assert!(row.span_context().is_remote());
    }

    #[test]
    fn garbage_is_no_context_and_no_error() {
        for text in [
            "",
            "garbage",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(RowContext::parse(Some(text), None), None, "{text:?}");
        }
        assert_eq!(RowContext::parse(None, Some("vendor=1")), None);
        assert!(RowContext::parse(Some(GOOD), Some("not a state !")).is_some());
    }
}
