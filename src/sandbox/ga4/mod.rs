//! Emulates the GA4 Measurement Protocol: `/mp/collect` says yes to everything, `/debug/mp/collect` tells what is
//! wrong. What Analytics would make of an event shows in the verdict alone. Shares nothing with the adapter. Not
//! for storing: the ledger does.

mod event;
mod message;
mod names;
mod report;
mod request;
mod user_data;

use axum::http::Method;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::message::Message;
pub(super) use self::report::{answer as answer_report, is_report};
use super::accounts::{Accounts, Standing};
use super::exchange::{
    Arrived, Heard, Judged, Judgement, Platform, Reading, Repeats, Reply, Ruling, scalar_text,
};

const COLLECT: &str = "/mp/collect";
const DEBUG: &str = "/debug/mp/collect";

/// Reads the request without judging it.
pub(super) fn read(arrived: &Arrived) -> Reading {
    let content: Result<Value, String> = serde_json::from_slice(&arrived.body).map_err(|error| {
        format!(
            "the body is not JSON (line {}, column {})",
            error.line(),
            error.column()
        )
    });
    let events = content
        .as_ref()
        .ok()
        .and_then(|body| body.get("events"))
        .and_then(Value::as_array);
    let events = events
        .map(|events| events.iter().map(hear).collect())
        .unwrap_or_default();
    Reading {
        account: arrived
            .query("measurement_id")
            .unwrap_or_default()
            .to_owned(),
        content,
        events,
    }
}

/// What an event says about itself.
pub(super) fn hear(event: &Value) -> Heard {
    let param = |name: &str| {
        event
            .get("params")
            .and_then(|params| params.get(name))
            .and_then(scalar_text)
    };
    Heard {
        event_name: event.get("name").and_then(scalar_text),
        event_id: param("transaction_id").filter(|id| !id.is_empty()),
        account: None,
        value: param("value"),
        currency: param("currency"),
        json: event.to_string(),
    }
}

/// Judges a request: the answer by the path, the verdict by the reference.
pub(super) fn judge(
    arrived: &Arrived,
    reading: &Reading,
    accounts: &Accounts,
    now: DateTime<Utc>,
) -> Judgement {
    let debug = match arrived.path.as_str() {
        COLLECT if arrived.method == Method::POST => false,
        DEBUG if arrived.method == Method::POST => true,
        _ => return not_found(reading),
    };
    let enforce = behavior(reading) == Some("ENFORCE_RECOMMENDATIONS");
    let messages = check(arrived, reading, now);
    let refusal = messages
        .iter()
        .find(|message| message.event.is_none())
        .map(|message| message.description.clone());
    if debug {
        let shown = messages
            .iter()
            .filter(|message| enforce || message.always)
            .map(Message::to_json);
        let reply = Reply::json(
            200,
            &json!({"validationMessages": shown.collect::<Vec<_>>()}),
        );
        let events = (0..reading.events.len())
            .map(|index| validated(&messages, index))
            .collect();
        return Judgement {
            events,
            refusal,
            reply,
        };
    }
    let vanishes = vanishing(arrived, reading, accounts);
    let judge =
        |(index, heard): (usize, &Heard)| match (rejection(&messages, index, enforce), vanishes) {
            (_, Some(why)) => Judged {
                ruling: Ruling::Vanish,
                reason: why.to_owned(),
            },
            // An empty id is an event that Analytics takes and then cannot tell from others.
            (_, None) if has_empty_transaction(heard) => Judged {
                ruling: Ruling::Collapse,
                reason: String::new(),
            },
            (Some(reason), None) => Judged {
                ruling: Ruling::Reject,
                reason,
            },
            (None, None) => take(reading, heard, &messages, index, now),
        };
    let events = reading.events.iter().enumerate().map(judge).collect();
    Judgement {
        events,
        refusal,
        reply: Reply::empty(204),
    }
}

fn not_found(reading: &Reading) -> Judgement {
    let reason = "only POST /mp/collect and POST /debug/mp/collect exist".to_owned();
    let reject = |_: &Heard| Judged {
        ruling: Ruling::Reject,
        reason: reason.clone(),
    };
    let events = reading.events.iter().map(reject).collect();
    Judgement {
        events,
        refusal: Some(reason),
        reply: Reply::empty(404),
    }
}

fn behavior(reading: &Reading) -> Option<&str> {
    reading
        .content
        .as_ref()
        .ok()?
        .get("validation_behavior")?
        .as_str()
}

/// Everything wrong with the request, query parameters first.
fn check(arrived: &Arrived, reading: &Reading, now: DateTime<Utc>) -> Vec<Message> {
    let missing = |name: &&str| arrived.query(name).is_none_or(str::is_empty);
    let of_query = |name: &str| {
        let description = format!("Unable to find non-empty parameter [{name}] value in request.");
        Message::new("VALUE_REQUIRED", name, &description).always()
    };
    let mut messages: Vec<Message> = ["api_secret", "measurement_id"]
        .into_iter()
        .filter(missing)
        .map(of_query)
        .collect();
    match &reading.content {
        Ok(Value::Object(body)) => messages.extend(request::check(body, arrived.body.len(), now)),
        Ok(_) => messages
            .push(Message::new("VALUE_INVALID", "", "The body must be a JSON object.").always()),
        Err(why) => messages.push(Message::new("VALUE_INVALID", "", why).always()),
    }
    messages
}

/// Why Analytics would throw everything away without a word.
fn vanishing(arrived: &Arrived, reading: &Reading, accounts: &Accounts) -> Option<&'static str> {
    let secret = arrived
        .query("api_secret")
        .filter(|secret| !secret.is_empty())?;
    match accounts.standing(Platform::Ga4, &reading.account, secret) {
        Standing::Good => None,
        Standing::UnknownAccount => Some("no such measurement_id: answered, then thrown away"),
        Standing::UnknownToken | Standing::ExpiredToken | Standing::RevokedToken => {
            Some("wrong api_secret: answered, then thrown away")
        }
    }
}

/// The first fault of this event or of the whole request.
fn rejection(messages: &[Message], index: usize, enforce: bool) -> Option<String> {
    let concerns = |message: &&Message| message.event.is_none_or(|event| event == index);
    let counts = |message: &&Message| enforce || !message.about_age;
    let mut found = messages.iter().filter(concerns).filter(counts);
    found.next().map(|message| {
        format!(
            "{} at {}: {}",
            message.code, message.field_path, message.description
        )
    })
}

fn validated(messages: &[Message], index: usize) -> Judged {
    let reason = rejection(messages, index, true).unwrap_or_default();
    Judged {
        ruling: Ruling::Validate,
        reason,
    }
}

/// Whether this is a purchase whose `transaction_id` is the empty string.
fn has_empty_transaction(heard: &Heard) -> bool {
    let event: Value = serde_json::from_str(&heard.json).unwrap_or_default();
    heard.event_name.as_deref() == Some("purchase") && event["params"]["transaction_id"] == ""
}

/// Takes an event: a purchase by its `transaction_id`, anything else by its whole content.
///
/// Only purchases are deduplicated (`support.google.com/analytics/answer/12313109`). The content key makes a
/// resend of any other event show as one that counts twice.
fn take(
    reading: &Reading,
    heard: &Heard,
    messages: &[Message],
    index: usize,
    now: DateTime<Utc>,
) -> Judged {
    let (key, repeats) = match (&heard.event_id, heard.event_name.as_deref()) {
        (Some(id), Some("purchase")) => (id.clone(), Repeats::FirstStands),
        _ => (content_key(reading, heard), Repeats::CountAgain),
    };
    let rewritten = messages
        .iter()
        .any(|message| message.event == Some(index) && message.about_age);
    let reason = if rewritten {
        let floor = (now - request::AGE_MAX).to_rfc3339_opts(SecondsFormat::Secs, true);
        format!("older than 72 hours: its time was rewritten to {floor}")
    } else {
        String::new()
    };
    Judged {
        ruling: Ruling::Take { key, repeats },
        reason,
    }
}

fn content_key(reading: &Reading, heard: &Heard) -> String {
    let of_request = |name: &str| {
        reading
            .content
            .as_ref()
            .ok()
            .and_then(|body| body.get(name))
            .map(Value::to_string)
    };
    let mut hasher = Sha256::new();
    for part in [
        of_request("client_id"),
        of_request("timestamp_micros"),
        Some(heard.json.clone()),
    ] {
        hasher.update(part.unwrap_or_default());
        hasher.update([0]);
    }
    let hex: String = hasher
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests;
