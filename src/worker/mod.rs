//! The worker: claims, decides, sends and settles until it is told to stop.
//!
//! Tasks and what they pass on: the claimer finds work and decides; a lane per destination sends; the settler writes.
//! What all workers keep together is in the database: leases, holds, quiet times, limits of requests.
//! Any number of workers may run on one database. Not for deciding anything about an event: see `decide` and `resolve`.

mod attempt;
mod claimer;
pub mod clock;
mod company;
mod credential;
mod dispatch;
mod exchange;
pub mod gate;
mod holds;
mod inbox;
mod lane;
mod late;
mod patience;
mod quiet;
mod recall;
mod reconcile;
mod report;
mod retention;
mod rules;
mod settler;
mod tally;
mod tell;
mod trace;
mod turns;
mod verdict;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};

use crate::config::Config;
use crate::config::destination::DestinationConfig;
use crate::config::privacy::PrivacyConfig;
use crate::config::secret::SecretError;
use crate::config::worker::WorkerConfig;
use crate::db::connect::Database;
use crate::db::error::{DatabaseError, Trouble};
use crate::limit::{self, RateLimit};
use crate::send::Sender;
use crate::suppression::{self, KeyError, SubjectKeys};
use crate::telemetry::Relation;
use crate::telemetry::health::{Health, Part};
use crate::telemetry::metrics::Metrics;
use clock::Clock;
use lane::Lane;
use patience::Patience;
use recall::Recall;
use rules::KeptBack;
use settler::Message;
use turns::Turns;

const REGISTER: &str = include_str!("../../sql/queries/register_destination.sql");

/// Claims that may be in memory at once: enough to keep every lane busy while the next claim is under way.
const CLAIMS_IN_MEMORY: usize = 10;

/// Results on their way to the settler; when it is full, lanes wait.
const RESULTS_MAX: usize = 4096;

/// How often holds are followed.
const HOLD_POLL: Duration = Duration::from_secs(1);

/// How long the last results may take to write after the drain.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// What a worker is made of.
#[derive(Debug)]
pub struct Worker {
    /// The checked configuration.
    pub config: Config,
    /// The application's database.
    pub database: Database,
    /// Counters.
    pub metrics: Metrics,
    /// What the probes say.
    pub health: Health,
    /// The business clock.
    pub clock: Clock,
    /// How spans relate to the application's trace.
    pub relation: Relation,
}

/// Why a worker could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nothing to send to.
    #[error(
        "no enabled [[destination]] in the configuration: add one, see deploy/conversion-outbox.toml"
    )]
    NoDestination,
    /// A destination's credential cannot be read.
    #[error("destination {name:?}: {error}")]
    Credential {
        /// The destination.
        name: String,
        /// Why.
        #[source]
        error: SecretError,
    },
    /// The key of the suppression list cannot be used.
    #[error(transparent)]
    SubjectKey(#[from] KeyError),
    /// The suppression list cannot be asked without these keys, and nothing is sent unjudged.
    #[error(
        "the suppression list has entries that were made with a key that is not configured ({0}). Fix: name it under [privacy] as subject_key, or among former_subject_keys"
    )]
    SubjectKeyMissing(String),
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made: no usable certificate store")]
    Client(#[source] reqwest::Error),
    /// The destinations could not be made known to the database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What all tasks of a worker share.
#[derive(Debug)]
struct Shared {
    database: Database,
    worker: WorkerConfig,
    calling_code: Option<u16>,
    subject_keys: Option<SubjectKeys>,
    recall: Recall,
    sender: Sender,
    metrics: Metrics,
    health: Health,
    clock: Clock,
    relation: Relation,
    /// Which slot of the running totals this worker counts in.
    slot: i16,
    /// Whether the settler holds results that the database did not take yet: nothing is claimed meanwhile, or this worker would
    /// take over its own work as lost and send it again.
    is_behind: Arc<AtomicBool>,
    /// Which rules keep deliveries back, as the settler wrote it.
    kept_back: KeptBack,
    results: mpsc::Sender<Message>,
}

impl Shared {
    /// Reports to the settler; waits while it has too much to write.
    async fn report(&self, message: Message) {
        // The settler outlives every task that reports; without it nothing could be written anyway.
        drop(self.results.send(message).await);
    }

    /// A part of the worker does what it needs the database for.
    fn works(&self, part: Part) {
        self.health.trouble(part, None);
    }

    /// It does not. What other transactions are to blame for says nothing of the database.
    fn fails(&self, part: Part, error: &DatabaseError) {
        if let Some(says) = error.trouble().says() {
            self.health.trouble(part, Some(says));
        }
    }
}

/// Runs a worker until `stop` says so, then drains: nothing more is claimed, requests under way may end, results are
/// written, and what was never sent is given back.
pub async fn run(worker: Worker, mut stop: watch::Receiver<bool>) -> Result<(), StartError> {
    let (results, messages) = mpsc::channel(RESULTS_MAX);
    let config = worker.config.clone();
    let turns = turns(&config.destinations);
    let mut lanes = Vec::new();
    for destination in enabled(&config.destinations) {
        let metrics = worker
            .metrics
            .destination(&destination.name)
            .expect("metrics are made for every destination");
        let limit = destination.rate_limit.as_ref();
        let turns = limit.and_then(|limit| turns.get(&limit.group).cloned());
        let lane = Lane::open(destination.clone(), metrics, &config.worker, turns);
        lanes.push(lane.map_err(|error| StartError::Credential {
            name: destination.name.clone(),
            error,
        })?);
    }
    if lanes.is_empty() {
        return Err(StartError::NoDestination);
    }
    let Some(subject_keys) = introduced(&worker, &turns, &mut stop).await? else {
        return Ok(());
    };
    tokio::task::spawn_blocking(crate::identity::warm_up)
        .await
        .expect("loading dialling plans does not panic");

    let shared = Arc::new(Shared {
        recall: Recall::start(worker.database.clone()),
        subject_keys,
        database: worker.database,
        calling_code: config.identity.default_calling_code,
        sender: Sender::new().map_err(StartError::Client)?,
        metrics: worker.metrics,
        health: worker.health,
        clock: worker.clock,
        relation: worker.relation,
        // Slot 0 is for what people do in sql, so that they never wait for a worker's commit.
        slot: 1 + i16::try_from(std::process::id() % 15).expect("a small number"),
        worker: config.worker.clone(),
        is_behind: Arc::default(),
        kept_back: KeptBack::default(),
        results,
    });
    let drain = shared.worker.drain;
    let health = shared.health.clone();
    let give_up_at = Arc::new(OnceLock::new());
    let settler = tokio::spawn(settler::run(
        messages,
        settler_side(&shared),
        give_up_at.clone(),
    ));

    // What is held or paused is known before anything is sent.
    if let Err(error) = holds::follow(&lanes, &shared).await {
        tracing::warn!(%error, "holds could not be read; trying again");
    }
    let mut finders = JoinSet::new();
    // What is under way is never in the way of what comes.
    let under_way: usize = lanes.iter().map(|lane| lane.under_way_max()).sum();
    let claimed = shared.worker.batch_events as usize * CLAIMS_IN_MEMORY;
    let places = Arc::new(Semaphore::new(claimed + under_way));
    finders.spawn(claimer::fresh(
        lanes.clone(),
        shared.clone(),
        places,
        stop.clone(),
    ));
    finders.spawn(claimer::due(lanes.clone(), shared.clone(), stop.clone()));
    finders.spawn(follow_holds(lanes.clone(), shared.clone(), stop.clone()));
    for lane in &lanes {
        finders.spawn(late::run(lane.clone(), shared.clone(), stop.clone()));
    }
    finders.spawn(retention::run(
        config.privacy.graces(),
        shared.clone(),
        stop.clone(),
    ));
    finders.spawn(reconcile::run(config.clone(), shared.clone(), stop.clone()));
    finders.spawn(report::run(lanes.clone(), shared.clone(), stop.clone()));
    finders.spawn(tally::run(shared.clone(), stop.clone()));
    let (stop_lanes, lanes_stop) = watch::channel(false);
    let mut sending = JoinSet::new();
    for lane in lanes {
        sending.spawn(dispatch::run(lane, shared.clone(), lanes_stop.clone()));
    }
    drop(shared);

    // A dropped sender is a stop as well: whoever started us is gone.
    drop(stop.wait_for(|&stop| stop).await);
    health.drain();
    // From here on a database that is away may delay the end, not prevent it.
    give_up_at.get_or_init(|| Instant::now() + drain + LAST_FLUSH);
    while finders.join_next().await.is_some() {}
    stop_lanes.send_replace(true);
    let in_time = tokio::time::timeout(drain, async {
        while sending.join_next().await.is_some() {}
    })
    .await;
    if in_time.is_err() {
        tracing::warn!(
            "requests still under way are given up; their deliveries come back when their lease runs out"
        );
        sending.shutdown().await;
    }
    if settler.await.is_err() {
        tracing::error!("the settler panicked; what it held comes back when the leases run out");
    }
    Ok(())
}

fn enabled(destinations: &[DestinationConfig]) -> impl Iterator<Item = &DestinationConfig> {
    destinations
        .iter()
        .filter(|destination| destination.is_enabled)
}

/// The limits of requests, by group.
fn turns(destinations: &[DestinationConfig]) -> BTreeMap<String, Arc<Turns>> {
    let mut groups: BTreeMap<String, (RateLimit, u32)> = BTreeMap::new();
    for limit in enabled(destinations).filter_map(|one| one.rate_limit.clone()) {
        groups.entry(limit.group.clone()).or_insert((limit, 0)).1 += 1;
    }
    groups
        .into_iter()
        .map(|(group, (limit, lanes))| (group, Arc::new(Turns::new(limit, lanes))))
        .collect()
}

/// The keys of the suppression list. Without one that entries were made with, the list cannot be obeyed.
async fn subject_keys(
    config: &PrivacyConfig,
    database: &Database,
) -> Result<Option<SubjectKeys>, StartError> {
    let keys = SubjectKeys::load(config)?;
    let used = suppression::keys_in_use(database).await?;
    match suppression::missing(keys.as_ref(), &used).as_slice() {
        [] => Ok(keys),
        missing => Err(StartError::SubjectKeyMissing(missing.join(", "))),
    }
}

/// The settler must not hold a sender to itself, or it would never see the end.
fn settler_side(shared: &Shared) -> Arc<Shared> {
    let (nowhere, _) = mpsc::channel(1);
    Arc::new(Shared {
        database: shared.database.clone(),
        worker: shared.worker.clone(),
        calling_code: shared.calling_code,
        subject_keys: None,
        recall: Recall::none(),
        sender: shared.sender.clone(),
        metrics: shared.metrics.clone(),
        health: shared.health.clone(),
        clock: shared.clock.clone(),
        relation: shared.relation,
        slot: shared.slot,
        is_behind: shared.is_behind.clone(),
        kept_back: shared.kept_back.clone(),
        results: nowhere,
    })
}

/// Makes the worker known to the database, for as long as that is not to be had. Returns the keys of the suppression list, if
/// there are any, in an answer; no answer when the worker is stopped first.
async fn introduced(
    worker: &Worker,
    turns: &BTreeMap<String, Arc<Turns>>,
    stop: &mut watch::Receiver<bool>,
) -> Result<Option<Option<SubjectKeys>>, StartError> {
    let mut patience = Patience::default();
    loop {
        let error = match introduce(worker, turns).await {
            Ok(keys) => return Ok(Some(keys)),
            Err(StartError::Database(error))
                if !matches!(error.trouble(), Trouble::Setup | Trouble::Data) =>
            {
                error
            }
            Err(error) => return Err(error),
        };
        worker.health.trouble(Part::Claims, error.trouble().says());
        tracing::warn!(%error, "the worker could not be made known to the database; trying again");
        if is_over(stop, patience.after_failure()).await {
            return Ok(None);
        }
    }
}

/// Everything that a worker asks of the database before it begins, and may ask again.
async fn introduce(
    worker: &Worker,
    turns: &BTreeMap<String, Arc<Turns>>,
) -> Result<Option<SubjectKeys>, StartError> {
    worker.clock.follow(&worker.database).await?;
    register(&worker.database, &worker.config.destinations).await?;
    for turns in turns.values() {
        limit::open(&worker.database, turns.limit()).await?;
    }
    subject_keys(&worker.config.privacy, &worker.database).await
}

/// Says which destinations this worker serves, at the start and with every report.
async fn register(
    database: &Database,
    destinations: &[DestinationConfig],
) -> Result<(), DatabaseError> {
    for destination in destinations {
        let platform = destination.platform().name();
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&destination.name, Type::TEXT),
            (&platform, Type::TEXT),
            (&destination.is_enabled, Type::BOOL),
        ];
        database.query(REGISTER, &params).await?;
    }
    Ok(())
}

/// Returns once the worker is told to stop, or whoever could tell it is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|&stop| stop).await);
}

async fn follow_holds(lanes: Vec<Arc<Lane>>, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut patience = Patience::default();
    loop {
        let pause = match holds::follow(&lanes, &shared).await {
            Ok(()) => {
                patience.after_success();
                HOLD_POLL
            }
            Err(error) => {
                tracing::warn!(%error, "holds could not be read; trying again");
                patience.after_failure().max(HOLD_POLL)
            }
        };
        if is_over(&mut stop, pause).await {
            return;
        }
    }
}

/// Waits, and says whether the worker stops.
async fn is_over(stop: &mut watch::Receiver<bool>, pause: Duration) -> bool {
    tokio::select! {
        biased;
        _ = stop.wait_for(|&stop| stop) => true,
        () = tokio::time::sleep(pause) => false,
    }
}
