//! Emulates LinkedIn's Conversions API: conversion events one by one and in batches, the list of conversion rules,
//! and the token endpoint. Strict by LinkedIn's documentation, and all or nothing as LinkedIn is: one bad event
//! refuses the batch. Shares nothing with the adapter. Not for storing: the ledger does.
//!
//! Source: learn.microsoft.com/en-us/linkedin/marketing/integrations/ads-reporting/conversions-api and
//! …/conversions-api-schema, both of 2026-09-16. Where the live API was measured to be laxer, [`Mode`] decides.

mod clients;
mod error;
mod events;
mod headers;
mod identity;
mod report;
mod rules;
mod schema;
mod token_endpoint;
mod tokens;
mod values;
mod versions;
mod world;

use axum::http::Method;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use self::clients::OAuthClient;
pub(super) use self::error::scripted;
pub(super) use self::report::{REPORT_PATH, answer as answer_report};
pub use self::rules::ConversionRule;
pub use self::tokens::{AccessToken, LIST_SCOPE, REPORT_SCOPE, SEND_SCOPE};
pub use self::world::{Mode, Setup, World};
use super::exchange::{Arrived, Heard, Judgement, Reading, Reply, scalar_text};
use super::faults::Processing;

/// Where conversion events are sent to.
const EVENTS_PATH: &str = "/rest/conversionEvents";

/// Where conversion rules are listed.
pub(super) const RULES_PATH: &str = "/rest/conversions";

/// Where LinkedIn's tokens come from.
pub(super) const TOKEN_PATH: &str = "/oauth/v2/accessToken";

/// A text that stands in each event once.
pub(super) const SINK_MARKER: &str = "\"conversionHappenedAt\"";

/// What every conversion rule's URN begins with: the namespace is `lla`, not `li`.
const RULE_PREFIX: &str = "urn:lla:llaPartnerConversion:";

/// Reads the request without judging it. The world tells which ad account an event's rule belongs to.
pub(super) fn read(arrived: &Arrived, world: &World) -> Reading {
    if arrived.path != EVENTS_PATH {
        return Reading::nothing();
    }
    let content = serde_json::from_slice::<Value>(&arrived.body).map_err(|error| {
        format!(
            "the body is not JSON (line {}, column {})",
            error.line(),
            error.column()
        )
    });
    let events: Vec<Heard> = match &content {
        Ok(Value::Object(fields)) => match fields.get("elements") {
            Some(Value::Array(elements)) => elements.iter().map(|it| hear(it, world)).collect(),
            _ => content.iter().map(|event| hear(event, world)).collect(),
        },
        _ => Vec::new(),
    };
    let account = events.iter().find_map(|heard| heard.account.clone());
    Reading {
        account: account.unwrap_or_default(),
        content,
        events,
    }
}

/// What an event says about itself.
fn hear(event: &Value, world: &World) -> Heard {
    let value = |name: &str| {
        event
            .get("conversionValue")
            .and_then(|value| value.get(name))
            .and_then(scalar_text)
    };
    let rule = event.get("conversion").and_then(scalar_text);
    let rule = rule.map(|urn| urn.strip_prefix(RULE_PREFIX).unwrap_or(&urn).to_owned());
    let known = rule.as_deref().and_then(|id| world.rule(id));
    Heard {
        account: known.map(|rule| rule.account.clone()),
        event_name: rule,
        event_id: event
            .get("eventId")
            .and_then(scalar_text)
            .filter(|id| !id.is_empty()),
        value: value("amount"),
        currency: value("currencyCode"),
        json: event.to_string(),
    }
}

/// Judges a request.
pub(super) fn judge(
    arrived: &Arrived,
    reading: &Reading,
    world: &mut World,
    processing: &Processing,
    now: DateTime<Utc>,
) -> Judgement {
    let wanted = match arrived.path.as_str() {
        EVENTS_PATH | TOKEN_PATH => Method::POST,
        RULES_PATH => Method::GET,
        _ => return Judgement::refused(reading, "there is no such resource", error::not_found()),
    };
    let mut judgement = match arrived.path.as_str() {
        _ if arrived.method != wanted => {
            let reason = "this resource has no such method";
            Judgement::refused(reading, reason, error::plain(405, "Method Not Allowed"))
        }
        TOKEN_PATH => Judgement::of_call(token_endpoint::answer(arrived, world, now)),
        RULES_PATH => Judgement::of_call(rules::answer(arrived, world, now)),
        _ => events::judge(arrived, reading, world, processing, now),
    };
    judgement.reply = traced(judgement.reply, arrived, now);
    judgement
}

/// With the headers by which LinkedIn finds a call again.
fn traced(reply: Reply, arrived: &Arrived, now: DateTime<Utc>) -> Reply {
    let mut hasher = Sha256::new();
    hasher.update(now.timestamp_micros().to_be_bytes());
    hasher.update(&arrived.body);
    let digest = hasher.finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    reply
        .with_header("x-li-uuid", format!("AAY{}", &hex[..24]))
        .with_header("x-li-fabric", "sandbox")
        .with_header("x-li-request-id", &hex[24..40])
}

/// What a sink answers.
pub(super) fn sink_reply(event_count: usize) -> Reply {
    if event_count == 1 {
        return Reply::empty(201);
    }
    Reply::json(
        200,
        &json!({"elements": vec![json!({"status": 201}); event_count]}),
    )
}

#[cfg(test)]
mod tests;
