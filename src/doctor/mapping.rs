//! Events that go nowhere: a route lets them in where nothing is mapped, no destination takes them at all, or refunds are
//! left to a destination that is not there.

use super::Check;
use crate::config::destination::DestinationConfig;
use crate::destinations::Settings;

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

/// A destination that has an action or rule for no event at all.
pub(super) fn idle(destination: &DestinationConfig) -> Option<Check> {
    let is_empty = destination.settings.actions()?.is_empty();
    let is_idle = is_empty && destination.events.values().all(Option::is_none);
    is_idle.then(|| {
        Check::warn(
            "mapping",
            "no event is mapped to anything here: nothing is sent",
            "map events under conversion_actions or rules, or set enabled = false",
        )
        .at(&destination.name)
    })
}

/// A destination that leaves its refunds to another one, which is not there.
pub(super) fn refunds(
    destination: &DestinationConfig,
    destinations: &[DestinationConfig],
) -> Option<Check> {
    let leaves_them = matches!(&destination.settings, Settings::GoogleDataManager(settings) if !settings.restates);
    let is_adjusted = destinations.iter().any(|one| {
        one.is_enabled && one.settings.adjusts_destination() == Some(destination.name.as_str())
    });
    (leaves_them && !is_adjusted).then(|| {
        Check::warn(
            "mapping",
            "refund_mode = \"ads_api_retraction\", and no enabled destination adjusts this one: Google hears of no refund",
            "add a google_ads destination with adjusts_destination, or leave refund_mode out",
        )
        .at(&destination.name)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const GOOGLE: &str = "[database]\nurl = { env = \"DATABASE_URL\" }\n[[destination]]\nname = \"google\"\n\
                          platform = \"google_data_manager\"\noperating_account = \"1\"\n\
                          service_account = { file = \"/run/key\" }\n";

    fn read(text: &str) -> Vec<DestinationConfig> {
        Config::parse(text, "config.toml", [])
            .unwrap_or_else(|faults| panic!("{faults}"))
            .destinations
    }

    #[test]
    fn a_destination_that_sends_nothing_is_told() {
        let is_idle = |more: &str| idle(&read(&format!("{GOOGLE}{more}"))[0]).is_some();
        assert!(is_idle("") && is_idle("events = { order_paid = false }"));
        assert!(!is_idle("conversion_actions = { order_paid = \"7\" }"));
        assert!(!is_idle("events = { order_paid = \"7\" }"));
    }

    #[test]
    fn refunds_that_nobody_tells_are_told() {
        let retracting = format!("{GOOGLE}refund_mode = \"ads_api_retraction\"\n");
        let ads = "[[destination]]\nname = \"ads\"\nplatform = \"google_ads\"\ncustomer_id = \"1\"\n\
                   service_account = { file = \"/run/key\" }\nadjusts_destination = \"google\"\n";
        let is_told = |text: &str| {
            let destinations = read(text);
            refunds(&destinations[0], &destinations).is_some()
        };
        assert!(is_told(&retracting));
        assert!(is_told(&format!("{retracting}{ads}enabled = false\n")));
        assert!(!is_told(&format!("{retracting}{ads}")) && !is_told(GOOGLE));
    }
}
