//! Computed days as the database keeps them: written by the worker, read by pages, metrics, digests and commands.
//!
//! Reading touches only these small tables, by their keys, however much the outbox holds.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::result::{DayResult, Gap};
use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const DAYS: &str = include_str!("../../sql/queries/reconcile_days.sql");
const LAST_CLOSED: &str = include_str!("../../sql/queries/reconcile_last_closed.sql");
const GAPS: &str = include_str!("../../sql/queries/reconcile_gaps.sql");
const RUNS: &str = include_str!("../../sql/queries/reconcile_runs.sql");
const CLAIM: &str = include_str!("../../sql/queries/reconcile_claim.sql");
const FINISH: &str = include_str!("../../sql/queries/reconcile_finish.sql");
const STORE: &str = include_str!("../../sql/queries/reconcile_store.sql");
const FORGET: &str = include_str!("../../sql/queries/reconcile_forget.sql");

/// Which gaps are wanted.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// All of the day.
    Anywhere,
    /// Those between source and outbox.
    Outbox,
    /// Those of one destination.
    Destination(&'a str),
}

/// The last run of one entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Name of the entry.
    pub entry: String,
    /// When a worker began.
    pub began_at: Option<DateTime<Utc>>,
    /// When it ended; before `began_at` while one is under way.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub failed: Option<String>,
    /// What it could not do though it went on, such as a platform that gave no answer.
    pub notes: Vec<String>,
}

/// Days of one entry or of all, both ends included, without their gaps; by entry, the latest day first.
pub async fn days(
    database: &Database,
    entry: Option<&str>,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<Vec<DayResult>, DatabaseError> {
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&entry, Type::TEXT),
        (&first, Type::DATE),
        (&last, Type::DATE),
    ];
    read(&database.query(DAYS, &params).await?, "result")
}

/// The last closed day of each entry, without its gaps.
pub async fn last_closed(database: &Database) -> Result<Vec<DayResult>, DatabaseError> {
    read(&database.query(LAST_CLOSED, &[]).await?, "result")
}

/// A part of a list: so many at most, after so many.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// How many at most.
    pub limit: i64,
    /// How many come before.
    pub skip: i64,
}

/// A part of the gaps of one day; those of the outbox first, then by destination.
pub async fn gaps(
    database: &Database,
    entry: &str,
    day: NaiveDate,
    at: At<'_>,
    part: Part,
) -> Result<Vec<Gap>, DatabaseError> {
    let at = match at {
        At::Anywhere => None,
        At::Outbox => Some(""),
        At::Destination(name) => Some(name),
    };
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&entry, Type::TEXT),
        (&day, Type::DATE),
        (&at, Type::TEXT),
        (&part.limit, Type::INT8),
        (&part.skip, Type::INT8),
    ];
    read(&database.query(GAPS, &params).await?, "gap")
}

/// How the last run of each entry went.
pub async fn runs(database: &Database) -> Result<Vec<Run>, DatabaseError> {
    let rows = database.query(RUNS, &[]).await?;
    let run = |row: &Row| {
        let notes: Value = row.try_get("notes")?;
        let notes = notes.as_array().into_iter().flatten();
        Ok::<_, tokio_postgres::Error>(Run {
            entry: row.try_get("entry")?,
            began_at: row.try_get("began_at")?,
            ended_at: row.try_get("ended_at")?,
            failed: row.try_get("failed")?,
            notes: notes.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    };
    Ok(rows.iter().map(run).collect::<Result<_, _>>()?)
}

/// Whether the caller is to compute the entry now: no other worker does, and the last run began long enough ago.
pub async fn claim(
    database: &Database,
    entry: &str,
    every: Duration,
    lease: Duration,
    now: DateTime<Utc>,
) -> Result<bool, DatabaseError> {
    let (every, lease) = (every.as_secs_f64(), lease.as_secs_f64());
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&entry, Type::TEXT),
        (&every, Type::FLOAT8),
        (&lease, Type::FLOAT8),
        (&now, Type::TIMESTAMPTZ),
    ];
    let rows = database.query(CLAIM, &params).await?;
    Ok(rows
        .first()
        .expect("a function gives a row")
        .try_get("claimed")?)
}

/// Says how a run went.
pub async fn finish(
    database: &Database,
    entry: &str,
    failed: Option<&str>,
    notes: &[String],
    now: DateTime<Utc>,
) -> Result<(), DatabaseError> {
    let notes = Value::from(notes);
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&entry, Type::TEXT),
        (&failed, Type::TEXT),
        (&notes, Type::JSONB),
        (&now, Type::TIMESTAMPTZ),
    ];
    database.query(FINISH, &params).await?;
    Ok(())
}

/// Puts a day in the place of the former one. Returns whether it had been closed and is different now.
pub async fn store(database: &Database, day: &DayResult) -> Result<bool, DatabaseError> {
    let day = serde_json::to_value(day).expect("a result is JSON");
    let rows = database.query(STORE, &[(&day, Type::JSONB)]).await?;
    Ok(rows
        .first()
        .expect("a function gives a row")
        .try_get("changed")?)
}

/// Removes the lists of ids of days before this one, those that platforms told of the event too. Counts stay.
pub async fn forget_gaps(
    database: &Database,
    entry: &str,
    event_name: &str,
    before: NaiveDate,
) -> Result<(), DatabaseError> {
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&entry, Type::TEXT),
        (&event_name, Type::TEXT),
        (&before, Type::DATE),
    ];
    database.query(FORGET, &params).await?;
    Ok(())
}

fn read<T: DeserializeOwned>(rows: &[Row], column: &str) -> Result<Vec<T>, DatabaseError> {
    let one = |row: &Row| {
        let value: Value = row.try_get(column)?;
        serde_json::from_value(value).map_err(|error| {
            DatabaseError::Broken(format!("a stored comparison cannot be read: {error}"))
        })
    };
    rows.iter().map(one).collect()
}
