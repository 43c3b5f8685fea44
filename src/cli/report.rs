//! `report`: what came, what arrived, where that differs, what broke, and what to do, of one day.

use std::path::PathBuf;

use anyhow::Context;
use chrono::{NaiveDate, Utc};

use super::rights::{READER, needs};
use super::{ConfigFile, DatabaseArgs, block_on, by_hand, output};
use crate::db::connect::Database;
use crate::digest::{self, Digest};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The day: 2026-11-24, today or yesterday. Days are those of UTC.
    #[arg(long, value_name = "DAY", default_value = "yesterday", value_parser = by_hand::day)]
    day: NaiveDate,
    /// As what it is written. JSON is one object: "day", "read_at", "environment", "events" (by name: events, click_id, email,
    /// phone, external_id, consent_granted, consent_denied, consent_unspecified, "week_before" with the same), "deliveries" (by
    /// destination and event_name: events, meant, consented, identified, sent, accepted, unconfirmed, open, lost, "whys", in_time), "failures",
    /// "dead_letters", "repeats", "reconciliation" (days as `reconcile report --json` has them, without their ids), "standing", "to_do" (urgency now, soon
    /// or look, what, how, command).
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write it to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Markdown,
    Html,
    Json,
    Csv,
}

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    let database = file.database(&args.database)?;
    // The database alone is enough; its name is nicer to have.
    let environment = match &args.database.database_url_env {
        Some(_) => None,
        None => file.load()?.telemetry.environment,
    };
    let digest = block_on(async { needs(READER, read(&database, args.day, environment).await) })?;
    let format = if args.json { Format::Json } else { args.format };
    let text = written(&digest, format)?;
    match &args.output {
        None => output::print(&text),
        Some(path) => std::fs::write(path, text)
            .with_context(|| format!("{} cannot be written", path.display())),
    }
}

async fn read(
    database: &Database,
    day: NaiveDate,
    environment: Option<String>,
) -> anyhow::Result<Digest> {
    crate::db::migrate::check(database).await?;
    Ok(digest::read(database, day, environment, Utc::now()).await?)
}

fn written(digest: &Digest, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Markdown => digest::markdown(digest),
        Format::Html => digest::page(digest),
        Format::Csv => digest::csv(digest),
        Format::Json => {
            let json = serde_json::to_string_pretty(digest).context("the digest is no JSON")?;
            format!("{json}\n")
        }
    })
}
