//! Computes an entry and keeps what was found, while nobody else does: asks the platforms, compares each day, stores it.
//!
//! It has connections of its own for as long as it computes, so it takes none from deliveries. Not for when to do it: the
//! worker does, and the demo.

use std::time::Duration;

use chrono::{DateTime, Days as Count, NaiveDate, Utc};

use super::compare::GAPS_MAX;
use super::compute::{Days, With};
use super::source::Source;
use super::{ReconcileError, ask, stored};
use crate::config::Config;
use crate::config::reconcile::ReconcileConfig;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::send::Sender;

/// Longest that one of our own statements takes: a day of many events.
const STATEMENT: Duration = Duration::from_secs(60);

/// What a lease allows for platforms and for storing.
const MARGIN: Duration = Duration::from_secs(600);

/// How it went.
#[derive(Debug)]
pub enum Turn {
    /// Somebody else is at it, or it was done not long ago.
    NotDue,
    /// All days are stored.
    Done {
        /// What platforms could not be asked.
        notes: Vec<String>,
        /// Days that had been closed and are different now.
        changed: Vec<NaiveDate>,
    },
    /// It could not be computed, which is on record.
    Failed(ReconcileError),
}

/// Computes one entry, if it is due and nobody else does. Fails only where the database cannot be told.
pub async fn turn(
    entry: &ReconcileConfig,
    config: &Config,
    database: &Database,
    sender: &Sender,
    now: DateTime<Utc>,
) -> Result<Turn, DatabaseError> {
    let days = entry.days + 2;
    let lease = MARGIN + days * (entry.statement_timeout + STATEMENT);
    if !stored::claim(database, &entry.name, entry.every, lease, now).await? {
        return Ok(Turn::NotDue);
    }
    // Whoever comes after the lease must not meet us.
    let computing = computed(entry, config, sender, now);
    let computed = tokio::time::timeout(lease, computing)
        .await
        .unwrap_or(Err(ReconcileError::TooLong(lease)));
    let (failed, notes) = match &computed {
        Ok((notes, _)) => (None, notes.as_slice()),
        Err(error) => (Some(error.to_string()), [].as_slice()),
    };
    stored::finish(database, &entry.name, failed.as_deref(), notes, now).await?;
    Ok(match computed {
        Ok((notes, changed)) => Turn::Done { notes, changed },
        Err(error) => Turn::Failed(error),
    })
}

/// Asks, compares and keeps all days of an entry. Returns what platforms could not be asked, and closed days that changed.
async fn computed(
    entry: &ReconcileConfig,
    config: &Config,
    sender: &Sender,
    now: DateTime<Utc>,
) -> Result<(Vec<String>, Vec<NaiveDate>), ReconcileError> {
    let mut own = config.database.clone();
    own.pool_size = 1;
    own.statement_timeout = own.statement_timeout.max(STATEMENT);
    let database = &Database::open(&own).map_err(ReconcileError::Open)?;
    let source = Source::open(entry, &config.database)?;
    let with = With {
        entry,
        destinations: &config.destinations,
        database,
        source: &source,
        now,
        gaps_max: GAPS_MAX,
    };
    let (first, last) = with.span().await?;
    let places = with.places();
    let notes = ask::ask(database, entry, &places, sender, (first, last), now).await?;
    let mut days = Days::begin(with, first, last).await?;
    let mut changed = Vec::new();
    while let Some(day) = days.next().await? {
        if stored::store(database, &day).await? {
            changed.push(day.day);
        }
    }
    // What is still looked at is not forgotten, or it would be asked for again each time.
    let kept = Count::new(entry.keep_gaps_days.max(entry.days).into());
    stored::forget_gaps(database, &entry.name, &entry.event, last - kept).await?;
    Ok((notes, changed))
}
