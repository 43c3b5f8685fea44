//! What would be sent for one event, without sending it: the decision of every destination and the exact request.
//!
//! Judges an event as at its first try. Needs no database and no secret. Not a second set of rules: it asks
//! [`decide`] as the worker does.

pub mod row;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::config::destination::DestinationConfig;
use crate::conversion::Original;
use crate::decide::{Decision, Prior, Sendable, Surroundings, decide};
use crate::event::OutboxEvent;
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

/// Previews an event at every enabled destination, or only at the one named.
pub fn preview(
    event: &OutboxEvent,
    around: &Surroundings,
    config: &Config,
    only: Option<&str>,
    now: DateTime<Utc>,
) -> Vec<Preview> {
    let calling_code = config.identity.default_calling_code;
    config
        .destinations
        .iter()
        .filter(|destination| match only {
            Some(name) => destination.name == name,
            None => destination.is_enabled,
        })
        .map(|destination| preview_at(event, around, destination, calling_code, now))
        .collect()
}

/// The event that this one adjusts, supposed to have been sent everywhere. Its business id is read from a derived event
/// id (`order_paid:order-1042`); any other id says nothing, and the adjusting event's own stands in.
pub fn supposed_original(event: &OutboxEvent, config: &Config) -> Option<Original> {
    let event_id = event.depends_on.as_deref()?;
    let derived = event_id
        .split_once(':')
        .filter(|(name, business_id)| {
            row::is_event_name(name) && row::derive_event_id(name, business_id) == event_id
        })
        .map(|(_, business_id)| business_id);
    let names = config.destinations.iter().map(|one| one.name.clone());
    Some(Original {
        business_id: derived.unwrap_or(&event.business_id).to_owned(),
        states: names
            .map(|name| (name, State::Sent.as_str().to_owned()))
            .collect(),
    })
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
                    Reason::WaitingForOriginal => suppose_sent(event, &mut around, destination),
                    _ => now = until,
                }
            }
        }
    }
}

fn suppose_sent(event: &OutboxEvent, around: &mut Surroundings, destination: &DestinationConfig) {
    let original = around.original.get_or_insert_with(|| Original {
        business_id: event.business_id.clone(),
        states: Default::default(),
    });
    let state = State::Sent.as_str().to_owned();
    original.states.insert(destination.name.clone(), state);
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
