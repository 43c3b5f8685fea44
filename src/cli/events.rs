//! `events`: which there are, and one event's whole life.

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio_postgres::types::{ToSql, Type};

use super::again::{self, Change, ChangeArgs, FilterArgs};
use super::life;
use super::{ConfigFile, DatabaseArgs, block_on, output};
use crate::db::connect::Database;
use crate::db::migrate;

const LIST: &str = include_str!("../../sql/queries/list_events.sql");
const LIFE: &str = include_str!("../../sql/queries/event_life.sql");

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List events, newest first, with what stands of each.
    List(ListArgs),
    /// One event's whole life: row, consent, decisions, tries, answers, and what was done by hand. No personal data.
    Show(ShowArgs),
    /// Send one event again where it ended badly or was ended by hand. Never where it was accepted or sent.
    Replay {
        /// The event's id.
        event_id: String,
        /// Only at this destination.
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
        /// Also where it may count twice, or is too old for the platform (a worker then ends it again).
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// End one event as cancelled where it waits or ended badly.
    Skip {
        /// The event's id.
        event_id: String,
        /// Only at this destination.
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// `events list`
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only events of this order, payment, lead or deal.
    #[arg(long, value_name = "ID")]
    business_id: Option<String>,
    /// Only events of this name.
    #[arg(long, value_name = "NAME")]
    event_name: Option<String>,
    /// Recorded at this time or later: 2026-11-25, 2026-11-25T09:00:00Z, or so long ago: 90m, 24h, 7d.
    #[arg(long, value_name = "TIME", value_parser = again::time)]
    since: Option<DateTime<Utc>>,
    /// Recorded before this time.
    #[arg(long, value_name = "TIME", value_parser = again::time)]
    until: Option<DateTime<Utc>>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Print a list of `{"event_id", "event_name", "business_id", "occurred_at", "recorded_at", "value", "currency", "states":
    /// {destination: state}}`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// `events show`
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The event's id.
    event_id: String,
    /// Print everything as one object, as the SQL function `conversion_outbox.event_life` gives it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list(&args, file),
        Command::Show(args) => show(&args, file),
        Command::Replay {
            event_id,
            destination,
            force,
            change,
        } => {
            let filter = FilterArgs::of_event(event_id, destination);
            again::run(Change::Replay { is_forced: force }, &filter, &change, file)
        }
        Command::Skip {
            event_id,
            destination,
            change,
        } => {
            let filter = FilterArgs::of_event(event_id, destination);
            again::run(Change::Skip, &filter, &change, file)
        }
    }
}

fn list(args: &ListArgs, file: &ConfigFile) -> anyhow::Result<()> {
    let database = file.database(&args.database)?;
    let found = block_on(read(&database, args))?;
    if args.json {
        return output::print_json(&found);
    }
    if found.is_empty() {
        return output::print("no such events");
    }
    let heading = ["recorded_at", "event_id", "business_id", "states"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(found.iter().map(|event| {
        let text = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
        let states = event["states"].as_object().into_iter().flatten();
        let states: Vec<String> = states
            .map(|(destination, state)| format!("{destination} {}", state.as_str().unwrap_or("-")))
            .collect();
        vec![
            text("recorded_at"),
            text("event_id"),
            text("business_id"),
            states.join(", "),
        ]
    }));
    output::print(&output::table(&rows))
}

async fn read(database: &Database, args: &ListArgs) -> anyhow::Result<Vec<Value>> {
    migrate::check(database).await?;
    let limit = i64::from(args.limit);
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&args.business_id, Type::TEXT),
        (&args.event_name, Type::TEXT),
        (&args.since, Type::TIMESTAMPTZ),
        (&args.until, Type::TIMESTAMPTZ),
        (&limit, Type::INT8),
    ];
    let rows = database.query(LIST, &params).await?;
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let event = |row: &tokio_postgres::Row| {
        Ok(json!({
            "event_id": row.try_get::<_, String>("event_id")?,
            "event_name": row.try_get::<_, String>("event_name")?,
            "business_id": row.try_get::<_, String>("business_id")?,
            "occurred_at": time(row.try_get("occurred_at")?),
            "recorded_at": time(row.try_get("recorded_at")?),
            "value": row.try_get::<_, Option<String>>("value")?,
            "currency": row.try_get::<_, Option<String>>("currency")?,
            "states": row.try_get::<_, Value>("states")?,
        }))
    };
    Ok(rows
        .iter()
        .map(event)
        .collect::<Result<_, tokio_postgres::Error>>()?)
}

/// One event's whole life.
pub(super) fn show(args: &ShowArgs, file: &ConfigFile) -> anyhow::Result<()> {
    let database = file.database(&args.database)?;
    let life = block_on(async {
        migrate::check(&database).await?;
        let params: [(&(dyn ToSql + Sync), Type); 1] = [(&args.event_id, Type::TEXT)];
        let rows = database.query(LIFE, &params).await?;
        let row = rows.first().expect("the statement always has a row");
        Ok(row.try_get::<_, Option<Value>>("life")?)
    })?;
    let Some(life) = life else {
        bail!(
            "there is no event with this id. Fix: `conversion-outbox events list --business-id …` shows the ids of an order's events"
        );
    };
    match args.json {
        true => output::print_json(&life),
        false => output::print(&life::readable(&life)),
    }
}
