//! Connections to the application's database: few, encrypted, and never in its way.
//!
//! Every statement runs in an explicit transaction that first sets its own time limits with `set local`. That is
//! the only way that holds behind PgBouncer in transaction mode: a `set` would stay with, or miss, a server
//! connection shared with others; PgBouncer 1.18 refuses the start-up parameter `options`; and settings of a role
//! are not inherited by the login role that is a member of it. The messages are sent together, so the limits
//! cost no further round trip.
//!
//! The server limits the statement, not the commit, which may wait for a synchronous standby; and a server that hangs limits
//! nothing. So what takes too long is given up here as well, and then nobody knows whether it took effect.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Client, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Transaction,
};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::dial::{Dialer, Dialling, OpenError};
use super::error::{DatabaseError, Trouble};
use crate::config::database::DatabaseConfig;

/// A parameter and its type. The type is named because statements are never prepared: PgBouncer 1.18 in
/// transaction mode loses them.
pub type Param<'p> = (&'p (dyn ToSql + Sync), Type);

/// The application's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
    dialer: Arc<Dialer>,
    /// `begin` and the limits, as one simple query.
    begin: String,
    limits: String,
    /// How long an answer is waited for: longer than the server's own limit, whose answer says more.
    patience: Duration,
}

impl Database {
    /// Reads the connection string and the certificates, and makes the pool. Connects at the first use.
    pub fn open(config: &DatabaseConfig) -> Result<Database, OpenError> {
        // Each statement of ours is done sooner than it would be compiled, whatever the planner believes of a new table.
        let limits = format!(
            "set local statement_timeout = {}; set local lock_timeout = {}; \
             set local idle_in_transaction_session_timeout = {}; set local jit = off",
            config.statement_timeout.as_millis(),
            config.lock_timeout.as_millis(),
            // Everything is sent at once, so a transaction of ours is idle only where the network broke off in the middle.
            // Whoever waits for its locks waits no longer than we would.
            config
                .lock_timeout
                .min(config.statement_timeout)
                .as_millis(),
        );
        let dialer = Arc::new(Dialer::open(config)?);
        Ok(Database {
            pool: pool(config, dialer.clone()),
            dialer,
            begin: format!("begin; {limits}"),
            limits,
            patience: config.statement_timeout + config.connect_timeout,
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
        let exchange = async {
            futures::join!(
                client.batch_execute(&self.begin),
                client.query_typed(sql, params),
                client.batch_execute("commit"),
            )
        };
        let Ok((begun, rows, committed)) = tokio::time::timeout(self.patience, exchange).await
        else {
            self.abandon(client);
            let waited = self.patience.as_secs();
            return Err(DatabaseError::Broken(format!(
                "no answer within {waited} s"
            )));
        };
        match (begun, rows, committed) {
            (Ok(()), Ok(rows), Ok(())) => Ok(rows),
            (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => {
                let error = DatabaseError::from(error);
                if error.trouble() == Trouble::ReadOnly {
                    // Every connection leads to a server that takes no writes: the next ones look for another.
                    drop(Object::take(client));
                    self.pool.retain(|_, _| false);
                }
                Err(error)
            }
        }
    }

    /// Gives up a connection in the middle of a statement. The server is asked to stop, or it would not notice.
    fn abandon(&self, client: Client) {
        let (dialer, token) = (self.dialer.clone(), client.cancel_token());
        drop(Object::take(client));
        tokio::spawn(async move { dialer.cancel(token).await });
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

fn pool(config: &DatabaseConfig, dialer: Arc<Dialer>) -> Pool {
    // Each host may use up its time before the next one is tried.
    let patience = config.connect_timeout * dialer.host_count();
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    // The dialer has its own idea of where to connect, so the manager's stays empty.
    let manager = Manager::from_connect(tokio_postgres::Config::new(), Dialling(dialer), recycling);
    Pool::builder(manager)
        .max_size(config.pool_size as usize)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(patience))
        .create_timeout(Some(patience))
        .build()
        .expect("a pool with time-outs has a runtime")
}
