//! Compares the outbox with the application's own tables, while no other worker does, and tells metrics how that went.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::Shared;
use crate::config::Config;
use crate::config::reconcile::ReconcileConfig;
use crate::db::error::DatabaseError;
use crate::reconcile::keep::{self, Turn};
use crate::reconcile::stored;
use crate::telemetry::metrics::Compared;

/// Between two looks at whether something is due.
const EVERY: Duration = Duration::from_secs(60);

/// Compares until told to stop; returns at once where nothing is to be compared.
pub(super) async fn run(config: Config, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    if config.reconcile.is_empty() {
        return;
    }
    loop {
        for entry in &config.reconcile {
            // A run under way is given up with the worker: each day is stored whole, and the next run is due when its time comes
            // or the lease ends, whichever is later.
            tokio::select! {
                biased;
                _ = stop.wait_for(|&stop| stop) => return,
                () = turn(entry, &config, &shared) => {}
            }
        }
        if let Err(error) = tell(&config.reconcile, &shared).await {
            tracing::warn!(%error, "the last comparison could not be read");
        }
        if super::is_over(&mut stop, EVERY).await {
            return;
        }
    }
}

/// Computes one entry, if it is due and nobody else does.
async fn turn(entry: &ReconcileConfig, config: &Config, shared: &Shared) {
    let (name, now) = (&entry.name, shared.clock.now());
    match keep::turn(entry, config, &shared.database, &shared.sender, now).await {
        Ok(Turn::NotDue) => {}
        Ok(Turn::Done { notes, changed }) => {
            for note in &notes {
                tracing::warn!(entry = name, note, "a platform did not say what it counted");
            }
            for day in changed {
                tracing::warn!(entry = name, %day, "a day that had been closed is different now");
            }
        }
        Ok(Turn::Failed(error)) => {
            tracing::warn!(entry = name, %error, "the outbox could not be compared with its source");
        }
        Err(error) => {
            tracing::warn!(entry = name, %error, "whether a comparison is due, or how it ended, could not be told to the database");
        }
    }
}

/// Tells metrics the last closed day of each entry, from the database, so that all workers say the same.
async fn tell(entries: &[ReconcileConfig], shared: &Shared) -> Result<(), DatabaseError> {
    // Two entries may be about one event, as of two shops.
    let mut found: BTreeMap<(String, String), Compared> = BTreeMap::new();
    let mut ends: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
    let mut days = stored::last_closed(&shared.database).await?;
    // What is configured no more is not compared any more either.
    days.retain(|day| entries.iter().any(|entry| entry.name == day.entry));
    for day in days {
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
