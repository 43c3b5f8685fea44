//! Whether the listener for people can open, and shows and does what they expect of it: its token, and its login. Nothing is
//! told of a listener that nobody configured: it shows what the worker's login may see, and does nothing.

use super::{Blame, Check};
use crate::config::Config;
use crate::config::admin::AdminConfig;
use crate::config::database::DatabaseConfig;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const LOGIN: &str = include_str!("../../sql/queries/doctor_admin.sql");

const NAME: &str = "admin";

/// The token, and with `ask_database` the login too.
pub(super) async fn examine(config: &Config, ask_database: bool) -> Vec<Check> {
    let Some(admin) = config.admin.as_ref().filter(|admin| !admin.is_default) else {
        return Vec::new();
    };
    let mut checks = vec![token(admin)];
    if let (Some(url), true) = (&admin.database_url, ask_database) {
        let own = DatabaseConfig {
            url: url.clone(),
            ..config.database.clone()
        };
        checks.push(match Database::open(&own) {
            Ok(database) => login(&database).await,
            Err(error) => Check::error(NAME, &format!("admin.database_url: {error}"))
                .blame(Blame::Configuration),
        });
    }
    checks
}

/// Without a good one a worker does not start.
fn token(admin: &AdminConfig) -> Check {
    match admin.check_token() {
        Ok(true) => Check::ok(NAME, "the token can be read: whoever has it may log in"),
        Ok(false) => Check::ok(
            NAME,
            "there is no token: pages for this machine only, and nobody may change anything",
        ),
        Err(error) => Check::error(NAME, &error.to_string()).blame(Blame::Configuration),
    }
}

async fn login(database: &Database) -> Check {
    match rights(database).await {
        Ok((login, may_look, may_act)) => judge(&login, may_look, may_act),
        Err(error) => {
            Check::error(NAME, &format!("admin.database_url: {error}")).blame(match error {
                DatabaseError::Refused(_) => Blame::Finding,
                DatabaseError::Unreachable(_) | DatabaseError::Broken(_) => Blame::Unavailable,
            })
        }
    }
}

async fn rights(database: &Database) -> Result<(String, bool, bool), DatabaseError> {
    let rows = database.query(LOGIN, &[]).await?;
    let row = rows.first().expect("a sum has a row");
    Ok((
        row.try_get("login")?,
        row.try_get("may_look")?,
        row.try_get("may_act")?,
    ))
}

fn judge(login: &str, may_look: bool, may_act: bool) -> Check {
    let fix = "grant conversion_outbox_operator to the login of admin.database_url";
    match (may_look, may_act) {
        (_, true) => Check::ok(
            NAME,
            format!(
                "the pages' login \"{login}\" may show everything, and do what an operator does"
            ),
        ),
        (true, false) => Check::warn(
            NAME,
            format!(
                "the pages' login \"{login}\" may show no single event, nor do what an operator does"
            ),
            fix,
        ),
        (false, false) => Check::fail(
            NAME,
            format!("the pages' login \"{login}\" may see nothing"),
            fix,
        ),
    }
}
