//! Emulates Meta's Conversions API: path, token, batch, answer. Strict by Meta's documentation, and all or nothing
//! as Meta is: one bad event refuses the batch. Shares nothing with the adapter. Not for storing: the ledger does.

mod body;
mod custom_data;
mod event;
pub(super) mod refusal;
mod report;
mod user_data;

use axum::http::{Method, header};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::refusal::{Refusal, trace_id};
pub(super) use self::report::{answer as answer_report, is_report};
use super::accounts::{Accounts, Standing};
use super::exchange::{
    Arrived, Heard, Judged, Judgement, Platform, Reading, Repeats, Reply, Ruling, scalar_text,
};
use super::shape;

/// Most events in one request (`…/conversions-api/using-the-api`).
const EVENTS_MAX: usize = 1000;

/// The newest version there is, and when older ones expire
/// (`developers.facebook.com/docs/graph-api/changelog/versions`, read 2026-11).
const NEWEST_VERSION: u32 = 26;
const EXPIRES: [(u32, (i32, u32, u32)); 5] = [
    (25, (2028, 7, 29)),
    (24, (2028, 2, 18)),
    (23, (2027, 10, 8)),
    (22, (2027, 5, 20)),
    (21, (2027, 1, 21)),
];

/// Which of two contradicting sources about a website event without a user agent holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaMode {
    /// Refused, as the documentation says.
    #[default]
    Docs,
    /// Taken, as observed on v26.0.
    Observed,
}

/// Reads the request without judging it.
pub(super) fn read(arrived: &Arrived) -> Reading {
    let content = body::read(arrived);
    let data = content
        .as_ref()
        .ok()
        .and_then(|fields| fields.get("data"))
        .and_then(Value::as_array);
    let events = data
        .map(|events| events.iter().map(hear).collect())
        .unwrap_or_default();
    let account = path_parts(&arrived.path)
        .map(|(_, id)| id.to_owned())
        .unwrap_or_default();
    Reading {
        account,
        content,
        events,
    }
}

/// What an event says about itself.
pub(super) fn hear(event: &Value) -> Heard {
    let text = |name: &str| event.get(name).and_then(scalar_text);
    let custom = |name: &str| {
        event
            .get("custom_data")
            .and_then(|data| data.get(name))
            .and_then(scalar_text)
    };
    Heard {
        event_name: text("event_name"),
        event_id: text("event_id").filter(|id| !id.is_empty()),
        account: None,
        value: custom("value"),
        currency: custom("currency"),
        json: event.to_string(),
    }
}

/// The key by which Meta knows an event again; without an id, its content stands in so that repeats show.
pub(super) fn key(heard: &Heard) -> (String, Repeats) {
    match &heard.event_id {
        Some(id) => (id.clone(), Repeats::DropAcrossChannels),
        None => (
            format!("sha256:{}", trace_id(&[heard.json.as_bytes()])),
            Repeats::CountAgain,
        ),
    }
}

/// Judges a request as Meta does: the whole batch before anything is stored, the first fault as the answer.
pub(super) fn judge(
    arrived: &Arrived,
    reading: &Reading,
    accounts: &Accounts,
    mode: MetaMode,
    now: DateTime<Utc>,
) -> Judgement {
    let trace = trace_id(&[
        arrived.path.as_bytes(),
        &now.timestamp_micros().to_be_bytes(),
        &arrived.body,
    ]);
    match check(arrived, reading, accounts, mode, now) {
        Ok(expired) => {
            let count = reading.events.len();
            let reply = Reply::json(
                200,
                &json!({"events_received": count, "messages": [], "fbtrace_id": trace}),
            );
            let reply = if expired {
                with_version_warning(reply)
            } else {
                reply
            };
            let take = |heard: &Heard| {
                let (key, repeats) = key(heard);
                Judged {
                    ruling: Ruling::Take { key, repeats },
                    reason: String::new(),
                }
            };
            Judgement {
                events: reading.events.iter().map(take).collect(),
                refusal: None,
                reply,
            }
        }
        Err(Refused { refusal, culprit }) => {
            let reason = refusal.reason();
            let judged = |index: usize| match culprit {
                Some(culprit) if culprit != index => {
                    let reason =
                        format!("the whole batch was refused for event {culprit}: {reason}");
                    Judged {
                        ruling: Ruling::Reject,
                        reason,
                    }
                }
                _ => Judged {
                    ruling: Ruling::Reject,
                    reason: reason.clone(),
                },
            };
            let events = (0..reading.events.len()).map(judged).collect();
            Judgement {
                events,
                reply: refusal.reply(&trace),
                refusal: Some(reason),
            }
        }
    }
}

/// A refusal, and which event caused it if one did.
struct Refused {
    refusal: Refusal,
    culprit: Option<usize>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused {
            refusal,
            culprit: None,
        }
    }
}

/// Every check in Meta's order: path, token, dataset, body, events. Says whether the version is an expired one.
fn check(
    arrived: &Arrived,
    reading: &Reading,
    accounts: &Accounts,
    mode: MetaMode,
    now: DateTime<Utc>,
) -> Result<bool, Refused> {
    let (version, account) = path_parts(&arrived.path).ok_or_else(Refusal::unknown_path)?;
    let expired = version_expired(version, now).ok_or_else(Refusal::unknown_path)?;
    if arrived.method != Method::POST {
        return Err(Refusal::unknown_path().into());
    }
    let token = token(arrived, reading)?;
    check_standing(accounts.standing(Platform::Meta, account, &token), account)?;
    let fields = reading
        .content
        .as_ref()
        .map_err(|why| Refusal::parameter("body", why, None))?;
    let empty = Map::new();
    let data = check_request(fields.as_object().unwrap_or(&empty))?;
    for (index, event) in data.iter().enumerate() {
        event::check(event, mode, now).map_err(|wrong| {
            let field = format!("data[{index}]{}", wrong.field);
            Refused {
                refusal: Refusal::parameter(&field, wrong.must, wrong.subcode),
                culprit: Some(index),
            }
        })?;
    }
    Ok(expired)
}

/// Version and dataset id of `/{version}/{digits}/events`.
fn path_parts(path: &str) -> Option<(&str, &str)> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let (version, id, edge) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    (digits && edge == "events" && parts.next().is_none()).then_some((version, id))
}

/// Whether a version has expired; none if it never existed. Graph serves an expired version by the oldest usable
/// one (`developers.facebook.com/docs/graph-api/guides/versioning`).
fn version_expired(version: &str, now: DateTime<Utc>) -> Option<bool> {
    let major: u32 = version
        .strip_prefix('v')?
        .strip_suffix(".0")?
        .parse()
        .ok()?;
    let exists = (1..=NEWEST_VERSION).contains(&major) && version == format!("v{major}.0");
    let date = EXPIRES
        .iter()
        .find(|(version, _)| *version == major)
        .map(|(_, date)| *date);
    let usable = |(year, month, day)| {
        NaiveDate::from_ymd_opt(year, month, day).is_some_and(|end| now.date_naive() < end)
    };
    exists.then(|| major != NEWEST_VERSION && !date.is_some_and(usable))
}

/// The one token of the request, from header, query or body.
fn token(arrived: &Arrived, reading: &Reading) -> Result<String, Refusal> {
    let header = arrived
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = header
        .and_then(|value| value.split_once(' '))
        .filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    let fields = reading.content.as_ref().ok();
    let inside = fields
        .and_then(|fields| fields.get("access_token"))
        .and_then(Value::as_str);
    let places = [
        bearer.map(|(_, token)| token.trim()),
        arrived.query("access_token"),
        inside,
    ];
    let mut tokens = places
        .into_iter()
        .flatten()
        .filter(|token| !token.is_empty());
    let token = tokens.next().ok_or_else(|| {
        Refusal::token(
            None,
            "An access token is required to request this resource.",
        )
    })?;
    if tokens.any(|other| other != token) {
        return Err(Refusal::token(
            None,
            "Different access tokens in header, query and body.",
        ));
    }
    Ok(token.to_owned())
}

fn check_standing(standing: Standing, account: &str) -> Result<(), Refusal> {
    match standing {
        Standing::Good => Ok(()),
        Standing::UnknownAccount => Err(Refusal::unknown_dataset(account)),
        Standing::UnknownToken => Err(Refusal::token(
            None,
            "Invalid OAuth access token - Cannot parse access token",
        )),
        Standing::ExpiredToken => Err(Refusal::token(
            Some(463),
            "Error validating access token: Session has expired",
        )),
        Standing::RevokedToken => Err(Refusal::token(
            Some(460),
            "Error validating access token: The session has been invalidated",
        )),
    }
}

/// The fields beside `data`, and how many events there are.
fn check_request(fields: &Map<String, Value>) -> Result<&Vec<Value>, Refusal> {
    let known: &shape::Fields = &[
        ("data", shape::anything),
        ("test_event_code", shape::filled_string),
        ("partner_agent", partner_agent),
        ("access_token", shape::string),
    ];
    shape::fields(fields, known, false)
        .map_err(|misfit| Refusal::parameter(&misfit.field, misfit.must, None))?;
    let data = fields.get("data").and_then(Value::as_array);
    let data = data.ok_or_else(|| Refusal::parameter("data", "must be a list of events", None))?;
    if (1..=EVENTS_MAX).contains(&data.len()) {
        Ok(data)
    } else {
        Err(Refusal::parameter(
            "data",
            "must hold from 1 to 1000 events",
            None,
        ))
    }
}

/// Shorter than 23 characters, at least two letters (`…/conversions-api/guides/end-to-end-implementation`).
fn partner_agent(value: &Value) -> Result<(), &'static str> {
    let text = value.as_str().unwrap_or_default();
    let letters = text.chars().filter(char::is_ascii_alphabetic).count();
    let fits = text.chars().count() < 23 && letters >= 2;
    fits.then_some(())
        .ok_or("must be shorter than 23 characters with at least two letters")
}

/// With the header of a call that was upgraded from an expired version.
pub(super) fn with_version_warning(reply: Reply) -> Reply {
    reply.with_header(
        "x-ad-api-version-warning",
        "The call has been auto-upgraded: this version is deprecated.",
    )
}

#[cfg(test)]
mod tests;
