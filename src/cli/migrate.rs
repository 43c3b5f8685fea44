//! `migrate`: brings the schema up to date, says how it stands, or prints the SQL for another tool.

use super::rights::{READER, needs};
use super::{ConfigFile, DatabaseArgs, block_on, output};
use crate::db::migrate::{self, MIGRATIONS, Step, StepState};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Apply what is not applied yet. Safe to run twice and at once.
    ///
    /// Not with the worker's login: the first time a superuser's, or one with createrole and with create on this database;
    /// later that one again, or another member of conversion_outbox_owner. Workers may go on meanwhile, except where
    /// CHANGELOG.md says otherwise.
    Up {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// List what is applied and what is pending.
    Status {
        /// Print `[{"version", "name", "state": "applied" | "pending" | "changed" | "newer", "applied_at"}]`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Print plain SQL, for Flyway and the like, with what `migrate status` goes by. Needs no database.
    Print {
        /// First version.
        #[arg(long, default_value_t = 1)]
        from: u32,
        /// Last version. Default: the newest.
        #[arg(long)]
        to: Option<u32>,
    },
}

pub(super) fn run(command: Command, file: &ConfigFile) -> anyhow::Result<()> {
    match command {
        Command::Up { database } => {
            let database = file.database(&database)?;
            let applied = block_on(async { Ok(migrate::up(&database).await?) })?;
            let names: Vec<String> = applied
                .iter()
                .map(|one| format!("applied {}", one.name))
                .collect();
            match names.is_empty() {
                true => output::print("nothing to do: the schema is up to date"),
                false => output::print(&names.join("\n")),
            }
        }
        Command::Status { json, database } => {
            let database = file.database(&database)?;
            let steps = block_on(async { needs(READER, migrate::status(&database).await) })?;
            match json {
                true => output::print_json(&steps),
                false => output::print(&output::table(&rows(&steps))),
            }
        }
        Command::Print { from, to } => {
            let newest = u32::try_from(MIGRATIONS.len()).expect("few migrations");
            output::print(&migrate::script(from..=to.unwrap_or(newest)))
        }
    }
}

fn rows(steps: &[Step]) -> Vec<Vec<String>> {
    let heading = ["migration", "state", "applied at"]
        .map(str::to_owned)
        .to_vec();
    let row = |step: &Step| {
        let state = match step.state {
            StepState::Applied => "applied",
            StepState::Pending => "pending",
            StepState::Changed => "applied with another text",
            StepState::Newer => "applied by a newer release",
        };
        let at = step.applied_at.map(|at| at.format("%F %T UTC").to_string());
        vec![step.name.clone(), state.to_owned(), at.unwrap_or_default()]
    };
    std::iter::once(heading)
        .chain(steps.iter().map(row))
        .collect()
}
