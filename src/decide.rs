//! What to do with one event at one destination, now. The one parent of all branches; everything it calls computes.
//!
//! Asked at every attempt, since the clock moves on and consent may have been taken back. No I/O: the clock and the
//! database's facts are handed in.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::config::destination::{DestinationConfig, OnAmbiguous, Routes};
use crate::consent::{self, Kind, Permit, Recipient, Signal};
use crate::conversion::{Conversion, Original};
use crate::destinations::{Item, Unsendable};
use crate::event::OutboxEvent;
use crate::identity::Rules;
use crate::outcome::{Reason, State};

/// How long an event that is adjusted may stay unknown before its adjustment gives up. Longer than any transaction
/// that writes both should take.
const ORIGINAL_MAY_FOLLOW: Duration = Duration::from_secs(600);

/// What the database knows of an event beside its row.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Signals taken back since the event was written.
    pub withdrawn: Vec<Signal>,
    /// The event that this one adjusts, if it is in the outbox.
    pub original: Option<Original>,
}

/// What earlier tries of this delivery left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prior {
    /// Requests that carried it.
    pub tries: i16,
    /// Tries that count against the limit.
    pub attempts: i16,
    /// What the first payload was built from.
    pub permit: Option<Permit>,
    /// Fingerprint of the last payload.
    pub payload_hash: Option<[u8; 32]>,
    /// When the last request was sent.
    pub tried_at: Option<DateTime<Utc>>,
    /// When the first request was sent that may have been taken although no good answer came.
    pub first_tried_at: Option<DateTime<Utc>>,
    /// Set when a worker announced a request and never came back.
    pub intent_at: Option<DateTime<Utc>>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Send this.
    Send(Sendable),
    /// It ends here.
    End(State, Reason, Option<&'static str>),
    /// Look again then.
    Wait(DateTime<Utc>, Reason),
}

/// A payload that may leave, and what may be done if its answer is lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Sendable {
    /// The event's part of the body.
    pub item: Item,
    /// What it was built from.
    pub permit: Permit,
    /// Whether it may be sent again after an answer that never came.
    pub repeat: Repeat,
}

/// Whether a lost answer may be followed by another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The platform discards a repeat within this time of the first request.
    Within(Duration),
    /// The operator takes the risk of a second conversion.
    Always,
    /// Never: it might count twice. The intent is recorded before the request.
    Never,
}

/// Decides. `now` is the only clock.
pub fn decide(
    event: &OutboxEvent,
    around: &Surroundings,
    destination: &DestinationConfig,
    calling_code: Option<u16>,
    prior: &Prior,
    now: DateTime<Utc>,
) -> Decision {
    if prior.intent_at.is_some() {
        // The worker that announced the request did not live to tell how it went.
        return end(State::Uncertain, Reason::NoAnswer);
    }
    if !is_routed(event, &destination.routes) {
        return end(State::Skipped, Reason::FilteredByRoute);
    }
    let Some(name) = platform_name(destination, &event.event_name) else {
        return end(State::Skipped, Reason::UnsupportedEvent);
    };

    let repeat = repeat(destination, name);
    if let (Repeat::Within(window), Some(first)) = (repeat, prior.first_tried_at)
        && older_than(first, window, now)
    {
        return end(State::Uncertain, Reason::RepeatWindowOver);
    }
    if older_than(
        event.occurred_at,
        destination.settings.age_max(event.action_source.as_deref()),
        now,
    ) {
        return match prior.first_tried_at {
            // It may have been taken when it was young enough.
            Some(_) => end(State::Uncertain, Reason::RepeatWindowOver),
            None => end(State::Expired, Reason::TooOld),
        };
    }
    if destination
        .age_max
        .is_some_and(|limit| older_than(event.occurred_at, limit, now))
    {
        return end(State::Exhausted, Reason::AgeUsedUp);
    }
    let needs = destination.platform().needs();
    if event
        .occurred_at
        .signed_duration_since(now)
        .to_std()
        .is_ok_and(|ahead| ahead > needs.ahead_max)
    {
        return Decision::Wait(event.occurred_at, Reason::InTheFuture);
    }

    let recipient = Recipient {
        destination: &destination.name,
        platform: destination.settings.platform().name(),
        policy: &destination.consent,
        fields: &destination.fields,
    };
    let permit = match consent::judge(event, recipient, &around.withdrawn) {
        Ok(permit) => permit,
        Err(reason) => return end(State::Suppressed, reason),
    };
    if let Some(decision) = original_first(event, around.original.as_ref(), &destination.name, now)
    {
        return decision;
    }

    let rules = destination.settings.rules(calling_code);
    let build = |permit| {
        build(
            event,
            around.original.as_ref(),
            destination,
            &rules,
            name,
            permit,
        )
    };
    let (permit, item) = match repeatable(event, prior, permit, build) {
        Ok(built) => built,
        Err(decision) => return decision,
    };
    Decision::Send(Sendable {
        item,
        permit,
        repeat,
    })
}

/// A retry says what the first try said, or less of the person if consent, the policy or the row's own data were
/// reduced since; never anything else.
fn repeatable(
    event: &OutboxEvent,
    prior: &Prior,
    permit: Permit,
    build: impl Fn(Permit) -> Result<Item, Decision>,
) -> Result<(Permit, Item), Decision> {
    let (Some(first_permit), Some(first_hash)) = (prior.permit, prior.payload_hash) else {
        return Ok((permit, build(permit)?));
    };
    let reduced = permit.and(first_permit);
    // Data of a kind that was removed from the row: the first payload cannot be made any more to compare with.
    let is_removed = Kind::NAMES
        .iter()
        .any(|(_, kind)| first_permit.allows(*kind) && !consent::is_there(event, *kind));
    match build(first_permit) {
        Ok(item) if item.hash == first_hash && reduced == first_permit => Ok((reduced, item)),
        Ok(item) if item.hash == first_hash => Ok((reduced, build(reduced)?)),
        _ if is_removed => Ok((reduced, build(reduced)?)),
        _ => Err(end(State::Rejected, Reason::PayloadChanged)),
    }
}

fn build(
    event: &OutboxEvent,
    original: Option<&Original>,
    destination: &DestinationConfig,
    rules: &Rules,
    name: &str,
    permit: Permit,
) -> Result<Item, Decision> {
    let permitted = permit.over(event);
    let conversion = Conversion::new(
        name,
        &permitted,
        original,
        destination.platform().needs().family,
        rules,
    );
    destination
        .settings
        .item(&conversion)
        .map_err(|unsendable| match unsendable {
            Unsendable::NoIdentifier => end(State::Skipped, Reason::NoIdentifier),
            Unsendable::Invalid(field) => {
                Decision::End(State::Rejected, Reason::InvalidPayload, Some(field))
            }
        })
}

/// An adjustment follows the event it adjusts, at this destination; without it there is nothing to adjust.
fn original_first(
    event: &OutboxEvent,
    original: Option<&Original>,
    destination: &str,
    now: DateTime<Utc>,
) -> Option<Decision> {
    event.depends_on.as_ref()?;
    let Some(original) = original else {
        return Some(if older_than(event.recorded_at, ORIGINAL_MAY_FOLLOW, now) {
            end(State::Skipped, Reason::OriginalUnknown)
        } else {
            Decision::Wait(look_again(event, now), Reason::WaitingForOriginal)
        });
    };
    match original.states.get(destination).map(String::as_str) {
        Some("accepted" | "sent" | "uncertain") => None,
        None | Some("pending") => Some(Decision::Wait(
            look_again(event, now),
            Reason::WaitingForOriginal,
        )),
        Some(_) => Some(end(State::Skipped, Reason::OriginalNotSent)),
    }
}

/// Soon for a young event, ever more rarely for an old one.
fn look_again(event: &OutboxEvent, now: DateTime<Utc>) -> DateTime<Utc> {
    let age = now
        .signed_duration_since(event.recorded_at)
        .to_std()
        .unwrap_or_default();
    now + (age / 4).clamp(Duration::from_millis(500), Duration::from_secs(300))
}

/// The platform's name for the event: the destination's own mapping, else the platform's default.
fn platform_name<'a>(destination: &'a DestinationConfig, event_name: &'a str) -> Option<&'a str> {
    match destination.events.get(event_name) {
        Some(configured) => configured.as_deref(),
        None => destination.settings.default_name(event_name),
    }
}

fn is_routed(event: &OutboxEvent, routes: &Routes) -> bool {
    let is_listed = routes
        .events
        .as_ref()
        .is_none_or(|names| names.contains(&event.event_name));
    let is_from = routes.sources.as_ref().is_none_or(|sources| {
        event
            .source
            .as_ref()
            .is_some_and(|source| sources.contains(source))
    });
    is_listed
        && is_from
        && routes
            .properties
            .iter()
            .all(|(key, wanted)| event.property_text(key).as_ref() == Some(wanted))
}

fn repeat(destination: &DestinationConfig, name: &str) -> Repeat {
    match (
        destination.on_ambiguous,
        destination.settings.repeat_window(name),
    ) {
        (Some(OnAmbiguous::Uncertain), _) | (None, None) => Repeat::Never,
        (Some(OnAmbiguous::Resend), None) => Repeat::Always,
        (_, Some(window)) => Repeat::Within(window),
    }
}

fn older_than(then: DateTime<Utc>, limit: Duration, now: DateTime<Utc>) -> bool {
    now.signed_duration_since(then)
        .to_std()
        .is_ok_and(|age| age > limit)
}

fn end(state: State, reason: Reason) -> Decision {
    Decision::End(state, reason, None)
}

#[cfg(test)]
mod tests;
