//! The stories of the application, and what every platform may make of them: a function of the seed and a number. Pure.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::demo::outlets::{OUTLETS, Outlet};
use crate::demo::people::Person;
use crate::demo::random::Random;
use crate::sandbox::Platform;

/// A second dataset at Meta, whose operator would rather miss a conversion than count it twice.
pub(super) const CAREFUL_DATASET: &str = "100200300400501";

/// How long before the run the first story happened; each next one happened a millisecond later, so that a platform that is
/// told no id can be told apart by the time.
const BEFORE: TimeDelta = TimeDelta::minutes(10);

/// What happens in a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An order is paid.
    Paid,
    /// The payment webhook comes again.
    PaidAgain,
    /// It comes twice at once.
    PaidTwiceAtOnce,
    /// It comes again with another amount, which does not count.
    PaidOtherwise,
    /// The order is rolled back.
    RolledBack,
    /// Rolled back once, then paid.
    PaidAtSecondTry,
    /// Paid, and a part given back.
    PartRefund,
    /// Paid, and all given back in two parts.
    FullRefund,
    /// Paid and given back in one transaction.
    TakenBackAtOnce,
    /// A lead.
    Lead,
    /// A lead that is qualified.
    Qualified,
    /// Paid by somebody of whom nothing is known.
    Guest,
    /// Paid ten days ago.
    Old,
    /// Paid, and then consent is withdrawn.
    Withdrawn,
    /// Paid, and then the person is erased.
    Erased,
    /// Paid, and Meta refuses every request with it.
    Poison,
}

/// Kinds and how many in a hundred stories are of each.
const SHARES: [(Kind, u64); 16] = [
    (Kind::Paid, 26),
    (Kind::PaidAgain, 8),
    (Kind::PaidTwiceAtOnce, 6),
    (Kind::PaidOtherwise, 4),
    (Kind::RolledBack, 7),
    (Kind::PaidAtSecondTry, 4),
    (Kind::PartRefund, 7),
    (Kind::FullRefund, 6),
    (Kind::TakenBackAtOnce, 3),
    (Kind::Lead, 9),
    (Kind::Qualified, 5),
    (Kind::Guest, 3),
    (Kind::Old, 3),
    (Kind::Withdrawn, 4),
    (Kind::Erased, 3),
    (Kind::Poison, 2),
];

/// One story.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) person: Person,
    pub(super) at: DateTime<Utc>,
    /// The amount that is paid.
    pub(super) cents: i64,
}

/// One event of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) event_id: String,
    pub(super) name: &'static str,
    pub(super) business_id: String,
    pub(super) cents: Option<i64>,
    pub(super) at: DateTime<Utc>,
    pub(super) depends_on: Option<String>,
}

/// What one transaction of the application writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Write {
    pub(super) what: &'static str,
    pub(super) events: Vec<Told>,
    /// Whose consent is withdrawn; with `true` the person is erased.
    pub(super) withdraws: Option<(String, bool)>,
    pub(super) rolls_back: bool,
    /// Told again with another content: not what happened.
    pub(super) is_false: bool,
}

/// What ought to become of an event at an outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Counted once, unless something that the record shows came between.
    Counted,
    /// Never counted.
    Kept,
}

/// The story of this number.
pub(super) fn story(seed: u64, number: u64, start: DateTime<Utc>) -> Story {
    let mut random = Random::of(seed, number + 1);
    let mut drawn = random.below(SHARES.iter().map(|(_, share)| share).sum());
    let mut kind = Kind::Paid;
    for (one, share) in SHARES {
        if drawn < share {
            kind = one;
            break;
        }
        drawn -= share;
    }
    let person = Person::new(seed, number);
    let person = match kind {
        Kind::Paid | Kind::PaidAgain | Kind::Lead | Kind::Qualified => person,
        Kind::Guest => person.as_guest(),
        _ => person.as_regular(),
    };
    let before = match kind {
        Kind::Old => TimeDelta::days(10),
        _ => BEFORE,
    };
    let place = TimeDelta::milliseconds(i64::try_from(number).unwrap_or(0) * 4);
    Story {
        number,
        kind,
        person,
        // Finer times would be rounded on the way through the database.
        at: start.trunc_subsecs(3) - before + place,
        cents: 1000 + i64::try_from(random.below(20_000)).expect("a small number"),
    }
}

/// The number of the story that an event id belongs to.
pub(super) fn number_of(event_id: &str) -> Option<u64> {
    let rest = event_id.strip_prefix('t')?;
    rest.split('-').next()?.parse().ok()
}

impl Story {
    /// The id of its order or lead, which is also that of the first event.
    pub(super) fn id(&self) -> String {
        format!("t{}", self.number)
    }

    /// What the application does, one step after another; the writes of one step at the same time.
    pub(super) fn steps(&self) -> Vec<Vec<Write>> {
        let paid = || self.write("pay", vec![self.order()]);
        let first = self.cents / 3;
        let refund = |n, cents| self.write("refund", vec![self.refund(n, cents)]);
        match self.kind {
            Kind::Paid | Kind::Guest | Kind::Old | Kind::Poison => vec![vec![paid()]],
            Kind::PaidAgain => vec![vec![paid()], vec![paid()]],
            Kind::PaidTwiceAtOnce => vec![vec![paid(), paid()]],
            Kind::PaidOtherwise => {
                let mut other = paid();
                other.events[0].cents = Some(self.cents + 100);
                other.is_false = true;
                vec![vec![paid()], vec![other]]
            }
            Kind::RolledBack => vec![vec![self.undone()]],
            Kind::PaidAtSecondTry => vec![vec![self.undone()], vec![paid()]],
            Kind::PartRefund => vec![vec![paid()], vec![refund(1, first)]],
            Kind::FullRefund => vec![
                vec![paid()],
                vec![refund(1, first)],
                vec![refund(2, self.cents - first)],
            ],
            Kind::TakenBackAtOnce => {
                let both = vec![self.order(), self.refund(1, self.cents)];
                vec![vec![self.write("pay and refund", both)]]
            }
            Kind::Lead => vec![vec![self.write("lead", vec![self.lead()])]],
            Kind::Qualified => vec![
                vec![self.write("lead", vec![self.lead()])],
                vec![self.write("qualify", vec![self.qualified()])],
            ],
            Kind::Withdrawn | Kind::Erased => {
                let withdraws = Some((self.id(), self.kind == Kind::Erased));
                let what = "withdraw";
                vec![
                    vec![paid()],
                    vec![Write {
                        what,
                        withdraws,
                        ..Write::default()
                    }],
                ]
            }
        }
    }

    fn write(&self, what: &'static str, events: Vec<Told>) -> Write {
        Write {
            what,
            events,
            ..Write::default()
        }
    }

    fn undone(&self) -> Write {
        Write {
            rolls_back: true,
            ..self.write("pay and roll back", vec![self.order()])
        }
    }

    fn order(&self) -> Told {
        self.told("order_paid", self.id(), 0, Some(self.cents), None)
    }

    fn refund(&self, n: i64, cents: i64) -> Told {
        let id = format!("{}-r{n}", self.id());
        self.told("order_refunded", id, n, Some(cents), Some(self.id()))
    }

    fn lead(&self) -> Told {
        self.told("lead_created", self.id(), 0, None, None)
    }

    fn qualified(&self) -> Told {
        self.told("lead_qualified", format!("{}-q", self.id()), 1, None, None)
    }

    fn told(
        &self,
        name: &'static str,
        event_id: String,
        place: i64,
        cents: Option<i64>,
        depends_on: Option<String>,
    ) -> Told {
        Told {
            event_id,
            name,
            business_id: self.id(),
            cents,
            at: self.at + TimeDelta::milliseconds(place),
            depends_on,
        }
    }

    /// What ought to become of its event of this name at an outlet, by the platforms' documented rules and the default policy.
    pub(super) fn fate(&self, outlet: &Outlet, name: &str) -> Fate {
        let age = match self.kind {
            Kind::Old => TimeDelta::days(10),
            _ => BEFORE,
        };
        let age_max = match outlet.platform {
            Platform::Meta => TimeDelta::days(7),
            Platform::Ga4 => TimeDelta::hours(72),
            _ => TimeDelta::days(90),
        };
        let platform = outlet.platform;
        let is_kept = outlet.name_of(name).is_none()
            || !self.person.choice.allows(platform)
            || !self.person.is_known_to(platform)
            || age > age_max
            || self.kind == Kind::TakenBackAtOnce;
        if is_kept { Fate::Kept } else { Fate::Counted }
    }
}

/// Where the business tells what happened: the demo's outlets without the two that retract in concert, and a second dataset.
pub(super) fn outlets() -> Vec<Outlet> {
    let meta = Outlet::named("meta");
    let careful = Outlet {
        destination: "meta-careful",
        account: CAREFUL_DATASET,
        ..*meta
    };
    let others = OUTLETS.iter().copied();
    let mut outlets: Vec<Outlet> = others
        .filter(|outlet| outlet.destination != "google-orders")
        .collect();
    outlets.push(careful);
    outlets
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_tells_the_same_stories_and_no_two_events_share_id_or_time() {
        let start = Utc::now();
        let (mut ids, mut times, mut kinds) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for number in 0..600 {
            let one = story(3, number, start);
            assert_eq!(one.kind, story(3, number, start).kind);
            kinds.insert(format!("{:?}", one.kind));
            let events: BTreeSet<(String, DateTime<Utc>)> = one
                .steps()
                .into_iter()
                .flatten()
                .flat_map(|write| write.events)
                .map(|told| (told.event_id, told.at))
                .collect();
            for (id, at) in events {
                assert_eq!(number_of(&id), Some(number));
                assert!(times.insert(at), "{id}");
                assert!(ids.insert(id));
            }
        }
        assert_eq!(kinds.len(), SHARES.len(), "{kinds:?}");
    }
}
