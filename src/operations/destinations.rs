//! Destinations as they stand, and what a person may do to them: pause and resume, whole or one rule of them.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::known::{self, KnownError};
use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const LIST: &str = include_str!("../../sql/queries/list_destinations.sql");
const PAUSE: &str = include_str!("../../sql/queries/pause_by_hand.sql");
const RESUME: &str = include_str!("../../sql/queries/resume_by_hand.sql");

/// Every destination, as `destinations list --json` prints it: an interface.
pub async fn list(database: &Database) -> Result<Vec<Value>, DatabaseError> {
    let rows = database.query(LIST, &[]).await?;
    Ok(rows.iter().map(listed).collect::<Result<_, _>>()?)
}

fn listed(row: &Row) -> Result<Value, tokio_postgres::Error> {
    let time = |key: &str| -> Result<Option<String>, tokio_postgres::Error> {
        let at: Option<DateTime<Utc>> = row.try_get(key)?;
        Ok(at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)))
    };
    let text = |key: &str| row.try_get::<_, Option<String>>(key);
    let reason = text("hold_reason")?;
    let is_served: bool = row.try_get("is_served")?;
    let state = state(row.try_get("enabled")?, reason.as_deref(), is_served);
    let hold = match reason {
        None => Value::Null,
        Some(reason) => json!({
            "reason": reason, "code": text("hold_code")?, "advice": text("hold_advice")?, "since": time("held_since")?,
            "next_probe": time("probe_at")?, "paused_by": text("paused_by")?, "paused_because": text("paused_because")?,
        }),
    };
    Ok(json!({
        "name": text("name")?, "platform": text("platform")?, "state": state, "served": is_served,
        "last_seen_at": time("last_seen_at")?, "hold": hold, "held_rules": row.try_get::<_, Value>("rules")?,
    }))
}

/// The word for how a destination stands. A hold tells more than that nobody serves it, which stands beside it.
pub fn state(is_enabled: bool, hold: Option<&str>, is_served: bool) -> &'static str {
    match (is_enabled, hold, is_served) {
        (false, _, _) => "disabled",
        (true, Some("paused"), _) => "paused",
        (true, Some(_), _) => "held",
        (true, None, false) => "unserved",
        (true, None, true) => "enabled",
    }
}

/// Pauses a destination, or one rule of it; whether it was not paused before. That the rule is one of its own is for the
/// caller to know: [`known::rule`].
pub async fn pause(
    database: &Database,
    name: &str,
    rule: Option<&str>,
    reason: &str,
) -> Result<bool, KnownError> {
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&name, Type::TEXT),
        (&reason, Type::TEXT),
        (&rule, Type::TEXT),
    ];
    let rows = database.query(PAUSE, &params).await?;
    let is_new: Option<bool> = match rows.first() {
        Some(row) => row.try_get("is_new").map_err(DatabaseError::from)?,
        None => None,
    };
    match is_new {
        Some(is_new) => Ok(is_new),
        None => known::destination(database, name).await.map(|()| false),
    }
}

/// Ends a pause or lifts a hold, of a destination and all its rules or of one rule; whether anything was held. Without a
/// reason the audit says that it was done by hand.
pub async fn resume(
    database: &Database,
    name: &str,
    rule: Option<&str>,
    reason: Option<&str>,
) -> Result<bool, KnownError> {
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&name, Type::TEXT),
        (&rule, Type::TEXT),
        (&reason, Type::TEXT),
    ];
    let rows = database.query(RESUME, &params).await?;
    let said = |what: &str| match rows.first() {
        Some(row) => row.try_get(what).map_err(DatabaseError::from),
        None => Ok(false),
    };
    if !said("known")? {
        known::destination(database, name).await?;
    }
    Ok(said("resumed")?)
}

#[cfg(test)]
mod tests {
    use super::state;

    #[test]
    fn what_nobody_serves_is_not_called_enabled() {
        let states = [
            state(true, None, true),
            state(true, None, false),
            state(true, Some("paused"), false),
            state(true, Some("credential"), false),
            state(false, Some("paused"), true),
        ];
        assert_eq!(
            states,
            ["enabled", "unserved", "paused", "held", "disabled"]
        );
    }
}
