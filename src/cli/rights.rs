//! What to tell somebody whose login may not do what was asked. The roles are those of `sql/migrations/0001_roles.sql`.

use anyhow::anyhow;

use crate::db::error::DatabaseError;
use crate::db::migrate::SchemaError;

/// Looks, and sees nothing of a person.
pub(super) const READER: &str = "conversion_outbox_reader";
/// Looks into one event, and changes what is done with deliveries and destinations.
pub(super) const OPERATOR: &str = "conversion_outbox_operator";
/// Reads events as they are, to send them.
pub(super) const WORKER: &str = "conversion_outbox_worker";
/// Removes people's data, and proves consent.
pub(super) const PRIVACY: &str = "conversion_outbox_privacy";

/// SQLSTATE `insufficient_privilege`: PostgreSQL's manual, appendix A.
const NOT_ALLOWED: &str = "42501";

/// The result; where the login lacks the rights, which role is enough.
pub(super) fn needs<T>(
    role: &str,
    result: Result<T, impl Into<anyhow::Error>>,
) -> anyhow::Result<T> {
    result.map_err(Into::into).map_err(|error: anyhow::Error| {
        match error.chain().find_map(database) {
            Some(refused) if refused.code() == Some(NOT_ALLOWED) => anyhow!(
                "this login may not do that. Fix: grant it {role}, or take another login with --database-url-env"
            ),
            _ => error,
        }
    })
}

/// The database's answer behind a cause. One that is shown as its own source's text is not in the chain by itself.
fn database<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a DatabaseError> {
    match cause.downcast_ref() {
        Some(SchemaError::Database(database)) => Some(database),
        _ => cause.downcast_ref(),
    }
}
