//! Refunds, cancellations and everything else that follows another event: what role it plays at a destination, what it
//! takes back, and whether its time has come.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Decision, Surroundings, end, older_than};
use crate::config::destination::DestinationConfig;
use crate::destinations::Reversals;
use crate::event::{OutboxEvent, is_reversal};
use crate::money::{self, Money};
use crate::original::{Left, Original, Reversal, Standing, left_of};
use crate::outcome::{Reason, State};

/// How long an event that is adjusted may stay unknown before its adjustment gives up. Longer than any transaction
/// that writes both should take.
const ORIGINAL_MAY_FOLLOW: Duration = Duration::from_secs(600);

/// What a destination makes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A conversion of its own.
    Event,
    /// An event that tells what is taken back of another.
    Reversal,
    /// A change of another event's conversion to what is left of it.
    Change,
}

/// What this destination makes of the event.
pub(super) fn role(event: &OutboxEvent, destination: &DestinationConfig) -> Role {
    role_of(&event.event_name, event.depends_on.is_some(), destination)
}

/// The same for an event of this name that names another, or none.
pub(super) fn role_of(event_name: &str, adjusts: bool, destination: &DestinationConfig) -> Role {
    match destination.settings.reversals() {
        _ if !is_reversal(event_name) => Role::Event,
        Reversals::Totals => Role::Change,
        Reversals::Events if adjusts => Role::Reversal,
        Reversals::Events => Role::Event,
    }
}

/// The reversal with all that its row leaves to the original's: the person and the click, and how much it takes back
/// (never more than there is).
pub(super) fn completed(event: &OutboxEvent, original: &Original) -> OutboxEvent {
    let Ok(of) = &original.event else {
        return event.clone();
    };
    let (before, _) = original.left();
    OutboxEvent {
        user_data: event.user_data.or(&of.user_data),
        click_ids: event.click_ids.or(&of.click_ids),
        money: taken(event.money.as_ref(), &before),
        ..event.clone()
    }
}

/// How much is taken back, of what stood before.
fn taken(money: Option<&Money>, before: &Left) -> Option<Money> {
    match (money, before) {
        (None, Left::Amount(before)) => Some(before.clone()),
        (Some(money), Left::Amount(before)) if money.currency == before.currency => {
            let is_within = money::less(&money.amount, &before.amount)
                .is_some_and(|beyond| money::is_nothing(&beyond));
            Some(if is_within { money } else { before }.clone())
        }
        (money, _) => money.cloned(),
    }
}

/// An adjustment follows the event it adjusts, at this destination; without it there is nothing to adjust. Changes of
/// one conversion also follow one another.
pub(super) fn in_order(
    event: &OutboxEvent,
    original: Option<&Original>,
    role: Role,
    destination: &DestinationConfig,
    now: DateTime<Utc>,
) -> Result<(), Decision> {
    let wait = || Decision::Wait(look_again(event, now), Reason::WaitingForOriginal);
    let Some(original) = original else {
        return Err(if older_than(event.recorded_at, ORIGINAL_MAY_FOLLOW, now) {
            end(State::Skipped, Reason::OriginalUnknown)
        } else {
            wait()
        });
    };
    let at = destination
        .settings
        .adjusts_destination()
        .unwrap_or(&destination.name);
    match original.standings.get(at) {
        None if original.is_queued => return Err(wait()),
        // Done before this destination was there.
        None => return Err(end(State::Skipped, Reason::OriginalNotSent)),
        Some(standing) => match (role, standing.state) {
            (_, State::Pending) => return Err(wait()),
            (Role::Change, _) => confirmed(*standing).map_err(|reason| match reason {
                None => wait(),
                Some(reason) => end(State::Skipped, reason),
            })?,
            (Role::Event | Role::Reversal, _) if standing.has_left() => {}
            _ => return Err(end(State::Skipped, Reason::OriginalNotSent)),
        },
    }
    if role == Role::Event {
        return Ok(());
    }
    let own = &destination.name;
    let is_nothing_left = original.left().0.is_nothing();
    if role == Role::Reversal && is_nothing_left {
        return Err(end(State::Skipped, Reason::TakenBackBefore));
    }
    let is_open = |one: &Reversal| match one.standings.get(own) {
        None => true,
        Some(standing) => standing.state == State::Pending || is_unconfirmed(*standing),
    };
    if role == Role::Change && original.earlier().any(is_open) {
        return Err(wait());
    }
    if role == Role::Change && original.later().any(|one| left_at(one, own)) {
        return Err(end(State::Skipped, Reason::Superseded));
    }
    // The total may be told by any of those that left nothing, if one of them was refused.
    if role == Role::Change && is_nothing_left && original.emptied().any(|one| left_at(one, own)) {
        return Err(end(State::Skipped, Reason::TakenBackBefore));
    }
    Ok(())
}

/// Whether the platform counts the original, so that it can be changed. Otherwise why not; `None` while it may say so yet.
fn confirmed(standing: Standing) -> Result<(), Option<Reason>> {
    match (standing.state, standing.reason) {
        (State::Accepted, Some(Reason::Unmatched)) => Err(Some(Reason::OriginalUnconfirmed)),
        (State::Accepted, _) => Ok(()),
        _ if is_unconfirmed(standing) => Err(None),
        (State::Sent | State::Uncertain, _) => Err(Some(Reason::OriginalUnconfirmed)),
        _ => Err(Some(Reason::OriginalNotSent)),
    }
}

/// Sent, and the platform has not said yet what became of it.
fn is_unconfirmed(standing: Standing) -> bool {
    standing.state == State::Sent && standing.reason.is_none()
}

/// Whether all was taken back of this event before it left.
pub(super) fn is_taken_back(event: &OutboxEvent, around: &Surroundings) -> bool {
    !around.reversals.is_empty()
        && left_of(event.money.as_ref(), around.reversals.iter()).is_nothing()
}

/// Whether a change of this event's conversion was told already: what it was before must not be told again.
pub(super) fn is_superseded(around: &Surroundings, destination: &DestinationConfig) -> bool {
    destination.settings.reversals() == Reversals::Totals
        && around
            .reversals
            .iter()
            .any(|one| left_at(one, &destination.name))
}

fn left_at(reversal: &Reversal, destination: &str) -> bool {
    reversal
        .standings
        .get(destination)
        .is_some_and(|standing| standing.has_left())
}

/// Soon for a young event, ever more rarely for an old one.
fn look_again(event: &OutboxEvent, now: DateTime<Utc>) -> DateTime<Utc> {
    let age = now
        .signed_duration_since(event.recorded_at)
        .to_std()
        .unwrap_or_default();
    now + (age / 4).clamp(Duration::from_millis(500), Duration::from_secs(300))
}
