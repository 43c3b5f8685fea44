//! This worker's turns of a limit of requests: what it was given, and who of its own waits for it.
//!
//! Nobody spins: the database says when a turn is, and whoever needs one waits until then, in the order of asking. What is
//! not used in time is void.

use std::sync::Mutex as Lock;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Shared;
use crate::limit::{self, Granted, RateLimit};

/// Until the database is asked again after it could not be.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// The right to make one request.
#[derive(Debug)]
#[must_use = "a turn that is not used is lost"]
pub(super) struct Turn(());

impl Turn {
    /// Where there is no limit.
    pub(super) fn free() -> Turn {
        Turn(())
    }
}

/// No turn in good time: not before this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotBefore(pub(super) Instant);

/// One limit, shared by the destinations of its group.
#[derive(Debug)]
pub(super) struct Turns {
    limit: RateLimit,
    /// How many destinations of this worker share it.
    lanes: u32,
    hand: Mutex<Hand>,
    /// Smoothed time from one of our turns to the next, others' turns included, in microseconds.
    pace: AtomicU64,
    /// While the limit has nothing to give.
    asks_again_at: Lock<Option<Instant>>,
}

#[derive(Debug)]
struct Hand {
    left: u32,
    next_at: Instant,
    given_at: Instant,
}

impl Turns {
    /// A limit that so many destinations of this worker share.
    pub(super) fn new(limit: RateLimit, lanes: u32) -> Turns {
        let now = Instant::now();
        Turns {
            pace: AtomicU64::new(micros(limit.interval())),
            limit,
            lanes: lanes.max(1),
            hand: Mutex::new(Hand {
                left: 0,
                next_at: now,
                given_at: now,
            }),
            asks_again_at: Lock::new(None),
        }
    }

    /// The limit.
    pub(super) fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Waits for a turn. `wanted` is how many are needed in all, so that they can be asked for together. Nothing is lost but
    /// at most a turn when the future is dropped.
    pub(super) async fn take(&self, wanted: usize, shared: &Shared) -> Result<Turn, NotBefore> {
        let mut hand = self.hand.lock().await;
        loop {
            if let Some(at) = self.next(&mut hand) {
                tokio::time::sleep_until(at).await;
                return Ok(Turn(()));
            }
            let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).max(1);
            let count = wanted.min(self.limit.portion());
            self.ask(&mut hand, count, shared).await?;
        }
    }

    /// The time of the next turn in hand that is still good.
    fn next(&self, hand: &mut Hand) -> Option<Instant> {
        let now = Instant::now();
        while hand.left > 0 {
            let at = hand.next_at;
            hand.left -= 1;
            hand.next_at += self.limit.interval();
            if now < at.max(hand.given_at) + self.limit.validity() {
                return Some(at);
            }
        }
        None
    }

    async fn ask(&self, hand: &mut Hand, count: u32, shared: &Shared) -> Result<(), NotBefore> {
        let given_at = Instant::now();
        if let Some(at) = self.asks_again().filter(|at| *at > given_at) {
            return Err(NotBefore(at));
        }
        let horizon = shared.worker.lease / 3;
        let clock = shared.clock.for_database();
        let granted = limit::take(&shared.database, &self.limit, count, horizon, clock).await;
        let asks_again_at = match granted {
            Ok(Granted::Turns {
                count,
                first_at,
                wait,
            }) => {
                *hand = Hand {
                    left: count,
                    next_at: first_at,
                    given_at,
                };
                let turn = self.limit.interval() + wait / count;
                let before = self.pace.load(Ordering::Relaxed);
                self.pace
                    .store((before * 3 + micros(turn)) / 4, Ordering::Relaxed);
                None
            }
            Ok(Granted::AskAgain(at)) => Some(at),
            Err(error) => {
                tracing::warn!(limit = self.limit.group, %error, "no turn could be asked for; nothing is sent meanwhile");
                Some(given_at + ERROR_PAUSE)
            }
        };
        *self
            .asks_again_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = asks_again_at;
        asks_again_at.map_or(Ok(()), |at| Err(NotBefore(at)))
    }

    fn asks_again(&self) -> Option<Instant> {
        *self
            .asks_again_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests one destination can make within this time. At least one while there is anything to be had, or nobody
    /// would find out.
    pub(super) fn within(&self, time: Duration) -> usize {
        let now = Instant::now();
        if self.asks_again().is_some_and(|at| at > now) {
            return 0;
        }
        let pace = self.pace.load(Ordering::Relaxed).max(1) * u64::from(self.lanes);
        usize::try_from(micros(time) / pace)
            .unwrap_or(usize::MAX)
            .max(1)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
