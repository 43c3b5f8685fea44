//! Destinations that are held: by which answer, until which credential or probe. Shared by all workers through the
//! database, and followed once a second.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_postgres::types::{ToSql, Type};

use super::Shared;
use super::lane::Lane;
use crate::config::secret::Secret;
use crate::db::error::DatabaseError;
use crate::outcome::Hold;

const HOLD: &str = include_str!("../../sql/queries/hold_destination.sql");
const RESUME: &str = include_str!("../../sql/queries/resume_destination.sql");
const HOLDS: &str = include_str!("../../sql/queries/destination_holds.sql");

/// Holds a destination, unless the credential that was refused is not the current one any more: an answer may come late,
/// after the credential was replaced, and says nothing of the new one.
pub(super) async fn hold(
    lane: &Arc<Lane>,
    hold: Hold,
    code: Option<&str>,
    refused: &Secret,
    shared: &Shared,
) {
    lane.reload_credential();
    let fingerprint = lane.secret().fingerprint();
    if fingerprint != refused.fingerprint() {
        lane.gate().after_nothing();
        tracing::info!(
            destination = lane.destination.name,
            "the credential was replaced; trying again with the new one"
        );
        return;
    }
    let was_held = lane.gate().is_held();
    let probe_at = shared.clock.now() + shared.worker.hold_probe;
    lane.gate().hold(probe_at);
    lane.metrics.held(true);
    if !was_held {
        tracing::error!(
            destination = lane.destination.name,
            reason = hold.as_str(),
            code,
            advice = hold.advice(),
            "destination held: nothing is sent to it, nothing is lost, no attempts are used up"
        );
    }
    let params: [(&(dyn ToSql + Sync), Type); 6] = [
        (&lane.destination.name, Type::TEXT),
        (&hold.as_str(), Type::TEXT),
        (&code, Type::TEXT),
        (&hold.advice(), Type::TEXT),
        (&probe_at, Type::TIMESTAMPTZ),
        (&fingerprint, Type::TEXT),
    ];
    if let Err(error) = shared.database.query(HOLD, &params).await {
        // Held in this worker all the same; the next answer tries to write it again.
        tracing::warn!(destination = lane.destination.name, %error, "the hold could not be written");
    }
}

/// Lifts a hold for all workers.
pub(super) async fn lift(lane: &Lane, shared: &Shared) {
    lane.metrics.held(false);
    tracing::info!(
        destination = lane.destination.name,
        "hold lifted: deliveries go on"
    );
    if let Err(error) = shared
        .database
        .query(RESUME, &[(&lane.destination.name, Type::TEXT)])
        .await
    {
        tracing::warn!(destination = lane.destination.name, %error, "the lifted hold could not be written");
    }
}

/// Follows what stands in the database, and lifts the holds of credentials that were replaced.
pub(super) async fn follow(lanes: &[Arc<Lane>], shared: &Shared) -> Result<(), DatabaseError> {
    let rows = shared.database.query(HOLDS, &[]).await?;
    let mut holds: HashMap<String, (DateTime<Utc>, Option<String>)> = HashMap::new();
    for row in &rows {
        holds.insert(
            row.try_get("name")?,
            (row.try_get("probe_at")?, row.try_get("hold_credential")?),
        );
    }
    for lane in lanes {
        match holds.get(&lane.destination.name) {
            None => {
                lane.gate().resume();
                lane.metrics.held(false);
            }
            Some((probe_at, refused)) => {
                lane.reload_credential();
                if refused.as_ref() == Some(&lane.secret().fingerprint()) {
                    if !lane.gate().is_held() {
                        lane.gate().hold(*probe_at);
                        lane.metrics.held(true);
                    }
                } else {
                    lane.gate().resume();
                    lift(lane, shared).await;
                }
            }
        }
        let circuit = lane.gate().circuit();
        lane.metrics.circuit(circuit);
    }
    Ok(())
}
