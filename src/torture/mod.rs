//! The torture run: several worker processes, a real PostgreSQL and the emulators, an application that writes and rolls back,
//! and faults drawn from a seed; then a checker that reads the application's tables, the outbox and the emulators' ledgers, and
//! proves the promises over the whole history. After Jepsen: generator, faults, history, checker.
//!
//! The same seed makes the same stories and the same plan of faults. How they interleave is up to the machine; what must hold,
//! holds in every run.

mod application;
pub mod checker;
mod evidence;
pub mod history;
pub mod plan;
mod proxy;
pub mod report;
mod shop;
mod stage;
mod troubles;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

use history::History;
use report::Report;
use stage::Stage;

/// How long nothing may change while something is not final.
const PATIENCE: Duration = Duration::from_secs(90);

/// Connections of the application that write at the same time.
const WRITERS: u64 = 4;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Stories and faults follow from it.
    pub seed: u64,
    /// How long faults strike; healing and checking come on top.
    pub length: Duration,
    /// Worker processes.
    pub workers: usize,
    /// The program whose `run` is tortured.
    pub program: PathBuf,
}

/// Runs it. Says on standard error what it does.
///
/// # Errors
/// Something that has nothing to do with the promises failed: no PostgreSQL, no free port, a worker that does not start.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let started = Instant::now();
    let plan = plan::plan(options.seed, options.length, options.workers);
    eprintln!(
        "seed {}: {} faults planned in {} s against {} workers",
        options.seed,
        plan.len(),
        options.length.as_secs(),
        options.workers
    );
    let history = Arc::new(History::default());
    let mut stage = Stage::set(options, &history)
        .await
        .context("the stage could not be set")?;
    let outcome = play(options, &plan, &mut stage, &history, started).await;
    stage.strike().await;
    outcome
}

async fn play(
    options: &Options,
    plan: &[plan::Planned],
    stage: &mut Stage,
    history: &Arc<History>,
    started: Instant,
) -> anyhow::Result<Report> {
    let writers = application::start(options, stage, history);
    let watching = stage.watch(history);
    troubles::strike_all(plan, stage, history).await?;
    tokio::time::sleep_until(started + options.length).await;
    writers.finish().await?;
    eprintln!("the faults are over; everything heals");
    troubles::heal(stage, history).await?;
    let stuck = stage.settle_down(PATIENCE).await?;
    watching.abort();
    let evidence = evidence::gather(stage, history, stuck).await?;
    let found = checker::check(&evidence);
    let mut lives = BTreeMap::new();
    for id in report::suspects(&found) {
        let life = evidence::life(stage, &id).await;
        lives.insert(id, life);
    }
    let took = started.elapsed();
    Ok(Report::of(options, plan, &evidence, found, &lives, took))
}
