//! Asking GA4 without telling it anything, and marking an event as a test.

use serde_json::{Value, json};
use url::Url;

use super::super::{HttpRequest, Item, Reply};
use super::{Mode, Settings, classify, request};
use crate::outcome::Answer;

/// An event of nobody for the validating address, which records nothing. Source: validating-events.
pub fn probe(settings: &Settings, base_url: &Url) -> HttpRequest {
    let body = json!({
        "client_id": "1.1",
        "validation_behavior": "ENFORCE_RECOMMENDATIONS",
        "events": [{ "name": "conversion_outbox_probe", "params": { "engagement_time_msec": 1 } }],
    });
    request(
        &validating(settings),
        base_url,
        &[&Item::new(body.to_string())],
    )
}

/// What the answer to [`probe`] says.
pub fn classify_probe(settings: &Settings, reply: &Reply) -> Answer {
    classify(&validating(settings), reply)
}

/// The same event, shown in DebugView; it counts all the same. Source: reference, `debug_mode`.
pub fn in_debug_view(item: &Item) -> Item {
    let mut body: Value = serde_json::from_str(&item.payload).expect("an item is JSON");
    body["events"][0]["params"]["debug_mode"] = true.into();
    Item::new(body.to_string())
}

fn validating(settings: &Settings) -> Settings {
    Settings {
        mode: Mode::ValidateOnly,
        ..settings.clone()
    }
}
