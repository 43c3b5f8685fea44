//! Emulates the Google Data Manager API for Google Ads destinations: `events:ingest` and `requestStatus:retrieve`.
//! Strict by Google's documentation, all or nothing for what the answer tells, and with an outcome of processing that
//! only a later look-up tells, in counts. Shares nothing with the adapter. Not for counting: the ledger does.

mod body;
mod checks;
mod identifiers;
mod ingest;
mod processing;
mod requests;
mod schema;
mod status;
mod violation;

use std::collections::VecDeque;

use axum::http::Method;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::requests::Requests;
use super::exchange::{Arrived, Judgement, Reading, Reply};
use super::faults::Processing;
use super::google;
use super::google::error::GoogleError;

/// Where events arrive.
const INGEST_PATH: &str = "/v1/events:ingest";

/// Where the outcome of a request is looked up.
pub(super) const STATUS_PATH: &str = "/v1/requestStatus:retrieve";

/// The service's name in errors of Google's front end.
const SERVICE: &str = "datamanager.googleapis.com";

/// A text that stands in each event once.
pub(super) const SINK_MARKER: &str = "\"transactionId\"";

/// The request id of everything a sink takes.
const SINK_REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

/// What only Data Manager has: requests in processing, and its settings.
#[derive(Debug, Default)]
pub struct World {
    requests: Requests,
    calls: u64,
    status_delay: TimeDelta,
    requests_per_minute: Option<u32>,
    /// Calls of the last minute, for the quota.
    recent: VecDeque<DateTime<Utc>>,
}

/// Settings of Data Manager, as the sandbox's own API takes them; what is absent stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Setup {
    /// How long processing lasts, by the sandbox's clock: before, a look-up tells `PROCESSING`. 0 at first.
    pub status_delay_secs: Option<u32>,
    /// Calls that are answered in a minute, look-ups included; none are refused at first. Google's limit is 300
    /// (`developers.google.com/data-manager/api/devguides/limits`). 0 takes the limit away.
    pub requests_per_minute: Option<u32>,
}

impl World {
    /// Changes settings.
    ///
    /// # Errors
    /// None so far.
    pub(super) fn set_up(&mut self, setup: Setup) -> Result<(), String> {
        if let Some(seconds) = setup.status_delay_secs {
            self.status_delay = TimeDelta::seconds(seconds.into());
        }
        if let Some(limit) = setup.requests_per_minute {
            self.requests_per_minute = (limit > 0).then_some(limit);
        }
        Ok(())
    }

    /// Forgets what arrived.
    pub(super) fn forget(&mut self) {
        self.requests = Requests::default();
        self.recent.clear();
    }

    /// What is set, and how much is remembered.
    pub(super) fn show(&self) -> Value {
        json!({"status_delay_secs": self.status_delay.num_seconds(),
            "requests_per_minute": self.requests_per_minute})
    }

    /// How long processing lasts, with what fault rules add.
    fn delay(&self, faults: &Processing) -> TimeDelta {
        self.status_delay + faults.delay
    }

    /// Counts a call, and tells whether the quota had room for it. Refused calls do not use it up.
    fn has_room(&mut self, now: DateTime<Utc>) -> bool {
        let Some(limit) = self.requests_per_minute else {
            return true;
        };
        let minute_ago = now - TimeDelta::minutes(1);
        self.recent.retain(|at| *at > minute_ago);
        let has_room = self.recent.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        if has_room {
            self.recent.push_back(now);
        }
        has_room
    }

    /// An id in the form of a UUID, never given before.
    fn next_id(&mut self, now: DateTime<Utc>) -> String {
        self.calls += 1;
        let digest = Sha256::digest(format!("{} {}", self.calls, now.timestamp_micros()));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let (a, b, c, d, e) = (
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..32],
        );
        format!("{a}-{b}-4{c}-8{d}-{e}")
    }
}

/// Reads the request without judging it: one entry for each event and destination.
pub(super) fn read(arrived: &Arrived) -> Reading {
    if arrived.path != INGEST_PATH {
        return Reading::nothing();
    }
    let content: Result<Value, String> = serde_json::from_slice(&arrived.body).map_err(|error| {
        format!(
            "the body is not JSON (line {}, column {})",
            error.line(),
            error.column()
        )
    });
    let empty = Value::Null;
    let body = content.as_ref().unwrap_or(&empty);
    let aims = body::aims(body);
    Reading {
        account: body::list(body, "destinations")
            .first()
            .and_then(body::account)
            .unwrap_or_default(),
        events: aims.into_iter().map(|aim| body::hear(body, aim)).collect(),
        content,
    }
}

/// Judges a request: path, token, quota, then what its method makes of it.
pub(super) fn judge(
    arrived: &Arrived,
    reading: &Reading,
    world: &mut google::World,
    faults: &Processing,
    now: DateTime<Utc>,
) -> Judgement {
    let is_status = match (arrived.path.as_str(), &arrived.method) {
        (INGEST_PATH, &Method::POST) => false,
        (STATUS_PATH, &Method::GET) => true,
        _ => {
            let reply = GoogleError::new(404, "Method not found.").reply();
            return Judgement::refused(reading, "NOT_FOUND: there is no such method", reply);
        }
    };
    if let Err(why) = world.authorise(arrived, google::DATA_MANAGER_SCOPE, now) {
        return Judgement::refused(reading, why.reason(), why.reply(SERVICE));
    }
    let id = world.data_manager.next_id(now);
    if !world.data_manager.has_room(now) {
        let text = "Resource has been exhausted (e.g. check quota).";
        let reply = violation::plain_refusal(429, "RESOURCE_EXHAUSTED", text, &id);
        return Judgement::refused(reading, "RESOURCE_EXHAUSTED: the quota is used up", reply);
    }
    if is_status {
        let reply = status::answer(arrived, &world.data_manager.requests, &id, now);
        return Judgement::of_call(reply);
    }
    ingest::judge(arrived, reading, world, faults, id, now)
}

/// What a sink answers.
pub(super) fn sink_reply() -> Reply {
    Reply::json(200, &json!({"requestId": SINK_REQUEST_ID}))
}

#[cfg(test)]
mod tests;
