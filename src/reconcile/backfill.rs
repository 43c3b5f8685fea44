//! Writes what the application forgot: as SQL to be read and run by a person, or at once in batches.
//!
//! Consent is never made up. It is what the entry's query returns as `consent`; where it returns none, all four signals are
//! `unspecified`, with which nothing leaves unless a destination is configured to take `unspecified` for `granted`.

use std::collections::{HashMap, HashSet, VecDeque};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_postgres::types::{ToSql, Type};

use super::exact::Exact;
use super::result::{DayResult, Gap};
use super::source::SourceRow;
use super::why::Why;
use crate::consent::Consent;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const BACKFILL: &str = include_str!("../../sql/queries/backfill.sql");

/// Events in one statement: a few milliseconds each, checks included.
const BATCH: usize = 200;

/// Longest id that the outbox takes.
const ID_MAX: usize = 128;

/// One event that the application forgot. Its JSON form is what the function `backfill` takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forgotten {
    /// The application's own id, where the query returns one; derived from name and business id otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The business event.
    pub event_name: String,
    /// Order, lead or deal.
    pub business_id: String,
    /// When it happened: the old time is kept.
    pub occurred_at: DateTime<Utc>,
    /// Amount, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// ISO 4217.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// As the query returns it, or all four signals `unspecified`.
    pub consent: Value,
    /// Other columns of the event that the query returns, by name. May hold personal data.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// What an insertion did. Its JSON form is an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Written now.
    pub created: i64,
    /// There already, alike.
    pub duplicates: i64,
    /// There already, with other content, which stands.
    pub conflicts: i64,
    /// Its row in the audit.
    pub audit_no: Option<i64>,
}

/// The consent of somebody who was not asked, as far as anybody knows.
fn unspecified() -> Value {
    json!({
        "ad_storage": "unspecified", "analytics_storage": "unspecified",
        "ad_user_data": "unspecified", "ad_personalization": "unspecified", "source": "backfill"
    })
}

/// A row that no event can be made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its business id.
    pub business_id: String,
    /// What it breaks, and what helps.
    pub rule: &'static str,
}

/// The rows of a day that no event belongs to at all, and those of them that no event can be made of. `day` lists every gap.
///
/// Where the outbox has fewer events of an id than the source has rows, only the query's own `event_id` tells which is missing.
pub fn forgotten(day: &DayResult, rows: &[SourceRow]) -> (Vec<Forgotten>, Vec<Refused>) {
    let is_forgotten = |gap: &&Gap| {
        gap.destination.is_none()
            && matches!(gap.why, Why::NoRow | Why::FewerRows | Why::OtherSpelling)
    };
    let mut by_key: HashMap<_, VecDeque<&SourceRow>> = HashMap::new();
    for row in rows {
        let key = (
            row.business_id.as_str(),
            row.event_id.as_deref(),
            row.occurred_at,
        );
        by_key.entry(key).or_default().push_back(row);
    }
    let (mut events, mut refused) = (Vec::new(), Vec::new());
    let mut derived = HashSet::new();
    for gap in day.gaps.iter().filter(is_forgotten) {
        let Some(at) = gap.occurred_at else { continue };
        let key = (gap.business_id.as_str(), gap.event_id.as_deref(), at);
        let Some(row) = by_key.get_mut(&key).and_then(VecDeque::pop_front) else {
            continue;
        };
        // The outbox would derive the same id for both, and take the second for a repeat of the first.
        let is_again = row.event_id.is_none()
            && (gap.why == Why::FewerRows || !derived.insert(row.business_id.as_str()));
        let rule = if gap.why == Why::OtherSpelling {
            Some(
                "has an event whose id is written otherwise, and would be sent twice: let the query return the id as the application's events have it",
            )
        } else if is_again {
            Some(
                "has no id of its own beside another of the same business id: let the query return event_id",
            )
        } else {
            broken(row)
        };
        match rule {
            None => events.push(event(&day.event_name, row)),
            Some(rule) => refused.push(Refused {
                business_id: row.business_id.clone(),
                rule,
            }),
        }
    }
    (events, refused)
}

/// What the outbox would refuse, and with it everything that is written in the same transaction.
fn broken(row: &SourceRow) -> Option<&'static str> {
    let consent = row
        .whole
        .get("consent")
        .filter(|consent| !consent.is_null());
    let is_currency =
        |code: &str| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_id(&row.business_id) || !row.event_id.as_deref().is_none_or(is_id) {
        Some("has an id that no event may have: 1 to 128 printable characters")
    } else if row
        .money
        .as_ref()
        .is_some_and(|(amount, _)| *amount < Exact::ZERO)
    {
        Some(
            "has an amount below nought: what takes back is an event of its own, with what it takes back",
        )
    } else if row
        .money
        .as_ref()
        .is_some_and(|(_, currency)| !is_currency(currency))
    {
        Some("has a currency that is no code of three letters")
    } else if consent.is_some_and(|consent| Consent::parse(consent).is_err()) {
        Some("has a consent that is neither all four signals nor a decision")
    } else {
        None
    }
}

/// As the outbox wants ids.
fn is_id(text: &str) -> bool {
    (1..=ID_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn event(event_name: &str, row: &SourceRow) -> Forgotten {
    let told = |name: &str| row.whole.get(name).filter(|value| !value.is_null());
    let names = [
        "user_data",
        "click_ids",
        "properties",
        "depends_on",
        "action_source",
        "page_url",
    ];
    let others = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), told(name)?.clone())))
        // Routes may go by it, so the application's own stands where the query tells it.
        .chain([(
            "source".to_owned(),
            told("source").cloned().unwrap_or_else(|| "backfill".into()),
        )]);
    Forgotten {
        event_id: row.event_id.clone(),
        event_name: event_name.to_owned(),
        business_id: row.business_id.clone(),
        occurred_at: row.occurred_at,
        value: row.money.as_ref().map(|(amount, _)| amount.to_string()),
        currency: row.money.as_ref().map(|(_, currency)| currency.clone()),
        consent: told("consent").cloned().unwrap_or_else(unspecified),
        others: others.collect(),
    }
}

/// Statements that write the events, in one transaction, for a person to read and to run.
pub fn sql(day: &DayResult, events: &[Forgotten]) -> String {
    let unasked = events
        .iter()
        .filter(|one| one.consent == unspecified())
        .count();
    let mut text = format!(
        "-- {} of {} on {} ({}) without any event. Run it as a login with the role conversion_outbox_app.\n\
         -- Running it twice does no harm: the id of each event is always the same. Old times are kept; what a platform finds too\n\
         -- old expires there.\n",
        events.len(),
        day.event_name,
        day.day,
        day.time_zone,
    );
    if unasked > 0 {
        text.push_str(&format!(
            "-- Of {unasked} the query returns no consent, so all signals are unspecified: by default NOTHING of them is sent. Put in what\n\
             -- the person really said, or let the query return it as a column consent (jsonb). Never write granted for somebody\n\
             -- who was not asked.\n"
        ));
    }
    text.push_str("begin;\n");
    for event in events {
        text.push_str(&statement(event));
    }
    text.push_str("commit;\n");
    text
}

fn statement(event: &Forgotten) -> String {
    let at = event
        .occurred_at
        .to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut arguments = vec![
        format!("event_name => {}", literal(&event.event_name)),
        format!("business_id => {}", literal(&event.business_id)),
        format!("occurred_at => timestamptz {}", literal(&at)),
        format!("consent => {}::jsonb", literal(&event.consent.to_string())),
    ];
    if let Some(id) = &event.event_id {
        arguments.insert(0, format!("event_id => {}", literal(id)));
    }
    if let (Some(value), Some(currency)) = (&event.value, &event.currency) {
        arguments.push(format!("value => {}::numeric", literal(value)));
        arguments.push(format!("currency => {}", literal(currency)));
    }
    for (name, value) in &event.others {
        arguments.push(match value {
            Value::String(text) => format!("{name} => {}", literal(text)),
            other => format!("{name} => {}::jsonb", literal(&other.to_string())),
        });
    }
    format!(
        "select event_id, outcome from conversion_outbox.enqueue({});\n",
        arguments.join(", ")
    )
}

/// As PostgreSQL's `quote_literal`: safe whatever the text holds, and whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match quoted.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

/// Writes the events in batches, under one row of the audit. Needs the role `conversion_outbox_operator`.
pub async fn insert(
    database: &Database,
    events: &[Forgotten],
    reason: &str,
) -> Result<Done, DatabaseError> {
    let mut done = Done::default();
    for batch in events.chunks(BATCH) {
        let batch = serde_json::to_value(batch).expect("events are JSON");
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&batch, Type::JSONB),
            (&reason, Type::TEXT),
            (&done.audit_no, Type::INT8),
        ];
        let rows = database.query(BACKFILL, &params).await?;
        let row = rows.first().expect("a function gives a row");
        done.audit_no = Some(row.try_get("audit_no")?);
        done.created += row.try_get::<_, i64>("created")?;
        done.duplicates += row.try_get::<_, i64>("duplicates")?;
        done.conflicts += row.try_get::<_, i64>("conflicts")?;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_those_of_postgresql() {
        for (text, expected) in [
            ("plain", "'plain'"),
            ("O'Brien", "'O''Brien'"),
            (r"a\b", r"E'a\\b'"),
            (r"\'; drop table x; --", r"E'\\''; drop table x; --'"),
            ("$1 :name $$", "'$1 :name $$'"),
            ("", "''"),
        ] {
            assert_eq!(literal(text), expected);
        }
    }

    #[test]
    fn routes_by_source_lead_a_late_event_where_its_own_would_have_gone() {
        let row = |whole| SourceRow {
            business_id: "o-1".to_owned(),
            event_id: None,
            occurred_at: DateTime::default(),
            money: None,
            whole,
        };
        for (whole, source) in [
            (json!({ "source": "shop" }), "shop"),
            (json!({ "source": null }), "backfill"),
            (json!({}), "backfill"),
        ] {
            let event = event("order_paid", &row(whole));
            assert_eq!(event.others["source"], source);
            let statement = statement(&event);
            assert!(
                statement.contains(&format!("source => '{source}'")),
                "{statement}"
            );
        }
    }
}
