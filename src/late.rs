//! What platforms say later of whole requests: which ones to ask for, and writing down what they said.
//!
//! Like [`claim`](crate::claim) and [`settle`](crate::settle): one short guarded statement each.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio_postgres::types::{ToSql, Type};

use crate::claim::Terms;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::destinations::AskLater;
use crate::outcome::{LateAnswer, LateVerdict, Outcome, Reason, State};
use crate::resolve::Limits;
use crate::telemetry::context::{Place, RowContext};

const CLAIM: &str = include_str!("../sql/queries/claim_requests.sql");
const SETTLE: &str = include_str!("../sql/queries/settle_request.sql");

/// A request that one worker asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// The platform's number.
    pub receipt: String,
    /// The conversion action that all its events are for.
    pub rule: Option<String>,
    /// The claim number that settling must show.
    pub claim_no: i32,
    /// How often the platform was asked before.
    pub asked: i16,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// Its deliveries that still wait for the answer.
    pub deliveries: i64,
    /// How often the one of them was sent that was sent most often, as far as the platform took the request.
    pub sendings: i16,
    /// How many events it could carry at most, where its deliveries were narrowed down before.
    pub company: Option<i16>,
    /// Where the last tries of its deliveries are told, of the first hundred.
    pub told: Vec<Place>,
}

/// A delivery that a late answer moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its event.
    pub event_id: String,
    /// The application's name for it.
    pub event_name: String,
    /// Where its last try is told.
    pub told: Option<Place>,
}

/// What a late answer makes of a request and its deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// When to ask again; nothing when the answer is final.
    pub ask_at: Option<DateTime<Utc>>,
    /// What the deliveries become; nothing while they stay as they are.
    pub becomes: Option<Becomes>,
}

/// What the deliveries of a request become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Becomes {
    /// Their state.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// When to send again, for those that wait.
    pub due_at: Option<DateTime<Utc>>,
    /// Whether the next requests may be half as large only, to find the culprit.
    pub is_narrowing: bool,
    /// Whether the failure counts against the limit of attempts.
    pub is_counted: bool,
}

/// Claims requests whose time has come.
pub async fn claim(
    database: &Database,
    destination: &str,
    terms: Terms,
) -> Result<Vec<OpenRequest>, DatabaseError> {
    let lease = terms.lease.as_secs_f64();
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&destination, Type::TEXT),
        (&terms.limit, Type::INT8),
        (&lease, Type::FLOAT8),
        (&terms.clock, Type::TIMESTAMPTZ),
    ];
    let rows = database.query(CLAIM, &params).await?;
    rows.iter()
        .map(|row| {
            Ok(OpenRequest {
                receipt: row.try_get("receipt")?,
                rule: row.try_get("rule")?,
                claim_no: row.try_get("claim_no")?,
                asked: row.try_get("asked")?,
                sent_at: row.try_get("sent_at")?,
                deliveries: row.try_get("deliveries")?,
                sendings: row.try_get("sendings")?,
                company: row.try_get("company")?,
                told: told(&row.try_get("told")?),
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(DatabaseError::from)
}

/// Writes down what was said. Returns the deliveries that it moved: none where the lease was lost.
pub async fn settle(
    database: &Database,
    destination: &str,
    request: &OpenRequest,
    answer: &LateAnswer,
    settled: &Settled,
    slot: i16,
    now: DateTime<Utc>,
) -> Result<Vec<Moved>, DatabaseError> {
    let counts = answer
        .reasons
        .iter()
        .map(|(reason, count)| (reason.clone(), Value::from(*count)));
    let reasons =
        (!answer.reasons.is_empty()).then(|| Value::Object(counts.collect::<Map<_, _>>()));
    let becomes = settled.becomes;
    let state = becomes.map(|becomes| becomes.state.as_str());
    let reason = becomes
        .and_then(|becomes| becomes.reason)
        .map(Reason::as_str);
    let due_at = becomes.and_then(|becomes| becomes.due_at);
    let is_narrowing = becomes.is_some_and(|becomes| becomes.is_narrowing);
    let is_counted = becomes.is_some_and(|becomes| becomes.is_counted);
    let is_in_doubt = is_narrowing || answer.took_some;
    let error_code = answer.reasons.first().map(|(reason, _)| reason.as_str());
    let params: [(&(dyn ToSql + Sync), Type); 15] = [
        (&destination, Type::TEXT),
        (&request.receipt, Type::TEXT),
        (&request.claim_no, Type::INT4),
        (&answer.status, Type::TEXT),
        (&reasons, Type::JSONB),
        (&settled.ask_at, Type::TIMESTAMPTZ),
        (&state, Type::TEXT),
        (&reason, Type::TEXT),
        (&error_code, Type::TEXT),
        (&due_at, Type::TIMESTAMPTZ),
        (&now, Type::TIMESTAMPTZ),
        (&is_narrowing, Type::BOOL),
        (&slot, Type::INT2),
        (&is_counted, Type::BOOL),
        (&is_in_doubt, Type::BOOL),
    ];
    let rows = database.query(SETTLE, &params).await?;
    rows.iter()
        .map(|row| {
            Ok(Moved {
                event_id: row.try_get("event_id")?,
                event_name: row.try_get("event_name")?,
                told: place(
                    row.try_get::<_, Option<Vec<u8>>>("trace_id")?,
                    row.try_get("traceparent")?,
                ),
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(DatabaseError::from)
}

/// The places of a JSON list of `{"trace_id", "traceparent"}`.
fn told(list: &Value) -> Vec<Place> {
    let each = list.as_array().into_iter().flatten();
    each.filter_map(|one| {
        let digits = one["trace_id"].as_str();
        let number = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
        let trace_id = number.map(|number| number.to_be_bytes().to_vec());
        place(trace_id, one["traceparent"].as_str())
    })
    .collect()
}

fn place(trace_id: Option<Vec<u8>>, traceparent: Option<&str>) -> Option<Place> {
    let row = RowContext::parse(traceparent, None);
    let trace_id = trace_id.and_then(|id| id.try_into().ok());
    Place::stored(trace_id, row.as_ref())
}

/// Resolves a late answer. Pure. A resend changes nothing that was counted: only platforms that overwrite a repeat answer late.
pub fn resolve(
    verdict: LateVerdict,
    request: &OpenRequest,
    ask: AskLater,
    limits: &Limits,
    now: DateTime<Utc>,
) -> Settled {
    let becomes = |state, reason| Settled {
        ask_at: None,
        becomes: Some(Becomes {
            state,
            reason,
            due_at: None,
            is_narrowing: false,
            is_counted: false,
        }),
    };
    let again = |reason, due_at, is_narrowing, is_counted| Settled {
        ask_at: None,
        becomes: Some(Becomes {
            state: State::Pending,
            reason: Some(reason),
            due_at: Some(due_at),
            is_narrowing,
            is_counted,
        }),
    };
    match verdict {
        LateVerdict::Open => {
            let give_up_at = request.sent_at + ask.give_up;
            if now >= give_up_at {
                return becomes(State::Sent, Some(Reason::NeverConfirmed));
            }
            Settled {
                ask_at: Some((now + pause(ask, request.asked)).min(give_up_at)),
                becomes: None,
            }
        }
        // However late it is: the platform knows the answer until it has forgotten the request.
        LateVerdict::Unasked(_) => Settled {
            ask_at: Some(now + pause(ask, request.asked)),
            becomes: None,
        },
        LateVerdict::Forgotten => becomes(State::Sent, Some(Reason::NeverConfirmed)),
        // It was alone, so the counts are of something else: there is nothing left to find.
        LateVerdict::SomeFailed { narrow: true } if request.company == Some(1) => {
            becomes(State::Sent, Some(Reason::PartlyFailed))
        }
        LateVerdict::SomeFailed { narrow: true } => again(Reason::Narrowing, now, true, false),
        LateVerdict::SomeFailed { narrow: false } => {
            becomes(State::Sent, Some(Reason::PartlyFailed))
        }
        LateVerdict::SomeUnmatched => becomes(State::Accepted, Some(Reason::PartlyUnmatched)),
        LateVerdict::All(outcome) => match outcome {
            Outcome::Accepted | Outcome::Sent | Outcome::Validated => {
                becomes(State::Accepted, None)
            }
            Outcome::Duplicate => becomes(State::Accepted, Some(Reason::Duplicate)),
            Outcome::Unmatched => becomes(State::Accepted, Some(Reason::Unmatched)),
            Outcome::TooEarly {
                tries_max: Some(tries_max),
                ..
            } if request.sendings >= tries_max => {
                becomes(State::Rejected, Some(Reason::RefusedByPlatform))
            }
            Outcome::TooEarly { after, .. } => again(Reason::TooEarly, now + after, false, false),
            Outcome::Retry { after, .. } => {
                let delay = limits.schedule.delay(0, after);
                again(Reason::Retry, now + delay, false, true)
            }
            Outcome::RateLimited { after } => {
                let delay = limits.schedule.delay(0, after);
                again(Reason::RateLimited, now + delay, false, false)
            }
            Outcome::Hold(_) => again(Reason::DestinationHeld, now, false, false),
            Outcome::HoldRule => again(Reason::RuleHeld, now, false, false),
            Outcome::Rejected
            | Outcome::Unrecognised
            | Outcome::Ambiguous
            | Outcome::Miscounted
            | Outcome::Bystander => becomes(State::Rejected, Some(Reason::RefusedByPlatform)),
        },
    }
}

/// Until the next question: longer each time, up to the longest.
fn pause(ask: AskLater, asked: i16) -> Duration {
    let growth = 1.0 + f64::from(ask.growth_percent) / 100.0;
    let factor = growth.powi(i32::from(asked.clamp(0, 100)) + 1);
    Duration::try_from_secs_f64(ask.first.as_secs_f64() * factor)
        .unwrap_or(ask.pause_max)
        .min(ask.pause_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::Schedule;

    const ASK: AskLater = AskLater {
        first: Duration::from_secs(1800),
        growth_percent: 30,
        pause_max: Duration::from_secs(3600),
        give_up: Duration::from_secs(86_400),
    };

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

    fn request(asked: i16) -> OpenRequest {
        OpenRequest {
            receipt: "r".into(),
            rule: None,
            claim_no: 1,
            asked,
            sent_at: at(0),
            deliveries: 4,
            sendings: 3,
            company: None,
            told: Vec::new(),
        }
    }

    #[test]
    fn it_asks_ever_more_rarely_and_stops_after_a_day() {
        let next = |asked, now| resolve(LateVerdict::Open, &request(asked), ASK, &LIMITS, at(now));
        assert_eq!(next(0, 1800).ask_at, Some(at(1800 + 2340)));
        assert_eq!(next(5, 20_000).ask_at, Some(at(23_600)));
        assert_eq!(
            next(20, 86_000).ask_at,
            Some(at(86_400)),
            "once more at the end"
        );
        let end = next(21, 86_400);
        assert_eq!(end.ask_at, None);
        assert_eq!(
            end.becomes.map(|becomes| (becomes.state, becomes.reason)),
            Some((State::Sent, Some(Reason::NeverConfirmed)))
        );
    }

    #[test]
    fn a_question_that_fails_says_nothing_of_the_events() {
        let down = LateVerdict::Unasked(Outcome::Retry {
            after: None,
            delivered: true,
        });
        for now in [1800, 40 * 86_400] {
            let settled = resolve(down, &request(0), ASK, &LIMITS, at(now));
            assert_eq!(settled.becomes, None, "however long it was away");
            assert!(settled.ask_at.is_some_and(|again| again > at(now)));
        }
    }

    #[test]
    fn some_culprit_is_looked_for_in_smaller_company() {
        let narrow = LateVerdict::SomeFailed { narrow: true };
        let becomes = resolve(narrow, &request(0), ASK, &LIMITS, at(1800)).becomes;
        assert_eq!(
            becomes.map(|becomes| (becomes.state, becomes.is_narrowing, becomes.is_counted)),
            Some((State::Pending, true, false))
        );
        let leave = LateVerdict::SomeFailed { narrow: false };
        let becomes = resolve(leave, &request(0), ASK, &LIMITS, at(1800)).becomes;
        assert_eq!(
            becomes.map(|becomes| (becomes.state, becomes.reason)),
            Some((State::Sent, Some(Reason::PartlyFailed)))
        );
    }

    #[test]
    fn what_is_too_early_too_often_is_refused() {
        let with = |tries_max| {
            let early = Outcome::TooEarly {
                after: Duration::from_secs(60),
                tries_max,
            };
            let settled = resolve(LateVerdict::All(early), &request(0), ASK, &LIMITS, at(0));
            settled.becomes.map(|becomes| becomes.state)
        };
        assert_eq!(with(None), Some(State::Pending));
        assert_eq!(with(Some(4)), Some(State::Pending));
        assert_eq!(with(Some(3)), Some(State::Rejected));
    }

    #[test]
    fn every_final_state_is_told_and_every_other_is_due() {
        for outcome in [
            Outcome::Accepted,
            Outcome::Duplicate,
            Outcome::Unmatched,
            Outcome::Rejected,
            Outcome::Hold(crate::outcome::Hold::Permission),
            Outcome::HoldRule,
            Outcome::RateLimited { after: None },
            Outcome::Retry {
                after: None,
                delivered: true,
            },
            Outcome::TooEarly {
                after: Duration::from_secs(60),
                tries_max: None,
            },
        ] {
            let settled = resolve(LateVerdict::All(outcome), &request(0), ASK, &LIMITS, at(0));
            let becomes = settled.becomes.expect("the deliveries move");
            assert_eq!(settled.ask_at, None);
            assert_eq!(
                becomes.state == State::Pending,
                becomes.due_at.is_some(),
                "{outcome:?}"
            );
        }
    }
}
