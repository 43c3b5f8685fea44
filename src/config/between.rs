//! What destinations must not be to one another: two that count the same conversion, and adjustments of what is not there.

use std::collections::BTreeSet;

use super::destination::{DestinationConfig, Routes};
use super::mapping::USUAL;
use super::read::Reader;
use crate::destinations::{Platform, Settings};

/// Notes every fault between destinations.
pub(super) fn check(reader: &mut Reader<'_>, destinations: &[DestinationConfig]) {
    for (index, destination) in destinations.iter().enumerate() {
        match destination.settings.adjusts_destination() {
            Some(adjusted) => check_adjusting(reader, destination, adjusted, destinations),
            None => check_counting(reader, destination, &destinations[..index]),
        }
        check_limit(reader, destination, &destinations[..index]);
    }
}

/// A limit that is not what another destination of its group says it is.
fn check_limit(
    reader: &mut Reader<'_>,
    destination: &DestinationConfig,
    above: &[DestinationConfig],
) {
    let Some(limit) = &destination.rate_limit else {
        return;
    };
    let limits = above.iter().filter_map(|one| one.rate_limit.as_ref());
    if limits
        .clone()
        .any(|one| one.group == limit.group && one != limit)
    {
        reader.fault_within(
            "destination",
            &destination.name,
            "rate_limit",
            "differs from that of another destination of the same group",
            "write the same requests and per_secs in both, or another group",
        );
    }
}

/// A destination that adjusts another one's conversions, where that one is missing, adjusts them itself, or counts the
/// event by another action.
fn check_adjusting(
    reader: &mut Reader<'_>,
    destination: &DestinationConfig,
    adjusted: &str,
    all: &[DestinationConfig],
) {
    let Some(adjusted) = all.iter().find(|one| {
        one.name == adjusted
            && (one.is_enabled || !destination.is_enabled)
            && matches!(&one.settings, Settings::GoogleDataManager(settings) if !settings.restates)
    }) else {
        return reader.fault_within(
            "destination",
            &destination.name,
            "adjusts_destination",
            "must name an enabled destination of platform google_data_manager with refund_mode = \"ads_api_retraction\"",
            "name such a destination, or leave this key out",
        );
    };
    let differing: Vec<&str> = mapped(destination)
        .into_iter()
        .filter(|event| {
            let there = adjusted.name_of(event);
            there.is_some() && there != destination.name_of(event)
        })
        .collect();
    if !differing.is_empty() {
        reader.fault_within(
            "destination",
            &destination.name,
            "conversion_actions",
            &format!(
                "maps {} to another action than \"{}\" does, whose conversions it adjusts",
                differing.join(" and "),
                adjusted.name
            ),
            "write the same ids in both",
        );
    }
}

/// A destination that counts what one before it counts already: the same event, for the same action or rule.
fn check_counting(
    reader: &mut Reader<'_>,
    destination: &DestinationConfig,
    before: &[DestinationConfig],
) {
    let Some(account) = account(destination) else {
        return;
    };
    for other in before.iter().filter(|one| {
        one.is_enabled
            && destination.is_enabled
            && one.settings.adjusts_destination().is_none()
            && self::account(one) == Some(account)
            && may_meet(&one.routes, &destination.routes)
    }) {
        let events: BTreeSet<&str> = mapped(destination).into_iter().chain(USUAL).collect();
        let twice: Vec<&str> = events
            .into_iter()
            .filter(|event| {
                let name = destination.name_of(event);
                let takes = |routes: &Routes| {
                    let listed = routes.events.as_ref();
                    listed.is_none_or(|events| events.contains(*event))
                };
                let both_take = takes(&other.routes) && takes(&destination.routes);
                both_take && name.is_some() && name == other.name_of(event)
            })
            .collect();
        if !twice.is_empty() {
            let key = match destination.settings {
                Settings::Meta(_) => "dataset_id",
                Settings::Ga4(_) => "measurement_id",
                Settings::LinkedIn(_) => "rules",
                Settings::GoogleDataManager(_) | Settings::GoogleAds(_) => "conversion_actions",
            };
            reader.fault_within(
                "destination",
                &destination.name,
                key,
                &format!(
                    "counts {} for the same conversion as \"{}\" does, so that it would be counted twice",
                    twice.join(" and "),
                    other.name
                ),
                "disable one of the two, give each its own routes, or let a google_ads destination only adjust (adjusts_destination)",
            );
        }
    }
}

/// Whose conversions they are; nobody's where they are only validated. The two ways to Google Ads lead to the same ones. An
/// action's or rule's id is its own account's, so the customer's number is enough.
fn account(destination: &DestinationConfig) -> Option<(&'static str, &str)> {
    let settings = &destination.settings;
    let network = match settings.platform() {
        Platform::GoogleDataManager | Platform::GoogleAds => "google",
        platform => platform.name(),
    };
    (!settings.only_validates()).then_some((network, settings.account()))
}

/// The events that the operator gave a name, an action or a rule.
fn mapped(destination: &DestinationConfig) -> BTreeSet<&str> {
    let actions = destination.settings.actions();
    let events = actions.into_iter().flatten().map(|(event, _)| event);
    events
        .chain(destination.events.keys())
        .map(String::as_str)
        .collect()
}

/// Whether one event may pass both: nothing that both ask for keeps them apart.
fn may_meet(one: &Routes, other: &Routes) -> bool {
    let share =
        |one: &Option<BTreeSet<String>>, other: &Option<BTreeSet<String>>| match (one, other) {
            (Some(one), Some(other)) => !one.is_disjoint(other),
            _ => true,
        };
    share(&one.events, &other.events)
        && share(&one.sources, &other.sources)
        && one.properties.iter().all(|(key, value)| {
            other
                .properties
                .get(key)
                .is_none_or(|theirs| theirs == value)
        })
}

#[cfg(test)]
#[path = "between_tests.rs"]
mod tests;
