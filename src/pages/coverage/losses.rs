//! What a page says of events that did not get further.

use crate::funnel::{Kind, Loss, Step};
use crate::outcome::State;
use crate::pages::html::Tone;

/// A step, as people say it.
pub(super) fn step_words(step: Step) -> &'static str {
    match step {
        Step::Meant => "Meant for it",
        Step::Consented => "Consent allows it",
        Step::Identified => "Identifiable",
        Step::Sent => "Sent",
        Step::Accepted => "Accepted",
    }
}

/// Why, as people say it.
pub(super) fn words(loss: Loss) -> String {
    let plain = |word: &str| word.replace('_', " ");
    match loss {
        Loss::Queued => "in the queue, not looked at yet".to_owned(),
        Loss::Unasked => "from before this destination, or while no worker served it".to_owned(),
        Loss::Delivery(State::Pending, reason) => {
            format!(
                "waiting: {}",
                plain(reason.map_or("due", |reason| reason.as_str()))
            )
        }
        Loss::Delivery(State::Expired, _) => "too old by the time it could go".to_owned(),
        Loss::Delivery(_, Some(reason)) => plain(reason.as_str()),
        Loss::Delivery(state, None) => plain(state.as_str()),
    }
}

/// How it looks.
pub(super) fn tone(kind: Kind) -> Tone {
    match kind {
        Kind::Meant => Tone::Calm,
        Kind::Open => Tone::Warn,
        Kind::Lost => Tone::Bad,
    }
}
