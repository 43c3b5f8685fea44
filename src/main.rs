//! Arguments, one command, an exit code. The only place that knows exit codes and prints errors.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use conversion_outbox::cli::Cli;
use conversion_outbox::cli::check::UnusableSecrets;
use conversion_outbox::cli::doctor::Unwell;
use conversion_outbox::cli::reconcile::Differs;
use conversion_outbox::cli::runs::SomeRefused;
use conversion_outbox::config::fault::Faults;
use conversion_outbox::config::secret::SecretError;
use conversion_outbox::db::dial::OpenError;
use conversion_outbox::db::error::DatabaseError;
use conversion_outbox::db::migrate::{MigrateError, SchemaError};
use conversion_outbox::doctor::Blame;
#[cfg(feature = "sandbox")]
use conversion_outbox::sandbox::postgres::PostgresError;

/// The command was understood and failed.
const FAILED: u8 = 1;

/// The command did its work and found something wrong.
const FINDINGS: u8 = 3;

/// Something this program depends on is not there: `EX_UNAVAILABLE` of BSD's `sysexits.h`.
const UNAVAILABLE: u8 = 69;

/// The configuration is wrong: `EX_CONFIG` of `sysexits.h`.
const BAD_CONFIG: u8 = 78;

fn main() -> ExitCode {
    // `run` has a hook of its own, which logs.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let told = format!(
            "error: a bug in this program, at {place}; its message is withheld because it may hold personal data\n"
        );
        drop(std::io::stderr().write_all(told.as_bytes()));
    }));
    let result = Cli::try_parse()
        .map_err(anyhow::Error::new)
        .and_then(Cli::run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    // Nobody is left to read an answer about a terminal that is gone.
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        drop(usage.print());
        return u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
    }
    drop(std::io::stderr().write_all(told(error).as_bytes()));
    ExitCode::from(exit_code(error))
}

/// The error, and below it each cause that says something new.
fn told(error: &anyhow::Error) -> String {
    let mut told = format!("error: {error}\n");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            for line in cause.lines() {
                told.push_str(&format!("  {line}\n"));
            }
        }
    }
    told
}

fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(FAILED)
}

/// The code of one cause, if it has one of its own.
fn code_of(cause: &(dyn Error + 'static)) -> Option<u8> {
    let is_config = cause.is::<Faults>()
        || cause.is::<OpenError>()
        || cause.is::<SecretError>()
        || cause.is::<UnusableSecrets>();
    if is_config {
        return Some(BAD_CONFIG);
    }
    if cause.is::<Differs>() {
        return Some(FINDINGS);
    }
    if let Some(unwell) = cause.downcast_ref::<Unwell>() {
        return Some(match unwell.blame {
            Blame::Finding => FINDINGS,
            Blame::Unavailable => UNAVAILABLE,
            Blame::Configuration => BAD_CONFIG,
        });
    }
    if cause.is::<SomeRefused>() {
        return Some(FINDINGS);
    }
    #[cfg(feature = "sandbox")]
    if let Some(PostgresError::NotInstalled { .. } | PostgresError::NoAccount) =
        cause.downcast_ref()
    {
        return Some(UNAVAILABLE);
    }
    let database = match (cause.downcast_ref(), cause.downcast_ref()) {
        (Some(MigrateError::Database(database)), _) => database,
        (_, Some(SchemaError::Database(database))) => database,
        (_, Some(_)) => return Some(UNAVAILABLE),
        _ => cause.downcast_ref()?,
    };
    match database {
        DatabaseError::Unreachable(_) | DatabaseError::Broken(_) => Some(UNAVAILABLE),
        DatabaseError::Refused(_) => None,
    }
}
