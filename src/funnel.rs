//! From business events to what a platform took: how many got how far, and why the others did not. Pure; for pages, reports
//! and whoever counts.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::outcome::{Reason, State};

/// The steps, in their order. A delivery has passed all before the one that it was left behind at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The destination is to hear of it: its routes and its platform know such events.
    Meant,
    /// Consent allows it.
    Consented,
    /// There is something that the platform can match a person or a click by.
    Identified,
    /// A request carried it.
    Sent,
    /// The platform took it, or at least did not say otherwise.
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

    /// The text in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Meant => "meant",
            Step::Consented => "consented",
            Step::Identified => "identified",
            Step::Sent => "sent",
            Step::Accepted => "accepted",
        }
    }
}

/// Why something did not get further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// Nobody has decided about it yet.
    Queued,
    /// The event is from before the destination, or was finished while no worker served it.
    Unasked,
    /// A delivery as it stands.
    Delivery(State, Option<Reason>),
}

/// What it means that something did not get further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// As it should be.
    Meant,
    /// May still go on.
    Open,
    /// Should have gone on, and will not by itself.
    Lost,
}

impl Loss {
    /// `suppressed/consent_denied`, a state alone, `queued` or `unasked`.
    pub fn text(self) -> String {
        match self {
            Loss::Queued => "queued".to_owned(),
            Loss::Unasked => "unasked".to_owned(),
            Loss::Delivery(state, Some(reason)) => {
                format!("{}/{}", state.as_str(), reason.as_str())
            }
            Loss::Delivery(state, None) => state.as_str().to_owned(),
        }
    }

    /// What it means.
    pub fn kind(self) -> Kind {
        match self {
            Loss::Queued => Kind::Open,
            Loss::Unasked => Kind::Meant,
            Loss::Delivery(state, reason) => {
                left_behind(state, reason).map_or(Kind::Meant, |(_, kind)| kind)
            }
        }
    }
}

/// Events on their way to a destination, by how far they got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Funnel {
    /// Business events, as far as they were told.
    events: i64,
    /// Deliveries and queued events: all that is known of.
    known: i64,
    unconfirmed: i64,
    losses: BTreeMap<(Step, Loss), i64>,
}

impl Funnel {
    /// So many business events occurred. Those that have no delivery here and never will are [`Loss::Unasked`].
    pub fn add_events(&mut self, events: i64) {
        self.events += events;
    }

    /// Events that nobody has decided about yet.
    pub fn add_queued(&mut self, events: i64) {
        self.known += events;
        *self.losses.entry((Step::Meant, Loss::Queued)).or_default() += events;
    }

    /// Deliveries as they stand.
    pub fn add(&mut self, state: State, reason: Option<Reason>, deliveries: i64) {
        self.known += deliveries;
        if state == State::Sent {
            self.unconfirmed += deliveries;
        }
        if let Some((step, _)) = left_behind(state, reason) {
            let loss = Loss::Delivery(state, reason);
            *self.losses.entry((step, loss)).or_default() += deliveries;
        }
    }

    /// Adds other events to these.
    pub fn extend(&mut self, other: &Funnel) {
        let unasked = self.unasked() + other.unasked();
        self.known += other.known;
        self.events = self.known + unasked;
        self.unconfirmed += other.unconfirmed;
        for (place, count) in &other.losses {
            *self.losses.entry(*place).or_default() += count;
        }
    }

    /// Whether the destination has anything to do with it.
    pub fn is_used(&self) -> bool {
        self.known > 0
    }

    /// Business events.
    pub fn total(&self) -> i64 {
        self.events.max(self.known)
    }

    /// How many passed this step.
    pub fn reached(&self, step: Step) -> i64 {
        let behind = self.losses.iter().filter(|((at, _), _)| *at <= step);
        self.known - behind.map(|(_, count)| count).sum::<i64>()
    }

    /// Handed over to a platform that has not confirmed them, or never does.
    pub fn unconfirmed(&self) -> i64 {
        self.unconfirmed
    }

    /// What stayed behind at this step, the most first.
    pub fn losses(&self, step: Step) -> Vec<(Loss, i64)> {
        let here = self.losses.iter().filter(|((at, _), _)| *at == step);
        let mut found: Vec<(Loss, i64)> = here.map(|((_, loss), count)| (*loss, *count)).collect();
        if step == Step::Meant && self.unasked() > 0 {
            found.push((Loss::Unasked, self.unasked()));
        }
        found.sort_by_key(|(loss, count)| (Reverse(*count), *loss));
        found
    }

    /// What may still get further.
    pub fn open(&self) -> i64 {
        self.of(Kind::Open)
    }

    /// What should have got further and will not by itself.
    pub fn lost(&self) -> i64 {
        self.of(Kind::Lost)
    }

    fn of(&self, kind: Kind) -> i64 {
        let such = self
            .losses
            .iter()
            .filter(|((_, loss), _)| loss.kind() == kind);
        such.map(|(_, count)| count).sum()
    }

    /// Events that have no delivery here and never will.
    fn unasked(&self) -> i64 {
        (self.events - self.known).max(0)
    }
}

/// The step that a delivery did not pass, as it stands, and what that means; none where it passed all.
fn left_behind(state: State, reason: Option<Reason>) -> Option<(Step, Kind)> {
    let place = match (state, reason) {
        (State::Accepted | State::Sent, _) => return None,
        (State::Pending, _) => (Step::Sent, Kind::Open),
        (State::Suppressed, _) => (Step::Consented, Kind::Meant),
        (State::Skipped, Some(Reason::FilteredByRoute | Reason::UnsupportedEvent)) => {
            (Step::Meant, Kind::Meant)
        }
        (State::Skipped, Some(Reason::NoIdentifier)) => (Step::Identified, Kind::Lost),
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
        )
        | (State::Exhausted, Some(Reason::AgeUsedUp)) => (Step::Sent, Kind::Lost),
        (State::Rejected | State::Exhausted | State::Uncertain, _) => (Step::Accepted, Kind::Lost),
    };
    Some(place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_loss_is_counted_where_it_happened() {
        let mut funnel = Funnel::default();
        funnel.add_events(100);
        funnel.add_queued(5);
        for (state, reason, deliveries) in [
            (State::Accepted, None, 40),
            (State::Sent, None, 2),
            (State::Pending, Some(Reason::Retry), 3),
            (State::Suppressed, Some(Reason::ConsentDenied), 20),
            (State::Skipped, Some(Reason::NoIdentifier), 7),
            (State::Skipped, Some(Reason::FilteredByRoute), 6),
            (State::Expired, Some(Reason::TooOld), 1),
            (State::Rejected, Some(Reason::RefusedByPlatform), 4),
            (State::Rejected, Some(Reason::InvalidPayload), 2),
        ] {
            funnel.add(state, reason, deliveries);
        }
        // 90 are known of; ten are older than the destination.
        let reached = Step::ALL.map(|step| funnel.reached(step));
        assert_eq!((funnel.total(), reached), (100, [79, 59, 52, 46, 42]));
        let (open, lost, unconfirmed) = (funnel.open(), funnel.lost(), funnel.unconfirmed());
        assert_eq!((open, lost, unconfirmed), (8, 14, 2));
        let meant: Vec<(String, i64)> = funnel
            .losses(Step::Meant)
            .into_iter()
            .map(|(loss, count)| (loss.text(), count))
            .collect();
        assert_eq!(
            meant,
            [
                ("unasked".to_owned(), 10),
                ("skipped/filtered_by_route".to_owned(), 6),
                ("queued".to_owned(), 5)
            ]
        );
        assert_eq!(funnel.losses(Step::Sent)[0].0.kind(), Kind::Open);
    }

    proptest! {
        /// Whatever state and reason: what passed and what stayed behind is all there was, also of two together.
        #[test]
        fn nothing_is_lost_between_the_steps(
            of in prop::collection::vec((0..State::ALL.len(), prop::option::of(0..Reason::ALL.len()), 1..1000_i64), 0..30),
            queued in 0..50_i64,
            unasked in 0..50_i64,
        ) {
            let (mut funnel, mut halves) = (Funnel::default(), [Funnel::default(), Funnel::default()]);
            let mut all = queued + unasked;
            for one in [&mut funnel, &mut halves[0]] {
                one.add_queued(queued);
            }
            let mut half = [queued + unasked, 0];
            for (n, (state, reason, deliveries)) in of.into_iter().enumerate() {
                let (state, reason) = (State::ALL[state], reason.map(|reason| Reason::ALL[reason]));
                all += deliveries;
                half[n % 2] += deliveries;
                funnel.add(state, reason, deliveries);
                halves[n % 2].add(state, reason, deliveries);
            }
            funnel.add_events(all);
            halves[0].add_events(half[0]);
            halves[1].add_events(half[1]);
            let mut before = funnel.total();
            prop_assert_eq!(before, all);
            for step in Step::ALL {
                let behind: i64 = funnel.losses(step).iter().map(|(_, count)| count).sum();
                prop_assert_eq!(before - behind, funnel.reached(step));
                before = funnel.reached(step);
            }
            prop_assert!(funnel.open() + funnel.lost() <= all);
            let [mut one, other] = halves;
            one.extend(&other);
            prop_assert_eq!((one.total(), Step::ALL.map(|step| one.losses(step))), (funnel.total(), Step::ALL.map(|step| funnel.losses(step))));
        }
    }
}
