//! GA4's rules, each with a request that passes and one that does not.

mod fields;

use axum::http::HeaderMap;
use bytes::Bytes;
use chrono::TimeDelta;

use super::*;
use crate::sandbox::accounts::Account;

const HASH: &str = "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a";
const QUERY: &str = "?measurement_id=G-1&api_secret=s";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_428_000, 0).unwrap()
}

fn purchase() -> Value {
    json!({
        "client_id": "1234567890.1700000000", "user_id": "cust_8812",
        "timestamp_micros": 1_795_427_000_000_000_i64,
        "consent": {"ad_user_data": "GRANTED", "ad_personalization": "DENIED"},
        "user_data": {"sha256_email_address": [HASH], "sha256_phone_number": [HASH]},
        "events": [{"name": "purchase", "params": {
            "session_id": "1795427800", "engagement_time_msec": 1,
            "transaction_id": "order-1042", "value": 129.9, "currency": "EUR", "tax": 20.74, "shipping": 4.9,
            "items": [{"item_id": "SKU-7", "item_name": "Trail shoe", "price": 62.5, "quantity": 2}]}}]
    })
}

/// The purchase with changes by JSON pointer; null removes.
fn with(changes: Value) -> Value {
    let mut body = purchase();
    for (pointer, value) in changes.as_object().unwrap() {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match (body.pointer_mut(parent).unwrap(), value) {
            (Value::Array(list), value) => list[name.parse::<usize>().unwrap()] = value.clone(),
            (parent, Value::Null) => drop(parent.as_object_mut().unwrap().remove(name)),
            (parent, value) => parent[name] = value.clone(),
        }
    }
    body
}

fn judged(target: &str, method: Method, body: String, accounts: &Accounts) -> Judgement {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let arrived = Arrived {
        platform: Platform::Ga4,
        method,
        path: path.to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        headers: HeaderMap::new(),
        body: Bytes::from(body),
    };
    judge(&arrived, &read(&arrived), accounts, now())
}

fn collect(body: &Value) -> Judgement {
    let judgement = judged(
        &format!("{COLLECT}{QUERY}"),
        Method::POST,
        body.to_string(),
        &Accounts::default(),
    );
    assert_eq!(judgement.reply, Reply::empty(204));
    judgement
}

/// Code and field path of each message of the debug endpoint.
fn debug(target: &str, body: String) -> Vec<(String, String)> {
    let judgement = judged(target, Method::POST, body, &Accounts::default());
    assert_eq!(judgement.reply.status, 200);
    let answer: Value = serde_json::from_str(&judgement.reply.body).unwrap();
    let text = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
    let messages = answer["validationMessages"].as_array().unwrap();
    messages
        .iter()
        .map(|it| (text(it, "validationCode"), text(it, "fieldPath")))
        .collect()
}

fn enforced(mut body: Value) -> Vec<(String, String)> {
    body["validation_behavior"] = json!("ENFORCE_RECOMMENDATIONS");
    debug(&format!("{DEBUG}{QUERY}"), body.to_string())
}

#[track_caller]
fn accepts(changes: Value) {
    let body = with(changes.clone());
    assert_eq!(enforced(body.clone()), [], "{changes}");
    assert!(
        matches!(collect(&body).events[0].ruling, Ruling::Take { .. }),
        "{changes}"
    );
}

/// Refused when enforced, silent on the debug endpoint otherwise, and dropped by collect.
#[track_caller]
fn refuses(changes: Value, code: &str, path: &str) {
    let body = with(changes.clone());
    assert!(
        enforced(body.clone()).contains(&(code.to_owned(), path.to_owned())),
        "{:?}",
        enforced(body)
    );
    assert_eq!(
        debug(&format!("{DEBUG}{QUERY}"), body.to_string()),
        [],
        "{changes}"
    );
    let judgement = collect(&body);
    assert_eq!(judgement.events[0].ruling, Ruling::Reject, "{changes}");
    assert!(judgement.events[0].reason.contains(code));
}

#[test]
fn a_good_purchase_passes_everywhere() {
    accepts(json!({}));
    let ruling = Ruling::Take {
        key: "order-1042".to_owned(),
        repeats: Repeats::FirstStands,
    };
    assert_eq!(collect(&purchase()).events[0].ruling, ruling);
    assert_eq!(collect(&purchase()).events[0].reason, "");
}

#[test]
fn collect_says_yes_to_anything() {
    for body in [
        "",
        "not json",
        "[]",
        "{}",
        r#"{"client_id":"1.1","events":[{"name":"_bad"}]}"#,
    ] {
        let judgement = judged(COLLECT, Method::POST, body.to_owned(), &Accounts::default());
        assert_eq!(judgement.reply, Reply::empty(204), "{body}");
        assert!(judgement.refusal.is_some());
    }
}

#[test]
fn other_paths_and_methods_are_not_found() {
    let status = |target: &str, method| {
        judged(target, method, purchase().to_string(), &Accounts::default())
            .reply
            .status
    };
    assert_eq!(status("/mp/collect", Method::GET), 404);
    assert_eq!(status("/debug/mp/collect", Method::GET), 404);
    assert_eq!(status("/mp/other", Method::POST), 404);
    assert_eq!(status("/g/collect", Method::POST), 404);
}

#[test]
fn debug_reports_missing_query_parameters_with_the_documented_texts() {
    let judgement = judged(
        DEBUG,
        Method::POST,
        purchase().to_string(),
        &Accounts::default(),
    );
    let answer: Value = serde_json::from_str(&judgement.reply.body).unwrap();
    assert_eq!(
        answer["validationMessages"],
        json!([
            {"fieldPath": "api_secret", "validationCode": "VALUE_REQUIRED",
             "description": "Unable to find non-empty parameter [api_secret] value in request."},
            {"fieldPath": "measurement_id", "validationCode": "VALUE_REQUIRED",
             "description": "Unable to find non-empty parameter [measurement_id] value in request."},
        ])
    );
    assert_eq!(
        debug(
            "/debug/mp/collect?measurement_id=G-1&api_secret=",
            purchase().to_string()
        )
        .len(),
        1
    );
    assert_eq!(
        debug(
            &format!("{DEBUG}?measurement_id=G-1&api_secret=anything"),
            purchase().to_string()
        ),
        []
    );
}

#[test]
fn debug_always_reports_malformed_json_client_id_events_and_names() {
    let target = format!("{DEBUG}{QUERY}");
    assert_eq!(debug(&target, "{".to_owned())[0].0, "VALUE_INVALID");
    let missing = ("VALUE_INVALID".to_owned(), "client_id".to_owned());
    assert_eq!(
        debug(&target, with(json!({"/client_id": null})).to_string()),
        [missing]
    );
    for events in [json!(null), json!([]), json!("x")] {
        assert_eq!(
            debug(&target, with(json!({"/events": events})).to_string())[0].0,
            "VALUE_REQUIRED"
        );
    }
    let judgement = judged(
        &target,
        Method::POST,
        with(json!({"/events/0": {"name": "_badEventName"}})).to_string(),
        &Accounts::default(),
    );
    let answer: Value = serde_json::from_str(&judgement.reply.body).unwrap();
    assert_eq!(
        answer["validationMessages"],
        json!([{"fieldPath": "events", "validationCode": "NAME_INVALID",
        "description": "Event at index: [0] has invalid name [_badEventName]. Names must start with an alphabetic character."}])
    );
    let reserved =
        with(json!({"/events/0": {"name": "session_start", "params": {"session_id": "1"}}}));
    assert_eq!(debug(&target, reserved.to_string())[0].0, "NAME_RESERVED");
    assert_eq!(collect(&reserved).events[0].ruling, Ruling::Reject);
}

#[test]
fn debug_stores_nothing() {
    let judgement = judged(
        &format!("{DEBUG}{QUERY}"),
        Method::POST,
        purchase().to_string(),
        &Accounts::default(),
    );
    assert_eq!(
        judgement.events,
        [Judged {
            ruling: Ruling::Validate,
            reason: String::new()
        }]
    );
}

#[test]
fn twenty_five_events_and_130_kilobytes() {
    let events = |count: usize| with(json!({"/events": vec![json!({"name": "lead"}); count]}));
    assert_eq!(enforced(events(25)), []);
    assert_eq!(
        enforced(events(26)),
        [("EXCEEDED_MAX_ENTITIES".to_owned(), "events".to_owned())]
    );
    let mut large = purchase().to_string();
    large.push_str(&" ".repeat(130_000 - large.len()));
    let judgement = judged(
        &format!("{COLLECT}{QUERY}"),
        Method::POST,
        large.clone(),
        &Accounts::default(),
    );
    assert!(judgement.events[0].reason.contains("130 kB"));
    large.pop();
    let judgement = judged(
        &format!("{COLLECT}{QUERY}"),
        Method::POST,
        large,
        &Accounts::default(),
    );
    assert!(matches!(judgement.events[0].ruling, Ruling::Take { .. }));
}

#[test]
fn one_bad_event_does_not_spoil_the_others() {
    let events = json!([{"name": "lead"}, {"name": "_bad"}, {"name": "other_lead"}]);
    let judgement = collect(&with(json!({"/events": events})));
    let taken: Vec<bool> = judgement
        .events
        .iter()
        .map(|it| it.ruling != Ruling::Reject)
        .collect();
    assert_eq!(taken, [true, false, true]);
}

#[test]
fn old_events_are_rewritten_or_refused() {
    let micros = |age: TimeDelta| (now() - age).timestamp_micros();
    accepts(json!({"/timestamp_micros": micros(TimeDelta::hours(72))}));
    let old = with(json!({"/timestamp_micros": micros(TimeDelta::hours(73))}));
    let relaxed = collect(&old);
    assert!(matches!(relaxed.events[0].ruling, Ruling::Take { .. }));
    assert!(
        relaxed.events[0]
            .reason
            .contains("rewritten to 2026-11-20T"),
        "{}",
        relaxed.events[0].reason
    );
    assert_eq!(
        enforced(old.clone()),
        [("VALUE_INVALID".to_owned(), "timestamp_micros".to_owned())]
    );
    let mut enforcing = old;
    enforcing["validation_behavior"] = json!("ENFORCE_RECOMMENDATIONS");
    assert_eq!(collect(&enforcing).events[0].ruling, Ruling::Reject);
    // An event's own time overrides that of the request.
    let own = with(
        json!({"/timestamp_micros": micros(TimeDelta::hours(73)), "/events/0/timestamp_micros": micros(TimeDelta::hours(1))}),
    );
    assert_eq!(collect(&own).events[0].reason, "");
    refuses(
        json!({"/timestamp_micros": micros(TimeDelta::minutes(-6))}),
        "VALUE_INVALID",
        "timestamp_micros",
    );
}

#[test]
fn an_empty_transaction_id_collapses_and_a_missing_one_is_refused() {
    let empty = with(json!({"/events/0/params/transaction_id": ""}));
    assert_eq!(collect(&empty).events[0].ruling, Ruling::Collapse);
    let missing = with(json!({"/events/0/params/transaction_id": null}));
    assert_eq!(collect(&missing).events[0].ruling, Ruling::Reject);
}

#[test]
fn other_events_are_known_by_their_content() {
    let key = |body: &Value| match &collect(body).events[0].ruling {
        Ruling::Take {
            key,
            repeats: Repeats::CountAgain,
        } => key.clone(),
        other => panic!("{other:?}"),
    };
    let lead = with(json!({"/events/0": {"name": "generate_lead"}}));
    let mut later = lead.clone();
    later["timestamp_micros"] = json!(1_795_427_000_000_001_i64);
    assert_eq!(key(&lead), key(&lead));
    assert_ne!(key(&lead), key(&later));
}

#[test]
fn a_wrong_secret_makes_data_vanish_without_a_word() {
    let mut accounts = Accounts::default();
    accounts.put(Platform::Ga4, "G-1".to_owned(), Account::with_token("good"));
    let ruling = |query: &str| {
        let judgement = judged(
            &format!("{COLLECT}{query}"),
            Method::POST,
            purchase().to_string(),
            &accounts,
        );
        assert_eq!(judgement.reply.status, 204);
        judgement.events[0].ruling.clone()
    };
    assert!(matches!(
        ruling("?measurement_id=G-1&api_secret=good"),
        Ruling::Take { .. }
    ));
    assert_eq!(ruling("?measurement_id=G-1&api_secret=bad"), Ruling::Vanish);
    assert_eq!(
        ruling("?measurement_id=G-2&api_secret=good"),
        Ruling::Vanish
    );
    assert_eq!(ruling("?measurement_id=G-1"), Ruling::Reject);
}
