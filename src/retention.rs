//! Removes a person's data from events that have long been final. The proof of what was done with them stays.
//!
//! One short statement a batch, and one session at a time: the database elects it, and knows how far it has come. Not for
//! when to do it: the worker does, and a command.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::types::{ToSql, Type};

use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const REMOVE: &str = include_str!("../sql/queries/remove_old_data.sql");

/// Events looked at in one statement: some milliseconds of work.
pub const BATCH: i32 = 500;

/// How long data are kept.
#[derive(Clone, Copy, Debug)]
pub struct Graces {
    /// After the last delivery became final.
    pub usual: Duration,
    /// The same where a delivery is a dead letter.
    pub dead_letters: Duration,
}

/// What one batch did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Batch {
    /// Events looked at.
    pub looked: i64,
    /// Events whose data were removed.
    pub removed: i64,
    /// Every event up to this number has been looked at.
    pub looked_to: i64,
    /// Since how many seconds the oldest data should be gone; nought when nothing is overdue.
    pub overdue_secs: f64,
}

/// Does one batch; nothing while another session does one. With `dry_run` nothing is changed: it is nought at first, and
/// [`Batch::looked_to`] of the batch before from then on.
pub async fn remove(
    database: &Database,
    graces: Graces,
    clock: Option<DateTime<Utc>>,
    dry_run: Option<i64>,
) -> Result<Option<Batch>, DatabaseError> {
    let (usual, dead) = (
        graces.usual.as_secs_f64(),
        graces.dead_letters.as_secs_f64(),
    );
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&usual, Type::FLOAT8),
        (&dead, Type::FLOAT8),
        (&BATCH, Type::INT4),
        (&clock, Type::TIMESTAMPTZ),
        (&dry_run, Type::INT8),
    ];
    let rows = database.query(REMOVE, &params).await?;
    let batch = rows.first().map(|row| {
        Ok::<_, tokio_postgres::Error>(Batch {
            looked: row.try_get("looked")?,
            removed: row.try_get("removed")?,
            looked_to: row.try_get("looked_to")?,
            overdue_secs: row.try_get::<_, Option<f64>>("overdue")?.unwrap_or(0.0),
        })
    });
    Ok(batch.transpose()?)
}
