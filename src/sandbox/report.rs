//! The ledger as JSON: rows by filter, the summary, the counted conversions. Not for HTML, which is `page`.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::dedup::{Conversion, ConversionKey};
use super::exchange::Platform;
use super::ledger::Ledger;
use super::row::{Row, Verdict};
use super::state::State;

/// Which rows are wanted. The default is everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Filter {
    pub(super) platform: Option<Platform>,
    pub(super) account: Option<String>,
    pub(super) verdict: Option<Verdict>,
    pub(super) event_name: Option<String>,
    pub(super) event_id: Option<String>,
    /// Only rows with a greater number.
    pub(super) after: u64,
    pub(super) limit: Option<usize>,
    /// With the request's body as text.
    pub(super) bodies: bool,
}

impl Filter {
    /// Reads query pairs. An empty value filters nothing, as a form sends it.
    pub(super) fn parse(pairs: &[(String, String)]) -> Result<Filter, String> {
        let mut filter = Filter::default();
        for (name, text) in pairs.iter().filter(|(_, text)| !text.is_empty()) {
            let must = |what: &str| format!("{name} must be {what}");
            match name.as_str() {
                "platform" => {
                    filter.platform = Some(
                        Platform::named(text)
                            .ok_or_else(|| must(&format!("one of: {}", Platform::texts())))?,
                    )
                }
                "verdict" => {
                    filter.verdict = Some(
                        Verdict::named(text).ok_or_else(|| must("a verdict, such as stored"))?,
                    )
                }
                "account" => filter.account = Some(text.clone()),
                "event_name" => filter.event_name = Some(text.clone()),
                "event_id" => filter.event_id = Some(text.clone()),
                "after" => filter.after = text.parse().map_err(|_| must("a whole number"))?,
                "limit" => filter.limit = Some(text.parse().map_err(|_| must("a whole number"))?),
                "bodies" => filter.bodies = text == "true",
                _ => return Err(format!("there is no filter {name}")),
            }
        }
        Ok(filter)
    }

    /// Whether a row is wanted.
    pub(super) fn takes(&self, row: &Row) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|it| found == Some(it))
        };
        row.seq > self.after
            && self
                .platform
                .is_none_or(|platform| platform == row.platform)
            && self.verdict.is_none_or(|verdict| verdict == row.verdict)
            && is(&self.account, Some(&row.account))
            && is(&self.event_name, row.event_name.as_deref())
            && is(&self.event_id, row.event_id.as_deref())
    }
}

/// The wanted rows, oldest first.
pub(super) fn events(ledger: &Ledger, filter: &Filter) -> Vec<Value> {
    let rows = ledger
        .rows()
        .filter(|row| filter.takes(row))
        .take(filter.limit.unwrap_or(usize::MAX));
    rows.map(|row| row_json(row, filter.bodies)).collect()
}

fn row_json(row: &Row, with_body: bool) -> Value {
    let mut json = json!({
        "seq": row.seq,
        "request": row.request,
        "platform": row.platform,
        "account": row.account,
        "path": row.path,
        "channel": row.channel,
        "received_at": row.received_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "event_name": row.event_name,
        "event_id": row.event_id,
        "value": row.value,
        "currency": row.currency,
        "verdict": row.verdict,
        "reason": row.reason,
        "status": row.status,
        "digest": row.digest,
        "event": serde_json::from_str(&row.event).unwrap_or(Value::Null),
    });
    if with_body {
        json["body"] = String::from_utf8_lossy(&row.body).into();
    }
    json
}

/// Counts per account and what the ledger had to forget; in a sink, what it counted.
pub(super) fn summary(state: &State) -> Value {
    let mut summary = state.read(|ledger| {
        let accounts = ledger.accounts().map(|(platform, account, count)| {
            json!({"platform": platform, "account": account, "requests": count.requests, "verdicts": count.verdicts,
                "counted": count.counted, "conversions": count.conversions, "doubles": count.doubles})
        });
        let calls = ledger.calls().map(|(platform, path, count)| {
            json!({"platform": platform, "path": path, "calls": count.calls, "statuses": count.statuses,
                "at_once_max": count.at_once_max})
        });
        json!({
            "accounts": accounts.collect::<Vec<_>>(),
            "calls": calls.collect::<Vec<_>>(),
            "last_seq": ledger.last_seq(),
            "rows": ledger.rows().len(),
            "dropped_rows": ledger.dropped_rows(),
            "forgotten_keys": ledger.forgotten_keys(),
        })
    });
    let sink = Platform::ALL
        .map(|platform| (platform.to_string(), json!(state.sink_of(platform).total())));
    summary["sink"] = Value::Object(sink.into_iter().collect());
    summary
}

/// Every conversion with how often it counts, what it is worth and what changed it, in order of its key.
pub(super) fn conversions(ledger: &Ledger) -> Value {
    let mut list: Vec<_> = ledger.conversions().collect();
    list.sort_unstable_by_key(|(key, _)| *key);
    let json = |(key, held): (&ConversionKey, &Conversion)| {
        json!({"platform": key.platform, "account": key.account, "event_name": key.event_name, "key": key.key,
            "counted": held.counted(), "value": held.amount().value, "currency": held.amount().currency,
            "history": held.history()})
    };
    Value::Array(list.into_iter().map(json).collect())
}
