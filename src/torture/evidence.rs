//! Gathers what the checker judges: the application's tables, the outbox, the emulators' ledgers, the logs, the history.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::checker::{Counted, Delivery, Evidence, Fact, Request, Try};
use super::history::{History, Noted};
use super::shop;
use super::stage::Stage;
use crate::demo::outlets::Outlet;
use crate::sandbox::{ConversionKey, Platform, Row, Verdict};

const FACTS: &str = include_str!("../../sql/torture/facts.sql");
const WITHDRAWALS: &str = include_str!("../../sql/torture/withdrawals.sql");
const DELIVERIES: &str = include_str!("../../sql/torture/deliveries.sql");
const UNTRUE_TOTALS: &str = include_str!("../../sql/torture/untrue_totals.sql");
const LIFE: &str = include_str!("../../sql/queries/event_life.sql");

/// Reads everything.
pub(super) async fn gather(
    stage: &Stage,
    history: &History,
    stuck: Option<String>,
) -> anyhow::Result<Evidence> {
    let noted = history.noted().clone();
    let mut evidence = Evidence {
        seed: stage.seed,
        start: stage.start,
        stuck,
        ..Evidence::default()
    };
    for row in stage.database.query(FACTS, &[]).await? {
        let id: String = row.try_get("event_id")?;
        let fact = Fact {
            name: row.try_get("event_name")?,
            business_id: row.try_get("business_id")?,
            cents: row.try_get("cents")?,
            at: row.try_get("occurred_at")?,
        };
        evidence.facts.insert(id, fact);
    }
    for row in stage.database.query(WITHDRAWALS, &[]).await? {
        let at: DateTime<Utc> = row.try_get("withdrawn_at")?;
        evidence.withdrawn.insert(row.try_get("business_id")?, at);
    }
    for row in stage.database.query(DELIVERIES, &[]).await? {
        let key = (row.try_get("event_id")?, row.try_get("destination")?);
        evidence.deliveries.insert(key, delivery(&row)?);
    }
    for row in stage.database.query(UNTRUE_TOTALS, &[]).await? {
        let (destination, state): (String, String) =
            (row.try_get("destination")?, row.try_get("state")?);
        let (counted, there): (i64, i64) = (row.try_get("counted")?, row.try_get("there")?);
        evidence.untrue_totals.push(format!(
            "{destination} {state}: {counted} counted, {there} there"
        ));
    }
    evidence.leaks = stage.logs()?.iter().flat_map(|log| leaks(log)).collect();
    ledgers(stage, &noted, &mut evidence);
    evidence.noted = noted;
    Ok(evidence)
}

/// The whole life of an event, for whoever looks into a violation.
pub(super) async fn life(stage: &Stage, event_id: &str) -> Value {
    let params: [(
        &(dyn tokio_postgres::types::ToSql + Sync),
        tokio_postgres::types::Type,
    ); 1] = [(&event_id, tokio_postgres::types::Type::TEXT)];
    let rows = stage
        .database
        .query(LIFE, &params)
        .await
        .unwrap_or_default();
    let life = rows
        .first()
        .map(|row| row.try_get::<_, Option<Value>>("life"));
    life.and_then(Result::ok).flatten().unwrap_or_default()
}

fn delivery(row: &tokio_postgres::Row) -> anyhow::Result<Delivery> {
    let tries: Value = row.try_get("tries")?;
    let tries = tries.as_array().into_iter().flatten().map(|one| Try {
        outcome: one["outcome"].as_str().unwrap_or_default().to_owned(),
        hash: one["hash"].as_str().unwrap_or_default().to_owned(),
    });
    Ok(Delivery {
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        settled_at: row.try_get("settled_at")?,
        error_code: row.try_get("error_code")?,
        tries: tries.collect(),
    })
}

/// What arrived at each outlet, by the event that it is about.
fn ledgers(stage: &Stage, noted: &Noted, evidence: &mut Evidence) {
    let outlets = shop::outlets();
    let by_time: HashMap<i64, String> = evidence
        .facts
        .iter()
        .map(|(id, fact)| (fact.at.timestamp_micros(), id.clone()))
        .collect();
    stage.sandbox.read(|ledger| {
        for row in ledger.rows() {
            let Some(outlet) = outlet(&outlets, row) else {
                if row.verdict.counts() {
                    evidence
                        .strangers
                        .insert(format!("{} {}", row.platform, row.account));
                }
                continue;
            };
            let Some(id) = id_of(row, &by_time) else {
                if row.verdict.counts() {
                    evidence
                        .strangers
                        .insert(format!("{} without an id", outlet.destination));
                }
                continue;
            };
            let key = (id, outlet.destination.to_owned());
            evidence.requests.entry(key).or_default().push(Request {
                at: true_time(row.received_at, &noted.clock_steps),
                verdict: row.verdict,
                cents: row.value.as_deref().and_then(cents),
            });
        }
        for ((id, destination), requests) in &evidence.requests {
            let outlet = outlets.iter().find(|one| one.destination == destination);
            let name = evidence.facts.get(id).map_or("", |fact| fact.name.as_str());
            let times = requests.iter().filter(|one| one.verdict.counts()).count();
            let last = requests.iter().rev().find(|one| one.verdict.counts());
            let held = outlet.and_then(|outlet| {
                ledger.conversion(&ConversionKey {
                    platform: outlet.platform,
                    account: outlet.account.to_owned(),
                    event_name: outlet.name_of(name)?.to_owned(),
                    key: id.clone(),
                })
            });
            let is_changed = outlet.is_some_and(|outlet| {
                matches!(
                    outlet.platform,
                    Platform::GoogleDataManager | Platform::GoogleAds
                )
            });
            let worth = match held.filter(|_| is_changed) {
                Some(held) if held.counted() == 0 => Some(0),
                Some(held) => held.amount().value.as_deref().and_then(cents),
                None => last.and_then(|one| one.cents),
            };
            let counted = Counted {
                times,
                cents: worth,
            };
            evidence
                .counted
                .insert((id.clone(), destination.clone()), counted);
        }
    });
}

fn outlet<'a>(outlets: &'a [Outlet], row: &Row) -> Option<&'a Outlet> {
    let mut outlets = outlets.iter();
    outlets.find(|one| one.platform == row.platform && one.account == row.account)
}

/// The event that a row is about. GA4 is told no id but a purchase's, and is told apart by the time.
fn id_of(row: &Row, by_time: &HashMap<i64, String>) -> Option<String> {
    if row.platform == Platform::Ga4 && row.event_name.as_deref() != Some("purchase") {
        let body: Value = serde_json::from_slice(&row.body).ok()?;
        return by_time.get(&body["timestamp_micros"].as_i64()?).cloned();
    }
    row.event_id.clone()
}

/// The real time of what the platforms' clock says: the step it fits.
fn true_time(received_at: DateTime<Utc>, steps: &[(DateTime<Utc>, TimeDelta)]) -> DateTime<Utc> {
    let fits = steps.iter().enumerate().find_map(|(n, (from, offset))| {
        let time = received_at - *offset;
        let until = steps.get(n + 1).map(|(at, _)| *at);
        (time >= *from && until.is_none_or(|until| time <= until)).then_some(time)
    });
    fits.unwrap_or(received_at)
}

fn cents(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part: i64 = format!("{part:0<2}").get(..2)?.parse().ok()?;
    Some(whole.parse::<i64>().ok()? * 100 + part)
}

/// Lines of a log that hold what no log may hold.
fn leaks(log: &str) -> Vec<String> {
    const SECRETS: [&str; 4] = [
        "torture-token",
        "torture-secret",
        "demo-client-secret",
        "demo-refresh",
    ];
    let holds_person = |line: &str| {
        let mut words = line.split(['"', ' ', ',', ':']);
        words.any(|word| word.contains('@') && word.contains(".example"))
    };
    let lines = log.lines();
    lines
        .filter(|line| SECRETS.iter().any(|secret| line.contains(secret)) || holds_person(line))
        .map(|line| line.chars().take(200).collect())
        .collect()
}

/// Verdicts by how often they were given, for the report.
pub(super) fn verdicts(evidence: &Evidence) -> BTreeMap<&'static str, usize> {
    let mut verdicts = BTreeMap::new();
    for request in evidence.requests.values().flatten() {
        *verdicts
            .entry(Verdict::as_str(request.verdict))
            .or_default() += 1;
    }
    verdicts
}

/// Ids that any platform ever heard of.
pub(super) fn heard_of(evidence: &Evidence) -> BTreeSet<&str> {
    evidence
        .requests
        .keys()
        .map(|(id, _)| id.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stepped_clock_is_read_back() {
        let at = |secs| DateTime::UNIX_EPOCH + TimeDelta::seconds(secs);
        let steps = [
            (at(0), TimeDelta::zero()),
            (at(10), TimeDelta::seconds(45)),
            (at(15), TimeDelta::zero()),
        ];
        for (said, meant) in [(5, 5), (57, 12), (20, 20)] {
            assert_eq!(true_time(at(said), &steps), at(meant), "{said}");
        }
    }

    #[test]
    fn amounts_are_read_to_the_cent() {
        for (text, expected) in [("12", 1200), ("12.5", 1250), ("12.34", 1234), ("0", 0)] {
            assert_eq!(cents(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn secrets_and_persons_are_found_in_a_log() {
        let log = "{\"msg\":\"started\",\"url\":\"https://shop.example/\"}\n{\"msg\":\"sent to ana@mail.example\"}\ntoken torture-token-1";
        assert_eq!(leaks(log).len(), 2);
    }
}
