//! What a worker that never came back may have sent. Its claim is all that is known of it.

use chrono::{DateTime, Utc};

use super::{Decision, Prior, Repeat, Sendable, Surroundings, decide};
use crate::config::destination::DestinationConfig;
use crate::event::OutboxEvent;

/// The payload that a lost worker may have sent under a claim of this time; nothing if it had nothing to send, or would have
/// written its intent first. What was withdrawn, suppressed or taken back since does not undo that it may have left.
pub fn may_have_left(
    event: &OutboxEvent,
    around: &Surroundings,
    destination: &DestinationConfig,
    calling_code: Option<u16>,
    prior: &Prior,
    at: DateTime<Utc>,
) -> Option<Sendable> {
    let then = Surroundings {
        withdrawn: Vec::new(),
        reversals: Vec::new(),
        suppression: None,
        ..around.clone()
    };
    match decide(event, &then, destination, calling_code, prior, at) {
        Decision::Send(sendable) if sendable.repeat != Repeat::Never => Some(sendable),
        _ => None,
    }
}
