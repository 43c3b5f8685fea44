//! Whether the sources of truth can be read: each query is run over the last hour, as a worker would run it.

use chrono::{DateTime, TimeDelta, Utc};

use super::Check;
use crate::config::Config;
use crate::config::reconcile::ReconcileConfig;
use crate::db::connect::Database;
use crate::reconcile::source::Source;
use crate::reconcile::{ReconcileError, day};

const INDEX: &str = include_str!("../../sql/queries/doctor_event_index.sql");

const NAME: &str = "reconcile";

/// What makes the index without anybody waiting for it.
const MAKE_INDEX: &str = "run, as the schema's owner: create index concurrently event_by_day on conversion_outbox.event \
    using brin (occurred_at timestamptz_minmax_multi_ops) with (pages_per_range = 64, autosummarize = on)";

/// One check for each `[[reconcile]]`.
pub(super) async fn examine(config: &Config, now: DateTime<Utc>) -> Vec<Check> {
    let mut checks = Vec::new();
    if !config.reconcile.is_empty() && has_index(config).await == Some(false) {
        let seen =
            "events of a day are found by reading all there are: the index event_by_day is missing";
        checks.push(Check::warn(NAME, seen, MAKE_INDEX));
    }
    for entry in &config.reconcile {
        let name = &entry.name;
        checks.push(match read(entry, config, now).await {
            Ok(rows) => Check::ok(
                NAME,
                format!("the query of {name:?} can be read: {rows} rows in the last hour"),
            ),
            Err(error) => Check::error(NAME, &format!("entry {name:?}: {error}")),
        });
    }
    checks
}

/// Nothing where the database does not say; another check tells why.
async fn has_index(config: &Config) -> Option<bool> {
    let database = Database::open(&config.database).ok()?;
    let rows = database.query(INDEX, &[]).await.ok()?;
    rows.first()?.try_get("is_there").ok()
}

async fn read(
    entry: &ReconcileConfig,
    config: &Config,
    now: DateTime<Utc>,
) -> Result<usize, ReconcileError> {
    let database = Database::open(&config.database).map_err(ReconcileError::Open)?;
    day::today(&database, &entry.time_zone, now).await?;
    let source = Source::open(entry, &config.database)?;
    let rows = source.rows(now - TimeDelta::hours(1), now, false).await?;
    Ok(rows.len())
}
