//! What a person is told about a replay beforehand is what a worker then does.

use chrono::TimeDelta;

use super::super::again::Facts;
use super::*;

/// How the delivery ended, whether the platform may have it, and whether some answer never came.
const ENDS: [(State, bool, bool); 5] = [
    (State::Rejected, false, false),
    (State::Rejected, true, false),
    (State::Exhausted, true, false),
    (State::Exhausted, true, true),
    (State::Uncertain, true, true),
];

#[test]
fn what_is_allowed_is_sent_and_what_is_refused_is_not() {
    let now = at(0);
    let mut seen = [0, 0];
    for platform in ["meta", "ga4", "google_data_manager"] {
        for lines in [
            "",
            "on_ambiguous = \"uncertain\"",
            "on_ambiguous = \"resend\"",
            "age_max_hours = 60",
        ] {
            let destination = destination(platform, lines);
            for (name, hours) in ["order_paid", "lead_created"].iter().flat_map(|name| {
                [1, 47, 49, 59, 61, 71, 73, 167, 169, 24 * 100].map(|hours| (*name, hours))
            }) {
                let then = now - TimeDelta::hours(hours);
                let event = event(|columns| {
                    columns.event_name = name.into();
                    columns.occurred_at = then;
                });
                for ((state, in_doubt, answer_lost), forced) in
                    ENDS.iter().flat_map(|end| [(*end, false), (*end, true)])
                {
                    let facts = Facts {
                        event_name: name,
                        occurred_at: then,
                        action_source: None,
                        adjusts: false,
                        original_occurred_at: None,
                        state,
                        is_erased: false,
                        answer_lost,
                        first_tried_at: in_doubt.then_some(then),
                        tried_at: Some(then),
                    };
                    let is_allowed = match facts.judge(Some(&destination), now) {
                        Err(refusal) => forced && refusal.can_be_forced(),
                        Ok(()) => true,
                    };
                    let prior = Prior {
                        tries: 1,
                        tried_at: Some(then),
                        first_tried_at: in_doubt.then_some(then),
                        answer_lost,
                        forced_at: forced.then_some(now),
                        ..Prior::default()
                    };
                    let none = Surroundings::default();
                    let decision = decide(&event, &none, &destination, None, &prior, now);
                    let is_sent = matches!(decision, Decision::Send(_));
                    assert_eq!(
                        is_sent, is_allowed,
                        "{platform} {lines} {facts:?} forced {forced}: {decision:?}"
                    );
                    seen[usize::from(is_sent)] += 1;
                }
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}

#[test]
fn force_begins_the_window_anew_and_leaves_what_was_never_in_doubt_alone() {
    let meta = destination("meta", "");
    let order = event(|_| {});
    let after = |prior: Prior, hours: i64| {
        let now = at(hours * 3600);
        decide(&order, &Surroundings::default(), &meta, None, &prior, now)
    };
    let is_sent = |prior, hours| matches!(after(prior, hours), Decision::Send(_));
    let over = ended(State::Uncertain, Reason::RepeatWindowOver);
    let doubted = Prior {
        tries: 1,
        first_tried_at: Some(at(0)),
        ..Prior::default()
    };
    assert_eq!(after(doubted.clone(), 50), over);
    let forced = Prior {
        forced_at: Some(at(50 * 3600)),
        ..doubted
    };
    assert!(is_sent(forced.clone(), 97));
    assert_eq!(after(forced.clone(), 99), over);
    let never_in_doubt = Prior {
        first_tried_at: None,
        ..forced
    };
    assert!(is_sent(never_in_doubt, 120));
}
