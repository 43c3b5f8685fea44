//! The sandbox's idea of now: a clock handed in, plus an offset that a test or a person moves. Not for delays:
//! those run on real time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time. Cheap to clone; clones share the offset.
#[derive(Clone)]
pub struct Clock {
    base: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Clock {
        Clock::of(Utc::now)
    }

    /// A clock that asks `base` each time.
    #[must_use]
    pub fn of(base: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Clock {
        Clock {
            base: Arc::new(base),
            offset_ms: Arc::new(AtomicI64::new(0)),
        }
    }

    /// The base clock's time plus the offset.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let now = (self.base)();
        now.checked_add_signed(self.offset()).unwrap_or(now)
    }

    /// How far this clock stands from its base.
    #[must_use]
    pub fn offset(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Sets how far this clock stands from its base, with a resolution of one millisecond.
    pub fn set_offset(&self, offset: TimeDelta) {
        self.offset_ms
            .store(offset.num_milliseconds(), Ordering::Relaxed);
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("offset_ms", &self.offset_ms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_moves_every_clone() {
        let start = DateTime::from_timestamp(1_795_428_000, 0).unwrap();
        let clock = Clock::of(move || start);
        let clone = clock.clone();
        clock.set_offset(TimeDelta::hours(49));
        assert_eq!(clone.now(), start + TimeDelta::hours(49));
        clock.set_offset(TimeDelta::hours(-1));
        assert_eq!(clone.now(), start - TimeDelta::hours(1));
    }
}
