//! Whether a page opens as quickly over ten million deliveries as over none.

use std::time::Instant;

use anyhow::{Context, ensure};
use chrono::{TimeDelta, Utc};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::types::Type;

use super::throughput::round;
use super::{Bench, GA4, META};
use crate::admin;
use crate::config::admin::AdminConfig;
use crate::config::database::DatabaseConfig;
use crate::config::secret::SecretRef;
use crate::db::connect::Database;
use crate::db::migrate;
use crate::serve;
use crate::tally;
use crate::telemetry::metrics::Metrics;
use crate::worker::clock::Clock;

const FILL: &str = include_str!("../../sql/bench/fill_pages.sql");
const COMPARE: &str = include_str!("../../sql/bench/fill_reconciliation.sql");

/// Every page, in the order of the navigation, with what it is called here.
const PAGES: [(&str, &str); 10] = [
    ("overview", "/"),
    ("coverage", "/coverage"),
    ("coverage_30_days", "/coverage?days=30"),
    ("reconciliation", "/reconciliation"),
    ("reconciliation_day", "/reconciliation/orders/{yesterday}"),
    ("errors", "/errors"),
    ("dead_letters", "/dead-letters"),
    ("events", "/events?q=page-77"),
    ("event", "/events/page-77"),
    ("destinations", "/destinations"),
];

/// Ids that a day lists for each place where some are missing: as many as are ever kept.
const IDS: i64 = 1000;

/// How often each page is opened; the median counts.
const ROUNDS: usize = 15;

/// Opens every page over an empty history and over one of so many deliveries, in a database of its own.
pub(super) async fn measure(bench: &Bench, deliveries: i64) -> anyhow::Result<Value> {
    bench
        .database
        .client()
        .await?
        .batch_execute("create database pages")
        .await?;
    let url = bench.folder.path().join("pages.url");
    std::fs::write(&url, bench.postgres.url("pages"))?;
    let mut login = DatabaseConfig::new(SecretRef::file(url));
    login.statement_timeout = std::time::Duration::from_secs(3600);
    let database = Database::open(&login)?;
    migrate::up(&database).await?;
    let client = database.client().await?;
    client
        .batch_execute(
            "insert into conversion_outbox.destination (name, platform)
             select name, split_part(name, '-', 1) from unnest(array['meta-a', 'meta-b', 'ga4-a', 'ga4-b']) name",
        )
        .await?;

    let mut config = bench.config(&[META.as_slice(), GA4.as_slice()].concat())?;
    config.database = login;
    let names: Vec<&str> = [META, GA4].concat();
    let router = admin::router(
        &AdminConfig::default(),
        &config,
        &Metrics::new(&names, &[]),
        Clock::default(),
    )?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve::serve(listener, router, async {
        drop(stopped.await);
    }));

    // One event, so that its page is there in both.
    fill(&database, 77).await?;
    compare(&database, 0).await?;
    let empty = open_all(address).await?;
    client
        .batch_execute("truncate conversion_outbox.event, conversion_outbox.delivery, conversion_outbox.attempt restart identity")
        .await?;
    let started = Instant::now();
    fill(&database, deliveries / 4).await?;
    compare(&database, IDS).await?;
    let filled = started.elapsed();
    eprintln!("pages over {deliveries} deliveries");
    let started = Instant::now();
    client
        .batch_execute("select conversion_outbox.recount_tallies()")
        .await?;
    let counted = started.elapsed();
    while tally::fold(&database).await? {}
    client.batch_execute("vacuum analyze").await?;
    let full = open_all(address).await?;
    drop(stop);
    serving.await??;

    let mut pages = Map::new();
    for ((name, _), (empty, full)) in PAGES.iter().zip(empty.iter().zip(&full)) {
        pages.insert(
            (*name).to_owned(),
            json!({"empty_ms": round(*empty, 2), "full_ms": round(*full, 2), "ratio": round(full / empty, 2)}),
        );
    }
    Ok(json!({
        "bench": "pages",
        "deliveries": deliveries,
        "filled_secs": round(filled.as_secs_f64(), 1),
        "history_counted_secs": round(counted.as_secs_f64(), 1),
        "pages": pages,
    }))
}

/// History with the triggers off, and its tallies.
async fn fill(database: &Database, events: i64) -> anyhow::Result<()> {
    let client = database.client().await?;
    client
        .batch_execute("set session_replication_role = replica")
        .await?;
    client.query_typed(FILL, &[(&events, Type::INT8)]).await?;
    client
        .batch_execute("set session_replication_role = origin")
        .await?;
    Ok(())
}

/// A month of comparisons that list so many ids for each day and place.
async fn compare(database: &Database, ids: i64) -> anyhow::Result<()> {
    let client = database.client().await?;
    client.query_typed(COMPARE, &[(&ids, Type::INT8)]).await?;
    Ok(())
}

/// The median time of each page in milliseconds, from the request to the end of the answer.
async fn open_all(address: std::net::SocketAddr) -> anyhow::Result<Vec<f64>> {
    let mut medians = Vec::new();
    let yesterday = (Utc::now() - TimeDelta::days(1)).date_naive().to_string();
    for (name, path) in PAGES {
        let path = path.replace("{yesterday}", &yesterday);
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let started = Instant::now();
            open(address, &path)
                .await
                .with_context(|| format!("the page {name}"))?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        medians.push(times[times.len() / 2]);
    }
    Ok(medians)
}

/// One request on a connection of its own, as plain as can be.
async fn open(address: std::net::SocketAddr, path: &str) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let head = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
    ensure!(
        head.starts_with("HTTP/1.1 200"),
        "answered {}",
        head.lines().next().unwrap_or_default()
    );
    Ok(())
}
