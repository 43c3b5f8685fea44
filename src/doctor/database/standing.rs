//! What to make of a destination as the database knows it: served, held, with rules that are held. Pure, but for reading
//! a row.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;

use super::super::Check;
use crate::config::destination::DestinationConfig;

/// After how many seconds without a sign no worker counts as serving a destination; the queue goes by the same time.
const SERVED_WITHIN: f64 = 600.0;

/// A destination as it is registered.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) name: String,
    pub(super) platform: String,
    /// Seconds since a worker last said that it serves it.
    pub(super) seen_ago: f64,
    pub(super) hold: Option<Hold>,
    /// Held rules.
    pub(super) rules: Vec<Hold>,
}

/// What is held, and why.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    /// The rule; of a whole destination, the reason.
    pub(super) what: String,
    pub(super) code: Option<String>,
    pub(super) advice: Option<String>,
    /// As it is printed.
    pub(super) since: String,
}

impl Standing {
    pub(super) fn read(row: &Row) -> Result<Standing, tokio_postgres::Error> {
        let since: Option<DateTime<Utc>> = row.try_get("held_since")?;
        let hold = match row.try_get::<_, Option<String>>("hold_reason")? {
            None => None,
            Some(what) => Some(Hold {
                what,
                code: row.try_get("hold_code")?,
                advice: row.try_get("hold_advice")?,
                since: since.map(time).unwrap_or_default(),
            }),
        };
        let rules: Value = row.try_get("rules")?;
        Ok(Standing {
            name: row.try_get("name")?,
            platform: row.try_get("platform")?,
            seen_ago: row.try_get("seen_ago")?,
            hold,
            rules: rules.as_array().into_iter().flatten().map(rule).collect(),
        })
    }
}

fn rule(rule: &Value) -> Hold {
    let text = |key: &str| rule[key].as_str().map(str::to_owned);
    let since = text("since").unwrap_or_default();
    let at = since.parse::<DateTime<Utc>>();
    Hold {
        what: text("rule").unwrap_or_default(),
        code: text("code"),
        advice: text("advice"),
        since: at.map_or(since, time),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%F %T UTC").to_string()
}

/// How the database knows a destination.
pub(super) fn judge(destination: &DestinationConfig, standing: Option<&Standing>) -> Vec<Check> {
    let checks = match standing {
        None => vec![unknown()],
        Some(standing) => {
            let registered = registered(standing, destination.platform().name());
            let held = standing.hold.iter().map(held);
            let rules = standing.rules.iter().map(held_rule);
            std::iter::once(registered)
                .chain(held)
                .chain(rules)
                .collect()
        }
    };
    checks
        .into_iter()
        .map(|check| check.at(&destination.name))
        .collect()
}

const NAME: &str = "destination";

fn unknown() -> Check {
    Check::warn(
        NAME,
        "no worker has registered it yet: events do not wait for it",
        "start a worker with this configuration",
    )
}

fn registered(standing: &Standing, platform: &str) -> Check {
    let seconds = standing.seen_ago.max(0.0);
    if standing.platform != platform {
        return Check::fail(
            NAME,
            format!("a worker registered it as platform {}", standing.platform),
            "give the destination a name that no other account had, or stop the worker that has another configuration",
        );
    }
    if seconds > SERVED_WITHIN {
        return Check::warn(
            NAME,
            format!("no worker has served it for {:.0} minutes", seconds / 60.0),
            "start a worker with this configuration",
        );
    }
    Check::ok(NAME, format!("a worker served it {seconds:.0} s ago"))
}

fn held(hold: &Hold) -> Check {
    let code = hold.code.as_ref().map(|code| format!(", code {code}"));
    let seen = format!(
        "held since {} ({}{})",
        hold.since,
        hold.what,
        code.unwrap_or_default()
    );
    Check::fail("hold", seen, advice(hold))
}

fn held_rule(hold: &Hold) -> Check {
    let code = hold.code.as_ref().map(|code| format!(" (code {code})"));
    let seen = format!(
        "rule {} is held since {}{}",
        hold.what,
        hold.since,
        code.unwrap_or_default()
    );
    Check::fail("hold", seen, advice(hold))
}

fn advice(hold: &Hold) -> &str {
    hold.advice.as_deref().unwrap_or("see the worker's log")
}
