//! `status`: what stands now at every destination, from the database alone.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tokio_postgres::Row;

use super::rights::{READER, needs};
use super::{ConfigFile, DatabaseArgs, block_on, output};
use crate::db::connect::Database;
use crate::db::migrate;
use crate::operations::destinations;
use crate::outcome::State;

const STATUS: &str = include_str!("../../sql/queries/destination_status.sql");

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print `{"schema_version", "destinations": [{"name", "platform", "state": "enabled" | "unserved" | "held" |
    /// "disabled", "served", "last_seen_at", "hold": null | {"reason", "code", "advice", "since", "probe_at"}, "pending", "due", "retrying", "oldest_due_age_seconds",
    /// "oldest_pending_age_seconds", "expiring", "unconfirmed_requests", "held_rules": [{"rule", "code", "advice", "since",
    /// "probe_at"}], "totals": {state: deliveries}, "retried"}]}`. Ages are null when nothing waits, probe_at for a pause; expiring are those that
    /// the platform takes for less than a day. Served is whether a worker was there for it within the last ten minutes; unserved
    /// is what is enabled and not served.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// One destination as it stands.
struct Standing {
    name: String,
    platform: String,
    is_enabled: bool,
    is_served: bool,
    last_seen_at: DateTime<Utc>,
    hold: Option<Held>,
    pending: i64,
    due: i64,
    retrying: i64,
    /// Seconds.
    oldest_due: Option<f64>,
    /// Seconds.
    oldest_pending: Option<f64>,
    /// In the order of [`State::ALL`], pending left out.
    totals: Vec<(&'static str, i64)>,
    retried: i64,
    expiring: i64,
    unconfirmed: i64,
    /// As they are printed.
    held_rules: Value,
}

struct Held {
    reason: String,
    code: Option<String>,
    advice: Option<String>,
    since: DateTime<Utc>,
    /// Nothing for a pause.
    probe_at: Option<DateTime<Utc>>,
}

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    let database = file.database(&args.database)?;
    if args.json {
        let json = block_on(async { needs(READER, json(&database).await) })?;
        return output::print_json(&json);
    }
    let (_, standings) = block_on(async { needs(READER, read(&database).await) })?;
    if standings.is_empty() {
        return output::print("no destinations yet: a worker registers them when it starts");
    }
    output::print(&readable(&standings))
}

/// What `--json` prints.
pub(crate) async fn json(database: &Database) -> anyhow::Result<Value> {
    let (version, standings) = read(database).await?;
    let destinations: Vec<Value> = standings.iter().map(Standing::json).collect();
    Ok(json!({ "schema_version": version, "destinations": destinations }))
}

async fn read(database: &Database) -> anyhow::Result<(u32, Vec<Standing>)> {
    let version = migrate::check(database).await?;
    let rows = database.query(STATUS, &[]).await?;
    let standings = rows.iter().map(Standing::read).collect::<Result<_, _>>()?;
    Ok((version, standings))
}

fn readable(standings: &[Standing]) -> String {
    let heading = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut backlog: Vec<Vec<String>> = vec![heading(&[
        "destination",
        "platform",
        "state",
        "pending",
        "due",
        "retrying",
        "oldest due",
        "oldest pending",
    ])];
    backlog.extend(standings.iter().map(Standing::backlog_row));
    let states: Vec<&str> = standings[0]
        .totals
        .iter()
        .map(|(state, _)| *state)
        .collect();
    let mut totals: Vec<Vec<String>> = vec![heading(
        &[&["destination"], &states[..], &["retried"]].concat(),
    )];
    totals.extend(standings.iter().map(Standing::totals_row));
    let holds: String = standings.iter().map(Standing::hold_text).collect();
    format!(
        "{}\n{}\n{holds}",
        output::table(&backlog),
        output::table(&totals)
    )
}

impl Standing {
    fn read(row: &Row) -> Result<Standing, tokio_postgres::Error> {
        let totals: Value = row.try_get("totals")?;
        let hold = match row.try_get::<_, Option<String>>("hold_reason")? {
            None => None,
            Some(reason) => Some(Held {
                reason,
                code: row.try_get("hold_code")?,
                advice: row.try_get("hold_advice")?,
                since: row.try_get("held_since")?,
                probe_at: row.try_get("probe_at")?,
            }),
        };
        Ok(Standing {
            name: row.try_get("destination")?,
            platform: row.try_get("platform")?,
            is_enabled: row.try_get("enabled")?,
            is_served: row.try_get("is_served")?,
            last_seen_at: row.try_get("last_seen_at")?,
            hold,
            pending: row.try_get("pending")?,
            due: row.try_get("due")?,
            retrying: row.try_get("retrying")?,
            oldest_due: row.try_get("oldest_due_age")?,
            oldest_pending: row.try_get("oldest_pending_age")?,
            totals: State::ALL
                .iter()
                .filter(|state| **state != State::Pending)
                .map(|state| (state.as_str(), totals[state.as_str()].as_i64().unwrap_or(0)))
                .collect(),
            retried: row.try_get("retried")?,
            expiring: row.try_get("expiring")?,
            unconfirmed: row.try_get("unconfirmed")?,
            held_rules: row.try_get("rules")?,
        })
    }

    fn state(&self) -> &'static str {
        // A pause is a hold here, as ever.
        let hold = self.hold.as_ref().map(|_| "held");
        destinations::state(self.is_enabled, hold, self.is_served)
    }

    fn json(&self) -> Value {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let hold = self.hold.as_ref().map(|hold| {
            json!({
                "reason": hold.reason, "code": hold.code, "advice": hold.advice,
                "since": time(hold.since), "probe_at": hold.probe_at.map(time),
            })
        });
        let seconds = |age: Option<f64>| age.map(|age| age.max(0.0).round() as u64);
        let totals: Map<String, Value> = self
            .totals
            .iter()
            .map(|(state, total)| ((*state).to_owned(), (*total).into()))
            .collect();
        json!({
            "name": self.name, "platform": self.platform, "state": self.state(), "served": self.is_served,
            "last_seen_at": time(self.last_seen_at), "hold": hold,
            "pending": self.pending, "due": self.due, "retrying": self.retrying,
            "oldest_due_age_seconds": seconds(self.oldest_due),
            "oldest_pending_age_seconds": seconds(self.oldest_pending),
            "expiring": self.expiring, "unconfirmed_requests": self.unconfirmed, "held_rules": self.held_rules,
            "totals": totals, "retried": self.retried,
        })
    }

    fn backlog_row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.platform.clone(),
            self.state().to_owned(),
            self.pending.to_string(),
            self.due.to_string(),
            self.retrying.to_string(),
            age_text(self.oldest_due),
            age_text(self.oldest_pending),
        ]
    }

    fn totals_row(&self) -> Vec<String> {
        let totals = self.totals.iter().map(|(_, total)| total.to_string());
        std::iter::once(self.name.clone())
            .chain(totals)
            .chain([self.retried.to_string()])
            .collect()
    }

    /// What needs a person, a line each.
    fn hold_text(&self) -> String {
        let mut text = self.unserved_text().unwrap_or_default();
        text.push_str(&self.destination_hold_text().unwrap_or_default());
        for rule in self.held_rules.as_array().into_iter().flatten() {
            let word = |key: &str| rule[key].as_str().unwrap_or_default();
            let code = match rule["code"].as_str() {
                Some(code) => format!(" ({code})"),
                None => String::new(),
            };
            text.push_str(&format!(
                "{} rule {} is held since {}{code}: {}\n",
                self.name,
                word("rule"),
                word("since"),
                word("advice")
            ));
        }
        text
    }

    fn unserved_text(&self) -> Option<String> {
        (self.is_enabled && !self.is_served).then(|| {
            format!(
                "{}: no worker has served it since {}; what is written for it waits\n",
                self.name,
                self.last_seen_at.format("%F %T UTC")
            )
        })
    }

    fn destination_hold_text(&self) -> Option<String> {
        let hold = self.hold.as_ref()?;
        let code = hold
            .code
            .as_ref()
            .map(|code| format!(", code {code}"))
            .unwrap_or_default();
        let advice = hold.advice.as_deref().unwrap_or("see the worker's log");
        let since = hold.since.format("%F %T UTC");
        Some(format!(
            "{} is held since {since} ({}{code}): {advice}\n",
            self.name, hold.reason
        ))
    }
}

/// Seconds as people say them: `45s`, `12m`, `3h`, `5d`.
fn age_text(age: Option<f64>) -> String {
    let Some(age) = age else {
        return "-".to_owned();
    };
    match age.max(0.0) as u64 {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let texts = [
            None,
            Some(-1.0),
            Some(119.9),
            Some(120.0),
            Some(7200.0),
            Some(1e6),
        ]
        .map(age_text);
        assert_eq!(texts, ["-", "0s", "119s", "2m", "2h", "11d"]);
    }
}
