//! Reads the application's own table through the entry's query: read-only, under time limits, and no more rows than allowed.
//!
//! The query becomes a part of one statement of ours, so it can be nothing but a `select`, and the transaction is read-only
//! besides. Its columns are looked at before any row is asked for, without running it.

use chrono::{DateTime, Utc};
use deadpool_postgres::{Object, Transaction};
use serde_json::Value;
use thiserror::Error;
use tokio_postgres::types::{ToSql, Type};

use super::exact::Exact;
use crate::config::database::DatabaseConfig;
use crate::config::reconcile::ReconcileConfig;
use crate::db::connect::Database;
use crate::db::dial::OpenError;
use crate::db::error::DatabaseError;

const TEXTS: &[&str] = &["text", "character varying", "character"];
const JSON: &[&str] = &["jsonb", "json"];

/// What a query must return, and the types that pass.
const MUST: [(&str, &[&str]); 4] = [
    (
        "business_id",
        &[
            "text",
            "character varying",
            "character",
            "uuid",
            "bigint",
            "integer",
            "smallint",
        ],
    ),
    ("occurred_at", &["timestamp with time zone"]),
    ("value", &["numeric", "bigint", "integer", "smallint"]),
    ("currency", TEXTS),
];

/// What it may return besides, for `missing --backfill`; `event_id` also decides what belongs together.
const MAY: [(&str, &[&str]); 9] = [
    ("event_id", TEXTS),
    ("consent", JSON),
    ("user_data", JSON),
    ("click_ids", JSON),
    ("properties", JSON),
    ("depends_on", TEXTS),
    ("action_source", TEXTS),
    ("page_url", TEXTS),
    ("source", TEXTS),
];

/// One row of the application's table.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRow {
    /// Order, lead or deal.
    pub business_id: String,
    /// The event's own id, where the query tells it.
    pub event_id: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Amount and currency; where there is none, amounts are not compared.
    pub money: Option<(Exact, String)>,
    /// The whole row, where it was asked for. May hold personal data: for `backfill` alone.
    pub whole: Value,
}

/// Why the source could not be read. Texts of the source's database are passed on only where they cannot hold data.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The address in `database_url`.
    #[error("database_url of the entry: {0}")]
    Open(#[from] OpenError),
    /// No connection, or something the query is not to blame for.
    #[error("the source's database: {0}")]
    Database(#[source] DatabaseError),
    /// The query is wrong, may not be run, or tries to write.
    #[error(
        "the query is refused (SQLSTATE {code}){}. Fix: it must be one select that this login may run; try it in psql with times for $1 and $2",
        message.as_deref().map(|text| format!(": {text}")).unwrap_or_default()
    )]
    Refused {
        /// SQLSTATE.
        code: String,
        /// PostgreSQL's words, where they cannot hold data.
        message: Option<String>,
    },
    /// It took too long.
    #[error(
        "the query took longer than {0} s for one day. Fix: an index on the column that $1 and $2 bound, or a higher statement_timeout_secs"
    )]
    TooLong(u64),
    /// Columns are missing or of another type.
    #[error(
        "the query's columns are not as they must be: {0}. Fix: name and cast them in the select"
    )]
    Columns(String),
    /// More rows than allowed.
    #[error(
        "the query returns more than {0} rows for one day. Fix: bound it by occurred_at >= $1 and occurred_at < $2, or raise rows_max"
    )]
    TooMany(u32),
    /// A row that nothing can be compared with.
    #[error("the query returns a row {0}")]
    Row(String),
}

/// A source, ready to be asked.
#[derive(Debug)]
pub struct Source {
    database: Database,
    query: String,
    rows_max: u32,
    limits: String,
    statement_timeout: u64,
    patience: std::time::Duration,
}

impl Source {
    /// Opens the way to the source: one connection, of the entry's own login where it has one. Connects at the first use.
    pub fn open(entry: &ReconcileConfig, worker: &DatabaseConfig) -> Result<Source, SourceError> {
        let mut config = worker.clone();
        if let Some(url) = &entry.database_url {
            config.url = url.clone();
        }
        config.pool_size = 1;
        config.statement_timeout = entry.statement_timeout;
        Ok(Source {
            limits: format!(
                "set local statement_timeout = {}; set local lock_timeout = {}; set local idle_in_transaction_session_timeout = {}",
                entry.statement_timeout.as_millis(),
                // Whoever locks the application's tables goes first.
                config.lock_timeout.as_millis(),
                (entry.statement_timeout + config.lock_timeout).as_millis(),
            ),
            patience: 3 * entry.statement_timeout + config.connect_timeout,
            statement_timeout: entry.statement_timeout.as_secs(),
            database: Database::open(&config)?,
            query: entry.query.clone(),
            rows_max: entry.rows_max,
        })
    }

    /// The rows of a span of time, its end excluded. `whole`: with everything the query returns.
    pub async fn rows(
        &self,
        begins_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
        whole: bool,
    ) -> Result<Vec<SourceRow>, SourceError> {
        self.asked([begins_at, ends_at], whole, None).await
    }

    /// Of a span of time, the rows that have one of these business or event ids.
    pub async fn rows_of(
        &self,
        begins_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
        ids: &[&str],
    ) -> Result<Vec<SourceRow>, SourceError> {
        self.asked([begins_at, ends_at], false, Some(ids)).await
    }

    async fn asked(
        &self,
        span: [DateTime<Utc>; 2],
        whole: bool,
        ids: Option<&[&str]>,
    ) -> Result<Vec<SourceRow>, SourceError> {
        let mut client = self
            .database
            .client()
            .await
            .map_err(SourceError::Database)?;
        let reading = async {
            let transaction = client.build_transaction().read_only(true).start();
            let transaction = transaction.await.map_err(|error| self.failed(error))?;
            let limited = transaction.batch_execute(&self.limits).await;
            limited.map_err(|error| self.failed(error))?;
            self.read(&transaction, span, whole, ids).await
        };
        match tokio::time::timeout(self.patience, reading).await {
            Ok(rows) => rows,
            Err(_) => {
                // The server does not answer; its own limit ends what it may still do.
                drop(Object::take(client));
                Err(SourceError::TooLong(self.statement_timeout))
            }
        }
    }

    async fn read(
        &self,
        transaction: &Transaction<'_>,
        span: [DateTime<Utc>; 2],
        whole: bool,
        ids: Option<&[&str]>,
    ) -> Result<Vec<SourceRow>, SourceError> {
        let query = &self.query;
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&span[0], Type::TIMESTAMPTZ), (&span[1], Type::TIMESTAMPTZ)];
        // A join that never holds: PostgreSQL understands the query, checks the rights, and does not run it.
        let never = format!("(values (1)) one left join (\n{query}\n) s on false");
        let names = format!(
            "select array(select jsonb_object_keys(to_jsonb(r))) as names from (select s.* from {never}) r"
        );
        let row = transaction.query_typed(&names, &params).await;
        let row = row.map_err(|error| self.failed(error))?;
        let names: Vec<String> = row
            .first()
            .expect("the left side of the join")
            .try_get("names")
            .map_err(|error| self.failed(error))?;
        let known: Vec<_> = MUST
            .iter()
            .chain(&MAY)
            .filter(|(name, _)| names.iter().any(|one| one == name))
            .collect();
        let types: Vec<String> = known
            .iter()
            .map(|(name, _)| format!("pg_typeof(s.{name})::text"))
            .collect();
        let types = format!(
            "select array[{}]::text[] as types from {never}",
            types.join(", ")
        );
        let row = transaction.query_typed(&types, &params).await;
        let row = row.map_err(|error| self.failed(error))?;
        let types: Vec<String> = row
            .first()
            .expect("the left side of the join")
            .try_get("types")
            .map_err(|error| self.failed(error))?;
        let found: Vec<(&str, &str)> = known
            .iter()
            .map(|(name, _)| *name)
            .zip(types.iter().map(String::as_str))
            .collect();
        check_columns(&found)?;

        let event_id = match found.iter().any(|(name, _)| *name == "event_id") {
            true => "s.event_id::text",
            false => "null::text",
        };
        let rest = if whole { "to_jsonb(s)" } else { "null::jsonb" };
        // Without ids there is nothing to choose by, and no third parameter.
        let of = match ids {
            None => String::new(),
            Some(_) => format!(" where s.business_id::text = any ($3) or {event_id} = any ($3)"),
        };
        let rows = format!(
            "select s.business_id::text as business_id, s.occurred_at, s.value::text as value, s.currency::text as currency, \
             {event_id} as event_id, {rest} as whole from (\n{query}\n) s{of} limit {}",
            u64::from(self.rows_max) + 1
        );
        let mut params = params.to_vec();
        if let Some(ids) = &ids {
            params.push((ids, Type::TEXT_ARRAY));
        }
        let rows = transaction.query_typed(&rows, &params).await;
        let rows = rows.map_err(|error| self.failed(error))?;
        if rows.len() > self.rows_max as usize {
            return Err(SourceError::TooMany(self.rows_max));
        }
        let read = |row: &tokio_postgres::Row| {
            let written = Written {
                business_id: row.try_get("business_id")?,
                occurred_at: row.try_get("occurred_at")?,
                value: row.try_get("value")?,
                currency: row.try_get("currency")?,
                event_id: row.try_get("event_id")?,
                whole: row
                    .try_get::<_, Option<Value>>("whole")?
                    .unwrap_or(Value::Null),
            };
            Ok::<_, tokio_postgres::Error>(written)
        };
        rows.iter()
            .map(|row| {
                read(row)
                    .map_err(|error| self.failed(error))?
                    .understood(span)
            })
            .collect()
    }

    fn failed(&self, error: tokio_postgres::Error) -> SourceError {
        let Some(refused) = error.as_db_error() else {
            return SourceError::Database(error.into());
        };
        let code = refused.code().code();
        match code {
            "57014" => SourceError::TooLong(self.statement_timeout),
            // Syntax, names and rights; a write in a read-only transaction; a write within a query. Their words name things,
            // not values.
            _ if code.starts_with("42") || code == "25006" || code == "0A000" => {
                SourceError::Refused {
                    code: code.to_owned(),
                    message: Some(refused.message().to_owned()),
                }
            }
            _ if code.starts_with("22") || code.starts_with("P0") || code.starts_with("21") => {
                SourceError::Refused {
                    code: code.to_owned(),
                    message: None,
                }
            }
            _ => SourceError::Database(error.into()),
        }
    }
}

/// Every column that is missing or of another type.
fn check_columns(found: &[(&str, &str)]) -> Result<(), SourceError> {
    let type_of = |name: &str| {
        found
            .iter()
            .find(|(one, _)| *one == name)
            .map(|(_, found)| *found)
    };
    let wrong = |name: &str, types: &[&str], found: &str| {
        format!("{name} is {found} and must be {}", types.join(", or "))
    };
    let mut faults = Vec::new();
    for (name, types) in MUST {
        match type_of(name) {
            None => faults.push(format!("{name} is missing")),
            Some(found) if !types.contains(&found) => faults.push(wrong(name, types, found)),
            Some(_) => {}
        }
    }
    for (name, types) in MAY {
        if let Some(found) = type_of(name).filter(|found| !types.contains(found)) {
            faults.push(wrong(name, types, found));
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(SourceError::Columns(faults.join("; "))),
    }
}

/// A row as the database gives it.
struct Written {
    business_id: Option<String>,
    occurred_at: Option<DateTime<Utc>>,
    value: Option<String>,
    currency: Option<String>,
    event_id: Option<String>,
    whole: Value,
}

impl Written {
    fn understood(
        self,
        [begins_at, ends_at]: [DateTime<Utc>; 2],
    ) -> Result<SourceRow, SourceError> {
        let Some(business_id) = self.business_id.filter(|id| !id.is_empty()) else {
            return Err(SourceError::Row("without a business_id".to_owned()));
        };
        // An id is shown as a literal would be: it is the application's own and may hold anything.
        let row = |what: &str| SourceError::Row(format!("of business_id {business_id:?} {what}"));
        let occurred_at = self.occurred_at.ok_or_else(|| row("without occurred_at"))?;
        if !(begins_at..ends_at).contains(&occurred_at) {
            return Err(row(&format!(
                "of {occurred_at}, outside of {begins_at} to {ends_at}. Fix: where occurred_at >= $1 and occurred_at < $2"
            )));
        }
        let money = match self.value {
            None => None,
            Some(value) => {
                let amount = Exact::parse(&value).ok_or_else(|| {
                    row("whose value is too large or has more than 20 decimals. Fix: round it")
                })?;
                let currency = self.currency.map(|code| code.trim().to_ascii_uppercase());
                let currency = currency.filter(|code| !code.is_empty()).ok_or_else(|| {
                    row("with a value and no currency. Fix: return it, as a constant such as 'EUR' where you have but one")
                })?;
                Some((amount, currency))
            }
        };
        Ok(SourceRow {
            event_id: self.event_id,
            occurred_at,
            money,
            whole: self.whole,
            business_id,
        })
    }
}
