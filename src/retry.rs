//! When to try again. The one module that knows the `backoff` crate, so that it can be replaced in one place.
//!
//! Exponential with full jitter and a cap: the n-th delay is drawn evenly from nought to `initial * 2^n`, so that a
//! thousand deliveries that failed together do not come back together.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// The schedule of one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Upper end of the first delay.
    pub initial: Duration,
    /// Upper end of every delay.
    pub cap: Duration,
    /// Longest wait that a platform may ask of us.
    pub retry_after_cap: Duration,
}

impl Schedule {
    /// The delay after so many failures (0 after the first). A platform's wish is a lower bound, within the cap.
    pub fn delay(&self, failures: u32, wish: Option<Duration>) -> Duration {
        let drawn = self.jittered(failures);
        match wish {
            Some(wish) => wish
                .min(self.retry_after_cap)
                .saturating_add(drawn.min(self.initial)),
            None => drawn,
        }
    }

    /// Drawn evenly from nought to the ceiling.
    fn jittered(&self, failures: u32) -> Duration {
        let middle = self.ceiling(failures) / 2;
        let mut source = ExponentialBackoff {
            current_interval: middle,
            initial_interval: middle,
            // 1.0 spreads the draw over the whole range from nought to twice the middle.
            randomization_factor: 1.0,
            multiplier: 1.0,
            max_interval: self.cap,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        source.next_backoff().unwrap_or(self.cap)
    }

    /// Upper end of the delay after so many failures.
    pub fn ceiling(&self, failures: u32) -> Duration {
        self.initial
            .saturating_mul(1_u32 << failures.min(30))
            .min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        initial: Duration::from_secs(5),
        cap: Duration::from_secs(3600),
        retry_after_cap: Duration::from_secs(600),
    };

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let seconds: Vec<u64> = (0..12).map(|n| SCHEDULE.ceiling(n).as_secs()).collect();
        assert_eq!(
            seconds,
            [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
        );
        assert_eq!(SCHEDULE.ceiling(u32::MAX), SCHEDULE.cap);
    }

    #[test]
    fn the_delay_is_spread_over_the_whole_range() {
        let delays: Vec<Duration> = (0..2000).map(|_| SCHEDULE.delay(3, None)).collect();
        let ceiling = SCHEDULE.ceiling(3);
        assert!(
            delays
                .iter()
                .all(|&delay| delay <= ceiling + Duration::from_millis(1))
        );
        let mean = delays.iter().sum::<Duration>() / 2000;
        assert!(
            mean > ceiling * 2 / 5 && mean < ceiling * 3 / 5,
            "full jitter has its mean in the middle: {mean:?}"
        );
        assert!(delays.iter().any(|&delay| delay < ceiling / 10));
        assert!(delays.iter().any(|&delay| delay > ceiling * 9 / 10));
    }

    #[test]
    fn a_platforms_wish_is_a_lower_bound_within_the_cap() {
        let wish = Duration::from_secs(60);
        for _ in 0..100 {
            let delay = SCHEDULE.delay(0, Some(wish));
            assert!(delay >= wish && delay <= wish + SCHEDULE.initial);
            let delay = SCHEDULE.delay(0, Some(Duration::from_secs(1 << 40)));
            assert!(delay <= SCHEDULE.retry_after_cap + SCHEDULE.initial);
        }
    }
}
