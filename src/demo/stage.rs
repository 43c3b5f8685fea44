//! Everything the demo runs on: a private PostgreSQL, the emulators, two workers, and the configuration an operator
//! would write. All on loopback, all gone at the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::config::database::DatabaseConfig;
use crate::config::secret::SecretRef;
use crate::db::connect::Database;
use crate::db::migrate;
use crate::sandbox::folder::Folder;
use crate::sandbox::postgres::{Options as PostgresOptions, Postgres};
use crate::sandbox::{Account, Options as SandboxOptions, Platform, Sandbox, TokenState};
use crate::telemetry::Relation;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::worker::{self, Worker, clock::Clock};

/// The Meta dataset of the demo.
pub const DATASET: &str = "100200300400500";

/// The GA4 stream of the demo.
pub const STREAM: &str = "G-DEMO12345";

const WAITING: &str = include_str!("../../sql/demo/waiting.sql");

/// Two, to show that replicas do not get in one another's way.
const WORKERS: usize = 2;

/// The running demo.
#[derive(Debug)]
pub struct Stage {
    /// The emulators.
    pub sandbox: Sandbox,
    /// The application's database.
    pub database: Database,
    postgres: Postgres,
    folder: Folder,
    workers: JoinSet<Result<(), worker::StartError>>,
    stop: watch::Sender<bool>,
}

impl Stage {
    /// Starts everything.
    pub async fn set() -> anyhow::Result<Stage> {
        let options = PostgresOptions {
            max_connections: 60,
            ..PostgresOptions::default()
        };
        let postgres = tokio::task::spawn_blocking(move || Postgres::start(options)).await??;
        let folder = Folder::make("demo").context("a temporary folder cannot be made")?;
        std::fs::write(folder.path().join("database.url"), postgres.url("postgres"))?;
        let database = Database::open(&DatabaseConfig::new(SecretRef::file(
            folder.path().join("database.url"),
        )))?;
        migrate::up(&database).await?;

        let sandbox = Sandbox::start(SandboxOptions::default()).await?;
        let stage_config = folder.path().join("demo.toml");
        std::fs::write(&stage_config, configuration(folder.path(), &sandbox.url()))?;
        let (stop, stopped) = watch::channel(false);
        let mut stage = Stage {
            sandbox,
            database,
            postgres,
            folder,
            workers: JoinSet::new(),
            stop,
        };
        stage.issue_token("first-token")?;
        std::fs::write(stage.folder.path().join("ga4.secret"), "demo-secret")?;
        for _ in 0..WORKERS {
            let worker = stage.worker(&stage_config)?;
            stage.workers.spawn(worker::run(worker, stopped.clone()));
        }
        Ok(stage)
    }

    fn worker(&self, path: &Path) -> anyhow::Result<Worker> {
        let config = Config::load(path, [])?;
        let names: Vec<&str> = config
            .destinations
            .iter()
            .map(|destination| destination.name.as_str())
            .collect();
        let events = [
            "order_paid",
            "order_refunded",
            "lead_created",
            "lead_qualified",
            "deal_won",
        ];
        Ok(Worker {
            database: Database::open(&config.database)?,
            metrics: Metrics::new(&names, &events),
            health: Health::default(),
            clock: Clock::default(),
            relation: Relation::Link,
            config,
        })
    }

    /// The database as a login may be told to reach it.
    pub fn database_url(&self) -> String {
        self.postgres.url("postgres")
    }

    /// The configuration that the workers run with.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("demo.toml")
    }

    /// Why a worker ended before it was told to.
    pub fn is_over(&mut self) -> Option<anyhow::Error> {
        match self.workers.try_join_next()? {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.into()),
            Err(panic) => Some(panic.into()),
        }
    }

    /// Meta issues a token and the operator puts it into the secret file.
    pub fn issue_token(&self, token: &str) -> anyhow::Result<()> {
        self.sandbox
            .put_account(Platform::Meta, DATASET, Account::with_token(token));
        let fresh = self.folder.path().join("meta.token.new");
        std::fs::write(&fresh, token)?;
        // As Kubernetes does: the file is replaced, not written in place.
        std::fs::rename(&fresh, self.folder.path().join("meta.token"))?;
        Ok(())
    }

    /// Meta lets the token expire.
    pub fn expire_token(&self, token: &str) {
        let mut account = Account::with_token(token);
        account.tokens.insert(token.to_owned(), TokenState::Expired);
        self.sandbox.put_account(Platform::Meta, DATASET, account);
    }

    /// Waits for something that the database will say, at most `patience`.
    pub async fn wait_until(
        &mut self,
        what: &str,
        sql: &str,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let rows = self.database.query(sql, &[]).await?;
            if rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
                return Ok(());
            }
            if let Some(error) = self.is_over() {
                return Err(error.context("a worker ended"));
            }
            if tokio::time::Instant::now() >= deadline {
                anyhow::bail!(
                    "waited {} s in vain: {what}.{}",
                    patience.as_secs(),
                    self.waiting().await?
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What is pending, for an error message.
    async fn waiting(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for row in self.database.query(WAITING, &[]).await? {
            text.push_str(&format!(
                "\n  {} {} {}: {} deliveries, up to {} tries",
                row.try_get::<_, &str>("destination")?,
                row.try_get::<_, &str>("reason")?,
                row.try_get::<_, &str>("event_name")?,
                row.try_get::<_, i64>("deliveries")?,
                row.try_get::<_, i16>("tries")?,
            ));
        }
        Ok(text)
    }

    /// Drains the workers and takes everything down.
    pub async fn strike(mut self) {
        self.stop.send_replace(true);
        while self.workers.join_next().await.is_some() {}
        self.sandbox.shutdown().await;
        drop(tokio::task::spawn_blocking(move || self.postgres.stop()).await);
    }
}

/// What an operator would write, with short delays so that the demo does not take hours.
fn configuration(folder: &Path, sandbox: &str) -> String {
    let folder = folder.display();
    format!(
        r#"# Written by the demo. The sandbox stands in for both platforms.
[database]
url = {{ file = "{folder}/database.url" }}
pool_size = 6

[worker]
backoff_initial_secs = 1
backoff_cap_secs = 2
lease_secs = 20
request_timeout_secs = 5

[identity]
default_calling_code = 1

[[destination]]
name = "meta"
platform = "meta"
dataset_id = "{DATASET}"
access_token = {{ file = "{folder}/meta.token" }}
base_url = "{sandbox}"

[[destination]]
name = "ga4"
platform = "ga4"
measurement_id = "{STREAM}"
api_secret = {{ file = "{folder}/ga4.secret" }}
base_url = "{sandbox}"
"#
    )
}
