//! The W3C trace context a row carries from the business transaction that inserted it.
//!
//! Only `traceparent` and `tracestate`; baggage is never read, since applications put personal data there.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::ids;

/// Length of a `traceparent` of version 00. A later version may say more after it, which nobody here can read.
const TRACEPARENT_CHARS: usize = 55;

/// A trace id as it is stored with a delivery: 16 bytes, never all zero.
pub type TraceId = [u8; 16];

/// The remote span that inserted the row. Valid by construction.
#[derive(Clone, Debug, PartialEq)]
pub struct RowContext(SpanContext);

impl RowContext {
    /// Reads the two columns. Anything malformed, upper-case, all zero or too long gives `None` and never an error: a row
    /// without a trace is delivered like any other (W3C Trace Context, section 3.2.2).
    pub fn parse(traceparent: Option<&str>, tracestate: Option<&str>) -> Option<Self> {
        let columns = Columns {
            traceparent: readable(traceparent?)?,
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

/// A place in a trace: a span that a log line can name and a link can point to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(SpanContext);

impl Place {
    /// Where a delivery was told before: the span of its last try, if that was recorded in a trace of its own; else the
    /// application's span. `trace_id` is what is stored beside the delivery. None without either.
    pub fn stored(trace_id: Option<TraceId>, row: Option<&RowContext>) -> Option<Place> {
        match (trace_id, row) {
            (Some(trace_id), Some(row)) if trace_id == row.trace_id() => Some(Place::of_row(row)),
            (Some(trace_id), _) => Some(Place(ids::root_of(trace_id))),
            (None, row) => row.map(Place::of_row),
        }
    }

    /// The span that wrote the row.
    pub fn of_row(row: &RowContext) -> Place {
        Place(row.span_context())
    }

    /// Of a span that runs.
    pub(super) fn of(span: SpanContext) -> Place {
        Place(span)
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }

    /// 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        self.0.span_id().to_string()
    }

    /// As it is stored.
    pub fn stored_id(&self) -> TraceId {
        self.0.trace_id().to_bytes()
    }

    /// For a link.
    pub(super) fn span_context(&self) -> SpanContext {
        self.0.clone()
    }
}

/// What can be read of a `traceparent`: lower-case digits and hyphens at their places. A version that is not ours is cut
/// to what all versions share.
fn readable(traceparent: &str) -> Option<&str> {
    let bytes = traceparent.as_bytes();
    let is_hyphen = |at: usize| matches!(at, 2 | 35 | 52);
    let known = traceparent.get(..TRACEPARENT_CHARS)?;
    let is_formed = known.bytes().enumerate().all(|(at, byte)| {
        if is_hyphen(at) {
            byte == b'-'
        } else {
            matches!(byte, b'0'..=b'9' | b'a'..=b'f')
        }
    });
    let may_be_longer = !known.starts_with("00");
    let ends_well = match bytes.get(TRACEPARENT_CHARS) {
        None => true,
        Some(byte) => may_be_longer && *byte == b'-',
    };
    (is_formed && ends_well).then_some(known)
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
            "00-4bf92f3577b34da6a3ce929d0e0e4736-+0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0é",
        ] {
            assert_eq!(RowContext::parse(Some(text), None), None, "{text:?}");
        }
        assert_eq!(RowContext::parse(None, Some("vendor=1")), None);
        assert!(RowContext::parse(Some(GOOD), Some("not a state !")).is_some());
        let later = format!("01{}-{}", &GOOD[2..], "x".repeat(1 << 20));
        let later = RowContext::parse(Some(&later), None)
            .expect("a later version is read as far as it is known");
        assert_eq!(later.trace_id()[..4], [0x4b, 0xf9, 0x2f, 0x35]);
    }

    #[test]
    fn a_stored_trace_id_leads_to_the_try_or_to_the_row() {
        let row = RowContext::parse(Some(GOOD), None).unwrap();
        let own: TraceId = core::array::from_fn(|at| at as u8 + 1);
        let at = |trace_id, row| {
            let place = Place::stored(trace_id, row).unwrap();
            (place.trace_id(), place.span_id())
        };
        let of_row = (
            "4bf92f3577b34da6a3ce929d0e0e4736".into(),
            "00f067aa0ba902b7".into(),
        );
        assert_eq!(at(None, Some(&row)), of_row);
        assert_eq!(
            at(Some(row.trace_id()), Some(&row)),
            of_row,
            "it was told in the row's own trace"
        );
        assert_eq!(
            at(Some(own), Some(&row)),
            (
                "0102030405060708090a0b0c0d0e0f10".into(),
                "090a0b0c0d0e0f10".into()
            )
        );
        assert_eq!(Place::stored(None, None), None);
    }
}
