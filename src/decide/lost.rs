//! What a worker that never came back may have sent. Its claim is all that is known of it.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Decision, Prior, Repeat, Sendable, Surroundings, decide};
use crate::config::destination::DestinationConfig;
use crate::event::OutboxEvent;

/// How much later than the time on its row a reversal may have been committed.
const COMMITS_LATER: TimeDelta = TimeDelta::minutes(1);

/// A claim whose holder did not come back.
#[derive(Clone, Copy, Debug)]
pub struct LostClaim<'a> {
    /// When its lease ran out.
    pub at: DateTime<Utc>,
    /// How long the lease was.
    pub lease: std::time::Duration,
    /// Numbers of the reversals that were written in the event's own transaction.
    pub came_with: &'a [i64],
}

/// The payload that a lost worker may have sent under its claim; nothing if it had nothing to send, or would have written its
/// intent first. What was withdrawn, suppressed or taken back since does not undo that it may have left. What was taken back
/// before its claim it had seen, and so it had what was taken back in the very transaction of the event.
pub fn may_have_left(
    event: &OutboxEvent,
    around: &Surroundings,
    destination: &DestinationConfig,
    calling_code: Option<u16>,
    prior: &Prior,
    claim: &LostClaim<'_>,
) -> Option<Sendable> {
    // A commit may come a little after the time on its row.
    let seen_by = claim.at - claim.lease - COMMITS_LATER;
    let then = Surroundings {
        withdrawn: Vec::new(),
        reversals: around
            .reversals
            .iter()
            .filter(|one| one.recorded_at < seen_by || claim.came_with.contains(&one.event_no))
            .cloned()
            .collect(),
        suppression: None,
        ..around.clone()
    };
    match decide(event, &then, destination, calling_code, prior, claim.at) {
        Decision::Send(sendable) if sendable.repeat != Repeat::Never => Some(sendable),
        _ => None,
    }
}
