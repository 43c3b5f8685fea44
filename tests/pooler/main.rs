//! The whole way through PgBouncer in transaction mode: schema, application and two workers over two server connections; and
//! every kind of statement of a worker's life (module `life`), with the pooler restarted in between.
//!
//! Needs `pgbouncer` on the machine, so it stands behind the feature `pooler`:
//! `apt-get install -y pgbouncer && cargo test --features pooler --test pooler`. Version 1.18, which loses named prepared
//! statements, is the strictest judge.

mod life;

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conversion_outbox::config::Config;
use conversion_outbox::db::connect::Database;
use conversion_outbox::db::migrate;
use conversion_outbox::sandbox::postgres::{Options, Postgres};
use conversion_outbox::sandbox::{Options as SandboxOptions, Platform, Sandbox, Verdict};
use conversion_outbox::telemetry::Relation;
use conversion_outbox::telemetry::health::Health;
use conversion_outbox::telemetry::metrics::Metrics;
use conversion_outbox::worker::{self, Worker, clock::Clock};
use tokio::sync::watch;
use tokio_postgres::types::Type;

const EVENTS: i64 = 400;

/// A PgBouncer that ends with the test.
struct Pooler {
    child: Child,
    port: u16,
}

impl Pooler {
    fn start(server_port: u16, folder: &std::path::Path) -> Pooler {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Pooler::start_on(port, server_port, folder)
    }

    /// On a port that was given before: as after a restart.
    fn start_on(port: u16, server_port: u16, folder: &std::path::Path) -> Pooler {
        let config = folder.join("pgbouncer.ini");
        let mut file = std::fs::File::create(&config).unwrap();
        writeln!(
            file,
            "[databases]\npostgres = host=127.0.0.1 port={server_port} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 2"
        )
        .unwrap();
        // Started by root it changes to this account; by anybody else it stays who it is.
        let account = if std::fs::metadata("/proc/self")
            .is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
        {
            vec!["-u", "postgres"]
        } else {
            Vec::new()
        };
        let mut child = Command::new("pgbouncer")
            .args(account)
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .expect("pgbouncer is not installed: apt-get install -y pgbouncer");
        // It says so on its error stream once it listens.
        let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut lines = std::io::BufRead::lines(stderr);
        assert!(
            lines.any(|line| line.unwrap().contains("process up")),
            "pgbouncer did not come up"
        );
        std::thread::spawn(move || lines.for_each(drop));
        Pooler { child, port }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_over_two_server_connections_in_transaction_mode() {
    let postgres = Postgres::start(Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let pooler = Pooler::start(postgres.port(), folder.path());
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let url = folder.path().join("url");
    std::fs::write(
        &url,
        format!("postgresql://postgres@127.0.0.1:{}/postgres", pooler.port),
    )
    .unwrap();
    std::fs::write(folder.path().join("secret"), "token").unwrap();
    let (folder, address) = (folder.path().display(), sandbox.url());
    let config = Config::parse(
        &format!(
            "[database]\nurl = {{ file = \"{folder}/url\" }}\npool_size = 6\n\
             [[destination]]\nname = \"meta\"\nplatform = \"meta\"\ndataset_id = \"1\"\n\
             access_token = {{ file = \"{folder}/secret\" }}\nbase_url = \"{address}\"\n\
             [[destination]]\nname = \"ga4\"\nplatform = \"ga4\"\nmeasurement_id = \"G-1\"\n\
             api_secret = {{ file = \"{folder}/secret\" }}\nbase_url = \"{address}\"\n"
        ),
        "pooler.toml",
        [],
    )
    .unwrap();
    let database = Database::open(&config.database).unwrap();
    migrate::up(&database).await.unwrap();

    let (stop, stopped) = watch::channel(false);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..2 {
        workers.spawn(worker::run(
            Worker {
                database: Database::open(&config.database).unwrap(),
                metrics: Metrics::new(&["meta", "ga4"], &["order_paid"]),
                health: Health::default(),
                clock: Clock::default(),
                relation: Relation::Link,
                config: config.clone(),
            },
            stopped.clone(),
        ));
    }
    let fill = include_str!("../../sql/bench/fill_queue.sql");
    database
        .query(fill, &[(&EVENTS, Type::INT8), (&"pooled-", Type::TEXT)])
        .await
        .unwrap();

    let all = u64::try_from(EVENTS).unwrap();
    let arrived = sandbox.wait_for(|ledger| {
        ledger.count(Platform::Meta, Verdict::Stored) == all
            && ledger.count(Platform::Ga4, Verdict::Stored) == all
    });
    tokio::time::timeout(Duration::from_secs(60), arrived)
        .await
        .expect("everything arrives within a minute");
    stop.send_replace(true);
    while let Some(ended) = workers.join_next().await {
        ended.unwrap().unwrap();
    }
    let rows = database
        .query("select (select count(*) from conversion_outbox.queue) as queued, count(*) as settled from conversion_outbox.delivery where settled_at is not null", &[])
        .await
        .unwrap();
    assert_eq!(
        (
            rows[0].get::<_, i64>("queued"),
            rows[0].get::<_, i64>("settled")
        ),
        (0, 2 * EVENTS)
    );
    assert_eq!(
        sandbox.read(|ledger| ledger.count(Platform::Meta, Verdict::WouldDouble)),
        0
    );
    sandbox.shutdown().await;
}
