//! Asking for deliveries again and ending them by hand: what would happen first, the change only with `--yes`.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{ConfigFile, DatabaseArgs, block_on, output, usage};
use crate::config::Config;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::replay::{self, Candidate, Doubt, Filter, Prospect};

/// Which dead letters. What is not given asks for nothing.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct FilterArgs {
    /// Only this destination.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Only this state.
    #[arg(long, value_parser = ["rejected", "uncertain", "exhausted"])]
    state: Option<String>,
    /// Only this reason.
    #[arg(long = "why", value_name = "REASON")]
    why: Option<String>,
    /// Only this code of the platform.
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only events of this name.
    #[arg(long, value_name = "NAME")]
    event_name: Option<String>,
    /// Ended at this time or later: 2026-11-25, 2026-11-25T09:00:00Z, or so long ago: 90m, 24h, 7d.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Ended before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<DateTime<Utc>>,
    /// Only this event; may be given several times.
    #[arg(long = "event-id", value_name = "ID")]
    event_ids: Vec<String>,
}

impl FilterArgs {
    /// For one event.
    pub(super) fn of_event(event_id: String, destination: Option<String>) -> FilterArgs {
        FilterArgs {
            destination,
            state: None,
            why: None,
            code: None,
            event_name: None,
            since: None,
            until: None,
            event_ids: vec![event_id],
        }
    }

    /// As the database is asked.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            destination: self.destination.clone(),
            state: self.state.clone(),
            reason: self.why.clone(),
            code: self.code.clone(),
            event_name: self.event_name.clone(),
            since: self.since,
            until: self.until,
            event_ids: (!self.event_ids.is_empty()).then(|| self.event_ids.clone()),
        }
    }
}

/// What a change by hand needs beside the filter.
#[derive(Debug, clap::Args)]
pub(super) struct ChangeArgs {
    /// Do it. Without this, only what would happen is shown.
    #[arg(long, requires = "reason")]
    yes: bool,
    /// Why; it goes on record with your login.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Everything that has ended badly, where no filter is given.
    #[arg(long)]
    all: bool,
    /// Print `{"dry_run", "found", "changed", "groups": [{"destination", "state", "reason", "deliveries", "what"}]}`; what says
    /// what becomes of the group.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Send it again; `is_forced` where it may count twice or will be found too old.
    Replay { is_forced: bool },
    /// End it.
    Skip,
}

/// What was found, and what became of it.
#[derive(Default)]
struct Found {
    count: usize,
    changed: usize,
    groups: BTreeMap<[String; 4], usize>,
}

/// Shows what would happen, or does it. The deliveries are read with the worker's own login, and changed with the operator's.
pub(super) fn run(
    change: Change,
    filter: &FilterArgs,
    args: &ChangeArgs,
    file: &ConfigFile,
) -> anyhow::Result<()> {
    let filter = filter.filter();
    if filter.is_empty() && !args.all {
        return Err(usage("name some of them by a filter, or all with --all"));
    }
    let config = file.load()?;
    let reading = Database::open(&config.database)?;
    let changing = file.database(&args.database)?;
    let reason = args.reason.as_deref().filter(|_| args.yes);
    let found = block_on(work(change, &filter, reason, &config, &reading, &changing))?;
    if args.json {
        let groups: Vec<Value> = found
            .groups
            .iter()
            .map(|([destination, state, reason, what], deliveries)| {
                json!({ "destination": destination, "state": state, "reason": reason, "deliveries": deliveries, "what": what })
            })
            .collect();
        return output::print_json(
            &json!({ "dry_run": !args.yes, "found": found.count, "changed": found.changed, "groups": groups }),
        );
    }
    output::print(&readable(&found, args.yes))
}

async fn work(
    change: Change,
    filter: &Filter,
    reason: Option<&str>,
    config: &Config,
    reading: &Database,
    changing: &Database,
) -> anyhow::Result<Found> {
    let asked = filter.told();
    let mut found = Found::default();
    let mut last: Option<Candidate> = None;
    loop {
        let mut page =
            replay::read(reading, filter, filter.event_ids.is_some(), last.as_ref()).await?;
        let now = Utc::now();
        let mut chosen: BTreeMap<Doubt, Vec<(i64, &str)>> = BTreeMap::new();
        for candidate in &page {
            let (what, doubt) = judge(change, candidate, config, now);
            let group = [
                candidate.destination.clone(),
                candidate.state.clone(),
                candidate.reason.clone().unwrap_or_default(),
                what,
            ];
            *found.groups.entry(group).or_default() += 1;
            if let Some(doubt) = doubt {
                let one = (candidate.event_no, candidate.destination.as_str());
                chosen.entry(doubt).or_default().push(one);
            }
        }
        found.count += page.len();
        for (doubt, chosen) in chosen {
            let Some(reason) = reason else { continue };
            let changed = match change {
                Change::Replay { .. } => {
                    replay::replay(changing, &chosen, doubt, reason, &asked).await
                }
                Change::Skip => replay::skip(changing, &chosen, reason, &asked).await,
            };
            found.changed +=
                changed.map_err(|error| allowed(error, "replay and skip deliveries"))?;
        }
        match page.pop() {
            Some(candidate) => last = Some(candidate),
            None => return Ok(found),
        }
    }
}

/// What becomes of one, in words, and with what doubt it goes if it goes.
fn judge(
    change: Change,
    candidate: &Candidate,
    config: &Config,
    now: DateTime<Utc>,
) -> (String, Option<Doubt>) {
    let is_forced = match change {
        Change::Replay { is_forced } => is_forced,
        Change::Skip if candidate.may_be_skipped() => {
            return ("ends as cancelled".to_owned(), Some(Doubt::Refuse));
        }
        Change::Skip => return ("stays: a worker has it, or it has ended".to_owned(), None),
    };
    match candidate.prospect(config, now) {
        Prospect::Goes(doubt) => ("goes again".to_owned(), Some(doubt)),
        Prospect::AtRisk(risk) if is_forced => (
            format!("goes again by force: {}", risk.as_str()),
            Some(Doubt::Forget),
        ),
        Prospect::AtRisk(risk) => (format!("needs --force: {}", risk.as_str()), None),
        Prospect::Stays(why) => (format!("stays: {why}"), None),
    }
}

fn readable(found: &Found, is_done: bool) -> String {
    if found.count == 0 {
        return "nothing of the kind".to_owned();
    }
    let heading = ["destination", "state", "reason", "deliveries", "what"];
    let mut rows: Vec<Vec<String>> = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(
        found
            .groups
            .iter()
            .map(|([destination, state, reason, what], deliveries)| {
                [destination, state, reason, &deliveries.to_string(), what]
                    .map(Clone::clone)
                    .to_vec()
            }),
    );
    let end = match is_done {
        true => format!("{} changed; it is on record", found.changed),
        false => "nothing was changed: add --yes --reason \"…\" to do it".to_owned(),
    };
    format!("{}\n{end}", output::table(&rows))
}

/// Says what to do where the login lacks the operator's role.
pub(super) fn allowed(error: DatabaseError, what: &str) -> anyhow::Error {
    // insufficient_privilege: PostgreSQL's manual, appendix A.
    if error.code() == Some("42501") {
        return anyhow::anyhow!(
            "this login may not {what}. Fix: grant it conversion_outbox_operator, or take another login with --database-url-env"
        );
    }
    error.into()
}

/// A time as people write it.
pub(super) fn time(text: &str) -> anyhow::Result<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let unit = text.chars().last().context("a time is missing")?;
    let number: Option<u32> = text
        .strip_suffix(unit)
        .and_then(|number| number.parse().ok());
    let ago = match (number, unit) {
        (Some(minutes), 'm') => Utc::now().checked_sub_signed(TimeDelta::minutes(minutes.into())),
        (Some(hours), 'h') => Utc::now().checked_sub_signed(TimeDelta::hours(hours.into())),
        (Some(days), 'd') => Utc::now().checked_sub_days(Days::new(days.into())),
        _ => None,
    };
    match ago {
        Some(time) => Ok(time),
        None => bail!("write 2026-11-25, 2026-11-25T09:00:00Z, or so long ago: 90m, 24h, 7d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood_as_people_write_them() {
        for good in [
            "2026-11-25",
            "2026-11-25T09:00:00+01:00",
            "90m",
            "24h",
            "7d",
        ] {
            assert!(time(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "yesterday",
            "h",
            "-1h",
            "7 d",
            "2026-13-01",
            "4294967296d",
            "é",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
