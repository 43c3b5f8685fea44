//! Judges `POST /rest/conversionEvents`: version, token, schema, rules, time, identity, in this order. Measured is that
//! schema and URN errors come together and before the time; the rest of the order is not documented. Not for any of
//! the checks on one field.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::rules::API_METHOD;
use super::tokens::{AccessToken, SEND_SCOPE};
use super::world::{Mode, World};
use super::{RULE_PREFIX, error, headers, identity, schema, values};
use crate::sandbox::exchange::{
    Arrived, Heard, Judged, Judgement, Reading, Repeats, Reply, Ruling,
};
use crate::sandbox::faults::Processing;

/// Most events in one batch (`…/conversions-api`, section "Streaming Multiple Conversion Events").
const BATCH_MAX: usize = 5000;

/// How old an event may be.
const AGE_MAX: TimeDelta = TimeDelta::days(90);

/// Why a request is refused.
struct Refusal {
    reply: Reply,
    /// For the ledger.
    reason: String,
    /// What is wrong with single events, by their index.
    culprits: BTreeMap<usize, String>,
}

impl Refusal {
    fn of_all(reason: &str, reply: Reply) -> Refusal {
        Refusal {
            reply,
            reason: reason.to_owned(),
            culprits: BTreeMap::new(),
        }
    }

    /// A refusal with a plain message.
    fn plain(status: u16, message: &str) -> Refusal {
        Refusal::of_all(message, error::plain(status, message))
    }

    /// A refusal of events at some indices. The message lists them even where there is only one event (measured).
    fn at(status: u16, message: &str, indices: &[usize], end: &str) -> Refusal {
        let list: Vec<String> = indices.iter().map(usize::to_string).collect();
        let full = format!("{message}, indices [{}] (0-indexed){end}", list.join(", "));
        Refusal {
            reply: error::plain(status, &full),
            culprits: indices
                .iter()
                .map(|index| (*index, message.to_owned()))
                .collect(),
            reason: full,
        }
    }

    fn judgement(self, reading: &Reading) -> Judgement {
        if self.culprits.is_empty() {
            return Judgement::refused(reading, &self.reason, self.reply);
        }
        let indices: Vec<String> = self.culprits.keys().map(usize::to_string).collect();
        let others = format!(
            "the whole batch was refused for the events [{}]",
            indices.join(", ")
        );
        let judged = |index: usize| Judged {
            ruling: Ruling::Reject,
            reason: self.culprits.get(&index).unwrap_or(&others).clone(),
        };
        Judgement {
            events: (0..reading.events.len()).map(judged).collect(),
            refusal: Some(self.reason.clone()),
            reply: self.reply,
        }
    }
}

/// Judges the request: everything in it is taken, or nothing.
pub(super) fn judge(
    arrived: &Arrived,
    reading: &Reading,
    world: &World,
    processing: &Processing,
    now: DateTime<Utc>,
) -> Judgement {
    match check(arrived, reading, world, now) {
        Ok(accepted) => accepted.judgement(reading, processing),
        Err(refusal) => refusal.judgement(reading),
    }
}

/// A request without a fault.
struct Accepted {
    is_batch: bool,
    /// What keeps each event from ever being matched; empty where nothing does.
    flags: Vec<String>,
}

fn check(
    arrived: &Arrived,
    reading: &Reading,
    world: &World,
    now: DateTime<Utc>,
) -> Result<Accepted, Refusal> {
    let version = world.versions.of(arrived, now);
    let version = version.map_err(|(reason, reply)| Refusal::of_all(reason, reply))?;
    let access = world.tokens.check(arrived, SEND_SCOPE, now);
    let access = access.map_err(|coded| Refusal::of_all(coded.code, coded.reply()))?;
    headers::protocol(arrived, world.mode).map_err(|must| Refusal::plain(400, must))?;
    if !headers::is_json(arrived) {
        return Err(Refusal::plain(415, "Content-Type must be application/json"));
    }
    let is_batch = headers::is_batch(arrived).map_err(|must| Refusal::plain(400, must))?;
    let content = reading.content.as_ref();
    let content = content.map_err(|why| Refusal::plain(400, why))?;
    let events = if is_batch {
        elements(content)?
    } else {
        std::slice::from_ref(content)
    };
    let flags = check_shape(events, is_batch, version, world.mode)?;
    check_rules(events, world, access)?;
    check_times(events, now)?;
    check_identities(events, world.mode)?;
    Ok(Accepted { is_batch, flags })
}

/// The events of a batch.
fn elements(content: &Value) -> Result<&[Value], Refusal> {
    let object = content.as_object().filter(|object| object.len() == 1);
    let elements = object.and_then(|object| object.get("elements"));
    let elements = elements.and_then(Value::as_array).ok_or_else(|| {
        Refusal::plain(
            400,
            "a BATCH_CREATE body must be an object with a list elements and nothing else",
        )
    })?;
    if (1..=BATCH_MAX).contains(&elements.len()) {
        Ok(elements)
    } else {
        Err(Refusal::plain(
            400,
            "a batch must hold from 1 to 5000 events",
        ))
    }
}

/// Collects every error of every event in one answer; gives what the observed mode only flags.
fn check_shape(
    events: &[Value],
    is_batch: bool,
    version: u32,
    mode: Mode,
) -> Result<Vec<String>, Refusal> {
    let mut message = String::new();
    let mut culprits = BTreeMap::new();
    let mut flags = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let mut flaws = schema::flaws(event, version);
        let unusable = values::flaws(event);
        let flag = unusable.iter().map(schema::Flaw::line);
        flags.push(flag.collect::<Vec<_>>().join("; "));
        if mode == Mode::Strict {
            flaws.extend(unusable);
        }
        let lines: Vec<String> = flaws.iter().map(schema::Flaw::line).collect();
        if lines.is_empty() {
            continue;
        }
        // Only an event's first line names its index.
        if is_batch {
            message.push_str(&format!("Index: {index}, "));
        }
        for line in &lines {
            message.push_str(line);
            message.push('\n');
        }
        culprits.insert(index, lines.join("; "));
    }
    if culprits.is_empty() {
        return Ok(flags);
    }
    Err(Refusal {
        reply: error::plain(422, &message),
        reason: message.trim_end().replace('\n', "; "),
        culprits,
    })
}

/// Looks every rule up.
fn check_rules(
    events: &[Value],
    world: &World,
    access: Option<&AccessToken>,
) -> Result<(), Refusal> {
    if world.rules.is_empty() {
        return Ok(());
    }
    let rule = |event: &Value| {
        let urn = event.get("conversion").and_then(Value::as_str);
        let id = urn.and_then(|urn| urn.strip_prefix(RULE_PREFIX));
        let rule = id.and_then(|id| world.rule(id));
        rule.filter(|rule| access.is_none_or(|token| token.may_use(&rule.account)))
    };
    let unknown = indices(events, |event| rule(event).is_none());
    if !unknown.is_empty() {
        // Measured for a rule that does not exist, whatever the words say.
        let message = "No ad accounts found";
        return Err(Refusal {
            culprits: unknown
                .into_iter()
                .map(|index| (index, format!("{message}: this rule is not known")))
                .collect(),
            ..Refusal::plain(403, message)
        });
    }
    let disabled = indices(events, |event| {
        rule(event).is_some_and(|rule| !rule.enabled)
    });
    if !disabled.is_empty() {
        let message = "Incorrect conversions information provided. Cannot send events for a conversion that's marked \
            as deleted. Conversion enabled should be true";
        return Err(Refusal::at(400, message, &disabled, ""));
    }
    let other = |event: &Value| rule(event).is_some_and(|rule| rule.method != API_METHOD);
    let wrong = indices(events, other);
    if !wrong.is_empty() {
        let message = "Incorrect conversions information provided. Conversion's method should be CONVERSIONS_API";
        return Err(Refusal::at(400, message, &wrong, ""));
    }
    Ok(())
}

fn check_times(events: &[Value], now: DateTime<Utc>) -> Result<(), Refusal> {
    let is_late_or_early = |event: &Value| {
        let millis = event.get("conversionHappenedAt").and_then(Value::as_i64);
        let at = millis.and_then(DateTime::from_timestamp_millis);
        !at.is_some_and(|at| at <= now && now - at <= AGE_MAX)
    };
    let wrong = indices(events, is_late_or_early);
    if wrong.is_empty() {
        return Ok(());
    }
    let message = "Conversion time should be within 90 days and not exceed current time";
    Err(Refusal::at(400, message, &wrong, "."))
}

fn check_identities(events: &[Value], mode: Mode) -> Result<(), Refusal> {
    let wrong = indices(events, |event| !identity::is_identified(event, mode));
    if wrong.is_empty() {
        return Ok(());
    }
    let message = "INVALID_USER_IDENTIFICATION_FIELD_VALUE: user must contain one of these fields: userIds, userInfo \
        with first and last name, externalIds, lead";
    Err(Refusal::at(400, message, &wrong, "."))
}

/// The indices of the events of which something holds.
fn indices(events: &[Value], holds: impl Fn(&Value) -> bool) -> Vec<usize> {
    let numbered = events.iter().enumerate();
    numbered
        .filter(|(_, event)| holds(event))
        .map(|(index, _)| index)
        .collect()
}

impl Accepted {
    /// Takes every event, but those to which a fault rule gives another status.
    fn judgement(self, reading: &Reading, processing: &Processing) -> Judgement {
        let statuses = &processing.element_statuses;
        let numbered = reading.events.iter().zip(self.flags).enumerate();
        let events = numbered.map(|(index, (heard, flag))| match statuses.get(&index) {
            Some(status) => Judged {
                ruling: Ruling::Reject,
                reason: format!("a fault rule answered {status} for this event; it was not stored"),
            },
            None => take(heard, &flag),
        });
        Judgement {
            events: events.collect(),
            refusal: None,
            reply: answer(self.is_batch, reading.events.len(), processing),
        }
    }
}

/// Takes an event under its id; without one its content stands in, so that repeats show.
fn take(heard: &Heard, flag: &str) -> Judged {
    let (key, repeats) = match &heard.event_id {
        Some(id) => (id.clone(), Repeats::TagStands),
        None => {
            let digest = Sha256::digest(&heard.json);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            (format!("sha256:{hex}"), Repeats::CountAgain)
        }
    };
    let reason = if flag.is_empty() {
        String::new()
    } else {
        format!("would_not_match: {flag}")
    };
    Judged {
        ruling: Ruling::Take { key, repeats },
        reason,
    }
}

/// 201 without a body for one event; for a batch 200 with a status for each, in order. An element that failed carries
/// an error as Rest.li's batches do (`linkedin.github.io/rest.li/spec/protocol`, "Batch Create").
fn answer(is_batch: bool, event_count: usize, processing: &Processing) -> Reply {
    let scripted = "Scripted by a fault rule of the sandbox";
    let statuses = &processing.element_statuses;
    if !is_batch {
        return match statuses.get(&0) {
            Some(status) => error::plain(*status, scripted),
            // Measured: it names an object of LinkedIn's own, not the event.
            None => Reply::empty(201)
                .with_header("location", "/conversionEvents/com.linkedin.sandbox.Created"),
        };
    }
    let element = |index: usize| match statuses.get(&index) {
        Some(status) => {
            json!({"status": status, "error": {"status": status, "message": scripted}})
        }
        None => json!({"status": 201}),
    };
    let elements: Vec<Value> = (0..event_count).map(element).collect();
    Reply::json(200, &json!({"elements": elements}))
}
