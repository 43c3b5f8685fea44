//! Compares the outbox with the application's own tables, while no other worker does, and tells metrics how that went.
//!
//! It has connections of its own for as long as it computes, so it takes none from deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days as Count, Utc};
use tokio::sync::watch;

use super::Shared;
use crate::config::Config;
use crate::config::reconcile::ReconcileConfig;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::reconcile::compute::{Days, With};
use crate::reconcile::source::Source;
use crate::reconcile::{ReconcileError, ask, stored};
use crate::telemetry::metrics::Compared;

/// Between two looks at whether something is due.
const EVERY: Duration = Duration::from_secs(60);

/// Longest that one of our own statements takes: a day of many events.
const STATEMENT: Duration = Duration::from_secs(60);

/// What a lease allows for platforms and for storing.
const MARGIN: Duration = Duration::from_secs(600);

/// Compares until told to stop; returns at once where nothing is to be compared.
pub(super) async fn run(config: Config, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    if config.reconcile.is_empty() {
        return;
    }
    loop {
        for entry in &config.reconcile {
            // A run under way is given up with the worker: nothing of it is half done, and another worker takes over.
            tokio::select! {
                biased;
                _ = stop.wait_for(|&stop| stop) => return,
                () = turn(entry, &config, &shared) => {}
            }
        }
        if let Err(error) = tell(&shared).await {
            tracing::warn!(%error, "the last comparison could not be read");
        }
        if super::is_over(&mut stop, EVERY).await {
            return;
        }
    }
}

/// Computes one entry, if it is due and nobody else does.
async fn turn(entry: &ReconcileConfig, config: &Config, shared: &Shared) {
    let days = entry.days + 2;
    let lease = MARGIN + days * (entry.statement_timeout + STATEMENT);
    let now = shared.clock.now();
    let name = &entry.name;
    match stored::claim(&shared.database, name, entry.every, lease, now).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => {
            tracing::warn!(entry = name, %error, "whether a comparison is due could not be read");
            return;
        }
    }
    let (failed, notes) = match computed(entry, config, shared).await {
        Ok(notes) => (None, notes),
        Err(error) => {
            tracing::warn!(entry = name, %error, "the outbox could not be compared with its source");
            (Some(error.to_string()), Vec::new())
        }
    };
    for note in &notes {
        tracing::warn!(entry = name, note, "a platform did not say what it counted");
    }
    let now = shared.clock.now();
    if let Err(error) = stored::finish(&shared.database, name, failed.as_deref(), &notes, now).await
    {
        tracing::warn!(entry = name, %error, "the end of a comparison could not be written");
    }
}

/// Asks, compares and keeps all days of an entry. Returns what platforms could not be asked.
async fn computed(
    entry: &ReconcileConfig,
    config: &Config,
    shared: &Shared,
) -> Result<Vec<String>, ReconcileError> {
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
        now: shared.clock.now(),
    };
    let (first, last) = with.span().await?;
    let places = with.places();
    let notes = ask::ask(
        database,
        entry,
        &places,
        &shared.sender,
        (first, last),
        with.now,
    )
    .await?;
    let mut days = Days::begin(with, first, last).await?;
    while let Some(day) = days.next().await? {
        if stored::store(database, &day).await? {
            tracing::warn!(
                entry = entry.name, day = %day.day,
                "a day that had been closed is different now"
            );
        }
    }
    let kept = Count::new(entry.keep_gaps_days.into());
    stored::forget_gaps(database, &entry.name, last - kept).await?;
    Ok(notes)
}

/// Tells metrics the last closed day of each entry, from the database, so that all workers say the same.
async fn tell(shared: &Shared) -> Result<(), DatabaseError> {
    // Two entries may be about one event, as of two shops.
    let mut found: BTreeMap<(String, String), Compared> = BTreeMap::new();
    let mut ends: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
    for day in stored::last_closed(&shared.database).await? {
        for one in &day.destinations {
            let key = (one.destination.clone(), day.event_name.clone());
            let compared = found.entry(key).or_insert(Compared {
                source: 0,
                difference: 0,
            });
            compared.source += day.source_rows;
            compared.difference += (-one.difference).rounded();
            let end = ends.entry(one.destination.clone()).or_insert(day.ends_at);
            *end = day.ends_at.min(*end);
        }
    }
    for ((destination, event_name), compared) in found {
        shared
            .metrics
            .reconciled(&destination, &event_name, compared);
    }
    for (destination, end) in ends {
        shared
            .metrics
            .reconciliation_closed(&destination, end.into());
    }
    Ok(())
}
