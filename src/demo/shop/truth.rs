//! What the shop knows to be true: which conversions a platform must have counted once, and which never.
//!
//! It is written from what the application did, and reads neither the outbox nor an emulator, so that both can be
//! compared with it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::scenario::Scenario;
use crate::demo::orders::Amount;
use crate::demo::people::Person;
use crate::sandbox::Platform;

/// What ought to become of one event at one platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// To be counted exactly once.
    Counted,
    /// The platform has no such event: Meta and LinkedIn take no refunds, and at Google a refund changes the order's
    /// conversion.
    NotOffered,
    /// Taken back before anybody could know: there is nothing to tell.
    TakenBack,
    /// The person's consent does not allow it.
    Withheld,
    /// Nothing to recognise the person by.
    Unrecognisable,
    /// Older than the platform takes.
    TooOld,
}

/// One committed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Such as `order_paid`.
    pub name: &'static str,
    /// The order, lead or deal.
    pub business_id: String,
    /// When it happened, in whole milliseconds. With `name` it tells events apart at a platform that is told no
    /// event id: GA4's leads.
    pub occurred_at: DateTime<Utc>,
    /// The story it belongs to.
    pub scenario: Scenario,
    /// The first amount that was committed, in US dollars; later ones do not count.
    pub amount: Option<Amount>,
    /// Its fate at every platform.
    pub fates: BTreeMap<Platform, Fate>,
}

impl Expected {
    /// Its fate at one platform.
    pub fn at(&self, platform: Platform) -> Fate {
        self.fates[&platform]
    }
}

/// How often something was done in one scenario.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Orders or leads.
    pub stories: u64,
    /// Events committed for the first time.
    pub committed: u64,
    /// Events whose transaction was rolled back.
    pub rolled_back: u64,
    /// Events committed again unchanged.
    pub duplicates: u64,
    /// Events committed again with another amount.
    pub conflicts: u64,
}

/// The shop's own account, to be compared with the platforms' ledgers.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    committed: BTreeMap<String, Expected>,
    /// Ids of refunds, by order.
    refunds: BTreeMap<String, Vec<String>>,
    rolled_back: BTreeSet<String>,
    tallies: BTreeMap<Scenario, Tally>,
}

impl Truth {
    /// Every committed event by its id.
    pub fn committed(&self) -> &BTreeMap<String, Expected> {
        &self.committed
    }

    /// The refunds of an order, by their ids.
    pub fn refunds_of(&self, order: &str) -> impl Iterator<Item = (&String, &Expected)> {
        let refunds = self.refunds.get(order).into_iter().flatten();
        refunds.filter_map(|id| self.committed.get_key_value(id))
    }

    /// Ids whose every transaction was rolled back. No platform may ever hear of them.
    pub fn never_happened(&self) -> BTreeSet<&str> {
        self.rolled_back
            .iter()
            .map(String::as_str)
            .filter(|id| !self.committed.contains_key(*id))
            .collect()
    }

    /// Ids that the platform must have counted exactly once. All others it must not have counted at all.
    pub fn counted_once(&self, platform: Platform) -> BTreeSet<&str> {
        let due = self
            .committed
            .iter()
            .filter(|(_, expected)| expected.at(platform) == Fate::Counted);
        due.map(|(id, _)| id.as_str()).collect()
    }

    /// What was done in one scenario.
    pub fn tally(&self, scenario: Scenario) -> Tally {
        self.tallies.get(&scenario).copied().unwrap_or_default()
    }

    /// What was done in all scenarios together.
    pub fn total(&self) -> Tally {
        self.tallies
            .values()
            .fold(Tally::default(), |sum, tally| Tally {
                stories: sum.stories + tally.stories,
                committed: sum.committed + tally.committed,
                rolled_back: sum.rolled_back + tally.rolled_back,
                duplicates: sum.duplicates + tally.duplicates,
                conflicts: sum.conflicts + tally.conflicts,
            })
    }

    pub(super) fn told(&mut self, scenario: Scenario) {
        self.of(scenario).stories += 1;
    }

    pub(in crate::demo) fn committed_first(&mut self, id: &str, expected: Expected) {
        self.of(expected.scenario).committed += 1;
        if expected.name == "order_refunded" {
            let refunds = self.refunds.entry(expected.business_id.clone());
            refunds.or_default().push(id.to_owned());
        }
        self.committed.insert(id.to_owned(), expected);
    }

    pub(super) fn rolled_back(&mut self, id: &str, scenario: Scenario) {
        self.of(scenario).rolled_back += 1;
        self.rolled_back.insert(id.to_owned());
    }

    pub(super) fn committed_again(&mut self, scenario: Scenario) {
        self.of(scenario).duplicates += 1;
    }

    pub(super) fn committed_changed(&mut self, scenario: Scenario) {
        self.of(scenario).conflicts += 1;
    }

    fn of(&mut self, scenario: Scenario) -> &mut Tally {
        self.tallies.entry(scenario).or_default()
    }
}

/// What ought to become of an event of this age, by the platforms' documented rules and the default consent policy.
pub(super) fn fate(
    platform: Platform,
    name: &str,
    scenario: Scenario,
    person: &Person,
    age: TimeDelta,
) -> Fate {
    let age_max = match platform {
        // developers.facebook.com/docs/marketing-api/conversions-api/parameters/server-event, event_time.
        Platform::Meta => TimeDelta::days(7),
        // developers.google.com/analytics/devguides/collection/protocol/ga4/sending-events.
        Platform::Ga4 => TimeDelta::hours(72),
        // The longest window that a conversion action has; Google's pages name no number.
        Platform::GoogleDataManager | Platform::GoogleAds => TimeDelta::days(90),
        // learn.microsoft.com/en-us/linkedin/marketing/integrations/ads-reporting/conversions-api-schema.
        Platform::LinkedIn => TimeDelta::days(90),
    };
    if name == "order_refunded" && platform != Platform::Ga4 {
        Fate::NotOffered
    } else if !person.choice.allows(platform) {
        Fate::Withheld
    } else if !person.is_known_to(platform) {
        Fate::Unrecognisable
    } else if age > age_max {
        Fate::TooOld
    } else if scenario == Scenario::TakenBackAtOnce {
        Fate::TakenBack
    } else {
        Fate::Counted
    }
}
