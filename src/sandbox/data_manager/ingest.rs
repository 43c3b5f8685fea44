//! Judges `events:ingest`: all or nothing for what the answer tells, event by event for what processing makes of it
//! (`developers.google.com/data-manager/api/devguides/events/google-ads/offline/upgrade`). Not for the checks
//! themselves.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::body::{self, Aim};
use super::checks;
use super::processing::{self, Outcome};
use super::requests::Processed;
use super::schema::REQUEST;
use super::violation::{self, Violation};
use crate::sandbox::exchange::{Arrived, Judged, Judgement, Reading, Reply, Ruling};
use crate::sandbox::faults::Processing;
use crate::sandbox::google::{self, error, proto_json};

/// Judges a request whose token is good. `id` is its request id.
pub(super) fn judge(
    arrived: &Arrived,
    reading: &Reading,
    world: &mut google::World,
    faults: &Processing,
    id: String,
    now: DateTime<Utc>,
) -> Judgement {
    let body = match proto_json::read(&REQUEST, &arrived.body) {
        Ok(body) => body,
        Err(wrongs) => {
            let reasons: Vec<&str> = wrongs.iter().map(|it| it.reason.as_str()).collect();
            let reply = error::invalid_payload(&wrongs);
            return Judgement::refused(reading, &reasons.join(" "), reply);
        }
    };
    let aims = body::aims(&body);
    let violations = checks::request(&body, world, now);
    if !violations.is_empty() {
        return Judgement {
            events: aims
                .iter()
                .map(|aim| rejected(&violations, aim.event))
                .collect(),
            refusal: Some(texts(&violations)),
            reply: violation::refusal(&violations, &id),
        };
    }
    let reply = Reply::json(200, &answer(&body, &id));
    if body["validate_only"] == true {
        let validated = |_: &Aim| judged(Ruling::Validate, "");
        return Judgement {
            events: aims.iter().map(validated).collect(),
            refusal: None,
            reply,
        };
    }
    let mut processed = Processed::new(&body, &id, now, now + world.data_manager.delay(faults));
    let mut events = Vec::new();
    for (index, aim) in aims.into_iter().enumerate() {
        let scripted = faults.errors.get(&index).map(String::as_str);
        let outcome = processing::process(&body, aim, scripted, world, now);
        let reason = match &outcome {
            Outcome::Taken(_) => None,
            Outcome::Failed(reason) => Some(reason.as_str()),
        };
        processed.count(aim, reason);
        events.push(match outcome {
            Outcome::Taken(ruling) => judged(ruling, ""),
            Outcome::Failed(reason) => judged(Ruling::Drop, &reason),
        });
    }
    world.data_manager.requests.put(id, processed);
    Judgement {
        events,
        refusal: None,
        reply,
    }
}

fn judged(ruling: Ruling, reason: &str) -> Judged {
    Judged {
        ruling,
        reason: reason.to_owned(),
    }
}

/// An event of a refused request: its own faults, or why it goes down with the others.
fn rejected(violations: &[Violation], event: usize) -> Judged {
    let own: Vec<Violation> = violations
        .iter()
        .filter(|it| it.is_about(event))
        .cloned()
        .collect();
    let reason = if own.is_empty() {
        let first = violations.first().map(Violation::text).unwrap_or_default();
        format!("the whole request was refused for {first}")
    } else {
        texts(&own)
    };
    judged(Ruling::Reject, &reason)
}

fn texts(violations: &[Violation]) -> String {
    let texts: Vec<String> = violations.iter().map(Violation::text).collect();
    texts.join("; ")
}

/// The answer to a good request, with warnings where something in it is not used.
fn answer(body: &Value, id: &str) -> Value {
    let mut answer = Map::new();
    answer.insert("requestId".to_owned(), id.into());
    let warnings: Vec<Value> = body::list(body, "events")
        .iter()
        .enumerate()
        .filter(|(_, event)| {
            let clicks = &event["ad_identifiers"];
            let has_braid = clicks["gbraid"].is_string() || clicks["wbraid"].is_string();
            event["cart_data"].is_object() && has_braid
        })
        .map(|(index, _)| {
            json!({"reason": "WARNING_REASON_CART_DATA_NOT_SUPPORTED_WITH_GBRAID_OR_WBRAID",
                "description": "Cart data is not supported with gbraid or wbraid.",
                "field": format!("events[{index}].cart_data")})
        })
        .collect();
    if !warnings.is_empty() {
        answer.insert("fieldWarnings".to_owned(), warnings.into());
    }
    Value::Object(answer)
}
