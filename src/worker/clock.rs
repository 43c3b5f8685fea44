//! The business clock: what ages and due times are judged by.
//!
//! In production it is the system's, and the database uses its own. A test or a demo may move it; the database is then
//! told the same time, so that both move together. Never used for leases of requests under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// A clock that may be ahead of or behind the system's. Clones move together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_ms: Arc<AtomicI64>,
}

impl Clock {
    /// What time it is.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.ahead_ms.load(Ordering::Relaxed))
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
}
