//! The difference against the source of truth: the application's own tables, the outbox, what was sent, what was accepted,
//! and what the platforms themselves report.
//!
//! One day at a time: rows of the application ([`source`]) and events ([`outbox`]) are read, what platforms say is looked up
//! ([`platform`]), all of it is compared ([`mod@compare`], pure) into a [`result`], and kept ([`stored`]). [`compute`] is the
//! parent of these; [`ask`] asks the platforms; [`keep`] does it all while nobody else does. [`import`] takes a platform's export, [`backfill`] writes what the application
//! forgot.
//!
//! Only business ids and amounts are read, compared and kept; nothing here knows a person, but for `backfill`, which passes on
//! what the application's own query returns.

pub mod ask;
pub mod backfill;
pub mod compare;
pub mod compute;
pub mod day;
pub mod exact;
pub mod import;
pub mod keep;
pub mod outbox;
mod pairs;
pub mod platform;
pub mod result;
pub mod source;
pub mod stored;
pub mod why;

use thiserror::Error;

use crate::db::dial::OpenError;
use crate::db::error::DatabaseError;

/// Why an entry could not be compared.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// The application's own table.
    #[error("{0}")]
    Source(#[from] source::SourceError),
    /// The outbox.
    #[error("the outbox: {0}")]
    Database(#[from] DatabaseError),
    /// The address of the outbox.
    #[error("{0}")]
    Open(#[source] OpenError),
    /// PostgreSQL knows no such zone.
    #[error(
        "the database knows no time zone {0}. Fix: take a name from: select name from pg_timezone_names"
    )]
    TimeZone(String),
    /// More events on one day than are compared.
    #[error("the outbox has more than {0} events of one day. Fix: raise rows_max of the entry")]
    TooManyEvents(u32),
    /// It took longer than the lease under which nobody else computes.
    #[error(
        "it took longer than {} minutes, and was given up; days computed by then are kept. Fix: an index for the entry's query, or fewer days",
        .0.as_secs() / 60
    )]
    TooLong(std::time::Duration),
}
