//! How long a part of the worker waits before it asks a database again that failed: ever longer, by chance, so that the
//! replicas of a database that comes back do not all arrive at once.

use std::time::Duration;

use crate::retry::Schedule;

/// From a fifth of a second to five: a deadlock is over at once, and a failover is noticed soon after it.
const SCHEDULE: Schedule = Schedule {
    initial: Duration::from_millis(200),
    cap: Duration::from_secs(5),
    retry_after_cap: Duration::from_secs(5),
};

/// Failures in a row of one loop.
#[derive(Debug, Default)]
pub(super) struct Patience(u32);

impl Patience {
    /// One more failure, and how long to wait after it. At least half of the schedule's ceiling: nought would be a hammer.
    pub(super) fn after_failure(&mut self) -> Duration {
        let least = SCHEDULE.ceiling(self.0) / 2;
        let pause = least + SCHEDULE.delay(self.0, None) / 2;
        self.0 = self.0.saturating_add(1);
        pause
    }

    /// It works again.
    pub(super) fn after_success(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_without_a_database_costs_few_questions() {
        let mut patience = Patience::default();
        let first = patience.after_failure();
        assert!(first >= Duration::from_millis(100) && first <= Duration::from_millis(201));
        let (mut waited, mut asked) = (first, 1);
        while waited < Duration::from_secs(3600) {
            let pause = patience.after_failure();
            assert!(pause <= SCHEDULE.cap + Duration::from_millis(1));
            waited += pause;
            asked += 1;
        }
        assert!((700..1500).contains(&asked), "{asked}");
        patience.after_success();
        assert!(patience.after_failure() <= Duration::from_millis(201));
    }
}
