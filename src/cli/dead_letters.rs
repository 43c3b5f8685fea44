//! `dead-letters`: what ended badly, in groups or one by one, and what to do about it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio_postgres::types::{ToSql, Type};

use super::again::{self, Change, ChangeArgs, FilterArgs};
use super::{ConfigFile, DatabaseArgs, block_on, events, output};
use crate::db::connect::Database;
use crate::db::migrate;
use crate::replay::Filter;

const LIST: &str = include_str!("../../sql/queries/list_dead_letters.sql");
const GROUP: &str = include_str!("../../sql/queries/group_dead_letters.sql");

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List them, newest first, or in groups with what to do about each.
    List(ListArgs),
    /// Everything that is known of one event, its dead letters included. The same as `events show`.
    Show(events::ShowArgs),
    /// Send them again. What may count twice, or is too old by now, only with --force.
    Replay {
        #[command(flatten)]
        filter: FilterArgs,
        /// Also what may count twice, and what is too old for the platform (a worker then ends it again).
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// End them as cancelled: somebody looked, and there is nothing to do.
    Skip {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// `dead-letters list`
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// In groups by destination, state, reason and code, each with what to do. Only --destination narrows them.
    #[arg(long)]
    by_reason: bool,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Print a list of `{"event_id", "event_name", "business_id", "destination", "state", "reason", "error_code",
    /// "response_code", "tries", "tried_at", "settled_at", "in_doubt_since"}`, or of groups: `{"destination", "platform",
    /// "state", "reason", "error_code", "deliveries", "oldest_at", "newest_at", "sample_event_id", "advice"}`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list(&args, file),
        Command::Show(args) => events::show(&args, file),
        Command::Replay {
            filter,
            force,
            change,
        } => again::run(Change::Replay { is_forced: force }, &filter, &change, file),
        Command::Skip { filter, change } => again::run(Change::Skip, &filter, &change, file),
    }
}

fn list(args: &ListArgs, file: &ConfigFile) -> anyhow::Result<()> {
    let database = file.database(&args.database)?;
    let filter = args.filter.filter();
    let (found, heading): (Vec<Value>, &[&str]) = match args.by_reason {
        true => (
            block_on(groups(&database, &filter))?,
            &[
                "destination",
                "state",
                "reason",
                "error_code",
                "deliveries",
                "oldest_at",
                "newest_at",
                "sample_event_id",
            ],
        ),
        false => (
            block_on(letters(&database, &filter, args.limit))?,
            &[
                "settled_at",
                "destination",
                "state",
                "reason",
                "error_code",
                "event_id",
                "tries",
            ],
        ),
    };
    if args.json {
        return output::print_json(&found);
    }
    if found.is_empty() {
        return output::print("no dead letters");
    }
    let cell = |row: &Value, key: &str| match &row[key] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut rows = vec![heading.iter().map(|name| (*name).to_owned()).collect()];
    rows.extend(
        found
            .iter()
            .map(|row| heading.iter().map(|key| cell(row, key)).collect::<Vec<_>>()),
    );
    let mut text = output::table(&rows);
    if args.by_reason {
        text.push('\n');
        let mut told: Vec<String> = found
            .iter()
            .map(|group| {
                format!(
                    "{}/{}: {}\n",
                    cell(group, "state"),
                    cell(group, "reason"),
                    cell(group, "advice")
                )
            })
            .collect();
        told.sort();
        told.dedup();
        text.extend(told);
    }
    output::print(&text)
}

async fn letters(database: &Database, filter: &Filter, limit: u32) -> anyhow::Result<Vec<Value>> {
    migrate::check(database).await?;
    let limit = i64::from(limit);
    let mut params = filter.params().to_vec();
    params.push((&limit as &(dyn ToSql + Sync), Type::INT8));
    let rows = database.query(LIST, &params).await?;
    let letter = |row: &tokio_postgres::Row| {
        Ok(json!({
            "event_id": row.try_get::<_, String>("event_id")?,
            "event_name": row.try_get::<_, String>("event_name")?,
            "business_id": row.try_get::<_, String>("business_id")?,
            "destination": row.try_get::<_, String>("destination")?,
            "state": row.try_get::<_, String>("state")?,
            "reason": row.try_get::<_, Option<String>>("reason")?,
            "error_code": row.try_get::<_, Option<String>>("error_code")?,
            "response_code": row.try_get::<_, Option<i16>>("response_code")?,
            "tries": row.try_get::<_, i16>("tries")?,
            "tried_at": written(row.try_get("tried_at")?),
            "settled_at": written(row.try_get("settled_at")?),
            "in_doubt_since": written(row.try_get("in_doubt_since")?),
        }))
    };
    Ok(rows
        .iter()
        .map(letter)
        .collect::<Result<_, tokio_postgres::Error>>()?)
}

async fn groups(database: &Database, filter: &Filter) -> anyhow::Result<Vec<Value>> {
    migrate::check(database).await?;
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&filter.destination, Type::TEXT)];
    let rows = database.query(GROUP, &params).await?;
    let group = |row: &tokio_postgres::Row| {
        let (state, reason): (String, Option<String>) =
            (row.try_get("state")?, row.try_get("reason")?);
        Ok(json!({
            "destination": row.try_get::<_, String>("destination")?,
            "platform": row.try_get::<_, Option<String>>("platform")?,
            "advice": advice(&state, reason.as_deref().unwrap_or_default()),
            "state": state,
            "reason": reason,
            "error_code": row.try_get::<_, Option<String>>("error_code")?,
            "deliveries": row.try_get::<_, i64>("deliveries")?,
            "oldest_at": written(row.try_get("oldest_at")?),
            "newest_at": written(row.try_get("newest_at")?),
            "sample_event_id": row.try_get::<_, Option<String>>("sample_event_id")?,
        }))
    };
    Ok(rows
        .iter()
        .map(group)
        .collect::<Result<_, tokio_postgres::Error>>()?)
}

fn written(time: Option<DateTime<Utc>>) -> Option<String> {
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// What to do about a dead letter of this kind.
fn advice(state: &str, reason: &str) -> &'static str {
    match (state, reason) {
        ("rejected", "refused_by_platform") => {
            "look the code up in the platform's documentation; mend the mapping or the rows' source, then replay"
        }
        ("rejected", "invalid_payload") => {
            "the error code names the field that the platform would refuse; mend where the row is written, then replay"
        }
        ("rejected", "invalid_event") => {
            "the error code names the column that cannot be read; such a row cannot be sent, skip it"
        }
        ("rejected", "payload_changed") => {
            "the row or the mapping changed after a first try that may have arrived; compare with the platform, then skip it or replay with --force"
        }
        ("rejected", "defect") => {
            "a defect of the worker: report it with the event's id, then replay with a newer version"
        }
        ("uncertain", "no_answer") => {
            "compare with the platform's own reports; replay with --force what is missing there, skip what is there"
        }
        ("uncertain", "count_mismatch") => {
            "the platform took fewer than were sent and does not say which; compare with its events manager"
        }
        ("uncertain", "repeat_window_over") => {
            "it may have arrived, and the platform would not recognise a repeat any more; compare, then skip it or replay with --force"
        }
        ("exhausted", "attempts_used_up") => {
            "it fails while others pass: look at the codes of its tries with `events show`, then replay"
        }
        ("exhausted", "age_used_up") => {
            "age_max_hours gave it up: raise it and replay, if the platform still takes it"
        }
        _ => "look at one of them with `events show`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dead_letter_has_advice_of_its_own() {
        let known = [
            (
                "rejected",
                [
                    "refused_by_platform",
                    "invalid_payload",
                    "invalid_event",
                    "payload_changed",
                    "defect",
                ]
                .as_slice(),
            ),
            (
                "uncertain",
                &["no_answer", "count_mismatch", "repeat_window_over"],
            ),
            ("exhausted", &["attempts_used_up", "age_used_up"]),
        ];
        for (state, reasons) in known {
            for reason in reasons {
                assert_ne!(advice(state, reason), advice("", ""), "{state}/{reason}");
            }
        }
    }
}
