//! `destinations`: what an operator may do to a destination.

use anyhow::bail;
use tokio_postgres::types::Type;

use super::{ConfigFile, DatabaseArgs, block_on, output};
use crate::db::connect::Database;

const RESUME: &str = include_str!("../../sql/queries/resume_by_hand.sql");

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lift a hold after its cause was mended. Needs the role conversion_outbox_operator.
    Resume {
        /// Name of the destination.
        name: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    let Command::Resume { name, database } = command;
    let database = file.database(&database)?;
    output::print(block_on(resume(&database, &name))?)
}

async fn resume(database: &Database, name: &str) -> anyhow::Result<&'static str> {
    let rows = database.query(RESUME, &[(&name, Type::TEXT)]).await?;
    let said = |what: &str| rows.first().is_some_and(|row| row.get(what));
    if !said("known") {
        bail!(
            "no worker has registered this destination. Fix: `conversion-outbox status` lists them"
        );
    }
    Ok(if said("resumed") {
        "the hold is lifted; workers go on within a few seconds"
    } else {
        "the destination was not held"
    })
}
