//! The business clock: what ages and due times are judged by, and what is written down.
//!
//! It is the database's, so that workers on hosts whose clocks differ agree on when something is due: every few seconds the
//! difference is measured. A test or a demo may move it; the database is then told the same time, so that both move together.
//! Never used for leases of requests under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const DATABASE_CLOCK: &str = include_str!("../../sql/queries/database_clock.sql");

/// A difference to the database's clock that an operator should hear of.
const NOTABLE: TimeDelta = TimeDelta::seconds(5);

/// A clock that may be ahead of or behind the system's. Clones move together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// How far a test or a demo moved it.
    ahead_ms: Arc<AtomicI64>,
    /// How far the database's clock is ahead of this system's.
    database_ahead_ms: Arc<AtomicI64>,
    /// How wrong this system's clock is made to be.
    wrong_by_ms: i64,
}

impl Clock {
    /// The clock of a system whose own clock is wrong, for tests.
    pub fn wrong_by(error: TimeDelta) -> Clock {
        Clock {
            wrong_by_ms: error.num_milliseconds(),
            ..Clock::default()
        }
    }

    /// What time it is.
    pub fn now(&self) -> DateTime<Utc> {
        let moved = self.ahead_ms.load(Ordering::Relaxed);
        let database = self.database_ahead_ms.load(Ordering::Relaxed);
        self.system() + TimeDelta::milliseconds(moved + database)
    }

    /// The time to tell the database, or nothing while the clock was not moved: the database then uses its own.
    pub fn for_database(&self) -> Option<DateTime<Utc>> {
        (self.ahead_ms.load(Ordering::Relaxed) != 0).then(|| self.now())
    }

    /// Moves the clock.
    pub fn advance(&self, by: TimeDelta) {
        self.ahead_ms
            .fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }

    /// Asks the database what time it is, and goes by that from now on.
    pub async fn follow(&self, database: &Database) -> Result<(), DatabaseError> {
        let before = self.system();
        let rows = database.query(DATABASE_CLOCK, &[]).await?;
        let after = self.system();
        let row = rows.first().expect("the statement always has a row");
        let ahead = ahead(before, row.try_get("now")?, after);
        let former = TimeDelta::milliseconds(
            self.database_ahead_ms
                .swap(ahead.num_milliseconds(), Ordering::Relaxed),
        );
        if ahead.abs() >= NOTABLE && (ahead - former).abs() >= NOTABLE {
            tracing::warn!(
                database_ahead_secs = ahead.num_seconds(),
                advice =
                    "let both hosts keep time with NTP; the database's clock is used meanwhile",
                "the clocks of this host and of the database differ"
            );
        }
        Ok(())
    }

    fn system(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.wrong_by_ms)
    }
}

/// How far the database is ahead, when it said so between two looks at our own clock. What lies between them cannot be
/// told from the journey, and is nothing.
fn ahead(before: DateTime<Utc>, database: DateTime<Utc>, after: DateTime<Utc>) -> TimeDelta {
    if database < before {
        database - before
    } else if database > after {
        database - after
    } else {
        TimeDelta::zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_journey_explains_is_no_difference() {
        let at = |ms| DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms);
        for (database, expected) in [(0, 0), (7, 0), (10, 0), (-5, -5), (1010, 1000)] {
            let found = ahead(at(0), at(database), at(10));
            assert_eq!(found, TimeDelta::milliseconds(expected), "{database}");
        }
    }

    #[test]
    fn the_database_is_told_the_time_only_when_it_was_moved() {
        let clock = Clock::wrong_by(TimeDelta::hours(1));
        assert_eq!(clock.for_database(), None);
        clock.advance(TimeDelta::days(1));
        assert!(
            clock
                .for_database()
                .is_some_and(|now| now > Utc::now() + TimeDelta::hours(24))
        );
    }
}
