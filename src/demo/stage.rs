//! Everything the demo runs on: a private PostgreSQL, the emulators, two workers, and the configuration an operator
//! would write. All on loopback, all gone at the end.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::configuration::{configuration, token_url};
use super::outlets::DATASET;
use super::worlds;
use crate::admin;
use crate::config::Config;
use crate::config::admin::AdminConfig;
use crate::config::database::DatabaseConfig;
use crate::config::reconcile::ReconcileConfig;
use crate::config::secret::SecretRef;
use crate::db::connect::Database;
use crate::db::migrate;
use crate::reconcile::keep::{self, Turn};
use crate::sandbox::folder::Folder;
use crate::sandbox::google::sandbox_key_file;
use crate::sandbox::postgres::{Options as PostgresOptions, Postgres};
use crate::sandbox::{Account, Ledger, Options as SandboxOptions, Platform, Sandbox, TokenState};
use crate::send::Sender;
use crate::serve;
use crate::telemetry::Relation;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::worker::{self, Worker, clock::Clock};

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
    pages: SocketAddr,
    serving: JoinHandle<std::io::Result<()>>,
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
        sandbox
            .google(|world| world.set_up(worlds::google(Utc::now())))
            .and_then(|()| sandbox.linkedin(|world| world.set_up(worlds::linkedin())))
            .map_err(anyhow::Error::msg)?;
        let stage_config = folder.path().join("demo.toml");
        std::fs::write(&stage_config, configuration(folder.path(), &sandbox.url()))?;
        let (stop, stopped) = watch::channel(false);
        let (pages, serving) = open_pages(&stage_config, stopped.clone()).await?;
        let mut stage = Stage {
            sandbox,
            database,
            postgres,
            folder,
            workers: JoinSet::new(),
            stop,
            pages,
            serving,
        };
        stage.issue_token("first-token")?;
        let key = sandbox_key_file(&token_url(
            &stage.sandbox.url(),
            Platform::GoogleDataManager,
        ));
        let [_, client_secret, refresh_token] = worlds::ADS_CLIENT;
        for (name, secret) in [
            ("ga4.secret", "demo-secret"),
            ("google.json", &key),
            ("google-ads.secret", client_secret),
            ("google-ads.refresh", refresh_token),
            ("linkedin.token", worlds::LINKEDIN_TOKEN),
        ] {
            std::fs::write(stage.folder.path().join(name), secret)?;
        }
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

    /// Where the worker's pages are.
    pub fn pages(&self) -> String {
        format!("http://{}/", self.pages)
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

    /// People have clicked on advertisements at Google.
    pub fn publish_clicks(&self, ids: BTreeSet<String>) -> anyhow::Result<()> {
        let clicks = worlds::clicks(ids, Utc::now());
        self.sandbox
            .google(|world| world.set_up(clicks))
            .map_err(anyhow::Error::msg)
    }

    /// Google takes every access token back.
    pub fn take_google_tokens_back(&self) {
        self.sandbox.google(|world| world.revoke_access_tokens());
    }

    /// How often one of Google's token endpoints gave a token.
    pub fn tokens_given(&self, platform: Platform) -> u64 {
        self.sandbox.read(|ledger| given(ledger, platform))
    }

    /// Waits until it has given more than so many.
    pub async fn wait_for_token(
        &self,
        platform: Platform,
        before: u64,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let given = self
            .sandbox
            .wait_for(|ledger| given(ledger, platform) > before);
        tokio::time::timeout(patience, given)
            .await
            .with_context(|| format!("no worker fetched a new token for {platform}"))
    }

    /// Somebody turns a conversion rule at LinkedIn on or off.
    pub fn set_rule(&self, id: &str, enabled: bool) {
        self.sandbox
            .linkedin(|world| world.add_rule(worlds::rule(id, enabled)));
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
            if self.is_so(sql).await? {
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

    /// What the database says to a question of yes or no.
    pub async fn is_so(&self, sql: &str) -> anyhow::Result<bool> {
        let rows = self.database.query(sql, &[]).await?;
        Ok(rows.first().is_some_and(|row| row.get::<_, bool>(0)))
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

    /// Compares the outbox with the shop's own tables, as a worker does every hour.
    pub async fn reconcile(&self) -> anyhow::Result<()> {
        let config = Config::load(&self.config_path(), [])?;
        let sender = Sender::new()?;
        for entry in &config.reconcile {
            // A worker may have compared at the start of the day, when there was nothing yet.
            let again = ReconcileConfig {
                every: Duration::ZERO,
                ..entry.clone()
            };
            if let Turn::Failed(error) =
                keep::turn(&again, &config, &self.database, &sender, Utc::now()).await?
            {
                return Err(error).context("the outbox could not be compared with the shop");
            }
        }
        Ok(())
    }

    /// Drains the workers and takes everything down.
    pub async fn strike(mut self) {
        self.stop.send_replace(true);
        while self.workers.join_next().await.is_some() {}
        drop(self.serving.await);
        self.sandbox.shutdown().await;
        drop(tokio::task::spawn_blocking(move || self.postgres.stop()).await);
    }
}

/// Serves the pages on a port of their own, as a worker's admin listener does, until told to stop.
async fn open_pages(
    path: &Path,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<(SocketAddr, JoinHandle<std::io::Result<()>>)> {
    let config = Config::load(path, [])?;
    let names: Vec<&str> = config
        .destinations
        .iter()
        .map(|destination| destination.name.as_str())
        .collect();
    let metrics = Metrics::new(&names, &[]);
    let router = admin::router(&AdminConfig::default(), &config, &metrics, Clock::default())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(serve::serve(listener, router, async move {
        drop(stopped.wait_for(|&stop| stop).await);
    }));
    Ok((address, serving))
}

fn given(ledger: &Ledger, platform: Platform) -> u64 {
    let statuses = ledger.call(platform, "/token").statuses;
    statuses.get(&200).copied().unwrap_or(0)
}
