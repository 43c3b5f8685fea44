//! Looks at the database as the worker would find it. Reads only. Judgements are in the files beside this one.

mod privacy;
mod rights;
mod server;
mod standing;

use std::error::Error;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Blame, Check, mapping};
use crate::config::Config;
use crate::config::connection::Connection;
use crate::config::database::DatabaseConfig;
use crate::config::destination::DestinationConfig;
use crate::db::connect::{Database, Param};
use crate::db::error::DatabaseError;
use crate::db::migrate::{self, SchemaError, StepState};
use crate::suppression;

const SERVER: &str = include_str!("../../../sql/queries/doctor_server.sql");
const RIGHTS: &str = include_str!("../../../sql/queries/doctor_rights.sql");
const DESTINATIONS: &str = include_str!("../../../sql/queries/doctor_destinations.sql");
const EVENTS: &str = include_str!("../../../sql/queries/doctor_events.sql");

const SCHEMA: &str = "schema";

/// SQLSTATE `insufficient_privilege`.
const NO_PERMISSION: &str = "42501";

/// How many of the latest events are looked at for names that no destination takes.
const LATEST: i32 = 10_000;

/// Everything about the database, for the destinations that are looked at.
pub(super) async fn examine(config: &Config, asked: &[&DestinationConfig]) -> Vec<Check> {
    let database = match Database::open(&config.database) {
        Ok(database) => database,
        Err(error) => {
            let check = Check::error("database", &error.to_string());
            return vec![check.blame(Blame::Configuration), unseen()];
        }
    };
    let mut checks = tls(&config.database);
    match server(&database, config.database.pool_size).await {
        Ok(found) => checks.extend(found),
        Err(error) => {
            checks.insert(0, failed("database", &error));
            checks.push(unseen());
            return checks;
        }
    }
    let schema = schema(&database).await;
    checks.push(schema.check);
    let mut parts = Vec::new();
    if schema.is_there {
        parts.push(rights(&database).await);
    }
    if schema.is_usable {
        parts.push(standings(&database, asked).await);
        parts.push(events(&database, config).await);
        let used = suppression::keys_in_use(&database).await;
        parts.push(used.map(|used| privacy::judge(&config.privacy, &used)));
    } else {
        let seen = "holds and events were not looked at: they need a schema that may be read";
        checks.push(Check::skipped("database", seen));
    }
    for part in parts {
        match part {
            Ok(found) => checks.extend(found),
            Err(error) => checks.push(failed("database", &error)),
        }
    }
    checks
}

/// What is not known for want of a connection.
fn unseen() -> Check {
    let seen = "schema, rights, clock, holds and events were not looked at: they need a connection";
    Check::skipped("database", seen)
}

/// A failure with all it says of its causes; none of them holds the connection string or a row.
fn failed(name: &'static str, error: &DatabaseError) -> Check {
    let text = error.to_string();
    let (seen, fix) = text.split_once(". Fix: ").unwrap_or((&text, ""));
    let mut seen = seen.to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !seen.contains(&said) {
            seen.push_str(&format!(": {said}"));
        }
        cause = error.source();
    }
    let fix = match fix {
        "" => "see what the database's log says of it",
        fix => fix,
    };
    let blame = match error {
        DatabaseError::Unreachable(_) | DatabaseError::Broken(_) => Blame::Unavailable,
        DatabaseError::Refused(_) => Blame::Finding,
    };
    Check::fail(name, seen, fix).blame(blame)
}

/// What the configuration demands of the server. That it can be read was proved by opening the database.
fn tls(config: &DatabaseConfig) -> Vec<Check> {
    let connection = config.url.load().ok();
    let connection =
        connection.and_then(|url| Connection::parse(url.expose(), config.is_insecure).ok());
    connection
        .map(|connection| server::tls(&connection.encryption, config.is_insecure))
        .into_iter()
        .collect()
}

/// Reach, clock and connections, from one answer.
async fn server(database: &Database, pool_size: u32) -> Result<Vec<Check>, DatabaseError> {
    // A first connection takes its time, which must not count as a difference of clocks.
    drop(database.client().await?);
    let before = Utc::now();
    let rows = database.query(SERVER, &[]).await?;
    let after = Utc::now();
    let Some(row) = rows.first() else {
        return Ok(Vec::new());
    };
    let text = |column: &str| row.try_get::<_, String>(column);
    let now: DateTime<Utc> = row.try_get("now")?;
    let room = server::Room {
        connections_max: row.try_get("connections_max")?,
        reserved: row.try_get("reserved")?,
        connected: row.try_get("connected")?,
        login_max: row
            .try_get::<_, Option<i32>>("login_max")?
            .filter(|max| *max >= 0),
    };
    let tls: Option<String> = row.try_get("tls")?;
    Ok(vec![
        Check::ok(
            "database",
            format!(
                "PostgreSQL {} answers \"{}\"{}",
                text("version")?,
                text("login")?,
                tls.map(|version| format!(" over {version}"))
                    .unwrap_or_default()
            ),
        ),
        server::clock(now, before, after),
        server::connections(&room, pool_size),
    ])
}

/// How the schema stands.
struct Schema {
    check: Check,
    /// Whether there is one that somebody can have rights in.
    is_there: bool,
    /// Whether it can be read by this program and this login.
    is_usable: bool,
}

async fn schema(database: &Database) -> Schema {
    let unusable = |check, is_there| Schema {
        check,
        is_there,
        is_usable: false,
    };
    let version = match migrate::check(database).await {
        Ok(version) => version,
        // What the login lacks is told with its rights.
        Err(SchemaError::Database(error)) if error.code() == Some(NO_PERMISSION) => {
            return unusable(
                Check::skipped(SCHEMA, "the login may not read its version"),
                true,
            );
        }
        Err(SchemaError::Database(error)) => return unusable(failed(SCHEMA, &error), false),
        Err(error) => return unusable(Check::error(SCHEMA, &error.to_string()), false),
    };
    Schema {
        check: text(database, version).await,
        is_there: true,
        is_usable: true,
    }
}

/// Whether the migrations that were applied are those of this program.
async fn text(database: &Database, version: u32) -> Check {
    let steps = match migrate::status(database).await {
        Ok(steps) => steps,
        Err(error) => return failed(SCHEMA, &error),
    };
    let changed = steps.iter().filter(|step| step.state == StepState::Changed);
    let changed: Vec<&str> = changed.map(|step| step.name.as_str()).collect();
    if changed.is_empty() {
        return Check::ok(SCHEMA, format!("version {version}"));
    }
    Check::warn(
        SCHEMA,
        format!(
            "version {version}, but these were applied with another text than this program has: {}",
            changed.join(", ")
        ),
        "run the release that applied them, and never edit a migration",
    )
}

async fn rights(database: &Database) -> Result<Vec<Check>, DatabaseError> {
    let rows = database.query(RIGHTS, &[]).await?;
    let read = |row: &Row| Ok((row.try_get("kind")?, row.try_get("what")?));
    let found: Vec<(String, String)> = rows
        .iter()
        .map(read)
        .collect::<Result<_, tokio_postgres::Error>>()?;
    Ok(rights::judge(&found))
}

async fn standings(
    database: &Database,
    asked: &[&DestinationConfig],
) -> Result<Vec<Check>, DatabaseError> {
    let rows = database.query(DESTINATIONS, &[]).await?;
    let standings: Vec<standing::Standing> = rows
        .iter()
        .map(standing::Standing::read)
        .collect::<Result<_, _>>()?;
    let checks = asked.iter().flat_map(|destination| {
        let own = standings.iter().find(|one| one.name == destination.name);
        standing::judge(destination, own)
    });
    Ok(checks.collect())
}

async fn events(database: &Database, config: &Config) -> Result<Vec<Check>, DatabaseError> {
    let params: [Param<'_>; 1] = [(&LATEST, Type::INT4)];
    let rows = database.query(EVENTS, &params).await?;
    let names: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("event_name"))
        .collect::<Result<_, _>>()?;
    let nowhere = mapping::nowhere(&names, &config.destinations);
    Ok(vec![if nowhere.is_empty() {
        Check::ok(
            "events",
            format!(
                "each kind of the latest {LATEST} events goes somewhere ({})",
                match names.len() {
                    1 => "1 kind".to_owned(),
                    kinds => format!("{kinds} kinds"),
                }
            ),
        )
    } else {
        Check::warn(
            "events",
            format!(
                "among the latest {LATEST} events, no destination takes: {}",
                nowhere.join(", ")
            ),
            "map them at a destination, or set them to false under its events if that is meant",
        )
    }])
}
