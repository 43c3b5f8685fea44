//! What a worker that never came back may have sent. Its claim is all that is known of it.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Decision, Prior, Repeat, Sendable, Surroundings, decide};
use crate::config::destination::DestinationConfig;
use crate::event::OutboxEvent;

/// How much later than the time on its row a reversal may have been committed.
const COMMITS_LATER: TimeDelta = TimeDelta::minutes(1);

/// The payload that a lost worker may have sent under a claim whose lease, of this length, ran out at `at`; nothing if it
/// had nothing to send, or would have written its intent first. What was withdrawn, suppressed or taken back since does not
/// undo that it may have left. What was taken back before its claim it had seen.
pub fn may_have_left(
    event: &OutboxEvent,
    around: &Surroundings,
    destination: &DestinationConfig,
    calling_code: Option<u16>,
    prior: &Prior,
    at: DateTime<Utc>,
    lease: std::time::Duration,
) -> Option<Sendable> {
    // A commit may come a little after the time on its row.
    let seen_by = at - lease - COMMITS_LATER;
    let then = Surroundings {
        withdrawn: Vec::new(),
        reversals: around
            .reversals
            .iter()
            .filter(|one| one.recorded_at < seen_by)
            .cloned()
            .collect(),
        suppression: None,
        ..around.clone()
    };
    match decide(event, &then, destination, calling_code, prior, at) {
        Decision::Send(sendable) if sendable.repeat != Repeat::Never => Some(sendable),
        _ => None,
    }
}
