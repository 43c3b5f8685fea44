//! Whether a destination may be sent to now, and with how many requests at once: circuit, throttling and hold in one small
//! state machine.
//!
//! Pure: the clock is passed in. A gate that is shut burns no attempts; when its time comes, one request goes out as a
//! probe, and its answer opens the gate or shuts it for longer. A gate that opens lets one request through at a time, then
//! two, four, up to all: what has just recovered is not to be felled by its backlog. A pause lies above all that: whatever is
//! answered meanwhile opens or shuts the gate below it, and nothing passes until a person makes an end of the pause.

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
#[derive(Clone, Debug)]
pub struct Gate {
    /// Requests at once when all is well.
    ceiling: u32,
    in_flight: u32,
    failures: u32,
    throttles: Throttles,
    shut: Option<Shut>,
    is_probing: bool,
    /// While it recovers.
    ramp: Option<Ramp>,
    /// Whether a person paused the destination.
    is_paused: bool,
    last_success_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shut {
    until: DateTime<Utc>,
    why: Reason,
    /// Whether it stands in the database as well.
    is_on_record: bool,
}

/// How often in a row the destination throttled, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttles {
    /// How often in a row.
    pub count: u32,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
}

/// Requests at once while it recovers, and good answers of this round so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ramp {
    allowed: u32,
    good: u32,
}

const FIRST_STEP: Ramp = Ramp {
    allowed: 1,
    good: 0,
};

/// What the gate says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Go. [`Gate::leave`] must follow.
    Open,
    /// Go, alone and with one delivery: the answer decides. [`Gate::leave`] must follow.
    Probe,
    /// As many are under way as may be.
    Full,
    /// Not now.
    Shut(Reason),
}

impl Gate {
    /// An open gate for so many requests at once.
    pub fn new(ceiling: u32) -> Gate {
        Gate {
            ceiling: ceiling.max(1),
            in_flight: 0,
            failures: 0,
            throttles: Throttles::default(),
            shut: None,
            is_probing: false,
            ramp: None,
            is_paused: false,
            last_success_at: None,
        }
    }

    /// Asks to send.
    pub fn ask(&mut self, now: DateTime<Utc>) -> Pass {
        let pass = self.look(now);
        if matches!(pass, Pass::Open | Pass::Probe) {
            self.in_flight += 1;
            self.is_probing |= pass == Pass::Probe;
        }
        pass
    }

    /// What [`Gate::ask`] would say.
    pub fn look(&self, now: DateTime<Utc>) -> Pass {
        match self.shut {
            _ if self.is_paused => Pass::Shut(Reason::DestinationHeld),
            Some(shut) if now >= shut.until && !self.is_probing => Pass::Probe,
            Some(shut) => Pass::Shut(shut.why),
            None if self.in_flight >= self.allowed() => Pass::Full,
            None => Pass::Open,
        }
    }

    /// A request is over, whatever came of it. A probe that said nothing is none.
    pub fn leave(&mut self, is_probe: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.is_probing &= !is_probe;
    }

    /// How many requests may be under way at once.
    pub fn allowed(&self) -> u32 {
        match (self.shut, self.ramp) {
            (Some(_), _) => 1,
            (None, Some(ramp)) => ramp.allowed,
            (None, None) => self.ceiling,
        }
    }

    /// The destination answered as it should, to a probe or to another request. Returns whether the gate was shut until now.
    pub fn after_success(&mut self, now: DateTime<Utc>, is_probe: bool) -> bool {
        self.last_success_at = Some(now);
        self.after_answer(is_probe)
    }

    /// The destination answered, and found fault with the events: it works.
    pub fn after_refusal(&mut self, is_probe: bool) -> bool {
        self.after_answer(is_probe)
    }

    fn after_answer(&mut self, is_probe: bool) -> bool {
        if self.is_held() && !is_probe {
            // A request from before the hold: it says nothing of what came since.
            return false;
        }
        if self.shut.is_some() {
            self.open();
            return true;
        }
        self.failures = 0;
        self.throttles = Throttles::default();
        self.ramp = self.ramp.and_then(|ramp| next_step(ramp, self.ceiling));
        false
    }

    /// The destination failed or did not answer. `wish` is how long it asked to be left alone.
    pub fn after_failure(&mut self, now: DateTime<Utc>, wish: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.step_back();
        if self.failures >= FAILURES_BEFORE_SHUT || wish.is_some() {
            let delay = PROBES.delay(self.failures.saturating_sub(FAILURES_BEFORE_SHUT), wish);
            // A probe that comes at once is none: jitter may draw nought.
            let delay = delay.max(PROBES.initial / 4);
            self.shut_until(now + delay, Reason::DestinationDown);
        }
    }

    /// The destination throttles. Each time in a row it is left alone for longer, and never for less than it asked for; what
    /// was under way together counts once. Returns until when.
    pub fn after_throttling(
        &mut self,
        now: DateTime<Utc>,
        wish: Option<Duration>,
        schedule: &Schedule,
        is_probe: bool,
    ) -> DateTime<Utc> {
        let known = self
            .shut
            .filter(|shut| shut.why == Reason::RateLimited && !is_probe);
        let before = self.throttles.count - u32::from(known.is_some() && self.throttles.count > 0);
        let grown = schedule.delay(before, None);
        let delay = schedule.delay(before, wish).max(grown);
        self.throttles = Throttles {
            count: before.saturating_add(1),
            since: self.throttles.since.or(Some(now)),
        };
        self.step_back();
        let until = known.map_or(now + delay, |known| known.until.max(now + delay));
        self.shut_until(until, Reason::RateLimited);
        until
    }

    /// The quiet time is longer than it was thought to be: nothing goes out before `until`.
    pub fn wait_until(&mut self, until: DateTime<Utc>) {
        if let Some(shut) = &mut self.shut {
            shut.until = shut.until.max(until);
        }
    }

    /// Held until a credential changes or a person helps; a probe goes out at `probe_at`.
    pub fn hold(&mut self, probe_at: DateTime<Utc>) {
        self.shut = Some(Shut {
            until: probe_at,
            why: Reason::DestinationHeld,
            is_on_record: false,
        });
    }

    /// Why it is shut was written down.
    pub fn recorded(&mut self, why: Reason) {
        if let Some(shut) = self.shut.as_mut().filter(|shut| shut.why == why) {
            shut.is_on_record = true;
        }
    }

    /// Why it is shut, if that was written down: only then does its absence from the record mean that it is over.
    pub fn on_record(&self) -> Option<Reason> {
        self.shut
            .filter(|shut| shut.is_on_record)
            .map(|shut| shut.why)
    }

    /// Takes over a hold that stands in the database.
    pub fn follow_hold(&mut self, probe_at: DateTime<Utc>) {
        if !self.is_held() {
            self.hold(probe_at);
        }
        self.follow(probe_at, Reason::DestinationHeld);
    }

    /// Takes over that the destination throttles, as it stands in the database.
    pub fn follow_throttling(&mut self, until: DateTime<Utc>, throttles: Throttles) {
        if self.is_held() {
            return;
        }
        self.throttles.count = self.throttles.count.max(throttles.count);
        self.throttles.since = throttles.since.or(self.throttles.since);
        if self.shut.is_none_or(|shut| shut.why != Reason::RateLimited) {
            self.shut_until(until, Reason::RateLimited);
        }
        self.follow(until, Reason::RateLimited);
    }

    /// The record says when the next probe is due; not while one of our own is under way.
    fn follow(&mut self, until: DateTime<Utc>, why: Reason) {
        if let Some(shut) = &mut self.shut
            && shut.why == why
            && !self.is_probing
        {
            (shut.until, shut.is_on_record) = (until, true);
        }
    }

    /// The hold or the quiet time is over.
    pub fn resume(&mut self, why: Reason) {
        if self.shut.is_some_and(|shut| shut.why == why) {
            self.open();
        }
    }

    /// Why nothing goes out, but for a probe.
    pub fn why_shut(&self) -> Option<Reason> {
        self.shut.map(|shut| shut.why)
    }

    /// Whether as many may go out as ever.
    pub fn is_wide_open(&self) -> bool {
        self.shut.is_none() && self.ramp.is_none()
    }

    /// A person paused the destination, or made an end of that.
    pub fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Whether a person paused the destination.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Whether it is held, as opposed to down or throttling.
    pub fn is_held(&self) -> bool {
        self.shut
            .is_some_and(|shut| shut.why == Reason::DestinationHeld)
    }

    /// How often in a row it throttled.
    pub fn throttles(&self) -> Throttles {
        self.throttles
    }

    /// When the destination last answered as it should.
    pub fn last_success_at(&self) -> Option<DateTime<Utc>> {
        self.last_success_at
    }

    /// The word for metrics: half-open while it is probed, and while it recovers.
    pub fn circuit(&self) -> &'static str {
        match (self.shut, self.is_probing, self.ramp) {
            _ if self.is_paused => "open",
            (None, _, None) => "closed",
            (Some(_), false, _) => "open",
            _ => "half_open",
        }
    }

    fn open(&mut self) {
        self.shut = None;
        self.failures = 0;
        self.throttles = Throttles::default();
        self.ramp = Some(FIRST_STEP).filter(|_| self.ceiling > 1);
    }

    fn step_back(&mut self) {
        self.ramp = self.ramp.map(|_| FIRST_STEP);
    }

    fn shut_until(&mut self, until: DateTime<Utc>, why: Reason) {
        if !self.is_held() {
            self.shut = Some(Shut {
                until,
                why,
                is_on_record: false,
            });
        }
    }
}

/// After a good answer: twice as many at once when a whole round was good; nothing when all may go.
fn next_step(ramp: Ramp, ceiling: u32) -> Option<Ramp> {
    let good = ramp.good + 1;
    if good < ramp.allowed {
        return Some(Ramp { good, ..ramp });
    }
    let allowed = ramp.allowed.saturating_mul(2);
    (allowed < ceiling).then_some(Ramp { allowed, good: 0 })
}

#[cfg(test)]
mod tests;
