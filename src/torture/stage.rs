//! What the run stands on: a private PostgreSQL, the emulators, and worker processes, each behind a wire of its own that can
//! be cut. All on loopback, all gone at the end, also after a panic.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::NoTls;
use tokio_postgres::types::{ToSql, Type};

use super::Options;
use super::history::History;
use super::proxy::Proxy;
use super::shop::{self, CAREFUL_DATASET};
use crate::config::database::DatabaseConfig;
use crate::config::secret::SecretRef;
use crate::db::connect::Database;
use crate::db::migrate;
use crate::demo::outlets::{AD_ACCOUNT, CUSTOMER, DATASET, OLD_CUSTOMER, Outlet, STREAM};
use crate::demo::people::Person;
use crate::demo::worlds;
use crate::sandbox::folder::Folder;
use crate::sandbox::google::sandbox_key_file;
use crate::sandbox::postgres::{Durability, Options as PostgresOptions, Postgres};
use crate::sandbox::{Account, Options as SandboxOptions, Platform, Sandbox};

const SCHEMA: &str = include_str!("../../sql/torture/schema.sql");
const OPEN: &str = include_str!("../../sql/torture/open.sql");
const LINGERING: &str = include_str!("../../sql/torture/lingering.sql");

/// The workers' lease, in seconds: the shortest that the slowest request allows.
pub(super) const LEASE_SECS: u64 = 12;

/// How long a transaction of a worker may be open: its statements are limited, and so are its pauses.
const TRANSACTION_MAX_SECS: f64 = 15.0;

/// People whose clicks Google knows of: more than a run has stories.
const PEOPLE: u64 = 20_000;

/// How the workers are called in the database.
const APPLICATION_NAME: &str = "conversion-outbox";

/// Everything.
pub(super) struct Stage {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) postgres: Arc<Postgres>,
    /// Straight to the database, as its superuser.
    pub(super) database: Database,
    pub(super) workers: Vec<Worker>,
    pub(super) seed: u64,
    /// What the stories' times count from.
    pub(super) start: DateTime<Utc>,
    folder: Folder,
}

/// One worker process.
pub(super) struct Worker {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// When it was started last.
    started_at: Option<Instant>,
    /// When the database was last taken from it.
    cut_off_at: Option<Instant>,
    pub(super) wire: Proxy,
}

impl Stage {
    /// Sets everything up and starts the workers.
    pub(super) async fn set(options: &Options, history: &History) -> anyhow::Result<Stage> {
        let settings = PostgresOptions {
            durability: Durability::Real,
            max_connections: 100,
            ..PostgresOptions::default()
        };
        let postgres = tokio::task::spawn_blocking(move || Postgres::start(settings)).await??;
        let folder = Folder::make("torture").context("a temporary folder cannot be made")?;
        let url = folder.path().join("owner.url");
        std::fs::write(&url, postgres.url("postgres"))?;
        let database = Database::open(&DatabaseConfig::new(SecretRef::file(url)))?;
        migrate::up(&database).await?;
        let (client, connection) =
            tokio_postgres::connect(&postgres.url("postgres"), NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(SCHEMA).await?;
        client
            .batch_execute(
                "create role torture_app login in role conversion_outbox_app, conversion_outbox_privacy;
                 create role torture_worker login in role conversion_outbox_worker;
                 grant usage on schema torture to torture_app;
                 grant select, insert on all tables in schema torture to torture_app",
            )
            .await?;
        let start = Utc::now();
        let sandbox = Arc::new(Sandbox::start(SandboxOptions::default()).await?);
        let clicks =
            (0..PEOPLE).filter_map(|number| Person::new(options.seed, number).google_click());
        sandbox
            .google(|world| world.set_up(worlds::google(start)))
            .and_then(|()| {
                sandbox.google(|world| world.set_up(worlds::clicks(clicks.collect(), start)))
            })
            .and_then(|()| sandbox.linkedin(|world| world.set_up(worlds::linkedin())))
            .map_err(anyhow::Error::msg)?;
        let mut stage = Stage {
            sandbox,
            postgres: Arc::new(postgres),
            database,
            workers: Vec::new(),
            seed: options.seed,
            start,
            folder,
        };
        stage.issue_token("torture-token-0")?;
        let key = sandbox_key_file(&format!(
            "{}/{}/token",
            stage.sandbox.url(),
            Platform::GoogleDataManager
        ));
        let [_, client_secret, refresh_token] = worlds::ADS_CLIENT;
        for (name, secret) in [
            ("ga4.secret", "torture-secret"),
            ("google.json", &key),
            ("google-ads.secret", client_secret),
            ("google-ads.refresh", refresh_token),
            ("linkedin.token", worlds::LINKEDIN_TOKEN),
        ] {
            std::fs::write(stage.folder.path().join(name), secret)?;
        }
        for number in 0..options.workers {
            let worker = stage.hire(number, &options.program).await?;
            stage.workers.push(worker);
        }
        history
            .noted()
            .clock_steps
            .push((start, chrono::TimeDelta::zero()));
        Ok(stage)
    }

    async fn hire(&self, number: usize, program: &Path) -> anyhow::Result<Worker> {
        let wire = Proxy::start(([127, 0, 0, 1], self.postgres.port()).into()).await?;
        let folder = self.folder.path();
        let url = format!(
            "postgresql://torture_worker@127.0.0.1:{}/postgres",
            wire.port()
        );
        std::fs::write(folder.join(format!("worker-{number}.url")), url)?;
        let config = folder.join(format!("worker-{number}.toml"));
        std::fs::write(
            &config,
            configuration(folder, &self.sandbox.url(), number, free_port()?),
        )?;
        let mut worker = Worker {
            program: program.to_owned(),
            config,
            log: folder.join(format!("worker-{number}.log")),
            child: None,
            started_at: None,
            cut_off_at: None,
            wire,
        };
        worker.start()?;
        Ok(worker)
    }

    /// The address for the application.
    pub(super) fn application_url(&self) -> String {
        self.postgres
            .url("postgres")
            .replace("//postgres@", "//torture_app@")
    }

    /// Meta issues a token, and somebody puts it into the secret file.
    pub(super) fn issue_token(&self, token: &str) -> anyhow::Result<()> {
        for dataset in [DATASET, CAREFUL_DATASET] {
            self.sandbox
                .put_account(Platform::Meta, dataset, Account::with_token(token));
        }
        replace(&self.token_file(), token)
    }

    /// Where Meta's token stands.
    pub(super) fn token_file(&self) -> PathBuf {
        self.folder.path().join("meta.token")
    }

    /// Looks for transactions of workers that stay open, until it is aborted.
    pub(super) fn watch(&self, history: &Arc<History>) -> JoinHandle<()> {
        let (database, history) = (self.database.clone(), history.clone());
        tokio::spawn(async move {
            loop {
                let params: [(&(dyn ToSql + Sync), Type); 2] = [
                    (&APPLICATION_NAME, Type::TEXT),
                    (&TRANSACTION_MAX_SECS, Type::FLOAT8),
                ];
                for row in database.query(LINGERING, &params).await.unwrap_or_default() {
                    let (state, seconds): (Option<String>, f64) =
                        (row.get("state"), row.get("seconds"));
                    let told = format!("{} for {seconds:.1} s", state.unwrap_or_default());
                    history.noted().lingering.push(told);
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })
    }

    /// Waits until everything is final. If nothing changes for as long as `patience`, says what is left.
    pub(super) async fn settle_down(
        &mut self,
        patience: Duration,
    ) -> anyhow::Result<Option<String>> {
        let mut last = String::new();
        let mut changed_at = Instant::now();
        loop {
            let rows = self.database.query(OPEN, &[]).await?;
            let row = rows.first().context("the statement always has a row")?;
            let (open, progress): (i64, String) = (row.get("open"), row.get("progress"));
            if open == 0 {
                return Ok(None);
            }
            let now = format!("{open} {progress}");
            if now != last {
                last = now;
                changed_at = Instant::now();
            } else if changed_at.elapsed() > patience {
                return Ok(Some(format!(
                    "{open} are not final, and nothing changes any more"
                )));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the workers wrote.
    pub(super) fn logs(&self) -> anyhow::Result<Vec<String>> {
        let read = |worker: &Worker| {
            std::fs::read_to_string(&worker.log).context("a worker's log cannot be read")
        };
        self.workers.iter().map(read).collect()
    }

    /// Takes everything down.
    pub(super) async fn strike(&mut self) {
        for worker in &mut self.workers {
            worker.kill().await;
        }
    }
}

impl Worker {
    /// Starts it.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let child = Command::new(&self.program)
            .args(["run", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} could not be started", self.program.display()))?;
        self.child = Some(child);
        self.started_at = Some(Instant::now());
        Ok(())
    }

    /// Its process, while it runs.
    pub(super) fn process(&self) -> Option<u32> {
        self.child.as_ref()?.id()
    }

    /// Kills it, also where it stands still.
    pub(super) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill().await);
        }
    }

    /// Waits for it to end by itself, so long at most; how it ended.
    pub(super) async fn ended(&mut self, patience: Duration) -> Option<i32> {
        let child = self.child.as_mut()?;
        let status = tokio::time::timeout(patience, child.wait())
            .await
            .ok()?
            .ok()?;
        self.child = None;
        status.code()
    }

    /// Whether it ended although nobody told it to.
    pub(super) fn has_died(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status)
    }

    /// The database is, or was just now, not to be had for it.
    pub(super) fn cut_off(&mut self) {
        self.cut_off_at = Some(Instant::now());
    }

    /// Whether it was cut off since its start.
    pub(super) fn was_cut_off(&self) -> bool {
        self.cut_off_at >= self.started_at && self.cut_off_at.is_some()
    }
}

/// Replaces a file as Kubernetes does: not written in place.
pub(super) fn replace(path: &Path, content: &str) -> anyhow::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, content)?;
    std::fs::rename(&fresh, path)?;
    Ok(())
}

fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

/// What an operator would write, with delays as short as they may be.
fn configuration(folder: &Path, sandbox: &str, number: usize, port: u16) -> String {
    let folder = folder.display();
    let outlets = shop::outlets();
    let mapping = |destination: &str| {
        let found = outlets
            .iter()
            .find(|outlet| outlet.destination == destination);
        found.map(Outlet::mapping).expect("one of the outlets")
    };
    let [client_id, ..] = worlds::ADS_CLIENT;
    let (google, ads, linkedin) = (
        mapping("google"),
        mapping("google-ads"),
        mapping("linkedin"),
    );
    format!(
        r#"# Written by the torture run. The sandbox stands in for all platforms.
[database]
url = {{ file = "{folder}/worker-{number}.url" }}
pool_size = 4

[http]
listen = "127.0.0.1:{port}"

[worker]
lease_secs = {LEASE_SECS}
request_timeout_secs = 2
drain_secs = 5
backoff_initial_secs = 1
backoff_cap_secs = 2
retry_after_cap_secs = 2
hold_probe_secs = 1
sweep_secs = 1
attempts_max = 60

[identity]
default_calling_code = 1

[[destination]]
name = "meta"
platform = "meta"
dataset_id = "{DATASET}"
access_token = {{ file = "{folder}/meta.token" }}
base_url = "{sandbox}"

[[destination]]
name = "meta-careful"
platform = "meta"
dataset_id = "{CAREFUL_DATASET}"
access_token = {{ file = "{folder}/meta.token" }}
on_ambiguous = "uncertain"
base_url = "{sandbox}"

[[destination]]
name = "ga4"
platform = "ga4"
measurement_id = "{STREAM}"
api_secret = {{ file = "{folder}/ga4.secret" }}
base_url = "{sandbox}"

[[destination]]
name = "google"
platform = "google_data_manager"
operating_account = "{CUSTOMER}"
service_account = {{ file = "{folder}/google.json" }}
token_url = "{sandbox}/google_data_manager/token"
conversion_actions = {google}
batch_size = 25
concurrency = 1
status_first_secs = 1
status_pause_max_secs = 1
# Months of business in a minute: the platforms' own limits would only make the run long.
rate_limit = {{ requests = 6000, per_secs = 60 }}
base_url = "{sandbox}"

[[destination]]
name = "google-ads"
platform = "google_ads"
customer_id = "{OLD_CUSTOMER}"
oauth = {{ client_id = "{client_id}", client_secret = {{ file = "{folder}/google-ads.secret" }}, refresh_token = {{ file = "{folder}/google-ads.refresh" }} }}
token_url = "{sandbox}/google_ads/token"
conversion_actions = {ads}
base_url = "{sandbox}"

[[destination]]
name = "linkedin"
platform = "linkedin"
ad_account = "{AD_ACCOUNT}"
access_token = {{ file = "{folder}/linkedin.token" }}
rules = {linkedin}
rate_limit = {{ requests = 6000, per_secs = 60 }}
base_url = "{sandbox}"
"#
    )
}
