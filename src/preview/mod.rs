//! What would be sent for one event, without sending it: the decision of every destination and the exact request.
//!
//! Judges an event as at its first try. Needs no database and no secret. Not a second set of rules: it asks
//! [`decide`] as the worker does.

pub mod row;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::config::destination::DestinationConfig;
use crate::decide::{Decision, Prior, Sendable, Surroundings, decide};
use crate::event::{OutboxEvent, is_event_name};
use crate::original::{Original, Reversal, Standing};
use crate::outcome::{Reason, State};
use crate::send;

/// What one destination would do. Its JSON form is an interface: keys and their order stay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preview {
    /// Name of the destination.
    pub destination: String,
    /// Its platform.
    pub platform: &'static str,
    /// What happens.
    pub decision: Verdict,
    /// Why, one of [`Reason`]'s texts; null when it is simply sent.
    pub reason: Option<&'static str>,
    /// What would be sent.
    pub requests: Vec<Request>,
    /// The field that our own check found wrong.
    #[serde(skip)]
    pub field: Option<&'static str>,
}

/// A request as a person may read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// HTTP method.
    pub method: Value,
    /// Address, with secret query parameters shown as `***`.
    pub url: Value,
    /// Headers by name, the credential shown as `***`.
    pub headers: Value,
    /// The JSON body.
    pub body: Value,
}

/// The decision in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is sent: now, or, where a reason is given, once that reason has passed.
    Send,
    /// Consent, withdrawal or opt-out.
    Suppressed,
    /// It cannot apply at this destination.
    Skipped,
    /// Too old, for the platform or for the configuration.
    Expired,
    /// Our own check finds it wrong.
    Rejected,
}

/// How a delivery stands that its platform counts.
const COUNTED: Standing = Standing {
    state: State::Accepted,
    reason: None,
};

/// Previews an event at every enabled destination, or only at the one named.
pub fn preview(
    event: &OutboxEvent,
    around: &Surroundings,
    config: &Config,
    only: Option<&str>,
    now: DateTime<Utc>,
) -> Vec<Preview> {
    let calling_code = config.identity.default_calling_code;
    let mut around = around.clone();
    if around.original.is_none() {
        around.original = supposed_original(event, config);
    }
    config
        .destinations
        .iter()
        .filter(|destination| match only {
            Some(name) => destination.name == name,
            None => destination.is_enabled,
        })
        .map(|destination| preview_at(event, &around, destination, calling_code, now))
        .collect()
}

/// The event that this one adjusts, as a caller gave it, supposed to have been counted everywhere. `earlier` are reversals of
/// it that came before.
pub fn given_original(
    event: &OutboxEvent,
    original: OutboxEvent,
    earlier: &[OutboxEvent],
    config: &Config,
) -> Original {
    let standings: BTreeMap<String, Standing> = config
        .destinations
        .iter()
        .map(|one| (one.name.clone(), COUNTED))
        .collect();
    let reversal = |(number, event): (i32, &OutboxEvent)| Reversal {
        number,
        event_no: number.into(),
        money: event.money.clone(),
        occurred_at: event.occurred_at,
        recorded_at: event.recorded_at,
        standings: standings.clone(),
    };
    let mut reversals: Vec<Reversal> = (1..).zip(earlier).map(reversal).collect();
    let number = event.is_reversal().then_some(reversals.len() as i32 + 1);
    if let Some(number) = number {
        reversals.push(Reversal {
            event_no: event.event_no,
            standings: BTreeMap::new(),
            ..reversal((number, event))
        });
    }
    Original {
        event: Ok(original),
        withdrawn: Vec::new(),
        standings,
        rules: BTreeMap::new(),
        is_queued: false,
        reversals,
        number,
        asked_by: event.event_no,
    }
}

/// The event that this one adjusts, where nobody gave it: supposed to be the paid order that the id speaks of, worth at
/// least what is taken back. Name and business id are read from a derived event id (`order_paid:order-1042`); any other id
/// says nothing, and the adjusting event's own business id stands in.
pub fn supposed_original(event: &OutboxEvent, config: &Config) -> Option<Original> {
    let event_id = event.depends_on.as_deref()?;
    let derived = event_id.split_once(':').filter(|(name, business_id)| {
        is_event_name(name) && row::derive_event_id(name, business_id) == event_id
    });
    let (event_name, business_id) = derived.unwrap_or(("order_paid", &event.business_id));
    let original = OutboxEvent {
        event_id: event_id.to_owned(),
        event_name: event_name.to_owned(),
        business_id: business_id.to_owned(),
        depends_on: None,
        ..event.clone()
    };
    Some(given_original(event, original, &[], config))
}

/// An event that has to wait is judged again as if the waiting were over, so that its request can be seen.
fn preview_at(
    event: &OutboxEvent,
    around: &Surroundings,
    destination: &DestinationConfig,
    calling_code: Option<u16>,
    mut now: DateTime<Utc>,
) -> Preview {
    let mut around = around.clone();
    let mut waits_for = None;
    loop {
        let prior = Prior::default();
        match decide(event, &around, destination, calling_code, &prior, now) {
            Decision::Send(sendable) => return sent(destination, &sendable, waits_for),
            Decision::End(state, reason, field) => return ended(destination, state, reason, field),
            Decision::Wait(until, reason) => {
                waits_for = waits_for.or(Some(reason));
                match reason {
                    Reason::WaitingForOriginal => {
                        if !suppose_counted(&mut around, destination) {
                            return ended(destination, State::Skipped, reason, None);
                        }
                    }
                    _ => now = until,
                }
            }
        }
    }
}

/// As if the original and the reversals before this one had been counted there. Says whether that changes anything.
fn suppose_counted(around: &mut Surroundings, destination: &DestinationConfig) -> bool {
    let Some(original) = &mut around.original else {
        return false;
    };
    let at = destination
        .settings
        .adjusts_destination()
        .unwrap_or(&destination.name);
    let before = original.standings.insert(at.to_owned(), COUNTED);
    let number = original.number.unwrap_or(i32::MAX);
    let mut is_changed = before != Some(COUNTED);
    for earlier in original
        .reversals
        .iter_mut()
        .filter(|one| one.number < number)
    {
        let own = destination.name.clone();
        is_changed |= earlier.standings.insert(own, COUNTED) != Some(COUNTED);
    }
    is_changed
}

fn sent(
    destination: &DestinationConfig,
    sendable: &Sendable,
    waits_for: Option<Reason>,
) -> Preview {
    let settings = &destination.settings;
    let mut masked = send::masked(&settings.request(&destination.base_url, &[&sendable.item]));
    let mut part = |key: &str| masked[key].take();
    let request = Request {
        method: part("method"),
        url: part("url"),
        headers: part("headers"),
        body: part("body"),
    };
    Preview {
        requests: vec![request],
        ..bare(destination, Verdict::Send, waits_for)
    }
}

fn ended(
    destination: &DestinationConfig,
    state: State,
    reason: Reason,
    field: Option<&'static str>,
) -> Preview {
    let verdict = match state {
        State::Suppressed => Verdict::Suppressed,
        State::Skipped => Verdict::Skipped,
        State::Expired | State::Exhausted => Verdict::Expired,
        _ => Verdict::Rejected,
    };
    Preview {
        field,
        ..bare(destination, verdict, Some(reason))
    }
}

fn bare(destination: &DestinationConfig, decision: Verdict, reason: Option<Reason>) -> Preview {
    Preview {
        destination: destination.name.clone(),
        platform: destination.platform().name(),
        decision,
        reason: reason.map(Reason::as_str),
        requests: Vec::new(),
        field: None,
    }
}
