//! What an outcome means for a delivery: its next state, and whether the try counts against the limit.
//!
//! Pure. An attempt is burned only when the event failed alone, and the destination has answered something else since this
//! delivery was last tried: then the event is at fault. A destination that is down answers nobody, so it burns nothing, and only age ends
//! the waiting.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::decide::{Prior, Repeat};
use crate::outcome::{Outcome, Reason, State};
use crate::retry::Schedule;

/// What a delivery becomes after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Next state.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// When to try again, for a pending one.
    pub due_at: Option<DateTime<Utc>>,
    /// Whether the try counts against the limit.
    pub is_counted: bool,
    /// Whether the platform may have taken the event although it did not say so.
    pub is_in_doubt: bool,
}

/// The limits of one destination.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Attempts before a delivery is exhausted.
    pub attempts_max: i16,
    /// Delays between them.
    pub schedule: Schedule,
}

/// The try that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// How.
    pub outcome: Outcome,
    /// What had happened before it.
    pub prior: &'a Prior,
    /// Whether a lost answer may be followed by another request.
    pub repeat: Repeat,
    /// Whether it was the only event of its request: who is in company may be innocent.
    pub is_alone: bool,
    /// When its request was sent.
    pub tried_at: DateTime<Utc>,
    /// When the destination last answered anything well.
    pub last_success_at: Option<DateTime<Utc>>,
}

/// Resolves one try.
pub fn resolve(ended: &Ended<'_>, limits: &Limits, now: DateTime<Utc>) -> Resolution {
    match ended.outcome {
        Outcome::Accepted => last(State::Accepted, None),
        Outcome::Duplicate => last(State::Accepted, Some(Reason::Duplicate)),
        Outcome::Unmatched => last(State::Accepted, Some(Reason::Unmatched)),
        Outcome::Sent => last(State::Sent, None),
        Outcome::Validated => last(State::Skipped, Some(Reason::ValidatedOnly)),
        Outcome::Rejected => last(State::Rejected, Some(Reason::RefusedByPlatform)),
        Outcome::Unrecognised if ended.prior.refusals > 0 => {
            last(State::Rejected, Some(Reason::RefusedByPlatform))
        }
        Outcome::Unrecognised => later(ended, limits, Reason::Retry, None, true, false, now),
        Outcome::Hold(_) => waiting(Reason::DestinationHeld, now),
        // The lane knows when the rule is probed.
        Outcome::HoldRule => waiting(Reason::RuleHeld, now),
        Outcome::Bystander => waiting(Reason::Retry, now),
        Outcome::TooEarly {
            tries_max: Some(tries_max),
            ..
        } if ended.prior.early.saturating_add(1) >= tries_max => {
            last(State::Rejected, Some(Reason::RefusedByPlatform))
        }
        Outcome::TooEarly { after, .. } => waiting(Reason::TooEarly, now + after),
        Outcome::RateLimited { after } => {
            later(ended, limits, Reason::RateLimited, after, false, false, now)
        }
        Outcome::Retry {
            after,
            delivered: true,
        } => later(
            ended,
            limits,
            Reason::Retry,
            after,
            is_at_fault(ended),
            true,
            now,
        ),
        Outcome::Retry {
            after,
            delivered: false,
        } => later(
            ended,
            limits,
            Reason::DestinationDown,
            after,
            is_at_fault(ended),
            false,
            now,
        ),
        Outcome::Ambiguous if ended.repeat == Repeat::Never => Resolution {
            is_in_doubt: true,
            ..last(State::Uncertain, Some(Reason::NoAnswer))
        },
        // Some of it was taken: a resend of all would count that part twice.
        Outcome::Miscounted => last(State::Uncertain, Some(Reason::CountMismatch)),
        Outcome::Ambiguous => later(
            ended,
            limits,
            Reason::NoAnswer,
            None,
            is_at_fault(ended),
            true,
            now,
        ),
    }
}

/// Whether it failed alone although the destination has proved, since this delivery was last tried, that it works for others.
fn is_at_fault(ended: &Ended<'_>) -> bool {
    let since = ended.prior.tried_at.unwrap_or(ended.tried_at);
    ended.is_alone && ended.last_success_at.is_some_and(|success| success > since)
}

fn later(
    ended: &Ended<'_>,
    limits: &Limits,
    reason: Reason,
    wish: Option<Duration>,
    is_counted: bool,
    is_in_doubt: bool,
    now: DateTime<Utc>,
) -> Resolution {
    if is_counted && ended.prior.attempts.saturating_add(1) >= limits.attempts_max {
        return Resolution {
            is_in_doubt,
            ..last(State::Exhausted, Some(Reason::AttemptsUsedUp))
        };
    }
    let failures = u32::try_from(ended.prior.tries).unwrap_or(0);
    Resolution {
        state: State::Pending,
        reason: Some(reason),
        due_at: Some(now + limits.schedule.delay(failures, wish)),
        is_counted,
        is_in_doubt,
    }
}

/// Nobody's fault: no attempt is burned, and nothing is in doubt.
fn waiting(reason: Reason, due_at: DateTime<Utc>) -> Resolution {
    Resolution {
        state: State::Pending,
        reason: Some(reason),
        due_at: Some(due_at),
        is_counted: false,
        is_in_doubt: false,
    }
}

fn last(state: State, reason: Option<Reason>) -> Resolution {
    Resolution {
        state,
        reason,
        due_at: None,
        is_counted: true,
        is_in_doubt: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        attempts_max: 3,
        schedule: Schedule {
            initial: Duration::from_secs(5),
            cap: Duration::from_secs(60),
            retry_after_cap: Duration::from_secs(600),
        },
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_428_000 + seconds, 0).expect("a time")
    }

    fn ended(outcome: Outcome, prior: &Prior, last_success: Option<i64>) -> Ended<'_> {
        Ended {
            outcome,
            prior,
            repeat: Repeat::Always,
            is_alone: true,
            tried_at: at(0),
            last_success_at: last_success.map(at),
        }
    }

    #[test]
    fn a_destination_that_is_down_burns_nothing() {
        let down = Outcome::Retry {
            after: None,
            delivered: true,
        };
        let mut prior = Prior::default();
        for n in 0..100 {
            let resolution = resolve(&ended(down, &prior, Some(-1)), &LIMITS, at(1));
            assert_eq!(
                (resolution.state, resolution.is_counted),
                (State::Pending, false)
            );
            prior.tries = n;
            prior.tried_at = Some(at(0));
        }
    }

    #[test]
    fn an_event_that_fails_while_others_pass_is_exhausted() {
        let failing = Outcome::Retry {
            after: None,
            delivered: true,
        };
        let mut prior = Prior {
            tries: 1,
            attempts: 1,
            tried_at: Some(at(-60)),
            ..Prior::default()
        };
        assert_eq!(
            resolve(&ended(failing, &prior, Some(-30)), &LIMITS, at(1)).state,
            State::Pending
        );
        prior.attempts = 2;
        let in_company = Ended {
            is_alone: false,
            ..ended(failing, &prior, Some(-30))
        };
        let resolution = resolve(&in_company, &LIMITS, at(1));
        assert!(!resolution.is_counted, "another one may be the culprit");
        let resolution = resolve(&ended(failing, &prior, Some(-30)), &LIMITS, at(1));
        assert_eq!(
            (resolution.state, resolution.reason),
            (State::Exhausted, Some(Reason::AttemptsUsedUp))
        );
    }

    #[test]
    fn throttling_and_holds_burn_nothing() {
        for outcome in [
            Outcome::RateLimited { after: None },
            Outcome::Hold(crate::outcome::Hold::Credential),
        ] {
            let resolution = resolve(&ended(outcome, &Prior::default(), Some(1)), &LIMITS, at(1));
            assert_eq!(
                (resolution.state, resolution.is_counted),
                (State::Pending, false)
            );
        }
    }

    #[test]
    fn a_limit_on_one_answer_counts_no_other() {
        let early = Outcome::TooEarly {
            after: Duration::from_secs(60),
            tries_max: Some(2),
        };
        let mut prior = Prior {
            tries: 9,
            ..Prior::default()
        };
        for outcome in [early, Outcome::Unrecognised] {
            assert_eq!(
                resolve(&ended(outcome, &prior, None), &LIMITS, at(1)).state,
                State::Pending,
                "held and throttled until now: {outcome:?}"
            );
        }
        (prior.early, prior.refusals) = (1, 1);
        for outcome in [early, Outcome::Unrecognised] {
            assert_eq!(
                resolve(&ended(outcome, &prior, None), &LIMITS, at(1)).state,
                State::Rejected
            );
        }
    }

    #[test]
    fn a_lost_answer_is_resent_only_where_that_is_safe() {
        let prior = Prior::default();
        let mut lost = ended(Outcome::Ambiguous, &prior, None);
        assert_eq!(resolve(&lost, &LIMITS, at(1)).state, State::Pending);
        assert!(resolve(&lost, &LIMITS, at(1)).is_in_doubt);
        lost.repeat = Repeat::Never;
        assert_eq!(resolve(&lost, &LIMITS, at(1)).state, State::Uncertain);
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        let after = proptest::option::of((0..10_000u64).prop_map(Duration::from_secs));
        prop_oneof![
            Just(Outcome::Accepted),
            Just(Outcome::Duplicate),
            Just(Outcome::Unmatched),
            Just(Outcome::HoldRule),
            Just(Outcome::Sent),
            Just(Outcome::Rejected),
            Just(Outcome::Unrecognised),
            Just(Outcome::Ambiguous),
            Just(Outcome::Miscounted),
            (after.clone(), any::<bool>())
                .prop_map(|(after, delivered)| Outcome::Retry { after, delivered }),
            after.prop_map(|after| Outcome::RateLimited { after }),
            (0..600u64, proptest::option::of(1..9i16)).prop_map(|(after, tries_max)| {
                Outcome::TooEarly {
                    after: Duration::from_secs(after),
                    tries_max,
                }
            }),
        ]
    }

    proptest! {
        /// However outcomes follow one another: a final state is settled, a pending one is due in bounded time, attempts
        /// never pass the limit, and a delivery that must not be repeated is not, once its answer was lost.
        #[test]
        fn the_state_machine_keeps_its_promises(
            outcomes in proptest::collection::vec((any_outcome(), any::<bool>()), 1..40),
            never in any::<bool>(),
        ) {
            let mut prior = Prior::default();
            let repeat = if never { Repeat::Never } else { Repeat::Always };
            let mut now = 0;
            for (outcome, works_for_others) in outcomes {
                now += 100;
                let ended = Ended {
                    outcome, prior: &prior, repeat, is_alone: true, tried_at: at(now),
                    last_success_at: works_for_others.then(|| at(now + 1)),
                };
                let resolution = resolve(&ended, &LIMITS, at(now + 2));
                prop_assert_eq!(resolution.state == State::Pending, resolution.due_at.is_some());
                prop_assert!(resolution.reason.is_some() || matches!(resolution.state, State::Accepted | State::Sent));
                if never && outcome == Outcome::Ambiguous {
                    prop_assert_eq!(resolution.state, State::Uncertain);
                }
                if let Some(due) = resolution.due_at {
                    prop_assert!(due <= at(now + 2) + LIMITS.schedule.retry_after_cap + LIMITS.schedule.cap);
                }
                if resolution.state != State::Pending {
                    break;
                }
                prior.tries += 1;
                prior.refusals += i16::from(outcome.as_str() == "rejected");
                prior.early += i16::from(outcome.as_str() == "too_early");
                prior.attempts += i16::from(resolution.is_counted);
                prior.tried_at = Some(at(now));
                prop_assert!(prior.attempts < LIMITS.attempts_max);
            }
        }
    }
}
