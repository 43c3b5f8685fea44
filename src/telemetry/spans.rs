//! The spans of one delivery's way, named as OpenTelemetry's messaging, HTTP and database conventions say.
//!
//! | what | kind | name | relation |
//! |---|---|---|---|
//! | [`receive`] | CLIENT | `receive conversion_outbox` | root; a link to every row |
//! | [`process`] | CONSUMER | `process <destination>` | root, or child of the row's span; a link to the row |
//! | [`request`] | CLIENT | `POST` | child of its delivery; of a batch, a root with links both ways |
//! | [`settle`] | CLIENT | `settle conversion_outbox` | root, or child of where it is called |
//!
//! Without an exporter no layer wants [`TARGET`]: a call then costs one atomic load and returns a disabled span.
//! Parents and links are set before a span is first entered; afterwards they would be refused.
//! Status stays unset on success. Not for logs: log lines never depend on a span.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, Status, TraceContextExt};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};
use url::Url;

use super::context::{RowContext, TraceId};
use super::{Relation, names, redact};

/// The target of every span here; the trace layer takes these and no others.
pub const TARGET: &str = "conversion_outbox::trace";

/// What a delivery's span says about it.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Configured name of the destination.
    pub destination: &'a str,
    /// The row's event id.
    pub event_id: &'a str,
    /// The order, payment, booking, lead or deal.
    pub business_id: &'a str,
    /// The row's event name.
    pub event_type: &'a str,
    /// From 1.
    pub attempt: u32,
    /// The row's trace, if it has one.
    pub row: Option<&'a RowContext>,
}

/// One claim that took `rows`, each an event id and its context. Not for polls that found nothing: those are counted.
pub fn receive<'a>(rows: impl ExactSizeIterator<Item = (&'a str, Option<&'a RowContext>)>) -> Span {
    let span = tracing::info_span!(target: TARGET, parent: None, "receive conversion_outbox", otel.kind = "client");
    if span.is_disabled() {
        return span;
    }
    messaging(&span, "receive", names::SYSTEM);
    span.set_attribute(names::MESSAGING_BATCH_MESSAGE_COUNT, count(rows.len()));
    for (event_id, row) in rows {
        if let Some(row) = row {
            let id = KeyValue::new(names::MESSAGING_MESSAGE_ID, event_id.to_owned());
            span.add_link_with_attributes(row.span_context(), vec![id]);
        }
    }
    span
}

/// One attempt at one delivery. Never a child of the claim. Finish it with [`finish`].
pub fn process(delivery: &Delivery<'_>, relation: Relation) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "process",
        otel.name = format!("process {}", delivery.destination),
        otel.kind = "consumer",
    );
    if span.is_disabled() {
        return span;
    }
    if let Some(row) = delivery.row {
        if relation == Relation::Parent && delivery.attempt == 1 {
            let parented = span.set_parent(row.as_parent());
            debug_assert!(
                !matches!(parented, Err(SetParentError::AlreadyStarted)),
                "the parent is set before the span starts"
            );
        }
        span.add_link(row.span_context());
    }
    messaging(&span, "process", delivery.destination);
    span.set_attribute(names::MESSAGING_MESSAGE_ID, delivery.event_id.to_owned());
    span.set_attribute(
        names::MESSAGING_MESSAGE_CONVERSATION_ID,
        delivery.business_id.to_owned(),
    );
    span.set_attribute(names::EVENT_TYPE, delivery.event_type.to_owned());
    span.set_attribute(names::ATTEMPT, i64::from(delivery.attempt));
    span
}

/// One HTTP request that carries `deliveries`, their spans. Finish it with [`answered`].
pub fn request(method: &str, url: &Url, deliveries: &[Span]) -> Span {
    let parent = match deliveries {
        [only] => only.id(),
        _ => None,
    };
    let span = tracing::info_span!(
        target: TARGET,
        parent: parent,
        "request",
        otel.name = method,
        otel.kind = "client",
    );
    if span.is_disabled() {
        return span;
    }
    if deliveries.len() > 1 {
        // The links to the deliveries come first: asking for this span's own context starts it.
        for delivery in deliveries {
            span.add_link(span_context(delivery));
        }
        let own = span_context(&span);
        for delivery in deliveries {
            delivery.add_link(own.clone());
        }
    }
    span.set_attribute(names::HTTP_REQUEST_METHOD, method.to_owned());
    span.set_attribute(names::URL_FULL, redact::scrub_url(url));
    if let Some(host) = url.host_str() {
        span.set_attribute(names::SERVER_ADDRESS, host.to_owned());
    }
    if let Some(port) = url.port_or_known_default() {
        span.set_attribute(names::SERVER_PORT, i64::from(port));
    }
    span
}

/// What became of a request: its status code, and for a failure a word of a short closed list (`timeout`, `connect`, `tls`,
/// or the code itself when `None` is given with a code of 400 or more).
pub fn answered(span: &Span, code: Option<u16>, error_type: Option<&'static str>) {
    if span.is_disabled() {
        return;
    }
    if let Some(code) = code {
        span.set_attribute(names::HTTP_RESPONSE_STATUS_CODE, i64::from(code));
    }
    match (error_type, code) {
        (Some(error_type), _) => failed(span, error_type.to_owned()),
        (None, Some(code)) if code >= 400 => failed(span, code.to_string()),
        _ => {}
    }
}

/// What became of an attempt: its outcome, e.g. `accepted`, `retry`, and `error_type` if it is a failure. Suppressed and
/// skipped are not.
pub fn finish(span: &Span, result: &'static str, error_type: Option<&'static str>) {
    if span.is_disabled() {
        return;
    }
    span.set_attribute(names::RESULT_CLASS, result);
    if let Some(error_type) = error_type {
        failed(span, error_type.to_owned());
    }
}

/// One write-back of `count` outcomes, one database statement. Finish a failed one with [`settle_failed`].
pub fn settle(deliveries: usize) -> Span {
    let span =
        tracing::info_span!(target: TARGET, "settle conversion_outbox", otel.kind = "client");
    if span.is_disabled() {
        return span;
    }
    messaging(&span, "settle", names::SYSTEM);
    span.set_attribute(names::MESSAGING_BATCH_MESSAGE_COUNT, count(deliveries));
    span.set_attribute(names::DB_SYSTEM_NAME, "postgresql");
    span.set_attribute(names::DB_QUERY_SUMMARY, "settle conversion_outbox");
    span
}

/// The write-back failed with this SQLSTATE, or without one when the connection was lost.
pub fn settle_failed(span: &Span, sqlstate: Option<&str>) {
    if span.is_disabled() {
        return;
    }
    if let Some(sqlstate) = sqlstate {
        span.set_attribute(names::DB_RESPONSE_STATUS_CODE, sqlstate.to_owned());
    }
    failed(span, sqlstate.unwrap_or("connection").to_owned());
}

/// The trace to write beside the attempt: that of `span` if it is exported, else that of the row, else none.
/// Starts the span, so its parent and links must be set.
pub fn trace_id(span: &Span, row: Option<&RowContext>) -> Option<TraceId> {
    sampled_trace(span).or_else(|| row.map(RowContext::trace_id))
}

/// The trace of `span` if it is exported. Starts the span, so its parent and links must be set.
pub fn sampled_trace(span: &Span) -> Option<TraceId> {
    if span.is_disabled() {
        return None;
    }
    let context = span_context(span);
    context.is_sampled().then(|| context.trace_id().to_bytes())
}

fn span_context(span: &Span) -> SpanContext {
    span.context().span().span_context().clone()
}

fn messaging(span: &Span, operation: &'static str, destination: &str) {
    span.set_attribute(names::MESSAGING_SYSTEM, names::SYSTEM);
    span.set_attribute(names::MESSAGING_OPERATION_NAME, operation);
    span.set_attribute(names::MESSAGING_OPERATION_TYPE, operation);
    span.set_attribute(names::MESSAGING_DESTINATION_NAME, destination.to_owned());
}

fn failed(span: &Span, error_type: String) {
    span.set_attribute(names::ERROR_TYPE, error_type);
    span.set_status(Status::error(""));
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
