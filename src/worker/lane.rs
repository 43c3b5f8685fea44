//! One destination's lane: its waiting jobs, its gate, its credential, and a few requests under way at once.
//!
//! Lanes share nothing, so a slow or broken destination holds up no other. A lane takes no more than it can send within
//! the lease; the rest goes back to the database at once.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::credential::Credential;
use super::gate::{Gate, Pass};
use super::rules::Rules;
use super::settler::Message;
use super::{Shared, attempt};
use crate::claim::{Claimed, Ticket};
use crate::config::destination::DestinationConfig;
use crate::config::secret::SecretError;
use crate::decide::{self, Decision, Prior, Sendable};
use crate::event::OutboxEvent;
use crate::outcome::{Outcome, Reason, State};
use crate::resolve::Limits;
use crate::retry::Schedule;
use crate::settle::{Settlement, Try};
use crate::telemetry::metrics::DestinationMetrics;

/// Jobs in memory at most, however fast the destination is.
const JOBS_MAX: usize = 5000;

/// How long a request is thought to take until one has been seen.
const FIRST_GUESS: Duration = Duration::from_millis(100);

/// What is known of a try whose worker never came back to tell.
const LEASE_LOST: &str = "lease_lost";

/// One destination at work.
#[derive(Debug)]
pub(super) struct Lane {
    /// Its configuration.
    pub destination: DestinationConfig,
    /// Its counters.
    pub metrics: DestinationMetrics,
    /// When it gives up and how it waits.
    pub limits: Limits,
    /// What its requests are signed with.
    pub credential: Credential,
    gate: Mutex<Gate>,
    rules: Mutex<Rules>,
    inbox: mpsc::UnboundedSender<Job>,
    queued: AtomicUsize,
    jobs_max: usize,
    /// Smoothed duration of a request, in microseconds.
    pace: AtomicU64,
}

/// One delivery on its way to a request.
#[derive(Debug)]
pub(super) struct Job {
    /// The right to send and settle it.
    pub ticket: Ticket,
    /// The event.
    pub event: Arc<OutboxEvent>,
    /// Earlier tries.
    pub prior: Prior,
    /// What may leave.
    pub sendable: Sendable,
    /// When the destination takes it no longer.
    pub expires_at: Option<DateTime<Utc>>,
    /// The requests of this claim so far.
    pub log: Vec<Try>,
}

impl Lane {
    /// Reads the credential and makes the lane; its jobs arrive at the receiver.
    pub(super) fn open(
        destination: DestinationConfig,
        metrics: DestinationMetrics,
        worker: &crate::config::worker::WorkerConfig,
    ) -> Result<(Arc<Lane>, mpsc::UnboundedReceiver<Job>), SecretError> {
        let credential = Credential::open(destination.settings.credentials())?;
        let (inbox, jobs) = mpsc::unbounded_channel();
        let schedule = Schedule {
            initial: worker.backoff_initial,
            cap: worker.backoff_cap,
            retry_after_cap: worker.retry_after_cap,
        };
        let lane = Lane {
            limits: Limits {
                attempts_max: i16::try_from(destination.attempts_max).unwrap_or(i16::MAX),
                schedule,
            },
            credential,
            gate: Mutex::default(),
            rules: Mutex::default(),
            inbox,
            queued: AtomicUsize::new(0),
            jobs_max: JOBS_MAX,
            pace: AtomicU64::new(micros(FIRST_GUESS)),
            destination,
            metrics,
        };
        Ok((Arc::new(lane), jobs))
    }

    /// Takes a decision about a claimed event to where it belongs: a request, the database, or both later.
    pub(super) async fn take(
        &self,
        shared: &Shared,
        claimed: &Claimed,
        event: &Arc<OutboxEvent>,
        decision: Decision,
    ) {
        let now = shared.clock.now();
        let expires_at = decide::expires_at(event, &claimed.around, &self.destination);
        let settlement = match decision {
            Decision::Send(sendable) => {
                let job = Job {
                    ticket: claimed.ticket,
                    event: event.clone(),
                    prior: claimed.prior.clone(),
                    sendable,
                    expires_at,
                    log: Vec::new(),
                };
                let held_until = self.rules().look(&job.sendable.item.lot, now);
                let (reason, due_at) = match (self.gate().look(now), held_until) {
                    (Pass::Shut(reason), _) => (reason, now),
                    (_, Some(until)) => (Reason::RuleHeld, until),
                    _ if self.room(shared.worker.lease) == 0 => (Reason::DestinationBusy, now),
                    _ => {
                        self.queued.fetch_add(1, Ordering::Relaxed);
                        // The receiver lives as long as the lane's task; when it is gone, so is the worker.
                        drop(self.inbox.send(job));
                        return;
                    }
                };
                self.postponed(job, reason, due_at)
            }
            Decision::End(state, reason, field) => Settlement {
                state,
                reason: Some(reason),
                settled_at: Some(now),
                error_code: field.map(str::to_owned),
                ..self.untouched(claimed.ticket, Some(event), &claimed.prior)
            },
            Decision::Wait(until, reason) => Settlement {
                state: State::Pending,
                reason: Some(reason),
                due_at: Some(until),
                expires_at,
                ..self.untouched(claimed.ticket, Some(event), &claimed.prior)
            },
        };
        shared.report(Message::Settled(settlement)).await;
    }

    /// A row that is no event ends here.
    pub(super) fn refuse(
        &self,
        ticket: Ticket,
        reason: Reason,
        column: &'static str,
        now: DateTime<Utc>,
    ) -> Settlement {
        Settlement {
            state: State::Rejected,
            reason: Some(reason),
            settled_at: Some(now),
            error_code: Some(column.to_owned()),
            ..self.untouched(ticket, None, &Prior::default())
        }
    }

    /// What the former holder of the claim may have sent before it was lost: a try without an answer, and due again at once.
    pub(super) fn in_doubt(
        &self,
        claimed: &Claimed,
        event: &Arc<OutboxEvent>,
        sendable: Sendable,
        lost_at: DateTime<Utc>,
        shared: &Shared,
    ) -> Settlement {
        let untouched = self.untouched(claimed.ticket, Some(event), &claimed.prior);
        self.metrics.attempted(Outcome::Ambiguous.as_str(), 1);
        Settlement {
            reason: Some(Reason::NoAnswer),
            due_at: Some(shared.clock.now()),
            expires_at: decide::expires_at(event, &claimed.around, &self.destination),
            tries: untouched.tries.saturating_add(1),
            // No earlier than its claim began.
            first_tried_at: untouched
                .first_tried_at
                .or(Some(lost_at - shared.worker.lease)),
            error_code: Some(LEASE_LOST.to_owned()),
            permit: Some(sendable.permit),
            log: vec![Try {
                outcome: Outcome::Ambiguous.as_str(),
                is_counted: false,
                tried_at: lost_at,
                duration_ms: 0,
                response_code: None,
                error_code: Some(LEASE_LOST.to_owned()),
                payload_hash: sendable.item.hash,
                trace_id: None,
            }],
            ..untouched
        }
    }

    /// Back to the database without having been sent. What the whole destination waits for is due at once: it is not
    /// claimed before the destination can be sent to.
    pub(super) fn postponed(&self, job: Job, reason: Reason, due_at: DateTime<Utc>) -> Settlement {
        let made = i16::try_from(job.log.len()).unwrap_or(i16::MAX);
        let untouched = self.untouched(job.ticket, Some(&job.event), &job.prior);
        Settlement {
            state: State::Pending,
            reason: Some(reason),
            due_at: Some(due_at),
            expires_at: job.expires_at,
            tries: untouched.tries.saturating_add(made),
            permit: match made {
                0 => job.prior.permit,
                _ => Some(job.sendable.permit),
            },
            log: job.log,
            ..untouched
        }
    }

    /// A settlement that adds nothing to what was known.
    pub(super) fn untouched(
        &self,
        ticket: Ticket,
        event: Option<&Arc<OutboxEvent>>,
        prior: &Prior,
    ) -> Settlement {
        Settlement {
            ticket,
            destination: self.destination.name.clone(),
            event: event.cloned(),
            state: State::Pending,
            reason: None,
            due_at: None,
            settled_at: None,
            tries: prior.tries,
            attempts: prior.attempts,
            first_tried_at: prior.first_tried_at,
            error_code: None,
            permit: None,
            expires_at: None,
            receipt: None,
            log: Vec::new(),
        }
    }

    /// How many more jobs can be sent well within a lease.
    pub(super) fn room(&self, lease: Duration) -> usize {
        let per_round =
            self.destination.concurrency as usize * self.destination.batch_size as usize;
        let rounds = micros(lease / 3) / self.pace.load(Ordering::Relaxed).max(1);
        let sendable =
            per_round.saturating_mul(usize::try_from(rounds).unwrap_or(usize::MAX).max(1));
        sendable
            .min(self.jobs_max.max(per_round))
            .saturating_sub(self.queued.load(Ordering::Relaxed))
    }

    /// Remembers how long a request took.
    pub(super) fn took(&self, duration: Duration) {
        let before = self.pace.load(Ordering::Relaxed);
        self.pace
            .store((before * 7 + micros(duration)) / 8, Ordering::Relaxed);
    }

    /// The gate. Never held across an await.
    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of its conversion actions or rules are held. Never held across an await.
    pub(super) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a lane's jobs until told to stop; then gives back what was not sent and waits for what is under way.
pub(super) async fn run(
    lane: Arc<Lane>,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(lane.destination.concurrency as usize));
    let mut requests = JoinSet::new();
    loop {
        let slot = slots
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let mut batch = Vec::new();
        let taken = tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => 0,
            taken = jobs.recv_many(&mut batch, lane.destination.batch_size as usize) => taken,
        };
        if taken == 0 {
            break;
        }
        lane.queued.fetch_sub(taken, Ordering::Relaxed);
        let (sender, shared) = (lane.clone(), shared.clone());
        requests.spawn(async move {
            attempt::deliver(&sender, batch, &shared).await;
            drop(slot);
        });
        while let Some(ended) = requests.try_join_next() {
            report_panic(&lane, ended);
        }
    }
    jobs.close();
    while let Some(job) = jobs.recv().await {
        shared
            .report(Message::Unsent(job.ticket, lane.destination.name.clone()))
            .await;
    }
    while let Some(ended) = requests.join_next().await {
        report_panic(&lane, ended);
    }
}

/// The jobs of a request that panicked come back when their lease runs out; a probe that panicked is none.
fn report_panic(lane: &Lane, ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err() {
        lane.gate().after_nothing();
        tracing::error!("a request panicked; its deliveries come back when their lease runs out");
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
