//! The row that the application inserted, parsed once, at the edge.
//!
//! Everything that may identify a person sits in types whose `Debug` shows nothing. Not for consent or hashing: what
//! is read here may still hold a raw address, and no adapter accepts it.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::consent::Consent;
use crate::currency;
use crate::money::{self, Money};

/// One business event, as the application wrote it.
#[derive(Clone, Debug)]
pub struct OutboxEvent {
    /// Order of insertion; 0 for an event that is in no database (preview).
    pub event_no: i64,
    /// Stable id, the same as the browser's and on every retry.
    pub event_id: String,
    /// The application's name, snake case: `order_paid`.
    pub event_name: String,
    /// Order, payment, booking, lead or deal id.
    pub business_id: String,
    /// When the business action happened.
    pub occurred_at: DateTime<Utc>,
    /// When the row was written.
    pub recorded_at: DateTime<Utc>,
    /// Amount and currency, both or neither.
    pub money: Option<Money>,
    /// What the person, or a legal decision, allows.
    pub consent: Consent,
    /// What is known of the person.
    pub user_data: UserData,
    /// Click and browser ids.
    pub click_ids: ClickIds,
    /// Items, tax, shipping and whatever a route uses.
    pub properties: Map<String, Value>,
    /// Where it happened: `website`, `system_generated`, …
    pub action_source: Option<String>,
    /// The page, when it happened on one.
    pub page_url: Option<String>,
    /// Which system wrote the row.
    pub source: Option<String>,
    /// The event that this one adjusts.
    pub depends_on: Option<String>,
    /// W3C trace context of the business transaction.
    pub traceparent: Option<String>,
    /// Its vendor part.
    pub tracestate: Option<String>,
    /// Random, part of every payload hash, and removed with the person's data: a hash alone must not confirm a guess.
    pub payload_salt: Option<Vec<u8>>,
}

/// The person, raw or hashed by the application. Shows only which fields are there.
#[derive(Clone, Default, PartialEq)]
pub struct UserData {
    /// E-mail addresses.
    pub email: Vec<String>,
    /// Telephone numbers.
    pub phone: Vec<String>,
    texts: BTreeMap<String, String>,
}

/// Click and browser ids by their column key (`fbc`, `ga_client_id`, …). Shows only which are there.
#[derive(Clone, Default, PartialEq)]
pub struct ClickIds(BTreeMap<String, String>);

/// Why a row is no event. Names the column, never its content.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{column}: {rule}")]
pub struct EventFault {
    /// The column at fault.
    pub column: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

/// The columns of a row as they come from the database or from a JSON file, before they are checked.
#[derive(Default)]
pub struct Columns {
    /// See [`OutboxEvent::event_no`].
    pub event_no: i64,
    /// See [`OutboxEvent::event_id`].
    pub event_id: String,
    /// See [`OutboxEvent::event_name`].
    pub event_name: String,
    /// See [`OutboxEvent::business_id`].
    pub business_id: String,
    /// See [`OutboxEvent::occurred_at`].
    pub occurred_at: DateTime<Utc>,
    /// See [`OutboxEvent::recorded_at`].
    pub recorded_at: DateTime<Utc>,
    /// Decimal digits.
    pub value: Option<String>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// A JSON object.
    pub consent: Value,
    /// A JSON object.
    pub user_data: Value,
    /// A JSON object.
    pub click_ids: Value,
    /// A JSON object.
    pub properties: Value,
    /// See [`OutboxEvent::action_source`].
    pub action_source: Option<String>,
    /// See [`OutboxEvent::page_url`].
    pub page_url: Option<String>,
    /// See [`OutboxEvent::source`].
    pub source: Option<String>,
    /// See [`OutboxEvent::depends_on`].
    pub depends_on: Option<String>,
    /// See [`OutboxEvent::traceparent`].
    pub traceparent: Option<String>,
    /// See [`OutboxEvent::tracestate`].
    pub tracestate: Option<String>,
    /// See [`OutboxEvent::payload_salt`].
    pub payload_salt: Option<Vec<u8>>,
}

impl OutboxEvent {
    /// Checks the columns and makes the event of them.
    pub fn parse(columns: Columns) -> Result<OutboxEvent, EventFault> {
        let money = match (&columns.value, &columns.currency) {
            (None, None) => None,
            (Some(value), Some(code)) => Some(Money {
                amount: money::amount(value)
                    .ok_or(fault("value", "must be an amount from 0 to below 1e18"))?,
                currency: currency::parse(code)
                    .ok_or(fault("currency", "must be an ISO 4217 code"))?,
            }),
            _ => {
                return Err(fault(
                    "currency",
                    "value and currency are given together or not at all",
                ));
            }
        };
        Ok(OutboxEvent {
            event_no: columns.event_no,
            event_id: columns.event_id,
            event_name: columns.event_name,
            business_id: columns.business_id,
            occurred_at: columns.occurred_at,
            recorded_at: columns.recorded_at,
            money,
            consent: Consent::parse(&columns.consent)?,
            user_data: UserData::parse(&columns.user_data),
            click_ids: ClickIds::parse(&columns.click_ids),
            properties: match columns.properties {
                Value::Object(properties) => properties,
                _ => Map::new(),
            },
            action_source: columns.action_source,
            page_url: columns.page_url,
            source: columns.source,
            depends_on: columns.depends_on,
            traceparent: columns.traceparent,
            tracestate: columns.tracestate,
            payload_salt: columns.payload_salt,
        })
    }

    /// Whether it takes something back of the event it depends on. The database goes by the same names.
    pub fn is_reversal(&self) -> bool {
        is_reversal(&self.event_name)
    }

    /// A property as text: for routes and for the few properties that adapters read.
    pub fn property_text(&self, key: &str) -> Option<String> {
        self.properties.get(key).and_then(text_of)
    }
}

/// Whether the database takes events of this name: snake_case, 1 to 40 characters.
pub fn is_event_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether events of this name take something back: refunds and cancellations.
pub fn is_reversal(event_name: &str) -> bool {
    ["_refunded", "_cancelled", "_canceled"]
        .iter()
        .any(|ending| event_name.ends_with(ending))
}

impl UserData {
    /// Reads the column; what is no text is passed over.
    pub(crate) fn parse(value: &Value) -> UserData {
        let Value::Object(fields) = value else {
            return UserData::default();
        };
        let mut parsed = UserData::default();
        for (key, field) in fields {
            match key.as_str() {
                "email" => parsed.email = texts_of(field),
                "phone" => parsed.phone = texts_of(field),
                _ => {
                    if let Some(text) = text_of(field) {
                        parsed.texts.insert(key.clone(), text);
                    }
                }
            }
        }
        parsed
    }

    /// The same, with what is missing here taken from another row.
    pub fn or(&self, other: &UserData) -> UserData {
        let either = |own: &Vec<String>, other: &Vec<String>| {
            if own.is_empty() { other } else { own }.clone()
        };
        UserData {
            email: either(&self.email, &other.email),
            phone: either(&self.phone, &other.phone),
            texts: or(&self.texts, &other.texts),
        }
    }

    /// A single-valued field by its column key: `first_name`, `city`, `external_id`, …
    pub fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }
}

impl ClickIds {
    fn parse(value: &Value) -> ClickIds {
        let Value::Object(fields) = value else {
            return ClickIds::default();
        };
        ClickIds(
            fields
                .iter()
                .filter_map(|(key, field)| Some((key.clone(), text_of(field)?)))
                .collect(),
        )
    }

    /// The same, with what is missing here taken from another row.
    pub fn or(&self, other: &ClickIds) -> ClickIds {
        ClickIds(or(&self.0, &other.0))
    }

    /// A click id by its column key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them tells of a click; a browser's own ids do not. The database counts by the same rule (`event_signals`).
    pub fn tells_a_click(&self) -> bool {
        const OF_THE_BROWSER: [&str; 4] = ["fbp", "ttp", "ga_client_id", "ga_session_id"];
        self.0
            .keys()
            .any(|key| !OF_THE_BROWSER.contains(&key.as_str()))
    }
}

/// Shows which fields are there, never what they say.
impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = self.texts.keys().map(String::as_str).collect();
        if !self.email.is_empty() {
            names.push("email");
        }
        if !self.phone.is_empty() {
            names.push("phone");
        }
        write!(f, "UserData({})", names.join(", "))
    }
}

/// Shows which ids are there, never what they say.
impl fmt::Debug for ClickIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        write!(f, "ClickIds({})", names.join(", "))
    }
}

fn or(
    own: &BTreeMap<String, String>,
    other: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut both = other.clone();
    both.extend(own.clone());
    both
}

fn fault(column: &'static str, rule: &'static str) -> EventFault {
    EventFault { column, rule }
}

/// Text of a JSON text or number; an empty text counts as absent.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().filter_map(text_of).collect(),
        single => text_of(single).into_iter().collect(),
    }
}
