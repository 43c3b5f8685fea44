//! `doctor`: looks at everything that has to be right before events can leave, and says how to mend what is not.

use chrono::Utc;
use serde_json::{Value, json};
use thiserror::Error;

use super::{ConfigFile, block_on, output, usage};
use crate::config::fault::Faults;
use crate::config::{self, Config};
use crate::doctor::{self, Blame, Check, Scope, Verdict, test_event};
use crate::send::Sender;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ask each destination's platform too. Nothing is sent that could be counted.
    #[arg(long)]
    online: bool,
    /// Only this destination, also when it is disabled. Default: all that are enabled.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Leave the database alone.
    #[arg(long)]
    no_database: bool,
    /// When all else is well, send one clearly marked real event of nobody. It counts like any other.
    #[arg(long, requires = "online", requires = "destination")]
    send_test: bool,
    /// Print `{"checks": [{"name", "destination", "verdict": "ok" | "warn" | "fail" | "skipped", "seen", "fix"}], "ok",
    /// "warn", "fail", "skipped"}`. Destination and fix may be null; the last four are numbers of checks.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Asks the platform of one destination, and leaves the database alone.
    pub(super) fn of_one(destination: String, json: bool) -> Args {
        Args {
            online: true,
            destination: Some(destination),
            no_database: true,
            send_test: false,
            json,
        }
    }
}

/// That something failed, and what it is the fault of. What it was is printed already.
#[derive(Debug, Error)]
#[error("{failed} of {looked_at} checks failed")]
pub struct Unwell {
    /// Checks that failed.
    pub failed: usize,
    /// Checks that were made.
    pub looked_at: usize,
    /// The gravest fault of the failed ones.
    pub blame: Blame,
}

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    let path = file.path()?;
    let checks = match Config::load(path, config::environment()) {
        Ok(config) => {
            let names = config.destinations.iter().map(|one| one.name.as_str());
            let names: Vec<&str> = names.collect();
            let seen = format!("{} ({})", path.display(), names.join(", "));
            let read = Check::ok("configuration", seen);
            let found = block_on(examine(args, &config))?;
            std::iter::once(read).chain(found).collect()
        }
        Err(faults) => unreadable(&faults),
    };
    match args.json {
        true => output::print_json(&report(&checks))?,
        false => output::print(&readable(&checks))?,
    }
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail);
    match failed.clone().map(|check| check.blame).max() {
        None => Ok(()),
        Some(blame) => Err(Unwell {
            failed: failed.count(),
            looked_at: checks.len() - count(&checks, Verdict::Skipped),
            blame,
        }
        .into()),
    }
}

async fn examine(args: &Args, config: &Config) -> anyhow::Result<Vec<Check>> {
    let only = args.destination.as_deref();
    let named = config
        .destinations
        .iter()
        .find(|one| Some(one.name.as_str()) == only);
    if only.is_some() && named.is_none() {
        let names = config.destinations.iter().map(|one| one.name.as_str());
        let names: Vec<&str> = names.collect();
        return Err(usage(&format!(
            "no such destination; configured are {}",
            names.join(", ")
        )));
    }
    if let (true, Some(destination)) = (args.send_test, named) {
        eprintln!("warning: {}", test_event::warning(destination));
    }
    let sender = args.online.then(Sender::new).transpose()?;
    let scope = Scope {
        database: !args.no_database,
        online: sender.as_ref(),
        only,
        test_event: args.send_test,
    };
    Ok(doctor::examine(config, &scope, Utc::now()).await)
}

/// Every fault of a configuration, and that nothing else was looked at.
fn unreadable(faults: &Faults) -> Vec<Check> {
    faults
        .list()
        .iter()
        .map(|fault| {
            let told = Faults::one(faults.file(), fault.clone()).to_string();
            let seen = told.split(". Fix: ").next().unwrap_or_default();
            Check::fail("configuration", seen, &fault.fix).blame(Blame::Configuration)
        })
        .chain([Check::skipped(
            "everything else",
            "not looked at: it needs a valid configuration",
        )])
        .collect()
}

fn count(checks: &[Check], verdict: Verdict) -> usize {
    checks.iter().filter(|one| one.verdict == verdict).count()
}

fn report(checks: &[Check]) -> Value {
    json!({
        "checks": checks,
        "ok": count(checks, Verdict::Ok),
        "warn": count(checks, Verdict::Warn),
        "fail": count(checks, Verdict::Fail),
        "skipped": count(checks, Verdict::Skipped),
    })
}

/// A line for each check, with the fix below it, and a sum.
fn readable(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let name = match &check.destination {
            Some(destination) => format!("{destination} {}", check.name),
            None => check.name.to_owned(),
        };
        text.push_str(&format!(
            "{:<7}  {name}: {}\n",
            check.verdict.as_str(),
            check.seen
        ));
        if let Some(fix) = &check.fix {
            text.push_str(&format!("         fix: {fix}\n"));
        }
    }
    let sum = [Verdict::Ok, Verdict::Warn, Verdict::Fail, Verdict::Skipped]
        .map(|verdict| format!("{} {}", count(checks, verdict), verdict.as_str()));
    format!("{text}{}\n", sum.join(", "))
}
