//! `replay` and `skip`, for dead letters and for deliveries at large: what would be done, or what was.

use chrono::Utc;
use thiserror::Error;

use super::by_hand::{self, Which};
use super::{ConfigFile, block_on, output};
use crate::operations::report::Report;
use crate::operations::run::{self, Action, Order};

/// That some of what was meant is refused, looked at or done. Which and why is printed already.
#[derive(Debug, Error)]
#[error("{refused} of the deliveries that were meant are refused")]
pub struct SomeRefused {
    /// How many.
    pub refused: u64,
}

/// Arguments of `skip`, and of `replay` but for one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only deliveries of these events.
    #[arg(value_name = "EVENT_ID")]
    event_ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// Without any filter: all there are.
    #[arg(long)]
    all: bool,
    /// Do it. Without it nothing is changed, and what would be done is shown.
    #[arg(long)]
    yes: bool,
    /// Change nothing, whatever else is said.
    #[arg(long)]
    dry_run: bool,
    /// Why you do it, in your own words and without naming a person; with --yes it must be given, and stands in the audit.
    #[arg(long, value_name = "TEXT", value_parser = by_hand::reason)]
    reason: Option<String>,
    /// Print `{"action", "dry_run", "forced", "filter", "deliveries": [{"destination", "state", "reason", "count"}], "refused":
    /// [{"destination", "state", "reason", "refusal", "can_be_forced", "why", "count", "sample_event_id"}], "total",
    /// "refused_total", "done", "audit_no"}`: what may be done, what is refused, and what was done.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: super::DatabaseArgs,
}

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    run: Args,
    /// Send also what may have arrived and would count twice if it did, and what is older than age_max_hours of the
    /// configuration. What the platform itself finds too old is not sent in any case.
    #[arg(long)]
    force: bool,
}

/// Sends again. `is_wide`: also what was skipped by hand.
pub(super) fn replay(args: &ReplayArgs, is_wide: bool, file: &ConfigFile) -> anyhow::Result<()> {
    let forced = args.force;
    over(Action::Replay { forced }, &args.run, is_wide, file)
}

/// Ends for good. `is_wide`: also what waits.
pub(super) fn skip(args: &Args, is_wide: bool, file: &ConfigFile) -> anyhow::Result<()> {
    over(Action::Skip, args, is_wide, file)
}

fn over(action: Action, args: &Args, is_wide: bool, file: &ConfigFile) -> anyhow::Result<()> {
    let filter = args.which.filter(&args.event_ids);
    by_hand::at_least_one(&filter, args.all)?;
    let reason = by_hand::decided(args.yes, args.dry_run, args.reason.clone())?;
    let (config, database) = by_hand::open(file, args.database.database_url_env.as_ref())?;
    let order = Order {
        action,
        filter: &filter,
        is_wide,
        reason: reason.as_deref(),
    };
    let report = block_on(async {
        by_hand::told(run::run(&database, &order, &config.destinations, Utc::now()).await)
    })?;
    match args.json {
        true => output::print_json(&report)?,
        false => output::print(&readable(&report))?,
    }
    match report.refused_total {
        0 => Ok(()),
        refused => Err(SomeRefused { refused }.into()),
    }
}

fn readable(report: &Report) -> String {
    let mut text = String::new();
    let count = |count: u64| count.to_string();
    let of = |state: &str, reason: &Option<String>| match reason {
        Some(reason) => format!("{state}/{reason}"),
        None => state.to_owned(),
    };
    if !report.deliveries.is_empty() {
        let mut rows = vec![
            ["destination", "was", "deliveries"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(report.deliveries.iter().map(|one| {
            vec![
                one.destination.clone(),
                of(one.state, &one.reason),
                count(one.count),
            ]
        }));
        text.push_str(&output::table(&rows));
    }
    for one in &report.refused {
        text.push_str(&format!(
            "refused: {} {} of {} (such as {}): {}\n",
            one.count,
            of(one.state, &one.reason),
            one.destination,
            one.sample_event_id,
            one.why
        ));
    }
    let what = match report.action {
        "replay" => "to send again",
        _ => "to end",
    };
    text.push_str(&match (report.dry_run, report.audit_no) {
        (true, _) => format!(
            "{} {what}, {} refused; nothing was changed: --yes --reason TEXT does it",
            report.total, report.refused_total
        ),
        (false, None) => format!("nothing {what}, {} refused", report.refused_total),
        (false, Some(audit_no)) => format!(
            "{} of {} done, {} refused; audit {audit_no}{}",
            report.done,
            report.total,
            report.refused_total,
            match report.total - report.done {
                0 => String::new(),
                changed => format!("; {changed} changed in between and were left alone"),
            }
        ),
    });
    text
}
