//! The spans of one delivery's way, named as OpenTelemetry's messaging, HTTP and database conventions say.
//!
//! | what | kind | name | relation |
//! |---|---|---|---|
//! | [`receive`] | CLIENT | `receive conversion_outbox` | root; a link to every row |
//! | [`process`] | CONSUMER | `process <destination>` | root, or child of the row's span; links to the row and to the try before |
//! | [`request`] | CLIENT | `POST` | child of its delivery; of a batch, a root with links both ways |
//! | [`late`] | CONSUMER | `process <destination>` | root; a link to every delivery that the answer is about |
//! | [`settle`] | CLIENT | `settle conversion_outbox` | root, or child of a late answer; a link to every delivery |
//! | [`write()`] | CLIENT | `UPDATE conversion_outbox.delivery` | child of its write-back, one a try |
//!
//! Without an exporter no layer wants [`TARGET`]: a call then costs one atomic load and returns a disabled span.
//! Parents and links are set before a span is first entered; afterwards a parent would be refused.
//! Status stays unset on success. Not for logs: log lines never depend on a span.

use opentelemetry::trace::{SpanContext, Status, TraceContextExt};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};
use url::Url;

use super::context::{Place, RowContext, TraceId};
use super::{Relation, names, redact};

/// The target of every span here; the trace layer takes these and no others.
pub const TARGET: &str = "conversion_outbox::trace";

/// The statement of a write-back, as the conventions summarise one.
const WRITE: &str = "UPDATE conversion_outbox.delivery";

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
    /// The try before this one.
    pub earlier: Option<&'a Place>,
}

/// One claim, from before its statement on. Finish it with [`received`] or [`nothing_received`].
pub fn receive() -> Span {
    tracing::info_span!(target: TARGET, parent: None, "receive conversion_outbox", otel.kind = "client")
}

/// The claim took `rows`, each an event id and its context.
pub fn received<'a>(
    span: &Span,
    rows: impl ExactSizeIterator<Item = (&'a str, Option<RowContext>)>,
) {
    if span.is_disabled() {
        return;
    }
    messaging(span, "receive", names::SYSTEM);
    span.set_attribute(names::MESSAGING_BATCH_MESSAGE_COUNT, count(rows.len()));
    for (event_id, row) in rows {
        if let Some(row) = row {
            let id = KeyValue::new(names::MESSAGING_MESSAGE_ID, event_id.to_owned());
            let attributes = vec![KeyValue::new(names::LINK, names::APPLICATION), id];
            span.add_link_with_attributes(row.span_context(), attributes);
        }
    }
}

/// A poll that found nothing, or failed: it leaves no span, since polls are counted.
pub fn nothing_received(span: &Span) {
    if !span.is_disabled() {
        set_parent(span, Context::new().with_telemetry_suppressed());
    }
}

/// One attempt at one delivery, or its end without one. Never a child of the claim. Finish it with [`finish`].
pub fn process(delivery: &Delivery<'_>, relation: Relation) -> Span {
    let span = processing(delivery.destination);
    if span.is_disabled() {
        return span;
    }
    if let Some(row) = delivery.row {
        if relation == Relation::Parent && delivery.attempt == 1 {
            set_parent(&span, row.as_parent());
        }
        link(&span, row.span_context(), names::APPLICATION);
    }
    // A try that was told in the row's own trace is found by the link above.
    let is_elsewhere = |earlier: &&Place| {
        delivery
            .row
            .is_none_or(|row| row.trace_id() != earlier.stored_id())
    };
    if let Some(earlier) = delivery.earlier.filter(is_elsewhere) {
        link(&span, earlier.span_context(), names::EARLIER_TRY);
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

/// What a platform says later of a request that carried `count` deliveries; `deliveries` are the last tries of them, or as many
/// as were looked up. The question is a [`request`] below it. Finish it with [`finish`].
pub fn late(destination: &str, deliveries: &[Place], size: usize) -> Span {
    let span = processing(destination);
    if span.is_disabled() {
        return span;
    }
    for delivery in deliveries {
        link(&span, delivery.span_context(), names::DELIVERY);
    }
    messaging(&span, "process", destination);
    span.set_attribute(names::MESSAGING_BATCH_MESSAGE_COUNT, count(size));
    span
}

/// One HTTP request for `deliveries`, their spans. Finish it with [`answered`].
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
            link(&span, span_context(delivery), names::DELIVERY);
        }
        let own = span_context(&span);
        for delivery in deliveries {
            link(delivery, own.clone(), names::REQUEST);
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

/// The platform's own number of the request: from the answer's header of this lower-case name, or without one from its body.
pub fn numbered(span: &Span, header: Option<&str>, number: String) {
    match header {
        // A header may come several times, so that the conventions make it a list.
        Some(header) => {
            let key = format!("{}.{header}", names::HTTP_RESPONSE_HEADER);
            let list = Array::String(vec![StringValue::from(number)]);
            span.set_attribute(key, Value::Array(list));
        }
        None => span.set_attribute(names::PLATFORM_REQUEST_ID, number),
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

/// Why a delivery ended without a request. To be called beside [`finish`].
pub fn because(span: &Span, reason: &'static str) {
    span.set_attribute(names::REASON, reason);
}

/// One write-back of these deliveries, each by its last try, of `size` in all.
pub fn settle(deliveries: impl Iterator<Item = Place>, size: usize) -> Span {
    let span =
        tracing::info_span!(target: TARGET, "settle conversion_outbox", otel.kind = "client");
    if span.is_disabled() {
        return span;
    }
    messaging(&span, "settle", names::SYSTEM);
    span.set_attribute(names::MESSAGING_BATCH_MESSAGE_COUNT, count(size));
    for delivery in deliveries {
        link(&span, delivery.span_context(), names::DELIVERY);
    }
    span
}

/// The write-back was given up with this SQLSTATE, or without one when the connection was lost.
pub fn settle_failed(span: &Span, sqlstate: Option<&str>) {
    if !span.is_disabled() {
        failed(span, sqlstate.unwrap_or("connection").to_owned());
    }
}

/// One statement of a write-back. Finish a failed one with [`write_failed`].
pub fn write(settle: &Span) -> Span {
    let span = tracing::info_span!(target: TARGET, parent: settle, "write", otel.name = WRITE, otel.kind = "client");
    if span.is_disabled() {
        return span;
    }
    span.set_attribute(names::DB_SYSTEM_NAME, "postgresql");
    span.set_attribute(names::DB_QUERY_SUMMARY, WRITE);
    span
}

/// The statement failed with this SQLSTATE, or without one when the connection was lost.
pub fn write_failed(span: &Span, sqlstate: Option<&str>) {
    if span.is_disabled() {
        return;
    }
    if let Some(sqlstate) = sqlstate {
        span.set_attribute(names::DB_RESPONSE_STATUS_CODE, sqlstate.to_owned());
    }
    failed(span, sqlstate.unwrap_or("connection").to_owned());
}

/// The trace of `span` if it is exported. Starts the span, so its parent and links must be set.
pub fn sampled_trace(span: &Span) -> Option<TraceId> {
    if span.is_disabled() {
        return None;
    }
    let context = span_context(span);
    context.is_sampled().then(|| context.trace_id().to_bytes())
}

/// Where a try is told: in `span` if it is exported, as every failure is; else where the row was written, else nowhere. Starts
/// the span, so its parent must be set.
pub fn place(span: &Span, row: Option<&RowContext>, is_failure: bool) -> Option<Place> {
    if !span.is_disabled() {
        let context = span.context();
        let told = context.span();
        let own = told.span_context();
        if own.is_sampled() || (is_failure && told.is_recording()) {
            return Some(Place::of(own.clone()));
        }
    }
    row.map(Place::of_row)
}

fn processing(destination: &str) -> Span {
    tracing::info_span!(
        target: TARGET,
        parent: None,
        "process",
        otel.name = format!("process {destination}"),
        otel.kind = "consumer",
    )
}

fn span_context(span: &Span) -> SpanContext {
    span.context().span().span_context().clone()
}

fn set_parent(span: &Span, parent: Context) {
    let parented = span.set_parent(parent);
    debug_assert!(
        !matches!(parented, Err(SetParentError::AlreadyStarted)),
        "the parent is set before the span starts"
    );
}

fn link(span: &Span, to: SpanContext, what: &'static str) {
    span.add_link_with_attributes(to, vec![KeyValue::new(names::LINK, what)]);
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
