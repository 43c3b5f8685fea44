//! Rules: what they match, how often they strike, what they answer.

use serde_json::{Value, json};

use super::*;
use crate::sandbox::exchange::Heard;

fn events() -> [Heard; 2] {
    let heard = |name: &str, id: &str| Heard {
        event_name: Some(name.to_owned()),
        event_id: Some(id.to_owned()),
        ..Heard::default()
    };
    [heard("Lead", "l1"), heard("Purchase", "o1")]
}

fn struck(fault: Fault, request_count: usize) -> Vec<bool> {
    let mut faults = Faults::default();
    faults.add(fault).unwrap();
    let events = events();
    let question = Question {
        platform: Platform::Meta,
        path: "/v26.0/1/events",
        account: Some("1"),
        events: &events,
    };
    (0..request_count)
        .map(|_| faults.plan(&question).cut_before)
        .collect()
}

fn rule(json: Value) -> Fault {
    serde_json::from_value(json).unwrap()
}

#[test]
fn filters_must_all_match_and_both_event_filters_the_same_event() {
    for (filters, matches) in [
        (json!({"kind": "reset_before"}), true),
        (
            json!({"kind": "reset_before", "platform": "meta", "account": "1", "path": "/events"}),
            true,
        ),
        (
            json!({"kind": "reset_before", "event_name": "Purchase", "event_id": "o1"}),
            true,
        ),
        (
            json!({"kind": "reset_before", "event_name": "Lead", "event_id": "o1"}),
            false,
        ),
        (json!({"kind": "reset_before", "platform": "ga4"}), false),
        (json!({"kind": "reset_before", "account": "2"}), false),
        (json!({"kind": "reset_before", "path": "/debug"}), false),
        (
            json!({"kind": "reset_before", "event_name": "Subscribe"}),
            false,
        ),
    ] {
        assert_eq!(struck(rule(filters.clone()), 1), [matches], "{filters}");
    }
}

#[test]
fn times_every_and_probability_limit_strikes() {
    let of = |json: Value| struck(rule(json), 6);
    assert_eq!(
        of(json!({"kind": "reset_before", "times": 2})),
        [true, true, false, false, false, false]
    );
    assert_eq!(
        of(json!({"kind": "reset_before", "every": 3})),
        [false, false, true, false, false, true]
    );
    assert_eq!(
        of(json!({"kind": "reset_before", "every": 2, "times": 1}))
            .iter()
            .filter(|it| **it)
            .count(),
        1
    );
    assert_eq!(
        of(json!({"kind": "reset_before", "probability": 0.0})),
        [false; 6]
    );
    assert_eq!(
        of(json!({"kind": "reset_before", "probability": 1.0})),
        [true; 6]
    );
    let half = struck(
        rule(json!({"kind": "reset_before", "probability": 0.5})),
        1000,
    );
    let count = half.iter().filter(|strikes| **strikes).count();
    assert!((400..600).contains(&count), "{count}");
    assert_eq!(
        half,
        struck(
            rule(json!({"kind": "reset_before", "probability": 0.5})),
            1000
        )
    );
}

#[test]
fn rules_without_sense_are_refused() {
    let mut faults = Faults::default();
    for bad in [
        json!({"kind": "latency"}),
        json!({"kind": "reset_unread", "event_id": "o1"}),
        json!({"kind": "meta_error", "platform": "ga4"}),
        json!({"kind": "status", "status": 42}),
        json!({"kind": "status", "probability": 1.5}),
        json!({"kind": "status", "every": 0}),
    ] {
        assert!(faults.add(rule(bad.clone())).is_err(), "{bad}");
    }
    assert!(serde_json::from_value::<Fault>(json!({"kind": "status", "staus": 500})).is_err());
    assert!(serde_json::from_value::<Fault>(json!({"kind": "nonsense"})).is_err());
    assert_eq!(rule(json!({"kind": "hold"})).kind, FaultKind::HoldBefore);
}

#[test]
fn several_rules_add_up_and_the_oldest_answer_wins() {
    let mut faults = Faults::default();
    for fault in [
        json!({"kind": "latency", "latency_ms": 5}),
        json!({"kind": "status", "status": 503, "latency_ms": 7, "retry_after": 30}),
        json!({"kind": "html_502"}),
        json!({"kind": "version_warning"}),
    ] {
        faults.add(rule(fault)).unwrap();
    }
    let question = Question {
        platform: Platform::Ga4,
        path: "/mp/collect",
        account: None,
        events: &[],
    };
    let plan = faults.plan(&question);
    assert_eq!(plan.delay, Duration::from_millis(12));
    assert!(plan.version_warning);
    let reply = plan.answer.unwrap();
    assert_eq!(reply.status, 503);
    assert!(
        reply
            .headers
            .contains(&("retry-after".to_owned(), "30".to_owned()))
    );
    faults.clear();
    assert!(faults.plan(&question).answer.is_none());
}

fn answer(fault: Value) -> (u16, Value, Vec<(String, String)>) {
    let question = Question {
        platform: Platform::Meta,
        path: "/v26/customers/1234567890:uploadClickConversions",
        account: Some("77"),
        events: &[],
    };
    let reply = reply::of(&rule(fault), &question);
    (
        reply.status,
        serde_json::from_str(&reply.body).unwrap(),
        reply.headers,
    )
}

#[test]
fn faults_of_google_ads_leave_other_requests_and_their_rule_alone() {
    let heard = events();
    for (kind, platform, path, events, expected) in [
        (
            "ads_throttled",
            Platform::GoogleAds,
            "/v26/customers/1",
            &heard[..],
            1,
        ),
        (
            "ads_throttled",
            Platform::GoogleAds,
            "/v26/customers/1",
            &[],
            1,
        ),
        ("ads_throttled", Platform::GoogleAds, "/token", &[], 0),
        (
            "ads_throttled",
            Platform::GoogleDataManager,
            "/v1/events:ingest",
            &heard,
            0,
        ),
        (
            "ads_version_sunset",
            Platform::Meta,
            "/v26.0/1/events",
            &heard,
            0,
        ),
        (
            "ads_not_allowlisted",
            Platform::GoogleAds,
            "/v26/customers/1",
            &heard,
            1,
        ),
        (
            "ads_not_allowlisted",
            Platform::GoogleAds,
            "/v26/customers/1",
            &[],
            0,
        ),
    ] {
        let mut faults = Faults::default();
        let id = faults.add(rule(json!({"kind": kind}))).unwrap();
        let account = Some("1");
        faults.plan(&Question {
            platform,
            path,
            account,
            events,
        });
        assert_eq!(
            faults.struck(id),
            Some(expected),
            "{kind} {platform} {path}"
        );
    }
}

#[test]
fn meta_errors_have_the_documented_shape() {
    let (status, body, headers) =
        answer(json!({"kind": "meta_error", "code": 190, "subcode": 463}));
    let error = &body["error"];
    assert_eq!(
        (status, &error["code"], &error["error_subcode"]),
        (401, &json!(190), &json!(463))
    );
    assert!(error["message"].is_string() && error["fbtrace_id"].is_string());
    assert_eq!(error["type"], "OAuthException");
    assert!(error.get("is_transient").is_none() && headers.len() == 1);

    let (status, body, _) = answer(json!({"kind": "meta_error", "code": 100, "subcode": 33}));
    assert_eq!(
        (status, &body["error"]["type"]),
        (400, &json!("GraphMethodException"))
    );
    let (status, body, _) =
        answer(json!({"kind": "meta_error", "code": 21009, "is_transient": true}));
    assert_eq!(
        (status, &body["error"]["is_transient"]),
        (400, &json!(true))
    );
}

#[test]
fn throttling_carries_usage_headers() {
    for code in [4, 17, 613, 80004] {
        let (_, _, headers) =
            answer(json!({"kind": "meta_error", "code": code, "regain_minutes": 9}));
        let header = |name: &str| -> Value {
            let found = headers.iter().find(|(header, _)| header == name).unwrap();
            serde_json::from_str(&found.1).unwrap()
        };
        assert_eq!(
            header("x-business-use-case-usage")["77"][0]["estimated_time_to_regain_access"],
            9
        );
        assert_eq!(header("x-app-usage")["call_count"], 100);
        assert_eq!(header("x-ad-account-usage")["reset_time_duration"], 540);
    }
}

#[test]
fn answers_are_changed_without_touching_the_rest() {
    let success = Reply::json(
        200,
        &json!({"events_received": 3, "messages": [], "fbtrace_id": "A"}),
    );
    let body = |reply: Reply| serde_json::from_str::<Value>(&reply.body).unwrap();
    let plan = Plan {
        no_messages: true,
        fewer_received: true,
        version_warning: true,
        ..Plan::default()
    };
    let changed = plan.change(success.clone());
    assert!(
        changed
            .headers
            .iter()
            .any(|(name, _)| name == "x-ad-api-version-warning")
    );
    assert_eq!(
        body(changed),
        json!({"events_received": 2, "fbtrace_id": "A"})
    );
    let plan = Plan {
        localised: true,
        ..Plan::default()
    };
    assert_eq!(plan.change(success.clone()), success);
    let error = body(plan.change(meta::refusal::scripted(400, 100, None, None)));
    assert_eq!(error["error"]["error_user_title"], "Paramètre non valide");
    assert_eq!(error["error"]["code"], 100);
}
