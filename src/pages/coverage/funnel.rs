//! From business events to accepted deliveries: what stayed behind at which step, and why. Pure.

use std::collections::BTreeMap;

use crate::outcome::{Reason, State};
use crate::pages::html::Tone;

/// The steps, in their order. A delivery has passed all before the one that it was left behind at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The destination is to hear of it: its routes and its platform know such events.
    Meant,
    /// Consent allows it.
    Consent,
    /// There is something that the platform can match a person or a click by.
    Identity,
    /// A request carried it.
    Sent,
    /// The platform took it, or at least did not say otherwise.
    Accepted,
}

impl Step {
    pub(super) const ALL: [Step; 5] = [
        Step::Meant,
        Step::Consent,
        Step::Identity,
        Step::Sent,
        Step::Accepted,
    ];

    pub(super) fn words(self) -> &'static str {
        match self {
            Step::Meant => "Meant for it",
            Step::Consent => "Consent allows it",
            Step::Identity => "Identifiable",
            Step::Sent => "Sent",
            Step::Accepted => "Accepted",
        }
    }
}

/// Why some stayed behind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Drop {
    pub(super) why: String,
    pub(super) kind: Kind,
}

/// What it means that they stayed behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// As it should be.
    Meant,
    /// May still go on.
    Open,
    /// Should have gone on.
    Lost,
}

impl Kind {
    pub(super) fn tone(self) -> Tone {
        match self {
            Kind::Meant => Tone::Calm,
            Kind::Open => Tone::Warn,
            Kind::Lost => Tone::Bad,
        }
    }
}

/// How many events there were, and where they stayed behind on their way to one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Funnel {
    pub(super) events: i64,
    /// Deliveries by state and reason, counted once each.
    drops: BTreeMap<(Step, Drop), i64>,
    /// Deliveries and queued events: all that is known of.
    known: i64,
    /// Handed over to a platform that has not confirmed them, or never does.
    pub(super) unconfirmed: i64,
}

impl Funnel {
    pub(super) fn add_events(&mut self, events: i64) {
        self.events += events;
    }

    /// Events that nobody has decided about yet.
    pub(super) fn add_queued(&mut self, events: i64) {
        self.known += events;
        let drop = Drop {
            why: "in the queue, not looked at yet".to_owned(),
            kind: Kind::Open,
        };
        *self.drops.entry((Step::Meant, drop)).or_default() += events;
    }

    /// Deliveries as they stand.
    pub(super) fn add_deliveries(&mut self, state: &str, reason: Option<&str>, deliveries: i64) {
        self.known += deliveries;
        if state == State::Sent.as_str() {
            self.unconfirmed += deliveries;
        }
        if let Some((step, kind)) = left_behind(state, reason) {
            let why = match reason {
                _ if state == State::Pending.as_str() => {
                    format!("waiting: {}", words(reason.unwrap_or("due")))
                }
                _ if state == State::Expired.as_str() => {
                    "too old by the time it could go".to_owned()
                }
                Some(reason) => words(reason),
                None => words(state),
            };
            *self.drops.entry((step, Drop { why, kind })).or_default() += deliveries;
        }
    }

    /// What stayed behind at this step, the most first.
    pub(super) fn drops(&self, step: Step) -> Vec<(Drop, i64)> {
        let mut found: Vec<(Drop, i64)> = self
            .drops
            .iter()
            .filter(|((at, _), _)| *at == step)
            .map(|((_, drop), count)| (drop.clone(), *count))
            .collect();
        if step == Step::Meant && self.unasked() > 0 {
            let why = "from before this destination, or while no worker served it".to_owned();
            found.push((
                Drop {
                    why,
                    kind: Kind::Meant,
                },
                self.unasked(),
            ));
        }
        found.sort_by_key(|(drop, count)| (std::cmp::Reverse(*count), drop.clone()));
        found
    }

    /// Events that have no delivery here and never will.
    fn unasked(&self) -> i64 {
        (self.events - self.known).max(0)
    }

    /// How many passed this step.
    pub(super) fn passed(&self, step: Step) -> i64 {
        let behind: i64 = self
            .drops
            .iter()
            .filter(|((at, _), _)| *at <= step)
            .map(|(_, count)| count)
            .sum();
        self.events.max(self.known) - self.unasked() - behind
    }

    /// How many may still go on.
    pub(super) fn open(&self) -> i64 {
        self.drops
            .iter()
            .filter(|((_, drop), _)| drop.kind == Kind::Open)
            .map(|(_, count)| count)
            .sum()
    }
}

/// A word of ours, as people write it.
fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// The step that a delivery did not pass, as it stands; none where it passed all.
fn left_behind(state: &str, reason: Option<&str>) -> Option<(Step, Kind)> {
    let reason = reason.and_then(Reason::parse);
    let place = match (State::parse(state)?, reason) {
        (State::Accepted | State::Sent, _) => return None,
        (State::Pending, _) => (Step::Sent, Kind::Open),
        (State::Suppressed, _) => (Step::Consent, Kind::Meant),
        (State::Skipped, Some(Reason::FilteredByRoute | Reason::UnsupportedEvent)) => {
            (Step::Meant, Kind::Meant)
        }
        (State::Skipped, Some(Reason::NoIdentifier)) => (Step::Identity, Kind::Lost),
        (State::Skipped, Some(Reason::ValidatedOnly)) => (Step::Accepted, Kind::Meant),
        (State::Skipped | State::Cancelled, _) => (Step::Sent, Kind::Meant),
        (State::Expired, _) => (Step::Sent, Kind::Lost),
        // Found wrong here, before any request.
        (
            State::Rejected,
            Some(
                Reason::InvalidEvent
                | Reason::InvalidPayload
                | Reason::PayloadChanged
                | Reason::Defect,
            ),
        ) => (Step::Sent, Kind::Lost),
        (State::Exhausted, Some(Reason::AgeUsedUp)) => (Step::Sent, Kind::Lost),
        (State::Rejected | State::Exhausted | State::Uncertain, _) => (Step::Accepted, Kind::Lost),
    };
    Some(place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_event_is_somewhere() {
        let mut funnel = Funnel::default();
        funnel.add_events(100);
        funnel.add_queued(5);
        for (state, reason, deliveries) in [
            ("accepted", None, 40),
            ("sent", None, 2),
            ("pending", Some("retry"), 3),
            ("suppressed", Some("consent_denied"), 20),
            ("skipped", Some("no_identifier"), 7),
            ("skipped", Some("filtered_by_route"), 6),
            ("expired", Some("too_old"), 1),
            ("rejected", Some("refused_by_platform"), 4),
            ("rejected", Some("invalid_payload"), 2),
        ] {
            funnel.add_deliveries(state, reason, deliveries);
        }
        // 90 are known of; ten are older than the destination.
        let passed = Step::ALL.map(|step| funnel.passed(step));
        assert_eq!(passed, [79, 59, 52, 46, 42]);
        assert_eq!((funnel.open(), funnel.unconfirmed), (8, 2));
        let meant: Vec<(String, i64)> = funnel
            .drops(Step::Meant)
            .into_iter()
            .map(|(drop, count)| (drop.why, count))
            .collect();
        assert_eq!(
            meant,
            [
                (
                    "from before this destination, or while no worker served it".to_owned(),
                    10
                ),
                ("filtered by route".to_owned(), 6),
                ("in the queue, not looked at yet".to_owned(), 5)
            ]
        );
        assert_eq!(funnel.drops(Step::Sent)[0].0.kind, Kind::Open);
    }

    proptest! {
        /// Whatever state and reason: what passed and what stayed behind is all there was.
        #[test]
        fn nothing_is_lost_between_the_steps(
            of in prop::collection::vec((0..State::ALL.len(), prop::option::of(0..Reason::ALL.len()), 1..1000_i64), 0..30),
            queued in 0..50_i64,
            unasked in 0..50_i64,
        ) {
            let mut funnel = Funnel::default();
            let mut all = queued + unasked;
            if queued > 0 { funnel.add_queued(queued); }
            for (state, reason, deliveries) in of {
                all += deliveries;
                funnel.add_deliveries(State::ALL[state].as_str(), reason.map(|reason| Reason::ALL[reason].as_str()), deliveries);
            }
            funnel.add_events(all);
            let mut before = all;
            for step in Step::ALL {
                let behind: i64 = funnel.drops(step).iter().map(|(_, count)| count).sum();
                prop_assert_eq!(before - behind, funnel.passed(step));
                before = funnel.passed(step);
            }
            prop_assert!(funnel.open() <= all);
        }
    }
}
