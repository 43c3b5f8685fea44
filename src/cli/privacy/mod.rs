//! `privacy`: what a privacy officer does and asks for. Not for withdrawing consent: applications do that in SQL.
//!
//! An address, a number or an id of a person is read from standard input or a file, never from the command line: other
//! users of the machine see arguments, and shells keep them.

mod erase;
mod people;
mod retain;

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use tokio_postgres::types::{ToSql, Type};

use super::{ConfigFile, DatabaseArgs, block_on, output, rights, usage};
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::proof;
use crate::suppression::{Scope, Subject, SubjectKeys};
use people::{Person, Who};

const SUPPRESS: &str = include_str!("../../../sql/queries/suppress.sql");
const REPORT: &str = include_str!("../../../sql/queries/privacy_report.sql");
const UNSUPPRESS: &str = include_str!("../../../sql/queries/unsuppress.sql");

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Put people on the suppression list: nothing is told about them any more, whatever an event's consent says.
    Suppress {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        entry: Entry,
    },
    /// Take people off the suppression list.
    Unsuppress {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        entry: Common,
    },
    /// Remove a person's data from their events, cancel what waits, and print the receipt.
    ///
    /// By address, number or id every event is read, in pages, and the person is put on the suppression list.
    Erase(erase::Args),
    /// Remove personal data whose time is over, as the worker does by itself.
    Retain(retain::Args),
    /// Print the evidence of one event: consent, decisions, requests, withdrawals. No personal data.
    Prove {
        /// The event's id.
        event_id: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Print counts as one JSON object: events by consent, what was suppressed and why, removals, and how old the oldest
    /// personal data are. Reads the whole event table.
    Report {
        /// First day.
        #[arg(long, value_name = "DAY", value_parser = day)]
        from: DateTime<Utc>,
        /// The day after the last one.
        #[arg(long, value_name = "DAY", value_parser = day)]
        to: DateTime<Utc>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// A day as it is typed: it begins at midnight UTC.
fn day(text: &str) -> Result<DateTime<Utc>, String> {
    let day = text.parse::<NaiveDate>().ok();
    let midnight = day.and_then(|day| day.and_hms_opt(0, 0, 0));
    midnight
        .map(|midnight| midnight.and_utc())
        .ok_or_else(|| "write a day such as 2026-11-25".to_owned())
}

/// What all changes need.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Why, for the audit. No personal data.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct Entry {
    /// Every platform; without it, advertising platforms and what analytics would pass on to them.
    #[arg(long)]
    all_platforms: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    match command {
        Command::Suppress { who, entry } => {
            let scope = match entry.all_platforms {
                true => Scope::All,
                false => Scope::Advertising,
            };
            suppress(&who, scope, &entry.common, file)
        }
        Command::Unsuppress { who, entry } => unsuppress(&who, &entry, file),
        Command::Erase(args) => erase::run(&args, file),
        Command::Retain(args) => retain::run(&args, file),
        Command::Prove {
            event_id,
            json,
            database,
        } => prove(&event_id, json, &database, file),
        Command::Report { from, to, database } => {
            let database = file.database(&database)?;
            output::print_json(&block_on(report(&database, from, to))?)
        }
    }
}

fn suppress(who: &Who, scope: Scope, common: &Common, file: &ConfigFile) -> anyhow::Result<()> {
    let config = file.load()?;
    let keys = keys(&config)?;
    let people = who.read(config.identity.default_calling_code)?;
    let database = file.database(&common.database)?;
    let changed = block_on(add(&database, &keys, &people, scope, &common.reason))?;
    output::print(&format!(
        "{} on the suppression list ({}); {changed} rows changed",
        counted(people.len()),
        scope.as_str()
    ))
}

/// Adds all forms of each, made with the current key.
async fn add(
    database: &Database,
    keys: &SubjectKeys,
    people: &[Person],
    scope: Scope,
    reason: &str,
) -> anyhow::Result<i64> {
    let each = people.iter().flat_map(|person| {
        let digest = |form| (person.kind.as_str(), keys.current(person.kind, form));
        person.forms.iter().map(digest)
    });
    let (kinds, subjects): (Vec<&str>, Vec<Subject>) = each.unzip();
    let subjects: Vec<&[u8]> = subjects.iter().map(<[u8; 32]>::as_slice).collect();
    let (key_id, scope) = (keys.current_id(), scope.as_str());
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&key_id, Type::TEXT),
        (&kinds, Type::TEXT_ARRAY),
        (&subjects, Type::BYTEA_ARRAY),
        (&scope, Type::TEXT),
        (&reason, Type::TEXT),
    ];
    changed(allowed(database.query(SUPPRESS, &params).await)?)
}

fn unsuppress(who: &Who, common: &Common, file: &ConfigFile) -> anyhow::Result<()> {
    let config = file.load()?;
    let keys = keys(&config)?;
    let people = who.read(config.identity.default_calling_code)?;
    let subjects: Vec<Subject> = people
        .iter()
        .flat_map(|person| {
            let digests = |form| keys.all(person.kind, form);
            person.forms.iter().flat_map(digests)
        })
        .collect();
    let subjects: Vec<&[u8]> = subjects.iter().map(<[u8; 32]>::as_slice).collect();
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&subjects, Type::BYTEA_ARRAY), (&common.reason, Type::TEXT)];
    let database = file.database(&common.database)?;
    let rows = block_on(async { allowed(database.query(UNSUPPRESS, &params).await) })?;
    match changed(rows)? {
        0 => bail!(
            "nobody of them is on the suppression list. Fix: give the same address, number or id that was put there"
        ),
        rows => output::print(&format!(
            "{} off the suppression list; {rows} rows removed",
            counted(people.len())
        )),
    }
}

fn prove(
    event_id: &str,
    json: bool,
    database: &DatabaseArgs,
    file: &ConfigFile,
) -> anyhow::Result<()> {
    let database = file.database(database)?;
    let proof = block_on(async { allowed(proof::prove(&database, event_id).await) })?;
    let Some(proof) = proof else {
        bail!("there is no event of this id. Fix: event_id is the event's own, not the order's");
    };
    if json {
        return output::print_json(&proof);
    }
    output::print(&text(&proof))
}

async fn report(
    database: &Database,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> anyhow::Result<Value> {
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&from, Type::TIMESTAMPTZ), (&to, Type::TIMESTAMPTZ)];
    let rows = allowed(database.query(REPORT, &params).await)?;
    let row = rows.first().context("the database gave no answer")?;
    Ok(row.try_get("report").map_err(DatabaseError::from)?)
}

/// The proof for a person to read: the sentences, then what was on record, then each destination.
fn text(proof: &Value) -> String {
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let mut lines: Vec<String> = proof["statements"]
        .as_array()
        .into_iter()
        .flatten()
        .map(word)
        .collect();
    lines.push(String::new());
    lines.push(format!("consent  {}", proof["consent"]));
    let heading = [
        "destination",
        "state",
        "reason",
        "decided",
        "policy",
        "data",
        "requests",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for delivery in proof["deliveries"].as_array().into_iter().flatten() {
        let list = |key: &str, member: Option<&str>| {
            let items = delivery[key].as_array().into_iter().flatten();
            let words: Vec<String> = items
                .map(|item| member.map_or_else(|| word(item), |member| word(&item[member])))
                .collect();
            if words.is_empty() {
                "-".to_owned()
            } else {
                words.join(",")
            }
        };
        rows.push(vec![
            word(&delivery["destination"]),
            word(&delivery["state"]),
            word(&delivery["reason"]),
            word(&delivery["decided_at"]),
            list("policies", Some("version")),
            list("allowed_data", None),
            word(&json!(delivery["requests"].as_array().map_or(0, Vec::len))),
        ]);
    }
    lines.push(output::table(&rows));
    lines.join("\n")
}

fn keys(config: &crate::config::Config) -> anyhow::Result<SubjectKeys> {
    SubjectKeys::load(&config.privacy)?.ok_or_else(|| {
        usage("no key for the suppression list: name one under [privacy] as subject_key")
    })
}

/// The rows, or what to do where this login may not.
fn allowed<T>(result: Result<T, DatabaseError>) -> anyhow::Result<T> {
    rights::needs(rights::PRIVACY, result)
}

fn changed(rows: Vec<tokio_postgres::Row>) -> anyhow::Result<i64> {
    let row = rows.first().context("the database gave no answer")?;
    Ok(row.try_get("changed").map_err(DatabaseError::from)?)
}

fn counted(people: usize) -> String {
    match people {
        1 => "1 person".to_owned(),
        n => format!("{n} people"),
    }
}
