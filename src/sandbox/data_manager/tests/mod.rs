//! The Data Manager emulator without sockets: parsing, checks, processing, look-ups.

mod checks;
mod processing;

use axum::http::{HeaderMap, HeaderValue};
use serde_json::json;

use super::*;
use crate::sandbox::exchange::{Judged, Platform, Repeats, Ruling};
use crate::sandbox::google::{ActionKind, ConversionAction, RefreshClient};

const ACCOUNT: &str = "1234567890";
const ACTION: &str = "7712337565";
const HASH: &str = "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a";
const HASH_BASE64: &str = "UJ6TMBm7KFoTSpM0uLtnnf950M4CPVKa9L10TUe0/Yo=";

/// Half an hour after the event of [`body`].
fn now() -> DateTime<Utc> {
    "2026-11-20T14:00:00Z".parse().unwrap()
}

/// A request with one event that nothing is wrong with.
fn body() -> Value {
    json!({
        "destinations": [{"operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": ACCOUNT},
            "productDestinationId": ACTION}],
        "encoding": "HEX",
        "events": [{"transactionId": "order-1042", "eventTimestamp": "2026-11-20T13:32:18Z", "eventSource": "WEB",
            "conversionValue": 129.9, "currency": "EUR", "adIdentifiers": {"gclid": "Cj0KCQiA-example"},
            "userData": {"userIdentifiers": [{"emailAddress": HASH}]}}],
    })
}

/// A request for two destinations, named `paid` and `lead`, with an event for each and one for both.
fn body_for_two() -> Value {
    let mut body = body();
    let mut paid = body["destinations"][0].clone();
    paid["reference"] = "paid".into();
    let mut lead = paid.clone();
    lead["reference"] = "lead".into();
    lead["productDestinationId"] = "7712337566".into();
    body["destinations"] = json!([paid, lead]);
    let event = |id: &str, references: Value| {
        let mut event = body["events"][0].clone();
        event["transactionId"] = id.into();
        event["destinationReferences"] = references;
        event
    };
    body["events"] = json!([
        event("o-1", json!(["paid"])),
        event("o-2", json!(["lead"])),
        event("o-3", json!([])),
    ]);
    body
}

/// What was answered and ruled.
struct Answered {
    status: u16,
    body: Value,
    events: Vec<Judged>,
}

fn call(
    world: &mut google::World,
    faults: &Processing,
    method: Method,
    target: (&str, &[(&str, &str)]),
    body: &str,
    at: DateTime<Utc>,
) -> Answered {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer t"));
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let arrived = Arrived {
        platform: Platform::GoogleDataManager,
        method,
        path: target.0.to_owned(),
        query: target.1.iter().map(pair).collect(),
        headers,
        body: body.to_owned().into(),
    };
    let reading = read(&arrived);
    let judgement = judge(&arrived, &reading, world, faults, at);
    assert_eq!(judgement.events.len(), reading.events.len());
    Answered {
        status: judgement.reply.status,
        body: serde_json::from_str(&judgement.reply.body).unwrap_or(Value::Null),
        events: judgement.events,
    }
}

fn ingest(world: &mut google::World, body: &Value) -> Answered {
    let faults = Processing::default();
    let target = (INGEST_PATH, [].as_slice());
    call(
        world,
        &faults,
        Method::POST,
        target,
        &body.to_string(),
        now(),
    )
}

fn look_up(world: &mut google::World, id: &str, at: DateTime<Utc>) -> Answered {
    let faults = Processing::default();
    let query = [("requestId", id)];
    call(world, &faults, Method::GET, (STATUS_PATH, &query), "", at)
}

fn id_of(answered: &Answered) -> String {
    assert_eq!(answered.status, 200, "{}", answered.body);
    answered.body["requestId"].as_str().unwrap().to_owned()
}

fn taken(id: &str) -> Ruling {
    Ruling::Take {
        key: id.to_owned(),
        repeats: Repeats::Overwrite,
    }
}

fn rulings(answered: &Answered) -> Vec<Ruling> {
    let events = answered.events.iter();
    events.map(|judged| judged.ruling.clone()).collect()
}

fn action(kind: ActionKind) -> ConversionAction {
    let created_at = "2026-01-01T00:00:00Z".parse().unwrap();
    ConversionAction {
        kind,
        ..ConversionAction::upload_clicks(ACCOUNT, ACTION, created_at)
    }
}

#[test]
fn a_good_request_gets_an_id_in_either_casing() {
    let mut world = google::World::default();
    let answered = ingest(&mut world, &body());
    let id = id_of(&answered);
    assert_eq!((id.len(), id.matches('-').count()), (36, 4));
    assert_eq!(&id[14..15], "4");
    assert_eq!(rulings(&answered), [taken("order-1042")]);
    let snake = json!({
        "destinations": [{"operating_account": {"account_type": "GOOGLE_ADS", "account_id": ACCOUNT},
            "product_destination_id": ACTION}],
        "encoding": "BASE64",
        "events": [{"transaction_id": "o-2", "event_timestamp": "2026-11-20T14:32:18+01:00", "event_source": "OTHER",
            "user_data": {"user_identifiers": [{"email_address": HASH_BASE64}]}}],
    });
    let answered = ingest(&mut world, &snake);
    assert_ne!(id_of(&answered), id);
    assert_eq!(rulings(&answered), [taken("o-2")]);
}

#[test]
fn an_event_shows_once_for_each_of_its_destinations() {
    let arrived = |body: &Value| Arrived {
        platform: Platform::GoogleDataManager,
        method: Method::POST,
        path: INGEST_PATH.to_owned(),
        query: Vec::new(),
        headers: HeaderMap::new(),
        body: body.to_string().into(),
    };
    let reading = read(&arrived(&body_for_two()));
    assert_eq!(reading.account, ACCOUNT);
    let heard: Vec<_> = reading
        .events
        .iter()
        .map(|it| {
            (
                it.event_id.as_deref().unwrap(),
                it.event_name.as_deref().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("o-1", ACTION),
        ("o-2", "7712337566"),
        ("o-3", ACTION),
        ("o-3", "7712337566"),
    ];
    assert_eq!(heard, expected);
    let first = &reading.events[0];
    assert_eq!(
        (
            first.account.as_deref(),
            first.value.as_deref(),
            first.currency.as_deref()
        ),
        (Some(ACCOUNT), Some("129.9"), Some("EUR"))
    );
    let lost = json!({"events": [{"transaction_id": "o-1"}]});
    let reading = read(&arrived(&lost));
    assert_eq!((reading.events.len(), reading.account.as_str()), (1, ""));
}

#[test]
fn what_does_not_parse_gets_the_front_ends_answer() {
    let mut world = google::World::default();
    let mut foo = body();
    foo["foo"] = 1.into();
    let answered = ingest(&mut world, &foo);
    let text = "Invalid JSON payload received. Unknown name \"foo\": Cannot find field.";
    let expected = json!({"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"description": text}]}]}});
    assert_eq!((answered.status, answered.body), (400, expected));
    assert_eq!(
        rulings(&answered_for(&mut world, "orderId", json!("o-1"))),
        [Ruling::Reject]
    );
    for (field, value) in [
        ("orderId", json!("o-1")),
        ("eventTimestamp", json!(1_795_168_338)),
        ("eventTimestamp", json!("2026-11-20 13:32:18")),
        ("conversionValue", json!("much")),
        ("eventSource", json!("web")),
        ("consent", json!({"adUserData": "GRANTED"})),
        (
            "userData",
            json!({"userIdentifiers": [{"emailAddress": HASH, "phoneNumber": HASH}]}),
        ),
    ] {
        let answered = answered_for(&mut world, field, value);
        assert_eq!(answered.status, 400, "{field}");
        let details = answered.body["error"]["details"].as_array().unwrap();
        assert_eq!(details.len(), 1, "{field}");
        let at = details[0]["fieldViolations"][0]["field"].as_str().unwrap();
        assert!(at.starts_with("events[0]"), "{at}");
    }
    let faults = Processing::default();
    let target = (INGEST_PATH, [].as_slice());
    let broken = call(&mut world, &faults, Method::POST, target, "{", now());
    assert_eq!(broken.status, 400);
}

/// The answer to a good request with one field of its event changed.
fn answered_for(world: &mut google::World, field: &str, value: Value) -> Answered {
    let mut body = body();
    body["events"][0][field] = value;
    ingest(world, &body)
}

#[test]
fn only_two_methods_exist() {
    let mut world = google::World::default();
    let faults = Processing::default();
    for (method, path) in [
        (Method::GET, INGEST_PATH),
        (Method::POST, STATUS_PATH),
        (Method::POST, "/v2/events:ingest"),
        (Method::POST, "/v1/audienceMembers:ingest"),
    ] {
        let answered = call(&mut world, &faults, method, (path, &[]), "{}", now());
        assert_eq!(answered.status, 404, "{path}");
    }
}

#[test]
fn a_token_nobody_issued_is_refused_before_the_body_is_read() {
    let mut world = google::World::default();
    world.add_client(RefreshClient::new("id", "secret", "refresh"));
    let answered = ingest(&mut world, &json!({"foo": 1}));
    assert_eq!(
        (answered.status, &answered.body["error"]["status"]),
        (401, &json!("UNAUTHENTICATED"))
    );
    let answered = look_up(&mut world, "x", now());
    assert_eq!(answered.status, 401);
}

#[test]
fn the_quota_counts_look_ups_too_and_comes_back_with_time() {
    let mut world = google::World::default();
    let setup = Setup {
        requests_per_minute: Some(2),
        ..Setup::default()
    };
    world.data_manager.set_up(setup).unwrap();
    let id = id_of(&ingest(&mut world, &body()));
    assert_eq!(look_up(&mut world, &id, now()).status, 200);
    let refused = ingest(&mut world, &body());
    assert_eq!(
        (refused.status, &refused.body["error"]["status"]),
        (429, &json!("RESOURCE_EXHAUSTED"))
    );
    assert_eq!(rulings(&refused), [Ruling::Reject]);
    let later = now() + TimeDelta::minutes(1);
    assert_eq!(look_up(&mut world, &id, later).status, 200);
}

#[test]
fn a_validation_stores_nothing_and_misses_the_rule_about_digits() {
    let mut world = google::World::default();
    let mut body = body();
    body["validateOnly"] = true.into();
    body["events"][0]["transactionId"] = "1042".into();
    let answered = ingest(&mut world, &body);
    let id = id_of(&answered);
    assert_eq!(rulings(&answered), [Ruling::Validate]);
    assert_eq!(look_up(&mut world, &id, now()).status, 404);
    body["events"][0]["currency"] = "eur".into();
    assert_eq!(ingest(&mut world, &body).status, 400);
}

#[test]
fn cart_data_with_a_braid_is_warned_of() {
    let mut world = google::World::default();
    let mut body = body();
    body["events"][0]["adIdentifiers"] = json!({"gbraid": "b"});
    body["events"][0]["cartData"] =
        json!({"merchantId": "5", "items": [{"quantity": "2", "unitPrice": 1.5}]});
    let answered = ingest(&mut world, &body);
    assert_eq!(answered.status, 200);
    let warning = &answered.body["fieldWarnings"][0];
    assert_eq!(warning["field"], "events[0].cart_data");
}

#[test]
fn a_sink_says_yes_and_knows_its_own_id() {
    let body: Value = serde_json::from_str(&sink_reply().body).unwrap();
    let id = body["requestId"].as_str().unwrap();
    let answered = look_up(&mut google::World::default(), id, now());
    let status = &answered.body["requestStatusPerDestination"][0]["requestStatus"];
    assert_eq!(status, "SUCCESS");
}
