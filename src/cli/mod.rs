//! The commands: what may be typed, and which file does it. Not for exit codes, which are `main.rs`'s.
//!
//! Data goes to standard output, messages to standard error. Secrets are never arguments: other users of a machine see them.

pub(crate) mod by_hand;
pub mod check;
mod completions;
mod dead_letters;
mod destinations;
pub mod doctor;
mod events;
mod healthcheck;
mod migrate;
mod output;
mod preview;
mod privacy;
pub mod reconcile;
mod report;
mod rights;
mod run;
pub mod runs;
#[cfg(feature = "sandbox")]
mod sandbox;
mod signals;
pub(crate) mod status;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::database::DatabaseConfig;
use crate::config::secret::SecretRef;
use crate::config::{self, Config};
use crate::db::connect::Database;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 findings, 69 the database or another \
                          dependency is not available, 78 the configuration is wrong.";

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "conversion-outbox", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Configuration file.
    #[arg(
        long,
        global = true,
        env = "CONVERSION_OUTBOX_CONFIG",
        value_name = "FILE",
        display_order = 900
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Deliver events until told to stop (SIGTERM or Ctrl-C drain first).
    Run,
    /// Bring the schema of the database up to date, or show what that takes.
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Check the configuration: every fault at once, with its line and a fix.
    Check(check::Args),
    /// `config check` is `check`.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show for one event what would be sent where, without sending it.
    ///
    /// With --event neither database nor secrets are needed: nothing counts as withdrawn, and the event that
    /// depends_on names counts as sent, with the business id that its derived id tells (order_paid:order-1042) or else
    /// the event's own. With --event-id withdrawals count.
    ///
    /// A decision "send" with a reason (in_the_future, waiting_for_original) is sent once that reason has passed. An event that the
    /// database would refuse is refused here too, in the same words and with exit code 1.
    Preview(preview::Args),
    /// Show destinations, their backlog, holds and totals.
    Status(status::Args),
    /// Report a day: what came, what arrived, where that differs from the source of truth, what broke, and what to do.
    ///
    /// For the morning: run it from a scheduler and send what it prints. Needs the role conversion_outbox_reader or more.
    Report(report::Args),
    /// List destinations; pause, resume or test one.
    #[command(subcommand)]
    Destinations(destinations::Command),
    /// List deliveries that ended without having arrived for certain, why, and what to do; send them again, or skip them.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// List events, or show one's whole life; send its deliveries again, or skip them.
    #[command(subcommand)]
    Events(events::Command),
    /// Keep people's data no longer than needed, tell nobody about those who opted out, and prove it.
    ///
    /// Needs the role conversion_outbox_privacy.
    #[command(subcommand)]
    Privacy(privacy::Command),
    /// Compare the outbox with the application's own tables and with what platforms report.
    ///
    /// What is compared stands under [[reconcile]] in the configuration. A running worker does it by itself.
    #[command(subcommand)]
    Reconcile(reconcile::Command),
    /// Look at everything that has to be right before events can leave: configuration, secrets, database, and with
    /// --online the platforms.
    ///
    /// A check that fails gives exit code 3; 69 if the database or a platform gives no answer, 78 if the configuration or a
    /// secret is wrong. Warnings alone give 0.
    Doctor(doctor::Args),
    /// Ask the worker running on this machine whether it is well, for exec probes and compose.
    Healthcheck(healthcheck::Args),
    /// Play a trading day on a private PostgreSQL and emulated platforms, and compare what was counted.
    #[cfg(feature = "sandbox")]
    Demo(sandbox::DemoArgs),
    /// Run the emulated platforms by themselves, on loopback.
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::SandboxArgs),
    /// Measure the worker on a private PostgreSQL against a sink.
    #[cfg(feature = "sandbox")]
    Bench(sandbox::BenchArgs),
    /// Torture several workers on a private PostgreSQL and emulated platforms with faults drawn from a seed, and prove every
    /// promise over what happened.
    #[cfg(feature = "sandbox")]
    Torture(sandbox::TortureArgs),
    /// Print a shell's completions.
    Completions(completions::Args),
    /// Print the version.
    Version,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// The same as `check`.
    Check(check::Args),
}

/// Which database, where it need not be that of the configuration.
#[derive(Debug, Args)]
struct DatabaseArgs {
    /// Take the connection string from this environment variable instead of the configuration.
    #[arg(long, value_name = "NAME")]
    database_url_env: Option<String>,
}

impl Cli {
    /// Runs the command that was typed. Wrong usage found only here is a [`clap::Error`] inside.
    pub fn run(self) -> anyhow::Result<()> {
        let Cli { config, command } = self;
        let file = ConfigFile(config);
        match command {
            Command::Run => block_on(run::run(file.load()?)),
            Command::Migrate(command) => migrate::run(command, &file),
            Command::Check(args) | Command::Config(ConfigCommand::Check(args)) => {
                check::run(&args, &file)
            }
            Command::Preview(args) => preview::run(&args, &file),
            Command::Status(args) => status::run(&args, &file),
            Command::Report(args) => report::run(&args, &file),
            Command::Destinations(command) => destinations::run(command, &file),
            Command::DeadLetters(command) => dead_letters::run(command, &file),
            Command::Events(command) => events::run(command, &file),
            Command::Privacy(command) => privacy::run(command, &file),
            Command::Reconcile(command) => reconcile::run(command, &file),
            Command::Doctor(args) => doctor::run(&args, &file),
            Command::Healthcheck(args) => healthcheck::run(&args, &file),
            #[cfg(feature = "sandbox")]
            Command::Demo(args) => block_on(sandbox::demo(args)),
            #[cfg(feature = "sandbox")]
            Command::Sandbox(args) => block_on(sandbox::serve(args)),
            #[cfg(feature = "sandbox")]
            Command::Bench(args) => block_on(sandbox::bench(args)),
            #[cfg(feature = "sandbox")]
            Command::Torture(args) => block_on(sandbox::torture(args)),
            Command::Completions(args) => completions::run(&args),
            Command::Version => output::print(&Cli::command().render_version()),
        }
    }
}

/// The configuration file, if one was named.
struct ConfigFile(Option<PathBuf>);

impl ConfigFile {
    fn path(&self) -> anyhow::Result<&PathBuf> {
        self.0.as_ref().ok_or_else(|| {
            usage("no configuration: pass --config FILE or set CONVERSION_OUTBOX_CONFIG")
        })
    }

    fn load(&self) -> anyhow::Result<Config> {
        let path = self.path()?;
        Config::load(path, config::environment()).context("the configuration is wrong")
    }

    /// The configuration for commands that also do without one.
    fn load_if_there(&self) -> anyhow::Result<Option<Config>> {
        self.0.as_ref().map(|_| self.load()).transpose()
    }

    fn database(&self, args: &DatabaseArgs) -> anyhow::Result<Database> {
        let config = match &args.database_url_env {
            Some(name) => DatabaseConfig::new(SecretRef::variable(name)),
            None => self.load()?.database,
        };
        Ok(Database::open(&config)?)
    }
}

/// Wrong usage that clap cannot see by itself.
fn usage(message: &str) -> anyhow::Error {
    Cli::command()
        .error(ErrorKind::MissingRequiredArgument, message)
        .into()
}

/// Runs what has to wait for others. What still hangs afterwards, such as a name look-up, does not keep the process.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Runtime::new().context("no threads could be started")?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
