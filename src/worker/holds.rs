//! Destinations and rules that are held: by which answer, until which credential or probe. Shared by all workers through
//! the database, and followed once a second.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::Shared;
use super::gate::Throttles;
use super::lane::Lane;
use super::rules::OnRecord;
use crate::db::error::DatabaseError;
use crate::outcome::{Hold, Reason};

const HOLD: &str = include_str!("../../sql/queries/hold_destination.sql");
const RESUME: &str = include_str!("../../sql/queries/resume_destination.sql");
const HOLDS: &str = include_str!("../../sql/queries/destination_holds.sql");
const HOLD_RULE: &str = include_str!("../../sql/queries/hold_rule.sql");
const LIFT_RULE: &str = include_str!("../../sql/queries/lift_rule.sql");
const WAKE: &str = include_str!("../../sql/queries/wake_rule_held.sql");
const RULE_HOLDS: &str = include_str!("../../sql/queries/rule_holds.sql");

/// Holds a destination, unless the credential that was refused (by its fingerprint; none where it could not be read) is not
/// the current one any more: an answer may come late, after the credential was replaced, and says nothing of the new one.
pub(super) async fn hold(
    lane: &Lane,
    hold: Hold,
    code: Option<&str>,
    refused: Option<&str>,
    shared: &Shared,
) {
    let fingerprint = lane.credential.fingerprint();
    if refused.is_some() && fingerprint.is_some() && fingerprint.as_deref() != refused {
        tracing::info!(
            destination = lane.destination.name,
            "the credential was replaced; trying again with the new one"
        );
        return;
    }
    let was_held = lane.gate().is_held() || lane.gate().is_paused();
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
    match shared.database.query(HOLD, &params).await {
        Ok(_) => lane.gate().recorded(Reason::DestinationHeld),
        // Held in this worker all the same; the next answer tries to write it again.
        Err(error) => {
            tracing::warn!(destination = lane.destination.name, %error, "the hold could not be written");
        }
    }
}

/// Lifts a hold for all workers, but no pause.
pub(super) async fn lift(lane: &Lane, shared: &Shared) {
    lane.metrics.held(lane.gate().is_paused());
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

/// Holds one conversion action or rule. When all of them are held it is the account that does not let us in.
pub(super) async fn hold_rule(lane: &Lane, rule: &str, code: Option<&str>, shared: &Shared) {
    let probe_at = shared.clock.now() + shared.worker.hold_probe;
    let advice = Hold::Rule.advice();
    let (is_new, all_held) = {
        let mut rules = lane.rules();
        let is_new = rules.hold(rule, probe_at);
        let actions = lane.destination.settings.actions();
        (
            is_new,
            actions.is_some_and(|actions| rules.are_held(actions.values())),
        )
    };
    if is_new {
        tracing::error!(
            destination = lane.destination.name,
            rule,
            code,
            advice,
            "rule held: nothing is sent for it, nothing is lost, no attempts are used up; the rest of the destination works"
        );
    }
    let params: [(&(dyn ToSql + Sync), Type); 6] = [
        (&lane.destination.name, Type::TEXT),
        (&rule, Type::TEXT),
        (&Hold::Rule.as_str(), Type::TEXT),
        (&code, Type::TEXT),
        (&advice, Type::TEXT),
        (&probe_at, Type::TIMESTAMPTZ),
    ];
    match shared.database.query(HOLD_RULE, &params).await {
        Ok(_) => lane.rules().recorded(rule),
        // Held in this worker all the same; the next answer tries to write it again.
        Err(error) => {
            tracing::warn!(destination = lane.destination.name, %error, "the hold of a rule could not be written");
        }
    }
    if all_held
        && is_new
        && lane
            .destination
            .settings
            .actions()
            .is_some_and(|all| all.len() > 1)
    {
        hold(lane, Hold::Permission, code, None, shared).await;
    }
}

/// Lifts the hold of a rule for all workers, if it was held.
pub(super) async fn lift_rule(lane: &Lane, rule: &str, shared: &Shared) {
    if !lane.rules().lift(rule) {
        return;
    }
    tracing::info!(
        destination = lane.destination.name,
        rule,
        "hold of a rule lifted: its deliveries go on"
    );
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&lane.destination.name, Type::TEXT), (&rule, Type::TEXT)];
    let lifted = match shared.database.query(LIFT_RULE, &params).await {
        Ok(_) => wake(lane, shared).await,
        Err(error) => Err(error),
    };
    if let Err(error) = lifted {
        tracing::warn!(destination = lane.destination.name, %error, "the lifted hold of a rule could not be written");
    }
}

/// Lets the deliveries go on that wait for a rule that is not held any more, if there may be any.
async fn wake(lane: &Lane, shared: &Shared) -> Result<(), DatabaseError> {
    if !lane.rules().take_wake() {
        return Ok(());
    }
    let now = shared.clock.now();
    let params: [(&(dyn ToSql + Sync), Type); 2] = [
        (&lane.destination.name, Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
    ];
    let woken = shared.database.query(WAKE, &params).await;
    if woken.is_err() {
        lane.rules().wake_failed();
    }
    woken.map(drop)
}

/// Follows what stands in the database, and lifts the holds of credentials that were replaced.
pub(super) async fn follow(lanes: &[Arc<Lane>], shared: &Shared) -> Result<(), DatabaseError> {
    // What begins while the record is read is not in it yet.
    let on_record: Vec<(Option<Reason>, BTreeSet<String>)> = lanes
        .iter()
        .map(|lane| (lane.gate().on_record(), lane.rules().on_record()))
        .collect();
    let rows = shared.database.query(HOLDS, &[]).await?;
    let mut stands: HashMap<String, Standing> = HashMap::new();
    for row in &rows {
        stands.insert(row.try_get("name")?, standing(row)?);
    }
    let mut rules: HashMap<String, BTreeMap<String, OnRecord>> = HashMap::new();
    for row in shared.database.query(RULE_HOLDS, &[]).await? {
        let held = OnRecord {
            until: row.try_get("probe_at")?,
            is_paused: row.try_get("is_paused")?,
        };
        rules
            .entry(row.try_get("destination")?)
            .or_default()
            .insert(row.try_get("rule")?, held);
    }
    let mut kept_back = shared.kept_back.take();
    for (lane, (was_on_record, rules_on_record)) in lanes.iter().zip(on_record) {
        let held = rules.remove(&lane.destination.name).unwrap_or_default();
        lane.rules().follow(&rules_on_record, held);
        if let Some(rules) = kept_back.remove(&lane.destination.name) {
            lane.rules().kept_back(&rules);
        }
        let stand = stands.remove(&lane.destination.name).unwrap_or_default();
        follow_one(lane, stand, was_on_record, shared).await;
        let circuit = lane.gate().circuit();
        lane.metrics.circuit(circuit);
    }
    // At the end: what fails here keeps no destination from following.
    for lane in lanes {
        wake(lane, shared).await?;
    }
    Ok(())
}

/// What stands in the database of one destination.
#[derive(Debug, Default)]
struct Standing {
    /// Whether a person paused it.
    is_paused: bool,
    /// The next probe, and the credential that was refused.
    hold: Option<(DateTime<Utc>, Option<String>)>,
    /// Until when it is left alone, because it throttles.
    quiet: Option<(DateTime<Utc>, Throttles)>,
}

fn standing(row: &Row) -> Result<Standing, tokio_postgres::Error> {
    let is_paused: bool = row
        .try_get::<_, Option<bool>>("is_paused")?
        .unwrap_or_default();
    let hold = row.try_get::<_, Option<String>>("hold_reason")?;
    let until = row.try_get::<_, Option<DateTime<Utc>>>("throttled_until")?;
    let throttles = Throttles {
        count: u32::try_from(row.try_get::<_, i32>("throttles")?).unwrap_or(0),
        since: row.try_get("throttled_since")?,
    };
    Ok(Standing {
        is_paused,
        // A pause takes the place of the hold on record: what is true of the credential shows when it ends.
        hold: match hold {
            Some(_) if !is_paused => {
                Some((row.try_get("probe_at")?, row.try_get("hold_credential")?))
            }
            _ => None,
        },
        quiet: until.map(|until| (until, throttles)),
    })
}

/// Obeys what stands; what stood before (`was_on_record`) and does not any more is over.
async fn follow_one(lane: &Lane, stand: Standing, was_on_record: Option<Reason>, shared: &Shared) {
    follow_pause(lane, stand.is_paused);
    match stand.hold {
        None if was_on_record == Some(Reason::DestinationHeld) => {
            lane.gate().resume(Reason::DestinationHeld);
            lane.metrics.held(stand.is_paused);
        }
        None => {}
        Some((probe_at, refused)) => {
            let current = lane.credential.fingerprint();
            if refused.is_none() || current.is_none() || refused == current {
                lane.gate().follow_hold(probe_at);
                lane.metrics.held(true);
            } else {
                lane.gate().resume(Reason::DestinationHeld);
                lift(lane, shared).await;
            }
        }
    }
    match stand.quiet {
        Some((until, throttles)) => lane.gate().follow_throttling(until, throttles),
        None if was_on_record == Some(Reason::RateLimited) => {
            lane.gate().resume(Reason::RateLimited);
        }
        None => {}
    }
}

/// Obeys a person's word.
fn follow_pause(lane: &Lane, is_paused: bool) {
    let mut gate = lane.gate();
    if gate.is_paused() == is_paused {
        return;
    }
    gate.pause(is_paused);
    lane.metrics.held(is_paused || gate.is_held());
    let destination = &lane.destination.name;
    if is_paused {
        tracing::warn!(
            destination,
            "destination paused by hand: nothing is sent to it, nothing is lost, no attempts are used up"
        );
    } else {
        tracing::info!(destination, "pause ended: deliveries go on");
    }
}
