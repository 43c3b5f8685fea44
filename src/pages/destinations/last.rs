//! Who paused or resumed a destination last, when and why: as the audit has it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::pages::html::{Markup, html, name, time};
use crate::pages::{audit, doing};
use crate::telemetry::redact::scrub;

const LAST: &str = include_str!("../../../sql/pages/last_hands.sql");

/// PostgreSQL's `insufficient_privilege`.
const FORBIDDEN: &str = "42501";

/// One row of the audit.
pub(super) struct Last {
    number: i64,
    at: DateTime<Utc>,
    login: String,
    action: String,
    rule: Option<String>,
    reason: String,
}

/// By destination. A login that may not read the audit sees none of it, and all the rest of the page.
pub(super) async fn all(database: &Database) -> Result<BTreeMap<String, Last>, DatabaseError> {
    let rows = match database.query(LAST, &[]).await {
        Err(error) if error.code() == Some(FORBIDDEN) => return Ok(BTreeMap::new()),
        rows => rows?,
    };
    let mut found = BTreeMap::new();
    for row in &rows {
        let last = Last {
            number: row.try_get("audit_no")?,
            at: row.try_get("done_at")?,
            login: row.try_get("login")?,
            action: row.try_get("action")?,
            rule: row.try_get("rule")?,
            reason: row.try_get("reason")?,
        };
        found.insert(row.try_get("destination")?, last);
    }
    Ok(found)
}

/// In a sentence.
pub(super) fn shown(last: &Last) -> Markup {
    let done = match last.action.as_str() {
        "pause" => "paused",
        _ => "resumed",
    };
    let (why, is_by_page) = doing::own_words(&last.reason);
    html! {
        @if let Some(rule) = &last.rule { "rule " code { (rule) } " " }
        (done) " " (time(last.at)) " by " (name(&last.login)) @if is_by_page { " on this page" }
        ": " (scrub(why)) " (" (audit::link(last.number)) ")"
    }
}
