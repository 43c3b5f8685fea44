//! Connections to the application's database: few, encrypted, and never in its way.
//!
//! Every statement runs in an explicit transaction that first sets its own time limits with `set local`. That is
//! the only way that holds behind PgBouncer in transaction mode: a `set` would stay with, or miss, a server
//! connection shared with others; PgBouncer 1.18 refuses the start-up parameter `options`; and settings of a role
//! are not inherited by the login role that is a member of it. The messages are sent together, so the limits
//! cost no further round trip.

use deadpool_postgres::{
    Client, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Transaction,
};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::dial::{Dialer, OpenError};
use super::error::DatabaseError;
use crate::config::database::DatabaseConfig;

/// A parameter and its type. The type is named because statements are never prepared: PgBouncer 1.18 in
/// transaction mode loses them.
pub type Param<'p> = (&'p (dyn ToSql + Sync), Type);

/// The application's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
    /// `begin` and the limits, as one simple query.
    begin: String,
    limits: String,
}

impl Database {
    /// Reads the connection string and the certificates, and makes the pool. Connects at the first use.
    pub fn open(config: &DatabaseConfig) -> Result<Database, OpenError> {
        let limits = format!(
            "set local statement_timeout = {}; set local lock_timeout = {}; \
             set local idle_in_transaction_session_timeout = {}",
            config.statement_timeout.as_millis(),
            config.lock_timeout.as_millis(),
            // A transaction of ours is idle only while this process is: the same bound fits.
            config.statement_timeout.as_millis(),
        );
        Ok(Database {
            pool: pool(config)?,
            begin: format!("begin; {limits}"),
            limits,
        })
    }

    /// A connection of the pool, for what needs several statements. Waits for one for the connect time-out of each host.
    pub async fn client(&self) -> Result<Client, DatabaseError> {
        Ok(self.pool.get().await?)
    }

    /// The pool itself, for its numbers.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Runs one statement in a transaction of its own under the limits, in one round trip, and gives its rows.
    pub async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DatabaseError> {
        let client = self.client().await?;
        // Sent in this order without waiting in between. After a failure `commit` rolls back; the first error counts.
        let (begun, rows, committed) = futures::join!(
            client.batch_execute(&self.begin),
            client.query_typed(sql, params),
            client.batch_execute("commit"),
        );
        begun?;
        let rows = rows?;
        committed?;
        Ok(rows)
    }

    /// Starts a transaction under the limits, for what needs several statements. Dropping it rolls back.
    pub async fn begin<'c>(
        &self,
        client: &'c mut Client,
    ) -> Result<Transaction<'c>, DatabaseError> {
        let transaction = client.transaction().await?;
        transaction.batch_execute(&self.limits).await?;
        Ok(transaction)
    }
}

fn pool(config: &DatabaseConfig) -> Result<Pool, OpenError> {
    let dialer = Dialer::open(config)?;
    // Each host may use up its time before the next one is tried.
    let patience = config.connect_timeout * dialer.host_count();
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    // The dialer has its own idea of where to connect, so the manager's stays empty.
    let manager = Manager::from_connect(tokio_postgres::Config::new(), dialer, recycling);
    Ok(Pool::builder(manager)
        .max_size(config.pool_size as usize)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(patience))
        .create_timeout(Some(patience))
        .build()
        .expect("a pool with time-outs has a runtime"))
}
