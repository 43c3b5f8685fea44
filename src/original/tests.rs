//! What is left after each reversal, and when each of them changed the original.

use super::*;
use proptest::prelude::*;

fn euro(amount: &str) -> Money {
    Money {
        amount: amount.parse().expect("digits"),
        currency: crate::currency::parse("EUR").expect("a currency"),
    }
}

fn taking(number: i32, money: Option<Money>) -> Reversal {
    Reversal {
        number,
        event_no: number.into(),
        money,
        occurred_at: at(0),
        recorded_at: at(0),
        standings: BTreeMap::new(),
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_428_000 + seconds, 0).expect("a time")
}

#[test]
fn what_is_left_shrinks_to_nothing_and_stays_there() {
    let steps = [
        (Some(euro("62.5")), Left::Amount(euro("67.4"))),
        (Some(euro("7.40")), Left::Amount(euro("60"))),
        (Some(euro("100")), Left::Nothing),
        (Some(euro("1")), Left::Nothing),
    ];
    let mut so_far = Vec::new();
    for (n, (taken, left)) in (1..).zip(steps) {
        so_far.push(taking(n, taken));
        assert_eq!(left_of(Some(&euro("129.90")), so_far.iter()), left);
    }
}

#[test]
fn a_reversal_without_a_value_takes_all_even_of_what_nobody_named() {
    let all = [taking(1, None)];
    assert_eq!(left_of(Some(&euro("5")), all.iter()), Left::Nothing);
    assert_eq!(left_of(None, all.iter()), Left::Nothing);
    let some = [taking(1, Some(euro("1")))];
    assert_eq!(left_of(None, some.iter()), Left::Unknown);
}

#[test]
fn another_currency_leaves_it_unknown() {
    let dollars = Money {
        currency: crate::currency::parse("USD").expect("a currency"),
        ..euro("1")
    };
    let reversals = [taking(1, Some(dollars)), taking(2, Some(euro("1")))];
    assert_eq!(left_of(Some(&euro("5")), reversals.iter()), Left::Unknown);
}

#[test]
fn the_order_decides_what_stood_before() {
    let original = Original::read(
        &serde_json::json!({
            "event_no": 7, "event_id": "order-1", "event_name": "order_paid", "business_id": "order-1",
            "occurred_at": "2026-11-20T10:00:00.5+00:00", "recorded_at": "2026-11-20T10:00:01+00:00",
            "value": "100", "currency": "EUR", "consent": {"decision": {}}, "number": 2,
            "standings": {"meta": {"state": "accepted", "reason": null}},
            "reversals": [
                {"number": 1, "value": "30", "currency": "EUR", "standings": {}},
                {"number": 2, "value": "20", "currency": "EUR", "standings": {}},
                {"number": 3, "value": null, "currency": null, "standings": {"ga4": {"state": "sent", "reason": null}}}]
        }),
        0,
    );
    let (before, after) = original.left();
    assert_eq!(
        (before, after),
        (Left::Amount(euro("70")), Left::Amount(euro("50")))
    );
    assert_eq!(original.earlier().count(), 1);
    assert!(original.later().all(|one| one.standings["ga4"].has_left()));
    assert_eq!(original.event.expect("a good row").money, Some(euro("100")));
    assert_eq!(original.standings["meta"].state, State::Accepted);
}

#[test]
fn each_change_is_later_than_the_one_before() {
    let mut original = Original::read(
        &serde_json::json!({
            "event_no": 7, "event_id": "order-1", "event_name": "order_paid", "business_id": "order-1",
            "occurred_at": at(0), "recorded_at": at(2), "consent": {"decision": {}},
        }),
        0,
    );
    // Written within one second, and one of them by a clock that was behind.
    original.reversals = [(1, 60, 61), (2, 60, 61), (3, 5, 6), (4, 90, 90)]
        .map(|(number, occurred, recorded)| Reversal {
            occurred_at: at(occurred),
            recorded_at: at(recorded),
            ..taking(number, Some(euro("1")))
        })
        .to_vec();
    let times = [1, 2, 3, 4].map(|number| {
        (original.number, original.asked_by) = (Some(number), number.into());
        original.changed_at()
    });
    let a_moment = TimeDelta::microseconds(1);
    let expected = [
        (at(60), at(61)),
        (at(61), at(61)),
        (at(62), at(61) + a_moment),
        (at(90), at(90)),
    ];
    assert_eq!(times, expected.map(Some));
}

#[test]
fn of_two_in_one_place_the_first_written_comes_first() {
    let mut original = Original::read(
        &serde_json::json!({
            "event_no": 7, "event_id": "order-1", "event_name": "order_paid", "business_id": "order-1",
            "occurred_at": "2026-11-20T10:00:00+00:00", "recorded_at": "2026-11-20T10:00:01+00:00",
            "value": "100", "currency": "EUR", "consent": {"decision": {}}, "number": 1,
            "reversals": [
                {"number": 1, "event_no": 9, "value": "20", "currency": "EUR", "standings": {}},
                {"number": 1, "event_no": 8, "value": "30", "currency": "EUR", "standings": {}}]
        }),
        8,
    );
    let amount = |amount| Left::Amount(euro(amount));
    assert_eq!(original.left(), (amount("100"), amount("70")));
    assert_eq!(
        (original.earlier().count(), original.later().count()),
        (0, 1)
    );
    original.asked_by = 9;
    assert_eq!(original.left(), (amount("70"), amount("50")));
    assert_eq!(
        (original.earlier().count(), original.later().count()),
        (1, 0)
    );
}

proptest! {
    /// In whatever parts something is taken back, what is left is what the whole of them leaves.
    #[test]
    fn parts_are_as_good_as_their_sum(whole in 1_u64..1_000_000, parts in proptest::collection::vec(1_u64..100_000, 1..8)) {
        let cents = |n: u64| euro(&format!("{}.{:02}", n / 100, n % 100));
        let sum: u64 = parts.iter().sum();
        let apart: Vec<Reversal> = (1..).zip(&parts).map(|(n, part)| taking(n, Some(cents(*part)))).collect();
        let together = [taking(1, Some(cents(sum)))];
        prop_assert_eq!(
            left_of(Some(&cents(whole)), apart.iter()),
            left_of(Some(&cents(whole)), together.iter())
        );
    }
}
