//! How one connection is made: from the connection string as it reads now, so that a replaced password is used
//! by the next connection without a restart.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{ConfigConnectImpl, Connect};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_postgres::{CancelToken, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::hosts;
use super::tls::{self, TlsError};
use crate::config::connection::{Connection, ConnectionError};
use crate::config::database::DatabaseConfig;
use crate::config::secret::{CredentialSource, Secret, SecretError};

/// Seen in `pg_stat_activity`.
const APPLICATION_NAME: &str = "conversion-outbox";

/// A silent connection is probed after this long, for firewalls forget it sooner than the two hours of the default.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// Pause between probes; after [`KEEPALIVE_RETRIES`] without an answer the connection is given up.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// A connection whose bytes are not acknowledged for this long is given up. Without it a failed-over
/// server is noticed only after a quarter of an hour.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);

/// Why the configured database cannot be used. Nothing has been connected yet.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The connection string cannot be read.
    #[error("database.url: {0}")]
    Secret(#[from] SecretError),
    /// The connection string is wrong.
    #[error("database.url: {0}")]
    Connection(#[from] ConnectionError),
    /// Certificates are wrong.
    #[error("{0}")]
    Tls(#[from] TlsError),
}

/// Makes the connections of a pool.
pub(super) struct Dialer {
    config: DatabaseConfig,
    known: Mutex<Known>,
}

/// The connection string as last read, and what it means.
struct Known {
    url: CredentialSource,
    target: Target,
}

#[derive(Clone)]
struct Target {
    postgres: tokio_postgres::Config,
    tls: MakeRustlsConnect,
}

impl Dialer {
    /// Reads the connection string and the certificates for the first time.
    pub(super) fn open(config: &DatabaseConfig) -> Result<Dialer, OpenError> {
        let url = CredentialSource::open(config.url.clone())?;
        let target = Target::new(url.current(), config)?;
        Ok(Dialer {
            config: config.clone(),
            known: Mutex::new(Known { url, target }),
        })
    }

    /// How many hosts are tried one after another, 1 at least.
    pub(super) fn host_count(&self) -> u32 {
        let count = hosts::count(&self.target().postgres);
        u32::try_from(count).unwrap_or(1).max(1)
    }

    /// Asks the server to stop what a connection is about. Best effort: nobody hears whether it helped.
    pub(super) async fn cancel(&self, token: CancelToken) {
        let asking = token.cancel_query(self.target().tls);
        drop(tokio::time::timeout(self.config.connect_timeout, asking).await);
    }

    /// One server after another until one is as the connection string wants it, each for its time.
    async fn connect_one_by_one(&self) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let Target { postgres, tls } = self.target();
        let mut failed = None;
        for server in hosts::one_by_one(&postgres) {
            let connecting = ConfigConnectImpl { tls: tls.clone() };
            let connecting = connecting.connect(&server);
            match tokio::time::timeout(self.config.connect_timeout, connecting).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(error)) => failed = Some(error),
                // Silent: the next one may answer.
                Err(_) => {}
            }
        }
        match failed {
            Some(error) => Err(error),
            // All were silent. The pool's own time for a connection ends just now, and says so.
            None => std::future::pending().await,
        }
    }

    /// Where to connect now. A string that can no longer be read or understood leaves the former one in use.
    fn target(&self) -> Target {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = match known.url.reload() {
            Ok(false) => return known.target.clone(),
            Ok(true) => Target::new(known.url.current(), &self.config),
            Err(error) => Err(error.into()),
        };
        match fresh {
            Ok(target) => known.target = target,
            Err(error) => tracing::warn!(%error, "the former database.url stays in use"),
        }
        known.target.clone()
    }
}

type Connecting<'d> = Pin<
    Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + 'd>,
>;

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

/// The pool's share of the dialer that it has in common with whoever cancels.
pub(super) struct Dialling(pub(super) Arc<Dialer>);

impl Connect for Dialling {
    fn connect(&self, _pool_wide: &tokio_postgres::Config) -> Connecting<'_> {
        Box::pin(self.0.connect_one_by_one())
    }
}

impl Target {
    fn new(url: &Secret, config: &DatabaseConfig) -> Result<Target, OpenError> {
        let mut connection = Connection::parse(url.expose(), config.is_insecure)?;
        let tls = tls::connector(&connection)?;
        complete(&mut connection.postgres, config.connect_timeout);
        Ok(Target {
            postgres: connection.postgres,
            tls,
        })
    }
}

/// What the connection string leaves open.
fn complete(postgres: &mut tokio_postgres::Config, connect_timeout: Duration) {
    if postgres.get_application_name().is_none() {
        postgres.application_name(APPLICATION_NAME);
    }
    if postgres.get_connect_timeout().is_none() {
        postgres.connect_timeout(connect_timeout);
    }
    if postgres.get_tcp_user_timeout().is_none() {
        postgres.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if postgres.get_keepalives_idle() == tokio_postgres::Config::new().get_keepalives_idle() {
        postgres.keepalives_idle(KEEPALIVE_IDLE);
    }
    if postgres.get_keepalives_interval().is_none() {
        postgres.keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if postgres.get_keepalives_retries().is_none() {
        postgres.keepalives_retries(KEEPALIVE_RETRIES);
    }
}
