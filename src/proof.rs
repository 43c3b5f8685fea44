//! The evidence of one event: what was on record as consent, by which policy each destination was decided about, what was
//! asked of it, and how all that stands to what was taken back. No personal data: it can be told after they are gone.
//!
//! The database tells the facts; here they become sentences. Times of requests are the worker's, those of withdrawals the
//! database's.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_postgres::types::{ToSql, Type};

use crate::config::destination::DestinationConfig;
use crate::consent::Kind;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const PROOF: &str = include_str!("../sql/queries/proof_of.sql");
const REMEMBER: &str = include_str!("../sql/queries/remember_policy.sql");

/// The proof of an event; nothing where there is no such event. `statements` are its sentences.
pub async fn prove(database: &Database, event_id: &str) -> Result<Option<Value>, DatabaseError> {
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&event_id, Type::TEXT)];
    let rows = database.query(PROOF, &params).await?;
    let proof = rows.first().map(|row| row.try_get("proof")).transpose()?;
    let proof: Option<Value> = proof.flatten();
    Ok(proof.map(|mut proof| {
        proof["statements"] = statements(&proof).into();
        proof
    }))
}

/// Records that a worker decides by this policy now.
pub(crate) async fn remember_policy(
    database: &Database,
    destination: &DestinationConfig,
) -> Result<(), DatabaseError> {
    let policy = policy(destination);
    let version = version(&policy);
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&destination.name, Type::TEXT),
        (&version, Type::TEXT),
        (&policy, Type::JSONB),
    ];
    database.query(REMEMBER, &params).await?;
    Ok(())
}

/// What the decision about consent depends on at a destination.
fn policy(destination: &DestinationConfig) -> Value {
    let consent = &destination.consent;
    let requires: serde_json::Map<String, Value> = Kind::NAMES
        .iter()
        .filter(|(_, kind)| destination.fields.contains(kind))
        .map(|(name, kind)| {
            let signals = consent.requires(*kind).iter().map(|signal| signal.name());
            ((*name).to_owned(), signals.collect())
        })
        .collect();
    json!({
        "requires": requires,
        "unspecified": if consent.unspecified_is_granted { "granted" } else { "denied" },
        "gpc": if consent.gpc_denies_ads { "deny_ads" } else { "ignore" },
    })
}

/// Twelve hexadecimal digits that change with the policy; its members stand in the order of their names.
fn version(policy: &Value) -> String {
    let digest = Sha256::digest(policy.to_string());
    digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What the facts mean, in plain words.
fn statements(proof: &Value) -> Vec<String> {
    let mut said = Vec::new();
    let requests = requests(proof);
    said.push(match requests.last() {
        None => "No request that carried this event is on record.".to_owned(),
        Some(last) => format!(
            "{} carried this event, the last one at {} to {}.",
            plural(requests.len(), "request"),
            time(last.sent_at),
            last.destination
        ),
    });
    let withdrawals = proof["withdrawals"].as_array().into_iter().flatten();
    for withdrawal in withdrawals {
        if let Some(at) = time_of(&withdrawal["withdrawn_at"]) {
            let signals = words(&withdrawal["signals"]);
            said.push(after(
                &requests,
                at,
                &format!("the withdrawal of {signals}"),
            ));
        }
    }
    if let Some(at) = time_of(&proof["data_removed_at"]) {
        if proof["data_removed_by"] == "erasure" {
            said.push(after(&requests, at, "the erasure"));
        } else {
            let at = time(at);
            said.push(format!(
                "The person's data were removed at {at}, when their time was over."
            ));
        }
    }
    said.extend(open(proof));
    said
}

/// The code of a try whose worker never came back.
const LEASE_LOST: &str = "lease_lost";

struct Request<'a> {
    destination: &'a str,
    sent_at: DateTime<Utc>,
}

/// Every request that carried the event, oldest first; one that was announced and not answered too.
fn requests(proof: &Value) -> Vec<Request<'_>> {
    let mut found: Vec<Request<'_>> = deliveries(proof)
        .flat_map(|delivery| {
            let destination = delivery["destination"].as_str().unwrap_or_default();
            let made = delivery["requests"].as_array().into_iter().flatten();
            // Of a worker that never came back nobody knows whether its request left: that is told apart.
            made.filter(|one| one["error_code"] != LEASE_LOST)
                .map(|one| &one["sent_at"])
                .chain([&delivery["under_way_since"]])
                .filter_map(time_of)
                .map(move |sent_at| Request {
                    destination,
                    sent_at,
                })
        })
        .collect();
    found.sort_by_key(|request| request.sent_at);
    found
}

/// How requests stand to a moment from which on there should have been none.
fn after(requests: &[Request<'_>], at: DateTime<Utc>, what: &str) -> String {
    let (before, later): (Vec<_>, Vec<_>) = requests.iter().partition(|one| one.sent_at <= at);
    let at = time(at);
    match (before.last(), later.as_slice()) {
        (None, []) => format!("No request left before or after {what} at {at}."),
        (Some(last), []) => format!(
            "No request left after {what} at {at}; the last one before it was at {} to {}.",
            time(last.sent_at),
            last.destination
        ),
        (_, later) => {
            let told: Vec<String> = later
                .iter()
                .map(|one| format!("{} to {}", time(one.sent_at), one.destination))
                .collect();
            format!(
                "{} began after {what} was written at {at}: {}. What was not withdrawn may still be told, and a request \
                 may begin before a withdrawal is committed.",
                plural(later.len(), "request"),
                told.join(", ")
            )
        }
    }
}

/// What may have arrived, or may arrive yet, without being on record.
fn open(proof: &Value) -> Vec<String> {
    let mut said = Vec::new();
    for delivery in deliveries(proof) {
        let destination = delivery["destination"].as_str().unwrap_or_default();
        let mut tries = delivery["requests"].as_array().into_iter().flatten();
        if delivery["error_code"] == LEASE_LOST || tries.any(|one| one["error_code"] == LEASE_LOST)
        {
            said.push(format!(
                "{destination} may have received it: a worker that held it never told how it went."
            ));
        }
        if delivery["state"] == "uncertain" {
            said.push(format!(
                "{destination} may have received it: no answer came."
            ));
        }
        if delivery["reason"] == "suppressed_subject" {
            said.push(format!(
                "{destination} was not told: the person was on the suppression list."
            ));
        }
        if delivery["state"] == "pending" {
            said.push(format!("{destination} is still to be decided about."));
        }
    }
    if proof["is_held"] == true {
        said.push("A worker holds it right now: a request may be under way.".to_owned());
    }
    said
}

fn deliveries(proof: &Value) -> impl Iterator<Item = &Value> {
    proof["deliveries"].as_array().into_iter().flatten()
}

fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten();
    words
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn plural(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

fn time_of(value: &Value) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
    Some(time.with_timezone(&Utc))
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(sent_at: &[&str], withdrawn_at: &str) -> Value {
        let requests: Vec<Value> = sent_at.iter().map(|at| json!({ "sent_at": at })).collect();
        json!({
            "withdrawals": [{ "withdrawn_at": withdrawn_at, "signals": ["ad_user_data"], "of": "person" }],
            "deliveries": [{ "destination": "meta", "state": "accepted", "requests": requests }],
        })
    }

    #[test]
    fn a_request_after_a_withdrawal_is_never_passed_over() {
        let at = ["2026-11-25T10:00:00Z", "2026-11-25T11:00:00Z"];
        let last = |sent: &[&str], withdrawn| {
            let said = statements(&proof(sent, withdrawn));
            said.last().expect("something is said").clone()
        };
        assert_eq!(
            last(&at[..1], at[1]),
            "No request left after the withdrawal of ad_user_data at 2026-11-25T11:00:00.000Z; the last one before it was at \
             2026-11-25T10:00:00.000Z to meta."
        );
        assert_eq!(
            last(&[], at[1]),
            "No request left before or after the withdrawal of ad_user_data at 2026-11-25T11:00:00.000Z."
        );
        let told = last(&at, at[0]);
        assert!(
            told.starts_with("1 request began after the withdrawal of ad_user_data was written at 2026-11-25T10:00:00.000Z: 2026-11-25T11:00:00.000Z to meta."),
            "{told}"
        );
    }

    #[test]
    fn what_was_announced_counts_as_a_request() {
        let mut announced = proof(&[], "2026-11-25T10:00:00Z");
        announced["deliveries"][0]["under_way_since"] = json!("2026-11-25T11:00:00Z");
        let said = statements(&announced);
        assert!(said[1].starts_with("1 request began after"), "{said:?}");
    }
}
