//! From business events to what a platform confirmed: how many got how far, and why the others did not. Pure; for pages,
//! reports and whoever counts.

use std::collections::BTreeMap;

use crate::outcome::{Reason, State};

/// How far a delivery can get, in this order. Each step holds what the one before held, less what was lost on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The destination is to hear of such events at all: routes and mappings let them pass.
    Meant,
    /// Consent allows it.
    Consented,
    /// There is something the platform could match a person by.
    Identified,
    /// The platform took it.
    Sent,
    /// The platform confirmed it.
    Accepted,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Step; 5] = [
        Step::Meant,
        Step::Consented,
        Step::Identified,
        Step::Sent,
        Step::Accepted,
    ];

    /// The text in JSON and on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Meant => "meant",
            Step::Consented => "consented",
            Step::Identified => "identified",
            Step::Sent => "sent",
            Step::Accepted => "accepted",
        }
    }

    /// The step that a delivery in this state has not reached; `None` where it has reached all. What waits has not been sent.
    pub fn missed_by(state: State, reason: Option<Reason>) -> Option<Step> {
        match (state, reason) {
            (State::Accepted, _) => None,
            (State::Sent, _) => Some(Step::Accepted),
            (State::Suppressed, _) => Some(Step::Consented),
            (State::Skipped, Some(Reason::UnsupportedEvent | Reason::FilteredByRoute)) => {
                Some(Step::Meant)
            }
            (State::Skipped, Some(Reason::NoIdentifier)) => Some(Step::Identified),
            _ => Some(Step::Sent),
        }
    }
}

/// The deliveries of one kind, by how far they got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Funnel {
    total: i64,
    missed: BTreeMap<Step, BTreeMap<Loss, i64>>,
}

/// Why something did not get further: a state and its reason, as in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loss {
    /// The state it is in.
    pub state: State,
    /// Why; `None` for what no worker has looked at yet, and where there is nothing to say.
    pub reason: Option<Reason>,
}

impl Loss {
    /// `suppressed/consent_denied`, or the state alone.
    pub fn text(self) -> String {
        match self.reason {
            Some(reason) => format!("{}/{}", self.state.as_str(), reason.as_str()),
            None => self.state.as_str().to_owned(),
        }
    }
}

impl Funnel {
    /// Counts `count` deliveries in this state. Events that nobody has decided about yet are pending without a reason.
    pub fn add(&mut self, state: State, reason: Option<Reason>, count: i64) {
        self.total += count;
        if let Some(step) = Step::missed_by(state, reason) {
            *self
                .missed
                .entry(step)
                .or_default()
                .entry(Loss { state, reason })
                .or_default() += count;
        }
    }

    /// Adds another one.
    pub fn extend(&mut self, other: &Funnel) {
        self.total += other.total;
        for (step, drops) in &other.missed {
            let own = self.missed.entry(*step).or_default();
            for (loss, count) in drops {
                *own.entry(*loss).or_default() += count;
            }
        }
    }

    /// Business events that came by.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// How many got so far.
    pub fn reached(&self, step: Step) -> i64 {
        let lost: i64 = self
            .missed
            .range(..=step)
            .flat_map(|(_, drops)| drops.values())
            .sum();
        self.total - lost
    }

    /// Why the others did not get from the step before to this one, the most frequent first.
    pub fn losses(&self, step: Step) -> Vec<(Loss, i64)> {
        let mut losses: Vec<(Loss, i64)> = self
            .missed
            .get(&step)
            .into_iter()
            .flatten()
            .map(|(loss, count)| (*loss, *count))
            .collect();
        losses.sort_by_key(|(loss, count)| (-count, *loss));
        losses
    }

    /// What may still get further: it waits, or nobody has looked at it.
    pub fn open(&self) -> i64 {
        self.in_states(&[State::Pending])
    }

    /// What should have got further and will not by itself.
    pub fn lost(&self) -> i64 {
        self.in_states(&[
            State::Expired,
            State::Rejected,
            State::Uncertain,
            State::Exhausted,
        ])
    }

    /// Dead letters: what a person may ask for again.
    pub fn dead(&self) -> i64 {
        self.in_states(&[State::Rejected, State::Uncertain, State::Exhausted])
    }

    fn in_states(&self, states: &[State]) -> i64 {
        self.missed
            .values()
            .flatten()
            .filter(|(loss, _)| states.contains(&loss.state))
            .map(|(_, count)| count)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_loss_is_counted_where_it_happened() {
        let mut funnel = Funnel::default();
        for (state, reason, count) in [
            (State::Accepted, None, 50),
            (State::Accepted, Some(Reason::Duplicate), 1),
            (State::Sent, None, 20),
            (State::Suppressed, Some(Reason::ConsentDenied), 9),
            (State::Suppressed, Some(Reason::OptOut), 10),
            (State::Skipped, Some(Reason::FilteredByRoute), 5),
            (State::Skipped, Some(Reason::NoIdentifier), 4),
            (State::Skipped, Some(Reason::OriginalNotSent), 3),
            (State::Rejected, Some(Reason::RefusedByPlatform), 2),
            (State::Pending, None, 7),
            (State::Pending, Some(Reason::Retry), 1),
        ] {
            funnel.add(state, reason, count);
        }
        let reached = Step::ALL.map(|step| funnel.reached(step));
        assert_eq!((funnel.total(), reached), (112, [107, 88, 84, 71, 51]));
        let (open, lost, dead) = (funnel.open(), funnel.lost(), funnel.dead());
        assert_eq!((open, lost, dead), (8, 2, 2));
        let consent = funnel.losses(Step::Consented);
        let consent: Vec<_> = consent.iter().map(|(d, n)| (d.text(), *n)).collect();
        assert_eq!(
            consent,
            [
                ("suppressed/opt_out".to_owned(), 10),
                ("suppressed/consent_denied".to_owned(), 9)
            ]
        );
    }

    proptest! {
        /// Nothing is lost on the way without a reason, and no step holds more than the one before.
        #[test]
        fn every_delivery_is_somewhere(rows in prop::collection::vec((0..State::ALL.len(), prop::option::of(0..Reason::ALL.len()), 0_i64..1000), 0..60)) {
            let (mut all, mut halves) = (Funnel::default(), [Funnel::default(), Funnel::default()]);
            for (n, (state, reason, count)) in rows.iter().enumerate() {
                let (state, reason) = (State::ALL[*state], reason.map(|reason| Reason::ALL[reason]));
                all.add(state, reason, *count);
                halves[n % 2].add(state, reason, *count);
            }
            let mut before = all.total();
            for step in Step::ALL {
                let dropped: i64 = all.losses(step).iter().map(|(_, count)| count).sum();
                prop_assert_eq!(before - dropped, all.reached(step));
                before = all.reached(step);
            }
            let [mut one, other] = halves;
            one.extend(&other);
            prop_assert_eq!(one, all);
        }
    }
}
