//! `reconcile import`: a platform's export.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context;
use chrono::Utc;
use serde_json::json;

use super::super::{ConfigFile, block_on, by_hand, output, usage};
use super::entries;
use crate::config::reconcile::is_time_zone;
use crate::reconcile::import::{COLUMNS, Form, parse};
use crate::reconcile::platform::{Counts, NewReport};
use crate::reconcile::{day, platform};
use crate::reports;

/// Largest file: years of days, or millions of ids, are no export of some days.
const BYTES_MAX: u64 = 50_000_000;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Whose numbers they are.
    #[arg(long, value_name = "NAME")]
    destination: String,
    /// Whose days they are, as IANA name: the zone that the platform's account or property is set to.
    #[arg(long, value_name = "ZONE", required_unless_present = "entry")]
    time_zone: Option<String>,
    /// Take the time zone, and the event where the file has no column for it, from this [[reconcile]] entry.
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// The file's own headers: `--columns "day=Date,conversions=Event count"`.
    #[arg(long, value_name = "OURS=THEIRS", value_delimiter = ',', value_parser = column)]
    columns: Vec<(String, String)>,
    /// Our event for the platform's name of it: `--event-names Purchase=order_paid`.
    #[arg(long, value_name = "THEIRS=OURS", value_delimiter = ',', value_parser = pair)]
    event_names: Vec<(String, String)>,
    /// The event of all lines, where no column tells it.
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// The currency of all lines, where no column tells it.
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Add up several lines of one day and event, as of several campaigns.
    #[arg(long)]
    sum: bool,
    /// Numbers are written as 1.234,56.
    #[arg(long, conflicts_with = "comma_groups")]
    decimal_comma: bool,
    /// Numbers are written as 1,234.56.
    #[arg(long)]
    comma_groups: bool,
    /// How days are written, if neither 2026-11-25 nor 20261125: "%m/%d/%Y" for 11/25/2026, "%d.%m.%Y" for 25.11.2026, "%b %d, %Y"
    /// for Nov 25, 2026.
    #[arg(long, value_name = "FORM")]
    day_format: Option<String>,
    /// Pass over lines without a day, as the totals of an export.
    #[arg(long)]
    skip_totals: bool,
    /// What the numbers count: all events that the platform took, or only those that it ascribes to an advertisement. By default
    /// as its API would.
    #[arg(long, value_name = "WHAT", value_parser = ["received", "attributed"])]
    counts: Option<String>,
    /// Change nothing, and show what would be taken.
    #[arg(long)]
    dry_run: bool,
    /// Print `{"dry_run", "rows", "changed", "reports": [...]}`, the reports as rows of platform_report.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: super::super::DatabaseArgs,
}

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    let (config, database) = by_hand::open(file, args.database.database_url_env.as_ref())?;
    let destination = config
        .destinations
        .iter()
        .find(|one| one.name == args.destination);
    let destination = destination.ok_or_else(|| {
        let names: Vec<&str> = config
            .destinations
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        usage(&format!(
            "no destination is called so; there are {}",
            names.join(", ")
        ))
    })?;
    let entry = match &args.entry {
        Some(name) => entries(&config, Some(name))?.first().copied(),
        None => None,
    };
    let time_zone = args
        .time_zone
        .clone()
        .or(entry.map(|entry| entry.time_zone.clone()));
    let time_zone = time_zone
        .filter(|zone| is_time_zone(zone))
        .ok_or_else(|| usage("--time-zone must be UTC or an IANA name such as Europe/Berlin"))?;
    let attributed = match args.counts.as_deref() {
        Some(word) => word == "attributed",
        None => reports::counts(destination.platform()) == reports::Counts::Attributed,
    };
    let form = Form {
        destination: destination.name.clone(),
        time_zone,
        counts: if attributed {
            Counts::Attributed
        } else {
            Counts::Received
        },
        columns: args.columns.iter().cloned().collect(),
        events: args.event_names.iter().cloned().collect::<BTreeMap<_, _>>(),
        event: args
            .event
            .clone()
            .or(entry.map(|entry| entry.event.clone())),
        currency: args.currency.clone(),
        sums: args.sum,
        decimal_comma: args.decimal_comma,
        comma_groups: args.comma_groups,
        day_format: args.day_format.clone(),
        skips_totals: args.skip_totals,
    };
    let path = args.file.display();
    let size = std::fs::metadata(&args.file)
        .with_context(|| format!("{path} cannot be read"))?
        .len();
    if size > BYTES_MAX {
        return Err(usage("the file has more than 50 MB; export fewer days"));
    }
    let bytes = std::fs::read(&args.file).with_context(|| format!("{path} cannot be read"))?;
    let now = Utc::now();
    let reports = parse(&bytes, &form, now).with_context(|| path.to_string())?;
    let known: BTreeSet<&str> = config
        .reconcile
        .iter()
        .map(|one| one.event.as_str())
        .collect();
    let unknown: BTreeSet<&str> = reports
        .iter()
        .map(|report| report.event_name.as_str())
        .filter(|name| !known.contains(name))
        .collect();
    if !unknown.is_empty() {
        let names = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
        return Err(usage(&format!(
            "no [[reconcile]] compares the event {}; there are {}. Fix: --event-names \"the platform's name=ours\", or --event NAME for all lines",
            names(unknown),
            names(known)
        )));
    }
    let changed = match args.dry_run {
        true => None,
        false => Some(block_on(async {
            // Says so where there is no such zone, before anything is written.
            by_hand::told(day::today(&database, &form.time_zone, now).await)?;
            by_hand::told(platform::store(&database, &reports).await)
        })?),
    };
    match args.json {
        true => output::print_json(&json!({
            "dry_run": args.dry_run, "rows": reports.len(), "changed": changed.unwrap_or(0), "reports": reports,
        })),
        false => output::print(&readable(&reports, changed, &form.time_zone)),
    }
}

fn readable(reports: &[NewReport], changed: Option<u64>, time_zone: &str) -> String {
    let mut rows = vec![
        ["day", "event", "conversions", "value", "ids"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(reports.iter().map(|one| {
        let value = one
            .value
            .map(|value| format!("{value} {}", one.currency.as_deref().unwrap_or_default()));
        let ids = one.ids.as_ref().map(|ids| ids.len().to_string());
        vec![
            one.day.to_string(),
            one.event_name.clone(),
            one.conversions.to_string(),
            value.unwrap_or_else(|| "-".to_owned()),
            ids.unwrap_or_else(|| "-".to_owned()),
        ]
    }));
    let done = match changed {
        None => "nothing was changed".to_owned(),
        Some(changed) => format!("{changed} of {} are new or different", reports.len()),
    };
    format!("{}days of {time_zone}; {done}", output::table(&rows))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((one, other)) if !one.trim().is_empty() && !other.trim().is_empty() => {
            Ok((one.trim().to_owned(), other.trim().to_owned()))
        }
        _ => Err("must be written ONE=OTHER".to_owned()),
    }
}

fn column(text: &str) -> Result<(String, String), String> {
    let (ours, theirs) = pair(text)?;
    match COLUMNS.contains(&ours.as_str()) {
        true => Ok((ours, theirs)),
        false => Err(format!("our columns are {}", COLUMNS.join(", "))),
    }
}
