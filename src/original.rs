//! The event that another one adjusts: where it stands at each destination, and what is left of its value.
//!
//! Pure. A reversal (`order_refunded`, `order_cancelled`, …) takes back some of its original's value, or all of it when it
//! names no value. The database numbers the reversals of one original in the order of their commits, so what is left after
//! each of them is the same at every attempt.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::consent::Signal;
use crate::event::{Columns, EventFault, OutboxEvent};
use crate::money::{self, Money};
use crate::outcome::{Reason, State};

/// What the database knows of the event that another one adjusts.
#[derive(Clone, Debug)]
pub struct Original {
    /// The event itself, or what is wrong with its row.
    pub event: Result<OutboxEvent, EventFault>,
    /// Signals taken back since it was written.
    pub withdrawn: Vec<Signal>,
    /// Its state at each destination that has a delivery of it.
    pub standings: BTreeMap<String, Standing>,
    /// The conversion action it was sent for, at each destination that keeps it.
    pub rules: BTreeMap<String, String>,
    /// Whether it still stands in the queue: where it has no delivery, it may get one yet.
    pub is_queued: bool,
    /// All its reversals that are in the outbox, in their order; the asking event is one of them if it is a reversal.
    pub reversals: Vec<Reversal>,
    /// Where the asking event stands among the reversals, from 1; nothing for one that reverses nothing.
    pub number: Option<i32>,
    /// Number of the asking event: of two reversals with one place, the one that was written first comes first.
    pub asked_by: i64,
}

/// An event that takes back some of the value of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Reversal {
    /// Its place in the order of commits, from 1.
    pub number: i32,
    /// Its own number, which decides between two in one place.
    pub event_no: i64,
    /// How much it takes back; all that is left where it says nothing.
    pub money: Option<Money>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When its row was written.
    pub recorded_at: DateTime<Utc>,
    /// Its state at each destination that has a delivery of it.
    pub standings: BTreeMap<String, Standing>,
}

/// How one delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
}

/// What stands of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Left {
    /// This much; never nought after something was taken back.
    Amount(Money),
    /// All was taken back.
    Nothing,
    /// Something happened to a value that nobody named, or in another currency: it cannot be said.
    Unknown,
}

impl Original {
    /// What stood before the asking event, and what stands after it.
    pub fn left(&self) -> (Left, Left) {
        let money = self
            .event
            .as_ref()
            .ok()
            .and_then(|event| event.money.as_ref());
        let before = left_of(money, self.earlier());
        let until_now = |one: &&Reversal| one.place() <= self.place();
        (
            before,
            left_of(money, self.reversals.iter().filter(until_now)),
        )
    }

    /// When the asking event changes the original, and when its row was written. They are its own times, but the first at
    /// least a second after the original and after every reversal before it, and the second never before theirs. Rows are
    /// written in any order and within one second, and a platform may pass over a change that is not later than the last
    /// one. Nothing if the original cannot be read.
    pub fn changed_at(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let of = self.event.as_ref().ok()?;
        let is_until_now = |one: &&Reversal| one.place() <= self.place();
        let mut until_now: Vec<&Reversal> = self.reversals.iter().filter(is_until_now).collect();
        until_now.sort_by_key(|one| one.place());
        Some(until_now.iter().fold(
            (of.occurred_at, of.recorded_at),
            |(changed, written), one| {
                (
                    one.occurred_at.max(changed + TimeDelta::seconds(1)),
                    if one.recorded_at < written {
                        written + TimeDelta::microseconds(1)
                    } else {
                        one.recorded_at
                    },
                )
            },
        ))
    }

    /// Whether it takes something back itself.
    pub fn is_reversal(&self) -> bool {
        self.event.as_ref().is_ok_and(OutboxEvent::is_reversal)
    }

    /// The reversals before the asking event.
    pub fn earlier(&self) -> impl Iterator<Item = &Reversal> {
        let place = self.place();
        self.reversals.iter().filter(move |one| one.place() < place)
    }

    /// The reversals after the asking event.
    pub fn later(&self) -> impl Iterator<Item = &Reversal> {
        let place = self.place();
        self.reversals.iter().filter(move |one| one.place() > place)
    }

    /// The reversals before the asking event that left nothing: the one that took the last of it, and those after it.
    pub fn emptied(&self) -> impl Iterator<Item = &Reversal> {
        let event = self.event.as_ref().ok();
        let mut left = stands(event.and_then(|event| event.money.as_ref()));
        self.earlier().filter(move |one| {
            left = less(std::mem::replace(&mut left, Left::Unknown), one);
            left.is_nothing()
        })
    }

    fn place(&self) -> (i32, i64) {
        (self.number.unwrap_or(i32::MAX), self.asked_by)
    }

    /// Reads what `original_of` in the database gives. The event's columns are in it under their own names.
    pub fn read(value: &Value, asked_by: i64) -> Original {
        Original {
            event: event(value),
            withdrawn: texts(&value["withdrawn"])
                .filter_map(Signal::parse)
                .collect(),
            standings: standings(&value["standings"]),
            rules: rules(&value["standings"]),
            is_queued: value["is_queued"] == true,
            reversals: reversals(&value["reversals"]),
            number: value["number"].as_i64().and_then(|n| i32::try_from(n).ok()),
            asked_by,
        }
    }
}

impl Reversal {
    fn place(&self) -> (i32, i64) {
        (self.number, self.event_no)
    }
}

impl Standing {
    /// Whether the event left the house, as far as anybody knows.
    pub fn has_left(self) -> bool {
        matches!(self.state, State::Accepted | State::Sent | State::Uncertain)
    }
}

impl Left {
    /// Whether all was taken back.
    pub fn is_nothing(&self) -> bool {
        *self == Left::Nothing
    }
}

/// What stands of a value after these reversals.
pub fn left_of<'a>(money: Option<&Money>, reversals: impl Iterator<Item = &'a Reversal>) -> Left {
    reversals.fold(stands(money), less)
}

fn stands(money: Option<&Money>) -> Left {
    money.map_or(Left::Unknown, |money| Left::Amount(money.clone()))
}

fn less(left: Left, reversal: &Reversal) -> Left {
    match (left, &reversal.money) {
        (_, None) | (Left::Nothing, _) => Left::Nothing,
        (Left::Amount(before), Some(taken)) if before.currency == taken.currency => {
            match money::less(&before.amount, &taken.amount) {
                Some(amount) if money::is_nothing(&amount) => Left::Nothing,
                Some(amount) => Left::Amount(Money { amount, ..before }),
                None => Left::Unknown,
            }
        }
        _ => Left::Unknown,
    }
}

/// Reads the reversals of an event, as `reversals_of` in the database gives them.
pub fn reversals(value: &Value) -> Vec<Reversal> {
    let list = value.as_array().into_iter().flatten();
    list.map(|one| Reversal {
        number: one["number"]
            .as_i64()
            .and_then(|n| i32::try_from(n).ok())
            .unwrap_or(i32::MAX),
        event_no: one["event_no"].as_i64().unwrap_or_default(),
        money: money_of(one),
        occurred_at: time_of(&one["occurred_at"]).unwrap_or_default(),
        recorded_at: time_of(&one["recorded_at"]).unwrap_or_default(),
        standings: standings(&one["standings"]),
    })
    .collect()
}

/// A reversal that names an amount nobody can read takes back nothing that could be computed: an amount in no currency.
fn money_of(value: &Value) -> Option<Money> {
    Some(Money {
        amount: money::amount(value["value"].as_str()?)?,
        currency: crate::currency::parse(value["currency"].as_str()?)?,
    })
}

fn standings(value: &Value) -> BTreeMap<String, Standing> {
    let fields = value.as_object().into_iter().flatten();
    fields
        .filter_map(|(destination, standing)| {
            let state = State::parse(standing["state"].as_str()?)?;
            let reason = standing["reason"].as_str().and_then(Reason::parse);
            Some((destination.clone(), Standing { state, reason }))
        })
        .collect()
}

fn rules(value: &Value) -> BTreeMap<String, String> {
    let fields = value.as_object().into_iter().flatten();
    fields
        .filter_map(|(destination, standing)| {
            Some((destination.clone(), standing["rule"].as_str()?.to_owned()))
        })
        .collect()
}

fn event(value: &Value) -> Result<OutboxEvent, EventFault> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let time = |column| {
        time_of(&value[column]).ok_or(EventFault {
            column,
            rule: "must be a time within the calendar",
        })
    };
    OutboxEvent::parse(Columns {
        event_no: value["event_no"].as_i64().unwrap_or_default(),
        event_id: text("event_id").unwrap_or_default(),
        event_name: text("event_name").unwrap_or_default(),
        business_id: text("business_id").unwrap_or_default(),
        occurred_at: time("occurred_at")?,
        recorded_at: time("recorded_at")?,
        value: text("value"),
        currency: text("currency"),
        consent: value["consent"].clone(),
        user_data: value["user_data"].clone(),
        click_ids: value["click_ids"].clone(),
        properties: value["properties"].clone(),
        action_source: text("action_source"),
        page_url: text("page_url"),
        source: text("source"),
        ..Columns::default()
    })
}

fn time_of(value: &Value) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
    Some(time.with_timezone(&Utc))
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

#[cfg(test)]
mod tests;
