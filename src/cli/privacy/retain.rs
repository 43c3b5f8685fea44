//! `privacy retain`: removes what the worker would remove by itself, until nothing is due.

use std::time::Duration;

use anyhow::bail;
use serde_json::json;

use super::super::{ConfigFile, DatabaseArgs, block_on, output, usage};
use super::allowed;
use crate::db::connect::Database;
use crate::retention::{self, Graces};

/// How long to wait while another session does it.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// How often to wait for it.
const BUSY_TRIES: u32 = 30;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Change nothing; tell how many events' data are due.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    let Some(graces) = file.load()?.privacy.graces() else {
        return Err(usage(
            "personal data are kept for ever: set retention_days under [privacy]",
        ));
    };
    let database = file.database(&args.database)?;
    let removed = block_on(retain(&database, graces, args.dry_run))?;
    match (args.json, args.dry_run) {
        (true, dry_run) => output::print_json(&json!({ "events": removed, "dry_run": dry_run })),
        (_, true) => output::print(&format!("the data of {removed} events would be removed")),
        (_, false) => output::print(&format!("the data of {removed} events were removed")),
    }
}

async fn retain(database: &Database, graces: Graces, is_dry: bool) -> anyhow::Result<i64> {
    let (mut removed, mut busy) = (0, 0);
    let mut dry_run = is_dry.then_some(0);
    loop {
        match allowed(retention::remove(database, graces, None, dry_run).await)? {
            Some(batch) => {
                removed += batch.removed;
                let was_last = match dry_run.replace(batch.looked_to).filter(|_| is_dry) {
                    Some(before) => batch.looked_to <= before,
                    None => batch.looked < i64::from(retention::BATCH),
                };
                if was_last {
                    return Ok(removed);
                }
                dry_run = dry_run.filter(|_| is_dry);
            }
            None if busy < BUSY_TRIES => {
                busy += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            None => bail!("a worker is removing data right now. Fix: try again in a minute"),
        }
    }
}
