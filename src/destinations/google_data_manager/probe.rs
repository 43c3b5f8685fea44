//! Asking Data Manager whether it would take an event of an action, without telling it one.

use chrono::{DateTime, Utc};
use serde_json::json;
use url::Url;

use super::super::google::probe::{MARK, Sample, email};
use super::super::{HttpRequest, Item, Reply};
use super::{EventSource, Settings, classify, request, timestamp};
use crate::outcome::Answer;

/// An event of nobody for one conversion action, to be validated only. Google then looks at account, action and form, and
/// not at what it would find later. Source: google.ads.datamanager.v1, `IngestEventsRequest.validate_only`.
pub fn probe(
    settings: &Settings,
    base_url: &Url,
    action: &str,
    sample: Sample,
    now: DateTime<Utc>,
) -> HttpRequest {
    let source = settings.event_source_of_action(action);
    let mut event = json!({
        "destinationReferences": [action],
        "transactionId": MARK,
        "eventTimestamp": timestamp(now),
        "eventSource": source.unwrap_or(EventSource::Web).name(),
    });
    match sample {
        Sample::Email => {
            event["userData"] = json!({ "userIdentifiers": [{ "emailAddress": email() }] });
        }
        Sample::Click => event["adIdentifiers"] = json!({ "gclid": MARK }),
    }
    let item = Item::new(event.to_string()).of("", action);
    request(&validating(settings), base_url, &[&item])
}

/// What the answer to [`probe`] says.
pub fn classify_probe(settings: &Settings, reply: &Reply) -> Answer {
    classify(&validating(settings), reply, 1)
}

fn validating(settings: &Settings) -> Settings {
    Settings {
        validate_only: true,
        ..settings.clone()
    }
}
