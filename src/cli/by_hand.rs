//! What the commands of operators share: which deliveries are meant, when, and why something is done.

use anyhow::Context;
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};

use super::{ConfigFile, rights, usage};
use crate::config::Config;
use crate::config::database::DatabaseConfig;
use crate::config::secret::SecretRef;
use crate::db::connect::Database;
use crate::operations::Filter;
use crate::outcome::{Reason, State};

/// Which deliveries are meant.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// At this destination.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// In this state, or in it for this reason: `uncertain`, `rejected/refused_by_platform`.
    #[arg(long, value_name = "STATE[/REASON]", value_parser = standing)]
    state: Option<(State, Option<Reason>)>,
    /// With this code of the platform, or this field that our check refused.
    #[arg(long, value_name = "CODE")]
    error_code: Option<String>,
    /// Of events of this name.
    #[arg(long, value_name = "NAME")]
    event_name: Option<String>,
    /// Settled (what waits: recorded) at or after this time: RFC 3339, or so long ago (90s, 30m, 36h, 2d).
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Settled (what waits: recorded) before this time: RFC 3339, or so long ago.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<DateTime<Utc>>,
    /// So many at most.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..))]
    limit: Option<i64>,
}

impl Which {
    /// As the library wants it; of these events, where some are named.
    pub(super) fn filter(&self, event_ids: &[String]) -> Filter {
        let (state, reason) = self.state.unzip();
        Filter {
            destination: self.destination.clone(),
            state: state.map(State::as_str),
            reason: reason.flatten().map(Reason::as_str),
            error_code: self.error_code.clone(),
            event_name: self.event_name.clone(),
            event_ids: (!event_ids.is_empty()).then(|| event_ids.to_vec()),
            since: self.since,
            until: self.until,
            limit: self.limit,
            by: None,
        }
    }
}

/// Why something is done, in a person's own words.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 500 {
        return Err("must have 1 to 500 characters".to_owned());
    }
    if Reason::parse(text).is_some() {
        return Err(format!(
            "this is why you do it, in your own words; deliveries of that reason are meant by --state STATE/{text}"
        ));
    }
    Ok(text.to_owned())
}

/// A time, or so long ago.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let wrong = || {
        "must be RFC 3339, such as 2026-11-25T09:00:00Z, or so long ago: 90s, 30m, 36h, 2d"
            .to_owned()
    };
    let (at, _) = text.char_indices().next_back().ok_or_else(wrong)?;
    let (count, unit) = text.split_at(at);
    let count: u32 = count.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let ago = TimeDelta::seconds(i64::from(count) * seconds);
    Utc::now().checked_sub_signed(ago).ok_or_else(wrong)
}

fn standing(text: &str) -> Result<(State, Option<Reason>), String> {
    let (state, reason) = match text.split_once('/') {
        Some((state, reason)) => (state, Some(reason)),
        None => (text, None),
    };
    let states: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
    let state = State::parse(state).ok_or_else(|| format!("states are {}", states.join(", ")))?;
    let reason =
        match reason {
            None => None,
            Some(word) => Some(Reason::parse(word).ok_or(
                "this is no reason; `dead-letters list --by reason` shows those that occur",
            )?),
        };
    Ok((state, reason))
}

/// The configuration, and the database: that of the configuration, or the one of a variable.
pub(super) fn open(
    file: &ConfigFile,
    variable: Option<&String>,
) -> anyhow::Result<(Config, Database)> {
    let config = file.load()?;
    let database = match variable {
        Some(name) => Database::open(&DatabaseConfig::new(SecretRef::variable(name))),
        None => Database::open(&config.database),
    };
    Ok((config, database?))
}

/// The result of what an operator asks for; says so where the login is none's.
pub(super) fn told<T>(result: Result<T, impl Into<anyhow::Error>>) -> anyhow::Result<T> {
    rights::needs(rights::OPERATOR, result)
}

/// The reason of something that is done; nothing where it is only looked at.
pub(super) fn decided(
    yes: bool,
    dry_run: bool,
    reason: Option<String>,
) -> anyhow::Result<Option<String>> {
    match (yes && !dry_run, reason) {
        (false, _) => Ok(None),
        (true, Some(reason)) => Ok(Some(reason)),
        (true, None) => Err(usage(
            "--yes needs --reason TEXT: why you do it, for the audit",
        )),
    }
}

/// Nobody means everything without saying so.
pub(super) fn at_least_one(filter: &Filter, all: bool) -> anyhow::Result<()> {
    if filter.is_empty() && !all {
        return Err(usage(
            "say which: an event id, --destination, --state, --error-code, --event-name, --since or --until; or --all",
        ));
    }
    Ok(())
}

/// Seconds and no more, in UTC.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.format("%F %T").to_string()
}

/// One event by its id, as the database tells it.
pub(super) async fn life(database: &Database, event_id: &str) -> anyhow::Result<serde_json::Value> {
    told(crate::operations::life::of(database, event_id).await)?
        .context("there is no event of this id. Fix: `conversion-outbox events list --business-id ID` shows those of an order or lead")
}

/// A day: `2026-11-24`, `today` or `yesterday` of UTC. Of years that every calendar here can reckon with.
pub(super) fn day(text: &str) -> Result<NaiveDate, String> {
    let today = Utc::now().date_naive();
    match text {
        "today" => Ok(today),
        "yesterday" => Ok(today.pred_opt().unwrap_or(today)),
        written => written
            .parse()
            .ok()
            .filter(|day: &NaiveDate| (1970..=9998).contains(&day.year()))
            .ok_or_else(|| "write a day such as 2026-11-24, or today or yesterday".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_out_or_so_long_ago() {
        let at = time("2026-11-25T09:00:00+01:00").expect("a time");
        assert_eq!(at.to_rfc3339(), "2026-11-25T08:00:00+00:00");
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("36h", 129_600),
            ("2d", 172_800),
        ] {
            let at = time(text).expect(text);
            let ago = Utc::now() - at;
            assert!((0..60).contains(&(ago.num_seconds() - seconds)), "{text}");
        }
        for text in ["", "d", "-1h", "1w", "5ä", "2026-11-25", "4294967296d"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reason_is_a_person_s_own_words() {
        assert_eq!(reason(" mended "), Ok("mended".to_owned()));
        assert!(reason(&"x".repeat(501)).is_err());
        let told = reason("no_answer").expect_err("a word of ours");
        assert!(told.contains("--state"), "{told}");
        assert_eq!(
            standing("rejected/defect"),
            Ok((State::Rejected, Some(Reason::Defect)))
        );
        assert!(standing("rejected/").is_err() && standing("dead").is_err());
    }
}
