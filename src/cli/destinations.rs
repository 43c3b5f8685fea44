//! `destinations`: how they stand, and what an operator may do to one.

use anyhow::bail;
use serde_json::json;
use tokio_postgres::types::{ToSql, Type};

use super::{ConfigFile, DatabaseArgs, again, block_on, doctor, output, status};
use crate::db::connect::Database;

const RESUME: &str = include_str!("../../sql/queries/resume_by_hand.sql");
const PAUSE: &str = include_str!("../../sql/queries/pause_by_hand.sql");

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List them with their backlog, holds and totals. The same as `status`.
    List(status::Args),
    /// Send nothing to a destination until it is resumed. Nothing is lost and no attempts are used up. Needs the role
    /// conversion_outbox_operator.
    Pause {
        /// Name of the destination.
        name: String,
        /// Why; it goes on record with your login, and stands with the destination.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Print `{"destination", "changed"}`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Lift a pause, or a hold after its cause was mended. Needs the role conversion_outbox_operator.
    Resume {
        /// Name of the destination.
        name: String,
        /// Only this conversion action or rule. Default: the destination and all of them.
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        /// Why; it goes on record with your login.
        #[arg(long, value_name = "TEXT", default_value = "resumed by hand")]
        reason: String,
        /// Print `{"destination", "changed"}`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Ask the destination's platform whether it would let us in; nothing is sent that could be counted. The same as
    /// `doctor --online --no-database --destination NAME`.
    Test {
        /// Name of the destination.
        name: String,
        /// As `doctor --json`.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    match command {
        Command::List(args) => status::run(&args, file),
        Command::Pause {
            name,
            reason,
            json,
            database,
        } => {
            let database = file.database(&database)?;
            block_on(pause(&database, &name, &reason))?;
            let told = "paused: workers obey within a second; what is under way may end";
            tell(&name, true, told, json)
        }
        Command::Resume {
            name,
            rule,
            reason,
            json,
            database,
        } => {
            let database = file.database(&database)?;
            let was_held = block_on(resume(&database, &name, rule.as_deref(), &reason))?;
            let told = match was_held {
                true => "the hold is lifted; workers go on within a few seconds",
                false => "nothing of it was held",
            };
            tell(&name, was_held, told, json)
        }
        Command::Test { name, json } => doctor::run(&doctor::Args::test(name, json), file),
    }
}

fn tell(name: &str, has_changed: bool, told: &str, is_json: bool) -> anyhow::Result<()> {
    match is_json {
        true => output::print_json(&json!({ "destination": name, "changed": has_changed })),
        false => output::print(told),
    }
}

async fn pause(database: &Database, name: &str, reason: &str) -> anyhow::Result<()> {
    if reason.trim().is_empty() {
        bail!("a reason is missing: whoever finds the destination paused wants to know why");
    }
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&name, Type::TEXT), (&reason, Type::TEXT)];
    let rows = database.query(PAUSE, &params).await;
    let rows = rows.map_err(|error| again::allowed(error, "pause destinations"))?;
    known(rows.first().is_some_and(|row| row.get("known")))
}

/// Whether there was a hold to lift.
async fn resume(
    database: &Database,
    name: &str,
    rule: Option<&str>,
    reason: &str,
) -> anyhow::Result<bool> {
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&name, Type::TEXT),
        (&rule, Type::TEXT),
        (&reason, Type::TEXT),
    ];
    let rows = database.query(RESUME, &params).await;
    let rows = rows.map_err(|error| again::allowed(error, "lift holds"))?;
    let said = |what: &str| rows.first().is_some_and(|row| row.get(what));
    known(said("known"))?;
    Ok(said("resumed"))
}

fn known(is_known: bool) -> anyhow::Result<()> {
    if !is_known {
        bail!(
            "no worker has registered this destination. Fix: `conversion-outbox status` lists them"
        );
    }
    Ok(())
}
