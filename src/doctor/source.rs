//! Whether the sources of truth can be read: each query is run over the last hour, as a worker would run it.

use chrono::{DateTime, TimeDelta, Utc};

use super::Check;
use crate::config::Config;
use crate::config::reconcile::ReconcileConfig;
use crate::db::connect::Database;
use crate::reconcile::source::Source;
use crate::reconcile::{ReconcileError, day};

const NAME: &str = "reconcile";

/// One check for each `[[reconcile]]`.
pub(super) async fn examine(config: &Config, now: DateTime<Utc>) -> Vec<Check> {
    let mut checks = Vec::new();
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
