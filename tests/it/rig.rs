//! A database of its own, the emulators and any number of workers, for one test.
//!
//! Nothing sleeps. The database tells a listening connection of every change, so that [`Rig::until`] asks again exactly
//! then; the sandbox says when requests arrive and holds them where a test wants them; and time passes by moving the
//! clock that database, workers and emulators share.

mod events;
mod running;
mod server;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use conversion_outbox::config::Config;
use conversion_outbox::db::connect::Database;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::google::sandbox_key_file;
use conversion_outbox::sandbox::postgres::{Options as ServerOptions, Postgres};
use conversion_outbox::sandbox::{
    Account, Clock as SandboxClock, Fault, FaultKind, Options, Platform, Row, Sandbox,
};
use conversion_outbox::telemetry::Relation;
use conversion_outbox::telemetry::health::Health;
use conversion_outbox::telemetry::metrics::Metrics;
use conversion_outbox::worker::clock::Clock;
use conversion_outbox::worker::{self, Worker};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{OnceCell, watch};
use tokio_postgres::types::FromSqlOwned;
use tokio_postgres::{Client, NoTls};

pub(crate) use self::events::{ago, granted, insert_in, lead, order, refund, with};
pub(crate) use self::running::Running;
use self::server::connect;
pub(crate) use self::server::start;

pub(crate) const DATASET: &str = "100200300400500";
pub(crate) const STREAM: &str = "G-TEST123";
pub(crate) const TOKEN: &str = "token-of-the-test";
pub(crate) const SECRET: &str = "secret-of-the-test";
pub(crate) const CUSTOMER: &str = "1234567890";
/// Conversion action of paid orders, and of leads.
pub(crate) const ACTION: &str = "7712337565";
pub(crate) const LEAD_ACTION: &str = "7712337566";
/// The customer that is told through the Google Ads API, with its own action of each kind.
pub(crate) const ADS_CUSTOMER: &str = "2345678901";
pub(crate) const ADS_ACTION: &str = "8812337565";
pub(crate) const ADS_LEAD_ACTION: &str = "8812337566";
pub(crate) const AD_ACCOUNT: &str = "508000000";
/// LinkedIn's rule for paid orders, and for leads.
pub(crate) const RULE: &str = "104012";
pub(crate) const LEAD_RULE: &str = "104013";

/// How long something may take to come true before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

static SERVER: OnceCell<Postgres> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// What a worker's configuration says beyond the rig's own: lines of TOML for each table.
#[derive(Clone, Copy, Default)]
pub(crate) struct Setup {
    /// Of `[database]`.
    pub(crate) database: &'static str,
    pub(crate) worker: &'static str,
    pub(crate) meta: &'static str,
    pub(crate) ga4: &'static str,
    pub(crate) google: &'static str,
    pub(crate) ads: &'static str,
    pub(crate) linkedin: &'static str,
    pub(crate) rest: &'static str,
    /// Where Meta is, instead of in the sandbox.
    pub(crate) meta_url: Option<&'static str>,
    /// Whether each platform is below a path of its own, as behind a proxy.
    pub(crate) is_proxied: bool,
    /// Which destinations there are; Meta and GA4 unless said.
    pub(crate) platforms: Option<&'static [Destination]>,
}

impl Setup {
    /// Only these platforms.
    pub(crate) fn only(platforms: &'static [Destination]) -> Setup {
        Setup {
            platforms: Some(platforms),
            ..Setup::default()
        }
    }

    /// All platforms.
    pub(crate) fn all() -> Setup {
        Setup::only(&Destination::ALL)
    }

    /// Lines of TOML for the destination of this platform.
    pub(crate) fn lines(mut self, platform: Destination, lines: &'static str) -> Setup {
        match platform {
            Destination::Meta => self.meta = lines,
            Destination::Ga4 => self.ga4 = lines,
            Destination::GoogleDataManager => self.google = lines,
            Destination::GoogleAds => self.ads = lines,
            Destination::LinkedIn => self.linkedin = lines,
        }
        self
    }
}

/// Part of the path of every request that carries events, and of no other.
fn events_path(platform: Platform) -> &'static str {
    match platform {
        Platform::Meta => "/events",
        Platform::Ga4 => "/collect",
        Platform::GoogleDataManager => "events:ingest",
        Platform::GoogleAds => ":upload",
        Platform::LinkedIn => "/conversionEvents",
    }
}

/// One test's world.
pub(crate) struct Rig {
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Clock,
    pub(crate) folder: TempDir,
    url: String,
    client: Client,
    changes: watch::Receiver<u64>,
}

impl Rig {
    pub(crate) async fn new() -> Rig {
        let server = SERVER
            .get_or_init(|| async {
                start(ServerOptions {
                    max_connections: 300,
                    ..ServerOptions::default()
                })
                .await
            })
            .await;
        Rig::on(server).await
    }

    /// A rig on a server of the test's own.
    pub(crate) async fn on(server: &Postgres) -> Rig {
        let name = format!("rig_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let (admin, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls)
            .await
            .expect("connected");
        tokio::spawn(connection);
        let create = format!("create database {name} template rig_template");
        admin
            .batch_execute(&create)
            .await
            .expect("the template is there and nobody uses it");
        let clock = Clock::default();
        let time = clock.clone();
        let options = Options {
            clock: SandboxClock::of(move || time.now()),
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.expect("a free port");
        sandbox.put_account(Platform::Meta, DATASET, Account::with_token(TOKEN));
        sandbox.put_account(Platform::Ga4, STREAM, Account::with_token(SECRET));
        let folder = tempfile::tempdir().expect("a folder");
        let url = server.url(&name);
        let (client, changes) = connect(&url).await;
        let rig = Rig {
            sandbox,
            clock,
            folder,
            url,
            client,
            changes,
        };
        rig.write(
            "database.url",
            &rig.url.replace("//postgres@", "//rig_worker@"),
        );
        rig.write(
            "officer.url",
            &rig.url.replace("//postgres@", "//rig_privacy@"),
        );
        rig.write("subject.key", "a-key-of-the-test-with-32-bytes-or-more");
        rig.write(
            "google.json",
            &sandbox_key_file(&format!("{}/token", rig.sandbox.url())),
        );
        rig.write("linkedin.token", TOKEN);
        rig.write("meta.token", TOKEN);
        rig.write("ga4.secret", SECRET);
        rig
    }

    /// Connects again, after the server was restarted.
    pub(crate) async fn reconnect(&mut self) {
        (self.client, self.changes) = connect(&self.url).await;
    }

    /// Where the worker finds the database from now on, instead of this rig's own server and port.
    pub(crate) fn reach_by(&self, servers: &str) {
        let (_, database) = self.url.rsplit_once('/').expect("a path");
        let url = format!("postgresql://rig_worker@{servers}/{database}");
        self.write("database.url", &url);
    }

    /// The port of this rig's own server.
    pub(crate) fn server_port(&self) -> u16 {
        let url = url::Url::parse(&self.url).expect("a url");
        url.port().expect("a port")
    }

    /// The address of this rig's database for another login.
    pub(crate) fn url_of(&self, login: &str) -> String {
        self.url.replace("//postgres@", &format!("//{login}@"))
    }

    /// Goes on with this rig's database as another server has it.
    pub(crate) async fn move_to(&mut self, server: &Postgres) {
        let (_, database) = self.url.rsplit_once('/').expect("a path");
        self.url = server.url(database);
        self.reconnect().await;
    }

    // --- workers ---

    pub(crate) fn work(&self) -> Running {
        self.work_with(Setup::default())
    }

    pub(crate) fn work_with(&self, setup: Setup) -> Running {
        let config = Config::parse(&self.configuration(setup), "rig.toml", [])
            .expect("a valid configuration");
        let names: Vec<&str> = config
            .destinations
            .iter()
            .map(|destination| destination.name.as_str())
            .collect();
        let metrics = Metrics::new(&names, &["order_paid", "lead_created"]);
        let health = Health::default();
        // Whoever starts a worker has checked the schema.
        health.schema_supported(true);
        let worker = Worker {
            database: Database::open(&config.database).expect("a valid address"),
            metrics: metrics.clone(),
            health: health.clone(),
            clock: self.clock.clone(),
            relation: Relation::Link,
            config,
        };
        let (stop, stopped) = watch::channel(false);
        Running {
            metrics,
            health,
            stop,
            task: tokio::spawn(worker::run(worker, stopped)),
        }
    }

    /// The configuration as it would stand in a file.
    pub(crate) fn configuration(&self, setup: Setup) -> String {
        let (database, worker) = (setup.database, setup.worker);
        let pool_size = if database.contains("pool_size") {
            ""
        } else {
            "pool_size = 5"
        };
        let platforms = setup
            .platforms
            .unwrap_or(&[Destination::Meta, Destination::Ga4]);
        let destinations: Vec<String> = platforms
            .iter()
            .map(|platform| self.destination(*platform, setup))
            .collect();
        format!(
            r#"
[database]
url = {{ file = "{}/database.url" }}
{pool_size}
{database}
[worker]
poll_min_ms = 2
poll_max_ms = 20
sweep_secs = 1
flush_ms = 1
{worker}
[identity]
default_calling_code = 49
{}
{}
"#,
            self.folder.path().display(),
            destinations.join("\n"),
            setup.rest,
        )
    }

    /// One destination, called like its platform.
    fn destination(&self, platform: Destination, setup: Setup) -> String {
        let (folder, sandbox) = (self.folder.path().display(), self.sandbox.url());
        let name = platform.name();
        let base = match (platform, setup.meta_url) {
            (Destination::Meta, Some(url)) => url.to_owned(),
            _ if setup.is_proxied => format!("{sandbox}/{name}/"),
            _ => sandbox.clone(),
        };
        let google = |paid, lead| {
            format!(
                "service_account = {{ file = \"{folder}/google.json\" }}\ntoken_url = \"{sandbox}/{name}/token\"
conversion_actions = {{ order_paid = \"{paid}\", lead_created = \"{lead}\" }}"
            )
        };
        let (keys, lines) = match platform {
            Destination::Meta => (
                format!("dataset_id = \"{DATASET}\"\naccess_token = {{ file = \"{folder}/meta.token\" }}"),
                setup.meta,
            ),
            Destination::Ga4 => (
                format!("measurement_id = \"{STREAM}\"\napi_secret = {{ file = \"{folder}/ga4.secret\" }}"),
                setup.ga4,
            ),
            Destination::GoogleDataManager => {
                (format!("operating_account = \"{CUSTOMER}\"\n{}", google(ACTION, LEAD_ACTION)), setup.google)
            }
            Destination::GoogleAds => (format!("customer_id = \"{ADS_CUSTOMER}\"\n{}", google(ADS_ACTION, ADS_LEAD_ACTION)), setup.ads),
            Destination::LinkedIn => (
                format!(
                    "ad_account = \"{AD_ACCOUNT}\"\naccess_token = {{ file = \"{folder}/linkedin.token\" }}
rules = {{ order_paid = \"{RULE}\", lead_created = \"{LEAD_RULE}\" }}"
                ),
                setup.linkedin,
            ),
        };
        format!(
            "[[destination]]\nname = \"{name}\"\nplatform = \"{name}\"\nbase_url = \"{base}\"\n{keys}\n{lines}\n"
        )
    }

    /// Writes a file as Kubernetes does: replaced, not written in place.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let fresh = self.folder.path().join(format!("{name}.new"));
        std::fs::write(&fresh, content).expect("written");
        std::fs::rename(&fresh, &path).expect("renamed");
        path
    }

    // --- what the application does ---

    /// Inserts events in one transaction of the application's own.
    pub(crate) async fn insert(&self, events: &[Value]) {
        let mut app = self.app().await;
        let transaction = app.transaction().await.expect("begun");
        insert_in(&transaction, events).await;
        transaction.commit().await.expect("committed");
    }

    /// A connection of the application's own.
    pub(crate) async fn app(&self) -> Client {
        let (app, connection) = tokio_postgres::connect(&self.url_of("rig_app"), NoTls)
            .await
            .expect("connected");
        tokio::spawn(connection);
        app
    }

    /// One more connection as superuser, whose settings are its own.
    pub(crate) async fn superuser(&self) -> Client {
        let (admin, connection) = tokio_postgres::connect(&self.url, NoTls)
            .await
            .expect("connected");
        tokio::spawn(connection);
        admin
    }

    // --- what the database says ---

    /// Runs statements as superuser.
    pub(crate) async fn run(&self, sql: &str) {
        if let Err(error) = self.client.batch_execute(sql).await {
            panic!("{error:?} in {sql}");
        }
    }

    /// The first column of the only row.
    pub(crate) async fn one<T: FromSqlOwned>(&self, sql: &str) -> T {
        match self.client.query_one(sql, &[]).await {
            Ok(row) => row.get(0),
            Err(error) => panic!("{error:?} in {sql}"),
        }
    }

    /// One delivery as `state/reason`.
    pub(crate) async fn state(&self, destination: &str, event_id: &str) -> String {
        self.one(&format!(
            "select coalesce((select state || coalesce('/' || reason, '') from conversion_outbox.delivery
                join conversion_outbox.event using (event_no)
               where destination = '{destination}' and event_id = '{event_id}'), 'none')"
        ))
        .await
    }

    /// Waits until a condition holds; asked again whenever something changed.
    pub(crate) async fn until(&self, condition: &str) {
        if !self.until_for(PATIENCE, condition).await {
            panic!("in vain: {condition}\n{}", self.open().await);
        }
    }

    /// Waits so long at most until a condition holds, and says whether it does.
    pub(crate) async fn until_for(&self, patience: Duration, condition: &str) -> bool {
        let sql = format!("select {condition}");
        let mut changes = self.changes.clone();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if self.one::<bool>(&sql).await {
                    return;
                }
                changes
                    .changed()
                    .await
                    .expect("the listener lives as long as the rig");
            }
        };
        tokio::time::timeout(patience, waiting).await.is_ok()
    }

    /// Waits until one delivery has a state, written `state` or `state/reason`.
    pub(crate) async fn until_state(&self, destination: &str, event_id: &str, state: &str) {
        let (state, reason) = state.split_once('/').unwrap_or((state, ""));
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!("and reason = '{reason}'")
        };
        self.until(&format!(
            "exists (select from conversion_outbox.delivery join conversion_outbox.event using (event_no)
              where destination = '{destination}' and event_id = '{event_id}' and state = '{state}' {reason}
                and lease_until is null)"
        ))
        .await;
    }

    /// Waits until every event has a final state at every destination.
    pub(crate) async fn until_final(&self) {
        self.until(
            "not exists (select from conversion_outbox.queue)
             and not exists (select from conversion_outbox.delivery where state = 'pending')",
        )
        .await;
    }

    /// How many deliveries of a destination have a state.
    pub(crate) async fn count(&self, destination: &str, state: &str) -> i64 {
        self.one(&format!(
            "select count(*) from conversion_outbox.delivery where destination = '{destination}' and state = '{state}'"
        ))
        .await
    }

    /// What is not final, for the message of a failed test.
    async fn open(&self) -> String {
        self.one(
            "select concat_ws(E'\\n',
               (select string_agg(format('delivery %s', d), E'\\n') from
                 (select * from conversion_outbox.delivery order by state <> 'pending', event_no limit 20) d),
               (select string_agg(format('queue %s', q), E'\\n') from (select * from conversion_outbox.queue limit 10) q),
               (select string_agg(format('destination %s', d), E'\\n') from conversion_outbox.destination d), now()::text)",
        )
        .await
    }

    // --- what arrived ---

    /// Rows of the ledger of one platform, as they arrived.
    pub(crate) fn arrived(&self, platform: Platform) -> Vec<Row> {
        self.sandbox.read(|ledger| {
            ledger
                .rows()
                .filter(|row| row.platform == platform)
                .cloned()
                .collect()
        })
    }

    /// Conversions that a platform counted more than once.
    pub(crate) fn doubles(&self) -> u64 {
        self.sandbox
            .read(|ledger| ledger.accounts().map(|(_, _, count)| count.doubles).sum())
    }

    /// A fault rule for one platform.
    pub(crate) fn fault(
        &self,
        kind: FaultKind,
        platform: Platform,
        change: impl FnOnce(&mut Fault),
    ) -> u64 {
        let mut fault = Fault {
            platform: Some(platform),
            ..Fault::of(kind)
        };
        change(&mut fault);
        self.sandbox.add_fault(fault).expect("a sensible rule")
    }

    /// A fault rule for requests that carry events: not for tokens, nor for what became of earlier requests.
    pub(crate) fn event_fault(
        &self,
        kind: FaultKind,
        platform: Platform,
        change: impl FnOnce(&mut Fault),
    ) -> u64 {
        self.fault(kind, platform, |fault| {
            fault.path = Some(events_path(platform).to_owned());
            change(fault);
        })
    }

    /// Waits until a rule holds so many requests.
    pub(crate) async fn held(&self, rule: u64, count: u64) {
        let waiting = tokio::time::timeout(PATIENCE, self.sandbox.held(rule, count)).await;
        waiting.expect("the requests arrive");
    }

    /// Lets time pass once no worker has anything under lease: what is under way ends before, as it does in real time.
    pub(crate) async fn later(&self, time: TimeDelta) {
        let now = self.clock.now().to_rfc3339();
        self.until(&format!(
            "not exists (select from conversion_outbox.queue where lease_until > '{now}' and not set_aside)
             and not exists (select from conversion_outbox.delivery where state = 'pending' and lease_until > '{now}')"
        ))
        .await;
        self.pass(time);
    }

    /// Lets time pass for database, workers and emulators, whatever is under way: leases may run out.
    pub(crate) fn pass(&self, time: TimeDelta) {
        self.clock.advance(time);
    }
}
