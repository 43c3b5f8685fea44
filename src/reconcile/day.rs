//! Days of a time zone, by the rules of the database: a day has 23 to 25 hours, and some zones change their rules.

use chrono::{DateTime, NaiveDate, Utc};
use tokio_postgres::types::{ToSql, Type};

use super::ReconcileError;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const BOUNDS: &str = include_str!("../../sql/queries/reconcile_bounds.sql");
const TODAY: &str = include_str!("../../sql/queries/reconcile_today.sql");

/// `invalid_parameter_value`: PostgreSQL knows no such zone.
const UNKNOWN_ZONE: &str = "22023";

/// One day of some time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Its date.
    pub date: NaiveDate,
    /// Its first moment.
    pub begins_at: DateTime<Utc>,
    /// The first moment of the next one.
    pub ends_at: DateTime<Utc>,
}

impl Day {
    /// Whether a moment belongs to it.
    pub fn holds(&self, at: DateTime<Utc>) -> bool {
        (self.begins_at..self.ends_at).contains(&at)
    }
}

/// The days from `first` to `last`, both included.
pub async fn days(
    database: &Database,
    time_zone: &str,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<Vec<Day>, ReconcileError> {
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&time_zone, Type::TEXT),
        (&first, Type::DATE),
        (&last, Type::DATE),
    ];
    let rows = known(database.query(BOUNDS, &params).await, time_zone)?;
    let day = |row: &tokio_postgres::Row| {
        Ok::<_, tokio_postgres::Error>(Day {
            date: row.try_get("day")?,
            begins_at: row.try_get("begins_at")?,
            ends_at: row.try_get("ends_at")?,
        })
    };
    let days: Result<_, _> = rows.iter().map(day).collect();
    Ok(days.map_err(DatabaseError::from)?)
}

/// The date that it is there now.
pub async fn today(
    database: &Database,
    time_zone: &str,
    now: DateTime<Utc>,
) -> Result<NaiveDate, ReconcileError> {
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&time_zone, Type::TEXT), (&now, Type::TIMESTAMPTZ)];
    let rows = known(database.query(TODAY, &params).await, time_zone)?;
    let row = rows.first().expect("one row");
    Ok(row.try_get("today").map_err(DatabaseError::from)?)
}

fn known<T>(answer: Result<T, DatabaseError>, time_zone: &str) -> Result<T, ReconcileError> {
    answer.map_err(|error| match error.code() {
        Some(UNKNOWN_ZONE) => ReconcileError::TimeZone(time_zone.to_owned()),
        _ => error.into(),
    })
}
