//! Whether what a person names is there at all; if not, what may have been meant. Whoever mistypes a name must not take
//! "nothing there" for an answer.

use thiserror::Error;
use tokio_postgres::types::Type;

use crate::config::destination::DestinationConfig;
use crate::config::read::nearest;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const NAMES: &str = include_str!("../../sql/queries/destination_names.sql");
const UNKNOWN_EVENTS: &str = include_str!("../../sql/queries/unknown_events.sql");

/// What is named and is not there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unknown {
    /// No worker has registered a destination of this name.
    #[error(
        "no worker has registered this destination{}. Fix: `conversion-outbox destinations list` shows them",
        meant(.near)
    )]
    Destination {
        /// The name that may have been meant.
        near: Vec<String>,
    },
    /// The configuration has no destination of this name, so nobody knows its rules.
    #[error(
        "this configuration has no such destination, so its rules are not known{}. Fix: take the configuration that its worker has",
        meant(.near)
    )]
    NotConfigured {
        /// The name that may have been meant.
        near: Vec<String>,
    },
    /// The destination sends for no such conversion action or rule.
    #[error(
        "the destination has no conversion action or rule of this id{}. Fix: {}",
        meant(.near),
        rules_told(.known)
    )]
    Rule {
        /// The id that may have been meant.
        near: Vec<String>,
        /// Those that it has.
        known: Vec<String>,
    },
    /// There are no such events.
    #[error(
        "there is no event of the id {first}{}{}. Fix: `conversion-outbox events list --business-id ID` shows those of an order or lead",
        others(.count),
        meant(.near)
    )]
    Events {
        /// The first id of none.
        first: String,
        /// How many ids are of none.
        count: usize,
        /// Ids of events that may have been meant by the first.
        near: Vec<String>,
    },
}

/// Why nothing was done with a name.
#[derive(Debug, Error)]
pub enum KnownError {
    /// It is not there.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// Nobody could look, or do what was asked for.
    #[error("the database did not do it")]
    Database(#[from] DatabaseError),
}

/// The names of all destinations that some worker has registered.
pub async fn destinations(database: &Database) -> Result<Vec<String>, DatabaseError> {
    let rows = database.query(NAMES, &[]).await?;
    let names: Result<_, tokio_postgres::Error> =
        rows.iter().map(|row| row.try_get("name")).collect();
    Ok(names?)
}

/// That some worker has registered this destination.
pub async fn destination(database: &Database, name: &str) -> Result<(), KnownError> {
    let names = destinations(database).await?;
    if names.iter().any(|one| one == name) {
        return Ok(());
    }
    let near = close_to(name, &names);
    Err(Unknown::Destination { near }.into())
}

/// That there is an event of each of these ids.
pub async fn events(database: &Database, ids: &[String]) -> Result<(), KnownError> {
    let rows = database
        .query(UNKNOWN_EVENTS, &[(&ids, Type::TEXT_ARRAY)])
        .await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let first: String = row.try_get("event_id").map_err(DatabaseError::from)?;
    let mut near: Vec<String> = row.try_get("of_business").map_err(DatabaseError::from)?;
    let neighbours: Vec<String> = row.try_get("neighbours").map_err(DatabaseError::from)?;
    near.extend(close_to(&first, &neighbours));
    let count = rows.len();
    Err(Unknown::Events { first, count, near }.into())
}

/// That events are sent to this destination for a conversion action or rule of this id.
pub fn rule(destinations: &[DestinationConfig], name: &str, rule: &str) -> Result<(), Unknown> {
    let Some(destination) = destinations.iter().find(|one| one.name == name) else {
        let names: Vec<String> = destinations.iter().map(|one| one.name.clone()).collect();
        let near = close_to(name, &names);
        return Err(Unknown::NotConfigured { near });
    };
    let known = rules_of(destination);
    if known.iter().any(|one| one == rule) {
        return Ok(());
    }
    let near = close_to(rule, &known);
    Err(Unknown::Rule { near, known })
}

/// The conversion actions or rules that events are sent for; none where the platform has no such thing.
pub fn rules_of(destination: &DestinationConfig) -> Vec<String> {
    let Some(actions) = destination.settings.actions() else {
        return Vec::new();
    };
    let events = actions.keys().chain(destination.events.keys());
    let mut rules: Vec<String> = events
        .filter_map(|event| destination.name_of(event))
        .map(str::to_owned)
        .collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

fn close_to(word: &str, known: &[String]) -> Vec<String> {
    nearest(word, known.iter().map(String::as_str))
        .map(str::to_owned)
        .into_iter()
        .collect()
}

fn meant(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!(": did you mean {}?", near.join(" or ")),
    }
}

fn others(count: &usize) -> String {
    match count.saturating_sub(1) {
        0 => String::new(),
        more => format!(", nor of {more} more that were given"),
    }
}

fn rules_told(known: &[String]) -> String {
    match known {
        [] => "its platform has none that could be paused by themselves; leave the rule out"
            .to_owned(),
        known => format!("it has {}", known.join(", ")),
    }
}
