//! Deliveries a second, WAL bytes and dead rows a delivery, from a full queue to an empty one.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_postgres::types::Type;

use super::Bench;
use crate::db::connect::Database;
use crate::telemetry::Relation;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::worker::{self, Worker, clock::Clock};

const FILL: &str = include_str!("../../sql/bench/fill_queue.sql");
const DIED: &str = include_str!("../../sql/bench/rows_died.sql");

/// A run that takes longer is broken.
const PATIENCE: Duration = Duration::from_secs(600);

/// One run.
pub(super) async fn measure(
    bench: &Bench,
    name: &str,
    destinations: &[&str],
    events: i64,
) -> anyhow::Result<Value> {
    let prefix = format!("{name}-");
    let inserting = Instant::now();
    bench
        .database
        .query(FILL, &[(&events, Type::INT8), (&prefix, Type::TEXT)])
        .await?;
    let insert_us = inserting.elapsed().as_secs_f64() * 1e6 / events as f64;
    // The destinations of the run before are served by nobody; events would wait ten minutes for them.
    let client = bench.database.client().await?;
    client
        .batch_execute("delete from conversion_outbox.destination; analyze; checkpoint; select pg_stat_reset()")
        .await?;
    drop(client);

    let config = bench.config(destinations)?;
    let worker = Worker {
        database: Database::open(&config.database)?,
        metrics: Metrics::new(destinations, &["order_paid"]),
        health: Health::default(),
        clock: Clock::default(),
        relation: Relation::Link,
        config,
    };
    let (stop, stopped) = watch::channel(false);
    let wal_before = number(
        &bench.database,
        "select pg_current_wal_insert_lsn() - '0/0'",
    )
    .await?;
    let cpu_before = cpu_seconds();
    let started = Instant::now();
    let running = tokio::spawn(worker::run(worker, stopped));
    // A look at the clean queue every few milliseconds is the bench's own cost; it is small against the work.
    while number(
        &bench.database,
        "select case when exists (select from conversion_outbox.queue) then 1 else 0 end::numeric",
    )
    .await?
        > 0.0
    {
        ensure!(
            started.elapsed() < PATIENCE,
            "the queue did not drain in {} s",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu_before;
    let wal = number(
        &bench.database,
        "select pg_current_wal_insert_lsn() - '0/0'",
    )
    .await?
        - wal_before;
    stop.send_replace(true);
    running.await??;

    let deliveries = events as f64 * destinations.len() as f64;
    let rows = bench.database.query(DIED, &[]).await?;
    let died = rows[0].try_get::<_, Option<i64>>("died")?.unwrap_or(0) as f64;
    let hot = rows[0].try_get::<_, Option<i64>>("hot")?.unwrap_or(0) as f64;
    let updated = rows[0].try_get::<_, Option<i64>>("updated")?.unwrap_or(0) as f64;
    Ok(json!({
        "bench": "throughput",
        "run": name,
        "events": events,
        "deliveries": deliveries,
        "seconds": round(took, 3),
        "deliveries_per_second": round(deliveries / took, 0),
        "wal_bytes_per_delivery": round(wal / deliveries, 1),
        "dead_rows_per_delivery": round(died / deliveries, 3),
        "hot_share_of_updates": round(if updated > 0.0 { hot / updated } else { 1.0 }, 3),
        "cpu_ms_per_delivery_worker_and_sink": round(cpu * 1000.0 / deliveries, 3),
        "insert_us_per_event": round(insert_us, 1),
    }))
}

async fn number(database: &Database, sql: &str) -> anyhow::Result<f64> {
    let rows = database
        .query(&format!("select ({sql})::float8"), &[])
        .await?;
    Ok(rows[0].try_get(0)?)
}

/// User and system time of this process so far: the worker and the sink together, without PostgreSQL.
fn cpu_seconds() -> f64 {
    // Fields 14 and 15 of the line, in ticks of a hundredth of a second (proc(5)); elsewhere than on Linux it reads 0.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    fields.iter().sum::<f64>() / 100.0
}

pub(super) fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
