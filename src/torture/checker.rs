//! Proves the promises over what was gathered, event by event and destination by destination. Pure.
//!
//! What the application's tables say happened is the truth. Each rule below is one of the invariants, and says of each event
//! that breaks it why.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::history::Noted;
use super::shop::{self, Fate, Kind, Story};
use super::stage::LEASE_SECS;
use crate::demo::outlets::Outlet;
use crate::sandbox::{Platform, Verdict};

/// How long a request that was on its way may still arrive: the slowest one that a worker waits for, and a busy machine.
const ON_ITS_WAY: TimeDelta = TimeDelta::seconds(4);

/// An event id and a destination.
pub type Place = (String, String);

/// What the application's table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Such as `order_paid`.
    pub name: String,
    /// The order or lead.
    pub business_id: String,
    /// What was paid or given back.
    pub cents: Option<i64>,
    /// When it happened.
    pub at: DateTime<Utc>,
}

/// What the outbox says of one event at one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Its state.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// When it became final.
    pub settled_at: Option<DateTime<Utc>>,
    /// The platform's code.
    pub error_code: Option<String>,
    /// Every try, oldest first.
    pub tries: Vec<Try>,
}

/// One try.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Try {
    /// How it ended.
    pub outcome: String,
    /// Fingerprint of what was sent.
    pub hash: String,
}

/// What arrived at a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When, by the true clock.
    pub at: DateTime<Utc>,
    /// What the platform made of it.
    pub verdict: Verdict,
    /// The amount in it.
    pub cents: Option<i64>,
}

/// What a platform counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How often.
    pub times: usize,
    /// What it is worth in the end.
    pub cents: Option<i64>,
}

/// Everything that is judged.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The seed of the stories.
    pub seed: u64,
    /// What their times count from.
    pub start: DateTime<Utc>,
    /// What happened, by event id.
    pub facts: BTreeMap<String, Fact>,
    /// Who took consent back, by business id, and when that was committed.
    pub withdrawn: BTreeMap<String, DateTime<Utc>>,
    /// The outbox.
    pub deliveries: BTreeMap<Place, Delivery>,
    /// Running totals that differ from the rows.
    pub untrue_totals: Vec<String>,
    /// What arrived, oldest first.
    pub requests: BTreeMap<Place, Vec<Request>>,
    /// What was counted.
    pub counted: BTreeMap<Place, Counted>,
    /// Conversions of nobody's.
    pub strangers: BTreeSet<String>,
    /// Lines of logs that hold secrets or persons.
    pub leaks: Vec<String>,
    /// What is left if something is never final.
    pub stuck: Option<String>,
    /// Operations and faults.
    pub noted: Noted,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The number of the invariant in the contract.
    pub invariant: u8,
    /// The event, where it is about one.
    pub event_id: Option<String>,
    /// The destination, where it is about one.
    pub destination: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// Conversions that were counted twice where the operator took that risk and the record shows the lost answer.
    pub explained_repeats: Vec<Place>,
    /// Conversions that were counted.
    pub counted: usize,
}

/// Checks everything.
pub fn check(evidence: &Evidence) -> Found {
    let mut found = Found::default();
    let outlets = shop::outlets();
    for (id, fact) in &evidence.facts {
        let Some(number) = shop::number_of(id) else {
            found.say(1, Some(id), None, "no story has such an event");
            continue;
        };
        let story = shop::story(evidence.seed, number, evidence.start);
        for outlet in &outlets {
            let case = Case {
                evidence,
                outlet,
                story: &story,
                id,
                fact,
            };
            case.check(&mut found);
        }
    }
    check_the_rest(evidence, &mut found);
    found
}

/// What is about no single conversion that happened.
fn check_the_rest(evidence: &Evidence, found: &mut Found) {
    for (id, destination) in evidence.deliveries.keys() {
        if !evidence.facts.contains_key(id) {
            found.say(
                1,
                Some(id),
                Some(destination),
                "a row without a business event",
            );
        }
    }
    let rolled_back = evidence.noted.rolled_back();
    for (id, destination) in evidence.requests.keys() {
        if rolled_back.contains(id.as_str()) {
            found.say(1, Some(id), Some(destination), "rolled back, and told");
        } else if !evidence.facts.contains_key(id) {
            found.say(
                1,
                Some(id),
                Some(destination),
                "never happened, and was told",
            );
        }
    }
    for stranger in &evidence.strangers {
        found.say(
            2,
            None,
            None,
            &format!("a conversion that nobody knows: {stranger}"),
        );
    }
    for total in &evidence.untrue_totals {
        found.say(1, None, None, &format!("a total that is not true: {total}"));
    }
    for line in &evidence.leaks {
        found.say(
            6,
            None,
            None,
            &format!("a log tells a secret or a person: {line}"),
        );
    }
    for told in &evidence.noted.lingering {
        found.say(
            7,
            None,
            None,
            &format!("a worker's transaction stayed open: {told}"),
        );
    }
    for told in &evidence.noted.deaths {
        found.say(10, None, None, told);
    }
    if let Some(stuck) = &evidence.stuck {
        found.say(1, None, None, stuck);
    }
}

impl Found {
    fn say(&mut self, invariant: u8, id: Option<&str>, destination: Option<&str>, what: &str) {
        self.violations.push(Violation {
            invariant,
            event_id: id.map(str::to_owned),
            destination: destination.map(str::to_owned),
            what: what.to_owned(),
        });
    }
}

/// One event at one outlet.
struct Case<'a> {
    evidence: &'a Evidence,
    outlet: &'a Outlet,
    story: &'a Story,
    id: &'a str,
    fact: &'a Fact,
}

impl Case<'_> {
    fn check(&self, found: &mut Found) {
        let counted = self.counted(self.id);
        found.counted += counted.times.min(1);
        let mut say = |invariant, what: String| {
            found.say(
                invariant,
                Some(self.id),
                Some(self.outlet.destination),
                &what,
            );
        };
        let Some(delivery) = self.delivery(self.id) else {
            return say(1, "no delivery, and not waiting for one".to_owned());
        };
        let told = told(delivery);
        match delivery.state.as_str() {
            "pending" => say(1, format!("never became final: {told}")),
            "exhausted" => say(9, format!("attempts were burned: {told}")),
            "rejected" if !self.is_poison() => {
                say(8, format!("refused without a fault of its own: {told}"))
            }
            _ => {}
        }
        let fate = self.story.fate(self.outlet, &self.fact.name);
        match (fate, counted.times) {
            (Fate::Counted, 0) => {
                if let Some(why) = self.is_missing(delivery) {
                    say(1, format!("not counted, and {why}: {told}"));
                }
            }
            (Fate::Counted, 1) if !self.may_be_counted(delivery) => {
                say(3, format!("counted, and recorded as {told}"));
            }
            (Fate::Kept, 1..) => say(
                5,
                format!("counted, though it should have stayed at home: {told}"),
            ),
            (Fate::Counted, 2..) if !self.is_explained(delivery) => {
                say(4, format!("counted {} times: {told}", counted.times));
            }
            _ => {}
        }
        if let Some(wrong) = self.wrong_value(counted) {
            say(2, wrong);
        }
        if let Some(wrong) = self.other_payload(delivery) {
            say(2, wrong);
        }
        if let Some(late) = self.sent_after_it_was_settled(delivery) {
            say(
                3,
                format!(
                    "sent again {} ms after it was recorded as {told}",
                    late.num_milliseconds()
                ),
            );
        }
        if let Some(late) = self.sent_after_it_was_withdrawn() {
            say(
                5,
                format!(
                    "sent {} ms after consent was withdrawn: {told}",
                    late.num_milliseconds()
                ),
            );
        }
        if counted.times > 1 && self.is_explained(delivery) {
            let place = (self.id.to_owned(), self.outlet.destination.to_owned());
            found.explained_repeats.push(place);
        }
    }

    fn place(&self, id: &str) -> Place {
        (id.to_owned(), self.outlet.destination.to_owned())
    }

    fn counted(&self, id: &str) -> Counted {
        let counted = self.evidence.counted.get(&self.place(id));
        counted.copied().unwrap_or_default()
    }

    fn delivery(&self, id: &str) -> Option<&Delivery> {
        self.evidence.deliveries.get(&self.place(id))
    }

    fn is_poison(&self) -> bool {
        self.outlet.platform == Platform::Meta && self.evidence.noted.poison.contains(self.id)
    }

    /// Whether the person took consent back, or was erased.
    fn withdrawn_at(&self) -> Option<DateTime<Utc>> {
        self.evidence.withdrawn.get(&self.fact.business_id).copied()
    }

    /// Why it is wrong that it was not counted; nothing where the record explains it.
    fn is_missing(&self, delivery: &Delivery) -> Option<&'static str> {
        let reason = delivery.reason.as_deref().unwrap_or_default();
        let order = self.counted(&self.fact.business_id);
        match delivery.state.as_str() {
            "accepted" | "sent" => Some("said to be"),
            "uncertain" if !has_doubt(delivery) => Some("nothing was in doubt"),
            "uncertain" | "rejected" | "exhausted" | "pending" => None,
            "suppressed" | "cancelled" if self.withdrawn_at().is_some() => None,
            "cancelled" if reason == "taken_back" && self.story.kind == Kind::FullRefund => None,
            "skipped" if self.fact.name == "order_refunded" && order.times == 0 => None,
            "skipped" if reason == "taken_back_before" || reason == "superseded" => None,
            _ => Some("nothing says why"),
        }
    }

    /// Whether the record admits that it may have been counted.
    fn may_be_counted(&self, delivery: &Delivery) -> bool {
        match delivery.state.as_str() {
            "accepted" | "sent" | "uncertain" => true,
            "suppressed" | "cancelled" | "expired" | "exhausted" => has_doubt(delivery),
            _ => false,
        }
    }

    /// Counted twice where Meta promises nothing, the operator takes that risk, and an answer was lost.
    fn is_explained(&self, delivery: &Delivery) -> bool {
        self.outlet.destination == "meta" && has_doubt(delivery)
    }

    /// What the conversion is worth and should not be.
    fn wrong_value(&self, counted: Counted) -> Option<String> {
        if counted.times != 1 || self.fact.name == "order_refunded" {
            return None;
        }
        let paid = self.fact.cents?;
        let refunds: Vec<(&String, &Fact)> = self
            .evidence
            .facts
            .iter()
            .filter(|(_, fact)| {
                fact.name == "order_refunded" && fact.business_id == self.fact.business_id
            })
            .collect();
        let is_changed = matches!(
            self.outlet.platform,
            Platform::GoogleDataManager | Platform::GoogleAds
        );
        let mut due = paid;
        for (id, refund) in &refunds {
            let state = self
                .delivery(id)
                .map_or("", |delivery| delivery.state.as_str());
            match (is_changed, state) {
                (true, "accepted" | "sent") => due -= refund.cents.unwrap_or_default(),
                // Nobody knows, or nobody was told: then the value says nothing.
                (
                    true,
                    "uncertain" | "rejected" | "exhausted" | "suppressed" | "skipped" | "cancelled",
                ) => return None,
                _ => {}
            }
        }
        let told = counted.cents?;
        (told != due.max(0)).then(|| format!("worth {told} cents instead of {due}"))
    }

    /// Tries that said different things, where nothing was taken back in between.
    fn other_payload(&self, delivery: &Delivery) -> Option<String> {
        let hashes: BTreeSet<&str> = delivery.tries.iter().map(|one| one.hash.as_str()).collect();
        let is_reduced = self.withdrawn_at().is_some();
        (hashes.len() > 1 && !is_reduced).then(|| {
            format!(
                "{} payloads in {} tries",
                hashes.len(),
                delivery.tries.len()
            )
        })
    }

    /// How long after the record something was sent that nobody had under way any more.
    fn sent_after_it_was_settled(&self, delivery: &Delivery) -> Option<TimeDelta> {
        let is_done = matches!(delivery.state.as_str(), "accepted" | "sent");
        // At Google a refund is told under the order's own id.
        let is_changed = matches!(
            self.outlet.platform,
            Platform::GoogleDataManager | Platform::GoogleAds
        );
        let settled_at = delivery.settled_at.filter(|_| is_done && !is_changed)?;
        self.late(settled_at, ON_ITS_WAY)
    }

    /// How long after the withdrawal something was sent that nobody had claimed before it.
    fn sent_after_it_was_withdrawn(&self) -> Option<TimeDelta> {
        let lease = TimeDelta::seconds(i64::try_from(LEASE_SECS).expect("a small number"));
        self.late(self.withdrawn_at()?, lease + ON_ITS_WAY)
    }

    /// How long after a time, beyond what is allowed, something arrived; a worker that stood still may hold a request that it
    /// had begun before.
    fn late(&self, after: DateTime<Utc>, allowed: TimeDelta) -> Option<TimeDelta> {
        let requests = self.evidence.requests.get(&self.place(self.id))?;
        let of_a_sleeper = |at: DateTime<Utc>| {
            let mut continued = self.evidence.noted.continued.iter();
            continued.any(|woke| at >= *woke - TimeDelta::seconds(1) && at <= *woke + ON_ITS_WAY)
        };
        let late = requests
            .iter()
            .filter(|one| one.at > after + allowed && !of_a_sleeper(one.at));
        late.map(|one| one.at - after).max()
    }
}

fn has_doubt(delivery: &Delivery) -> bool {
    delivery.tries.iter().any(|one| one.outcome == "ambiguous")
        || delivery.reason.as_deref() == Some("no_answer")
}

fn told(delivery: &Delivery) -> String {
    let words = [
        Some(delivery.state.as_str()),
        delivery.reason.as_deref(),
        delivery.error_code.as_deref(),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
