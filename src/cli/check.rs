//! `check`: everything wrong with a configuration, at once.

use serde_json::{Value, json};
use thiserror::Error;

use super::{ConfigFile, output};
use crate::config::destination::DestinationConfig;
use crate::config::fault::{Fault, Faults, Place};
use crate::config::{self, Config};
use crate::db::connect::Database;
use crate::reconcile::source::Source;
use crate::suppression::SubjectKeys;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave secrets and certificates unread: for a machine that does not have them.
    #[arg(long)]
    offline: bool,
    /// Print `{"ok", "file", "destinations", "faults": [{"line", "variable", "key", "message", "fix"}]}`.
    #[arg(long)]
    json: bool,
}

/// Secrets that the configuration refers to and that cannot be used, one a line. Never holds a value.
#[derive(Debug, Error)]
#[error("{}", .0.join("\n"))]
pub struct UnusableSecrets(Vec<String>);

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    let path = file.path()?;
    let outcome = Config::load(path, config::environment());
    let secrets = match &outcome {
        Ok(config) if !args.offline => unusable(config),
        _ => Vec::new(),
    };
    if args.json {
        let (names, faults) = match &outcome {
            Ok(config) => (
                names(config),
                secrets.iter().map(|text| secret_json(text)).collect(),
            ),
            Err(faults) => (
                Vec::new(),
                faults.list().iter().map(fault_json).collect::<Vec<_>>(),
            ),
        };
        output::print_json(&json!({
            "ok": faults.is_empty(), "file": path, "destinations": names, "faults": faults,
        }))?;
    }
    let config = outcome.map_err(counted)?;
    if !secrets.is_empty() {
        return Err(anyhow::Error::new(UnusableSecrets(secrets)).context("secrets cannot be used"));
    }
    if args.json {
        return Ok(());
    }
    output::print(&format!(
        "ok: {} ({})",
        path.display(),
        names(&config).join(", ")
    ))
}

/// The secrets and certificates that cannot be used now. A disabled destination needs none.
fn unusable(config: &Config) -> Vec<String> {
    let database = Database::open(&config.database)
        .err()
        .map(|error| error.to_string());
    let credentials = config
        .destinations
        .iter()
        .filter(|one| one.is_enabled)
        .flat_map(of_destination);
    let admin = config.admin.iter().flat_map(|admin| {
        let url = admin.database_url.as_ref();
        let url = url.and_then(|secret| Some(format!("[admin]: {}", secret.load().err()?)));
        let token = admin.check_token().err().map(|error| error.to_string());
        token.into_iter().chain(url)
    });
    let keys = SubjectKeys::load(&config.privacy)
        .err()
        .map(|error| error.to_string());
    let sources = config.reconcile.iter().filter_map(|entry| {
        entry.database_url.as_ref()?;
        let error = Source::open(entry, &config.database).err()?;
        Some(format!("[[reconcile]] \"{}\": {error}", entry.name))
    });
    database
        .into_iter()
        .chain(credentials)
        .chain(admin)
        .chain(keys)
        .chain(sources)
        .collect()
}

/// Its own credential, and the one for reports where that is another.
fn of_destination(destination: &DestinationConfig) -> Vec<String> {
    let name = &destination.name;
    let own = destination.settings.credentials().check().err();
    let own = own.map(|error| format!("destination \"{name}\": {error}"));
    let report = destination.report.as_ref();
    let report = report.and_then(|report| report.credentials().check().err());
    let report = report.map(|error| format!("destination \"{name}\": {error}"));
    let mut found: Vec<String> = own.into_iter().chain(report).collect();
    found.dedup();
    found
}

fn names(config: &Config) -> Vec<&str> {
    config
        .destinations
        .iter()
        .map(|one| one.name.as_str())
        .collect()
}

fn counted(faults: Faults) -> anyhow::Error {
    let title = match faults.list().len() {
        1 => "the configuration has a fault".to_owned(),
        count => format!("the configuration has {count} faults"),
    };
    anyhow::Error::new(faults).context(title)
}

fn fault_json(fault: &Fault) -> Value {
    let (line, variable) = match &fault.place {
        Place::File => (None, None),
        Place::Line(line) => (Some(line), None),
        Place::Variable(name) => (None, Some(name)),
    };
    json!({
        "line": line, "variable": variable, "key": fault.path, "message": fault.message, "fix": fault.fix,
    })
}

fn secret_json(text: &str) -> Value {
    json!({ "line": null, "variable": null, "key": null, "message": text, "fix": null })
}
