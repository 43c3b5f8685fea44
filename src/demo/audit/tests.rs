//! One order of ten dollars and its refund, seen from both sides: which differences are noticed, and which are none.

use chrono::{DateTime, Utc};

use super::*;
use crate::demo::shop::Scenario;

const ORDER: &str = "order-1";
const REFUND: &str = "order-1_refund_1";

/// What the business did, and what a destination made of it.
struct Story<'a> {
    destination: &'a str,
    refunded_cents: u64,
    /// Event id, how often it was counted, cents.
    counted: &'a [(&'a str, u64, u64)],
    /// Event id and state.
    states: &'a [(&'a str, &'a str)],
}

fn happened_at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("a time")
}

fn expected(name: &'static str, cents: u64) -> Expected {
    let fate = |platform| match (name, platform) {
        ("order_refunded", Platform::Ga4) | ("order_paid", _) => Fate::Counted,
        _ => Fate::NotOffered,
    };
    Expected {
        name,
        business_id: ORDER.to_owned(),
        occurred_at: happened_at(),
        scenario: Scenario::FullRefund,
        amount: Some(Amount { cents }),
        fates: Platform::ALL
            .map(|platform| (platform, fate(platform)))
            .into(),
    }
}

impl Story<'_> {
    fn audit(&self) -> Audit {
        let mut truth = Truth::default();
        truth.committed_first(ORDER, expected("order_paid", 1_000));
        if self.refunded_cents > 0 {
            truth.committed_first(REFUND, expected("order_refunded", self.refunded_cents));
        }
        let outlet = Outlet::named(self.destination);
        let seen = self.counted.iter().map(|(id, times, cents)| {
            let key = Key::of(outlet, id, &truth.committed()[*id]);
            let value = Some(Amount { cents: *cents });
            let times = *times;
            (key.expect("a name"), Seen { times, value })
        });
        let order = Order {
            paid: Amount { cents: 1_000 },
            refunded: Amount {
                cents: self.refunded_cents,
            },
        };
        let states = self.states.iter().map(|(id, state)| {
            let key = (self.destination.to_owned(), (*id).to_owned());
            (key, (*state).to_owned())
        });
        let books = Books {
            outlet,
            ledgers: &Ledgers::of(seen),
            truth: &truth,
            orders: &BTreeMap::from([(ORDER.to_owned(), order)]),
            states: &states.collect(),
        };
        let mut audit = Audit::default();
        for (id, expected) in truth.committed() {
            books.compare(id, expected, &mut audit);
        }
        audit
    }
}

/// How many were lost, counted twice, leaked, of a wrong value, and dead.
fn found(audit: &Audit) -> [usize; 5] {
    [
        audit.lost.len(),
        audit.double_counted.len(),
        audit.leaked.len(),
        audit.wrong_value.len(),
        audit.dead_uncounted.len(),
    ]
}

#[test]
fn a_purchase_is_counted_once_at_its_value() {
    for (counted, states, wanted) in [
        (&[(ORDER, 1, 1_000)][..], &[][..], [0, 0, 0, 0, 0]),
        (&[], &[], [1, 0, 0, 0, 0]),
        (&[], &[(ORDER, "rejected")], [0, 0, 0, 0, 1]),
        // Without a refund nobody may have taken it back.
        (&[], &[(ORDER, "cancelled")], [1, 0, 0, 0, 0]),
        (&[(ORDER, 2, 1_000)], &[], [0, 1, 0, 0, 0]),
        (&[(ORDER, 1, 999)], &[], [0, 0, 0, 1, 0]),
    ] {
        for destination in ["meta", "ga4", "google", "google-ads", "linkedin"] {
            let story = Story {
                destination,
                refunded_cents: 0,
                counted,
                states,
            };
            assert_eq!(found(&story.audit()), wanted, "{destination} {counted:?}");
        }
    }
}

#[test]
fn a_full_refund_is_counted_with_its_purchase_or_neither_is() {
    let both = [(ORDER, 1, 1_000), (REFUND, 1, 1_000)];
    let cancelled = [(ORDER, "cancelled"), (REFUND, "skipped")];
    for (destination, counted, states, wanted) in [
        ("ga4", &both[..], &[][..], [0, 0, 0, 0, 0]),
        ("ga4", &[], &cancelled, [0, 0, 0, 0, 0]),
        ("ga4", &both[..1], &[], [1, 0, 0, 1, 0]),
        ("ga4", &both[1..], &cancelled, [0, 0, 1, 0, 0]),
        ("google", &[(ORDER, 1, 0)], &[], [0, 0, 0, 0, 0]),
        ("google", &both[..1], &[], [0, 0, 0, 1, 0]),
        ("google-ads", &[], &cancelled, [0, 0, 0, 0, 0]),
        ("google-ads", &[], &[], [1, 0, 0, 0, 0]),
        ("linkedin", &both[..1], &[], [0, 0, 0, 0, 0]),
    ] {
        let story = Story {
            destination,
            refunded_cents: 1_000,
            counted,
            states,
        };
        assert_eq!(found(&story.audit()), wanted, "{destination} {counted:?}");
    }
}

#[test]
fn a_part_refund_leaves_the_rest() {
    for (destination, counted, wanted) in [
        (
            "ga4",
            &[(ORDER, 1, 1_000), (REFUND, 1, 300)][..],
            [0, 0, 0, 0, 0],
        ),
        ("google", &[(ORDER, 1, 700)], [0, 0, 0, 0, 0]),
        ("google", &[(ORDER, 1, 1_000)], [0, 0, 0, 1, 0]),
        ("google-ads", &[(ORDER, 1, 0)], [0, 0, 0, 1, 0]),
        ("meta", &[(ORDER, 1, 1_000)], [0, 0, 0, 0, 0]),
    ] {
        let story = Story {
            destination,
            refunded_cents: 300,
            counted,
            states: &[],
        };
        assert_eq!(found(&story.audit()), wanted, "{destination} {counted:?}");
    }
}
