//! One destination's lane: its waiting jobs, its gate, its credential, its share of the limit of requests.
//!
//! Lanes share nothing, so a slow or broken destination holds up no other. A lane takes no more than it can send within
//! the lease; the rest goes back to the database at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Shared;
use super::credential::Credential;
use super::gate::{Gate, Pass};
use super::inbox::{Class, Inbox};
use super::recall::Seen;
use super::rules::Rules;
use super::settler::Message;
use super::trace;
use super::turns::{NotBefore, Turn, Turns};
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
    /// Its jobs that wait for a request.
    pub inbox: Inbox,
    /// Told whenever a request is over.
    pub left: Notify,
    gate: Mutex<Gate>,
    rules: Mutex<Rules>,
    /// Where its requests are limited.
    turns: Option<Arc<Turns>>,
    /// Smoothed duration of a request, in microseconds.
    pace: AtomicU64,
    /// It kept others from their work: until then, or until it moves again, it takes nothing.
    stuck_until: Mutex<Option<Instant>>,
}

/// The right to have a request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Passage {
    lane: Arc<Lane>,
    is_probe: bool,
}

impl Passage {
    /// Whether its answer decides if others may go.
    pub(super) fn is_probe(&self) -> bool {
        self.is_probe
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.lane.gate().leave(self.is_probe);
        self.lane.left.notify_waiters();
    }
}

/// How many more jobs a lane takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Just committed.
    pub fresh: usize,
    /// From the database, replays included.
    pub waiting: usize,
    /// Of these, what a person asked for again.
    pub replayed: usize,
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
    /// What was known of consent when it was claimed.
    pub seen: Arc<Seen>,
    /// The requests of this claim so far.
    pub log: Vec<Try>,
}

impl Job {
    /// The rule that keeps it back, if that is the reason why it waits.
    pub(super) fn kept_by(&self, reason: Option<Reason>) -> Option<Box<str>> {
        let rule = self.sendable.item.lot.rule.as_deref();
        rule.filter(|_| reason == Some(Reason::RuleHeld))
            .map(Box::from)
    }
}

impl Lane {
    /// Reads the credential and makes the lane. `turns` is the limit of requests of its group.
    pub(super) fn open(
        destination: DestinationConfig,
        metrics: DestinationMetrics,
        worker: &crate::config::worker::WorkerConfig,
        turns: Option<Arc<Turns>>,
    ) -> Result<Arc<Lane>, SecretError> {
        let credential = Credential::open(destination.settings.credentials())?;
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
            inbox: Inbox::default(),
            left: Notify::new(),
            gate: Mutex::new(Gate::new(destination.concurrency)),
            rules: Mutex::default(),
            turns,
            pace: AtomicU64::new(micros(FIRST_GUESS)),
            stuck_until: Mutex::default(),
            destination,
            metrics,
        };
        Ok(Arc::new(lane))
    }

    /// Takes a decision about a claimed event to where it belongs: a request, the database, or both later.
    pub(super) async fn take(
        &self,
        shared: &Shared,
        claimed: &Claimed,
        event: &Arc<OutboxEvent>,
        seen: &Arc<Seen>,
        decision: Decision,
    ) {
        let now = shared.clock.now();
        let class = match (claimed.ticket.is_fresh, claimed.is_replayed) {
            (true, _) => Class::Fresh,
            (false, false) => Class::Waiting,
            (false, true) => Class::Replayed,
        };
        let expires_at = decide::expires_at(event, &claimed.around, &self.destination);
        let settlement = match decision {
            Decision::Send(sendable) => {
                let job = Job {
                    ticket: claimed.ticket,
                    event: event.clone(),
                    prior: claimed.prior.clone(),
                    sendable,
                    expires_at,
                    seen: seen.clone(),
                    log: Vec::new(),
                };
                let held_until = self.rules().look(&job.sendable.item.lot, now);
                let pass = self.gate().look(now);
                let (reason, due_at) = match (pass, held_until) {
                    (Pass::Shut(reason), _) => (reason, now),
                    (_, Some(until)) => (Reason::RuleHeld, until),
                    _ if class == Class::Fresh && self.room(shared.worker.lease).fresh == 0 => {
                        (Reason::DestinationBusy, now)
                    }
                    _ => return self.inbox.push(class, job),
                };
                self.postponed(job, reason, due_at)
            }
            Decision::End(state, reason, field) => {
                trace::ended(self, event, &claimed.prior, (state, reason), shared);
                Settlement {
                    state,
                    reason: Some(reason),
                    settled_at: Some(now),
                    error_code: field.map(str::to_owned),
                    ..self.untouched(claimed.ticket, Some(event), &claimed.prior)
                }
            }
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
            kept_by: job.kept_by(Some(reason)),
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
            kept_by: None,
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

    /// How many more jobs of each class can be sent well within a lease. What waited takes at most half, so that what is
    /// fresh finds room whatever the backlog; and replays half of that, so that they leave room for retries.
    pub(super) fn room(&self, lease: Duration) -> Room {
        let [fresh, waiting, replayed] =
            [Class::Fresh, Class::Waiting, Class::Replayed].map(|class| self.inbox.len(class));
        let total = self.capacity(lease);
        let left = total.saturating_sub(fresh + waiting + replayed);
        let old = total.div_ceil(2).saturating_sub(waiting + replayed);
        let replays = total.div_ceil(4).saturating_sub(replayed);
        Room {
            fresh: left,
            waiting: old.min(left),
            replayed: replays.min(old).min(left),
        }
    }

    /// Jobs in memory at most: what can be sent in a third of a lease, at the pace of its requests and of its limit.
    fn capacity(&self, lease: Duration) -> usize {
        if self
            .stuck_until()
            .is_some_and(|until| until > Instant::now())
        {
            return 0;
        }
        let (is_shut, at_once) = {
            let gate = self.gate();
            (gate.why_shut().is_some(), gate.allowed())
        };
        if is_shut {
            return 1;
        }
        let (at_once, batch) = (at_once as usize, self.destination.batch_size as usize);
        let rounds = micros(lease / 3) / self.pace.load(Ordering::Relaxed).max(1);
        let rounds = usize::try_from(rounds).unwrap_or(usize::MAX).max(1);
        let by_pace = at_once.saturating_mul(rounds);
        let requests = match &self.turns {
            Some(turns) => by_pace.min(turns.within(lease / 3)),
            None => by_pace,
        };
        let jobs = requests.saturating_mul(batch);
        jobs.min(JOBS_MAX.max(at_once * batch))
    }

    /// Jobs in requests under way at most, and in the one that leaves next.
    pub(super) fn under_way_max(&self) -> usize {
        let requests = self.destination.concurrency as usize + 1;
        requests * self.destination.batch_size as usize
    }

    /// Remembers how long a request took.
    pub(super) fn took(&self, duration: Duration) {
        self.moves();
        let before = self.pace.load(Ordering::Relaxed);
        self.pace
            .store((before * 7 + micros(duration)) / 8, Ordering::Relaxed);
    }

    /// Takes its jobs away: they keep others from their work. It gets no more until something of it has moved on, and at the
    /// latest when whatever is under way must have ended.
    pub(super) fn shed(&self) -> Vec<Job> {
        *self.stuck_until() = Some(Instant::now() + self.destination.request_timeout);
        self.inbox.clear()
    }

    /// A job of it was let out, or a request of it has ended.
    pub(super) fn moves(&self) {
        *self.stuck_until() = None;
    }

    fn stuck_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.stuck_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the gate for a request under way.
    pub(super) fn enter(self: &Arc<Lane>, now: DateTime<Utc>) -> Result<Passage, Pass> {
        let pass = self.gate().ask(now);
        match pass {
            Pass::Open | Pass::Probe => Ok(Passage {
                lane: self.clone(),
                is_probe: pass == Pass::Probe,
            }),
            Pass::Full | Pass::Shut(_) => Err(pass),
        }
    }

    /// Waits for the right to make a request, where requests are limited.
    pub(super) async fn turn(&self, shared: &Shared) -> Result<Turn, NotBefore> {
        let Some(turns) = &self.turns else {
            return Ok(Turn::free());
        };
        let waiting: usize = [Class::Fresh, Class::Waiting, Class::Replayed]
            .map(|class| self.inbox.len(class))
            .iter()
            .sum();
        let more = waiting.div_ceil(self.destination.batch_size as usize);
        turns.take(1 + more, shared).await
    }

    /// How many requests it can make well within a lease, where they are limited.
    pub(super) fn turns_within(&self, lease: Duration) -> usize {
        self.turns
            .as_ref()
            .map_or(usize::MAX, |turns| turns.within(lease / 3))
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

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
