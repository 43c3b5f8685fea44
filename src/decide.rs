//! What to do with one event at one destination, now. The one parent of all branches; everything it calls computes.
//!
//! Asked at every attempt, since the clock moves on and consent may have been taken back. No I/O: the clock and the
//! database's facts are handed in.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::destination::{DestinationConfig, OnAmbiguous};
use crate::consent::{self, Permit, Recipient, Signal};
use crate::destinations::{Item, Platform};
use crate::event::OutboxEvent;
use crate::original::{Original, Reversal};
use crate::outcome::{Reason, State};
use crate::suppression::Scope;
use adjustment::Role;

mod adjustment;
pub mod again;
pub mod lost;
mod payload;
mod route;

/// How long an event waits that cannot be looked up in the suppression list.
const UNJUDGED_PAUSE: TimeDelta = TimeDelta::seconds(10);

/// What the database knows of an event beside its row.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Signals taken back since the event was written.
    pub withdrawn: Vec<Signal>,
    /// The event that this one adjusts, if it is in the outbox.
    pub original: Option<Original>,
    /// What was taken back of this event by others.
    pub reversals: Vec<Reversal>,
    /// Why the row holds no data of the person any more, if it had them.
    pub removed: Option<Removal>,
    /// Whether the person, or the one whose data it borrows, is on the suppression list.
    pub suppression: Option<Suppression>,
}

/// Why the data of a person were removed from an event's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// All was final long ago.
    Retention,
    /// The person asked for it.
    Erasure,
}

/// What the suppression list says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppression {
    /// Somebody it concerns is on the list.
    Listed(Scope),
    /// It cannot be asked: a key that entries were made with is missing, or the database did not answer.
    Unjudged,
}

impl Removal {
    /// The cause of this name in the database.
    pub fn parse(text: &str) -> Option<Removal> {
        match text {
            "retention" => Some(Removal::Retention),
            "erasure" => Some(Removal::Erasure),
            _ => None,
        }
    }
}

/// What earlier tries of this delivery left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prior {
    /// Requests that carried it.
    pub tries: i16,
    /// Tries that count against the limit.
    pub attempts: i16,
    /// Of these tries, the ones that were answered with a refusal.
    pub refusals: i16,
    /// Of these tries, the ones that came too early.
    pub early: i16,
    /// Of these tries, the ones of workers that never came back: nothing is known of them.
    pub lost: i16,
    /// What the first payload was built from.
    pub permit: Option<Permit>,
    /// Fingerprint of the last payload.
    pub payload_hash: Option<[u8; 32]>,
    /// The trace of the last request.
    pub trace_id: Option<[u8; 16]>,
    /// When the last request was sent.
    pub tried_at: Option<DateTime<Utc>>,
    /// When the first request was sent that may have been taken although no good answer came.
    pub first_tried_at: Option<DateTime<Utc>>,
    /// Set when a worker announced a request and never came back.
    pub intent_at: Option<DateTime<Utc>>,
    /// Whether some request was never answered.
    pub answer_lost: bool,
    /// When a person had it sent again in spite of a doubt or of its age: windows and the configuration's own age limit
    /// count from here.
    pub forced_at: Option<DateTime<Utc>>,
    /// How many events its next request may carry at most, after some event of its last one failed.
    pub company: Option<u16>,
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
    let permit_and_item =
        |case: &Case<'_>| sendable(case, around, destination, calling_code, prior, now);
    match case(event, around, destination, prior) {
        Ok(case) => permit_and_item(&case).unwrap_or_else(|ended| ended),
        Err(ended) => ended,
    }
}

/// When the destination does not take the event any more, by its age. Nothing for a change of a conversion that is unknown.
pub fn expires_at(
    event: &OutboxEvent,
    around: &Surroundings,
    destination: &DestinationConfig,
) -> Option<DateTime<Utc>> {
    let role = adjustment::role(event, destination);
    let born_at = born_at(event, around, role)?;
    let after = |time: DateTime<Utc>, limit| {
        time.checked_add_signed(chrono::TimeDelta::from_std(limit).ok()?)
    };
    let of_platform = after(born_at, platform_age_max(event, destination, role))?;
    let own = destination
        .age_max
        .and_then(|limit| after(event.occurred_at, limit));
    Some(own.map_or(of_platform, |own| own.min(of_platform)))
}

/// How old an event may be when a destination is told, where it does not adjust another.
pub fn age_max(destination: &DestinationConfig, action_source: Option<&str>) -> Duration {
    let of_platform = destination.settings.age_max(action_source, false);
    destination
        .age_max
        .map_or(of_platform, |own| own.min(of_platform))
}

/// One event on its way to one destination, under the platform's name for it.
struct Case<'a> {
    /// The event as it is told: a reversal knows what it takes back, and of whom.
    event: Cow<'a, OutboxEvent>,
    /// What the destination makes of it.
    role: Role,
    /// The platform's name, or the id of its action or rule.
    name: &'a str,
    original: Option<&'a Original>,
}

/// Whether the destination has anything to do with the event at all, and as what.
fn case<'a>(
    event: &'a OutboxEvent,
    around: &'a Surroundings,
    destination: &'a DestinationConfig,
    prior: &Prior,
) -> Result<Case<'a>, Decision> {
    if prior.intent_at.is_some() {
        // The worker that announced the request did not live to tell how it went.
        return Err(end(State::Uncertain, Reason::NoAnswer));
    }
    if around.removed == Some(Removal::Erasure) {
        return Err(end(State::Cancelled, Reason::Erased));
    }
    let original = around.original.as_ref();
    if !route::is_routed(event, original, &destination.routes) {
        return Err(end(State::Skipped, Reason::FilteredByRoute));
    }
    let role = adjustment::role(event, destination);
    let named = match (role, original) {
        (Role::Change, Some(original)) => match &original.event {
            // A change goes where its original went, whatever is configured by now: anywhere else it would be new.
            Ok(event) => match original.rules.get(&destination.name) {
                Some(rule) => Some(rule.as_str()),
                None => destination.name_of(&event.event_name),
            },
            // Its own deliveries tell the rest.
            Err(_) => Some(""),
        },
        // Which conversion it changes is known when the original is.
        (Role::Change, None) => Some(""),
        // What takes back what was taken back is no refund of anything that was told.
        (Role::Reversal, Some(original)) if original.is_reversal() => None,
        (Role::Event | Role::Reversal, _) => destination.name_of(&event.event_name),
    };
    let is_off = destination.is_switched_off(&event.event_name);
    let only_adjusts = destination.settings.adjusts_destination().is_some() && role != Role::Change;
    let Some(name) = named.filter(|_| !is_off && !only_adjusts) else {
        return Err(end(State::Skipped, Reason::UnsupportedEvent));
    };
    let event = match (role, original) {
        (Role::Event, _) | (_, None) => Cow::Borrowed(event),
        (_, Some(original)) => Cow::Owned(adjustment::completed(event, original)),
    };
    Ok(Case {
        event,
        role,
        name,
        original,
    })
}

/// Everything that may still keep the event from being sent now; then the payload.
fn sendable(
    case: &Case<'_>,
    around: &Surroundings,
    destination: &DestinationConfig,
    calling_code: Option<u16>,
    prior: &Prior,
    now: DateTime<Utc>,
) -> Result<Decision, Decision> {
    let event = case.event.as_ref();
    let repeat = repeat(destination, case.name);
    if repeat == Repeat::Never && prior.answer_lost && prior.forced_at.is_none() {
        // It may count twice, whoever put it back: a person who takes that risk says so.
        return Err(end(State::Uncertain, Reason::NoAnswer));
    }
    // Whoever forced it has settled the doubt of before; only a later one counts.
    let in_doubt_since = prior
        .first_tried_at
        .map(|first| prior.forced_at.map_or(first, |forced| forced.max(first)));
    if let (Repeat::Within(window), Some(since)) = (repeat, in_doubt_since)
        && older_than(since, window, now)
    {
        return Err(end(State::Uncertain, Reason::RepeatWindowOver));
    }
    let recipient = Recipient {
        destination: &destination.name,
        platform: destination.settings.platform().name(),
        policy: &destination.consent,
        fields: &destination.fields,
    };
    let judged = opted_out(around, destination, now).and_then(|opted_out| {
        let withdrawn = [&around.withdrawn, opted_out].concat();
        let permit = consent::judge(event, recipient, &withdrawn);
        Ok((
            permit.map_err(|reason| end(State::Suppressed, reason))?,
            opted_out,
        ))
    });
    // What may not leave was kept at home, however old it is by now. Of what may have left before, age and doubt say more.
    if prior.tries == 0
        && let Err(kept) = judged
    {
        return Err(kept);
    }
    young_enough(event, around, destination, case.role, prior, now)?;
    if u32::try_from(prior.attempts).is_ok_and(|made| made >= destination.attempts_max) {
        // Failed in the platform's own processing, as often as is allowed.
        return Err(end(State::Exhausted, Reason::AttemptsUsedUp));
    }
    let needs = destination.platform().needs();
    if event
        .occurred_at
        .signed_duration_since(now)
        .to_std()
        .is_ok_and(|ahead| ahead > needs.ahead_max)
    {
        return Err(Decision::Wait(event.occurred_at, Reason::InTheFuture));
    }

    let (permit, opted_out) = judged?;
    let taken_back = |withdrawn: &[Signal]| [withdrawn, opted_out].concat();
    if event.depends_on.is_some() {
        adjustment::in_order(event, case.original, case.role, destination, now)?;
    }
    let permit = match lender(case, recipient, taken_back) {
        Some(lent) => permit.and(lent.map_err(|reason| end(State::Suppressed, reason))?),
        None => permit,
    };
    if prior.first_tried_at.is_none() && adjustment::is_taken_back(event, around) {
        return Err(end(State::Cancelled, Reason::TakenBack));
    }
    if adjustment::is_superseded(around, destination) {
        return Err(end(State::Skipped, Reason::Superseded));
    }

    let rules = destination.settings.rules(calling_code);
    let build = |permit| payload::build(case, destination, &rules, permit);
    let (permit, item) = payload::repeatable(event, around, prior, permit, build)?;
    Ok(Decision::Send(Sendable {
        item,
        permit,
        repeat,
    }))
}

/// What the consent given with the original allows, where its data stand in for what a reversal's row leaves out.
fn lender(
    case: &Case<'_>,
    recipient: Recipient<'_>,
    taken_back: impl Fn(&[Signal]) -> Vec<Signal>,
) -> Option<Result<Permit, Reason>> {
    let original = case.original.filter(|_| case.role != Role::Event)?;
    let lent = OutboxEvent {
        consent: original.event.as_ref().ok()?.consent.clone(),
        ..case.event.as_ref().clone()
    };
    let withdrawn = taken_back(&original.withdrawn);
    Some(consent::judge(&lent, recipient, &withdrawn))
}

/// Signals that the suppression list takes back here. Advertising hears nothing of somebody who is on it; analytics hears
/// nothing that it would pass on to advertising, or nothing at all where the entry says so.
fn opted_out(
    around: &Surroundings,
    destination: &DestinationConfig,
    now: DateTime<Utc>,
) -> Result<&'static [Signal], Decision> {
    match around.suppression {
        None => Ok(&[]),
        Some(Suppression::Unjudged) => Err(Decision::Wait(now + UNJUDGED_PAUSE, Reason::Unjudged)),
        Some(Suppression::Listed(Scope::Advertising))
            if destination.settings.platform() == Platform::Ga4 =>
        {
            Ok(&Signal::ADVERTISING)
        }
        Some(Suppression::Listed(_)) => Err(end(State::Suppressed, Reason::SuppressedSubject)),
    }
}

/// Neither the platform nor the configuration finds the event too old.
fn young_enough(
    event: &OutboxEvent,
    around: &Surroundings,
    destination: &DestinationConfig,
    role: Role,
    prior: &Prior,
    now: DateTime<Utc>,
) -> Result<(), Decision> {
    let Some(born_at) = born_at(event, around, role) else {
        return Ok(());
    };
    if older_than(born_at, platform_age_max(event, destination, role), now) {
        return Err(match prior.first_tried_at {
            // It may have been taken when it was young enough.
            Some(_) => end(State::Uncertain, Reason::RepeatWindowOver),
            None => end(State::Expired, Reason::TooOld),
        });
    }
    let limit = destination.age_max;
    let counts_from = prior.forced_at.unwrap_or(event.occurred_at);
    if limit.is_some_and(|limit| older_than(counts_from, limit, now)) {
        return Err(end(State::Exhausted, Reason::AgeUsedUp));
    }
    Ok(())
}

/// What its age counts from: a change of a conversion is as old as the conversion.
fn born_at(event: &OutboxEvent, around: &Surroundings, role: Role) -> Option<DateTime<Utc>> {
    match role {
        Role::Event | Role::Reversal => Some(event.occurred_at),
        Role::Change => Some(around.original.as_ref()?.event.as_ref().ok()?.occurred_at),
    }
}

fn platform_age_max(event: &OutboxEvent, destination: &DestinationConfig, role: Role) -> Duration {
    destination
        .settings
        .age_max(event.action_source.as_deref(), role == Role::Change)
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
