//! Limits of requests that all workers keep together: so many in so many seconds, given away turn by turn by the database.
//!
//! A token bucket for each limit, kept as one time: that of the next turn. A worker asks for a few turns, about a second of
//! work; whoever asks first is first, so workers that all want more than there is take turns. One short statement, on the
//! database's clock; no lock is held meanwhile.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};

use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const OPEN: &str = include_str!("../sql/queries/open_rate_limit.sql");
const TAKE: &str = include_str!("../sql/queries/take_turns.sql");

/// How many requests a platform takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Destinations of the same group share it; by default a destination has its own.
    pub group: String,
    /// Requests in any span of `per`.
    pub requests: u32,
    /// The span.
    pub per: Duration,
}

impl RateLimit {
    /// How many requests may leave at once after a pause: a tenth of all.
    pub fn burst(&self) -> u32 {
        (self.requests / 10).max(1)
    }

    /// How long a turn that was given away may be used, and its request be on the way: long enough for a slow network, short
    /// enough that what was given earlier does not add much to what is given now.
    pub fn validity(&self) -> Duration {
        (self.per / 20).clamp(Duration::from_millis(500), Duration::from_secs(2))
    }

    /// From one turn to the next. Burst, steady flow and late use together never exceed the limit in any span: of `b` at once
    /// and one each `i` after that, at most `b - 1 + (per + validity) / i` are used in a span.
    pub fn interval(&self) -> Duration {
        let steady = self.requests.saturating_sub(self.burst()) + 1;
        // Rounded up: a nanosecond less each time would be a request more in the end.
        (self.per + self.validity()) / steady + Duration::from_nanos(1)
    }

    /// Turns to ask for at a time: about a second of work, at least one.
    pub fn portion(&self) -> u32 {
        let turns = 1.0 / self.interval().as_secs_f64();
        // Truncated, and small: a limit of a million a second would be none.
        (turns as u32).clamp(1, self.requests)
    }
}

/// The answer to who asks for turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// So many turns, the first at this time, the others one interval apart.
    Turns {
        /// How many.
        count: u32,
        /// When the first one is; by the worker's own clock, never too early.
        first_at: Instant,
        /// How long the first one is away, nought where it is due at once.
        wait: Duration,
    },
    /// None so far ahead: ask again then.
    AskAgain(Instant),
}

/// Puts a limit on record.
pub async fn open(database: &Database, limit: &RateLimit) -> Result<(), DatabaseError> {
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&limit.group, Type::TEXT)];
    database.query(OPEN, &params).await.map(drop)
}

/// Asks for up to `count` turns, of which the first must not be further ahead than `horizon`.
pub async fn take(
    database: &Database,
    limit: &RateLimit,
    count: u32,
    horizon: Duration,
    clock: Option<DateTime<Utc>>,
) -> Result<Granted, DatabaseError> {
    let turns = i32::try_from(count).unwrap_or(i32::MAX);
    let burst = i32::try_from(limit.burst()).unwrap_or(i32::MAX);
    let params: [(&(dyn ToSql + Sync), Type); 6] = [
        (&limit.group, Type::TEXT),
        (&turns, Type::INT4),
        (&limit.interval().as_secs_f64(), Type::FLOAT8),
        (&burst, Type::INT4),
        (&horizon.as_secs_f64(), Type::FLOAT8),
        (&clock, Type::TIMESTAMPTZ),
    ];
    let rows = database.query(TAKE, &params).await?;
    let now = Instant::now();
    let Some(row) = rows.first() else {
        // Somebody removed it; it is put on record again.
        open(database, limit).await?;
        return Ok(Granted::AskAgain(now));
    };
    let wait: f64 = row.try_get("wait")?;
    let is_given: bool = row.try_get("given")?;
    let wait_until = Duration::try_from_secs_f64(wait.max(0.0)).unwrap_or(limit.per);
    if !is_given {
        return Ok(Granted::AskAgain(now + wait_until.saturating_sub(horizon)));
    }
    // Credit: turns whose time has passed already.
    let past = Duration::try_from_secs_f64((-wait).max(0.0)).unwrap_or_default();
    Ok(Granted::Turns {
        count,
        first_at: now.checked_sub(past).unwrap_or(now) + wait_until,
        wait: wait_until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(requests: u32, secs: u64) -> RateLimit {
        RateLimit {
            group: "g".into(),
            requests,
            per: Duration::from_secs(secs),
        }
    }

    #[test]
    fn a_documented_limit_is_used_for_most_of_it() {
        let limit = limit(300, 60);
        assert_eq!((limit.burst(), limit.portion()), (30, 4));
        let steady = limit.per.as_secs_f64() / limit.interval().as_secs_f64();
        assert!(steady > 260.0 && steady < 270.0, "{steady}");
    }

    proptest! {
        /// As many as there are at once after a pause, then a steady flow, all used as late as may be or at once: no span
        /// holds more than the limit says.
        #[test]
        fn no_span_holds_more_than_the_limit(requests in 1..2000_u32, secs in 1..120_u64) {
            let limit = limit(requests, secs);
            prop_assert!(limit.portion() >= 1 && limit.burst() <= limit.requests);
            // The span begins with the burst used late; everything after it is used at once.
            let span = (limit.per + limit.validity()).as_nanos();
            let within = u128::from(limit.burst() - 1) + span.div_ceil(limit.interval().as_nanos());
            prop_assert!(within <= u128::from(requests), "{within}");
        }
    }
}
