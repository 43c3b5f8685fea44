//! Refunds and cancellations, and what they do to the events they adjust.

use serde_json::json;

use super::*;
use crate::original::Standing;

/// The order of 10 euros that everything here adjusts, as the database tells of it: its standing at the destination, and
/// its reversals (amount, standing of each); the asking event is the n-th of them.
fn original(
    standing: Option<&str>,
    reversals: &[(Option<&str>, Option<&str>)],
    number: i32,
) -> Original {
    let standings = |standing: Option<&str>| match standing {
        Some(standing) => {
            let (state, reason) = standing.split_once('/').unwrap_or((standing, ""));
            json!({ "mine": { "state": state, "reason": reason } })
        }
        None => json!({}),
    };
    let list: Vec<Value> = (1..)
        .zip(reversals)
        .map(|(n, (amount, standing))| {
            json!({ "number": n, "event_no": n, "value": amount, "currency": amount.map(|_| "EUR"), "standings": standings(*standing) })
        })
        .collect();
    let value = json!({
        "event_no": 1, "event_id": "e-0", "event_name": "order_paid", "business_id": "o-0",
        "occurred_at": at(-60).to_rfc3339(), "recorded_at": at(-60).to_rfc3339(), "value": "10", "currency": "EUR",
        "consent": { "ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted", "ad_personalization": "granted" },
        "user_data": { "email": "a@example.com" }, "click_ids": { "ga_client_id": "1.2", "gclid": "Cj0-example" },
        "standings": standings(standing), "is_queued": true, "reversals": list, "number": number,
    });
    Original::read(&value, number.into())
}

/// A refund of the order of [`original`] that says nothing of person and click.
fn refund(amount: Option<&str>) -> OutboxEvent {
    event(|c| {
        c.event_id = "e-1".into();
        c.event_name = "order_refunded".into();
        c.depends_on = Some("e-0".into());
        c.value = amount.map(str::to_owned);
        c.currency = amount.map(|_| "EUR".to_owned());
        c.user_data = json!({});
        c.click_ids = json!({});
    })
}

fn judged(
    event: &OutboxEvent,
    original: Option<Original>,
    to: &DestinationConfig,
    now: i64,
) -> Decision {
    let around = Surroundings {
        original,
        ..Surroundings::default()
    };
    decide(event, &around, to, None, &Prior::default(), at(now))
}

fn google() -> DestinationConfig {
    destination("google_data_manager", "")
}

fn waits(decision: &Decision) -> bool {
    matches!(decision, Decision::Wait(_, Reason::WaitingForOriginal))
}

#[test]
fn a_refund_goes_where_the_routes_sent_its_original() {
    let mut of = original(Some("accepted"), &[(Some("4"), None)], 1);
    let order = of.event.as_mut().expect("a sound row");
    order.source = Some("shop".to_owned());
    order.properties.insert("country".to_owned(), json!("de"));
    let judged = |lines: &str, original: Option<Original>| {
        let to = destination("google_data_manager", lines);
        judged(&refund(Some("4")), original, &to, 0)
    };
    let out = ended(State::Skipped, Reason::FilteredByRoute);
    for (routes, is_in) in [
        (
            "sources = [\"shop\"], properties = { country = \"de\" }",
            true,
        ),
        ("sources = [\"crm\"]", false),
        ("properties = { country = \"fr\" }", false),
        ("events = [\"order_paid\"]", false),
    ] {
        let decision = judged(&format!("routes = {{ {routes} }}"), Some(of.clone()));
        assert_eq!(matches!(decision, Decision::Send(_)), is_in, "{routes}");
        assert_eq!(decision == out, !is_in, "{routes}");
    }
    assert!(waits(&judged("routes = { sources = [\"shop\"] }", None)));
}

#[test]
fn a_refund_follows_its_original() {
    let (ga4, refund) = (destination("ga4", ""), refund(Some("4")));
    let one = [(Some("4"), None)];
    let with = |standing| judged(&refund, Some(original(standing, &one, 1)), &ga4, 0);
    for left in ["accepted", "sent", "uncertain"] {
        assert!(matches!(with(Some(left)), Decision::Send(_)), "{left}");
    }
    for open in [None, Some("pending")] {
        assert!(waits(&with(open)), "{open:?}");
    }
    for stayed in [
        "suppressed",
        "skipped",
        "expired",
        "rejected",
        "exhausted",
        "cancelled",
    ] {
        assert_eq!(
            with(Some(stayed)),
            ended(State::Skipped, Reason::OriginalNotSent),
            "{stayed}"
        );
    }
    let done = Original {
        is_queued: false,
        ..original(None, &one, 1)
    };
    assert_eq!(
        judged(&refund, Some(done), &ga4, 0),
        ended(State::Skipped, Reason::OriginalNotSent),
        "it was done before the destination was there"
    );
    assert!(waits(&judged(&refund, None, &ga4, 600)));
    assert_eq!(
        judged(&refund, None, &ga4, 601),
        ended(State::Skipped, Reason::OriginalUnknown)
    );
}

#[test]
fn what_takes_back_a_refund_is_told_to_nobody_and_waits_for_nothing() {
    for to in [destination("ga4", ""), google()] {
        for standing in [None, Some("pending"), Some("sent")] {
            let mut of = original(standing, &[(Some("4"), None)], 1);
            if let Ok(event) = &mut of.event {
                event.event_name = "order_refunded".into();
            }
            let decision = judged(&refund(Some("4")), Some(of), &to, 0);
            assert_eq!(decision, ended(State::Skipped, Reason::UnsupportedEvent));
        }
    }
}

#[test]
fn a_change_waits_until_the_platform_counts_the_original() {
    let refund = refund(Some("4"));
    let one = [(Some("4"), None)];
    let with = |standing| {
        judged(
            &refund,
            Some(original(Some(standing), &one, 1)),
            &google(),
            0,
        )
    };
    for counted in [
        "accepted",
        "accepted/duplicate",
        "accepted/partly_unmatched",
    ] {
        assert!(matches!(with(counted), Decision::Send(_)), "{counted}");
    }
    for open in ["sent", "pending/narrowing"] {
        assert!(waits(&with(open)), "{open}");
    }
    for doubtful in [
        "accepted/unmatched",
        "sent/never_confirmed",
        "sent/partly_failed",
        "uncertain/no_answer",
    ] {
        assert_eq!(
            with(doubtful),
            ended(State::Skipped, Reason::OriginalUnconfirmed),
            "{doubtful}"
        );
    }
    assert_eq!(
        with("rejected"),
        ended(State::Skipped, Reason::OriginalNotSent)
    );
}

#[test]
fn changes_of_one_conversion_go_one_after_another() {
    let second = refund(Some("3"));
    let with = |first| {
        let reversals = [(Some("4"), first), (Some("3"), None)];
        judged(
            &second,
            Some(original(Some("accepted"), &reversals, 2)),
            &google(),
            0,
        )
    };
    for open in [None, Some("pending"), Some("sent")] {
        assert!(waits(&with(open)), "{open:?}");
    }
    for ended in ["accepted", "rejected", "skipped", "suppressed"] {
        assert!(matches!(with(Some(ended)), Decision::Send(_)), "{ended}");
    }
    // Events of their own need no order.
    let reversals = [(Some("4"), None), (Some("3"), None)];
    let around = original(Some("sent"), &reversals, 2);
    let at_ga4 = judged(&second, Some(around), &destination("ga4", ""), 0);
    assert!(matches!(at_ga4, Decision::Send(_)));
}

#[test]
fn a_change_goes_where_its_original_went() {
    let (refund, one) = (refund(Some("4")), [(Some("4"), None)]);
    let around = Original {
        rules: [("mine".to_owned(), "66".to_owned())].into(),
        ..original(Some("accepted"), &one, 1)
    };
    let Decision::Send(sendable) = judged(&refund, Some(around), &google(), 0) else {
        panic!("it is counted there")
    };
    assert_eq!(sendable.item.lot.rule.as_deref(), Some("66"), "not 77");
}

#[test]
fn an_older_total_never_follows_a_newer_one() {
    let first = refund(Some("4"));
    let reversals = [(Some("4"), None), (Some("3"), Some("accepted"))];
    assert_eq!(
        judged(
            &first,
            Some(original(Some("accepted"), &reversals, 1)),
            &google(),
            0
        ),
        ended(State::Skipped, Reason::Superseded)
    );
    // Nor does the original itself, when somebody asks for it again.
    let order = event(|_| {});
    let around = Surroundings {
        reversals: original(None, &[(Some("4"), Some("sent"))], 1).reversals,
        ..Surroundings::default()
    };
    let decide = |to: &DestinationConfig| {
        let prior = Prior {
            tries: 1,
            ..Prior::default()
        };
        decide(&order, &around, to, None, &prior, at(0))
    };
    assert_eq!(decide(&google()), ended(State::Skipped, Reason::Superseded));
    assert!(matches!(decide(&destination("ga4", "")), Decision::Send(_)));
}

#[test]
fn nothing_is_taken_back_twice() {
    let again = refund(None);
    let with = |last, to: &DestinationConfig| {
        let reversals = [
            (Some("6"), Some("accepted")),
            (Some("4"), Some(last)),
            (None, None),
        ];
        judged(
            &again,
            Some(original(Some("accepted"), &reversals, 3)),
            to,
            0,
        )
    };
    let before = ended(State::Skipped, Reason::TakenBackBefore);
    for to in [google(), destination("ga4", "")] {
        assert_eq!(with("accepted", &to), before);
    }
    // Nobody told the platform that nothing is left: this one does.
    for stayed in ["rejected", "suppressed", "exhausted"] {
        assert!(
            matches!(with(stayed, &google()), Decision::Send(_)),
            "{stayed}"
        );
        assert_eq!(with(stayed, &destination("ga4", "")), before);
    }
    assert!(
        waits(&with("sent", &google())),
        "the platform may refuse it yet"
    );
}

#[test]
fn what_was_taken_back_before_it_left_stays_at_home() {
    let order = event(|_| {});
    let with = |reversals: &[(Option<&str>, Option<&str>)], first_tried_at| {
        let around = Surroundings {
            reversals: original(None, reversals, 1).reversals,
            ..Surroundings::default()
        };
        let prior = Prior {
            tries: 1,
            first_tried_at,
            ..Prior::default()
        };
        decide(
            &order,
            &around,
            &destination("meta", ""),
            None,
            &prior,
            at(0),
        )
    };
    let cancelled = ended(State::Cancelled, Reason::TakenBack);
    assert_eq!(with(&[(None, None)], None), cancelled);
    assert_eq!(
        with(&[(Some("6"), None), (Some("4"), None)], None),
        cancelled
    );
    assert!(matches!(
        with(&[(Some("6"), None)], None),
        Decision::Send(_)
    ));
    assert!(
        matches!(with(&[(None, None)], Some(at(-1))), Decision::Send(_)),
        "it may have arrived already: the refund follows it"
    );
}

#[test]
fn both_consents_must_allow_what_the_original_lends() {
    let refund = refund(Some("4"));
    let one = [(Some("4"), None)];
    let ga4 = destination("ga4", "");
    let with = |withdrawn: Vec<Signal>| {
        let lender = Original {
            withdrawn,
            ..original(Some("sent"), &one, 1)
        };
        judged(&refund, Some(lender), &ga4, 0)
    };
    let Decision::Send(sendable) = with(Vec::new()) else {
        panic!("the original's browser id stands in")
    };
    assert!(sendable.permit.allows(Kind::ClickId) && sendable.permit.allows(Kind::Email));
    let Decision::Send(sendable) = with(vec![Signal::AdUserData]) else {
        panic!("the event itself may go")
    };
    assert!(!sendable.permit.allows(Kind::Email));
    assert_eq!(
        with(vec![Signal::AnalyticsStorage]),
        ended(State::Suppressed, Reason::Withdrawn)
    );
}

#[test]
fn a_change_is_as_old_as_what_it_changes() {
    let refund = refund(Some("4"));
    let one = [(Some("4"), None)];
    let day = 86_400;
    let with = |now| {
        judged(
            &refund,
            Some(original(Some("accepted"), &one, 1)),
            &google(),
            now,
        )
    };
    assert!(matches!(with(90 * day - 700), Decision::Send(_)));
    assert_eq!(with(90 * day - 600), ended(State::Expired, Reason::TooOld));
    let around = Surroundings {
        original: Some(original(Some("accepted"), &one, 1)),
        ..Surroundings::default()
    };
    assert_eq!(
        expires_at(&refund, &around, &google()),
        Some(at(90 * day - 660))
    );
    // Our own limit is on the refund, wherever it is asked.
    let strict = destination("google_data_manager", "age_max_hours = 24");
    assert_eq!(expires_at(&refund, &around, &strict), Some(at(day)));
    assert_eq!(
        expires_at(&refund, &Surroundings::default(), &google()),
        None
    );
}

#[test]
fn what_merely_follows_another_event_is_a_conversion_of_its_own() {
    let won = event(|c| (c.event_name, c.depends_on) = ("deal_won".into(), Some("e-0".into())));
    let meta = destination("meta", "");
    let around = |standing| Some(original(standing, &[], 1));
    assert!(matches!(
        judged(&won, around(Some("accepted")), &meta, 0),
        Decision::Send(_)
    ));
    assert!(waits(&judged(&won, around(None), &meta, 0)));
}

#[test]
fn a_standing_reads_back_as_it_was_written() {
    for &state in State::ALL {
        for &reason in Reason::ALL {
            let written = format!("{}/{}", state.as_str(), reason.as_str());
            let read = original(Some(&written), &[], 1).standings["mine"];
            assert_eq!(
                read,
                Standing {
                    state,
                    reason: Some(reason)
                }
            );
        }
    }
}
