//! Checks the body of a Measurement Protocol request outside its events
//! (`developers.google.com/analytics/devguides/collection/protocol/ga4/reference`). Not for answering.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::message::Message;
use super::{event, names, user_data};
use crate::sandbox::shape::{self, Fields};

/// Most events in one request.
const EVENTS_MAX: usize = 25;
/// Most user properties.
const USER_PROPERTIES_MAX: usize = 25;
/// The body must be smaller, in bytes.
const BODY_LIMIT: usize = 130_000;
/// How far back an event may lie.
pub(super) const AGE_MAX: TimeDelta = TimeDelta::hours(72);
/// Only the past is allowed; clocks of sender and platform may differ by this much.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

const FIELDS: &Fields = &[
    ("client_id", shape::anything),
    ("user_id", user_id),
    ("timestamp_micros", shape::integer),
    ("user_properties", shape::object),
    ("user_data", shape::object),
    ("consent", shape::object),
    ("non_personalized_ads", shape::boolean),
    ("user_location", shape::object),
    ("ip_override", shape::ip_address),
    ("user_agent", shape::unhashed),
    ("device", shape::object),
    ("validation_behavior", validation_behavior),
    ("events", shape::anything),
];

const CONSENT: &Fields = &[("ad_user_data", consent), ("ad_personalization", consent)];

const LOCATION: &Fields = &[
    ("city", shape::string),
    ("region_id", shape::string),
    ("country_id", shape::string),
    ("subcontinent_id", shape::string),
    ("continent_id", shape::string),
];

const DEVICE: &Fields = &[
    ("category", shape::string),
    ("language", shape::string),
    ("screen_resolution", shape::string),
    ("operating_system", shape::string),
    ("operating_system_version", shape::string),
    ("model", shape::string),
    ("brand", shape::string),
    ("browser", shape::string),
    ("browser_version", shape::string),
];

/// Everything wrong with a body, in the order of the reference.
pub(super) fn check(body: &Map<String, Value>, size: usize, now: DateTime<Utc>) -> Vec<Message> {
    let mut found = Vec::new();
    let client_id = body.get("client_id").and_then(Value::as_str);
    if client_id.is_none_or(|id| id.trim().is_empty()) {
        found.push(
            Message::new(
                "VALUE_INVALID",
                "client_id",
                "Measurement requires a client_id.",
            )
            .always(),
        );
    }
    if size >= BODY_LIMIT {
        found.push(Message::new(
            "VALUE_OUT_OF_BOUNDS",
            "",
            "The body must be smaller than 130 kB.",
        ));
    }
    check_fields(&mut found, "", body, FIELDS);
    for (name, known) in [
        ("consent", CONSENT),
        ("user_location", LOCATION),
        ("device", DEVICE),
    ] {
        if let Some(object) = body.get(name).and_then(Value::as_object) {
            check_fields(&mut found, name, object, known);
        }
    }
    if let Some(properties) = body.get("user_properties").and_then(Value::as_object) {
        check_user_properties(&mut found, properties);
    }
    if let Some(user_data) = body.get("user_data").and_then(Value::as_object) {
        found.extend(user_data::check(user_data));
    }
    let behind = body
        .get("timestamp_micros")
        .and_then(|time| check_time(time, "timestamp_micros", now));
    let events = body
        .get("events")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if events.is_empty() {
        found.push(
            Message::new(
                "VALUE_REQUIRED",
                "events",
                "Measurement requires at least one event.",
            )
            .always(),
        );
    } else if events.len() > EVENTS_MAX {
        found.push(Message::new(
            "EXCEEDED_MAX_ENTITIES",
            "events",
            "A request may hold at most 25 events.",
        ));
    }
    for (index, one) in events.iter().enumerate() {
        let own_time = one.get("timestamp_micros");
        let late = match own_time {
            // An event's own time overrides that of the request.
            Some(time) => check_time(time, &format!("events[{index}].timestamp_micros"), now),
            None => behind.clone(),
        };
        let messages = event::check(one, index).into_iter().chain(late);
        found.extend(messages.map(|message| message.of_event(index)));
    }
    found
}

/// Adds a message for every field that is undocumented or has the wrong form.
pub(super) fn check_fields(
    found: &mut Vec<Message>,
    parent: &str,
    object: &Map<String, Value>,
    known: &Fields,
) {
    for (name, value) in object {
        let single = Map::from_iter([(name.clone(), value.clone())]);
        if let Err(misfit) = shape::fields(&single, known, false) {
            found.push(Message::misfit(parent, &misfit));
        }
    }
}

fn check_user_properties(found: &mut Vec<Message>, properties: &Map<String, Value>) {
    if properties.len() > USER_PROPERTIES_MAX {
        found.push(Message::new(
            "EXCEEDED_MAX_ENTITIES",
            "user_properties",
            "At most 25 user properties are allowed.",
        ));
    }
    for (name, property) in properties {
        let path = format!("user_properties.{name}");
        if let Err(bad) = names::user_property(name) {
            found.push(Message::bad_name(&path, name, bad));
        }
        match property.get("value") {
            Some(Value::String(text)) if text.chars().count() > 36 => {
                found.push(Message::new(
                    "VALUE_OUT_OF_BOUNDS",
                    &path,
                    "A value may have at most 36 characters.",
                ));
            }
            Some(Value::String(_) | Value::Number(_) | Value::Bool(_)) => {}
            _ => found.push(Message::new(
                "VALUE_INVALID",
                &path,
                "A user property is an object with a scalar value.",
            )),
        }
    }
}

/// A time too old, or in the future. Other forms are reported with the other fields.
fn check_time(time: &Value, path: &str, now: DateTime<Utc>) -> Option<Message> {
    let at = DateTime::from_timestamp_micros(time.as_i64()?)?;
    if at > now + CLOCK_SKEW {
        Some(Message::new(
            "VALUE_INVALID",
            path,
            "timestamp_micros must lie in the past, in microseconds.",
        ))
    } else if now - at > AGE_MAX {
        Some(Message::new("VALUE_INVALID", path, "The event is older than 72 hours.").about_age())
    } else {
        None
    }
}

/// Must not identify the person to others: an address is none.
fn user_id(value: &Value) -> Result<(), &'static str> {
    let fits = value
        .as_str()
        .is_some_and(|id| !id.is_empty() && id.chars().count() <= 256 && !id.contains('@'));
    fits.then_some(())
        .ok_or("must be a string of 1 to 256 characters that does not identify the person")
}

fn consent(value: &Value) -> Result<(), &'static str> {
    matches!(value.as_str(), Some("GRANTED" | "DENIED"))
        .then_some(())
        .ok_or("must be GRANTED or DENIED")
}

fn validation_behavior(value: &Value) -> Result<(), &'static str> {
    let fits = matches!(value.as_str(), Some("RELAXED" | "ENFORCE_RECOMMENDATIONS"));
    fits.then_some(())
        .ok_or("must be RELAXED or ENFORCE_RECOMMENDATIONS")
}
