//! Adds what is new to the tallies, from which pages, reports and scrapes are answered.
//!
//! The tallies are kept by triggers (`sql/migrations/0013_tallies.sql`): each transaction adds rows of its own, and the views add
//! everything up, so figures are exact whether anybody folds or not. Folding keeps them cheap. Not for when to do it.

use tokio_postgres::types::{ToSql, Type};

use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const FOLD: &str = include_str!("../sql/queries/fold_tallies.sql");

/// Rows of each kind of news that one statement folds at most: some milliseconds of work.
pub const BATCH: i32 = 5000;

/// Folds one batch; returns whether there may be more to do at once. Does nothing while another session folds.
pub async fn fold(database: &Database) -> Result<bool, DatabaseError> {
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&BATCH, Type::INT4)];
    let rows = database.query(FOLD, &params).await?;
    let folded: i64 = rows.first().map_or(Ok(0), |row| row.try_get("folded"))?;
    Ok(folded >= i64::from(BATCH))
}
