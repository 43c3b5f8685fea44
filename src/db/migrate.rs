//! Migrations.

use super::connect::Database;
use super::error::DatabaseError;

const FILES: [&str; 7] = [
    include_str!("../../sql/migrations/0001_roles.sql"),
    include_str!("../../sql/migrations/0002_event.sql"),
    include_str!("../../sql/migrations/0003_delivery.sql"),
    include_str!("../../sql/migrations/0004_insert.sql"),
    include_str!("../../sql/migrations/0005_functions.sql"),
    include_str!("../../sql/migrations/0006_state.sql"),
    include_str!("../../sql/migrations/0007_grants.sql"),
];

/// Applies all.
pub async fn up(database: &Database) -> Result<(), DatabaseError> {
    let client = database.client().await?;
    for file in FILES {
        client
            .batch_execute(&format!("begin;{file};commit"))
            .await?;
    }
    Ok(())
}
