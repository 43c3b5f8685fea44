//! Whether a claim costs the same however much history there is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::types::Type;

use super::Bench;
use super::throughput::round;
use crate::claim::{self, Terms};

const FILL: &str = include_str!("../../sql/bench/fill_queue.sql");

/// Events in each claim, and claims in each measurement.
const BATCH: i64 = 100;
const ROUNDS: usize = 60;

/// Fills the queue, claims it batch by batch, and gives the times.
pub(super) async fn measure(bench: &Bench, settled: i64) -> anyhow::Result<Value> {
    let events = BATCH * ROUNDS as i64;
    let prefix = format!("claims-{settled}-");
    bench
        .database
        .query(FILL, &[(&events, Type::INT8), (&prefix, Type::TEXT)])
        .await?;
    bench
        .database
        .client()
        .await?
        .batch_execute("analyze")
        .await?;
    let terms = Terms {
        limit: BATCH,
        lease: Duration::from_secs(600),
        clock: None,
    };
    let mut full = Vec::new();
    let mut mark = 0;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let claimed = claim::claim_events(&bench.database, mark, terms).await?;
        full.push(started.elapsed());
        mark = claimed
            .iter()
            .map(|claimed| claimed.ticket.event_no)
            .fold(mark, i64::max);
    }
    let mut empty = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        claim::claim_events(&bench.database, mark, terms).await?;
        empty.push(started.elapsed());
    }
    let mut due = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        claim::claim_due(&bench.database, "meta-a", BATCH, terms).await?;
        due.push(started.elapsed());
    }
    bench
        .database
        .client()
        .await?
        .batch_execute("truncate conversion_outbox.queue")
        .await?;
    Ok(json!({
        "bench": "claim",
        "settled_deliveries": settled,
        "claim_100_events_ms": median_ms(full),
        "claim_nothing_ms": median_ms(empty),
        "claim_nothing_due_ms": median_ms(due),
    }))
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    round(times[times.len() / 2].as_secs_f64() * 1000.0, 3)
}
