//! The schema `conversion_outbox`: bringing it to this program's version, and telling which version it is.
//!
//! Migrations are part of the program. Each runs in a transaction of its own that first takes an advisory lock and then
//! looks again at what is applied, so any number of migrators may run at once, also through PgBouncer in transaction
//! mode, where a lock of the session would be lost. The worker never migrates: it only asks [`check`].

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use serde::Serialize;
use thiserror::Error;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::connect::Database;
use super::error::DatabaseError;

mod text;
pub use text::{MIGRATIONS, Migration, script};

/// The schema versions this program works with.
pub const SUPPORTED: RangeInclusive<u32> = 15..=15;

/// How long one migrator waits for another.
const PATIENCE: Duration = Duration::from_secs(60);

/// Guards the migrations of one database: the letters "outbox" as a number.
const LOCK_KEY: i64 = 0x6f75_7462_6f78;

const HAS_RECORD: &str = include_str!("../../sql/queries/has_schema_migration.sql");
const APPLIED: &str = include_str!("../../sql/queries/applied_migrations.sql");

/// One migration as it stands in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Counted from 1.
    pub version: u32,
    /// Name of its file, without the ending.
    pub name: String,
    /// Whether it was applied.
    pub state: StepState,
    /// When it was applied.
    pub applied_at: Option<DateTime<Utc>>,
}

/// Whether a migration was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It was.
    Applied,
    /// Not yet.
    Pending,
    /// It was, with another text than this program's.
    Changed,
    /// It was, by a newer program than this one.
    Newer,
}

/// Why the schema was not brought up to date. What was applied before the failure stays applied.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// No connection, or a statement around the migrations failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Another migrator holds the lock.
    #[error(
        "another migration of this database has been running for {} s. Fix: wait for it, or end its session (pg_stat_activity)",
        PATIENCE.as_secs()
    )]
    Busy,
    /// An applied migration had another text.
    #[error(
        "migration {name} was applied with another text than this program has; nothing was changed. Fix: run the release \
         that applied it, and never edit a migration; if the database is a test, drop schema conversion_outbox and migrate anew"
    )]
    Changed {
        /// Name of the migration.
        name: &'static str,
    },
    /// A migration failed and was rolled back.
    #[error("migration {name} failed and was rolled back: {message} (SQLSTATE {code}).{hint}")]
    Failed {
        /// Name of the migration.
        name: &'static str,
        /// SQLSTATE.
        code: String,
        /// What the database says. Its details, which may quote rows, are left out.
        message: String,
        /// What to do.
        hint: String,
    },
}

/// Why the worker cannot work with this schema.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// The version cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// There is no schema.
    #[error(
        "this database has no schema conversion_outbox. Fix: run `conversion-outbox migrate up`, with a login that may make roles \
         (--database-url-env NAME)"
    )]
    Absent,
    /// The schema is older than this program.
    #[error(
        "the schema has version {found}, this program needs {}. Fix: run `conversion-outbox migrate up`, with the \
         login that made the schema (--database-url-env NAME)",
        SUPPORTED.start()
    )]
    Older {
        /// Version of the schema.
        found: u32,
    },
    /// The schema is newer than this program.
    #[error(
        "the schema has version {found}, this program knows {} at most. Fix: run the release that migrated it, or a \
         newer one; a schema does not go back",
        SUPPORTED.end()
    )]
    Newer {
        /// Version of the schema.
        found: u32,
    },
}

/// Applies what is not applied yet, and gives it. A schema newer than this program is left as it is.
pub async fn up(database: &Database) -> Result<Vec<&'static Migration>, MigrateError> {
    let mut client = database.client().await?;
    let mut applied = Vec::new();
    for migration in MIGRATIONS {
        let transaction = client.transaction().await.map_err(DatabaseError::from)?;
        lock(&transaction).await?;
        match state_of(migration, &recorded(&transaction).await?) {
            StepState::Pending => {
                apply(&transaction, migration).await?;
                applied.push(migration);
            }
            StepState::Changed => {
                return Err(MigrateError::Changed {
                    name: migration.name,
                });
            }
            StepState::Applied | StepState::Newer => {}
        }
        transaction.commit().await.map_err(DatabaseError::from)?;
    }
    Ok(applied)
}

/// Every migration of this program, and those of a newer one that the database has, oldest first.
pub async fn status(database: &Database) -> Result<Vec<Step>, DatabaseError> {
    let recorded = read_recorded(database).await?;
    let known = MIGRATIONS.iter().map(|migration| Step {
        version: migration.version,
        name: migration.name.to_owned(),
        state: state_of(migration, &recorded),
        applied_at: find(&recorded, migration.version).map(|found| found.applied_at),
    });
    let newer = recorded
        .iter()
        .filter(|found| found.version as usize > MIGRATIONS.len())
        .map(|found| Step {
            version: found.version,
            name: found.name.clone(),
            state: StepState::Newer,
            applied_at: Some(found.applied_at),
        });
    Ok(known.chain(newer).collect())
}

/// The version of the schema; nothing where there is none.
pub async fn schema_version(database: &Database) -> Result<Option<u32>, DatabaseError> {
    let recorded = read_recorded(database).await?;
    Ok(recorded.iter().map(|found| found.version).max())
}

/// The version of the schema, if this program works with it.
pub async fn check(database: &Database) -> Result<u32, SchemaError> {
    match schema_version(database).await? {
        None => Err(SchemaError::Absent),
        Some(found) if found < *SUPPORTED.start() => Err(SchemaError::Older { found }),
        Some(found) if found > *SUPPORTED.end() => Err(SchemaError::Newer { found }),
        Some(found) => Ok(found),
    }
}

/// A migration as the database remembers it.
struct Recorded {
    version: u32,
    name: String,
    checksum: String,
    applied_at: DateTime<Utc>,
}

/// Waits for other migrators. Afterwards a statement may take its time (an index of a large table does), but not wait.
async fn lock(transaction: &Transaction<'_>) -> Result<(), MigrateError> {
    let patience = PATIENCE.as_millis();
    let sql = format!(
        "set local statement_timeout = 0; set local lock_timeout = {patience}; \
         set local idle_in_transaction_session_timeout = {patience}; select pg_advisory_xact_lock({LOCK_KEY})"
    );
    transaction.batch_execute(&sql).await.map_err(|error| {
        if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
            MigrateError::Busy
        } else {
            DatabaseError::from(error).into()
        }
    })
}

async fn apply(transaction: &Transaction<'_>, migration: &Migration) -> Result<(), MigrateError> {
    let Err(error) = transaction.batch_execute(&migration.statements()).await else {
        return Ok(());
    };
    let Some(refused) = error.as_db_error() else {
        return Err(DatabaseError::from(error).into());
    };
    let hint = match refused.hint() {
        Some(hint) => format!(" Fix: {hint}"),
        None if refused.code() == &SqlState::LOCK_NOT_AVAILABLE => {
            " Fix: a table is in use; run the command again, best in a quiet hour".to_owned()
        }
        None if refused.code() == &SqlState::INSUFFICIENT_PRIVILEGE => {
            format!(" Fix: {} (--database-url-env NAME)", who_may(migration))
        }
        None => String::new(),
    };
    Err(MigrateError::Failed {
        name: migration.name,
        code: refused.code().code().to_owned(),
        message: refused.message().to_owned(),
        hint,
    })
}

/// Whose login it takes: roles and schema are made once, and belong to the owner from then on.
fn who_may(migration: &Migration) -> &'static str {
    match migration.version {
        1 => {
            "migrate as a superuser, or as a login with createrole and with create on this database"
        }
        _ => {
            "migrate as the login that made the schema, or as another member of conversion_outbox_owner; never as the worker's"
        }
    }
}

async fn recorded(transaction: &Transaction<'_>) -> Result<Vec<Recorded>, DatabaseError> {
    let found = transaction.query_typed_one(HAS_RECORD, &[]).await?;
    if !found.try_get::<_, bool>("found")? {
        return Ok(Vec::new());
    }
    read_rows(&transaction.query_typed(APPLIED, &[]).await?)
}

async fn read_recorded(database: &Database) -> Result<Vec<Recorded>, DatabaseError> {
    let found = database.query(HAS_RECORD, &[]).await?;
    match found.first() {
        Some(row) if row.try_get("found")? => read_rows(&database.query(APPLIED, &[]).await?),
        _ => Ok(Vec::new()),
    }
}

fn read_rows(rows: &[Row]) -> Result<Vec<Recorded>, DatabaseError> {
    rows.iter()
        .map(|row| {
            Ok(Recorded {
                version: row.try_get::<_, i32>("version")?.unsigned_abs(),
                name: row.try_get("name")?,
                checksum: row.try_get("checksum")?,
                applied_at: row.try_get("applied_at")?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(DatabaseError::from)
}

fn find(recorded: &[Recorded], version: u32) -> Option<&Recorded> {
    recorded.iter().find(|found| found.version == version)
}

fn state_of(migration: &Migration, recorded: &[Recorded]) -> StepState {
    match find(recorded, migration.version) {
        None => StepState::Pending,
        Some(found) if found.checksum == migration.checksum() => StepState::Applied,
        Some(_) => StepState::Changed,
    }
}
