//! Which events one destination maps to which conversions, and what must not be: two events that count one conversion twice,
//! a refund that counts as a conversion.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{Reader, shown};
use crate::destinations::{Platform, Reversals, Settings};
use crate::event::{is_event_name, is_reversal};

/// The events that platforms have names for by themselves.
pub(crate) const USUAL: [&str; 8] = [
    "lead_created",
    "lead_qualified",
    "booking_confirmed",
    "order_created",
    "order_paid",
    "purchase",
    "subscription_started",
    "deal_won",
];

/// Two names of one event: an application inserts one of them.
pub(crate) const ALIASES: [&str; 2] = ["order_paid", "purchase"];

/// What one destination maps to what.
pub(super) struct Mapping<'a> {
    /// Its platform.
    pub platform: Platform,
    /// The platform's own settings; nothing where they are at fault themselves.
    pub settings: Option<&'a Settings>,
    /// Event name to the platform's name, over the platform's defaults.
    pub events: &'a BTreeMap<String, Option<String>>,
}

impl Mapping<'_> {
    /// Notes mappings that would count something twice, or a refund as a conversion.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        let key = match self.platform {
            Platform::Meta | Platform::Ga4 => "events",
            Platform::LinkedIn => "rules",
            Platform::GoogleDataManager | Platform::GoogleAds => "conversion_actions",
        };
        let shared: BTreeSet<String> = reader
            .list_of_text("shared_conversions")
            .unwrap_or_default()
            .into_iter()
            .collect();
        let actions = self.settings.and_then(Settings::actions);
        let of_actions = actions.into_iter().flatten().map(|(event, _)| event);
        check_names(reader, key, of_actions);
        check_names(reader, "events", self.events.keys());
        let own = self.own();
        // LinkedIn has nothing that a refund could be told as; Google changes the conversion that was counted.
        let takes_no_event = self.platform == Platform::LinkedIn
            || self
                .settings
                .is_some_and(|settings| settings.reversals() == Reversals::Totals);
        let is_named = |name: &&&str| is_reversal(name) && self.name_of(name).is_some();
        if takes_no_event && own.iter().any(|name| is_named(&name)) {
            reader.fault(
                key,
                "maps a refund or cancellation to a conversion of its own, which would count it as one",
                "leave it out: where the platform takes refunds, it changes the conversion of the event that it depends on",
            );
        } else if self.counts_reversals(&own) {
            reader.fault(
                key,
                "maps a refund or cancellation to what other events are counted as, which would count it as one more",
                "leave it out, or give it a name that nothing else has",
            );
        }
        for (name, events) in self.by_name(&own) {
            if events.len() < 2 || shared.contains(name) {
                continue;
            }
            let events: Vec<&str> = events.into_iter().map(shown).collect();
            reader.fault(
                key,
                &format!(
                    "maps {} to the same conversion, which would count one business object twice",
                    events.join(" and ")
                ),
                "keep the one that is final and set the others to false, or give each its own; where no object passes through both, list the conversion in shared_conversions",
            );
        }
    }

    /// Each name with the events that are mapped to it, if the operator mapped one of them.
    fn by_name<'a>(&'a self, own: &BTreeSet<&'a str>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
        let mut by_name: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let events = USUAL.iter().copied().chain(own.iter().copied());
        for event in events.filter(|event| !is_reversal(event)) {
            if let Some(name) = self.name_of(event) {
                by_name.entry(name).or_default().insert(event);
            }
        }
        for events in by_name.values_mut() {
            // The platform's default for an alias stands aside for what the operator says of the other.
            if ALIASES.iter().all(|alias| events.contains(alias)) {
                let spare = ALIASES.iter().find(|alias| !own.contains(*alias));
                spare.map(|spare| events.remove(spare));
            }
        }
        by_name.retain(|_, events| events.iter().any(|event| own.contains(event)));
        by_name
    }

    /// Whether a reversal has the name of a conversion: one of the platform's own, or of another event here.
    fn counts_reversals(&self, own: &BTreeSet<&str>) -> bool {
        let usual = USUAL
            .iter()
            .filter_map(|event| self.settings?.default_name(event));
        let (reversals, others): (Vec<&str>, Vec<&str>) =
            own.iter().partition(|event| is_reversal(event));
        let conversions: BTreeSet<&str> = others
            .into_iter()
            .filter_map(|event| self.name_of(event))
            .chain(usual)
            .collect();
        reversals
            .into_iter()
            .filter_map(|event| self.name_of(event))
            .any(|name| conversions.contains(name))
    }

    /// Events that the operator mapped, by whichever key.
    fn own(&self) -> BTreeSet<&str> {
        let actions = self.settings.and_then(Settings::actions);
        let actions = actions.into_iter().flatten().map(|(event, _)| event);
        actions
            .chain(self.events.keys())
            .map(String::as_str)
            .collect()
    }

    fn name_of(&self, event: &str) -> Option<&str> {
        match self.events.get(event) {
            Some(configured) => configured.as_deref(),
            None => self.settings?.default_name(event),
        }
    }
}

/// Notes names that no event can have: nothing would ever be sent for them.
pub(super) fn check_names<'a>(
    reader: &mut Reader<'_>,
    key: &str,
    names: impl Iterator<Item = &'a String>,
) {
    let wrong: Vec<&str> = names
        .map(String::as_str)
        .filter(|name| !is_event_name(name))
        .map(shown)
        .collect();
    if !wrong.is_empty() {
        reader.fault(
            key,
            &format!("names what no event is called: {}", wrong.join(", ")),
            "write the name as it is inserted, in snake_case, 40 characters at most",
        );
    }
}
