//! Whether a destination may be sent to now: circuit, throttling and hold in one small state machine.
//!
//! Pure: the clock is passed in. A gate that is shut burns no attempts; when its time comes, one request goes out as a
//! probe, and its answer opens the gate or shuts it for longer.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::outcome::Reason;
use crate::retry::Schedule;

/// Requests in a row that must fail before the circuit opens. Fewer would stop at one bad moment of a platform.
const FAILURES_BEFORE_SHUT: u32 = 3;

/// Between probes of a destination that is down: doubling from a second to a minute.
const PROBES: Schedule = Schedule {
    initial: Duration::from_secs(1),
    cap: Duration::from_secs(60),
    retry_after_cap: Duration::from_secs(3600),
};

/// The state of one destination in this worker.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    failures: u32,
    throttled: u32,
    shut: Option<Shut>,
    is_probing: bool,
    /// Whether the hold stands in the database as well.
    is_on_record: bool,
    last_success_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shut {
    until: DateTime<Utc>,
    why: Reason,
}

/// What the gate says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Go.
    Open,
    /// Go, alone: the answer decides.
    Probe,
    /// Not now.
    Shut(Reason),
}

impl Gate {
    /// Asks to send. A [`Pass::Probe`] must be followed by one of the `after_…` calls, or nothing is sent any more.
    pub fn ask(&mut self, now: DateTime<Utc>) -> Pass {
        match self.shut {
            None => Pass::Open,
            Some(shut) if now >= shut.until && !self.is_probing => {
                self.is_probing = true;
                Pass::Probe
            }
            Some(shut) => Pass::Shut(shut.why),
        }
    }

    /// What [`Gate::ask`] would say, without taking the probe.
    pub fn look(&self, now: DateTime<Utc>) -> Pass {
        self.clone().ask(now)
    }

    /// The destination answered as it should. Returns whether the gate was shut until now.
    pub fn after_success(&mut self, now: DateTime<Utc>) -> bool {
        if self.is_held() && !self.is_probing {
            // A request from before the hold: it says nothing of what came since.
            self.last_success_at = Some(now);
            return false;
        }
        let was_shut = self.shut.is_some();
        *self = Gate {
            last_success_at: Some(now),
            ..Gate::default()
        };
        was_shut
    }

    /// The destination answered, and found fault with the events: it works.
    pub fn after_refusal(&mut self) -> bool {
        if self.is_held() && !self.is_probing {
            return false;
        }
        let was_shut = self.shut.is_some();
        *self = Gate {
            last_success_at: self.last_success_at,
            ..Gate::default()
        };
        was_shut
    }

    /// The destination failed or did not answer. `wish` is how long it asked to be left alone.
    pub fn after_failure(&mut self, now: DateTime<Utc>, wish: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.is_probing = false;
        if self.failures >= FAILURES_BEFORE_SHUT || wish.is_some() {
            let delay = PROBES.delay(self.failures.saturating_sub(FAILURES_BEFORE_SHUT), wish);
            // A probe that comes at once is none: jitter may draw nought.
            let delay = delay.max(PROBES.initial / 4);
            self.shut_until(now + delay, Reason::DestinationDown);
        }
    }

    /// The destination throttles. Each time in a row it is left alone for longer, and never for less than it asked for.
    pub fn after_throttling(
        &mut self,
        now: DateTime<Utc>,
        wish: Option<Duration>,
        schedule: &Schedule,
    ) {
        let grown = schedule.delay(self.throttled, None);
        let delay = schedule.delay(self.throttled, wish).max(grown);
        self.throttled = self.throttled.saturating_add(1);
        self.is_probing = false;
        self.shut_until(now + delay, Reason::RateLimited);
    }

    /// The probe was not sent after all.
    pub fn after_nothing(&mut self) {
        self.is_probing = false;
    }

    /// Held until a credential changes or a person helps; a probe goes out at `probe_at`.
    pub fn hold(&mut self, probe_at: DateTime<Utc>) {
        self.is_probing = false;
        self.is_on_record = false;
        self.shut = Some(Shut {
            until: probe_at,
            why: Reason::DestinationHeld,
        });
    }

    /// The record says that nobody is to probe before then: another worker just did, or a person paused the destination.
    pub fn put_off(&mut self, probe_at: DateTime<Utc>) {
        if let Some(shut) = self
            .shut
            .as_mut()
            .filter(|shut| shut.why == Reason::DestinationHeld)
        {
            shut.until = shut.until.max(probe_at);
        }
    }

    /// The hold was written down.
    pub fn recorded(&mut self) {
        self.is_on_record = self.is_held();
    }

    /// Whether it is held and that was written down: only then does its absence from the record mean that it is over.
    pub fn is_on_record(&self) -> bool {
        self.is_on_record && self.is_held()
    }

    /// The hold is over.
    pub fn resume(&mut self) {
        if self.is_held() {
            *self = Gate {
                last_success_at: self.last_success_at,
                ..Gate::default()
            };
        }
    }

    /// Whether it is held, as opposed to down or throttling.
    pub fn is_held(&self) -> bool {
        self.shut
            .is_some_and(|shut| shut.why == Reason::DestinationHeld)
    }

    /// When the destination last answered as it should.
    pub fn last_success_at(&self) -> Option<DateTime<Utc>> {
        self.last_success_at
    }

    /// The word for metrics.
    pub fn circuit(&self) -> &'static str {
        match (self.shut, self.is_probing) {
            (None, _) => "closed",
            (Some(_), true) => "half_open",
            (Some(_), false) => "open",
        }
    }

    fn shut_until(&mut self, until: DateTime<Utc>, why: Reason) {
        if !self.is_held() {
            self.shut = Some(Shut { until, why });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_428_000 + seconds, 0).expect("a time")
    }

    #[test]
    fn it_shuts_after_failures_in_a_row_and_lets_one_probe_through() {
        let mut gate = Gate::default();
        gate.after_failure(at(0), None);
        gate.after_failure(at(0), None);
        assert_eq!(gate.ask(at(0)), Pass::Open);
        gate.after_failure(at(0), None);
        assert_eq!(gate.ask(at(0)), Pass::Shut(Reason::DestinationDown));
        assert_eq!(gate.ask(at(61)), Pass::Probe);
        assert_eq!(
            gate.ask(at(61)),
            Pass::Shut(Reason::DestinationDown),
            "one probe at a time"
        );
        gate.after_failure(at(61), None);
        assert_eq!(gate.ask(at(61)), Pass::Shut(Reason::DestinationDown));
        assert_eq!(gate.ask(at(200)), Pass::Probe);
        assert!(gate.after_success(at(200)));
        assert_eq!(gate.ask(at(200)), Pass::Open);
        assert_eq!(gate.last_success_at(), Some(at(200)));
    }

    #[test]
    fn a_success_in_between_starts_the_count_again() {
        let mut gate = Gate::default();
        for n in 0..20 {
            gate.after_failure(at(n), None);
            gate.after_failure(at(n), None);
            assert_eq!(gate.ask(at(n)), Pass::Open);
            gate.after_success(at(n));
        }
    }

    #[test]
    fn a_hold_outlasts_failures_and_ends_by_word_or_by_probe() {
        let mut gate = Gate::default();
        gate.hold(at(300));
        gate.after_failure(at(1), Some(Duration::from_secs(1)));
        gate.after_throttling(at(2), None, &PROBES);
        assert!(
            !gate.after_success(at(3)),
            "a request from before the hold lifts nothing"
        );
        assert!(!gate.after_refusal());
        assert_eq!(gate.ask(at(10)), Pass::Shut(Reason::DestinationHeld));
        assert_eq!(gate.look(at(300)), Pass::Probe);
        assert!(!gate.is_on_record(), "nobody wrote it down yet");
        gate.recorded();
        assert!(gate.is_on_record());
        gate.resume();
        assert!(!gate.is_on_record());
        assert_eq!(gate.ask(at(10)), Pass::Open);
    }

    #[test]
    fn throttling_is_obeyed_to_the_second() {
        let mut gate = Gate::default();
        gate.after_throttling(at(0), Some(Duration::from_secs(60)), &PROBES);
        assert_eq!(gate.ask(at(59)), Pass::Shut(Reason::RateLimited));
        assert_eq!(gate.ask(at(62)), Pass::Probe);
    }

    #[test]
    fn throttling_in_spite_of_its_wish_is_left_alone_for_longer_than_that() {
        let wish = Some(Duration::from_secs(1));
        let is_open_soon = |times| {
            let mut gate = Gate::default();
            for _ in 0..times {
                gate.after_throttling(at(0), wish, &PROBES);
            }
            // The wish, and the first delay's share on top.
            gate.look(at(2)) == Pass::Probe
        };
        assert!(is_open_soon(1));
        let early = (0..100).filter(|_| is_open_soon(7)).count();
        assert!(early < 30, "one in thirty: {early} of 100");
    }

    #[test]
    fn throttling_again_and_again_is_left_alone_for_longer() {
        let longest = |times: u32| {
            let waits = (0..200).map(|_| {
                let mut gate = Gate::default();
                for _ in 0..times {
                    gate.after_throttling(at(0), None, &PROBES);
                }
                (0..100)
                    .find(|&second| gate.look(at(second)) == Pass::Probe)
                    .expect("the cap is a minute")
            });
            waits.max().expect("there are some")
        };
        assert!(longest(1) <= 1);
        assert!(longest(6) > 8);
    }
}
