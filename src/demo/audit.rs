//! The comparison that matters: what the business says happened against what the platforms counted.
//!
//! The business speaks through the shop's own tables, the platforms through the emulators' ledgers. The outbox's own
//! tables are asked one thing only: whether a conversion that no platform counted is at least visible, as a dead letter
//! or as an order that was taken back before it left.

use std::collections::{BTreeMap, BTreeSet};

use super::ledgers::{Key, Ledgers, Seen};
use super::orders::Amount;
use super::outlets::{OUTLETS, Outlet};
use super::shop::{Expected, Fate, Truth};
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::sandbox::{Platform, Sandbox};

const HAPPENED: &str = include_str!("../../sql/demo/happened.sql");
const DELIVERIES: &str = include_str!("../../sql/demo/deliveries.sql");

/// What the comparison found. Lists hold `destination: event id`.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Conversions that happened, should be counted, were not, and are not visible as dead letters either.
    pub lost: Vec<String>,
    /// Conversions that a platform counted more than once.
    pub double_counted: Vec<String>,
    /// Conversions that a platform counted although it never should have heard of them.
    pub leaked: Vec<String>,
    /// Conversions that were counted and are worth something else at the platform than what the business kept of them.
    pub wrong_value: Vec<String>,
    /// Conversions that were not counted and stand among the dead letters.
    pub dead_uncounted: Vec<String>,
    /// Events that the shop's tables and the shop's own account disagree about.
    pub disputed: Vec<String>,
    /// Conversions that the platforms counted, all together.
    pub counted: u64,
}

/// Compares.
pub async fn audit(
    database: &Database,
    sandbox: &Sandbox,
    truth: &Truth,
) -> Result<Audit, DatabaseError> {
    let mut audit = Audit::default();
    let orders = happened(database, truth, &mut audit.disputed).await?;
    let states = states(database).await?;
    let ledgers = sandbox.read(Ledgers::read);
    let mut strangers: BTreeSet<&Key> = ledgers.keys().collect();
    for outlet in &OUTLETS {
        let books = Books {
            outlet,
            ledgers: &ledgers,
            truth,
            orders: &orders,
            states: &states,
        };
        for (id, expected) in truth.committed() {
            books.compare(id, expected, &mut audit);
            if let Some(key) = Key::of(outlet, id, expected) {
                strangers.remove(&key);
            }
        }
    }
    let unknown = strangers.iter().map(|key| format!("unknown: {key}"));
    audit.leaked.extend(unknown);
    let rolled_back = truth.never_happened().into_iter();
    let told = rolled_back.filter(|id| ledgers.knows(id));
    audit
        .leaked
        .extend(told.map(|id| format!("rolled back: {id}")));
    Ok(audit)
}

/// The money of one order, by the shop's tables.
#[derive(Debug, Clone, Copy, Default)]
struct Order {
    paid: Amount,
    refunded: Amount,
}

/// The orders by their ids. Notes what the tables and the account disagree about.
async fn happened(
    database: &Database,
    truth: &Truth,
    disputed: &mut Vec<String>,
) -> Result<BTreeMap<String, Order>, DatabaseError> {
    let mut orders: BTreeMap<String, Order> = BTreeMap::new();
    let mut tables = BTreeSet::new();
    for row in database.query(HAPPENED, &[]).await? {
        let name: String = row.try_get("event_name")?;
        let amount = row.try_get::<_, Option<&str>>("amount")?;
        let amount = amount.and_then(Amount::parse);
        let order = orders.entry(row.try_get("business_id")?).or_default();
        match name.as_str() {
            "order_paid" => order.paid = amount.unwrap_or_default(),
            "order_refunded" => {
                order.refunded = [order.refunded, amount.unwrap_or_default()]
                    .into_iter()
                    .sum();
            }
            _ => {}
        }
        tables.insert((row.try_get::<_, String>("event_id")?, name, amount));
    }
    let account = truth.committed().iter();
    let account: BTreeSet<_> = account
        .map(|(id, expected)| (id.clone(), expected.name.to_owned(), expected.amount))
        .collect();
    let differing = tables.symmetric_difference(&account);
    disputed.extend(differing.map(|(id, _, _)| id.clone()));
    Ok(orders)
}

/// The state of each event at each destination.
async fn states(database: &Database) -> Result<BTreeMap<(String, String), String>, DatabaseError> {
    let mut states = BTreeMap::new();
    for row in database.query(DELIVERIES, &[]).await? {
        states.insert(
            (row.try_get("destination")?, row.try_get("event_id")?),
            row.try_get("state")?,
        );
    }
    Ok(states)
}

/// Everything that is known of one destination.
struct Books<'a> {
    outlet: &'a Outlet,
    ledgers: &'a Ledgers,
    truth: &'a Truth,
    orders: &'a BTreeMap<String, Order>,
    states: &'a BTreeMap<(String, String), String>,
}

impl Books<'_> {
    fn compare(&self, id: &str, expected: &Expected, audit: &mut Audit) {
        let seen = self.seen(id, expected);
        let line = || format!("{}: {id}", self.outlet.destination);
        audit.counted += seen.times.min(1);
        // Where no name is configured for an event, nothing is to be counted.
        let fate = match self.outlet.name_of(expected.name) {
            Some(_) => expected.at(self.outlet.platform),
            None => Fate::NotOffered,
        };
        match (fate, seen.times) {
            (Fate::Counted, 0) if self.is_dead(id) => audit.dead_uncounted.push(line()),
            (Fate::Counted, 0) if self.is_taken_back(expected) => {}
            (Fate::Counted, 0) => audit.lost.push(line()),
            // A refund of what was never counted makes the sum as wrong as a purchase that never was.
            (Fate::Counted, 1) if self.order(expected).is_some_and(|seen| seen.times == 0) => {
                audit.leaked.push(line());
            }
            (Fate::Counted, 1) => {}
            (Fate::Counted, _) => audit.double_counted.push(line()),
            (_, 0) => {}
            (_, _) => audit.leaked.push(line()),
        }
        if seen.times > 0 && expected.name != "order_refunded" {
            let (due, told) = (self.due(expected), self.told(expected, seen));
            if due.is_some() && due != told {
                let text = |amount: Option<Amount>| {
                    amount.map_or("nothing".to_owned(), |amount| amount.to_string())
                };
                let (told, due) = (text(told), text(due));
                audit
                    .wrong_value
                    .push(format!("{}: {told} instead of {due}", line()));
            }
        }
    }

    fn seen(&self, id: &str, expected: &Expected) -> Seen {
        let key = Key::of(self.outlet, id, expected);
        key.map(|key| self.ledgers.seen(&key)).unwrap_or_default()
    }

    /// What became here of the order that a refund is about; nothing for anything but a refund.
    fn order(&self, expected: &Expected) -> Option<Seen> {
        let order = self.truth.committed().get(&expected.business_id)?;
        (expected.name == "order_refunded").then(|| self.seen(&expected.business_id, order))
    }

    fn state(&self, id: &str) -> Option<&str> {
        let key = (self.outlet.destination.to_owned(), id.to_owned());
        self.states.get(&key).map(String::as_str)
    }

    fn is_dead(&self, id: &str) -> bool {
        matches!(self.state(id), Some("rejected" | "uncertain" | "exhausted"))
    }

    /// Whether all money of the order went back before the platform was told of it: then it hears of neither.
    fn is_taken_back(&self, expected: &Expected) -> bool {
        let is_undone = self.orders.get(&expected.business_id).is_some_and(|order| {
            expected.name.starts_with("order_") && order.refunded >= order.paid
        });
        let is_unseen = self.order(expected).is_none_or(|order| order.times == 0);
        is_undone && is_unseen && self.state(&expected.business_id) == Some("cancelled")
    }

    /// What the business kept of it, as far as the platform can be told; nothing where there is no amount.
    fn due(&self, expected: &Expected) -> Option<Amount> {
        let amount = expected.amount?;
        let hears_of_refunds = !matches!(self.outlet.platform, Platform::Meta | Platform::LinkedIn);
        match self.orders.get(&expected.business_id) {
            Some(order) if expected.name == "order_paid" && hears_of_refunds => {
                Some(order.paid.less(order.refunded))
            }
            _ => Some(amount),
        }
    }

    /// What it is worth here: its own value, less refunds that were told as events of their own.
    fn told(&self, expected: &Expected, seen: Seen) -> Option<Amount> {
        let refunds = self.truth.refunds_of(&expected.business_id);
        let refunded = refunds
            .filter_map(|(id, refund)| self.seen(id, refund).value)
            .sum();
        Some(seen.value?.less(refunded))
    }
}

#[cfg(test)]
mod tests;
