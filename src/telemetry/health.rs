//! What the probes answer, and why. Pure state: `http` serves it.
//!
//! Live never depends on PostgreSQL, collectors or platforms: restarting the worker repairs none of them, and a liveness
//! check that looks at them restarts every replica at once (`kubernetes.io/docs`, configure liveness, readiness and
//! startup probes).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A claim loop that has not turned for so long is stuck. Longer than any statement timeout and any idle wait, or a
/// quiet worker would be restarted.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Shared by the worker, which reports, and the probes, which read. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<State>);

struct State {
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    born: Instant,
    /// Milliseconds after `born` plus one; 0 until the claim loop first turns.
    last_tick: AtomicU64,
    started: AtomicBool,
    database: AtomicBool,
    /// What keeps which part of the worker from its work.
    troubles: Mutex<BTreeMap<Part, &'static str>>,
    schema: AtomicBool,
    draining: AtomicBool,
}

/// A part of the worker that needs the database. One may fail while another works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Taking work.
    Claims,
    /// Writing results.
    Results,
}

/// One of the questions an orchestrator asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Can the process make progress? If not, restart it.
    Live,
    /// May it take work? Of use to roll-outs; the worker takes no traffic.
    Ready,
    /// Has it connected and checked the schema once?
    Startup,
}

impl Probe {
    /// Its path on the telemetry listener.
    pub fn path(self) -> &'static str {
        match self {
            Self::Live => "/livez",
            Self::Ready => "/readyz",
            Self::Startup => "/startupz",
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::with_clock(Instant::now)
    }
}

impl Health {
    /// With a clock of the caller's, for tests.
    pub fn with_clock(clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(State {
            born: clock(),
            clock: Box::new(clock),
            last_tick: AtomicU64::new(0),
            started: AtomicBool::new(false),
            database: AtomicBool::new(false),
            troubles: Mutex::default(),
            schema: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }))
    }

    /// The claim loop turned, with work or without, database up or down. The first call arms the watchdog.
    pub fn tick_claim_loop(&self) {
        self.0
            .last_tick
            .store(self.elapsed_ms() + 1, Ordering::Relaxed);
    }

    /// Whether the last statement reached the database.
    pub fn database_reachable(&self, reachable: bool) {
        self.0.database.store(reachable, Ordering::Relaxed);
    }

    /// What keeps this part from its work, in a few words; nothing when it works. A part that works has reached the database.
    pub fn trouble(&self, part: Part, says: Option<&'static str>) {
        let mut troubles = self.troubles();
        match says {
            Some(says) => drop(troubles.insert(part, says)),
            None => {
                troubles.remove(&part);
                self.database_reachable(true);
            }
        }
    }

    fn troubles(&self) -> std::sync::MutexGuard<'_, BTreeMap<Part, &'static str>> {
        self.0
            .troubles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this program works with the schema version found. Completes start-up when it does.
    pub fn schema_supported(&self, supported: bool) {
        self.0.schema.store(supported, Ordering::Relaxed);
        self.0.started.fetch_or(supported, Ordering::Relaxed);
    }

    /// Shutdown has begun: never ready again.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// `Ok`, or one sentence that says why not.
    pub fn check(&self, probe: Probe) -> Result<(), &'static str> {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let state = &self.0;
        match probe {
            Probe::Live if self.is_stuck() => Err("the claim loop has not turned for 60 seconds"),
            Probe::Live => Ok(()),
            Probe::Startup if !is(&state.started) => {
                Err("the database has not been reached and checked yet")
            }
            Probe::Startup => Ok(()),
            Probe::Ready if is(&state.draining) => Err("shutting down"),
            Probe::Ready if !is(&state.database) => Err("the database is not reachable"),
            Probe::Ready if !is(&state.schema) => {
                Err("the schema version is not supported; run `conversion-outbox migrate status`")
            }
            Probe::Ready => match self.troubles().values().next() {
                Some(says) => Err(says),
                None => Ok(()),
            },
        }
    }

    fn is_stuck(&self) -> bool {
        let last = self.0.last_tick.load(Ordering::Relaxed);
        let limit = u64::try_from(STUCK_AFTER.as_millis()).expect("a minute in milliseconds fits");
        last > 0 && self.elapsed_ms() + 1 - last >= limit
    }

    fn elapsed_ms(&self) -> u64 {
        let elapsed = (self.0.clock)().saturating_duration_since(self.0.born);
        u64::try_from(elapsed.as_millis()).expect("no process runs for 584 million years")
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("live", &self.check(Probe::Live))
            .field("ready", &self.check(Probe::Ready))
            .field("startup", &self.check(Probe::Startup))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn with_hands() -> (Health, impl Fn(u64)) {
        let now = Arc::new(Mutex::new(Instant::now()));
        let hands = now.clone();
        let health = Health::with_clock(move || *now.lock().unwrap());
        (health, move |secs| {
            *hands.lock().unwrap() += Duration::from_secs(secs)
        })
    }

    #[test]
    fn live_is_the_claim_loop_and_nothing_else() {
        let (health, advance) = with_hands();
        advance(600);
        assert!(
            health.check(Probe::Live).is_ok(),
            "waiting for a database at start is not a hang"
        );
        health.tick_claim_loop();
        health.database_reachable(false);
        advance(59);
        assert!(health.check(Probe::Live).is_ok());
        advance(1);
        assert!(health.check(Probe::Live).is_err());
        health.tick_claim_loop();
        assert!(health.check(Probe::Live).is_ok());
    }

    #[test]
    fn ready_says_the_first_thing_that_is_missing() {
        let health = Health::default();
        assert_eq!(
            health.check(Probe::Ready),
            Err("the database is not reachable")
        );
        health.database_reachable(true);
        assert!(
            health
                .check(Probe::Ready)
                .unwrap_err()
                .starts_with("the schema")
        );
        health.schema_supported(true);
        assert_eq!(health.check(Probe::Ready), Ok(()));
        health.trouble(Part::Results, Some("the disk is full"));
        health.trouble(Part::Claims, None);
        assert_eq!(
            health.check(Probe::Ready),
            Err("the disk is full"),
            "one part that works does not hide the other"
        );
        health.trouble(Part::Results, None);
        assert_eq!(health.check(Probe::Ready), Ok(()));
        health.drain();
        assert_eq!(health.check(Probe::Ready), Err("shutting down"));
    }

    #[test]
    fn startup_stays_done() {
        let health = Health::default();
        health.schema_supported(false);
        assert!(health.check(Probe::Startup).is_err());
        health.schema_supported(true);
        health.database_reachable(false);
        health.schema_supported(false);
        assert_eq!(health.check(Probe::Startup), Ok(()));
    }
}
