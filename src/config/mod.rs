//! Configuration: one TOML file, laid over by the environment, checked as a whole before anything starts.
//!
//! A variable is named `CONVERSION_OUTBOX__SECTION__KEY`, or `CONVERSION_OUTBOX__DESTINATION__NAME__KEY`; it
//! wins over the file, the file wins over the defaults. Nothing outside this module reads the environment.

pub mod admin;
mod between;
pub mod connection;
pub mod database;
pub mod destination;
pub mod fault;
mod mapping;
pub mod oauth;
pub mod privacy;
pub mod reach;
pub mod read;
pub mod reconcile;
pub mod secret;
pub mod surroundings;
mod tree;
mod values;
pub mod worker;

use std::collections::BTreeSet;
use std::path::Path;

use admin::AdminConfig;
use database::DatabaseConfig;
use destination::DestinationConfig;
use fault::{Fault, Faults, Place};
use privacy::PrivacyConfig;
use read::{Reader, read_config};
use reconcile::ReconcileConfig;
use surroundings::{HttpConfig, IdentityConfig, TelemetryConfig};
use worker::WorkerConfig;

pub(crate) use mapping::{ALIASES, USUAL};

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The application's database.
    pub database: DatabaseConfig,
    /// How the work is done.
    pub worker: WorkerConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// The listener for probes and metrics.
    pub http: HttpConfig,
    /// The listener for people, unless it is turned off.
    pub admin: Option<AdminConfig>,
    /// How identifiers are understood.
    pub identity: IdentityConfig,
    /// How long a person's data are kept, and who is not told about.
    pub privacy: PrivacyConfig,
    /// Where events go, in the order of the file. Names are unique.
    pub destinations: Vec<DestinationConfig>,
    /// What the outbox is compared with. Names are unique.
    pub reconcile: Vec<ReconcileConfig>,
}

impl Config {
    /// Reads a file and lays the variables over it. Reports all faults together, an unreadable file as one of them.
    pub fn load(
        path: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, Faults> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Config::parse(&text, &file, variables),
            Err(error) => Err(Faults::one(
                &file,
                Fault {
                    place: Place::File,
                    path: String::new(),
                    message: format!("the file cannot be read: {error}"),
                    fix: "give the path of a configuration file that this user may read".to_owned(),
                },
            )),
        }
    }

    /// Reads a text as if it stood in `file`. Pure.
    pub fn parse(
        text: &str,
        file: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, Faults> {
        read_config(text, file, variables, Config::read)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Config> {
        let database = reader.section("database", DatabaseConfig::read);
        let worker = reader
            .section("worker", WorkerConfig::read)
            .unwrap_or_default();
        let telemetry = reader
            .section("telemetry", TelemetryConfig::read)
            .unwrap_or_default();
        let http = reader.section("http", HttpConfig::read).unwrap_or_default();
        let is_default = !reader.has("admin");
        let admin = reader.section("admin", |reader| AdminConfig::read(reader, is_default));
        let identity = reader
            .section("identity", IdentityConfig::read)
            .unwrap_or_default();
        let privacy = reader
            .section("privacy", PrivacyConfig::read)
            .unwrap_or_default();
        let mut taken = BTreeSet::new();
        let destinations = reader.tables("destination", |reader| {
            DestinationConfig::read(reader, &worker, telemetry.is_production(), &mut taken)
        });
        between::check(reader, &destinations);
        let mut entries = BTreeSet::new();
        let reconcile = reader.tables("reconcile", |reader| {
            ReconcileConfig::read(reader, &destinations, &mut entries)
        });
        Some(Config {
            database: database?,
            worker,
            telemetry,
            http,
            admin,
            identity,
            privacy,
            destinations,
            reconcile,
        })
    }
}

/// The variables of this process that [`Config::load`] understands. Text that is not UTF-8 is mended with marks.
#[expect(
    clippy::disallowed_methods,
    reason = "the configuration reads the environment for everybody"
)]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .filter(|(name, _)| name.starts_with(tree::VARIABLE_PREFIX))
        .collect()
}

/// A variable of this process by its full name, for what others define: `RUST_LOG`, `OTEL_…`.
#[expect(
    clippy::disallowed_methods,
    reason = "the configuration reads the environment for everybody"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests;
