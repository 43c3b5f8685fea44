//! Which events a destination's routes let in.

use crate::config::destination::Routes;
use crate::event::OutboxEvent;
use crate::original::Original;

/// Whether the routes let the event in. A reversal goes where its original went, so source and properties may be either
/// one's; while the original is unknown they keep nothing out.
pub(super) fn is_routed(event: &OutboxEvent, original: Option<&Original>, routes: &Routes) -> bool {
    let is_listed = routes
        .events
        .as_ref()
        .is_none_or(|names| names.contains(&event.event_name));
    let follows = event.is_reversal() && event.depends_on.is_some();
    let original = original.and_then(|original| original.event.as_ref().ok());
    let either = |holds: &dyn Fn(&OutboxEvent) -> bool| {
        holds(event) || (follows && original.is_none_or(holds))
    };
    let is_from = |event: &OutboxEvent| {
        routes.sources.as_ref().is_none_or(|sources| {
            event
                .source
                .as_ref()
                .is_some_and(|source| sources.contains(source))
        })
    };
    let has = |event: &OutboxEvent| {
        routes
            .properties
            .iter()
            .all(|(key, wanted)| event.property_text(key).as_ref() == Some(wanted))
    };
    is_listed && either(&is_from) && either(&has)
}
