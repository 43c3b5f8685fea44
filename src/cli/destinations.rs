//! `destinations`: what of them is held or paused, and what an operator may do to them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::by_hand::{self, stamp};
use super::rights::{READER, needs};
use super::{ConfigFile, DatabaseArgs, block_on, doctor, output};
use crate::operations::{destinations, known};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show destinations: what is held or paused, why, since when, by whom, what to do and when it is tried next.
    List {
        /// Print a list of `{"name", "platform", "state": "enabled" | "unserved" | "held" | "paused" | "disabled", "served",
        /// "last_seen_at", "hold": null | {"reason", "code", "advice", "since", "next_probe", "paused_by", "paused_because"},
        /// "held_rules": [{"rule", and the same}]}`. next_probe is null for a pause: only `resume` ends it. Served is whether a
        /// worker was there for it within the last ten minutes; unserved is what is enabled and not served.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Send nothing to a destination until it is resumed: nothing is lost, no attempt is used up. Every worker obeys within
    /// about a second; requests under way end. Needs the role conversion_outbox_operator.
    Pause {
        /// Name of the destination.
        name: String,
        /// Why, in your own words and without naming a person: it stands in the audit.
        #[arg(long, value_name = "TEXT", value_parser = by_hand::reason)]
        reason: String,
        /// Only this conversion action or rule of the configuration.
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        /// Print `{"name", "rule", "paused", "changed"}`; changed is false where it was paused before, and has a new reason now.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// End a pause, or lift a hold after its cause was mended. Needs the role conversion_outbox_operator.
    Resume {
        /// Name of the destination.
        name: String,
        /// Only this conversion action or rule. Default: the destination and all of them.
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        /// Why, in your own words and without naming a person: it stands in the audit.
        #[arg(long, value_name = "TEXT", value_parser = by_hand::reason)]
        reason: Option<String>,
        /// Print `{"name", "rule", "resumed"}`; resumed is false where nothing was held.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Ask the platform of one destination whether it would take events, as `doctor --online` does. Nothing is sent that
    /// could be counted. Exits with 0 when all is well, 3 when something is wrong, 69 when the platform gives no answer.
    Test {
        /// Name of the destination.
        name: String,
        /// Print what `doctor --json` prints.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    match command {
        Command::List { json, database } => {
            let database = file.database(&database)?;
            let listed = block_on(async { needs(READER, destinations::list(&database).await) })?;
            match json {
                true => output::print_json(&listed),
                false => output::print(&readable(&listed)),
            }
        }
        Command::Pause {
            name,
            reason,
            rule,
            json,
            database,
        } => {
            let rule = rule.as_deref();
            let database = match rule {
                None => file.database(&database)?,
                Some(rule) => {
                    let variable = database.database_url_env.as_ref();
                    let (config, database) = by_hand::open(file, variable)?;
                    known::rule(&config.destinations, &name, rule)?;
                    database
                }
            };
            let is_new = block_on(async {
                by_hand::told(destinations::pause(&database, &name, rule, &reason).await)
            })?;
            match json {
                true => output::print_json(
                    &json!({ "name": name, "rule": rule, "paused": true, "changed": is_new }),
                ),
                false if is_new => output::print("paused; workers obey within about a second"),
                false => output::print("it was paused already; the reason is the new one"),
            }
        }
        Command::Resume {
            name,
            rule,
            reason,
            json,
            database,
        } => {
            let database = file.database(&database)?;
            let (rule, reason) = (rule.as_deref(), reason.as_deref());
            let resumed = block_on(async {
                by_hand::told(destinations::resume(&database, &name, rule, reason).await)
            })?;
            match json {
                true => {
                    output::print_json(&json!({ "name": name, "rule": rule, "resumed": resumed }))
                }
                false if resumed => {
                    output::print("the hold is lifted; workers go on within a few seconds")
                }
                false => output::print("nothing of it was held"),
            }
        }
        Command::Test { name, json } => doctor::run(&doctor::Args::of_one(name, json), file),
    }
}

fn readable(destinations: &[Value]) -> String {
    if destinations.is_empty() {
        return "no destinations yet: a worker registers them when it starts".to_owned();
    }
    let mut rows = vec![
        [
            "destination",
            "platform",
            "state",
            "since (UTC)",
            "next probe",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut notes = String::new();
    for one in destinations {
        let name = word(&one["name"]);
        rows.push(vec![
            name.clone(),
            word(&one["platform"]),
            word(&one["state"]),
            moment(&one["hold"]["since"]),
            moment(&one["hold"]["next_probe"]),
        ]);
        if one["served"] == false && one["state"] != "disabled" {
            let seen = moment(&one["last_seen_at"]);
            notes.push_str(&format!(
                "{name}: no worker has served it since {seen}; what is written for it waits\n"
            ));
        }
        notes.push_str(&note(&name, &one["hold"]));
        for rule in one["held_rules"].as_array().into_iter().flatten() {
            notes.push_str(&note(&format!("{name} rule {}", word(&rule["rule"])), rule));
        }
    }
    format!("{}{notes}", output::table(&rows))
}

/// What is held, why, and what to do.
fn note(what: &str, hold: &Value) -> String {
    if !hold.is_object() {
        return String::new();
    }
    let code = match hold["code"].as_str() {
        Some(code) => format!(", code {code}"),
        None => String::new(),
    };
    format!(
        "{what}: {}{code} since {}: {}\n",
        word(&hold["reason"]),
        moment(&hold["since"]),
        word(&hold["advice"])
    )
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn moment(value: &Value) -> String {
    let at = value
        .as_str()
        .and_then(|at| at.parse::<DateTime<Utc>>().ok());
    at.map_or("-".to_owned(), stamp)
}
