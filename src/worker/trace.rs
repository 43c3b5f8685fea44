//! What a worker's spans and log lines say of events and deliveries: the one place that knows both.

use tracing::Span;

use super::Shared;
use super::lane::{Job, Lane};
use crate::claim::Claimed;
use crate::decide::Prior;
use crate::event::OutboxEvent;
use crate::outcome::{Reason, State};
use crate::settle::Settlement;
use crate::telemetry::context::{Place, RowContext};
use crate::telemetry::spans;

/// A job's attempt, as it is told.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Its span.
    pub span: Span,
    /// The application's trace.
    pub row: Option<RowContext>,
    /// Its number, from 1.
    pub number: u32,
}

impl Attempt {
    /// One more try of a job, which begins now.
    pub(super) fn begin(lane: &Lane, job: &Job, shared: &Shared) -> Attempt {
        let row = row(&job.event);
        let made = job.log.len() + usize::try_from(job.prior.tries).unwrap_or(0);
        let number = u32::try_from(made + 1).unwrap_or(u32::MAX);
        let last = job
            .log
            .last()
            .map_or(job.prior.trace_id, |one| one.trace_id);
        let earlier = Place::stored(last, None);
        let delivery = delivery(lane, &job.event, number, row.as_ref(), earlier.as_ref());
        Attempt {
            span: spans::process(&delivery, shared.relation),
            row,
            number,
        }
    }

    /// Where it is told, well or failed.
    pub(super) fn place(&self, is_failure: bool) -> Option<Place> {
        spans::place(&self.span, self.row.as_ref(), is_failure)
    }
}

/// A delivery that ends without a request: decided, not tried.
pub(super) fn ended(
    lane: &Lane,
    event: &OutboxEvent,
    prior: &Prior,
    (state, reason): (State, Reason),
    shared: &Shared,
) {
    let number = u32::try_from(prior.tries).unwrap_or(0) + 1;
    let row = row(event);
    let earlier = Place::stored(prior.trace_id, None);
    let delivery = delivery(lane, event, number, row.as_ref(), earlier.as_ref());
    let span = spans::process(&delivery, shared.relation);
    spans::because(&span, reason.as_str());
    let is_failure = matches!(
        state,
        State::Rejected | State::Uncertain | State::Exhausted | State::Expired
    );
    spans::finish(&span, state.as_str(), is_failure.then_some(reason.as_str()));
}

/// Finishes the span of a claim that took these events.
pub(super) fn received(span: &Span, claimed: &[Claimed]) {
    if span.is_disabled() {
        return;
    }
    let events: Vec<&OutboxEvent> = claimed
        .iter()
        .filter_map(|claimed| claimed.event.as_deref().ok())
        .collect();
    if claimed.is_empty() {
        spans::nothing_received(span);
    } else {
        spans::received(
            span,
            events
                .iter()
                .map(|event| (event.event_id.as_str(), row(event))),
        );
    }
}

/// Where a result's last try is told, or the event was written if there was none.
pub(super) fn of_result(result: &Settlement) -> Option<Place> {
    let row = result.event.as_deref().and_then(row);
    let last = result.log.last().and_then(|one| one.trace_id);
    Place::stored(last, row.as_ref())
}

/// Where the event of a single job was written. Lines about several belong to no trace of one.
pub(super) fn of_jobs(jobs: &[Job]) -> Option<Place> {
    match jobs {
        [job] => row(&job.event).as_ref().map(Place::of_row),
        _ => None,
    }
}

/// The application's trace.
fn row(event: &OutboxEvent) -> Option<RowContext> {
    RowContext::parse(event.traceparent.as_deref(), event.tracestate.as_deref())
}

fn delivery<'a>(
    lane: &'a Lane,
    event: &'a OutboxEvent,
    attempt: u32,
    row: Option<&'a RowContext>,
    earlier: Option<&'a Place>,
) -> spans::Delivery<'a> {
    spans::Delivery {
        destination: &lane.destination.name,
        event_id: &event.event_id,
        business_id: &event.business_id,
        event_type: &event.event_name,
        attempt,
        row,
        earlier,
    }
}
