//! Dead letters: one by one, or by what they died of.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::advice::advice;
use super::filter::Filter;
use crate::db::connect::{Database, Param};
use crate::db::error::DatabaseError;
use crate::outcome::Reason;

const LIST: &str = include_str!("../../sql/queries/dead_letters.sql");
const CAUSES: &str = include_str!("../../sql/queries/dead_letter_causes.sql");
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
    /// Its event's number, which tells two apart that died at the same moment.
    #[serde(skip)]
    pub event_no: i64,
}

/// Where a page of a list ends, and the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When the last one died.
    pub settled_at: DateTime<Utc>,
    /// Its event's number.
    pub event_no: i64,
    /// Where it was meant to go.
    pub destination: String,
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
    list_after(database, filter, None).await
}

/// The same, from behind the end of a page.
pub async fn list_after(
    database: &Database,
    filter: &Filter,
    end: Option<&End>,
) -> Result<Vec<DeadLetter>, DatabaseError> {
    let settled_at = end.map(|end| end.settled_at);
    let event_no = end.map(|end| end.event_no);
    let destination = end.map(|end| end.destination.as_str());
    let limit = filter.limit.unwrap_or(LISTED);
    let mut params = params(filter, &limit);
    params.extend([
        (&settled_at as &(dyn ToSql + Sync), Type::TIMESTAMPTZ),
        (&event_no, Type::INT8),
        (&destination, Type::TEXT),
    ]);
    let rows = database.query(LIST, &params).await?;
    Ok(rows.iter().map(letter).collect::<Result<_, _>>()?)
}

/// The same by destination, state, reason and code; the most frequent first.
pub async fn groups(database: &Database, filter: &Filter) -> Result<Vec<Group>, DatabaseError> {
    let limit = filter.limit.unwrap_or(LISTED);
    let is_by_cause_alone = filter.event_name.is_none()
        && filter.event_ids.is_none()
        && filter.since.is_none()
        && filter.until.is_none();
    // The tallies know causes, whatever day it was and however many there are.
    let rows = if is_by_cause_alone {
        let [state, reason, error_code, ..] = filter.params();
        let destination = (&filter.destination as &(dyn ToSql + Sync), Type::TEXT);
        let limit = (&limit as &(dyn ToSql + Sync), Type::INT8);
        let causes = [destination, state, reason, error_code, limit];
        database.query(CAUSES, &causes).await?
    } else {
        database.query(GROUPS, &params(filter, &limit)).await?
    };
    Ok(rows.iter().map(group).collect::<Result<_, _>>()?)
}

fn params<'a>(filter: &'a Filter, limit: &'a i64) -> Vec<Param<'a>> {
    let mut params: Vec<Param<'a>> = vec![(&filter.destination, Type::TEXT)];
    params.extend(filter.params());
    params.push((limit, Type::INT8));
    params
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
        event_no: row.try_get("event_no")?,
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
