//! `destinations`: what an operator may do to a destination.

use anyhow::bail;
use tokio_postgres::types::{ToSql, Type};

use super::{ConfigFile, DatabaseArgs, block_on, output};
use crate::db::connect::Database;

const RESUME: &str = include_str!("../../sql/queries/resume_by_hand.sql");

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lift a hold after its cause was mended. Needs the role conversion_outbox_operator.
    Resume {
        /// Name of the destination.
        name: String,
        /// Only this conversion action or rule. Default: the destination and all of them.
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    let Command::Resume {
        name,
        rule,
        database,
    } = command;
    let database = file.database(&database)?;
    output::print(block_on(resume(&database, &name, rule.as_deref()))?)
}

async fn resume(
    database: &Database,
    name: &str,
    rule: Option<&str>,
) -> anyhow::Result<&'static str> {
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&name, Type::TEXT), (&rule, Type::TEXT)];
    let rows = database.query(RESUME, &params).await;
    // insufficient_privilege: PostgreSQL's manual, appendix A.
    if rows
        .as_ref()
        .is_err_and(|error| error.code() == Some("42501"))
    {
        bail!(
            "this login may not lift holds. Fix: grant it conversion_outbox_operator, or take another login with --database-url-env"
        );
    }
    let rows = rows?;
    let said = |what: &str| rows.first().is_some_and(|row| row.get(what));
    if !said("known") {
        bail!(
            "no worker has registered this destination. Fix: `conversion-outbox status` lists them"
        );
    }
    Ok(if said("resumed") {
        "the hold is lifted; workers go on within a few seconds"
    } else {
        "nothing of it was held"
    })
}
