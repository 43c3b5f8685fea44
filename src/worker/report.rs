//! Every few seconds: this worker's sign of life for its destinations and by which consent policies it decides, and what the database says now, for gauges (backlog,
//! age, the pool), from indexes and totals only.
//!
//! Every worker reports the same numbers: alerts and panels take `max by (destination)`, never a sum.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::watch;

use super::Shared;
use super::lane::Lane;
use crate::db::error::DatabaseError;
use crate::proof;
use crate::telemetry::metrics::Backlog;

const BACKLOG: &str = include_str!("../../sql/queries/backlog.sql");

/// Between two looks. A scrape sees numbers at most this old; far below the ten minutes after which a destination without a
/// sign of life counts as served by nobody.
const EVERY: Duration = Duration::from_secs(15);

/// Reports until told to stop.
pub(super) async fn run(
    lanes: Vec<Arc<Lane>>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let mut told_on = None;
    loop {
        if let Err(error) = shared.clock.follow(&shared.database).await {
            tracing::warn!(%error, "the database's clock could not be read");
        }
        let today = shared.clock.now().date_naive();
        if told_on != Some(today) {
            told_on = Some(today);
            lanes.iter().for_each(|lane| tell_version(lane, today));
        }
        let status = shared.database.pool().status();
        let (size, idle) = (status.size as u64, status.available as u64);
        shared
            .metrics
            .pool(idle, size.saturating_sub(idle), status.max_size as u64);
        for lane in &lanes {
            let served = std::slice::from_ref(&lane.destination);
            if let Err(error) = super::register(&shared.database, served).await {
                tracing::warn!(%error, "the sign of life could not be written");
            }
        }
        match look(&lanes, &shared).await {
            Ok(()) => shared.metrics.snapshot_taken(SystemTime::now()),
            Err(error) => tracing::warn!(%error, "the backlog could not be read"),
        }
        for lane in &lanes {
            if let Err(error) = proof::remember_policy(&shared.database, &lane.destination).await {
                tracing::warn!(%error, "the consent policy could not be put on record");
            }
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Once a day, while a platform's version is about to end.
fn tell_version(lane: &Lane, today: NaiveDate) {
    let Some(version) = lane.destination.settings.version() else {
        return;
    };
    let (version, ends) = match version.ending(today) {
        Some(_) => (version.name, version.ends.map(|day| day.to_string())),
        None => return,
    };
    tracing::warn!(
        destination = lane.destination.name,
        version,
        ends,
        advice = "set version (google_ads: api_version) to a current one and restart the worker, before every request is refused",
        "the configured version of the platform's API is about to end"
    );
}

async fn look(lanes: &[Arc<Lane>], shared: &Shared) -> Result<(), DatabaseError> {
    let now = shared.clock.now();
    let age = |at: Option<DateTime<Utc>>| {
        at.and_then(|at| (now - at).to_std().ok())
            .unwrap_or_default()
    };
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    for row in shared.database.query(BACKLOG, &[]).await? {
        let name: String = row.try_get("destination")?;
        let Some(lane) = lanes.iter().find(|lane| lane.destination.name == name) else {
            continue;
        };
        let (pending, retrying, due) = (
            count(row.try_get("pending")?),
            count(row.try_get("retrying")?),
            count(row.try_get("due")?),
        );
        let is_held = row.try_get::<_, Option<String>>("hold_reason")?.is_some();
        lane.metrics.backlog(&Backlog {
            due,
            retry: retrying,
            waiting: pending.saturating_sub(due),
            held: if is_held { pending } else { 0 },
            leased: count(row.try_get("leased")?),
            expiring: count(row.try_get("expiring")?),
            oldest_due_age: age(row.try_get("oldest_due_at")?).as_secs_f64(),
            oldest_open_age: age(row.try_get("oldest_recorded_at")?).as_secs_f64(),
        });
    }
    Ok(())
}
