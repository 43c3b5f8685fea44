//! Checks user-provided data: hashed by the sender, in lowercase hex, and never in clear text
//! (`developers.google.com/analytics/devguides/collection/ga4/uid-data`). Not for what was hashed.

use serde_json::{Map, Value};

use super::message::Message;
use super::request::check_fields;
use crate::sandbox::shape::{self, Fields};

const FIELDS: &Fields = &[
    ("sha256_email_address", shape::sha256_or_list),
    ("sha256_phone_number", shape::sha256_or_list),
    ("address", addresses),
];

const ADDRESS: &Fields = &[
    ("sha256_first_name", shape::sha256_or_list),
    ("sha256_last_name", shape::sha256_or_list),
    ("sha256_street", shape::sha256_or_list),
    ("city", shape::filled_string),
    ("region", shape::filled_string),
    ("postal_code", shape::filled_string),
    ("country", country),
];

/// Most entries of each kind.
const MOST: [(&str, usize); 3] = [
    ("sha256_email_address", 3),
    ("sha256_phone_number", 3),
    ("address", 2),
];

/// Everything wrong with `user_data`.
pub(super) fn check(user_data: &Map<String, Value>) -> Vec<Message> {
    let mut found = Vec::new();
    check_fields(&mut found, "user_data", user_data, FIELDS);
    for (name, most) in MOST {
        if user_data
            .get(name)
            .and_then(Value::as_array)
            .is_some_and(|list| list.len() > most)
        {
            let description = format!("At most {most} entries are allowed.");
            found.push(Message::new(
                "EXCEEDED_MAX_ENTITIES",
                &format!("user_data.{name}"),
                &description,
            ));
        }
    }
    for address in as_list(user_data.get("address")) {
        if let Some(fields) = address.as_object() {
            check_fields(&mut found, "user_data.address", fields, ADDRESS);
        }
    }
    found
}

fn as_list(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(list)) => list,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
}

fn addresses(value: &Value) -> Result<(), &'static str> {
    let fits = as_list(Some(value)).iter().all(Value::is_object);
    fits.then_some(())
        .ok_or("must be an object or a list of objects")
}

fn country(value: &Value) -> Result<(), &'static str> {
    let fits = value
        .as_str()
        .is_some_and(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic()));
    fits.then_some(())
        .ok_or("must be an ISO 3166-1 code of two letters")
}
