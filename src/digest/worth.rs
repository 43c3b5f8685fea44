//! What a compared day was worth, in a sentence. Pure.

use crate::reconcile::result::{DayResult, DestinationResult, amounts};

/// `90.50 EUR in the source, 80.50 EUR in the outbox; arrived: ga4 80.50 EUR, meta 70 EUR (reports 70 EUR)`; nothing where
/// neither the source nor the outbox has amounts.
pub(super) fn worth(day: &DayResult) -> Option<String> {
    if day.source_value.is_empty() && day.outbox_value.is_empty() {
        return None;
    }
    let arrived: Vec<String> = day.destinations.iter().map(arrived).collect();
    let arrived = match arrived.is_empty() {
        true => String::new(),
        false => format!("; arrived: {}", arrived.join(", ")),
    };
    Some(format!(
        "{} in the source, {} in the outbox{arrived}",
        amounts(&day.source_value),
        amounts(&day.outbox_value)
    ))
}

fn arrived(one: &DestinationResult) -> String {
    let reported = one
        .reported_worth()
        .map_or_else(String::new, |worth| format!(" (reports {worth})"));
    format!(
        "{} {}{reported}",
        one.destination,
        amounts(&one.arrived_value)
    )
}
