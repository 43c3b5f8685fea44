//! `reconcile report`: what every day says.

use chrono::NaiveDate;
use serde_json::json;

use super::super::{ConfigFile, block_on, by_hand, output};
use super::{Differs, computed, entries};
use crate::digest::field;
use crate::reconcile::compare::GAPS_MAX;
use crate::reconcile::result::{DayResult, DestinationResult, amounts};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only this [[reconcile]] entry.
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// First day, in the entry's time zone; as many days as the entry looks at, unless said.
    #[arg(long, value_name = "DAY", value_parser = by_hand::day)]
    from: Option<NaiveDate>,
    /// Last day; today, unless said.
    #[arg(long, value_name = "DAY", value_parser = by_hand::day)]
    to: Option<NaiveDate>,
    /// Print `{"days": [...], "findings"}`: of each day what the tables reconciliation_day, reconciliation_destination and
    /// reconciliation_gap hold under the same names, with `destinations` and `gaps`. Amounts and shared counts are texts.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print one line for each day and destination: the columns of the table, then amounts as "12.50 EUR + 3 USD" (source_value,
    /// outbox_value, arrived_value, reported_value), and what the platform's number counts (reported_counts).
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    database: super::super::DatabaseArgs,
}

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    let (config, database) = by_hand::open(file, args.database.database_url_env.as_ref())?;
    let days = block_on(async {
        let mut days = Vec::new();
        for entry in entries(&config, args.entry.as_deref())? {
            days.extend(computed(entry, &config, &database, (args.from, args.to), GAPS_MAX).await?);
        }
        anyhow::Ok(days)
    })?;
    let findings = days.iter().filter(|day| day.is_finding()).count();
    match (args.json, args.csv) {
        (true, _) => output::print_json(&json!({ "days": days, "findings": findings }))?,
        (_, true) => output::print(&csv(&days))?,
        _ => output::print(&readable(&days))?,
    }
    match findings {
        0 => Ok(()),
        count => Err(Differs(count).into()),
    }
}

const HEAD: [&str; 16] = [
    "day",
    "state",
    "source",
    "outbox",
    "missing",
    "extra",
    "value_differs",
    "other_day",
    "destination",
    "expected",
    "accepted",
    "sent",
    "waiting",
    "lost",
    "reported",
    "difference",
];

/// One row for each destination of a day, or one for a day without any.
fn rows(day: &DayResult) -> Vec<Vec<String>> {
    let state = match (day.is_closed, day.is_finding()) {
        (false, _) => "open",
        (true, false) => "closed",
        (true, true) => "differs",
    };
    let whole = [
        day.source_rows,
        day.outbox_rows,
        day.missing,
        day.extra,
        day.value_differs,
        day.other_day,
    ];
    let row = |rest: Vec<String>| {
        let head = [day.day.to_string(), state.to_owned()].into_iter();
        head.chain(whole.iter().map(u64::to_string))
            .chain(rest)
            .collect()
    };
    let of = |one: &DestinationResult| {
        let waiting = one.pending + one.in_queue;
        let counts = [one.expected, one.accepted, one.sent, waiting, one.lost()];
        let reported = one
            .reported
            .map_or_else(|| "-".to_owned(), |reported| reported.to_string());
        let mark = match one.is_within {
            true => "",
            false => "!",
        };
        let mut cells = vec![one.destination.clone()];
        cells.extend(counts.iter().map(u64::to_string));
        cells.extend([reported, format!("{}{mark}", one.difference)]);
        row(cells)
    };
    match day.destinations.is_empty() {
        true => vec![row(vec!["-".to_owned(); 8])],
        false => day.destinations.iter().map(of).collect(),
    }
}

fn readable(days: &[DayResult]) -> String {
    let mut text = String::new();
    for entry in days.chunk_by(|one, other| one.entry == other.entry) {
        let first = &entry[0];
        text.push_str(&format!(
            "{}: {}, days of {}\n",
            first.entry, first.event_name, first.time_zone
        ));
        let mut table = vec![HEAD.map(|name| name.replace('_', " ")).to_vec()];
        for day in entry.iter().rev() {
            table.extend(rows(day));
        }
        text.push_str(&output::table(&table));
        for day in entry.iter().rev() {
            notes(day, &mut text);
        }
        text.push('\n');
    }
    text.push_str(
        "expected: source less what consent, routes, a refund or a missing identifier kept at home. difference: what arrived less expected, and where the \
         platform reports all it took, what it reports less what arrived on its day; ! beyond the tolerance.",
    );
    text
}

/// What the numbers of a day do not say.
fn notes(day: &DayResult, text: &mut String) {
    for why in &day.open_because {
        text.push_str(&format!("{} is open: {why}\n", day.day));
    }
    if day.source_value != day.outbox_value {
        text.push_str(&format!(
            "{}: worth {} in the source and {} in the outbox\n",
            day.day,
            amounts(&day.source_value),
            amounts(&day.outbox_value)
        ));
    }
    for one in &day.destinations {
        if let Some(value) = one.reported_worth() {
            let arrived = amounts(&one.arrived_value);
            if value != arrived {
                text.push_str(&format!(
                    "{}: {} reports a worth of {value}, and {arrived} arrived\n",
                    day.day, one.destination
                ));
            }
        }
        if let Some(zone) = one
            .reported_time_zone
            .as_ref()
            .filter(|zone| **zone != day.time_zone)
        {
            text.push_str(&format!(
                "{}: {} counts days of {zone}\n",
                day.day, one.destination
            ));
        }
        if let Some(counts) = one
            .reported_counts
            .as_ref()
            .filter(|counts| *counts != "received")
        {
            text.push_str(&format!(
                "{}: the number of {} is {counts}, so no difference follows from it\n",
                day.day, one.destination
            ));
        }
    }
}

fn csv(days: &[DayResult]) -> String {
    let mut text = format!(
        "entry,event_name,time_zone,{},source_value,outbox_value,arrived_value,reported_value,reported_counts\n",
        HEAD.join(",")
    );
    for day in days {
        for (n, row) in rows(day).iter().enumerate() {
            let at = day.destinations.get(n);
            let told = at.and_then(|one| one.reported_counts.clone());
            let head = [&day.entry, &day.event_name, &day.time_zone].map(String::as_str);
            let row = row.iter().map(|cell| match cell.trim_end_matches('!') {
                "-" => "",
                cell => cell,
            });
            let values = [
                amounts(&day.source_value),
                amounts(&day.outbox_value),
                at.map(|one| amounts(&one.arrived_value))
                    .unwrap_or_default(),
                at.and_then(DestinationResult::reported_worth)
                    .unwrap_or_default(),
                told.unwrap_or_default(),
            ];
            let cells: Vec<String> = head
                .into_iter()
                .chain(row)
                .chain(values.iter().map(String::as_str))
                .map(field)
                .collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
    }
    text
}
