//! The last look before a request: whether anything was taken back since its events were claimed.
//!
//! A job may wait for seconds between its claim and its request, or go again within the same claim. So each request, the
//! repeats of a split batch and of a renewed token included, asks the database first: after the commit of a withdrawal, an
//! erasure or an entry of the suppression list, no request begins that carries the person's data. The question is one
//! probe of an index, and all requests that are ready at the same moment share it.
//!
//! What was taken back is not judged here: such a delivery goes back to the database, and its next claim decides.

use std::collections::{BTreeSet, HashMap, HashSet};

use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::{ToSql, Type};

use super::Shared;
use super::lane::Job;
use crate::claim::Claimed;
use crate::consent::Signal;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::decide::Suppression;
use crate::suppression::{self, Scope, Subject};

const NEWS: &str = include_str!("../../sql/queries/recall_news.sql");
const RECALL: &str = include_str!("../../sql/queries/recall.sql");

/// Questions that share one look at most.
const TOGETHER: usize = 1024;

/// What was known of consent when an event was claimed.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    as_of: u64,
    withdrawn: BTreeSet<Signal>,
    withdrawn_of_original: BTreeSet<Signal>,
    suppressed: Option<Scope>,
    subjects: std::sync::Arc<[Subject]>,
    suppression_keys: Vec<String>,
}

/// Why a request was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// Of these events something was taken back.
    TakenBack(HashSet<i64>),
    /// The database could not be asked.
    Unjudged,
}

/// A request that wants to know.
struct Ask {
    as_of: u64,
    answer: oneshot::Sender<Option<bool>>,
}

/// The way to the one task that looks.
#[derive(Clone, Debug)]
pub(super) struct Recall(mpsc::UnboundedSender<Ask>);

impl Seen {
    /// What this claim tells.
    pub(super) fn by(claimed: &Claimed) -> Seen {
        let around = &claimed.around;
        let original = around.original.as_ref();
        Seen {
            as_of: claimed.as_of,
            withdrawn: around.withdrawn.iter().copied().collect(),
            withdrawn_of_original: original
                .iter()
                .flat_map(|original| original.withdrawn.iter().copied())
                .collect(),
            suppressed: match around.suppression {
                Some(Suppression::Listed(scope)) => Some(scope),
                Some(Suppression::Unjudged) | None => None,
            },
            subjects: claimed.subjects.clone(),
            suppression_keys: claimed.suppression_keys.clone(),
        }
    }
}

impl Recall {
    /// Starts the task; it ends when nobody can ask any more.
    pub(super) fn start(database: Database) -> Recall {
        let (asks, waiting) = mpsc::unbounded_channel();
        tokio::spawn(look(database, waiting));
        Recall(asks)
    }

    /// Nobody to ask, for whoever sends nothing.
    pub(super) fn none() -> Recall {
        Recall(mpsc::unbounded_channel().0)
    }

    /// Whether these may go as they were decided. The look begins after this call.
    pub(super) async fn look(&self, jobs: &[Job], shared: &Shared) -> Result<(), Halt> {
        let Some(as_of) = jobs.iter().map(|job| job.seen.as_of).min() else {
            return Ok(());
        };
        match self.is_news(as_of).await {
            Some(false) => Ok(()),
            Some(true) => match taken_back(jobs, shared).await {
                Ok(none) if none.is_empty() => Ok(()),
                Ok(some) => Err(Halt::TakenBack(some)),
                Err(error) => {
                    tracing::warn!(%error, "consent could not be looked at before a request; nothing was sent");
                    Err(Halt::Unjudged)
                }
            },
            None => Err(Halt::Unjudged),
        }
    }

    async fn is_news(&self, as_of: u64) -> Option<bool> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Ask { as_of, answer }).ok()?;
        answered.await.ok().flatten()
    }
}

/// Looks for all who wait, again and again. Who asks while a look is under way shares the next one.
async fn look(database: Database, mut waiting: mpsc::UnboundedReceiver<Ask>) {
    let mut asks = Vec::new();
    while waiting.recv_many(&mut asks, TOGETHER).await > 0 {
        let as_of = asks.iter().map(|ask| ask.as_of).min().unwrap_or(0);
        let is_news = ask(&database, as_of)
            .await
            .inspect_err(|error| {
                tracing::warn!(%error, requests = asks.len(), "consent could not be looked at before requests; nothing was sent");
            })
            .ok();
        for ask in asks.drain(..) {
            // Whoever asked may have been stopped; then nobody hears it.
            ask.answer.send(is_news).unwrap_or_default();
        }
    }
}

async fn ask(database: &Database, as_of: u64) -> Result<bool, DatabaseError> {
    let as_of = as_of.to_string();
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&as_of, Type::TEXT)];
    let rows = database.query(NEWS, &params).await?;
    let is_news = rows.first().map(|row| row.try_get("is_news")).transpose()?;
    // No row is no answer.
    Ok(is_news.unwrap_or(true))
}

/// The events of which more was taken back than their claim saw.
async fn taken_back(jobs: &[Job], shared: &Shared) -> Result<HashSet<i64>, DatabaseError> {
    let mut found = withdrawn(jobs, shared).await?;
    found.extend(suppressed(jobs, shared).await?);
    Ok(found)
}

async fn withdrawn(jobs: &[Job], shared: &Shared) -> Result<HashSet<i64>, DatabaseError> {
    let events: Vec<i64> = jobs.iter().map(|job| job.ticket.event_no).collect();
    let seen: HashMap<i64, &Seen> = jobs
        .iter()
        .map(|job| (job.ticket.event_no, &*job.seen))
        .collect();
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&events, Type::INT8_ARRAY)];
    let mut found = HashSet::new();
    for row in shared.database.query(RECALL, &params).await? {
        let event_no: i64 = row.try_get("event_no")?;
        let Some(seen) = seen.get(&event_no) else {
            continue;
        };
        let signals = |column| -> Result<BTreeSet<Signal>, tokio_postgres::Error> {
            let names: Option<Vec<String>> = row.try_get(column)?;
            let names = names.unwrap_or_default();
            Ok(names
                .iter()
                .filter_map(|name| Signal::parse(name))
                .collect())
        };
        if row.try_get("is_erased")?
            || !signals("withdrawn")?.is_subset(&seen.withdrawn)
            || !signals("withdrawn_of_original")?.is_subset(&seen.withdrawn_of_original)
        {
            found.insert(event_no);
        }
    }
    Ok(found)
}

async fn suppressed(jobs: &[Job], shared: &Shared) -> Result<HashSet<i64>, DatabaseError> {
    let used = suppression::keys_in_use(&shared.database).await?;
    let is_readable = |job: &Job| {
        let keys = shared.subject_keys.as_ref();
        suppression::missing(keys, &used).is_empty()
            || used.iter().all(|id| job.seen.suppression_keys.contains(id))
    };
    let asked = jobs
        .iter()
        .flat_map(|job| job.seen.subjects.iter().copied());
    let listed = suppression::listed(&shared.database, asked.collect()).await?;
    Ok(jobs
        .iter()
        .filter(|job| {
            let now = suppression::widest(&listed, &job.seen.subjects);
            !is_readable(job) || now > job.seen.suppressed
        })
        .map(|job| job.ticket.event_no)
        .collect())
}
