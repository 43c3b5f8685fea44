//! `privacy erase`: finds a person's events, erases them, and prints the receipt.

use std::collections::HashSet;

use anyhow::Context;
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};

use super::super::{ConfigFile, block_on, output, usage};
use super::people::{Person, Who};
use super::{Common, add, allowed};
use crate::config::Config;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::event::UserData;
use crate::identity::{Hashed, SubjectKind};
use crate::suppression::{self, Scope, SubjectKeys};

const PAGE: &str = include_str!("../../../sql/queries/subject_page.sql");
const EVENTS: &str = include_str!("../../../sql/queries/erase_events.sql");
const ORDERS: &str = include_str!("../../../sql/queries/erase_orders.sql");
const WITHDRAW: &str = include_str!("../../../sql/queries/withdraw_person.sql");

/// Events of one page; and how often progress is told.
const PAGE_SIZE: i32 = 5000;
const TELL_EVERY: i64 = 100_000;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Erase all events of this order, lead or deal; may be given several times.
    #[arg(long, value_name = "ID", conflicts_with = "kind")]
    business_id: Vec<String>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    let database = file.database(&args.common.database)?;
    if !args.business_id.is_empty() {
        let receipt = block_on(receipt(
            &database,
            ORDERS,
            &args.business_id,
            Type::TEXT_ARRAY,
            &args.common.reason,
        ))?;
        return output::print_json(&receipt);
    }
    if !args.who.is_given() {
        return Err(usage(
            "name whom to erase: --business-id ID, or --email, --phone or --external-id with the value on standard input",
        ));
    }
    let config = file.load()?;
    let people = args.who.read(config.identity.default_calling_code)?;
    let keys = SubjectKeys::load(&config.privacy)?;
    if keys.is_none() {
        eprintln!(
            "note: no subject_key under [privacy], so nobody is put on the suppression list; later events are told about again"
        );
    }
    let receipt = block_on(erase(
        &database,
        &config,
        keys.as_ref(),
        &people,
        &args.common.reason,
    ))?;
    output::print_json(&receipt)
}

/// The list first: whatever is written while the table is read is not told about.
async fn erase(
    database: &Database,
    config: &Config,
    keys: Option<&SubjectKeys>,
    people: &[Person],
    reason: &str,
) -> anyhow::Result<Value> {
    if let Some(keys) = keys {
        add(database, keys, people, Scope::All, reason).await?;
    }
    for person in people
        .iter()
        .filter(|one| one.kind == SubjectKind::ExternalId)
    {
        let params: [(&(dyn ToSql + Sync), Type); 1] = [(&person.raw, Type::TEXT)];
        allowed(database.query(WITHDRAW, &params).await)?;
    }
    let events = find(database, config, people).await?;
    receipt(database, EVENTS, &events, Type::INT8_ARRAY, reason).await
}

/// Reads every event, a page at a time, and compares in every form.
async fn find(database: &Database, config: &Config, people: &[Person]) -> anyhow::Result<Vec<i64>> {
    let wanted: HashSet<(SubjectKind, Hashed)> = people
        .iter()
        .flat_map(|person| person.forms.iter().map(|form| (person.kind, *form)))
        .collect();
    let calling_code = config.identity.default_calling_code;
    let (mut above, mut read, mut found) = (0_i64, 0_i64, Vec::new());
    loop {
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&above, Type::INT8), (&PAGE_SIZE, Type::INT4)];
        let rows = allowed(database.query(PAGE, &params).await)?;
        for row in &rows {
            above = row.try_get("event_no").map_err(DatabaseError::from)?;
            let user_data: Value = row.try_get("user_data").map_err(DatabaseError::from)?;
            if names(&user_data, calling_code).any(|name| wanted.contains(&name)) {
                found.push(above);
            }
        }
        let before = read;
        read += i64::try_from(rows.len()).unwrap_or(0);
        if read / TELL_EVERY > before / TELL_EVERY {
            eprintln!("{read} events read, {} of them found", found.len());
        }
        if rows.is_empty() {
            return Ok(found);
        }
    }
}

/// Everybody a row names, in every form.
fn names(
    user_data: &Value,
    calling_code: Option<u16>,
) -> impl Iterator<Item = (SubjectKind, Hashed)> {
    suppression::forms_of(&UserData::parse(user_data), calling_code).into_iter()
}

async fn receipt<T: ToSql + Sync>(
    database: &Database,
    sql: &str,
    what: &T,
    of: Type,
    reason: &str,
) -> anyhow::Result<Value> {
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(what, of), (&reason, Type::TEXT)];
    let rows = allowed(database.query(sql, &params).await)?;
    let row = rows.first().context("the database gave no answer")?;
    Ok(row.try_get("receipt").map_err(DatabaseError::from)?)
}
