//! What a person asks for again or ends by hand: which deliveries, whether they would go, and the change itself.
//!
//! Whether a delivery would go is asked of [`decide`], as a worker will: nothing is known here of any platform.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::claim;
use crate::config::Config;
use crate::config::destination::DestinationConfig;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::decide::{self, Decision, Prior, Repeat, Surroundings};
use crate::event::{EventFault, OutboxEvent};
use crate::outcome::{Reason, State};

const READ: &str = include_str!("../sql/queries/read_dead_letters.sql");
const REPLAY: &str = include_str!("../sql/queries/replay_deliveries.sql");
const SKIP: &str = include_str!("../sql/queries/skip_deliveries.sql");

/// Deliveries in one statement: no lock is held for long.
const PAGE: i64 = 1000;

/// Which dead letters. What is not given asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Name of the destination.
    pub destination: Option<String>,
    /// `rejected`, `uncertain` or `exhausted`.
    pub state: Option<String>,
    /// Why they ended.
    pub reason: Option<String>,
    /// The platform's own code.
    pub code: Option<String>,
    /// Name of the event.
    pub event_name: Option<String>,
    /// Settled at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Settled before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only these events.
    pub event_ids: Option<Vec<String>>,
}

impl Filter {
    /// Whether it asks for nothing at all, and so means everything.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// The parameters that every query of dead letters begins with.
    pub fn params(&self) -> [(&(dyn ToSql + Sync), Type); 8] {
        [
            (&self.destination, Type::TEXT),
            (&self.state, Type::TEXT),
            (&self.reason, Type::TEXT),
            (&self.code, Type::TEXT),
            (&self.event_name, Type::TEXT),
            (&self.since, Type::TIMESTAMPTZ),
            (&self.until, Type::TIMESTAMPTZ),
            (&self.event_ids, Type::TEXT_ARRAY),
        ]
    }

    /// For the audit: what was asked for.
    pub fn told(&self) -> Value {
        let mut told = json!({
            "destination": self.destination, "state": self.state, "reason": self.reason, "code": self.code,
            "event_name": self.event_name, "since": self.since, "until": self.until,
        });
        if let Some(told) = told.as_object_mut() {
            told.retain(|_, value| !value.is_null());
        }
        json!({ "filter": told })
    }
}

/// A delivery that the filter finds.
#[derive(Debug)]
pub struct Candidate {
    /// Its event.
    pub event_no: i64,
    /// The event's id.
    pub event_id: String,
    /// Where to.
    pub destination: String,
    /// How it stands.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// Whether a worker has it.
    is_held: bool,
    event: Result<OutboxEvent, EventFault>,
    around: Surroundings,
    prior: Prior,
}

/// What becomes of a candidate if it is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// It goes.
    Goes(Doubt),
    /// It goes only if the operator takes the risk.
    AtRisk(Risk),
    /// It cannot go.
    Stays(&'static str),
}

/// What is done with the doubt whether it arrived already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// There is none: what may have arrived is refused.
    Refuse,
    /// It counts from when it began: the platform discards a repeat.
    Keep,
    /// The operator takes the risk that it counts twice.
    Forget,
}

impl Doubt {
    /// The word that the database takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Doubt::Refuse => "refuse",
            Doubt::Keep => "keep",
            Doubt::Forget => "forget",
        }
    }
}

/// Why an operator has to say that it is to go all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// It may have arrived, and the platform does not discard a repeat.
    MayCountTwice,
    /// It may have arrived, and the time in which the platform discards a repeat is over.
    WindowOver,
    /// The platform takes nothing so old: the worker will end it again.
    TooOld,
    /// Older than `age_max_hours`: the worker will end it again.
    AgeUsedUp,
}

impl Risk {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Risk::MayCountTwice => {
                "it may have arrived, and the platform does not discard a repeat: it may count twice"
            }
            Risk::WindowOver => {
                "it may have arrived longer ago than the platform remembers: it may count twice"
            }
            Risk::TooOld => "older than the platform takes: a worker will end it as expired",
            Risk::AgeUsedUp => {
                "older than age_max_hours of the configuration: a worker will end it as exhausted"
            }
        }
    }
}

/// One page of what the filter finds, after the last one seen. With `named_too`, deliveries of the named events that wait or
/// that an operator ended are meant too.
pub async fn read(
    database: &Database,
    filter: &Filter,
    named_too: bool,
    after: Option<&Candidate>,
) -> Result<Vec<Candidate>, DatabaseError> {
    let after_no = after.map_or(0, |last| last.event_no);
    let after_destination = after.map_or("", |last| last.destination.as_str());
    let mut params = filter.params().to_vec();
    params.extend([
        (&after_no as &(dyn ToSql + Sync), Type::INT8),
        (&after_destination, Type::TEXT),
        (&PAGE, Type::INT8),
        (&named_too, Type::BOOL),
    ]);
    let rows = database.query(READ, &params).await?;
    rows.iter()
        .map(candidate)
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(DatabaseError::from)
}

fn candidate(row: &Row) -> Result<Candidate, tokio_postgres::Error> {
    Ok(Candidate {
        event_no: row.try_get("event_no")?,
        event_id: row.try_get("event_id")?,
        destination: row.try_get("destination")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        is_held: row.try_get("held")?,
        event: claim::event(row)?,
        around: claim::surroundings(row)?,
        prior: claim::prior(row)?,
    })
}

impl Candidate {
    /// What becomes of it if it is asked for again now.
    pub fn prospect(&self, config: &Config, now: DateTime<Utc>) -> Prospect {
        if self.state == "pending" {
            return Prospect::Stays("it has not ended: it waits, and is tried when it is due");
        }
        let mut configured = config.destinations.iter();
        let named = configured.find(|one| one.name == self.destination && one.is_enabled);
        let (Some(destination), Ok(event)) = (named, &self.event) else {
            return Prospect::Stays(match named {
                None => "this configuration has no such enabled destination",
                Some(_) => "its row is no event that can be read",
            });
        };
        let was_refused = self.state == State::Rejected.as_str();
        let is_in_doubt = self.prior.first_tried_at.is_some();
        let may_have_arrived = is_in_doubt || self.state == State::Uncertain.as_str();
        let prior = Prior {
            attempts: 0,
            intent_at: None,
            company: None,
            // The same as the database forgets.
            permit: self.prior.permit.filter(|_| !was_refused || is_in_doubt),
            payload_hash: self
                .prior
                .payload_hash
                .filter(|_| !was_refused || is_in_doubt),
            ..self.prior.clone()
        };
        let decided = |prior: &Prior| self.decided(event, destination, config, prior, now);
        match decided(&prior) {
            Decision::Send(sendable) if may_have_arrived && sendable.repeat == Repeat::Never => {
                Prospect::AtRisk(Risk::MayCountTwice)
            }
            Decision::End(State::Uncertain, Reason::RepeatWindowOver, _) => {
                let forgotten = Prior {
                    first_tried_at: None,
                    ..prior
                };
                match decided(&forgotten) {
                    Decision::End(_, reason, _) => ended(reason),
                    _ => Prospect::AtRisk(Risk::WindowOver),
                }
            }
            Decision::End(_, reason, _) => ended(reason),
            _ if may_have_arrived => Prospect::Goes(Doubt::Keep),
            _ => Prospect::Goes(Doubt::Refuse),
        }
    }

    /// Whether it can be ended by hand.
    pub fn may_be_skipped(&self) -> bool {
        !self.is_held && self.state != State::Cancelled.as_str()
    }

    fn decided(
        &self,
        event: &OutboxEvent,
        destination: &DestinationConfig,
        config: &Config,
        prior: &Prior,
        now: DateTime<Utc>,
    ) -> Decision {
        let code = config.identity.default_calling_code;
        decide::decide(event, &self.around, destination, code, prior, now)
    }
}

fn ended(reason: Reason) -> Prospect {
    match reason {
        Reason::TooOld => Prospect::AtRisk(Risk::TooOld),
        Reason::AgeUsedUp => Prospect::AtRisk(Risk::AgeUsedUp),
        other => Prospect::Stays(other.as_str()),
    }
}

/// Sets these going again. Returns how many did: what somebody else changed meanwhile stays.
pub async fn replay(
    database: &Database,
    chosen: &[(i64, &str)],
    doubt: Doubt,
    reason: &str,
    asked: &Value,
) -> Result<usize, DatabaseError> {
    let (event_no, destination) = columns(chosen);
    let doubt = doubt.as_str();
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&event_no, Type::INT8_ARRAY),
        (&destination, Type::TEXT_ARRAY),
        (&reason, Type::TEXT),
        (&doubt, Type::TEXT),
        (asked, Type::JSONB),
    ];
    database.query(REPLAY, &params).await.map(|rows| rows.len())
}

/// Ends these as cancelled. Returns how many were: what a worker holds tells how it went.
pub async fn skip(
    database: &Database,
    chosen: &[(i64, &str)],
    reason: &str,
    asked: &Value,
) -> Result<usize, DatabaseError> {
    let (event_no, destination) = columns(chosen);
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&event_no, Type::INT8_ARRAY),
        (&destination, Type::TEXT_ARRAY),
        (&reason, Type::TEXT),
        (asked, Type::JSONB),
    ];
    database.query(SKIP, &params).await.map(|rows| rows.len())
}

fn columns<'a>(chosen: &[(i64, &'a str)]) -> (Vec<i64>, Vec<&'a str>) {
    chosen.iter().copied().unzip()
}
