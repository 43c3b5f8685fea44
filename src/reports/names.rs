//! From the platform's names back to ours, by the destination's own mapping. Pure.

use std::collections::BTreeMap;

use crate::config::USUAL;
use crate::config::destination::DestinationConfig;
use crate::event::is_reversal;

/// The platform's names, actions or rules, each with our events that are told as it: those that the operator mapped first.
/// Where several events share a name, the platform's number is their sum. Refunds are in it only where they are mapped by
/// hand: where they change another conversion, they have no number of their own.
pub fn shared_names(destination: &DestinationConfig) -> BTreeMap<&str, Vec<&str>> {
    let actions = destination.settings.actions().into_iter().flatten();
    let own = actions
        .map(|(event, _)| event)
        .chain(destination.events.keys())
        .map(String::as_str);
    let usual = USUAL.iter().copied().filter(|event| !is_reversal(event));
    let routed = |event: &&str| {
        let routes = destination.routes.events.as_ref();
        routes.is_none_or(|events| events.contains(*event))
    };
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in own.chain(usual).filter(routed) {
        let Some(name) = destination.name_of(event) else {
            continue;
        };
        let events = names.entry(name).or_default();
        if !events.contains(&event) {
            events.push(event);
        }
    }
    names
}
