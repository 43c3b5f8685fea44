//! One lot's way to the platform and back, request after request: lease, intent, request, answer, and splitting where the platform refuses
//! a whole batch because of one event.
//!
//! The only order that is safe: what is written before the request is the intent, and what is written after it is the
//! result. No transaction is open in between.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::Instrument;

use super::Shared;
use super::dispatch::put_back;
use super::exchange::{self, Exchange, Halted};
use super::gate::Pass;
use super::lane::{Job, Lane, Passage};
use super::patience::Patience;
use super::recall::Halt;
use super::settler::Message;
use super::trace;
use super::turns::{NotBefore, Turn};
use super::verdict::{self, Fate};
use crate::claim::Ticket;
use crate::db::error::DatabaseError;
use crate::decide::{Prior, Repeat};
use crate::outcome::{Answer, Outcome, Reason, State};
use crate::resolve::{self, Ended};
use crate::settle::{self, Intent, Receipt, Settlement, Try};
use crate::telemetry::context::Place;
use crate::telemetry::spans;

/// What must be left of a lease beyond the time-out of the request: one settle, with room for a slow database.
const SETTLE_MARGIN: Duration = Duration::from_secs(3);

/// How long what could not be judged waits, where the database does not answer that question.
const UNJUDGED_PAUSE: TimeDelta = TimeDelta::seconds(1);

/// Delivers the parts of a lot one after another, the last one first, whatever becomes of them: every job ends in exactly one
/// message to the settler.
pub(super) async fn deliver(
    lane: &Arc<Lane>,
    mut parts: Vec<Vec<Job>>,
    passage: &Passage,
    turn: Turn,
    shared: &Shared,
) {
    let mut turn = Some(turn);
    // So do halves of a refused batch: nothing was stored, and there is no hurry.
    while let Some(part) = parts.pop() {
        let turn = match turn.take() {
            Some(turn) => turn,
            None => match again(lane, &part, shared).await {
                Ok(turn) => turn,
                Err((reason, due_at)) => {
                    put_back(lane, part, reason, due_at, shared).await;
                    continue;
                }
            },
        };
        let part = in_time(lane, part, shared).await;
        // The intent is the last thing before the request: what it was written for and not sent would look like it was.
        let part = announce(lane, part, shared).await;
        if !part.is_empty() {
            parts.extend(send(lane, part, passage, turn, shared).await);
        }
    }
}

/// Whether a further request may follow the first one: much may have changed since. Else why not, and until when.
async fn again(
    lane: &Lane,
    part: &[Job],
    shared: &Shared,
) -> Result<Turn, (Reason, DateTime<Utc>)> {
    let now = shared.clock.now();
    let pass = lane.gate().look(now);
    match pass {
        Pass::Open | Pass::Full => {}
        Pass::Shut(reason) => return Err((reason, now)),
        // It shut meanwhile, and this is no probe.
        Pass::Probe => return Err((Reason::DestinationBusy, now)),
    }
    let lot = part.first().map(|job| &job.sendable.item.lot);
    if let Some(until) = lot.and_then(|lot| lane.rules().look(lot, now)) {
        return Err((Reason::RuleHeld, until));
    }
    lane.turn(shared).await.map_err(|NotBefore(at)| {
        let wait = at.saturating_duration_since(tokio::time::Instant::now());
        (Reason::RateLimited, now + wait)
    })
}

/// Keeps the jobs whose lease outlasts a request; the others go back at once, still ours to give.
async fn in_time(lane: &Lane, jobs: Vec<Job>, shared: &Shared) -> Vec<Job> {
    let needed = tokio::time::Instant::now() + lane.destination.request_timeout + SETTLE_MARGIN;
    let (good, late): (Vec<Job>, Vec<Job>) = jobs
        .into_iter()
        .partition(|job| job.ticket.expires_at >= needed);
    let now = shared.clock.now();
    put_back(lane, late, Reason::DestinationBusy, now, shared).await;
    good
}

/// Writes the intent for jobs whose repeat would count twice. What cannot be written is not sent.
async fn announce(lane: &Lane, jobs: Vec<Job>, shared: &Shared) -> Vec<Job> {
    let (careful, mut ready): (Vec<Job>, Vec<Job>) = jobs
        .into_iter()
        .partition(|job| job.sendable.repeat == Repeat::Never);
    if careful.is_empty() {
        return ready;
    }
    let intents: Vec<Intent> = careful
        .iter()
        .map(|job| Intent {
            ticket: job.ticket,
            payload_hash: job.sendable.item.hash,
            permit: job.sendable.permit,
        })
        .collect();
    match intend(lane, &intents, shared).await {
        Ok(tickets) => {
            for mut job in careful {
                let Some(ticket) = tickets
                    .iter()
                    .find(|ticket| ticket.event_no == job.ticket.event_no)
                else {
                    // Somebody else holds it now.
                    shared.report(Message::Lost(job.ticket)).await;
                    continue;
                };
                if job.ticket.is_fresh {
                    shared.report(Message::HandedOver(job.ticket)).await;
                }
                job.ticket = *ticket;
                ready.push(job);
            }
        }
        Err(error) => {
            let place = trace::of_jobs(&careful);
            tracing::warn!(
                destination = lane.destination.name,
                %error,
                trace_id = place.as_ref().map(Place::trace_id),
                span_id = place.as_ref().map(Place::span_id),
                "intents could not be written; nothing was sent"
            );
            for job in careful {
                shared
                    .report(Message::Unsent(job.ticket, lane.destination.name.clone()))
                    .await;
            }
        }
    }
    ready
}

/// Writes intents, again and again while their claims last: one that was written and whose answer was lost would end as
/// uncertain, although nothing was sent.
async fn intend(
    lane: &Lane,
    intents: &[Intent],
    shared: &Shared,
) -> Result<Vec<Ticket>, DatabaseError> {
    let at = shared.clock.now();
    let ends = intents.iter().map(|intent| intent.ticket.expires_at).max();
    let mut patience = Patience::default();
    loop {
        let announced = settle::intend(
            &shared.database,
            &lane.destination.name,
            intents,
            shared.worker.lease,
            at,
            shared.clock.for_database(),
        )
        .await;
        let pause = patience.after_failure();
        let is_too_late = ends.is_none_or(|ends| tokio::time::Instant::now() + pause >= ends);
        match announced {
            Err(error) if !is_too_late && !error.is_about_data() => {
                tracing::warn!(destination = lane.destination.name, %error, "intents could not be written; trying again");
                tokio::time::sleep(pause).await;
            }
            done => return done,
        }
    }
}

/// Sends one part of a batch. Returns what has to go again at once: halves, if it has to be split, those that were only in bad
/// company, or those that stay when others were taken back.
async fn send(
    lane: &Arc<Lane>,
    mut jobs: Vec<Job>,
    passage: &Passage,
    turn: Turn,
    shared: &Shared,
) -> Vec<Vec<Job>> {
    let exchange = match exchange::exchange(lane, &jobs, turn, shared).await {
        Ok(exchange) => exchange,
        Err(halted) => return halt(lane, jobs, halted, shared).await,
    };
    let name = lane.destination.name.as_str();
    let proven_at = lane.gate().last_success_at();
    let rule = jobs
        .first()
        .and_then(|job| job.sendable.item.lot.rule.clone());
    verdict::pass_on(lane, &exchange, rule.as_deref(), passage.is_probe(), shared)
        .instrument(exchange.scope.clone())
        .await;

    let rows = match verdict::fate(&exchange, &jobs) {
        Fate::Split => {
            for (n, job) in jobs.iter_mut().enumerate() {
                log(
                    name,
                    job,
                    &exchange,
                    n,
                    "batch_rejected",
                    exchange.answer.code.clone(),
                );
            }
            lane.metrics.attempted("batch_rejected", jobs.len() as u64);
            let second = jobs.split_off(jobs.len() / 2);
            return vec![second, jobs];
        }
        Fate::Each(rows) => rows,
    };
    let is_alone = jobs.len() == 1;
    let mut bystanders = Vec::new();
    for (n, (mut job, row)) in jobs.into_iter().zip(rows).enumerate() {
        let outcome = row.outcome.as_str();
        lane.metrics.attempted(outcome, 1);
        log(name, &mut job, &exchange, n, outcome, row.code);
        if row.outcome == Outcome::Bystander {
            bystanders.push(job);
            continue;
        }
        let proven_at = proven_at.max(lane.gate().last_success_at());
        let receipt = receipt(lane, &job, &exchange.answer, row.outcome, shared);
        let settlement = Settlement {
            receipt,
            ..resolved(lane, job, row.outcome, is_alone, proven_at, shared)
        };
        shared.report(Message::Settled(settlement)).await;
    }
    if bystanders.is_empty() {
        Vec::new()
    } else {
        vec![bystanders]
    }
}

/// Gives back what may not go as it was decided: the next claim sees what was taken back, and decides anew. Returns the
/// others, which go without them.
async fn halt(lane: &Lane, mut jobs: Vec<Job>, halted: Halted, shared: &Shared) -> Vec<Vec<Job>> {
    if let Some(exchange) = &halted.refused {
        for (n, job) in jobs.iter_mut().enumerate() {
            let code = exchange.answer.code.clone();
            log(&lane.destination.name, job, exchange, n, "hold", code);
        }
        lane.metrics.attempted("hold", jobs.len() as u64);
    }
    let now = shared.clock.now();
    let (due_at, (back, others)): (_, (Vec<Job>, Vec<Job>)) = match halted.halt {
        Halt::Unjudged => (now + UNJUDGED_PAUSE, (jobs, Vec::new())),
        Halt::TakenBack(events) => {
            let is_taken = |job: &Job| events.contains(&job.ticket.event_no);
            (now, jobs.into_iter().partition(is_taken))
        }
    };
    let place = trace::of_jobs(&back);
    tracing::debug!(
        destination = lane.destination.name,
        deliveries = back.len(),
        trace_id = place.as_ref().map(Place::trace_id),
        span_id = place.as_ref().map(Place::span_id),
        "not sent: consent has to be judged again"
    );
    put_back(lane, back, Reason::Unjudged, due_at, shared).await;
    if others.is_empty() {
        Vec::new()
    } else {
        vec![others]
    }
}

/// Remembers the request as one try of the job, the n-th of it.
fn log(
    destination: &str,
    job: &mut Job,
    exchange: &Exchange,
    n: usize,
    outcome: &'static str,
    code: Option<String>,
) {
    let attempt = &exchange.attempts[n];
    let is_good = matches!(outcome, "accepted" | "sent");
    let place = attempt.place(!is_good);
    tracing::debug!(
        event_id = job.event.event_id,
        destination,
        attempt = attempt.number,
        result = outcome,
        status = exchange.status,
        code,
        trace_id = place.as_ref().map(Place::trace_id),
        span_id = place.as_ref().map(Place::span_id),
        "tried"
    );
    job.log.push(Try {
        outcome,
        is_counted: false,
        tried_at: exchange.tried_at,
        duration_ms: i32::try_from(exchange.took.as_millis()).unwrap_or(i32::MAX),
        response_code: exchange
            .status
            .and_then(|status| i16::try_from(status).ok()),
        error_code: code,
        payload_hash: job.sendable.item.hash,
        trace_id: place.as_ref().map(Place::stored_id),
    });
    spans::finish(&attempt.span, outcome, (!is_good).then_some(outcome));
}

/// The platform's number for the request, where it will say more.
fn receipt(
    lane: &Lane,
    job: &Job,
    answer: &Answer,
    outcome: Outcome,
    shared: &Shared,
) -> Option<Receipt> {
    let later = lane.destination.settings.asks_later()?;
    let number = answer
        .receipt
        .as_ref()
        .filter(|_| outcome == Outcome::Sent)?;
    Some(Receipt {
        number: number.clone(),
        rule: job.sendable.item.lot.rule.clone(),
        ask_at: shared.clock.now() + later.first,
    })
}

fn resolved(
    lane: &Lane,
    mut job: Job,
    outcome: Outcome,
    is_alone: bool,
    last_success_at: Option<chrono::DateTime<chrono::Utc>>,
    shared: &Shared,
) -> Settlement {
    let now = shared.clock.now();
    let rule_held_until = lane.rules().look(&job.sendable.item.lot, now);
    let made = i16::try_from(job.log.len()).unwrap_or(i16::MAX);
    let before = |outcome: &str| {
        let earlier = &job.log[..job.log.len() - 1];
        let alike = earlier.iter().filter(|one| one.outcome == outcome);
        i16::try_from(alike.count()).unwrap_or(i16::MAX)
    };
    let prior = Prior {
        tries: job.prior.tries.saturating_add(made - 1),
        refusals: job.prior.refusals + before("rejected"),
        early: job.prior.early + before("too_early"),
        ..job.prior.clone()
    };
    let last = job.log.last_mut().expect("a request was just made");
    let ended = Ended {
        outcome,
        prior: &prior,
        repeat: job.sendable.repeat,
        is_alone,
        tried_at: last.tried_at,
        last_success_at,
    };
    let resolution = resolve::resolve(&ended, &lane.limits, now);
    last.is_counted = resolution.is_counted;
    let error_code = last.error_code.clone();
    let in_doubt_since = resolution.is_in_doubt.then_some(last.tried_at);
    // Nothing of it was taken, and what mends a hold may change the request: its account, action or rule.
    let permit = match outcome {
        Outcome::Hold(_) | Outcome::HoldRule => job.prior.permit,
        _ => Some(job.sendable.permit),
    };
    Settlement {
        state: resolution.state,
        reason: resolution.reason,
        kept_by: job.kept_by(resolution.reason),
        due_at: match resolution.reason {
            Some(Reason::RuleHeld) => rule_held_until.or(resolution.due_at),
            _ => resolution.due_at,
        },
        expires_at: job.expires_at,
        settled_at: (resolution.state != State::Pending).then_some(now),
        tries: prior.tries.saturating_add(1),
        attempts: prior.attempts + i16::from(resolution.is_counted),
        first_tried_at: prior.first_tried_at.or(in_doubt_since),
        error_code,
        permit,
        log: job.log,
        ..lane.untouched(job.ticket, Some(&job.event), &job.prior)
    }
}
