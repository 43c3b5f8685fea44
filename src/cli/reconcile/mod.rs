//! `reconcile`: the outbox against the application's own tables, and against what platforms report.

mod import;
mod missing;
mod report;

use anyhow::anyhow;
use chrono::{NaiveDate, Utc};
use thiserror::Error;

use super::{ConfigFile, by_hand, usage};
use crate::config::Config;
use crate::config::reconcile::ReconcileConfig;
use crate::db::connect::Database;
use crate::reconcile::compute::{Days, With};
use crate::reconcile::result::DayResult;
use crate::reconcile::source::Source;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Compare now, and show what every day says.
    ///
    /// Nothing is written. A closed day that differs beyond tolerance_percent gives exit code 3.
    Report(report::Args),
    /// Take what a platform exported as CSV for what it reports.
    ///
    /// Columns: day (2026-11-25 or 20261125), event_name, conversions, value, currency, and id where the file has one line for each
    /// order or event. The first line that has them names them; what stands above it and other columns are passed over. Commas,
    /// semicolons or tabs, UTF-8 or UTF-16. The days of the file take the place of what was
    /// imported of them before, so the same file twice changes nothing.
    Import(import::Args),
    /// List every business id of one day that is missing, extra or different, and why; and write what the application forgot.
    Missing(missing::Args),
}

/// Something differs beyond what is tolerated.
#[derive(Debug, Error)]
#[error(
    "{0} closed days differ beyond their tolerance. Fix: conversion-outbox reconcile missing --entry NAME --day DAY says which ids, and why"
)]
pub struct Differs(usize);

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    match command {
        Command::Report(args) => report::run(&args, file),
        Command::Import(args) => import::run(&args, file),
        Command::Missing(args) => missing::run(&args, file),
    }
}

/// The entries of this name, or all.
fn entries<'c>(config: &'c Config, name: Option<&str>) -> anyhow::Result<Vec<&'c ReconcileConfig>> {
    let found: Vec<&ReconcileConfig> = config
        .reconcile
        .iter()
        .filter(|one| name.is_none_or(|name| one.name == name))
        .collect();
    match (found.is_empty(), config.reconcile.is_empty()) {
        (false, _) => Ok(found),
        (true, true) => Err(anyhow!(
            "the configuration has no [[reconcile]]: nothing says what the outbox is to be compared with. Fix: add one, see deploy/conversion-outbox.toml"
        )),
        (true, false) => {
            let names: Vec<&str> = config
                .reconcile
                .iter()
                .map(|one| one.name.as_str())
                .collect();
            Err(usage(&format!(
                "no [[reconcile]] is called so; there are {}",
                names.join(", ")
            )))
        }
    }
}

/// Days of an entry, computed now, the latest last.
async fn computed(
    entry: &ReconcileConfig,
    config: &Config,
    database: &Database,
    (from, to): (Option<NaiveDate>, Option<NaiveDate>),
    gaps_max: usize,
) -> anyhow::Result<Vec<DayResult>> {
    let source = Source::open(entry, &config.database)?;
    let with = With {
        entry,
        destinations: &config.destinations,
        database,
        source: &source,
        now: Utc::now(),
        gaps_max,
    };
    let (first, last) = with.span().await?;
    let (first, last) = (from.unwrap_or(first), to.unwrap_or(last));
    if first > last {
        return Err(usage(match (from, to) {
            (None, _) => "--to is before the days that are looked at: add --from",
            (_, None) => "--from is after the days that are looked at: add --to",
            _ => "the first day must not be after the last",
        }));
    }
    let mut found = Vec::new();
    let mut days = by_hand::told(Days::begin(with, first, last).await)?;
    while let Some(day) = by_hand::told(days.next().await)? {
        found.push(day);
    }
    Ok(found)
}
