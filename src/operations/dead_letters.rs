//! Dead letters: one by one, or by what they died of.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::advice::advice;
use super::filter::Filter;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::outcome::Reason;

const LIST: &str = include_str!("../../sql/queries/dead_letters.sql");
const GROUPS: &str = include_str!("../../sql/queries/dead_letter_groups.sql");

/// How many are listed unless the filter says.
pub const LISTED: i64 = 100;

/// One dead letter. Its JSON form is an interface: keys and their order stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The event.
    pub event_id: String,
    /// Its name.
    pub event_name: String,
    /// Order, lead or deal.
    pub business_id: String,
    /// Where it did not arrive for certain.
    pub destination: String,
    /// `rejected`, `uncertain` or `exhausted`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// The platform's code, or the field that our check refused.
    pub error_code: Option<String>,
    /// HTTP status of the last answer.
    pub response_code: Option<i16>,
    /// Requests that carried it.
    pub tries: i16,
    /// Since when it may have been taken, where more than one request carried it.
    pub first_tried_at: Option<DateTime<Utc>>,
    /// When the last request was sent.
    pub tried_at: Option<DateTime<Utc>>,
    /// When it died.
    pub settled_at: DateTime<Utc>,
    /// When a person last asked for it again.
    pub replayed_at: Option<DateTime<Utc>>,
}

/// Dead letters that died of the same. Its JSON form is an interface: keys and their order stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Where.
    pub destination: String,
    /// `rejected`, `uncertain` or `exhausted`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// The platform's code, or the field that our check refused.
    pub error_code: Option<String>,
    /// How many.
    pub count: i64,
    /// When the first of them died.
    pub oldest: DateTime<Utc>,
    /// When the last of them died.
    pub newest: DateTime<Utc>,
    /// One of them.
    pub sample_event_id: Option<String>,
    /// What to do.
    pub advice: &'static str,
}

/// The newest dead letters that the filter lets pass.
pub async fn list(database: &Database, filter: &Filter) -> Result<Vec<DeadLetter>, DatabaseError> {
    let rows = ask(database, LIST, filter).await?;
    Ok(rows.iter().map(letter).collect::<Result<_, _>>()?)
}

/// The same by destination, state, reason and code; the most frequent first.
pub async fn groups(database: &Database, filter: &Filter) -> Result<Vec<Group>, DatabaseError> {
    let rows = ask(database, GROUPS, filter).await?;
    Ok(rows.iter().map(group).collect::<Result<_, _>>()?)
}

async fn ask(database: &Database, sql: &str, filter: &Filter) -> Result<Vec<Row>, DatabaseError> {
    let limit = filter.limit.unwrap_or(LISTED);
    let [state, reason, code, name, ids, since, until] = filter.params();
    let destination = (&filter.destination as &(dyn ToSql + Sync), Type::TEXT);
    let limit = (&limit as &(dyn ToSql + Sync), Type::INT8);
    let params = [
        destination,
        state,
        reason,
        code,
        name,
        ids,
        since,
        until,
        limit,
    ];
    database.query(sql, &params).await
}

fn letter(row: &Row) -> Result<DeadLetter, tokio_postgres::Error> {
    Ok(DeadLetter {
        event_id: row.try_get("event_id")?,
        event_name: row.try_get("event_name")?,
        business_id: row.try_get("business_id")?,
        destination: row.try_get("destination")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        error_code: row.try_get("error_code")?,
        response_code: row.try_get("response_code")?,
        tries: row.try_get("tries")?,
        first_tried_at: row.try_get("first_tried_at")?,
        tried_at: row.try_get("tried_at")?,
        settled_at: row.try_get("settled_at")?,
        replayed_at: row.try_get("replayed_at")?,
    })
}

fn group(row: &Row) -> Result<Group, tokio_postgres::Error> {
    let reason: Option<String> = row.try_get("reason")?;
    Ok(Group {
        destination: row.try_get("destination")?,
        state: row.try_get("state")?,
        error_code: row.try_get("error_code")?,
        count: row.try_get("count")?,
        oldest: row.try_get("oldest")?,
        newest: row.try_get("newest")?,
        sample_event_id: row.try_get("sample")?,
        advice: advice(reason.as_deref().and_then(Reason::parse)),
        reason,
    })
}
