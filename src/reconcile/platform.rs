//! What platforms say they counted, as it is kept: taken from their API or from a file, and read for a comparison.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::day::Day;
use super::exact::Exact;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const LATEST: &str = include_str!("../../sql/queries/reconcile_reports.sql");
const STORE: &str = include_str!("../../sql/queries/reconcile_store_reports.sql");

/// Rows in one statement.
const BATCH: usize = 500;

/// What a platform's number is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Everything it took: what is missing there is missing.
    Received,
    /// What it ascribes to an advertisement: what is missing there may have none to thank.
    Attributed,
    /// Everything, of several events together.
    Shared,
    /// Less than everything: a sample, or with small numbers held back.
    Incomplete,
}

impl Counts {
    /// The word for it, in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Counts::Received => "received",
            Counts::Attributed => "attributed",
            Counts::Shared => "shared",
            Counts::Incomplete => "incomplete",
        }
    }

    /// What this word says; everything, where nothing is said.
    fn parse(word: Option<&str>) -> Counts {
        match word {
            Some("attributed") => Counts::Attributed,
            Some("shared") => Counts::Shared,
            Some("incomplete") => Counts::Incomplete,
            _ => Counts::Received,
        }
    }
}

/// One row of `platform_report`, to be stored. Its JSON form is that of the row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewReport {
    /// Name of the destination.
    pub destination: String,
    /// Our event.
    pub event_name: String,
    /// The platform's day.
    pub day: NaiveDate,
    /// Whose day it is.
    pub time_zone: String,
    /// `api` or `csv`.
    pub source: &'static str,
    /// How many.
    pub conversions: Exact,
    /// What they are worth.
    pub value: Option<Exact>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// How often each id was counted.
    pub ids: Option<BTreeMap<String, u64>>,
    /// `counts` ([`Counts`]) and what else is known.
    pub details: Value,
    /// When it was told.
    pub fetched_at: DateTime<Utc>,
}

/// What a platform says of one of its days.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its day.
    pub day: Day,
    /// Whose day it is.
    pub time_zone: String,
    /// `api` or `csv`.
    pub source: String,
    /// How many.
    pub conversions: Exact,
    /// What they are worth.
    pub value: Option<Exact>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// How often each id was counted, where the platform tells.
    pub ids: Option<BTreeMap<String, u64>>,
    /// What it is a number of.
    pub counts: Counts,
    /// When it said so.
    pub fetched_at: DateTime<Utc>,
}

/// The latest word of each of these destinations on each of these days.
pub async fn latest(
    database: &Database,
    event_name: &str,
    destinations: &[&str],
    first: NaiveDate,
    last: NaiveDate,
) -> Result<BTreeMap<(String, NaiveDate), Report>, DatabaseError> {
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&event_name, Type::TEXT),
        (&destinations, Type::TEXT_ARRAY),
        (&first, Type::DATE),
        (&last, Type::DATE),
    ];
    let rows = database.query(LATEST, &params).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

fn read(row: &Row) -> Result<((String, NaiveDate), Report), tokio_postgres::Error> {
    let decimal = |text: Option<String>| text.as_deref().and_then(Exact::parse);
    let date = row.try_get("day")?;
    let ids: Option<Value> = row.try_get("ids")?;
    let details: Option<Value> = row.try_get("details")?;
    let counts = details
        .as_ref()
        .and_then(|details| details["counts"].as_str());
    let report = Report {
        day: Day {
            date,
            begins_at: row.try_get("begins_at")?,
            ends_at: row.try_get("ends_at")?,
        },
        time_zone: row.try_get("time_zone")?,
        source: row.try_get("source")?,
        conversions: decimal(row.try_get("conversions")?).unwrap_or_default(),
        value: decimal(row.try_get("value")?),
        currency: row.try_get("currency")?,
        ids: ids.as_ref().and_then(Value::as_object).map(|ids| {
            let count = |n: &Value| n.as_u64().unwrap_or(1);
            ids.iter().map(|(id, n)| (id.clone(), count(n))).collect()
        }),
        counts: Counts::parse(counts),
        fetched_at: row.try_get("fetched_at")?,
    };
    Ok(((row.try_get("destination")?, date), report))
}

/// Takes reports, in place of what was said before of the same days. Returns how many are new or different.
pub async fn store(database: &Database, reports: &[NewReport]) -> Result<u64, DatabaseError> {
    let mut stored = 0;
    for batch in reports.chunks(BATCH) {
        let batch = serde_json::to_value(batch).expect("reports are JSON");
        let rows = database.query(STORE, &[(&batch, Type::JSONB)]).await?;
        let row = rows.first().expect("a function gives a row");
        stored += u64::try_from(row.try_get::<_, i64>("stored")?).unwrap_or(0);
    }
    Ok(stored)
}
