//! `reconcile missing`: which ids, and why; and what the application forgot, written later.

use anyhow::Context;
use chrono::NaiveDate;
use serde_json::json;

use super::super::{ConfigFile, block_on, by_hand, output, usage};
use super::{Differs, computed, entries};
use crate::reconcile::backfill::{self, Done, Forgotten, Refused};
use crate::reconcile::compare::GAPS_MAX;
use crate::reconcile::exact::Exact;
use crate::reconcile::result::{DayResult, Gap};
use crate::reconcile::source::Source;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The [[reconcile]] entry.
    #[arg(long, value_name = "NAME")]
    entry: String,
    /// The day, in the entry's time zone.
    #[arg(long, value_name = "DAY", value_parser = by_hand::day)]
    day: NaiveDate,
    /// Only what is missing at this destination, not what is missing in the outbox itself.
    #[arg(long, value_name = "NAME", conflicts_with = "backfill")]
    destination: Option<String>,
    /// Print SQL that writes an event for each row of the source that has none. It holds whatever personal data the query returns.
    ///
    /// Consent is never made up: it is what the query returns as a column consent (jsonb). Where it returns none, all four signals
    /// are unspecified, and by default nothing of such an event is sent.
    #[arg(long)]
    backfill: bool,
    /// Write them instead of printing, with the role conversion_outbox_operator; with --yes and --reason, else only their number is
    /// shown. What was written meanwhile is only counted.
    #[arg(long, requires = "backfill")]
    insert: bool,
    /// Do it.
    #[arg(long, requires = "insert")]
    yes: bool,
    /// Change nothing, whatever else is said.
    #[arg(long, requires = "insert")]
    dry_run: bool,
    /// Why you do it, in your own words and without naming a person; stands in the audit.
    #[arg(long, value_name = "TEXT", value_parser = by_hand::reason, requires = "insert")]
    reason: Option<String>,
    /// Print the gaps as `{"entry", "day", "time_zone", "is_closed", "gaps": [{"destination", "business_id", "event_id", "why",
    /// "reason", "source", "outbox", "occurred_at"}], "left_out"}`; with --insert `{"dry_run", "events", "refused", "created",
    /// "duplicates", "conflicts", "audit_no"}`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: super::super::DatabaseArgs,
}

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    if args.json && args.backfill && !args.insert {
        return Err(usage(
            "--backfill prints SQL; leave --json out, or add --insert",
        ));
    }
    let (config, database) = by_hand::open(file, args.database.database_url_env.as_ref())?;
    let reason = by_hand::decided(args.yes, args.dry_run, args.reason.clone())?;
    let entry = entries(&config, Some(&args.entry))?[0];
    block_on(async {
        // A backfill goes past what cannot be written, however much of that there is.
        let gaps_max = if args.backfill { usize::MAX } else { GAPS_MAX };
        let day = (Some(args.day), Some(args.day));
        let days = computed(entry, &config, &database, day, gaps_max).await?;
        let day = days.into_iter().next().context("the day was computed")?;
        if !args.backfill {
            return list(args, day);
        }
        let source = Source::open(entry, &config.database)?;
        let rows = source.rows(day.begins_at, day.ends_at, true).await?;
        let (events, refused) = backfill::forgotten(&day, &rows);
        match (args.insert, reason) {
            (false, _) => output::print(&printed(&day, &events, &refused)),
            (true, None) => told(args, &events, &refused, None),
            (true, Some(reason)) => {
                let done = by_hand::told(backfill::insert(&database, &events, &reason).await).context(
                    "not all events were written; a batch is written whole or not at all. Fix: run what --backfill prints in psql, which says what \
                     is wrong with which, such as a consent that lacks a signal",
                )?;
                told(args, &events, &refused, Some(done))
            }
        }
    })
}

fn list(args: &Args, mut day: DayResult) -> anyhow::Result<()> {
    if let Some(wanted) = &args.destination {
        let mut there = day.destinations.iter().map(|one| one.destination.as_str());
        if !there.any(|name| name == wanted) {
            let names: Vec<&str> = day
                .destinations
                .iter()
                .map(|one| one.destination.as_str())
                .collect();
            return Err(usage(&format!(
                "the entry is not compared at a destination of that name; there are {}",
                names.join(", ")
            )));
        }
        day.gaps.retain(|gap| gap.destination == args.destination);
    }
    let is_finding = day.is_finding();
    if let Some(wanted) = &args.destination {
        day.destinations.retain(|one| one.destination == *wanted);
        let all = day.destinations.iter().flat_map(|one| one.whys.values());
        day.gaps_left_out = all.sum::<u64>().saturating_sub(day.gaps.len() as u64);
    }
    match args.json {
        true => output::print_json(&json!({
            "entry": day.entry, "day": day.day, "time_zone": day.time_zone, "is_closed": day.is_closed,
            "gaps": day.gaps, "left_out": day.gaps_left_out,
        }))?,
        false => output::print(&readable(&day))?,
    }
    match is_finding {
        true => Err(Differs(1).into()),
        false => Ok(()),
    }
}

fn readable(day: &DayResult) -> String {
    if day.gaps.is_empty() {
        let said = format!(
            "no id is missing, extra or different on {} ({})",
            day.day, day.time_zone
        );
        let apart = day
            .destinations
            .iter()
            .filter(|one| one.difference != Exact::ZERO);
        let numbers: Vec<String> = apart
            .map(|one| format!("{} by {}", one.destination, one.difference))
            .collect();
        return match numbers.as_slice() {
            [] => said,
            numbers => format!(
                "{said}, and yet the numbers differ: {}. Fix: conversion-outbox reconcile report shows what the platform counted; it names no ids",
                numbers.join(", ")
            ),
        };
    }
    let head = ["where", "business id", "event id", "why", "details"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(day.gaps.iter().map(row));
    let mut text = output::table(&rows);
    let mut whys: Vec<_> = day.gaps.iter().map(|gap| gap.why).collect();
    whys.sort_unstable();
    whys.dedup();
    for why in whys {
        text.push_str(&format!("{}: {}\n", why.as_str(), why.explained()));
    }
    if day.gaps_left_out > 0 {
        text.push_str(&format!(
            "{} more are counted and not listed\n",
            day.gaps_left_out
        ));
    }
    text
}

fn row(gap: &Gap) -> Vec<String> {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let amounts = match (&gap.source, &gap.outbox) {
        (Some(source), Some(outbox)) => {
            Some(format!("{source} in the source, {outbox} in the outbox"))
        }
        _ => None,
    };
    vec![
        gap.destination
            .clone()
            .unwrap_or_else(|| "outbox".to_owned()),
        // An id is the application's own: what would move the cursor is shown as a literal has it.
        gap.business_id.escape_debug().to_string(),
        or_dash(
            gap.event_id
                .as_deref()
                .map(|id| id.escape_debug().to_string())
                .as_deref(),
        ),
        gap.why.as_str().to_owned(),
        or_dash(gap.reason.as_deref().or(amounts.as_deref())),
    ]
}

/// Of the rows that no event can be made of, so many are named.
const NAMED: usize = 20;

fn named(refused: &[Refused]) -> Vec<String> {
    let mut lines: Vec<String> = refused
        .iter()
        .take(NAMED)
        .map(|one| {
            format!(
                "not written: {} {}",
                one.business_id.escape_debug(),
                one.rule
            )
        })
        .collect();
    if refused.len() > NAMED {
        lines.push(format!("not written: {} more", refused.len() - NAMED));
    }
    lines
}

fn printed(day: &DayResult, events: &[Forgotten], refused: &[Refused]) -> String {
    let mut text = match (events.is_empty(), refused.is_empty()) {
        (true, true) => format!(
            "-- the application forgot nothing on {} ({})\n",
            day.day, day.time_zone
        ),
        (true, false) => format!(
            "-- nothing that can be written on {} ({})\n",
            day.day, day.time_zone
        ),
        (false, _) => backfill::sql(day, events),
    };
    for line in named(refused) {
        text.push_str(&format!("-- {line}\n"));
    }
    text
}

fn told(
    args: &Args,
    events: &[Forgotten],
    refused: &[Refused],
    done: Option<Done>,
) -> anyhow::Result<()> {
    let Done {
        created,
        duplicates,
        conflicts,
        audit_no,
    } = done.unwrap_or_default();
    if args.json {
        return output::print_json(&json!({
            "dry_run": done.is_none(), "events": events.len(), "refused": refused.len(), "created": created,
            "duplicates": duplicates, "conflicts": conflicts, "audit_no": audit_no,
        }));
    }
    let count = refused.len();
    let said = match (done, audit_no) {
        (None, _) => format!(
            "{} events would be written, {count} cannot be; nothing was changed: --yes --reason TEXT does it",
            events.len()
        ),
        (Some(_), None) => format!("nothing to write, {count} cannot be"),
        (Some(_), Some(audit_no)) => format!(
            "{created} events written, {duplicates} were there, {conflicts} were there with other content, {count} cannot be; audit {audit_no}"
        ),
    };
    let lines = std::iter::once(said).chain(named(refused));
    output::print(&lines.collect::<Vec<_>>().join("\n"))
}
