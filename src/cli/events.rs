//! `events`: what the application wrote, and the whole life of one of them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::by_hand::{self, stamp};
use super::rights::{READER, needs};
use super::runs::{self, ReplayArgs};
use super::{ConfigFile, DatabaseArgs, block_on, output};
use crate::operations::life::{self, Listed, Wanted};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show events, newest first, with their state at each destination.
    List(ListArgs),
    /// Show one event's whole life: what was written, every try, every answer, every hand laid on it. Nothing of the person.
    Show(ShowArgs),
    /// Have dead letters, and what was skipped by hand, sent again. Shows what would be done, unless --yes is given.
    ///
    /// What was accepted or sent is never sent again. What was certainly not taken goes as configuration and mapping make it
    /// now; what may have been taken goes exactly as before or not at all.
    Replay(ReplayArgs),
    /// End dead letters, and what waits and no worker holds, as cancelled. Shows what would be done, unless --yes is given.
    ///
    /// What was skipped counts as never sent: refunds of it are not told either.
    Skip(runs::Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Of this order, payment, booking, lead or deal.
    #[arg(long, value_name = "ID")]
    business_id: Option<String>,
    /// Of this name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Written at or after this time: RFC 3339, or so long ago (90s, 30m, 36h, 2d).
    #[arg(long, value_name = "TIME", value_parser = by_hand::time)]
    since: Option<DateTime<Utc>>,
    /// Written before this time: RFC 3339, or so long ago.
    #[arg(long, value_name = "TIME", value_parser = by_hand::time)]
    until: Option<DateTime<Utc>>,
    /// So many at most.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
    /// Print a list of `{"event_id", "event_name", "business_id", "occurred_at", "recorded_at", "value", "currency", "source",
    /// "depends_on", "states": {destination: "state" or "state/reason"}}`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The event.
    event_id: String,
    /// Print one object: "event" (the row's business facts), "data" (which kinds of personal data and click ids it had),
    /// "consent" (signals, when, where, and what was "withdrawn"), "warnings", "repeats", "withdrawals", "original", "reversals",
    /// "queued", "deliveries" (each with state, reason, times, "attempt_log", "late_answer", "hold", "held_rules"), "audit" and
    /// "traces" (of what, the id, and the address of its page where telemetry.trace_url is set).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list(args, file),
        Command::Show(args) => show(&args, file),
        Command::Replay(args) => runs::replay(&args, true, file),
        Command::Skip(args) => runs::skip(&args, true, file),
    }
}

fn list(args: ListArgs, file: &ConfigFile) -> anyhow::Result<()> {
    let database = file.database(&args.database)?;
    let wanted = Wanted {
        business_id: args.business_id,
        event_name: args.name,
        since: args.since,
        until: args.until,
        limit: args.limit,
    };
    let events = block_on(async { needs(READER, life::list(&database, &wanted).await) })?;
    match args.json {
        true => output::print_json(&events),
        false => output::print(&listed(&events)),
    }
}

fn listed(events: &[Listed]) -> String {
    if events.is_empty() {
        return "no such events".to_owned();
    }
    let mut rows = vec![
        ["recorded", "event", "name", "value", "states"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(events.iter().map(|one| {
        let states: Vec<String> = one
            .states
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, state)| format!("{name}={}", state.as_str().unwrap_or_default()))
            .collect();
        let value = match (&one.value, &one.currency) {
            (Some(value), Some(currency)) => format!("{value} {currency}"),
            _ => "-".to_owned(),
        };
        vec![
            stamp(one.recorded_at),
            one.event_id.clone(),
            one.event_name.clone(),
            value,
            states.join(" "),
        ]
    }));
    output::table(&rows)
}

fn show(args: &ShowArgs, file: &ConfigFile) -> anyhow::Result<()> {
    let database = file.database(&args.database)?;
    let mut life = block_on(by_hand::life(&database, &args.event_id))?;
    let traces = traces(&life, file)?;
    match args.json {
        true => {
            let listed = traces
                .iter()
                .map(|one| json!({ "of": one.of, "trace_id": one.id, "url": one.page }));
            life["traces"] = listed.collect();
            output::print_json(&life)
        }
        false => output::print(&readable(&life, &traces)),
    }
}

/// A trace of an event.
struct Trace {
    /// `application`, or a destination and the number of a try.
    of: String,
    id: String,
    /// Where a person sees it, if `telemetry.trace_url` says where traces are seen.
    page: Option<String>,
}

fn traces(life: &Value, file: &ConfigFile) -> anyhow::Result<Vec<Trace>> {
    // Without a configuration there are no links; a faulty one is told.
    let telemetry = file.load_if_there()?.map(|config| config.telemetry);
    let page = |id: &str| {
        telemetry
            .as_ref()
            .and_then(|telemetry| telemetry.trace_url(id))
    };
    Ok(life::traces(life)
        .into_iter()
        .map(|(of, id)| Trace {
            page: page(&id),
            of,
            id,
        })
        .collect())
}

/// What it is, what happened in the order of time, and where it stands.
fn readable(life: &Value, traces: &[Trace]) -> String {
    let event = &life["event"];
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let list = |value: &Value| {
        let words: Vec<&str> = value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if words.is_empty() {
            "none".to_owned()
        } else {
            words.join(", ")
        }
    };
    let mut told = format!(
        "{}  {} of {}",
        text(&event["event_id"]),
        text(&event["event_name"]),
        text(&event["business_id"])
    );
    if let (Some(value), Some(currency)) = (event["value"].as_str(), event["currency"].as_str()) {
        told.push_str(&format!(", {value} {currency}"));
    }
    if let Some(original) = event["depends_on"].as_str() {
        told.push_str(&format!(", adjusts {original}"));
    }
    told.push_str(&format!(
        "\ndata     user data: {}; click ids: {}; items: {}\n",
        list(&life["data"]["user_data"]),
        list(&life["data"]["click_ids"]),
        life["data"]["items"],
    ));
    let consent: Vec<String> = life["consent"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            format!(
                "{key} {}",
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            )
        })
        .collect();
    told.push_str(&format!("consent  {}\n", consent.join(", ")));
    for warning in life["warnings"].as_array().into_iter().flatten() {
        told.push_str(&format!(
            "warning  {}: {}\n",
            text(&warning["field"]),
            text(&warning["rule"])
        ));
    }
    for one in traces {
        let page = one.page.as_deref().unwrap_or_default();
        told.push_str(format!("trace    {}: {} {page}", one.of, one.id).trim_end());
        told.push('\n');
    }
    told.push('\n');
    let mut rows = vec![["when (UTC)", "where", "what"].map(str::to_owned).to_vec()];
    rows.extend(life::timeline(life).into_iter().map(|entry| {
        let trace = entry.trace_id.map(|trace| format!(", trace {trace}"));
        let what = entry.what + &trace.unwrap_or_default();
        vec![stamp(entry.at), entry.place, what]
    }));
    told.push_str(&output::table(&rows));
    told.push('\n');
    for one in life["deliveries"].as_array().into_iter().flatten() {
        let due = one["due_at"].as_str().and_then(|at| at.parse().ok());
        let due = due.map_or(String::new(), |at| format!(", due {}", stamp(at)));
        told.push_str(&format!(
            "now  {}: {}{due}\n",
            text(&one["destination"]),
            life::standing(&one["state"], &one["reason"])
        ));
    }
    told
}
