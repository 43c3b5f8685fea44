//! One batch's way to the platform and back: gate, lease, intent, request, answer, and splitting where the platform
//! refuses a whole batch because of one event.
//!
//! The only order that is safe: what is written before the request is the intent, and what is written after it is the
//! result. No transaction is open in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Span;

use super::Shared;
use super::company;
use super::gate::Pass;
use super::holds;
use super::lane::{Job, Lane};
use super::settler::Message;
use crate::config::secret::Secret;
use crate::decide::{Prior, Repeat};
use crate::destinations::Item;
use crate::outcome::{Answer, Notice, Outcome, Reason, State, Verdict};
use crate::resolve::{self, Ended};
use crate::send::SendError;
use crate::settle::{self, Intent, Settlement, Try};
use crate::telemetry::context::RowContext;
use crate::telemetry::spans;

/// What must be left of a lease beyond the time-out of the request: one settle, with room for a slow database.
const SETTLE_MARGIN: Duration = Duration::from_secs(3);

/// Delivers a batch, whatever becomes of it: every job ends in exactly one message to the settler.
pub(super) async fn deliver(lane: &Arc<Lane>, jobs: Vec<Job>, shared: &Shared) {
    let pass = lane.gate().ask(shared.clock.now());
    if let Pass::Shut(reason) = pass {
        return postpone(lane, jobs, reason, shared).await;
    }
    let jobs = announce(lane, jobs, shared).await;
    let mut was_sent = false;
    // Halves of a refused batch are sent one after another: nothing was stored, and there is no hurry.
    let mut parts = company::parts(jobs, lane.destination.batch_size as usize);
    while let Some(part) = parts.pop() {
        let pass = lane.gate().look(shared.clock.now());
        if let (true, Pass::Shut(reason)) = (was_sent, pass) {
            postpone(lane, part, reason, shared).await;
            continue;
        }
        let part = in_time(lane, part, shared).await;
        if part.is_empty() {
            continue;
        }
        was_sent = true;
        parts.extend(send(lane, part, shared).await);
    }
    if pass == Pass::Probe && !was_sent {
        lane.gate().after_nothing();
    }
}

/// Keeps the jobs whose lease outlasts a request; the others go back at once, still ours to give.
async fn in_time(lane: &Lane, jobs: Vec<Job>, shared: &Shared) -> Vec<Job> {
    let needed = tokio::time::Instant::now() + lane.destination.request_timeout + SETTLE_MARGIN;
    let (good, late): (Vec<Job>, Vec<Job>) = jobs
        .into_iter()
        .partition(|job| job.ticket.expires_at >= needed);
    postpone(lane, late, Reason::DestinationBusy, shared).await;
    good
}

async fn postpone(lane: &Lane, jobs: Vec<Job>, reason: Reason, shared: &Shared) {
    let now = shared.clock.now();
    for job in jobs {
        shared
            .report(Message::Settled(lane.postponed(job, reason, now)))
            .await;
    }
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
    let (clock, now) = (shared.clock.for_database(), shared.clock.now());
    let announced = settle::intend(
        &shared.database,
        &lane.destination.name,
        &intents,
        shared.worker.lease,
        now,
        clock,
    )
    .await;
    match announced {
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
            tracing::warn!(destination = lane.destination.name, %error, "intents could not be written; nothing was sent");
            for job in careful {
                shared
                    .report(Message::Unsent(job.ticket, lane.destination.name.clone()))
                    .await;
            }
        }
    }
    ready
}

/// Sends one part of a batch. Returns its halves, if it has to be split.
async fn send(lane: &Arc<Lane>, mut jobs: Vec<Job>, shared: &Shared) -> Vec<Vec<Job>> {
    let settings = &lane.destination.settings;
    let items: Vec<&Item> = jobs.iter().map(|job| &job.sendable.item).collect();
    let request = settings.request(&lane.destination.base_url, &items);
    let (rows, process) = process_spans(lane, &jobs, shared);
    let span = spans::request("POST", &request.url, &process);
    let host = request.url.host_str().unwrap_or_default().to_owned();
    let secret = lane.secret();
    let in_flight = lane.metrics.in_flight();
    let tried_at = shared.clock.now();
    let started = Instant::now();

    let reply = shared
        .sender
        .send(request, &secret, lane.destination.request_timeout)
        .await;

    let took = started.elapsed();
    drop(in_flight);
    lane.took(took);
    let status = reply.as_ref().ok().map(|reply| reply.status);
    let error_type = reply.as_ref().err().map(|error| error.as_str());
    spans::answered(&span, status, error_type);
    lane.metrics.answered(&host, status, error_type, took);

    let answer = match &reply {
        Ok(reply) => settings.classify(reply, jobs.len()),
        Err(SendError::Connect) => Answer::all(Outcome::Retry {
            after: None,
            delivered: false,
        })
        .code("connect"),
        Err(SendError::Credential) => {
            Answer::all(Outcome::Hold(crate::outcome::Hold::Credential)).code("credential")
        }
        Err(error @ (SendError::Timeout | SendError::Broken)) => {
            Answer::all(Outcome::Ambiguous).code(error.as_str())
        }
    };
    report_notice(lane, &answer);
    let proven_at = lane.gate().last_success_at();
    pass_on(lane, &answer, reply.is_ok(), &secret, shared).await;

    let verdict = settled_verdict(answer.verdict, &jobs);
    let name = match verdict {
        Verdict::All(outcome) => outcome.as_str(),
        Verdict::BatchRejected => "batch_rejected",
    };
    lane.metrics.attempted(name, jobs.len() as u64);
    for (job, (row, process)) in jobs.iter_mut().zip(rows.iter().zip(&process)) {
        job.log.push(Try {
            outcome: name,
            is_counted: false,
            tried_at,
            duration_ms: i32::try_from(took.as_millis()).unwrap_or(i32::MAX),
            response_code: status.and_then(|status| i16::try_from(status).ok()),
            error_code: answer.code.clone(),
            payload_hash: job.sendable.item.hash,
            trace_id: spans::trace_id(process, row.as_ref()),
        });
        spans::finish(
            process,
            name,
            matches!(verdict, Verdict::All(Outcome::Accepted | Outcome::Sent))
                .then_some(())
                .map_or(Some(name), |()| None),
        );
    }
    match verdict {
        Verdict::BatchRejected => {
            let second = jobs.split_off(jobs.len() / 2);
            vec![second, jobs]
        }
        Verdict::All(outcome) => {
            for job in jobs {
                let settlement = resolved(
                    lane,
                    job,
                    outcome,
                    proven_at.max(lane.gate().last_success_at()),
                    shared,
                );
                shared.report(Message::Settled(settlement)).await;
            }
            Vec::new()
        }
    }
}

/// A refused batch of one is a refused event. A code that nobody has described is tried once more, then taken for a refusal.
fn settled_verdict(verdict: Verdict, jobs: &[Job]) -> Verdict {
    let was_tried = jobs
        .iter()
        .any(|job| job.prior.tries > 0 || !job.log.is_empty());
    match verdict {
        Verdict::BatchRejected if jobs.len() == 1 => Verdict::All(Outcome::Rejected),
        Verdict::All(Outcome::Unrecognised) if was_tried && jobs.len() > 1 => {
            Verdict::BatchRejected
        }
        Verdict::All(Outcome::Unrecognised) if was_tried => Verdict::All(Outcome::Rejected),
        other => other,
    }
}

fn resolved(
    lane: &Lane,
    mut job: Job,
    outcome: Outcome,
    last_success_at: Option<chrono::DateTime<chrono::Utc>>,
    shared: &Shared,
) -> Settlement {
    let now = shared.clock.now();
    let made = i16::try_from(job.log.len()).unwrap_or(i16::MAX);
    let last = job.log.last_mut().expect("a request was just made");
    let prior = Prior {
        tries: job.prior.tries + made - 1,
        ..job.prior.clone()
    };
    let ended = Ended {
        outcome,
        prior: &prior,
        repeat: job.sendable.repeat,
        tried_at: last.tried_at,
        last_success_at,
    };
    let resolution = resolve::resolve(&ended, &lane.limits, now);
    last.is_counted = resolution.is_counted;
    let error_code = last.error_code.clone();
    let in_doubt_since = resolution.is_in_doubt.then_some(last.tried_at);
    Settlement {
        state: resolution.state,
        reason: resolution.reason,
        due_at: resolution.due_at,
        settled_at: (resolution.state != State::Pending).then_some(now),
        tries: prior.tries + 1,
        attempts: prior.attempts + i16::from(resolution.is_counted),
        first_tried_at: prior.first_tried_at.or(in_doubt_since),
        error_code,
        permit: Some(job.sendable.permit),
        log: job.log,
        ..lane.untouched(job.ticket, Some(&job.event), &job.prior)
    }
}

/// Tells the gate what the answer says of the destination as a whole.
async fn pass_on(
    lane: &Arc<Lane>,
    answer: &Answer,
    was_answered: bool,
    secret: &Secret,
    shared: &Shared,
) {
    let now = shared.clock.now();
    let was_shut = match answer.verdict {
        Verdict::All(Outcome::Accepted | Outcome::Sent | Outcome::Validated) => {
            let (was_held, was_shut) = {
                let mut gate = lane.gate();
                (gate.is_held(), gate.after_success(now))
            };
            if was_held && was_shut {
                holds::lift(lane, shared).await;
            }
            was_shut
        }
        Verdict::BatchRejected | Verdict::All(Outcome::Rejected | Outcome::Unrecognised) => {
            lane.gate().after_refusal()
        }
        Verdict::All(Outcome::Miscounted) => lane.gate().after_refusal(),
        Verdict::All(Outcome::Ambiguous) if was_answered => lane.gate().after_refusal(),
        Verdict::All(Outcome::Ambiguous) => {
            lane.gate().after_failure(now, None);
            false
        }
        Verdict::All(Outcome::Retry { after, .. }) => {
            lane.gate().after_failure(
                now,
                after.map(|after| after.min(lane.limits.schedule.retry_after_cap)),
            );
            false
        }
        Verdict::All(Outcome::RateLimited { after }) => {
            lane.gate()
                .after_throttling(now, after, &lane.limits.schedule);
            false
        }
        Verdict::All(Outcome::Hold(hold)) => {
            holds::hold(lane, hold, answer.code.as_deref(), secret, shared).await;
            false
        }
    };
    if was_shut {
        tracing::info!(
            destination = lane.destination.name,
            "the destination answers again"
        );
    }
    let circuit = lane.gate().circuit();
    lane.metrics.circuit(circuit);
}

fn report_notice(lane: &Lane, answer: &Answer) {
    let Some(notice) = answer.notice else { return };
    let advice = match notice {
        Notice::VersionWarning => {
            "the platform warns that this API version is about to end: configure a newer one"
        }
        Notice::CountMismatch => {
            "the platform counted other than what was sent: compare in its events manager"
        }
        Notice::UnrecognisedCode => {
            "the platform answered with a code that is not known: look at the delivery's error_code"
        }
        Notice::WrongAddress => "the address is not the platform's: check base_url",
    };
    tracing::warn!(
        destination = lane.destination.name,
        notice = notice.as_str(),
        code = answer.code,
        advice,
        "notice from the platform"
    );
}

fn process_spans(
    lane: &Lane,
    jobs: &[Job],
    shared: &Shared,
) -> (Vec<Option<RowContext>>, Vec<Span>) {
    jobs.iter()
        .map(|job| {
            let row = RowContext::parse(
                job.event.traceparent.as_deref(),
                job.event.tracestate.as_deref(),
            );
            let attempt = u32::try_from(job.prior.tries).unwrap_or(0) + 1;
            let span = spans::process(
                &spans::Delivery {
                    destination: &lane.destination.name,
                    event_id: &job.event.event_id,
                    business_id: &job.event.business_id,
                    event_type: &job.event.event_name,
                    attempt,
                    row: row.as_ref(),
                },
                shared.relation,
            );
            (row, span)
        })
        .unzip()
}
