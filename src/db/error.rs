//! Failures of the database, without what the rows hold, and what each of them asks for.
//!
//! PostgreSQL's own text quotes values: the detail of a broken constraint is a row. So a failure keeps the code
//! and the names only, in `Debug` and in its sources too.

use deadpool_postgres::PoolError;
use thiserror::Error;

/// Why a statement was not run, or failed.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// No connection. The source says why; it never holds the connection string.
    #[error("no connection to the database{}", unreachable(.0))]
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
#[error("SQLSTATE {code}{}{}{}", named(", table ", .table), named(", constraint ", .constraint), fix(.code))]
pub struct Refusal {
    /// SQLSTATE.
    pub code: String,
    /// The table it concerns, if the database says so.
    pub table: Option<String>,
    /// The constraint that was broken, if one was.
    pub constraint: Option<String>,
}

/// What a failure is about, and so what helps: everything but [`Trouble::Data`] is tried again, ever more rarely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Other transactions were in the way: a deadlock, a lock, a serialization failure, a time limit. Nothing took effect.
    Contention,
    /// The database cannot be reached, is starting or stopping, or broke off in the middle.
    Away,
    /// It has no connection left for us.
    Crowded,
    /// It answers and takes no writes: a standby, or a former primary after a failover.
    ReadOnly,
    /// Its disk is full.
    DiskFull,
    /// It has no memory left, or reached another limit of its own.
    Exhausted,
    /// The content of a row: data that cannot be converted, or too much of them. Trying again does not help.
    Data,
    /// Password, role, rights, schema or database are not what the worker needs.
    Setup,
    /// Something else.
    Other,
}

impl Trouble {
    /// By SQLSTATE, appendix A of PostgreSQL's manual. PgBouncer says `08P01` when it has no server.
    pub fn of_code(code: &str) -> Trouble {
        match code {
            "57014" | "55P03" | "40001" | "40P01" => Trouble::Contention,
            "53300" => Trouble::Crowded,
            "25006" => Trouble::ReadOnly,
            "53100" => Trouble::DiskFull,
            _ => match code.get(..2) {
                // Operator intervention, connection exceptions, a transaction that was ended for being idle.
                Some("57" | "08" | "25") => Trouble::Away,
                Some("40") => Trouble::Contention,
                Some("53") => Trouble::Exhausted,
                // Data exception, integrity violation, program limit exceeded.
                Some("22" | "23" | "54") => Trouble::Data,
                Some("28" | "3D" | "3F" | "42") => Trouble::Setup,
                _ => Trouble::Other,
            },
        }
    }

    /// What is wrong, in a few words, for probes; nothing where the database as such works.
    pub fn says(self) -> Option<&'static str> {
        Some(match self {
            Trouble::Contention | Trouble::Data => return None,
            Trouble::Away => "the database is not reachable",
            Trouble::Crowded => "the database has no connection left",
            Trouble::ReadOnly => "the database takes no writes (read-only, or a standby)",
            Trouble::DiskFull => "the database's disk is full",
            Trouble::Exhausted => "the database has run out of memory or another resource",
            Trouble::Setup => {
                "the database refuses the worker (password, rights or schema); run `conversion-outbox doctor`"
            }
            Trouble::Other => "the database refuses a statement of the worker; see the log",
        })
    }

    /// What a person can do. Nothing where it passes by itself, or where [`Trouble::says`] has said it.
    pub fn fix(self) -> Option<&'static str> {
        match self {
            Trouble::Contention
            | Trouble::Data
            | Trouble::Away
            | Trouble::Setup
            | Trouble::Other => None,
            Trouble::Crowded => {
                Some("raise max_connections, lower database.pool_size, or put PgBouncer in between")
            }
            Trouble::ReadOnly => Some(
                "name all servers and target_session_attrs=read-write in database.url, or point it at the primary",
            ),
            Trouble::DiskFull => Some(
                "make room on the database's disk; nothing is lost and the worker goes on by itself",
            ),
            Trouble::Exhausted => Some("see the database's log for what ran out"),
        }
    }
}

impl DatabaseError {
    /// What it is about.
    pub fn trouble(&self) -> Trouble {
        match self {
            DatabaseError::Refused(refusal) => Trouble::of_code(&refusal.code),
            DatabaseError::Broken(_) => Trouble::Away,
            DatabaseError::Unreachable(error) => trouble_of_connecting(error),
        }
    }

    /// Whether the statement failed on the content of a row: data that cannot be converted, or too much of them.
    pub fn is_about_data(&self) -> bool {
        self.trouble() == Trouble::Data
    }

    /// Whether the statement may have taken effect all the same: the answer to its commit is missing.
    pub fn is_in_doubt(&self) -> bool {
        match self {
            DatabaseError::Broken(_) => true,
            DatabaseError::Refused(_) => self.trouble() == Trouble::Away,
            DatabaseError::Unreachable(_) => false,
        }
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

fn trouble_of_connecting(error: &PoolError) -> Trouble {
    match error {
        PoolError::Backend(error) => match error.code() {
            Some(state) => Trouble::of_code(state.code()),
            None if found_no_primary(error) => Trouble::ReadOnly,
            None => Trouble::Away,
        },
        _ => Trouble::Away,
    }
}

fn unreachable(error: &PoolError) -> String {
    let trouble = trouble_of_connecting(error);
    match (trouble.says(), trouble.fix()) {
        (Some(says), Some(fix)) => format!(": {says}. Fix: {fix}"),
        _ => ". Fix: check that it runs and that database.url is right".to_owned(),
    }
}

/// tokio-postgres says so, by this kind of error alone, where `target_session_attrs` asks for another server than it found.
fn found_no_primary(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &std::io::Error| {
        cause.kind() == std::io::ErrorKind::PermissionDenied && cause.raw_os_error().is_none()
    })
}

fn named(label: &str, name: &Option<String>) -> String {
    name.as_ref()
        .map(|name| format!("{label}{name}"))
        .unwrap_or_default()
}

fn fix(code: &str) -> String {
    Trouble::of_code(code)
        .fix()
        .map(|fix| format!(". Fix: {fix}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> DatabaseError {
        DatabaseError::Refused(Refusal {
            code: code.to_owned(),
            table: None,
            constraint: None,
        })
    }

    #[test]
    fn each_code_asks_for_what_helps() {
        for (code, trouble) in [
            ("57014", Trouble::Contention),
            ("55P03", Trouble::Contention),
            ("40P01", Trouble::Contention),
            ("40001", Trouble::Contention),
            ("57P01", Trouble::Away),
            ("57P03", Trouble::Away),
            ("08P01", Trouble::Away),
            ("25P03", Trouble::Away),
            ("53300", Trouble::Crowded),
            ("25006", Trouble::ReadOnly),
            ("53100", Trouble::DiskFull),
            ("53200", Trouble::Exhausted),
            ("22021", Trouble::Data),
            ("23514", Trouble::Data),
            ("54000", Trouble::Data),
            ("42501", Trouble::Setup),
            ("28P01", Trouble::Setup),
            ("XX000", Trouble::Other),
            ("", Trouble::Other),
        ] {
            assert_eq!(refused(code).trouble(), trouble, "{code}");
        }
    }

    #[test]
    fn only_a_missing_answer_leaves_doubt() {
        assert!(DatabaseError::Broken("closed".to_owned()).is_in_doubt());
        assert!(refused("57P01").is_in_doubt());
        assert!(!refused("40P01").is_in_doubt());
        assert!(!refused("53100").is_in_doubt());
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let text = refused("53100").to_string();
        assert!(text.contains("SQLSTATE 53100. Fix: make room"), "{text}");
        let text = refused("40P01").to_string();
        assert!(!text.contains("Fix"), "{text}");
    }
}
