//! Which conversion actions or rules of one destination are held by themselves.
//!
//! Pure: the clock is passed in. When a rule's time comes, one request goes out as a probe, and its answer lifts the hold
//! or prolongs it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::destinations::Lot;

/// How long others wait while a probe is under way.
const PROBE_TAKES: Duration = Duration::from_secs(60);

/// The held rules of one destination, in this worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    held: BTreeMap<String, DateTime<Utc>>,
}

impl Rules {
    /// Until when the lot's rule must be left alone; nothing when it may be sent to.
    pub(super) fn look(&self, lot: &Lot, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = self.held.get(lot.rule.as_ref()?)?;
        (*until > now).then_some(*until)
    }

    /// The same, for a request that goes out now: if it is a probe, others wait for its answer.
    pub(super) fn ask(&mut self, lot: &Lot, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = self.held.get_mut(lot.rule.as_ref()?)?;
        if *until > now {
            return Some(*until);
        }
        *until = now + PROBE_TAKES;
        None
    }

    /// Holds a rule; whether it was not held before.
    pub(super) fn hold(&mut self, rule: &str, until: DateTime<Utc>) -> bool {
        self.held.insert(rule.to_owned(), until).is_none()
    }

    /// Lifts the hold of a rule; whether there was one.
    pub(super) fn lift(&mut self, rule: &str) -> bool {
        self.held.remove(rule).is_some()
    }

    /// Whether every one of these is held.
    pub(super) fn are_held<'a>(&self, mut rules: impl Iterator<Item = &'a String>) -> bool {
        !self.held.is_empty() && rules.all(|rule| self.held.contains_key(rule))
    }

    /// Takes over what stands in the database. A probe under way stays one. Says whether some hold was lifted there.
    pub(super) fn follow(&mut self, holds: BTreeMap<String, DateTime<Utc>>) -> bool {
        let before = std::mem::take(&mut self.held);
        let is_lifted = before.keys().any(|rule| !holds.contains_key(rule));
        for (rule, until) in holds {
            let until = before.get(&rule).map_or(until, |own| until.max(*own));
            self.held.insert(rule, until);
        }
        is_lifted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_428_000 + seconds, 0).expect("a time")
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
        assert_eq!(rules.ask(&lot("1"), at(0)), Some(at(300)));
        assert_eq!(rules.ask(&lot("2"), at(0)), None);
        assert_eq!(rules.look(&Lot::default(), at(0)), None);
        assert!(!rules.are_held(["1".to_owned(), "2".to_owned()].iter()));
        assert!(rules.are_held(["1".to_owned()].iter()));
    }

    #[test]
    fn one_probe_at_a_time_whatever_the_database_says() {
        let mut rules = Rules::default();
        rules.hold("1", at(300));
        assert_eq!(rules.ask(&lot("1"), at(300)), None, "the probe");
        assert_eq!(rules.ask(&lot("1"), at(301)), Some(at(360)));
        assert!(!rules.follow(BTreeMap::from([("1".to_owned(), at(300))])));
        assert_eq!(rules.look(&lot("1"), at(301)), Some(at(360)));
        assert!(rules.lift("1"));
        assert_eq!(rules.ask(&lot("1"), at(302)), None);
        rules.hold("2", at(300));
        assert!(rules.follow(BTreeMap::new()));
        assert_eq!(rules.ask(&lot("2"), at(0)), None, "lifted elsewhere");
    }
}
