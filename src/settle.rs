//! Writes results back: one guarded, set-based statement for everything that ended since the last one.
//!
//! The statement changes nothing for a worker that lost its lease; what it did settle, it returns. Not for deciding
//! what a result is: that is done by then.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::claim::Ticket;
use crate::consent::Permit;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::event::OutboxEvent;
use crate::outcome::{Reason, State};

const SETTLE: &str = include_str!("../sql/queries/settle.sql");
const SETTLED_BEFORE: &str = include_str!("../sql/queries/settled_before.sql");
const INTEND: &str = include_str!("../sql/queries/intend.sql");
const RELEASE: &str = include_str!("../sql/queries/release.sql");

/// One delivery's result.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The right to write it.
    pub ticket: Ticket,
    /// Which destination.
    pub destination: String,
    /// The event, unless its row is none.
    pub event: Option<Arc<OutboxEvent>>,
    /// Next state.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// The conversion action or rule whose hold it waits for, if it does.
    pub kept_by: Option<Box<str>>,
    /// When to try again, for a pending one.
    pub due_at: Option<DateTime<Utc>>,
    /// When it was settled, for a final one.
    pub settled_at: Option<DateTime<Utc>>,
    /// Requests that carried it, all claims together.
    pub tries: i16,
    /// Tries that count against the limit.
    pub attempts: i16,
    /// Since when it may have been taken without our knowing.
    pub first_tried_at: Option<DateTime<Utc>>,
    /// A code for what was wrong: the platform's own, or the field that our check refused.
    pub error_code: Option<String>,
    /// What the last payload was built from.
    pub permit: Option<Permit>,
    /// When the destination takes it no longer, for one that waits.
    pub expires_at: Option<DateTime<Utc>>,
    /// Where the platform says later what became of it.
    pub receipt: Option<Receipt>,
    /// The requests of this claim, oldest first.
    pub log: Vec<Try>,
}

/// The platform's number for a request whose fate it tells later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The platform's own.
    pub number: String,
    /// The conversion action that all its events are for.
    pub rule: Option<String>,
    /// When to ask for the first time.
    pub ask_at: DateTime<Utc>,
}

/// One request as it is remembered.
#[derive(Clone, Debug)]
pub struct Try {
    /// One of [`crate::outcome::Outcome::TEXTS`].
    pub outcome: &'static str,
    /// Whether it counts against the limit.
    pub is_counted: bool,
    /// When it was sent.
    pub tried_at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub duration_ms: i32,
    /// HTTP status, if an answer came.
    pub response_code: Option<i16>,
    /// The platform's own code, or how far the request got.
    pub error_code: Option<String>,
    /// Fingerprint of the event's part of the body.
    pub payload_hash: [u8; 32],
    /// The trace it belongs to.
    pub trace_id: Option<[u8; 16]>,
}

/// A delivery that is about to be sent where a repeat would count twice.
#[derive(Clone, Copy, Debug)]
pub struct Intent {
    /// The right to send it.
    pub ticket: Ticket,
    /// Fingerprint of its payload.
    pub payload_hash: [u8; 32],
    /// What it was built from.
    pub permit: Permit,
}

/// Settles. Returns the deliveries that were written, as (event number, destination); the rest was lost to others.
/// `finished` are events whose last destination is in.
pub async fn settle(
    database: &Database,
    settlements: &[Settlement],
    finished: &[Ticket],
    slot: i16,
) -> Result<HashSet<(i64, String)>, DatabaseError> {
    let of = settlements.iter();
    let last = |settlement: &Settlement| settlement.log.last().cloned();
    let event_no: Vec<i64> = of.clone().map(|s| s.ticket.event_no).collect();
    let destination: Vec<&str> = of.clone().map(|s| s.destination.as_str()).collect();
    let claim_no: Vec<i32> = of.clone().map(|s| s.ticket.claim_no).collect();
    let fresh: Vec<bool> = of.clone().map(|s| s.ticket.is_fresh).collect();
    let state: Vec<&str> = of.clone().map(|s| s.state.as_str()).collect();
    let reason: Vec<Option<&str>> = of.clone().map(|s| s.reason.map(Reason::as_str)).collect();
    let tries: Vec<i16> = of.clone().map(|s| s.tries).collect();
    let attempts: Vec<i16> = of.clone().map(|s| s.attempts).collect();
    let lasts: Vec<Option<Try>> = of.clone().map(last).collect();
    let response_code: Vec<Option<i16>> = lasts.iter().map(|t| t.as_ref()?.response_code).collect();
    let duration_ms: Vec<Option<i32>> = lasts
        .iter()
        .map(|t| Some(t.as_ref()?.duration_ms))
        .collect();
    let permit: Vec<Option<i32>> = of.clone().map(|s| s.permit.map(Permit::bits)).collect();
    let tried_at: Vec<Option<DateTime<Utc>>> =
        lasts.iter().map(|t| Some(t.as_ref()?.tried_at)).collect();
    let first_tried_at: Vec<Option<DateTime<Utc>>> = of.clone().map(|s| s.first_tried_at).collect();
    let payload_hash: Vec<Option<&[u8]>> = lasts
        .iter()
        .map(|t| Some(t.as_ref()?.payload_hash.as_slice()))
        .collect();
    let trace_id: Vec<Option<&[u8]>> = lasts
        .iter()
        .map(|t| Some(t.as_ref()?.trace_id.as_ref()?.as_slice()))
        .collect();
    let error_code: Vec<Option<&str>> = of.clone().map(|s| s.error_code.as_deref()).collect();
    let due_at: Vec<Option<DateTime<Utc>>> = of.clone().map(|s| s.due_at).collect();
    let settled_at: Vec<Option<DateTime<Utc>>> = of.clone().map(|s| s.settled_at).collect();
    let expires_at: Vec<Option<DateTime<Utc>>> = of.clone().map(|s| s.expires_at).collect();
    let receipts = of.clone().map(|s| s.receipt.as_ref());
    let receipt: Vec<Option<&str>> = receipts
        .clone()
        .map(|receipt| Some(receipt?.number.as_str()))
        .collect();
    let rule: Vec<Option<&str>> = receipts
        .clone()
        .map(|receipt| receipt?.rule.as_deref())
        .collect();
    let ask_at: Vec<Option<DateTime<Utc>>> =
        receipts.map(|receipt| Some(receipt?.ask_at)).collect();
    let attempt = Attempts::of(settlements);
    let finished_no: Vec<i64> = finished.iter().map(|ticket| ticket.event_no).collect();
    let finished_claim: Vec<i32> = finished.iter().map(|ticket| ticket.claim_no).collect();

    let params: [(&(dyn ToSql + Sync), Type); 36] = [
        (&event_no, Type::INT8_ARRAY),
        (&destination, Type::TEXT_ARRAY),
        (&claim_no, Type::INT4_ARRAY),
        (&fresh, Type::BOOL_ARRAY),
        (&slot, Type::INT2),
        (&state, Type::TEXT_ARRAY),
        (&reason, Type::TEXT_ARRAY),
        (&tries, Type::INT2_ARRAY),
        (&attempts, Type::INT2_ARRAY),
        (&response_code, Type::INT2_ARRAY),
        (&duration_ms, Type::INT4_ARRAY),
        (&permit, Type::INT4_ARRAY),
        (&tried_at, Type::TIMESTAMPTZ_ARRAY),
        (&first_tried_at, Type::TIMESTAMPTZ_ARRAY),
        (&payload_hash, Type::BYTEA_ARRAY),
        (&trace_id, Type::BYTEA_ARRAY),
        (&error_code, Type::TEXT_ARRAY),
        (&due_at, Type::TIMESTAMPTZ_ARRAY),
        (&settled_at, Type::TIMESTAMPTZ_ARRAY),
        (&attempt.event_no, Type::INT8_ARRAY),
        (&attempt.destination, Type::TEXT_ARRAY),
        (&attempt.try_no, Type::INT2_ARRAY),
        (&attempt.outcome, Type::TEXT_ARRAY),
        (&attempt.counted, Type::BOOL_ARRAY),
        (&attempt.tried_at, Type::TIMESTAMPTZ_ARRAY),
        (&attempt.duration_ms, Type::INT4_ARRAY),
        (&attempt.response_code, Type::INT2_ARRAY),
        (&attempt.error_code, Type::TEXT_ARRAY),
        (&attempt.payload_hash, Type::BYTEA_ARRAY),
        (&attempt.trace_id, Type::BYTEA_ARRAY),
        (&finished_no, Type::INT8_ARRAY),
        (&finished_claim, Type::INT4_ARRAY),
        (&expires_at, Type::TIMESTAMPTZ_ARRAY),
        (&receipt, Type::TEXT_ARRAY),
        (&rule, Type::TEXT_ARRAY),
        (&ask_at, Type::TIMESTAMPTZ_ARRAY),
    ];
    named(&database.query(SETTLE, &params).await?)
}

/// Which of these stand in the database already, written by the same worker: after a commit whose answer was lost, the
/// second try finds nothing left to write.
pub async fn settled_before(
    database: &Database,
    settlements: &[&Settlement],
) -> Result<HashSet<(i64, String)>, DatabaseError> {
    let of = settlements.iter();
    let event_no: Vec<i64> = of.clone().map(|s| s.ticket.event_no).collect();
    let destination: Vec<&str> = of.clone().map(|s| s.destination.as_str()).collect();
    let state: Vec<&str> = of.clone().map(|s| s.state.as_str()).collect();
    let tries: Vec<i16> = of.clone().map(|s| s.tries).collect();
    let tried_at: Vec<Option<DateTime<Utc>>> =
        of.clone().map(|s| Some(s.log.last()?.tried_at)).collect();
    let settled_at: Vec<Option<DateTime<Utc>>> = of.clone().map(|s| s.settled_at).collect();
    let due_at: Vec<Option<DateTime<Utc>>> = of.map(|s| s.due_at).collect();
    let params: [(&(dyn ToSql + Sync), Type); 7] = [
        (&event_no, Type::INT8_ARRAY),
        (&destination, Type::TEXT_ARRAY),
        (&state, Type::TEXT_ARRAY),
        (&tries, Type::INT2_ARRAY),
        (&tried_at, Type::TIMESTAMPTZ_ARRAY),
        (&settled_at, Type::TIMESTAMPTZ_ARRAY),
        (&due_at, Type::TIMESTAMPTZ_ARRAY),
    ];
    named(&database.query(SETTLED_BEFORE, &params).await?)
}

/// Deliveries by event number and destination.
fn named(rows: &[Row]) -> Result<HashSet<(i64, String)>, DatabaseError> {
    rows.iter()
        .map(|row| Ok((row.try_get("event_no")?, row.try_get("destination")?)))
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(DatabaseError::from)
}

/// Records that these are about to be sent. Returns, by event number, the tickets that settle them from here on; what
/// is missing was lost to others and must not be sent. Calling it again with the same `at` writes nothing twice.
pub async fn intend(
    database: &Database,
    destination: &str,
    intents: &[Intent],
    lease: std::time::Duration,
    at: DateTime<Utc>,
    clock: Option<DateTime<Utc>>,
) -> Result<Vec<Ticket>, DatabaseError> {
    let expires_at = tokio::time::Instant::now() + lease;
    let event_no: Vec<i64> = intents
        .iter()
        .map(|intent| intent.ticket.event_no)
        .collect();
    let queue_claim: Vec<i32> = intents
        .iter()
        .map(|intent| intent.ticket.claim_no)
        .collect();
    let delivery_claim: Vec<i32> = intents
        .iter()
        .map(|intent| {
            if intent.ticket.is_fresh {
                0
            } else {
                intent.ticket.claim_no
            }
        })
        .collect();
    let payload_hash: Vec<&[u8]> = intents
        .iter()
        .map(|intent| intent.payload_hash.as_slice())
        .collect();
    let permit: Vec<i32> = intents.iter().map(|intent| intent.permit.bits()).collect();
    let lease = lease.as_secs_f64();
    let params: [(&(dyn ToSql + Sync), Type); 9] = [
        (&event_no, Type::INT8_ARRAY),
        (&destination, Type::TEXT),
        (&queue_claim, Type::INT4_ARRAY),
        (&lease, Type::FLOAT8),
        (&delivery_claim, Type::INT4_ARRAY),
        (&payload_hash, Type::BYTEA_ARRAY),
        (&permit, Type::INT4_ARRAY),
        (&at, Type::TIMESTAMPTZ),
        (&clock, Type::TIMESTAMPTZ),
    ];
    let rows = database.query(INTEND, &params).await?;
    rows.iter()
        .map(|row| {
            Ok(Ticket {
                event_no: row.try_get("event_no")?,
                claim_no: row.try_get("claim_no")?,
                is_fresh: false,
                expires_at,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(DatabaseError::from)
}

/// Gives back what was claimed and not sent, so that another worker need not wait for the lease to run out.
pub async fn release(
    database: &Database,
    unsent: &[(Ticket, String)],
) -> Result<i64, DatabaseError> {
    let (fresh, waiting): (Vec<_>, Vec<_>) = unsent.iter().partition(|(ticket, _)| ticket.is_fresh);
    let queue_no: Vec<i64> = fresh.iter().map(|(ticket, _)| ticket.event_no).collect();
    let queue_claim: Vec<i32> = fresh.iter().map(|(ticket, _)| ticket.claim_no).collect();
    let delivery_no: Vec<i64> = waiting.iter().map(|(ticket, _)| ticket.event_no).collect();
    let delivery_destination: Vec<&str> = waiting
        .iter()
        .map(|(_, destination)| destination.as_str())
        .collect();
    let delivery_claim: Vec<i32> = waiting.iter().map(|(ticket, _)| ticket.claim_no).collect();
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&queue_no, Type::INT8_ARRAY),
        (&queue_claim, Type::INT4_ARRAY),
        (&delivery_no, Type::INT8_ARRAY),
        (&delivery_destination, Type::TEXT_ARRAY),
        (&delivery_claim, Type::INT4_ARRAY),
    ];
    let rows = database.query(RELEASE, &params).await?;
    rows.first()
        .map_or(Ok(0), |row| row.try_get("released"))
        .map_err(DatabaseError::from)
}

/// The columns of the attempt rows: tries that the delivery row does not tell by itself.
#[derive(Default)]
struct Attempts<'a> {
    event_no: Vec<i64>,
    destination: Vec<&'a str>,
    try_no: Vec<i16>,
    outcome: Vec<&'a str>,
    counted: Vec<bool>,
    tried_at: Vec<DateTime<Utc>>,
    duration_ms: Vec<i32>,
    response_code: Vec<Option<i16>>,
    error_code: Vec<Option<&'a str>>,
    payload_hash: Vec<&'a [u8]>,
    trace_id: Vec<Option<&'a [u8]>>,
}

impl<'a> Attempts<'a> {
    fn of(settlements: &'a [Settlement]) -> Attempts<'a> {
        let mut columns = Attempts::default();
        for settlement in settlements {
            if settlement.tells_itself() {
                continue;
            }
            let first = settlement.tries
                - i16::try_from(settlement.log.len()).expect("a claim makes few requests");
            for (n, attempt) in (first + 1..).zip(&settlement.log) {
                columns.event_no.push(settlement.ticket.event_no);
                columns.destination.push(&settlement.destination);
                columns.try_no.push(n);
                columns.outcome.push(attempt.outcome);
                columns.counted.push(attempt.is_counted);
                columns.tried_at.push(attempt.tried_at);
                columns.duration_ms.push(attempt.duration_ms);
                columns.response_code.push(attempt.response_code);
                columns.error_code.push(attempt.error_code.as_deref());
                columns.payload_hash.push(&attempt.payload_hash);
                columns
                    .trace_id
                    .push(attempt.trace_id.as_ref().map(<[u8; 16]>::as_slice));
            }
        }
        columns
    }
}

impl Settlement {
    /// A delivery settled for good by its first try is its own record.
    fn tells_itself(&self) -> bool {
        self.tries <= 1 && self.state != State::Pending
    }
}
