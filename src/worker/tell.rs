//! What became of results: counted for metrics, and told in the log. Not for writing them.

use chrono::TimeDelta;

use super::Shared;
use super::trace;
use crate::db::error::DatabaseError;
use crate::outcome::{Reason, State};
use crate::settle::Settlement;
use crate::telemetry::context::{Place, RowContext, TraceId};

/// Counts and logs one result that was written.
pub(super) fn written(shared: &Shared, result: &Settlement) {
    count(shared, result);
    if result.state == State::Pending {
        return;
    }
    let event = result.event.as_deref();
    let place = || trace::of_result(result);
    if matches!(
        result.state,
        State::Rejected | State::Uncertain | State::Exhausted
    ) {
        tracing::warn!(
            event_id = event.map(|event| event.event_id.as_str()),
            event_no = result.ticket.event_no,
            destination = result.destination,
            result = result.state.as_str(),
            reason = result.reason.map(Reason::as_str),
            code = result.error_code,
            attempt = result.tries,
            trace_id = place().as_ref().map(Place::trace_id),
            span_id = place().as_ref().map(Place::span_id),
            "dead letter"
        );
    } else {
        tracing::debug!(
            event_id = event.map(|event| event.event_id.as_str()),
            event_no = result.ticket.event_no,
            destination = result.destination,
            result = result.state.as_str(),
            reason = result.reason.map(Reason::as_str),
            code = result.error_code,
            attempt = result.tries,
            trace_id = place().as_ref().map(Place::trace_id),
            span_id = place().as_ref().map(Place::span_id),
            "settled"
        );
    }
}

/// Counts one written result.
fn count(shared: &Shared, result: &Settlement) {
    let Some(metrics) = shared.metrics.destination(&result.destination) else {
        return;
    };
    let made = i64::try_from(result.log.len()).unwrap_or(i64::MAX);
    let is_first_among_them = made > 0 && i64::from(result.tries) == made;
    let again = made - i64::from(is_first_among_them);
    metrics.retried(u64::try_from(again).unwrap_or(0));
    if result.state == State::Pending {
        return;
    }
    let event = result.event.as_deref();
    let event_name = event.map_or("other", |event| &event.event_name);
    metrics.settled(event_name, result.state.as_str());
    match result.state {
        State::Accepted | State::Sent => {
            if let (Some(event), Some(last)) = (event, result.log.last()) {
                let answered_at = last.tried_at + TimeDelta::milliseconds(last.duration_ms.into());
                // Clocks may differ by more than a request takes.
                let latency = (answered_at - event.recorded_at).to_std();
                metrics.taken(latency.unwrap_or_default(), sampled_trace(result));
            }
            if result.state == State::Sent {
                metrics.unverified_accepts(1);
            }
            if result.reason == Some(Reason::Duplicate) {
                shared.metrics.duplicates("platform", 1);
            }
        }
        State::Suppressed | State::Skipped | State::Expired => {
            metrics.suppressed(result.reason.map_or("other", Reason::as_str));
        }
        _ => {}
    }
}

/// The trace of the last try, if somebody keeps it: the try's own, or the application's.
fn sampled_trace(result: &Settlement) -> Option<TraceId> {
    let trace = result.log.last()?.trace_id?;
    let event = result.event.as_deref()?;
    let row = RowContext::parse(event.traceparent.as_deref(), event.tracestate.as_deref());
    let is_dropped = |row: &RowContext| row.trace_id() == trace && !row.is_sampled();
    row.is_none_or(|row| !is_dropped(&row)).then_some(trace)
}

/// Logs one result that could not be written.
pub(super) fn unwritable(result: &Settlement, error: &DatabaseError) {
    let place = trace::of_result(result);
    tracing::error!(
        event_id = result.event.as_deref().map(|event| event.event_id.as_str()),
        event_no = result.ticket.event_no,
        destination = result.destination,
        state = result.state.as_str(),
        trace_id = place.as_ref().map(Place::trace_id),
        span_id = place.as_ref().map(Place::span_id),
        %error,
        "a result breaks a rule of the database; this is a defect, please report it"
    );
}
