//! Removes old personal data, a little at a time, while nobody else does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Shared;
use crate::db::error::DatabaseError;
use crate::retention::{self, Graces};

/// Between two looks when nothing is due. Data are kept for days: a minute more is nothing.
const EVERY: Duration = Duration::from_secs(60);

/// Between two batches of a backlog: the host database has other things to do.
const PAUSE: Duration = Duration::from_millis(200);

/// Removes until told to stop; returns at once where data are to be kept.
pub(super) async fn run(
    graces: Option<Graces>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let Some(graces) = graces else { return };
    loop {
        let pause = match batch(graces, &shared).await {
            Ok(true) => PAUSE,
            Ok(false) => EVERY,
            Err(error) => {
                tracing::warn!(%error, "old personal data could not be removed; trying again");
                EVERY
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Returns whether there may be more to do at once.
async fn batch(graces: Graces, shared: &Shared) -> Result<bool, DatabaseError> {
    let clock = shared.clock.for_database();
    let Some(batch) = retention::remove(&shared.database, graces, clock, None).await? else {
        return Ok(false);
    };
    shared.metrics.data_removed(
        u64::try_from(batch.removed).unwrap_or(0),
        batch.overdue_secs,
    );
    if batch.removed > 0 {
        tracing::debug!(
            events = batch.removed,
            "removed personal data after retention"
        );
    }
    Ok(batch.looked >= i64::from(retention::BATCH))
}
