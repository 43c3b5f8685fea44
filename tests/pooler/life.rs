//! A worker's whole life through a pooler that is restarted: claims, intents, results, late answers, holds, and what is given
//! back at the end.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use conversion_outbox::config::Config;
use conversion_outbox::db::connect::Database;
use conversion_outbox::db::migrate;
use conversion_outbox::sandbox::google::sandbox_key_file;
use conversion_outbox::sandbox::postgres::{Options, Postgres};
use conversion_outbox::sandbox::{
    Account, Clock as SandboxClock, Fault, FaultKind, Options as SandboxOptions, Platform, Sandbox,
    TokenState,
};
use conversion_outbox::telemetry::Relation;
use conversion_outbox::telemetry::health::Health;
use conversion_outbox::telemetry::metrics::Metrics;
use conversion_outbox::worker::{self, StartError, Worker, clock::Clock};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls};

use super::Pooler;

const ALL_FINAL: &str = "not exists (select from conversion_outbox.queue)
    and not exists (select from conversion_outbox.delivery where state = 'pending')";

const ENQUEUE: &str = "select conversion_outbox.enqueue(event_name => e ->> 'event_name', business_id => e ->> 'business_id',
    consent => e -> 'consent', value => 49.90, currency => 'EUR', user_data => e -> 'user_data', click_ids => e -> 'click_ids')
  from jsonb_array_elements($1::jsonb) e";

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_goes_on_through_a_pooler_that_is_restarted() {
    let postgres = Postgres::start(Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), open).unwrap();
    let pooler = Pooler::start(postgres.port(), folder.path());
    let clock = Clock::default();
    let time = clock.clone();
    let sandbox = Sandbox::start(SandboxOptions {
        clock: SandboxClock::of(move || time.now()),
        ..SandboxOptions::default()
    })
    .await
    .unwrap();
    sandbox.put_account(Platform::Meta, "1", Account::with_token("token"));
    let config = config(folder.path(), pooler.port, &sandbox.url());
    let database = Database::open(&config.database).unwrap();
    migrate::up(&database).await.unwrap();
    migrate::check(&database).await.unwrap();
    let (server, connection) = tokio_postgres::connect(&postgres.url("postgres"), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);

    let first = Running::start(&config, &clock);
    enqueue(&database, "first").await;
    until(&server, ALL_FINAL).await;
    // The pooler goes away in the middle of things, and comes back.
    enqueue(&database, "second").await;
    let port = pooler.port;
    drop(pooler);
    let pooler = Pooler::start_on(port, postgres.port(), folder.path());
    enqueue(&database, "third").await;
    until_with_time(&server, &clock, ALL_FINAL).await;
    // Late answers.
    clock.advance(TimeDelta::minutes(31));
    until(
        &server,
        "not exists (select from conversion_outbox.request where settled_at is null)",
    )
    .await;
    // A hold, and its end by a new token.
    let mut account = Account::with_token("token");
    account
        .tokens
        .insert("token".to_owned(), TokenState::Expired);
    sandbox.put_account(Platform::Meta, "1", account);
    enqueue(&database, "held").await;
    until(
        &server,
        "exists (select from conversion_outbox.destination where hold_reason = 'credential')",
    )
    .await;
    sandbox.put_account(Platform::Meta, "1", Account::with_token("new-token"));
    fs::write(folder.path().join("token.new"), "new-token").unwrap();
    fs::rename(folder.path().join("token.new"), folder.path().join("token")).unwrap();
    until(&server, ALL_FINAL).await;
    // What a worker holds when it is told to stop is given back.
    let hold = sandbox
        .add_fault(Fault {
            platform: Some(Platform::Meta),
            times: Some(1),
            ..Fault::of(FaultKind::HoldBefore)
        })
        .unwrap();
    enqueue(&database, "given back").await;
    sandbox.held(hold, 1).await;
    first.stop.send_replace(true);
    sandbox.release(hold);
    first.task.await.unwrap().unwrap();
    until(
        &server,
        "not exists (select from conversion_outbox.queue where lease_until is not null)
         and not exists (select from conversion_outbox.delivery where lease_until is not null)",
    )
    .await;
    let second = Running::start(&config, &clock);
    until(&server, ALL_FINAL).await;
    clock.advance(TimeDelta::minutes(31));
    until(
        &server,
        "not exists (select from conversion_outbox.request where settled_at is null)",
    )
    .await;
    second.stop.send_replace(true);
    second.task.await.unwrap().unwrap();

    let states: String = server
        .query_one(
            "select string_agg(destination || ' ' || state || ' ' || n, ', ' order by destination, state) from (
               select destination, state, count(*) as n from conversion_outbox.delivery group by 1, 2) c",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(
        states,
        "ga4 sent 50, google_data_manager accepted 50, linkedin accepted 50, meta accepted 50"
    );
    let doubles = sandbox.read(|ledger| {
        ledger
            .accounts()
            .map(|(_, _, count)| count.doubles)
            .sum::<u64>()
    });
    assert_eq!(doubles, 0);
    drop(pooler);
    sandbox.shutdown().await;
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), StartError>>,
}

impl Running {
    fn start(config: &Config, clock: &Clock) -> Running {
        let (stop, stopped) = watch::channel(false);
        let names: Vec<&str> = config
            .destinations
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let worker = Worker {
            database: Database::open(&config.database).unwrap(),
            metrics: Metrics::new(&names, &["order_paid"]),
            health: Health::default(),
            clock: clock.clone(),
            relation: Relation::Link,
            config: config.clone(),
        };
        Running {
            stop,
            task: tokio::spawn(worker::run(worker, stopped)),
        }
    }
}

fn config(folder: &Path, port: u16, sandbox: &str) -> Config {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write(
        "url",
        &format!("postgresql://postgres@127.0.0.1:{port}/postgres"),
    );
    write("token", "token");
    write(
        "google.json",
        &sandbox_key_file(&format!("{sandbox}/token")),
    );
    let folder = folder.display();
    let text = format!(
        r#"
[database]
url = {{ file = "{folder}/url" }}
pool_size = 4
[worker]
sweep_secs = 1
[[destination]]
name = "meta"
platform = "meta"
dataset_id = "1"
access_token = {{ file = "{folder}/token" }}
base_url = "{sandbox}"
batch_size = 1
concurrency = 1
[[destination]]
name = "ga4"
platform = "ga4"
measurement_id = "G-1"
api_secret = {{ file = "{folder}/token" }}
base_url = "{sandbox}"
[[destination]]
name = "linkedin"
platform = "linkedin"
ad_account = "508000000"
access_token = {{ file = "{folder}/token" }}
rules = {{ order_paid = "104012", lead_created = "104013" }}
base_url = "{sandbox}"
[[destination]]
name = "google_data_manager"
platform = "google_data_manager"
operating_account = "1234567890"
service_account = {{ file = "{folder}/google.json" }}
token_url = "{sandbox}/token"
conversion_actions = {{ order_paid = "7712337565", lead_created = "7712337566" }}
base_url = "{sandbox}"
"#
    );
    Config::parse(&text, "pooler.toml", []).unwrap()
}

/// Five orders and five leads, through the pooler.
async fn enqueue(database: &Database, batch: &str) {
    let events: Vec<Value> = (0..5_u32)
        .flat_map(|n| ["order_paid", "lead_created"].map(|name| (n, name)))
        .map(|(n, name)| {
            let id = format!("{batch}-{n}");
            let browser = id.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()) % 1_000_003);
            json!({
                "event_name": name, "business_id": id,
                "consent": { "ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted",
                    "ad_personalization": "granted" },
                "user_data": { "email": format!("{browser}@example.com") },
                "click_ids": { "ga_client_id": format!("{browser}.1690000000"), "gclid": format!("Cj0KCQiA-{browser}"),
                    "li_fat_id": format!("df5gf5-gh6t7-{browser}") },
            })
        })
        .collect();
    let events = Value::from(events);
    database
        .query(ENQUEUE, &[(&events, Type::JSONB)])
        .await
        .unwrap();
}

/// Asks the server itself, until it says yes.
async fn until(server: &Client, condition: &str) {
    let asked = tokio::time::timeout(Duration::from_secs(30), asking(server, condition)).await;
    asked.unwrap_or_else(|_| panic!("in vain: {condition}"));
}

/// The same, and time passes where nothing has happened for a while: a claim whose answer was lost comes back with its lease.
async fn until_with_time(server: &Client, clock: &Clock, condition: &str) {
    for _ in 0..10 {
        let quiet = Duration::from_secs(3);
        if tokio::time::timeout(quiet, asking(server, condition))
            .await
            .is_ok()
        {
            return;
        }
        clock.advance(TimeDelta::minutes(2));
    }
    panic!("in vain: {condition}");
}

async fn asking(server: &Client, condition: &str) {
    let sql = format!("select {condition}");
    while !server.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0) {}
}
