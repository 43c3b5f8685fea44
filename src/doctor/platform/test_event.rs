//! A real event of nobody, clearly marked, through the platform's own adapter: the last doubt is taken away by an event
//! that arrives. It does not pass through the outbox.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::super::Check;
use super::Visit;
use super::answer::{self, Meaning};
use crate::config::destination::{DestinationConfig, Routes};
use crate::decide::{Decision, Prior, Surroundings, decide};
use crate::destinations::{Item, Settings, ga4};
use crate::event::is_reversal;
use crate::preview::row;

/// What the check is called.
pub(super) const NAME: &str = "test_event";

/// What its order is called, before the time.
const MARK: &str = "conversion-outbox-test";

/// The event, where a platform tells events apart by name and takes any.
const EVENT: &str = "conversion_outbox_test";

/// What a person should know before it is sent.
pub fn warning(destination: &DestinationConfig) -> String {
    let effect = match &destination.settings {
        Settings::Meta(settings) if settings.test_event_code.is_some() => {
            "it is shown under Test Events, and counts like any other all the same"
        }
        Settings::Meta(_) => {
            "it counts like any other; with test_event_code it would be shown under Test Events too"
        }
        Settings::Ga4(settings) if settings.mode == ga4::Mode::ValidateOnly => {
            "the destination only validates, so nothing is recorded"
        }
        Settings::Ga4(_) => "it is shown in DebugView, and counts like any other all the same",
        Settings::GoogleDataManager(settings) if settings.validate_only => {
            "the destination only validates, so nothing is recorded"
        }
        Settings::GoogleAds(settings) if settings.validate_only => {
            "the destination only validates, so nothing is recorded"
        }
        Settings::GoogleDataManager(_) | Settings::GoogleAds(_) => {
            "it goes to a real conversion action; it can be matched with nobody, but it is there"
        }
        Settings::LinkedIn(_) => {
            "it goes to a real rule; it can be matched with nobody, but it is there. A rule without campaigns is best"
        }
    };
    format!("a real event is sent to \"{}\": {effect}", destination.name)
}

/// Sends it, and says what the platform answered.
pub(super) async fn send(visit: &Visit<'_>, calling_code: Option<u16>) -> Check {
    let (item, id) = match made(visit.destination, calling_code, visit.now) {
        Ok(made) => made,
        Err(why) => return Check::skipped(NAME, format!("not sent: {why}")),
    };
    let settings = &visit.destination.settings;
    let request = settings.request(&visit.destination.base_url, &[&item]);
    let reply = match visit.ask(NAME, request).await {
        Ok(reply) => reply,
        Err(check) => return check,
    };
    let answer = settings.classify(&reply, &[&item]);
    match answer::meaning(&answer) {
        Meaning::Good => {
            let receipt = answer.receipt.as_ref();
            let receipt = receipt.map(|receipt| format!(", request {receipt}"));
            let seen = format!(
                "{id} was taken (status {}{})",
                reply.status,
                receipt.unwrap_or_default()
            );
            Check::ok(NAME, seen)
        }
        Meaning::Content => Check::fail(
            NAME,
            format!("{id} was refused{}", answer::code(&answer)),
            "look the code up in the platform's documentation; events of yours may be refused for it too",
        ),
        other => answer::trouble(NAME, other, &answer, reply.status),
    }
}

/// The event's part of a body and its id, or why there is none.
fn made(
    destination: &DestinationConfig,
    calling_code: Option<u16>,
    now: DateTime<Utc>,
) -> Result<(Item, String), String> {
    if destination.settings.adjusts_destination().is_some() {
        return Err("the destination only adjusts what another one sent".to_owned());
    }
    let destination = open(destination);
    let event_name = event_name(&destination).ok_or("no event is mapped here")?;
    let row = columns(&event_name, now);
    let event = row::read(&row, now).map_err(|fault| fault.to_string())?;
    let around = Surroundings::default();
    match decide(
        &event,
        &around,
        &destination,
        calling_code,
        &Prior::default(),
        now,
    ) {
        Decision::Send(sendable) => {
            let item = match &destination.settings {
                Settings::Ga4(_) => ga4::in_debug_view(&sendable.item),
                _ => sendable.item,
            };
            Ok((item, event.event_id))
        }
        Decision::End(_, reason, field) => {
            let field = field.map(|field| format!(", {field}"));
            Err(format!(
                "it would end as {}{}",
                reason.as_str(),
                field.unwrap_or_default()
            ))
        }
        Decision::Wait(_, reason) => Err(format!("it would have to wait: {}", reason.as_str())),
    }
}

/// The destination without routes, with a name for the test event where any will do.
fn open(destination: &DestinationConfig) -> DestinationConfig {
    let name = match &destination.settings {
        Settings::Meta(_) => Some("ConversionOutboxTest"),
        Settings::Ga4(_) => Some(EVENT),
        Settings::GoogleDataManager(_) | Settings::GoogleAds(_) | Settings::LinkedIn(_) => None,
    };
    let named = name.map(|name| (EVENT.to_owned(), Some(name.to_owned())));
    let events: BTreeMap<String, Option<String>> = destination
        .events
        .clone()
        .into_iter()
        .chain(named)
        .collect();
    DestinationConfig {
        routes: Routes::default(),
        events,
        ..destination.clone()
    }
}

/// The test event where it has a name, else the first event that has a conversion action or rule.
fn event_name(destination: &DestinationConfig) -> Option<String> {
    let Some(actions) = destination.settings.actions() else {
        return Some(EVENT.to_owned());
    };
    let mut events = destination.events.keys().chain(actions.keys());
    events
        .find(|event| !is_reversal(event) && destination.name_of(event).is_some())
        .cloned()
}

/// A row of nobody: an address of the domain that RFC 2606 keeps for examples, and consent that nobody had to give.
fn columns(event_name: &str, now: DateTime<Utc>) -> Map<String, Value> {
    // A little back, for a platform whose clock is behind refuses what is in the future.
    let occurred_at = (now - TimeDelta::minutes(1)).to_rfc3339();
    let row = json!({
        "event_name": event_name,
        "business_id": format!("{MARK}-{}", now.format("%Y%m%d%H%M%S")),
        "occurred_at": occurred_at,
        "user_data": { "email": format!("{MARK}@example.com"), "external_id": MARK },
        "click_ids": { "ga_client_id": "1.1" },
        "source": MARK,
        "consent": {
            "ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted",
            "ad_personalization": "granted", "source": MARK,
        },
    });
    match row {
        Value::Object(columns) => columns,
        _ => unreachable!("it was written as an object"),
    }
}
