//! An event from a JSON object, as the database's door would take it: the rules of `sql/migrations/0004_insert.sql`.
//!
//! A mistake in a mandatory field is an error with the database's code and words; an unusable optional field is dropped.
//! Keys are the columns of `conversion_outbox.event`. Texts never show a value.

mod rules;

use std::fmt;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::config::read::nearest;
use crate::event::{Columns, EventFault, OutboxEvent};

/// The columns an application writes, and those that the database adds.
const COLUMNS: [&str; 19] = [
    "event_id",
    "event_name",
    "business_id",
    "occurred_at",
    "value",
    "currency",
    "consent",
    "user_data",
    "click_ids",
    "properties",
    "action_source",
    "page_url",
    "source",
    "depends_on",
    "traceparent",
    "tracestate",
    "event_no",
    "recorded_at",
    "warnings",
];

/// Why the database would refuse the row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RowFault {
    /// SQLSTATE of the error that an insert would raise; nothing where the row is no row of the table at all.
    pub code: Option<&'static str>,
    /// The column at fault.
    pub column: String,
    /// What it must be.
    pub rule: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for RowFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "conversion_outbox.event.{}: {}",
            self.column, self.rule
        )?;
        if let Some(code) = self.code {
            write!(out, " (SQLSTATE {code})")?;
        }
        let end = if self.fix.ends_with(['.', '?']) {
            ""
        } else {
            "."
        };
        write!(out, ". Fix: {}{end}", self.fix)
    }
}

/// Reads a row. `now` stands in for the database's clock.
pub fn read(row: &Map<String, Value>, now: DateTime<Utc>) -> Result<OutboxEvent, RowFault> {
    if let Some(unknown) = row.keys().find(|key| !COLUMNS.contains(&key.as_str())) {
        let fix = match nearest(unknown, COLUMNS.into_iter()) {
            Some(known) => format!("did you mean {known}?"),
            None => format!("remove it; the columns are {}", COLUMNS[..16].join(", ")),
        };
        return Err(fault(None, unknown, "is not a column", &fix));
    }
    let mut columns = columns(row, now)?;
    if row.get("event_id").is_none_or(Value::is_null) {
        columns.event_id = derive_event_id(&columns.event_name, &columns.business_id);
    }
    rules::check_mandatory(&columns)?;
    rules::mend_optional(&mut columns);
    OutboxEvent::parse(columns).map_err(|EventFault { column, rule }| {
        fault(None, column, rule, "see the comment on this column")
    })
}

/// The id of an event whose application gives none. The same as `conversion_outbox.derive_event_id`.
pub fn derive_event_id(event_name: &str, business_id: &str) -> String {
    if event_name.chars().count() + business_id.chars().count() < 128 {
        return format!("{event_name}:{business_id}");
    }
    let digest = Sha256::digest(business_id);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{event_name}#{digits}")
}

fn columns(row: &Map<String, Value>, now: DateTime<Utc>) -> Result<Columns, RowFault> {
    let object = |column| row.get(column).cloned().unwrap_or_default();
    Ok(Columns {
        event_no: 0,
        event_id: text(row, "event_id")?.unwrap_or_default(),
        event_name: text(row, "event_name")?.unwrap_or_default(),
        business_id: text(row, "business_id")?.unwrap_or_default(),
        occurred_at: time(row, "occurred_at")?.unwrap_or(now),
        recorded_at: time(row, "recorded_at")?.unwrap_or(now),
        value: text(row, "value")?,
        currency: text(row, "currency")?.map(|code| code.trim().to_uppercase()),
        consent: object("consent"),
        user_data: object("user_data"),
        click_ids: object("click_ids"),
        properties: object("properties"),
        action_source: text(row, "action_source")?,
        page_url: text(row, "page_url")?,
        source: text(row, "source")?,
        depends_on: text(row, "depends_on")?,
        traceparent: text(row, "traceparent")?,
        tracestate: text(row, "tracestate")?,
        payload_salt: None,
    })
}

/// A text or a number, as PostgreSQL casts either to a column.
fn text(row: &Map<String, Value>, column: &str) -> Result<Option<String>, RowFault> {
    match row.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(fault(
            None,
            column,
            "must be a text or a number",
            "write it in double quotes",
        )),
    }
}

/// A time with its zone, to the microsecond as the database keeps it.
fn time(row: &Map<String, Value>, column: &str) -> Result<Option<DateTime<Utc>>, RowFault> {
    let Some(written) = text(row, column)? else {
        return Ok(None);
    };
    DateTime::parse_from_rfc3339(&written)
        .or_else(|_| DateTime::parse_from_str(&written, "%Y-%m-%d %H:%M:%S%.f%#z"))
        .map(|time| Some(time.to_utc().round_subsecs(6)))
        .map_err(|_| {
            let rule = "must be a time with its zone";
            fault(None, column, rule, "write it like 2026-11-23T09:30:00Z")
        })
}

fn fault(code: Option<&'static str>, column: &str, rule: &str, fix: &str) -> RowFault {
    RowFault {
        code,
        column: column.to_owned(),
        rule: rule.to_owned(),
        fix: fix.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_business_id_is_replaced_by_its_digest() {
        assert_eq!(
            derive_event_id("order_paid", "order-1042"),
            "order_paid:order-1042"
        );
        assert_eq!(derive_event_id("a", &"b".repeat(126)).len(), 128);
        // python3: hashlib.sha256(b"b" * 127).hexdigest()
        assert_eq!(
            derive_event_id("a", &"b".repeat(127)),
            "a#7bdbefa63b6989e6a15abad9d52c0770bce07182a535b9a1b3d4c0e38c8b0856"
        );
    }
}
