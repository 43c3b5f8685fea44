//! What must hold of any row, any configuration and any answer, however hostile. The tests beside this file and the
//! targets in `fuzz/` feed it; it is in no program.
//!
//! Nothing here judges whether a decision is right: only that nothing panics, that no person and no secret is told to
//! anybody, and that what is said twice is said alike.

use std::sync::OnceLock;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::config::Config;
use crate::decide::{Decision, Prior, Repeat, Surroundings, decide};
use crate::destinations::{Item, Reply};
use crate::event::{Columns, OutboxEvent};
use crate::outcome::{Answer, LateVerdict, Outcome, Verdict};
use crate::resolve::{Ended, Limits, resolve};
use crate::retry::Schedule;
use crate::send;

/// A person who is recognised wherever they appear.
pub const EMAIL: &str = " Zq7.Canary+Shop@Example.ORG ";
/// Theirs too.
pub const PHONE: &str = "+49 170 5550199";
/// What of them must be found nowhere, in lower case: raw, and as any platform writes it.
const TRACES: [&str; 4] = ["zq7.canary", "zq7canary", "1705550199", "170 5550199"];
/// A secret that somebody typed in instead of a reference.
pub const SECRET: &str = "EAAZq7CanarySecretToken";

/// An account on every platform, and those that only validate.
const CONFIGURATION: &str = r#"
[database]
url = { env = "URL" }
[[destination]]
name = "meta"
platform = "meta"
dataset_id = "1"
access_token = { env = "TOKEN" }
send_refunds = true
[[destination]]
name = "ga4"
platform = "ga4"
measurement_id = "G-1"
api_secret = { env = "SECRET" }
synthetic_client_id = true
[[destination]]
name = "ga4-trial"
platform = "ga4"
measurement_id = "G-2"
api_secret = { env = "SECRET" }
mode = "validate_only"
[[destination]]
name = "google"
platform = "google_data_manager"
operating_account = "1234567890"
service_account = { env = "KEY" }
conversion_actions = { order_paid = "71", lead_created = "72" }
merchant_id = "5"
[[destination]]
name = "google-trial"
platform = "google_data_manager"
operating_account = "1234567891"
service_account = { env = "KEY" }
conversion_actions = { order_paid = "73" }
validate_only = true
[[destination]]
name = "ads"
platform = "google_ads"
customer_id = "1234567892"
service_account = { env = "KEY" }
conversion_actions = { order_paid = "74", lead_created = "75" }
merchant_id = "5"
[[destination]]
name = "linkedin"
platform = "linkedin"
ad_account = "508"
access_token = { env = "TOKEN" }
rules = { order_paid = "81", lead_created = "82" }
"#;

fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        Config::parse(CONFIGURATION, "fuzz.toml", []).expect("a valid configuration")
    })
}

/// A row with these columns, whatever they hold: it is no event, or every destination decides about it and nothing raw of
/// the person leaves. Says how many requests were made.
pub fn row(columns: &Map<String, Value>) -> usize {
    let text = |key: &str| match columns.get(key)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let json = |key: &str| columns.get(key).cloned().unwrap_or_default();
    let time = |key: &str| text(key).and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let now = DateTime::from_timestamp(1_795_428_000, 0).expect("a time");
    let mut user_data = json("user_data");
    if let Value::Object(person) = &mut user_data {
        person.insert("email".into(), EMAIL.into());
        person.insert("phone".into(), PHONE.into());
    }
    let parsed = OutboxEvent::parse(Columns {
        event_no: 1,
        event_id: text("event_id").unwrap_or_default(),
        event_name: text("event_name").unwrap_or_default(),
        business_id: text("business_id").unwrap_or_default(),
        occurred_at: time("occurred_at").unwrap_or(now - TimeDelta::hours(1)),
        recorded_at: now,
        value: text("value"),
        currency: text("currency"),
        consent: json("consent"),
        user_data,
        click_ids: json("click_ids"),
        properties: json("properties"),
        action_source: text("action_source"),
        page_url: text("page_url"),
        source: text("source"),
        depends_on: text("depends_on"),
        traceparent: text("traceparent"),
        tracestate: text("tracestate"),
        payload_salt: None,
    });
    let event = match parsed {
        Ok(event) => event,
        Err(fault) => {
            says_nothing(&fault.to_string());
            return 0;
        }
    };
    says_nothing(&format!("{event:?}"));
    let made = config().destinations.iter().filter(|destination| {
        let around = Surroundings::default();
        let first = decide(
            &event,
            &around,
            destination,
            Some(49),
            &Prior::default(),
            now,
        );
        says_nothing(&format!("{first:?}"));
        let Decision::Send(first) = first else {
            return false;
        };
        let request = destination
            .settings
            .request(&destination.base_url, &[&first.item]);
        serde_json::from_str::<Value>(&request.body).expect("a body is JSON");
        says_nothing(&format!("{request:?}"));
        says_nothing(&send::masked(&request).to_string());
        // A retry says the same again. At the same moment: a little later the event may be too old.
        let prior = Prior {
            tries: 1,
            permit: Some(first.permit),
            payload_hash: Some(first.item.hash),
            tried_at: Some(now),
            ..Prior::default()
        };
        let again = decide(&event, &around, destination, Some(49), &prior, now);
        assert!(
            matches!(&again, Decision::Send(again) if again.item == first.item),
            "{again:?}"
        );
        true
    });
    made.count()
}

/// A configuration, whatever it says: it is one, or its faults say why without repeating what was configured.
pub fn configuration(text: &str) -> bool {
    let parsed = Config::parse(text, "fuzz.toml", []);
    if let Err(faults) = &parsed {
        assert!(!faults.list().is_empty());
        let told = format!("{faults}\n{faults:?}");
        assert!(!told.contains(SECRET), "{told}");
    }
    parsed.is_ok()
}

/// An answer to so many events, whatever it is: each platform makes something of it that is about these events, keeps
/// nothing of a person, and that gives each of them a next state.
pub fn reply(reply: &Reply, sent: usize) {
    let item = Item::new("{}".to_owned());
    let items: Vec<&Item> = vec![&item; sent];
    for destination in &config().destinations {
        let answer = destination.settings.classify(reply, &items);
        for outcome in outcomes(&answer, sent) {
            resolved(outcome);
        }
        says_nothing(answer.code.as_deref().unwrap_or_default());
        if let Some(late) = destination.settings.classify_late(reply, sent) {
            if let LateVerdict::All(outcome) | LateVerdict::Unasked(outcome) = late.verdict {
                resolved(outcome);
            }
            says_nothing(&format!("{:?} {:?}", late.status, late.reasons));
        }
    }
}

fn outcomes(answer: &Answer, sent: usize) -> Vec<Outcome> {
    match &answer.verdict {
        Verdict::All(outcome) => vec![*outcome],
        Verdict::BatchRejected => Vec::new(),
        Verdict::Each(rows) => {
            assert_eq!(
                rows.len(),
                sent,
                "an answer about other events than were sent"
            );
            for row in rows {
                says_nothing(row.code.as_deref().unwrap_or_default());
            }
            rows.iter().map(|row| row.outcome).collect()
        }
    }
}

/// An outcome has a next state, and if that is to wait, then for a time that the operator set.
fn resolved(outcome: Outcome) {
    let now = DateTime::from_timestamp(1_795_428_000, 0).expect("a time");
    let cap = std::time::Duration::from_secs(3600);
    let limits = Limits {
        attempts_max: 12,
        schedule: Schedule {
            initial: cap,
            cap,
            retry_after_cap: cap,
        },
    };
    for repeat in [Repeat::Never, Repeat::Always] {
        let ended = Ended {
            is_alone: true,
            outcome,
            prior: &Prior::default(),
            repeat,
            tried_at: now,
            last_success_at: None,
        };
        let due_at = resolve(&ended, &limits, now).due_at;
        let latest = now + TimeDelta::hours(6) + TimeDelta::seconds(1);
        assert!(
            due_at.is_none_or(|due_at| due_at <= latest),
            "{outcome:?} waits until {due_at:?}"
        );
    }
}

fn says_nothing(text: &str) {
    let text = text.to_lowercase();
    for trace in TRACES {
        assert!(!text.contains(trace), "{trace} in {text}");
    }
}

#[cfg(test)]
mod tests;
