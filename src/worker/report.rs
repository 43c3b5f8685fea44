//! Every few seconds: this worker's sign of life for its destinations and by which consent policies it decides, and what the
//! database says now, for gauges: backlog, ages, holds, expiry. Of what is settled nothing is read.
//!
//! Every worker reports the same numbers: alerts and panels take `max by (destination)`, never a sum. Repeats are the exception:
//! whoever takes them counts them, so they are summed.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use tokio::sync::watch;
use tokio_postgres::types::{ToSql, Type};

use super::Shared;
use super::lane::Lane;
use crate::db::error::DatabaseError;
use crate::decide;
use crate::proof;
use crate::telemetry::metrics::Backlog;

const BACKLOG: &str = include_str!("../../sql/queries/backlog.sql");
const TAKE_REPEATS: &str = include_str!("../../sql/queries/take_repeats.sql");

/// Between two looks. A scrape sees numbers at most this old; far below the ten minutes after which a destination without a
/// sign of life counts as served by nobody.
const EVERY: Duration = Duration::from_secs(15);

/// A look at a huge backlog takes long. It may take so much of the time between two looks, within what alerts allow.
const SHARE: u32 = 50;
const RARELY: Duration = Duration::from_secs(120);

/// Repeats that are counted at once.
const REPEATS_MAX: i32 = 10_000;

/// Reports until told to stop.
pub(super) async fn run(
    lanes: Vec<Arc<Lane>>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let pool = shared.database.pool().clone();
    shared.metrics.watch_pool(move || {
        let status = pool.status();
        let busy = status.size.saturating_sub(status.available);
        [status.available, busy, status.max_size].map(|connections| connections as u64)
    });
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
        lanes.iter().for_each(|lane| tell_expiry(lane));
        for lane in &lanes {
            let served = std::slice::from_ref(&lane.destination);
            if let Err(error) = super::register(&shared.database, served).await {
                tracing::warn!(%error, "the sign of life could not be written");
            }
        }
        let started = Instant::now();
        match look(&lanes, &shared).await {
            Ok(()) => shared.metrics.snapshot_taken(SystemTime::now()),
            Err(error) => tracing::warn!(%error, "the backlog could not be read"),
        }
        let pause = (started.elapsed() * SHARE).clamp(EVERY, RARELY);
        if let Err(error) = count_repeats(&shared).await {
            tracing::warn!(%error, "repeats could not be counted");
        }
        for lane in &lanes {
            if let Err(error) = proof::remember_policy(&shared.database, &lane.destination).await {
                tracing::warn!(%error, "the consent policy could not be put on record");
            }
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => return,
            () = tokio::time::sleep(pause) => {}
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

/// When credential and version end, as far as anybody knows.
fn tell_expiry(lane: &Lane) {
    let midnight = |day: NaiveDate| SystemTime::from(day.and_time(NaiveTime::MIN).and_utc());
    let learnt = lane.credential.expires_at().map(SystemTime::from);
    let configured = lane.destination.credential_expires.map(midnight);
    lane.metrics.credential_expires(learnt.or(configured));
    let version = lane.destination.settings.version();
    let ends = version.and_then(|version| version.ends);
    lane.metrics.version_expires(ends.map(midnight));
}

/// Reads the backlog of all destinations at once.
async fn look(lanes: &[Arc<Lane>], shared: &Shared) -> Result<(), DatabaseError> {
    let now = shared.clock.now();
    let age = |at: Option<DateTime<Utc>>| {
        at.and_then(|at| (now - at).to_std().ok())
            .unwrap_or_default()
    };
    let names: Vec<&str> = lanes
        .iter()
        .map(|lane| lane.destination.name.as_str())
        .collect();
    let limits = |action_source| -> Vec<f64> {
        lanes
            .iter()
            .map(|lane| decide::age_max(&lane.destination, action_source).as_secs_f64())
            .collect()
    };
    let (general, in_store) = (limits(None), limits(Some("physical_store")));
    let clock = shared.clock.for_database();
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&names, Type::TEXT_ARRAY),
        (&general, Type::FLOAT8_ARRAY),
        (&in_store, Type::FLOAT8_ARRAY),
        (&clock, Type::TIMESTAMPTZ),
    ];
    for row in shared.database.query(BACKLOG, &params).await? {
        let name: String = row.try_get("destination")?;
        let Some(lane) = lanes.iter().find(|lane| lane.destination.name == name) else {
            continue;
        };
        let count = |column| -> Result<u64, DatabaseError> {
            Ok(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or(0))
        };
        lane.metrics.backlog(&Backlog {
            due: count("due")?,
            retry: count("retrying")?,
            waiting: count("waiting")?,
            held: count("held")?,
            leased: count("leased")?,
            expiring: count("expiring")?,
            held_rules: count("held_rules")?,
            oldest_due_age: age(row.try_get("oldest_due_at")?).as_secs_f64(),
            oldest_open_age: age(row.try_get("oldest_recorded_at")?).as_secs_f64(),
        });
        lane.metrics.hold_info(row.try_get("hold_reason")?);
        if let Some(at) = row.try_get::<_, Option<DateTime<Utc>>>("newest_recorded_at")? {
            shared.metrics.reached("enqueued", at.into());
        }
    }
    Ok(())
}

/// Counts the repeats that no worker has counted yet.
async fn count_repeats(shared: &Shared) -> Result<(), DatabaseError> {
    loop {
        let params: [(&(dyn ToSql + Sync), Type); 1] = [(&REPEATS_MAX, Type::INT4)];
        let mut is_more = false;
        for row in shared.database.query(TAKE_REPEATS, &params).await? {
            let count = |column| -> Result<u64, DatabaseError> {
                Ok(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or(0))
            };
            shared.metrics.duplicates("enqueue", count("duplicates")?);
            shared.metrics.conflicts(count("conflicts")?);
            is_more = row.try_get::<_, bool>("is_more")?;
        }
        if !is_more {
            return Ok(());
        }
    }
}
