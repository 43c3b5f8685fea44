//! `preview`: reads one event, asks every destination, prints what each would be sent.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::rights::{WORKER, needs};
use super::{ConfigFile, DatabaseArgs, block_on, output, usage};
use crate::claim;
use crate::config::Config;
use crate::db::connect::Database;
use crate::decide::Surroundings;
use crate::event::OutboxEvent;
use crate::preview::{self, Preview, row};
use crate::suppression::{self, SubjectKeys};

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["event", "event_id"])))]
pub(super) struct Args {
    /// A JSON object with the columns of conversion_outbox.event; - reads standard input.
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// With a refund or cancellation: the event it takes back, in a file like --event's. Default: one of the same value.
    #[arg(long, value_name = "FILE", requires = "event")]
    original: Option<PathBuf>,
    /// With --original: what took something back before, in the order it came. May be given several times.
    #[arg(long, value_name = "FILE", requires = "original")]
    earlier: Vec<PathBuf>,
    /// An event of the database.
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// Only this destination, also when it is disabled. Default: all that are enabled.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Judge age by this clock, such as 2026-11-23T09:30:00Z. Default: now.
    #[arg(long, value_name = "RFC3339", value_parser = DateTime::parse_from_rfc3339)]
    now: Option<DateTime<chrono::FixedOffset>>,
    /// Print `[{"destination", "platform", "decision", "reason", "requests": [{"method", "url", "headers", "body"}]}]`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    let config = file.load()?;
    let only = args.destination.as_deref();
    if only.is_some_and(|name| config.destinations.iter().all(|one| one.name != name)) {
        let names: Vec<&str> = config
            .destinations
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        return Err(usage(&format!(
            "no such destination; configured are {}",
            names.join(", ")
        )));
    }
    let now = args.now.map_or_else(Utc::now, |now| now.to_utc());
    let (event, around) = match (&args.event, &args.event_id) {
        (Some(path), _) => from_files(path, args, &config, now)?,
        (None, Some(id)) => {
            let database = file.database(&args.database)?;
            block_on(async { needs(WORKER, from_database(&database, id, &config).await) })?
        }
        (None, None) => unreachable!("clap demands one of the two"),
    };
    let previews = preview::preview(&event, &around, &config, only, now);
    if args.json {
        return output::print_json(&previews);
    }
    let text: Vec<String> = previews.iter().map(readable).collect();
    output::print(&text.join("\n"))
}

fn from_files(
    path: &Path,
    args: &Args,
    config: &Config,
    now: DateTime<Utc>,
) -> anyhow::Result<(OutboxEvent, Surroundings)> {
    let event = from_file(path, now)?;
    let original = match &args.original {
        None => preview::supposed_original(&event, config),
        Some(original) => {
            let earlier: Result<Vec<_>, _> = args
                .earlier
                .iter()
                .map(|path| from_file(path, now))
                .collect();
            let original = from_file(original, now)?;
            if event.depends_on.as_ref() != Some(&original.event_id) {
                return Err(usage(&format!(
                    "the event must depend on its original: depends_on = \"{}\"",
                    original.event_id
                )));
            }
            Some(preview::given_original(&event, original, &earlier?, config))
        }
    };
    let around = Surroundings {
        original,
        ..Surroundings::default()
    };
    Ok((event, around))
}

fn from_file(path: &Path, now: DateTime<Utc>) -> anyhow::Result<OutboxEvent> {
    let file = path.display();
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    }
    .with_context(|| format!("the event file {file} cannot be read"))?;
    // The parser's own text names a line and a column, and never quotes what stands there.
    let value: Value = serde_json::from_str(&text)
        .with_context(|| format!("the event file {file} is not JSON"))?;
    let Value::Object(columns) = value else {
        return Err(anyhow!("the event file {file} must hold one JSON object"));
    };
    row::read(&columns, now).with_context(|| format!("the event of {file} would be refused"))
}

async fn from_database(
    database: &Database,
    event_id: &str,
    config: &Config,
) -> anyhow::Result<(OutboxEvent, Surroundings)> {
    let found = claim::read_event(database, event_id).await?;
    let (event, mut around) = found.context("the outbox has no event of this id")?;
    let event = event.context("the stored row is no valid event")?;
    let keys = SubjectKeys::load(&config.privacy)?;
    let lender = around.original.as_ref();
    let lender = lender.and_then(|original| original.event.as_ref().ok());
    let code = config.identity.default_calling_code;
    around.suppression = suppression::of(database, keys.as_ref(), code, &event, lender).await?;
    Ok((event, around))
}

fn readable(preview: &Preview) -> String {
    let word = serde_json::to_value(preview.decision).expect("a word");
    let mut text = format!(
        "{} ({}): {}",
        preview.destination,
        preview.platform,
        word.as_str().unwrap_or_default()
    );
    for note in [preview.reason, preview.field].into_iter().flatten() {
        text.push_str(&format!(", {note}"));
    }
    text.push('\n');
    for request in &preview.requests {
        let line = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        text.push_str(&format!(
            "  {} {}\n",
            line(&request.method),
            line(&request.url)
        ));
        for (name, value) in request.headers.as_object().into_iter().flatten() {
            text.push_str(&format!("  {name}: {}\n", line(value)));
        }
        for line in format!("{:#}", request.body).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}
