//! Takes due work under a lease: fresh events from the queue, and waiting deliveries of one destination.
//!
//! One short statement each, with `skip locked`; no transaction is open afterwards. The lease runs on the database's
//! clock. What is claimed and never settled comes back by itself when the lease has run out.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::db::connect::Database;
use crate::db::error::DatabaseError;

use crate::consent::{Permit, Signal};
use crate::decide::{Prior, Removal, Surroundings};
use crate::event::{Columns, EventFault, OutboxEvent};
use crate::original::{self, Original};
use crate::suppression::Subject;

const CLAIM_EVENTS: &str = include_str!("../sql/queries/claim_events.sql");
const CLAIM_UNREAD: &str = include_str!("../sql/queries/claim_unread.sql");
const CLAIM_DUE: &str = include_str!("../sql/queries/claim_due.sql");
const NEXT_DUE: &str = include_str!("../sql/queries/next_due.sql");
const READ_EVENT: &str = include_str!("../sql/queries/read_event.sql");

/// Deliveries that the platform takes for no longer than this go before all others.
pub const EXPIRES_SOON: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The right to settle: void as soon as somebody else claims the same row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Which event.
    pub event_no: i64,
    /// The claim number that settling must show.
    pub claim_no: i32,
    /// Claimed from the queue, so that the delivery row is yet to be made.
    pub is_fresh: bool,
    /// By the worker's own clock, a little early: nothing is sent after this.
    pub expires_at: Instant,
}

/// An event or a delivery under lease.
#[derive(Debug)]
pub struct Claimed {
    /// The right to settle it.
    pub ticket: Ticket,
    /// When the lease of its last holder ran out, if one did not come back: what that worker sent by then, nobody knows.
    pub lost_at: Option<DateTime<Utc>>,
    /// Reversals that were written in the event's own transaction, if its last holder did not come back.
    pub came_with: Vec<i64>,
    /// A person asked for it again.
    pub is_replayed: bool,
    /// The event, or what is wrong with its row.
    pub event: Result<Arc<OutboxEvent>, EventFault>,
    /// Withdrawals and the adjusted event.
    pub around: Surroundings,
    /// Destinations that need nothing any more (after a rescue).
    pub done: Vec<String>,
    /// Earlier tries, for a waiting delivery.
    pub prior: Prior,
    /// What this look at the database could not see is written by transactions from this number on.
    pub as_of: u64,
    /// Keys that entries of the suppression list were made with.
    pub suppression_keys: Vec<String>,
    /// Digests of everybody it concerns, where there is a key to make them with.
    pub subjects: Arc<[Subject]>,
}

/// How much to claim and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Rows at most.
    pub limit: i64,
    /// Length of the lease.
    pub lease: std::time::Duration,
    /// The time, where it is not the database's own.
    pub clock: Option<DateTime<Utc>>,
}

/// Claims fresh events above the low-water mark, oldest first.
pub async fn claim_events(
    database: &Database,
    above: i64,
    terms: Terms,
) -> Result<Vec<Claimed>, DatabaseError> {
    let expires_at = Instant::now() + terms.lease;
    let lease = terms.lease.as_secs_f64();
    let rows = database
        .query(
            CLAIM_EVENTS,
            &[
                (&above as &(dyn ToSql + Sync), Type::INT8),
                (&terms.limit, Type::INT8),
                (&lease, Type::FLOAT8),
                (&terms.clock, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    let mut claimed = rows
        .iter()
        .map(|row| claimed(row, true, expires_at))
        .collect::<Result<Vec<_>, tokio_postgres::Error>>()
        .map_err(DatabaseError::from)?;
    claimed.sort_by_key(|claimed| claimed.ticket.event_no);
    Ok(claimed)
}

/// Claims the first due event without reading its row, so that a row that cannot be read can be ended.
pub async fn claim_unread(
    database: &Database,
    above: i64,
    terms: Terms,
) -> Result<Option<Ticket>, DatabaseError> {
    let expires_at = Instant::now() + terms.lease;
    let lease = terms.lease.as_secs_f64();
    let rows = database
        .query(
            CLAIM_UNREAD,
            &[
                (&above as &(dyn ToSql + Sync), Type::INT8),
                (&lease, Type::FLOAT8),
                (&terms.clock, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    let ticket = |row: &Row| {
        Ok::<_, tokio_postgres::Error>(Ticket {
            event_no: row.try_get("event_no")?,
            claim_no: row.try_get("claim_no")?,
            is_fresh: true,
            expires_at,
        })
    };
    Ok(rows.first().map(ticket).transpose()?)
}

/// Claims waiting deliveries of one destination whose time has come, at most `replays` of those that a person asked for again,
/// and these only after all others.
pub async fn claim_due(
    database: &Database,
    destination: &str,
    replays: i64,
    terms: Terms,
) -> Result<Vec<Claimed>, DatabaseError> {
    let expires_at = Instant::now() + terms.lease;
    let lease = terms.lease.as_secs_f64();
    let rows = database
        .query(
            CLAIM_DUE,
            &[
                (&destination as &(dyn ToSql + Sync), Type::TEXT),
                (&terms.limit, Type::INT8),
                (&lease, Type::FLOAT8),
                (&terms.clock, Type::TIMESTAMPTZ),
                (&EXPIRES_SOON.as_secs_f64(), Type::FLOAT8),
                (&replays, Type::INT8),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let mut claimed = claimed(row, false, expires_at)?;
            claimed.prior = prior(row)?;
            Ok(claimed)
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(DatabaseError::from)
}

/// For each destination that has waiting deliveries, when the first of them falls due.
pub async fn next_due(
    database: &Database,
    destinations: &[String],
    clock: Option<DateTime<Utc>>,
) -> Result<BTreeMap<String, DateTime<Utc>>, DatabaseError> {
    let rows = database
        .query(
            NEXT_DUE,
            &[
                (&destinations as &(dyn ToSql + Sync), Type::TEXT_ARRAY),
                (&clock, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("destination")?, row.try_get("due_at")?)))
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(DatabaseError::from)
}

/// One event and its surroundings by event id, without claiming it.
pub async fn read_event(
    database: &Database,
    event_id: &str,
) -> Result<Option<(Result<OutboxEvent, EventFault>, Surroundings)>, DatabaseError> {
    let rows = database
        .query(
            READ_EVENT,
            &[(&event_id as &(dyn ToSql + Sync), Type::TEXT)],
        )
        .await?;
    rows.first()
        .map(|row| Ok::<_, tokio_postgres::Error>((readable(row)?, surroundings(row)?)))
        .transpose()
        .map_err(DatabaseError::from)
}

fn claimed(
    row: &Row,
    is_fresh: bool,
    expires_at: Instant,
) -> Result<Claimed, tokio_postgres::Error> {
    Ok(Claimed {
        ticket: Ticket {
            event_no: row.try_get("event_no")?,
            claim_no: row.try_get("claim_no")?,
            is_fresh,
            expires_at,
        },
        lost_at: row.try_get("lost_at")?,
        came_with: row
            .try_get::<_, Option<Vec<i64>>>("came_with")?
            .unwrap_or_default(),
        is_replayed: !is_fresh && row.try_get("replayed")?,
        event: readable(row)?.map(Arc::new),
        around: surroundings(row)?,
        done: if is_fresh {
            row.try_get::<_, Option<Vec<String>>>("done")?
                .unwrap_or_default()
        } else {
            Vec::new()
        },
        prior: Prior::default(),
        // A number that cannot be read is no reason to trust the look.
        as_of: row.try_get::<_, String>("as_of")?.parse().unwrap_or(0),
        suppression_keys: row
            .try_get::<_, Option<Vec<String>>>("suppression_keys")?
            .unwrap_or_default(),
        subjects: Arc::default(),
    })
}

pub(crate) fn prior(row: &Row) -> Result<Prior, tokio_postgres::Error> {
    Ok(Prior {
        tries: row.try_get("tries")?,
        attempts: row.try_get("attempts")?,
        refusals: row.try_get("refusals")?,
        early: row.try_get("early")?,
        lost: row.try_get("lost")?,
        permit: row
            .try_get::<_, Option<i32>>("permit")?
            .map(Permit::from_bits),
        payload_hash: row
            .try_get::<_, Option<Vec<u8>>>("payload_hash")?
            .and_then(|hash| hash.try_into().ok()),
        trace_id: row
            .try_get::<_, Option<Vec<u8>>>("trace_id")?
            .and_then(|id| id.try_into().ok()),
        tried_at: row.try_get("tried_at")?,
        first_tried_at: row.try_get("first_tried_at")?,
        intent_at: row.try_get("intent_at")?,
        answer_lost: row.try_get("answer_lost")?,
        forced_at: row.try_get("forced_at")?,
        company: row
            .try_get::<_, Option<i16>>("company")?
            .and_then(|company| u16::try_from(company).ok()),
    })
}

/// The event, unless it or the one that it names cannot be read: that is this row's own fault and fails no other.
fn readable(row: &Row) -> Result<Result<OutboxEvent, EventFault>, tokio_postgres::Error> {
    match row.try_get::<_, Option<Value>>("original") {
        Ok(_) => event(row),
        Err(_) => Ok(Err(EventFault {
            column: "depends_on",
            rule: "must name an event that can be read",
        })),
    }
}

pub(crate) fn surroundings(row: &Row) -> Result<Surroundings, tokio_postgres::Error> {
    let withdrawn = row
        .try_get::<_, Option<Vec<String>>>("withdrawn")?
        .unwrap_or_default();
    let event_no = row.try_get("event_no")?;
    // What cannot be read is this row's own fault, told with the event.
    let original = row.try_get::<_, Option<Value>>("original").unwrap_or(None);
    let reversals = row.try_get::<_, Option<Value>>("reversals")?;
    Ok(Surroundings {
        withdrawn: withdrawn
            .iter()
            .filter_map(|name| Signal::parse(name))
            .collect(),
        original: original
            .as_ref()
            .map(|original| Original::read(original, event_no)),
        reversals: reversals
            .as_ref()
            .map(original::reversals)
            .unwrap_or_default(),
        removed: row
            .try_get::<_, Option<String>>("data_removed_by")?
            .as_deref()
            .and_then(Removal::parse),
        suppression: None,
    })
}

/// The event of a row. Columns whose content may be more than can be read (JSON nested too deeply, a time beyond the
/// calendar) are this row's own fault and fail no other.
pub(crate) fn event(row: &Row) -> Result<Result<OutboxEvent, EventFault>, tokio_postgres::Error> {
    let columns = Columns {
        event_no: row.try_get("event_no")?,
        event_id: row.try_get("event_id")?,
        event_name: row.try_get("event_name")?,
        business_id: row.try_get("business_id")?,
        recorded_at: row.try_get("recorded_at")?,
        value: row.try_get("value")?,
        currency: row.try_get("currency")?,
        action_source: row.try_get("action_source")?,
        page_url: row.try_get("page_url")?,
        source: row.try_get("source")?,
        depends_on: row.try_get("depends_on")?,
        traceparent: row.try_get("traceparent")?,
        tracestate: row.try_get("tracestate")?,
        payload_salt: row.try_get("payload_salt")?,
        ..Columns::default()
    };
    Ok(with_free_columns(row, columns).and_then(OutboxEvent::parse))
}

fn with_free_columns(row: &Row, columns: Columns) -> Result<Columns, EventFault> {
    let json = |column| {
        let fault = |_| EventFault {
            column,
            rule: "must be JSON that is not nested beyond reading",
        };
        row.try_get(column).map_err(fault)
    };
    Ok(Columns {
        occurred_at: row.try_get("occurred_at").map_err(|_| EventFault {
            column: "occurred_at",
            rule: "must be a time within the calendar",
        })?,
        consent: json("consent")?,
        user_data: json("user_data")?,
        click_ids: json("click_ids")?,
        properties: json("properties")?,
        ..columns
    })
}
