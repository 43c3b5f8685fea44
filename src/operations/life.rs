//! One event's whole life, and lists of events. All of it is told by the database, which leaves out whatever is of a person.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::advice::advice;
use crate::config::destination::DestinationConfig;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::decide::Repeat;
use crate::decide::again::{Facts, Refusal};
use crate::outcome::{Reason, State};
use crate::telemetry::context::{Place, RowContext};

const LIFE: &str = include_str!("../../sql/queries/event_life.sql");
const LIST: &str = include_str!("../../sql/queries/list_events.sql");

/// Which events are listed.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of this order, lead or deal.
    pub business_id: Option<String>,
    /// Of this name.
    pub event_name: Option<String>,
    /// Written at or after this time.
    pub since: Option<DateTime<Utc>>,
    /// Written before this time.
    pub until: Option<DateTime<Utc>>,
    /// So many at most.
    pub limit: i64,
}

/// One event of a list. Its JSON form is an interface: keys and their order stay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// The event.
    pub event_id: String,
    /// Its name.
    pub event_name: String,
    /// Order, lead or deal.
    pub business_id: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When its row was written.
    pub recorded_at: DateTime<Utc>,
    /// Amount.
    pub value: Option<String>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Which system wrote it.
    pub source: Option<String>,
    /// The event that it adjusts.
    pub depends_on: Option<String>,
    /// `state` or `state/reason`, by destination.
    pub states: Value,
}

/// Events, newest first.
pub async fn list(database: &Database, wanted: &Wanted) -> Result<Vec<Listed>, DatabaseError> {
    let params = [
        (&wanted.business_id as &(dyn ToSql + Sync), Type::TEXT),
        (&wanted.event_name, Type::TEXT),
        (&wanted.since, Type::TIMESTAMPTZ),
        (&wanted.until, Type::TIMESTAMPTZ),
        (&wanted.limit, Type::INT8),
    ];
    let rows = database.query(LIST, &params).await?;
    Ok(rows.iter().map(listed).collect::<Result<_, _>>()?)
}

fn listed(row: &Row) -> Result<Listed, tokio_postgres::Error> {
    Ok(Listed {
        event_id: row.try_get("event_id")?,
        event_name: row.try_get("event_name")?,
        business_id: row.try_get("business_id")?,
        occurred_at: row.try_get("occurred_at")?,
        recorded_at: row.try_get("recorded_at")?,
        value: row.try_get("value")?,
        currency: row.try_get("currency")?,
        source: row.try_get("source")?,
        depends_on: row.try_get("depends_on")?,
        states: row.try_get("states")?,
    })
}

/// Everything that is known of one event (function `event_life`); nothing when there is no such event.
pub async fn of(database: &Database, event_id: &str) -> Result<Option<Value>, DatabaseError> {
    let rows = database.query(LIFE, &[(&event_id, Type::TEXT)]).await?;
    let row = rows.first().expect("a function gives a row");
    Ok(row.try_get("life")?)
}

/// A delivery of the life that ended without having arrived for certain, with what can be done about it: its members of the
/// life, then `advice`, `in_doubt_since`, `repeat` (by which key and for how many seconds the platform would recognise one)
/// and `replay` (whether it would be refused, and why).
pub fn dead_letters(
    life: &Value,
    destinations: &[DestinationConfig],
    now: DateTime<Utc>,
) -> Vec<Value> {
    let deliveries = life["deliveries"].as_array().into_iter().flatten();
    deliveries
        .filter_map(|delivery| {
            let state = State::parse(delivery["state"].as_str()?)?;
            matches!(state, State::Rejected | State::Uncertain | State::Exhausted)
                .then(|| judged(life, delivery, state, destinations, now))
        })
        .collect()
}

fn judged(
    life: &Value,
    delivery: &Value,
    state: State,
    destinations: &[DestinationConfig],
    now: DateTime<Utc>,
) -> Value {
    let (event, original) = (&life["event"], &life["original"]);
    let attempts = delivery["attempt_log"].as_array().into_iter().flatten();
    let facts = Facts {
        event_name: event["event_name"].as_str().unwrap_or_default(),
        occurred_at: time(&event["occurred_at"]).unwrap_or(now),
        action_source: event["action_source"].as_str(),
        adjusts: event["depends_on"].is_string(),
        original_occurred_at: time(&original["occurred_at"]),
        state,
        is_erased: event["data_removed_by"] == "erasure",
        answer_lost: attempts
            .filter_map(|one| one["outcome"].as_str())
            .any(|outcome| outcome == "ambiguous"),
        first_tried_at: time(&delivery["first_tried_at"]),
        tried_at: time(&delivery["tried_at"]),
    };
    let configured = destinations
        .iter()
        .find(|one| Some(one.name.as_str()) == delivery["destination"].as_str());
    let refusal = facts.judge(configured, now).err();
    let reason = delivery["reason"].as_str().and_then(Reason::parse);
    let mut told = delivery.clone();
    told["advice"] = advice(reason).into();
    told["in_doubt_since"] = json!(facts.in_doubt_since());
    told["repeat"] = configured.map_or(Value::Null, |one| repeat(&facts, one));
    told["replay"] = json!({
        "allowed": refusal.is_none(),
        "refusal": refusal.map(Refusal::as_str),
        "can_be_forced": refusal.map(Refusal::can_be_forced),
        "why": refusal.map(Refusal::explained),
    });
    told
}

fn repeat(facts: &Facts<'_>, destination: &DestinationConfig) -> Value {
    let name = destination.name_of(facts.event_name).unwrap_or_default();
    let (policy, window) = match facts.repeat(destination) {
        Repeat::Within(window) => ("within_window", Some(window.as_secs())),
        Repeat::Always => ("always", None),
        Repeat::Never => ("never", None),
    };
    json!({ "resend": policy, "key": destination.settings.repeat_key(name), "window_seconds": window })
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// At which destination; empty where it concerns the event itself.
    pub place: String,
    /// What, in words. A person's own words may be among them.
    pub what: String,
    /// Of what kind it is.
    pub kind: Kind,
    /// The trace of a try, 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// What a try sent: SHA-256 in hexadecimal digits.
    pub payload_hash: Option<String>,
}

/// What something that happened is to whoever looks for trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The application wrote something.
    Written,
    /// The application wrote the same once more.
    Again,
    /// Consent was taken back, or data were removed.
    Consent,
    /// It arrived.
    Good,
    /// It did not, and will not by itself.
    Bad,
    /// It goes on, waits, or nobody knows.
    Open,
    /// It is held back.
    Hold,
    /// The platform spoke of it later.
    Late,
    /// A person did something.
    Hand,
}

/// What happened, in the order of time.
pub fn timeline(life: &Value) -> Vec<Entry> {
    let mut told = Timeline(Vec::new());
    let event = &life["event"];
    let name = event["event_name"].as_str().unwrap_or_default();
    told.add(
        &event["occurred_at"],
        "",
        Kind::Written,
        format!("{name} happened"),
    );
    let source = event["source"].as_str();
    let by = source.map_or(String::new(), |source| format!(" by {source}"));
    told.add(
        &event["recorded_at"],
        "",
        Kind::Written,
        format!("row written{by}"),
    );
    let repeats = &life["repeats"];
    if repeats.is_object() {
        let counts = format!(
            "written again: {} times alike, {} times with other content",
            repeats["duplicates"], repeats["conflicts"]
        );
        told.add(&repeats["first_seen_at"], "", Kind::Again, counts);
        told.add(
            &repeats["last_seen_at"],
            "",
            Kind::Again,
            "written again, last".into(),
        );
    }
    for one in each(&life["withdrawals"]) {
        let signals = words(&one["signals"]);
        let by = one["by"].as_str().unwrap_or_default();
        let said = format!("consent taken back by {by}: {signals}");
        told.add(&one["withdrawn_at"], "", Kind::Consent, said);
    }
    let cause = text(&event["data_removed_by"]);
    let removed = format!("the person's data were removed by {cause}");
    told.add(&event["data_removed_at"], "", Kind::Consent, removed);
    for one in each(&life["reversals"]) {
        let (name, id) = (text(&one["event_name"]), text(&one["event_id"]));
        told.add(
            &one["recorded_at"],
            "",
            Kind::Written,
            format!("{name} {id} written"),
        );
    }
    for one in each(&life["deliveries"]) {
        told.delivery(one);
    }
    for one in each(&life["audit"]) {
        let forced = match one["forced"].as_bool() {
            Some(true) => " with --force",
            _ => "",
        };
        let said = format!(
            "{} by hand{forced} (was {}) by {}: {}",
            text(&one["action"]),
            standing(&one["was_state"], &one["was_reason"]),
            text(&one["login"]),
            text(&one["reason"]),
        );
        told.add(
            &one["done_at"],
            &text(&one["destination"]),
            Kind::Hand,
            said,
        );
    }
    told.0.sort_by_key(|entry| entry.at);
    told.0
}

/// The traces of an event, each once: of what, and the id. First that of the application, then those of the tries.
pub fn traces(life: &Value) -> Vec<(String, String)> {
    let traceparent = life["event"]["traceparent"].as_str();
    let row = RowContext::parse(traceparent, None);
    let mut found: Vec<(String, String)> = Vec::new();
    if let Some(row) = &row {
        let id = Place::of_row(row).trace_id();
        found.push(("application".to_owned(), id));
    }
    for delivery in each(&life["deliveries"]) {
        for attempt in each(&delivery["attempt_log"]) {
            if let Some(id) = attempt["trace_id"].as_str()
                && !found.iter().any(|(_, known)| known == id)
            {
                let place = text(&delivery["destination"]);
                found.push((format!("{place}, try {}", attempt["try_no"]), id.to_owned()));
            }
        }
    }
    found
}

struct Timeline(Vec<Entry>);

impl Timeline {
    fn add(&mut self, at: &Value, place: &str, kind: Kind, what: String) {
        if let Some(at) = time(at) {
            self.0.push(Entry {
                at,
                place: place.to_owned(),
                what,
                kind,
                trace_id: None,
                payload_hash: None,
            });
        }
    }

    fn delivery(&mut self, one: &Value) {
        let place = text(&one["destination"]);
        for attempt in each(&one["attempt_log"]) {
            self.attempt(&place, attempt);
        }
        if one["state"] == "pending" {
            let said = "a request was announced; how it went is not known yet";
            self.add(&one["intent_at"], &place, Kind::Open, said.into());
        }
        let settled = standing(&one["state"], &one["reason"]);
        let kind = match one["state"].as_str() {
            Some("accepted" | "sent") => Kind::Good,
            Some("rejected" | "uncertain" | "exhausted" | "expired") => Kind::Bad,
            _ => Kind::Open,
        };
        self.add(&one["settled_at"], &place, kind, settled);
        let late = &one["late_answer"];
        let said = format!(
            "the platform said of the request: {} {}",
            text(&late["status"]),
            late["reasons"]
        );
        self.add(&late["settled_at"], &place, Kind::Late, said);
        // What was final when the destination was held is none of the hold's business.
        if one["state"] == "pending" {
            let hold = &one["hold"];
            let held = format!(
                "destination held ({}): {}",
                text(&hold["reason"]),
                text(&hold["advice"])
            );
            self.add(&hold["since"], &place, Kind::Hold, held);
        }
    }

    fn attempt(&mut self, place: &str, attempt: &Value) {
        let outcome = text(&attempt["outcome"]);
        let mut what = format!("try {}: {outcome}", attempt["try_no"]);
        if let Some(code) = attempt["response_code"].as_i64() {
            what.push_str(&format!(", HTTP {code}"));
        }
        if let Some(code) = attempt["error_code"].as_str() {
            what.push_str(&format!(", code {code}"));
        }
        if let Some(took) = attempt["duration_ms"].as_i64() {
            what.push_str(&format!(", {took} ms"));
        }
        let kind = match outcome.as_str() {
            "accepted" | "sent" => Kind::Good,
            "rejected" | "batch_rejected" => Kind::Bad,
            _ => Kind::Open,
        };
        let before = self.0.len();
        self.add(&attempt["tried_at"], place, kind, what);
        if let Some(entry) = self.0.get_mut(before) {
            entry.trace_id = attempt["trace_id"].as_str().map(str::to_owned);
            entry.payload_hash = attempt["payload_hash"].as_str().map(str::to_owned);
        }
    }
}

/// `state` or `state/reason`.
pub fn standing(state: &Value, reason: &Value) -> String {
    match reason.as_str() {
        Some(reason) => format!("{}/{reason}", text(state)),
        None => text(state),
    }
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn words(list: &Value) -> String {
    let words: Vec<&str> = each(list).filter_map(Value::as_str).collect();
    words.join(", ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_told_of_what_it_holds_back() {
        let told = |state: &str| {
            let life = json!({ "deliveries": [{
                "destination": "meta", "state": state, "settled_at": "2026-11-25T09:00:00Z",
                "hold": { "reason": "credential", "advice": "replace it", "since": "2026-11-25T10:00:00Z" },
            }] });
            timeline(&life).iter().any(|entry| entry.kind == Kind::Hold)
        };
        assert_eq!((told("pending"), told("accepted")), (true, false));
    }
}
