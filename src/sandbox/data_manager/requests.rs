//! Requests in processing, and what a look-up tells of them: counts per destination and reason, never an event
//! (`developers.google.com/data-manager/api/devguides/concepts/diagnostics`). Not for finding the reasons.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::body::{Aim, list};
use crate::sandbox::google::proto_json::camel_case;

/// How long a status is kept.
const KEPT: TimeDelta = TimeDelta::days(50);

/// Most requests remembered; the oldest go first.
const REQUESTS_MAX: usize = 100_000;

/// A request with what became of its events.
#[derive(Debug)]
pub(super) struct Processed {
    received_at: DateTime<Utc>,
    /// Before, everything is `PROCESSING`.
    told_at: DateTime<Utc>,
    destinations: Vec<Destination>,
}

#[derive(Debug)]
struct Destination {
    /// As it was sent, with a reference in any case.
    shown: Value,
    events: u64,
    errors: BTreeMap<String, u64>,
}

impl Processed {
    /// A request without any event counted yet.
    /// `id` makes the references of destinations that have none.
    pub(super) fn new(
        body: &Value,
        id: &str,
        received_at: DateTime<Utc>,
        told_at: DateTime<Utc>,
    ) -> Processed {
        let destination = |sent: &Value| {
            let mut shown = as_answered(sent);
            if shown["reference"].is_null() {
                shown["reference"] = id.into();
            }
            Destination {
                shown,
                events: 0,
                errors: BTreeMap::new(),
            }
        };
        Processed {
            received_at,
            told_at,
            destinations: list(body, "destinations").iter().map(destination).collect(),
        }
    }

    /// Counts an event, with the reason it failed for if it did.
    pub(super) fn count(&mut self, aim: Aim, reason: Option<&str>) {
        let index = aim.destination.unwrap_or(usize::MAX);
        if let Some(destination) = self.destinations.get_mut(index) {
            destination.events += 1;
            if let Some(reason) = reason {
                *destination.errors.entry(reason.to_owned()).or_default() += 1;
            }
        }
    }

    /// What a look-up tells now.
    pub(super) fn show(&self, now: DateTime<Utc>) -> Value {
        let is_told = now >= self.told_at;
        let shown = self.destinations.iter().map(|it| it.show(is_told));
        json!({"requestStatusPerDestination": shown.collect::<Vec<_>>()})
    }

    /// Whether its status is kept no longer.
    pub(super) fn is_too_old(&self, now: DateTime<Utc>) -> bool {
        now - self.received_at > KEPT
    }
}

impl Destination {
    fn show(&self, is_told: bool) -> Value {
        let failed: u64 = self.errors.values().sum();
        let status = match failed {
            _ if !is_told => "PROCESSING",
            0 => "SUCCESS",
            _ if failed == self.events => "FAILED",
            _ => "PARTIAL_SUCCESS",
        };
        let mut shown = Map::new();
        shown.insert("destination".to_owned(), self.shown.clone());
        shown.insert("requestStatus".to_owned(), status.into());
        if is_told && failed > 0 {
            let counts = self.errors.iter();
            let counts = counts
                .map(|(reason, count)| json!({"recordCount": count.to_string(), "reason": reason}));
            let counts: Vec<Value> = counts.collect();
            shown.insert("errorInfo".to_owned(), json!({"errorCounts": counts}));
        }
        if is_told {
            let count = json!({"recordCount": self.events.to_string()});
            shown.insert("eventsIngestionStatus".to_owned(), count);
        }
        Value::Object(shown)
    }
}

/// An object of the body with the names Google answers with.
fn as_answered(value: &Value) -> Value {
    let Value::Object(object) = value else {
        return value.clone();
    };
    let fields = object
        .iter()
        .map(|(name, value)| (camel_case(name), as_answered(value)));
    Value::Object(fields.collect())
}

/// All requests that were taken.
#[derive(Debug, Default)]
pub(super) struct Requests {
    by_id: BTreeMap<String, Processed>,
    order: VecDeque<String>,
}

impl Requests {
    pub(super) fn put(&mut self, id: String, processed: Processed) {
        if self.order.len() >= REQUESTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(id.clone());
        self.by_id.insert(id, processed);
    }

    pub(super) fn get(&self, id: &str) -> Option<&Processed> {
        self.by_id.get(id)
    }
}
