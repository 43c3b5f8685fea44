//! LinkedIn's rules, each with a request that passes and one that does not.

mod events;
mod rules;
mod schema;
mod tokens;
mod values;

use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use chrono::TimeDelta;

use super::*;
use crate::sandbox::exchange::{Platform, Ruling};

const HASH: &str = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f";
const LI_FAT_ID: &str = "df5gf5-gh6t7-ph4j7h-fgf6n1";

/// 2026-11-23.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_428_000, 0).unwrap()
}

fn purchase() -> Value {
    json!({
        "conversion": "urn:lla:llaPartnerConversion:104012",
        "conversionHappenedAt": 1_795_427_000_123_i64,
        "conversionValue": {"currencyCode": "EUR", "amount": "129.90"},
        "eventId": "order-1042",
        "user": {
            "userIds": [
                {"idType": "SHA256_EMAIL", "idValue": HASH},
                {"idType": "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "idValue": LI_FAT_ID},
                {"idType": "PLAINTEXT_IP_ADDRESS", "idValue": "203.0.113.7"},
            ],
            "userInfo": {"hashedFirstName": HASH, "hashedLastName": HASH, "countryCode": "DE"},
        },
    })
}

/// A purchase with some values replaced or, by null, removed; keys are JSON pointers.
fn with(changes: Value) -> Value {
    let mut event = purchase();
    for (path, value) in changes.as_object().unwrap() {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = event.pointer_mut(parent).unwrap();
        match (value, parent) {
            (Value::Null, Value::Object(fields)) => drop(fields.remove(name)),
            (value, Value::Array(list)) => list[name.parse::<usize>().unwrap()] = value.clone(),
            (value, parent) => parent[name] = value.clone(),
        }
    }
    event
}

/// A request with the headers an adapter must send; a header given replaces its default, an empty one removes it.
fn request(
    method: Method,
    target: &str,
    headers: &[(&'static str, &str)],
    body: String,
) -> Arrived {
    let mut map = HeaderMap::new();
    let defaults = [
        ("authorization", "Bearer t"),
        ("content-type", "application/json"),
        ("linkedin-version", "202609"),
        ("x-restli-protocol-version", "2.0.0"),
    ];
    for (name, value) in defaults.iter().chain(headers) {
        map.insert(*name, HeaderValue::from_str(value).unwrap());
        if value.is_empty() {
            map.remove(*name);
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = url::form_urlencoded::parse(query.as_bytes());
    Arrived {
        platform: Platform::LinkedIn,
        method,
        path: path.to_owned(),
        query: query.into_owned().collect(),
        headers: map,
        body: Bytes::from(body),
    }
}

fn post(headers: &[(&'static str, &str)], body: &Value) -> Arrived {
    request(Method::POST, EVENTS_PATH, headers, body.to_string())
}

/// One event, in the single form.
fn one(event: &Value) -> Arrived {
    post(&[], event)
}

fn batch(events: &[Value]) -> Arrived {
    post(
        &[("x-restli-method", "BATCH_CREATE")],
        &json!({"elements": events}),
    )
}

fn judged(arrived: &Arrived, world: &mut World) -> (u16, Value, Judgement) {
    judged_under(arrived, world, &Processing::default())
}

fn judged_under(
    arrived: &Arrived,
    world: &mut World,
    processing: &Processing,
) -> (u16, Value, Judgement) {
    let reading = read(arrived, world);
    let judgement = judge(arrived, &reading, world, processing, now());
    let body = serde_json::from_str(&judgement.reply.body).unwrap_or(Value::Null);
    (judgement.reply.status, body, judgement)
}

/// Status and message of a refusal.
fn refused(arrived: &Arrived, world: &mut World) -> (u16, String) {
    let (status, body, judgement) = judged(arrived, world);
    assert!(judgement.refusal.is_some(), "{body}");
    assert!(
        judgement
            .events
            .iter()
            .all(|event| event.ruling == Ruling::Reject)
    );
    assert_eq!(body["status"], status);
    (status, body["message"].as_str().unwrap().to_owned())
}

/// The message about one event in the single form, under a version.
fn message(event: &Value, version: &str) -> String {
    let arrived = post(&[("linkedin-version", version)], event);
    let (status, message) = refused(&arrived, &mut World::default());
    assert_eq!(status, 422, "{message}");
    message
}

fn is_taken(arrived: &Arrived, world: &mut World) -> bool {
    matches!(judged(arrived, world).0, 200 | 201)
}

fn header<'a>(judgement: &'a Judgement, name: &str) -> Option<&'a str> {
    let mut headers = judgement.reply.headers.iter();
    headers
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}
