//! Failures of the database, without what the rows hold.
//!
//! PostgreSQL's own text quotes values: the detail of a broken constraint is a row. So a failure keeps the code
//! and the names only, in `Debug` and in its sources too.

use deadpool_postgres::PoolError;
use thiserror::Error;

/// Why a statement was not run, or failed.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// No connection. The source says why; it never holds the connection string.
    #[error(
        "no connection to the database. Fix: check that it runs and that database.url is right"
    )]
    Unreachable(#[from] PoolError),
    /// The database refused the statement.
    #[error("the database refused a statement: {0}")]
    Refused(Refusal),
    /// The connection broke while the statement ran, so nobody knows whether it took effect.
    #[error("the connection to the database broke: {0}")]
    Broken(String),
}

/// What may be told about a refused statement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("SQLSTATE {code}{}{}", named(", table ", .table), named(", constraint ", .constraint))]
pub struct Refusal {
    /// SQLSTATE.
    pub code: String,
    /// The table it concerns, if the database says so.
    pub table: Option<String>,
    /// The constraint that was broken, if one was.
    pub constraint: Option<String>,
}

impl DatabaseError {
    /// Whether the statement failed on the content of a row: data that cannot be converted, or too much of them.
    pub fn is_about_data(&self) -> bool {
        // Classes of appendix A of PostgreSQL's manual: data exception, integrity violation, program limit exceeded.
        self.code()
            .is_some_and(|code| ["22", "23", "54"].contains(&&code[..2]))
    }

    /// The SQLSTATE of a refused statement.
    pub fn code(&self) -> Option<&str> {
        match self {
            DatabaseError::Refused(refusal) => Some(&refusal.code),
            DatabaseError::Unreachable(_) | DatabaseError::Broken(_) => None,
        }
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> DatabaseError {
        match error.as_db_error() {
            Some(refused) => DatabaseError::Refused(Refusal {
                code: refused.code().code().to_owned(),
                table: refused.table().map(str::to_owned),
                constraint: refused.constraint().map(str::to_owned),
            }),
            None => DatabaseError::Broken(error.to_string()),
        }
    }
}

fn named(label: &str, name: &Option<String>) -> String {
    name.as_ref()
        .map(|name| format!("{label}{name}"))
        .unwrap_or_default()
}
