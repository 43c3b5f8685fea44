//! The body of `events:ingest` as it arrived, before anything is judged: which event is for which destination. Not
//! for parsing it strictly, which `google::proto_json` does.

use serde_json::Value;

use crate::sandbox::exchange::{Heard, scalar_text};
use crate::sandbox::google::proto_json::camel_case;

/// An event for one of its destinations, by their indexes. An event that names no destination of the request has
/// none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aim {
    pub(super) event: usize,
    pub(super) destination: Option<usize>,
}

/// Every event with every destination it is for, in order. An event without references is for all of them.
pub(super) fn aims(body: &Value) -> Vec<Aim> {
    let destinations = list(body, "destinations");
    let mut aims = Vec::new();
    for (event, content) in list(body, "events").iter().enumerate() {
        let wanted = list(content, "destination_references");
        let takes = |destination: &Value| {
            wanted.is_empty()
                || get(destination, "reference").is_some_and(|reference| wanted.contains(reference))
        };
        let before = aims.len();
        let taking = destinations.iter().enumerate();
        aims.extend(
            taking
                .filter(|(_, destination)| takes(destination))
                .map(|(index, _)| Aim {
                    event,
                    destination: Some(index),
                }),
        );
        if aims.len() == before {
            aims.push(Aim {
                event,
                destination: None,
            });
        }
    }
    aims
}

/// What an event says about itself, at one of its destinations.
pub(super) fn hear(body: &Value, aim: Aim) -> Heard {
    let event = &list(body, "events")[aim.event];
    let destination = aim
        .destination
        .map(|index| &list(body, "destinations")[index]);
    let text = |name: &str| get(event, name).and_then(scalar_text);
    Heard {
        event_name: destination
            .and_then(|it| get(it, "product_destination_id"))
            .and_then(scalar_text),
        event_id: text("transaction_id").filter(|id| !id.is_empty()),
        account: destination.and_then(account),
        value: text("conversion_value"),
        currency: text("currency"),
        json: event.to_string(),
    }
}

/// The operating account of a destination.
pub(super) fn account(destination: &Value) -> Option<String> {
    let account = get(destination, "operating_account")?;
    get(account, "account_id").and_then(scalar_text)
}

/// A field by its name in snake_case, however it was written. Null is absent.
pub(super) fn get<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let found = object.get(name).or_else(|| object.get(camel_case(name)));
    found.filter(|value| !value.is_null())
}

/// A list by its name in snake_case; empty if it is none.
pub(super) fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    get(object, name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
