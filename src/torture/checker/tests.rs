//! A checker that finds nothing is worth nothing: each kind of violation is planted into a clean run, and found.

use super::*;
use crate::torture::history::{Ending, Operation};
use crate::torture::shop::Told;

const SEED: u64 = 11;

/// A run in which one story of each kind went well.
fn clean() -> Evidence {
    let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let mut evidence = Evidence {
        seed: SEED,
        start,
        ..Evidence::default()
    };
    for number in 0..200 {
        let story = shop::story(SEED, number, start);
        if matches!(
            story.kind,
            Kind::Withdrawn
                | Kind::Erased
                | Kind::FullRefund
                | Kind::PartRefund
                | Kind::TakenBackAtOnce
        ) {
            continue;
        }
        let writes = story.steps().into_iter().flatten();
        for write in writes.filter(|write| !write.rolls_back && !write.is_false) {
            for told in &write.events {
                happened(&mut evidence, &story, told);
            }
        }
    }
    assert!(evidence.facts.len() > 100);
    evidence
}

fn happened(evidence: &mut Evidence, story: &Story, told: &Told) {
    let fact = Fact {
        name: told.name.to_owned(),
        business_id: told.business_id.clone(),
        cents: told.cents,
        at: told.at,
    };
    evidence.facts.insert(told.event_id.clone(), fact);
    if story.kind == Kind::Poison {
        evidence.noted.poison.insert(told.event_id.clone());
    }
    for outlet in shop::outlets() {
        let place = (told.event_id.clone(), outlet.destination.to_owned());
        let is_counted = story.fate(&outlet, told.name) == Fate::Counted;
        let is_refused = story.kind == Kind::Poison && outlet.platform == Platform::Meta;
        let settled_at = evidence.start + TimeDelta::seconds(2);
        let (state, outcome) = match (is_counted, is_refused) {
            (true, true) => ("rejected", "rejected"),
            (true, false) => ("accepted", "accepted"),
            (false, _) => ("suppressed", ""),
        };
        let tries = Try {
            outcome: outcome.to_owned(),
            hash: "h".to_owned(),
        };
        evidence.deliveries.insert(
            place.clone(),
            Delivery {
                state: state.to_owned(),
                settled_at: Some(settled_at),
                tries: vec![tries],
                ..Delivery::default()
            },
        );
        if is_counted && !is_refused {
            let request = Request {
                at: evidence.start + TimeDelta::seconds(1),
                verdict: Verdict::Stored,
                cents: told.cents,
            };
            evidence.requests.insert(place.clone(), vec![request]);
            let counted = Counted {
                times: 1,
                cents: told.cents,
            };
            evidence.counted.insert(place, counted);
        }
    }
}

/// An order that every platform counted, and the place of it at a destination.
fn counted_order(evidence: &Evidence, destination: &str) -> Place {
    let place = |id: &String| (id.clone(), destination.to_owned());
    let orders = evidence
        .facts
        .iter()
        .filter(|(_, fact)| fact.name == "order_paid");
    let mut places = orders.map(|(id, _)| place(id));
    places
        .find(|place| evidence.counted.contains_key(place))
        .expect("many were counted")
}

/// Plants something into a clean run; the invariants that are found broken.
fn planted(destination: &str, plant: impl FnOnce(&mut Evidence, Place)) -> Vec<u8> {
    let mut evidence = clean();
    let place = counted_order(&evidence, destination);
    plant(&mut evidence, place);
    let found = check(&evidence);
    found.violations.iter().map(|one| one.invariant).collect()
}

#[test]
fn a_clean_run_breaks_nothing() {
    let found = check(&clean());
    assert_eq!(found.violations, []);
    assert!(found.counted > 250);
}

#[test]
fn what_is_lost_is_found() {
    let lost = planted("ga4", |evidence, place| {
        evidence.counted.remove(&place);
        evidence.requests.remove(&place);
    });
    assert_eq!(lost, [1], "said to be accepted, and never arrived");
    let missing = planted("ga4", |evidence, place| {
        evidence.deliveries.remove(&place);
    });
    assert_eq!(missing, [1]);
    let pending = planted("ga4", |evidence, place| {
        let delivery = evidence.deliveries.get_mut(&place).expect("there");
        delivery.state = "pending".to_owned();
    });
    assert!(pending.contains(&1), "{pending:?}");
    let unexplained = planted("linkedin", |evidence, place| {
        evidence.counted.remove(&place);
        let delivery = evidence.deliveries.get_mut(&place).expect("there");
        delivery.state = "uncertain".to_owned();
    });
    assert_eq!(unexplained, [1], "uncertain without a doubt");
}

#[test]
fn what_is_doubled_is_found_and_a_risk_that_was_taken_is_told_apart() {
    let twice = |evidence: &mut Evidence, place: &Place| {
        evidence.counted.get_mut(place).expect("there").times = 2;
    };
    for destination in [
        "meta",
        "meta-careful",
        "ga4",
        "google",
        "google-ads",
        "linkedin",
    ] {
        assert_eq!(
            planted(destination, |evidence, place| twice(evidence, &place)),
            [4],
            "{destination}"
        );
    }
    let doubt = |evidence: &mut Evidence, place: &Place| {
        let delivery = evidence.deliveries.get_mut(place).expect("there");
        delivery.tries[0].outcome = "ambiguous".to_owned();
    };
    for (destination, expected) in [
        ("meta", &[][..]),
        ("meta-careful", &[4]),
        ("linkedin", &[4]),
    ] {
        let broken = planted(destination, |evidence, place| {
            twice(evidence, &place);
            doubt(evidence, &place);
        });
        assert_eq!(broken, expected, "{destination}");
    }
}

#[test]
fn what_should_have_stayed_at_home_is_found() {
    let leaked = planted("meta", |evidence, _| {
        let kept = |place: &Place| place.1 == "meta" && !evidence.counted.contains_key(place);
        let place = evidence
            .deliveries
            .iter()
            .find(|(place, delivery)| kept(place) && delivery.state == "suppressed")
            .map(|(place, _)| place.clone())
            .expect("many have refused");
        let counted = Counted {
            times: 1,
            cents: None,
        };
        evidence.counted.insert(place, counted);
    });
    assert!(leaked.contains(&5), "{leaked:?}");
    let rolled_back = planted("meta", |evidence, _| {
        evidence.noted.operations.push(Operation {
            writer: 0,
            what: "pay",
            id: "t9999".to_owned(),
            began_at: evidence.start,
            ended_at: evidence.start,
            ending: Ending::Failed,
        });
        let place = ("t9999".to_owned(), "meta".to_owned());
        evidence.requests.insert(place, Vec::new());
    });
    assert_eq!(rolled_back, [1]);
}

#[test]
fn what_is_sent_after_its_record_or_after_a_withdrawal_is_found() {
    let at = |evidence: &Evidence, secs| Request {
        at: evidence.start + TimeDelta::seconds(secs),
        verdict: Verdict::Deduplicated,
        cents: None,
    };
    let again = |secs, woke: Option<i64>| {
        planted("ga4", |evidence, place| {
            let request = at(evidence, secs);
            evidence.requests.entry(place).or_default().push(request);
            let woke = woke.map(|secs| evidence.start + TimeDelta::seconds(secs));
            evidence.noted.continued.extend(woke);
        })
    };
    assert_eq!(again(30, None), [3]);
    let nothing: [u8; 0] = [];
    assert_eq!(again(4, None), nothing, "it was on its way");
    assert_eq!(
        again(30, Some(29)),
        nothing,
        "a worker that stood still had begun it"
    );
    let withdrawn = planted("google", |evidence, place| {
        let request = at(evidence, 60);
        evidence.withdrawn.insert(place.0.clone(), evidence.start);
        evidence.requests.entry(place).or_default().push(request);
    });
    assert_eq!(withdrawn, [5]);
}

#[test]
fn a_wrong_amount_another_payload_and_a_refusal_without_reason_are_found() {
    for destination in ["meta", "ga4", "google", "google-ads"] {
        let wrong = planted(destination, |evidence, place| {
            evidence.counted.get_mut(&place).expect("there").cents = Some(1);
        });
        assert_eq!(wrong, [2], "{destination}");
    }
    let other = planted("meta", |evidence, place| {
        let delivery = evidence.deliveries.get_mut(&place).expect("there");
        delivery.tries.push(Try {
            outcome: "accepted".to_owned(),
            hash: "another".to_owned(),
        });
    });
    assert_eq!(other, [2]);
    for (state, invariant) in [("rejected", 8), ("exhausted", 9)] {
        let broken = planted("ga4", |evidence, place| {
            evidence.deliveries.get_mut(&place).expect("there").state = state.to_owned();
        });
        assert!(broken.contains(&invariant), "{state}: {broken:?}");
    }
}

#[test]
fn everything_else_that_was_noted_is_told() {
    let noted = planted("meta", |evidence, _| {
        evidence.untrue_totals.push("meta accepted".to_owned());
        evidence.leaks.push("a line".to_owned());
        evidence.noted.lingering.push("active for 20 s".to_owned());
        evidence.noted.deaths.push("a worker ended".to_owned());
        evidence.strangers.insert("meta 1".to_owned());
        evidence.stuck = Some("3 are not final".to_owned());
    });
    assert_eq!(noted, [2, 1, 6, 7, 10, 1]);
}
