//! Checks one event of a Measurement Protocol request: its name, parameters and items
//! (`developers.google.com/analytics/devguides/collection/protocol/ga4/reference/events`). Not for its time.

use serde_json::{Map, Value};

use super::message::Message;
use super::names;
use super::request::check_fields;
use crate::sandbox::currency;
use crate::sandbox::shape::{self, Fields};

/// Most parameters of one event.
const PARAMS_MAX: usize = 25;
/// Most characters of a parameter's text; 500 only on Analytics 360.
const TEXT_MAX: usize = 100;
/// Most items of one event.
const ITEMS_MAX: usize = 200;
/// Most parameters of one item beyond the documented ones.
const CUSTOM_ITEM_PARAMS_MAX: usize = 10;

const FIELDS: &Fields = &[
    ("name", shape::anything),
    ("params", shape::object),
    ("timestamp_micros", shape::integer),
];

/// Parameters of an item that do not count as custom ones.
const ITEM_PARAMS: [&str; 22] = [
    "affiliation",
    "coupon",
    "creative_name",
    "creative_slot",
    "currency",
    "discount",
    "google_business_vertical",
    "index",
    "item_brand",
    "item_category",
    "item_category2",
    "item_category3",
    "item_category4",
    "item_category5",
    "item_id",
    "item_list_id",
    "item_list_name",
    "item_name",
    "item_variant",
    "location_id",
    "price",
    "quantity",
];

/// Everything wrong with an event, apart from its time.
pub(super) fn check(event: &Value, index: usize) -> Vec<Message> {
    let mut found = Vec::new();
    let at = format!("events[{index}]");
    let name = event
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if let Err(bad) = names::event(name) {
        let description = format!(
            "Event at index: [{index}] has invalid name [{name}]. {}",
            bad.why
        );
        found.push(Message::new(bad.code, "events", &description).always());
    }
    let Some(fields) = event.as_object() else {
        return found;
    };
    check_fields(&mut found, &at, fields, FIELDS);
    let empty = Map::new();
    let params = fields
        .get("params")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let at = format!("{at}.params");
    if params.len() > PARAMS_MAX {
        found.push(Message::new(
            "EXCEEDED_MAX_ENTITIES",
            &at,
            "An event may have at most 25 parameters.",
        ));
    }
    for (param, value) in params {
        check_param(&mut found, &at, param, value);
    }
    check_money(&mut found, &at, params);
    let transaction = params
        .get("transaction_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if matches!(name, "purchase" | "refund") && transaction.is_empty() {
        let path = format!("{at}.transaction_id");
        found.push(Message::new(
            "VALUE_REQUIRED",
            &path,
            "purchase and refund require a transaction_id.",
        ));
    }
    found
}

fn check_param(found: &mut Vec<Message>, at: &str, name: &str, value: &Value) {
    let path = format!("{at}.{name}");
    if let Err(bad) = names::parameter(name) {
        found.push(Message::bad_name(&path, name, bad));
    }
    let form: Result<(), &str> = match name {
        "items" => {
            check_items(found, &path, value);
            Ok(())
        }
        "session_id" => digits(value),
        "engagement_time_msec" => positive(value),
        "transaction_id" | "coupon" | "currency" => shape::string(value),
        "value" | "tax" | "shipping" => shape::number(value),
        _ => scalar(value),
    };
    if let Err(must) = form {
        found.push(Message::new(
            "VALUE_INVALID",
            &path,
            &format!("[{name}] {must}."),
        ));
    }
    check_length(found, &path, value);
}

fn check_length(found: &mut Vec<Message>, path: &str, value: &Value) {
    if value
        .as_str()
        .is_some_and(|text| text.chars().count() > TEXT_MAX)
    {
        found.push(Message::new(
            "VALUE_OUT_OF_BOUNDS",
            path,
            "A text may have at most 100 characters.",
        ));
    }
}

/// A value needs a currency, and a currency is an ISO code.
fn check_money(found: &mut Vec<Message>, at: &str, params: &Map<String, Value>) {
    let path = format!("{at}.currency");
    match params.get("currency").and_then(Value::as_str) {
        Some(code) if !currency::is_code(code) => {
            found.push(Message::new(
                "VALUE_INVALID",
                &path,
                "currency must be an ISO 4217 code in upper case.",
            ));
        }
        None if params.contains_key("value") => {
            found.push(Message::new(
                "VALUE_REQUIRED",
                &path,
                "currency is required whenever value is set.",
            ));
        }
        _ => {}
    }
}

fn check_items(found: &mut Vec<Message>, path: &str, items: &Value) {
    let Some(items) = items.as_array() else {
        found.push(Message::new(
            "VALUE_INVALID",
            path,
            "items must be a list of objects.",
        ));
        return;
    };
    if items.len() > ITEMS_MAX {
        found.push(Message::new(
            "EXCEEDED_MAX_ENTITIES",
            path,
            "An event may have at most 200 items.",
        ));
    }
    for (index, item) in items.iter().enumerate() {
        check_item(found, &format!("{path}[{index}]"), item);
    }
}

fn check_item(found: &mut Vec<Message>, path: &str, item: &Value) {
    let Some(item) = item.as_object() else {
        found.push(Message::new(
            "VALUE_INVALID",
            path,
            "An item must be an object.",
        ));
        return;
    };
    if !item.contains_key("item_id") && !item.contains_key("item_name") {
        found.push(Message::new(
            "VALUE_REQUIRED",
            path,
            "An item needs item_id or item_name.",
        ));
    }
    let custom_count = item
        .keys()
        .filter(|name| !ITEM_PARAMS.contains(&name.as_str()))
        .count();
    if custom_count > CUSTOM_ITEM_PARAMS_MAX {
        found.push(Message::new(
            "EXCEEDED_MAX_ENTITIES",
            path,
            "An item may have at most 10 custom parameters.",
        ));
    }
    for (name, value) in item {
        let path = format!("{path}.{name}");
        let form = match name.as_str() {
            "price" | "discount" | "quantity" | "index" => shape::number(value),
            _ => scalar(value),
        };
        if let Err(must) = form {
            found.push(Message::new(
                "VALUE_INVALID",
                &path,
                &format!("[{name}] {must}."),
            ));
        }
        check_length(found, &path, value);
    }
}

fn scalar(value: &Value) -> Result<(), &'static str> {
    let fits = matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
    fits.then_some(())
        .ok_or("must be a string, a number or a boolean")
}

fn digits(value: &Value) -> Result<(), &'static str> {
    let text = value
        .as_str()
        .is_some_and(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    (text || value.as_u64().is_some())
        .then_some(())
        .ok_or("must consist of digits")
}

fn positive(value: &Value) -> Result<(), &'static str> {
    let written = value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    written
        .is_some_and(|number| number > 0)
        .then_some(())
        .ok_or("must be a positive integer")
}
