//! Events that go nowhere: a route lets them in where nothing is mapped, or no destination takes them at all.

use super::Check;
use crate::config::destination::DestinationConfig;

/// Events that a route lets in by name although the destination has no name for them.
pub(super) fn routes(destination: &DestinationConfig) -> Option<Check> {
    let routed = destination.routes.events.as_ref()?;
    let unmapped: Vec<&str> = routed
        .iter()
        .map(String::as_str)
        .filter(|event| destination.name_of(event).is_none() && !destination.is_switched_off(event))
        .collect();
    let check = if unmapped.is_empty() {
        Check::ok(
            "mapping",
            "every event of the route has a name on the platform",
        )
    } else {
        Check::warn(
            "mapping",
            format!(
                "routed here, and mapped to nothing: {}",
                unmapped.join(", ")
            ),
            "map them under events (or conversion_actions, rules), or take them out of the route",
        )
    };
    Some(check.at(&destination.name))
}

/// Events that the application writes and no destination takes. One that a destination switches off is meant so.
pub(super) fn nowhere<'e>(
    events: &'e [String],
    destinations: &[DestinationConfig],
) -> Vec<&'e str> {
    let is_taken = |event: &str| {
        destinations
            .iter()
            .filter(|one| one.is_enabled)
            .any(|one| one.is_switched_off(event) || takes(one, event))
    };
    events
        .iter()
        .map(String::as_str)
        .filter(|event| !is_taken(event))
        .collect()
}

fn takes(destination: &DestinationConfig, event: &str) -> bool {
    let is_routed = match &destination.routes.events {
        Some(routed) => routed.contains(event),
        None => true,
    };
    // A refund is told of the original's action, which has no mapping for it.
    is_routed
        && (destination.name_of(event).is_some()
            || (crate::event::is_reversal(event)
                && destination.settings.reversals() == crate::destinations::Reversals::Totals))
}
