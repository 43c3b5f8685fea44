//! Which conversion actions or rules of one destination are held by themselves.
//!
//! Pure: the clock is passed in. When a rule's time comes, one request goes out as a probe, and its answer lifts the hold
//! or prolongs it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::destinations::Lot;

/// How long others wait while a probe is under way.
const PROBE_TAKES: Duration = Duration::from_secs(60);

/// How long what a paused rule keeps back lies untouched. Not until the pause ends, which nobody knows: what is put back just
/// then must be found again.
const PAUSE_LOOK: Duration = Duration::from_secs(600);

/// The held rules of one destination, in this worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    held: BTreeMap<String, Held>,
    /// Whether a hold is over and its deliveries were not woken yet.
    owes_wake: bool,
}

/// What is said to a request for a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RulePass {
    /// Go.
    Free,
    /// Go with one delivery: the answer decides.
    Probe,
    /// Not before this.
    Wait(DateTime<Utc>),
}

#[derive(Clone, Copy, Debug)]
struct Held {
    until: DateTime<Utc>,
    /// Whether the hold stands in the database as well: only then does its absence there mean that it is over.
    is_on_record: bool,
    /// Whether a person paused it: no answer lifts that.
    is_paused: bool,
}

/// A held rule as it stands in the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnRecord {
    /// When one request may try again.
    pub(super) until: DateTime<Utc>,
    /// Whether a person paused it.
    pub(super) is_paused: bool,
}

/// Which rules kept deliveries back, as it was written: by destination. The settler writes later than the lane decides, and a
/// hold may be lifted in between, which nobody would tell what was written then.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptBack(Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>);

impl KeptBack {
    /// A delivery was written that waits for this rule.
    pub(super) fn wrote(&self, destination: &str, rule: &str) {
        let mut written = self.lock();
        let rules = written.entry(destination.to_owned()).or_default();
        rules.insert(rule.to_owned());
    }

    /// What was written since this was asked last.
    pub(super) fn take(&self) -> BTreeMap<String, BTreeSet<String>> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// When what it keeps back is looked at again; nothing when it may be sent.
    fn keeps_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.is_paused {
            true => Some(now + PAUSE_LOOK),
            false => (self.until > now).then_some(self.until),
        }
    }
}

impl Rules {
    /// Until when the lot's rule must be left alone; nothing when it may be sent to.
    pub(super) fn look(&self, lot: &Lot, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.held.get(lot.rule.as_ref()?)?.keeps_until(now)
    }

    /// The same, for a request that goes out now: if it is a probe, others wait for its answer.
    pub(super) fn ask(&mut self, lot: &Lot, now: DateTime<Utc>) -> RulePass {
        let ends = self.probe_ends(now);
        let rule = lot.rule.as_ref();
        match rule.and_then(|rule| self.held.get_mut(rule)) {
            None => RulePass::Free,
            Some(held) => match held.keeps_until(now) {
                Some(until) => RulePass::Wait(until),
                None => {
                    held.until = ends;
                    RulePass::Probe
                }
            },
        }
    }

    /// Until when others wait for the answer to a probe that goes out now.
    pub(super) fn probe_ends(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + PROBE_TAKES
    }

    /// Another worker has the probe until then.
    pub(super) fn wait(&mut self, rule: &str, until: DateTime<Utc>) {
        if let Some(held) = self.held.get_mut(rule) {
            held.until = until;
        }
    }

    /// Holds a rule; whether it was not held before.
    pub(super) fn hold(&mut self, rule: &str, until: DateTime<Utc>) -> bool {
        if self.held.get(rule).is_some_and(|held| held.is_paused) {
            return false;
        }
        let held = Held {
            until,
            is_on_record: false,
            is_paused: false,
        };
        self.held.insert(rule.to_owned(), held).is_none()
    }

    /// The hold of a rule was written down.
    pub(super) fn recorded(&mut self, rule: &str) {
        if let Some(held) = self.held.get_mut(rule) {
            held.is_on_record = true;
        }
    }

    /// The rules whose hold was written down.
    pub(super) fn on_record(&self) -> BTreeSet<String> {
        let recorded = self.held.iter().filter(|(_, held)| held.is_on_record);
        recorded.map(|(rule, _)| rule.clone()).collect()
    }

    /// Lifts the hold of a rule; whether there was one. A pause stays.
    pub(super) fn lift(&mut self, rule: &str) -> bool {
        let is_lifted = self.held.get(rule).is_some_and(|held| !held.is_paused);
        if is_lifted {
            self.held.remove(rule);
            self.owes_wake = true;
        }
        is_lifted
    }

    /// Deliveries were written that wait for these rules. What is not held any more keeps nobody back.
    pub(super) fn kept_back(&mut self, rules: &BTreeSet<String>) {
        self.owes_wake |= rules.iter().any(|rule| !self.held.contains_key(rule));
    }

    /// Whether deliveries are to be woken. Whoever asks does it, or says that it failed.
    pub(super) fn take_wake(&mut self) -> bool {
        std::mem::take(&mut self.owes_wake)
    }

    /// They could not be woken: the next one who asks is to.
    pub(super) fn wake_failed(&mut self) {
        self.owes_wake = true;
    }

    /// Whether the platform refuses every one of these. What a person paused says nothing of the platform.
    pub(super) fn are_held<'a>(&self, mut rules: impl Iterator<Item = &'a String>) -> bool {
        let is_refused = |rule| self.held.get(rule).is_some_and(|held| !held.is_paused);
        !self.held.is_empty() && rules.all(is_refused)
    }

    /// Takes over what stands in the database. A probe under way stays one. What begins while the record is read is not in
    /// it yet, so only what was on record before (`before`) can have been lifted.
    pub(super) fn follow(&mut self, before: &BTreeSet<String>, holds: BTreeMap<String, OnRecord>) {
        let known = self.held.len();
        self.held.retain(|rule, held| {
            holds.contains_key(rule) || !held.is_on_record || !before.contains(rule)
        });
        // Somebody lifted it; until now this worker has put its deliveries back.
        self.owes_wake |= self.held.len() < known;
        for (rule, recorded) in holds {
            // What a pause said of the next probe does not outlast it.
            let own = self.held.get(&rule).filter(|held| !held.is_paused);
            let held = Held {
                until: own.map_or(recorded.until, |own| own.until.max(recorded.until)),
                is_on_record: true,
                is_paused: recorded.is_paused,
            };
            self.held.insert(rule, held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_428_000 + seconds, 0).expect("a time")
    }

    fn recorded(seconds: i64, is_paused: bool) -> OnRecord {
        OnRecord {
            until: at(seconds),
            is_paused,
        }
    }

    fn lot(rule: &str) -> Lot {
        Lot {
            call: "",
            rule: Some(rule.to_owned()),
        }
    }

    #[test]
    fn one_rule_waits_and_the_others_go() {
        let mut rules = Rules::default();
        assert!(rules.hold("1", at(300)));
        assert!(!rules.hold("1", at(300)), "it was held already");
        assert_eq!(rules.ask(&lot("1"), at(0)), RulePass::Wait(at(300)));
        assert_eq!(rules.ask(&lot("2"), at(0)), RulePass::Free);
        assert_eq!(rules.look(&Lot::default(), at(0)), None);
        assert!(!rules.are_held(["1".to_owned(), "2".to_owned()].iter()));
        assert!(rules.are_held(["1".to_owned()].iter()));
    }

    #[test]
    fn one_probe_at_a_time_whatever_the_database_says() {
        let mut rules = Rules::default();
        rules.hold("1", at(300));
        assert_eq!(rules.ask(&lot("1"), at(300)), RulePass::Probe);
        assert_eq!(rules.ask(&lot("1"), at(301)), RulePass::Wait(at(360)));
        let held = BTreeMap::from([("1".to_owned(), recorded(300, false))]);
        rules.follow(&BTreeSet::new(), held);
        assert!(!rules.take_wake());
        assert_eq!(rules.look(&lot("1"), at(301)), Some(at(360)));
        assert!(rules.lift("1"));
        assert!(rules.take_wake());
        assert_eq!(rules.ask(&lot("1"), at(302)), RulePass::Free);
        rules.hold("2", at(300));
        rules.recorded("2");
        rules.follow(&rules.on_record(), BTreeMap::new());
        assert!(rules.take_wake(), "lifted elsewhere");
        assert_eq!(rules.look(&lot("2"), at(0)), None);
    }

    #[test]
    fn no_answer_lifts_a_pause() {
        let mut rules = Rules::default();
        let far = at(200_000_000_000);
        rules.follow(
            &BTreeSet::new(),
            BTreeMap::from([("1".to_owned(), recorded(200_000_000_000, true))]),
        );
        assert!(!rules.lift("1"), "an answer from before");
        assert!(!rules.hold("1", at(300)), "a refusal from before");
        assert!(!rules.are_held(["1".to_owned()].iter()));
        for now in [at(0), at(301), far + PAUSE_LOOK] {
            assert_eq!(rules.ask(&lot("1"), now), RulePass::Wait(now + PAUSE_LOOK));
        }
        let refused = BTreeMap::from([("1".to_owned(), recorded(300, false))]);
        rules.follow(&rules.on_record(), refused);
        assert_eq!(
            rules.look(&lot("1"), at(0)),
            Some(at(300)),
            "resumed, and refused since"
        );
        rules.follow(&rules.on_record(), BTreeMap::new());
        assert!(rules.take_wake());
        assert_eq!(rules.ask(&lot("1"), at(0)), RulePass::Free);
    }

    #[test]
    fn a_hold_that_begins_while_the_record_is_read_stays() {
        let mut rules = Rules::default();
        let before = rules.on_record();
        rules.hold("1", at(300));
        rules.recorded("1");
        rules.follow(&before, BTreeMap::new());
        assert!(!rules.take_wake());
        let before = rules.on_record();
        rules.hold("1", at(600));
        rules.follow(&before, BTreeMap::new());
        assert!(!rules.take_wake(), "held anew");
        assert_eq!(rules.look(&lot("1"), at(0)), Some(at(600)));
    }

    #[test]
    fn what_is_written_after_its_hold_was_lifted_is_woken() {
        let mut rules = Rules::default();
        rules.hold("1", at(300));
        let written = BTreeSet::from(["1".to_owned()]);
        rules.kept_back(&written);
        assert!(!rules.take_wake(), "it is held");
        rules.lift("1");
        assert!(rules.take_wake());
        assert!(!rules.take_wake(), "once");
        rules.kept_back(&written);
        assert!(rules.take_wake(), "decided before, written after");
        rules.wake_failed();
        assert!(rules.take_wake());
    }
}
