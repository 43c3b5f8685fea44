//! Reads events of the outbox as they are compared: ids, times, amounts, and what became of them. Nothing of the person.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::ReconcileError;
use super::day::Day;
use super::exact::Exact;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::outcome::State;

const EVENTS: &str = include_str!("../../sql/queries/reconcile_events.sql");
const BY_ID: &str = include_str!("../../sql/queries/reconcile_events_by_id.sql");

/// Ids in one look-up.
const IDS: usize = 5000;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    /// Its own id.
    pub event_id: String,
    /// Order, lead or deal.
    pub business_id: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Amount and currency.
    pub money: Option<(Exact, String)>,
    /// Whether it was written again with other content.
    pub has_conflict: bool,
    /// Whether some destination has not looked at it yet.
    pub is_queued: bool,
    /// By destination.
    pub standings: BTreeMap<String, Standing>,
}

/// What became of it at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// Why, with the error code where there is one: `refused_by_platform (100/2804019)`.
    pub reason: Option<String>,
}

impl OutboxRow {
    /// Whether the destination has it, for all that is known.
    pub fn has_arrived(&self, destination: &str) -> bool {
        let standing = self.standings.get(destination);
        standing.is_some_and(|one| matches!(one.state, State::Accepted | State::Sent))
    }
}

/// The events of one day, so many at most.
pub async fn of_day(
    database: &Database,
    event_name: &str,
    day: &Day,
    rows_max: u32,
) -> Result<Vec<OutboxRow>, ReconcileError> {
    let limit = i64::from(rows_max) + 1;
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&event_name, Type::TEXT),
        (&day.begins_at, Type::TIMESTAMPTZ),
        (&day.ends_at, Type::TIMESTAMPTZ),
        (&limit, Type::INT8),
    ];
    let rows = database.query(EVENTS, &params).await?;
    if rows.len() > rows_max as usize {
        return Err(ReconcileError::TooManyEvents(rows_max));
    }
    rows.iter().map(read).collect()
}

/// Events of whatever day, by their own id or by that of their order, lead or deal.
pub async fn by_id(
    database: &Database,
    event_name: &str,
    ids: &[&str],
) -> Result<Vec<OutboxRow>, ReconcileError> {
    let mut found = Vec::new();
    for ids in ids.chunks(IDS) {
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&event_name, Type::TEXT), (&ids, Type::TEXT_ARRAY)];
        for row in database.query(BY_ID, &params).await? {
            found.push(read(&row)?);
        }
    }
    Ok(found)
}

fn read(row: &Row) -> Result<OutboxRow, ReconcileError> {
    read_row(row).map_err(|error| ReconcileError::Database(DatabaseError::from(error)))
}

fn read_row(row: &Row) -> Result<OutboxRow, tokio_postgres::Error> {
    let value: Option<String> = row.try_get("value")?;
    let currency: Option<String> = row.try_get("currency")?;
    let standings: Option<Value> = row.try_get("standings")?;
    let standings = standings.as_ref().and_then(Value::as_object);
    Ok(OutboxRow {
        event_id: row.try_get("event_id")?,
        business_id: row.try_get("business_id")?,
        occurred_at: row.try_get("occurred_at")?,
        // An amount of more than twenty decimals is compared by the first twenty: no currency has nearly as many.
        money: value.and_then(|text| Some((Exact::parse(first_twenty(&text))?, currency?))),
        has_conflict: row.try_get("has_conflict")?,
        is_queued: row.try_get("is_queued")?,
        standings: standings
            .into_iter()
            .flatten()
            .filter_map(|(name, told)| Some((name.clone(), standing(told)?)))
            .collect(),
    })
}

fn first_twenty(digits: &str) -> &str {
    match digits.find('.') {
        Some(point) => &digits[..digits.len().min(point + 21)],
        None => digits,
    }
}

fn standing(told: &Value) -> Option<Standing> {
    let state = State::parse(told[0].as_str()?)?;
    let reason = match (told[1].as_str(), told[2].as_str()) {
        (Some(reason), Some(code)) => Some(format!("{reason} ({code})")),
        (reason, code) => reason.or(code).map(str::to_owned),
    };
    Some(Standing { state, reason })
}
