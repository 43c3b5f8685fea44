//! Asks platforms that answer late what became of requests, until each answer is final.
//!
//! One question at a time for each destination, and none while its gate is shut: questions count against the same quota
//! as requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Shared;
use super::exchange::{self, Answered};
use super::gate::Pass;
use super::holds;
use super::lane::Lane;
use crate::claim::Terms;
use crate::late::{self, Moved, OpenRequest, Settled};
use crate::outcome::{Hold, LateAnswer, LateVerdict, Outcome, State};
use crate::telemetry::spans;

/// How often requests are looked for.
const POLL: Duration = Duration::from_millis(500);

/// Questions between two looks at a destination.
const AT_ONCE: i64 = 20;

/// Asks until told to stop.
pub(super) async fn run(
    lanes: Vec<Arc<Lane>>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let lanes: Vec<Arc<Lane>> = lanes
        .into_iter()
        .filter(|lane| lane.destination.settings.asks_later().is_some())
        .collect();
    loop {
        for lane in &lanes {
            if *stop.borrow() {
                return;
            }
            if let Err(error) = ask_all(lane, &shared, &stop).await {
                tracing::warn!(destination = lane.destination.name, %error, "late answers could not be written; asking again");
            }
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => return,
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn ask_all(
    lane: &Lane,
    shared: &Shared,
    stop: &watch::Receiver<bool>,
) -> Result<(), crate::db::error::DatabaseError> {
    if lane.gate().look(shared.clock.now()) != Pass::Open {
        return Ok(());
    }
    let terms = Terms {
        limit: AT_ONCE,
        lease: shared.worker.lease,
        clock: shared.clock.for_database(),
    };
    for request in late::claim(&shared.database, &lane.destination.name, terms).await? {
        // What is not asked now comes back when its lease runs out.
        if *stop.borrow() || lane.gate().look(shared.clock.now()) != Pass::Open {
            return Ok(());
        }
        ask(lane, &request, shared).await?;
    }
    Ok(())
}

async fn ask(
    lane: &Lane,
    request: &OpenRequest,
    shared: &Shared,
) -> Result<(), crate::db::error::DatabaseError> {
    let settings = &lane.destination.settings;
    let (Some(later), Some(question)) = (
        settings.asks_later(),
        settings.question(&lane.destination.base_url, &request.receipt),
    ) else {
        return Ok(());
    };
    let sent = usize::try_from(request.deliveries).unwrap_or(0);
    let read = |reply: &crate::destinations::Reply| settings.classify_late(reply, sent);
    let answered = exchange::signed(lane, question, &[], shared, |reply| {
        read(reply).is_some_and(|answer| {
            answer.verdict == LateVerdict::Unasked(Outcome::Hold(Hold::Credential))
        })
    })
    .await;
    let unasked = LateAnswer {
        verdict: LateVerdict::Unasked(Outcome::Ambiguous),
        status: None,
        reasons: Vec::new(),
        notice: None,
    };
    let (answer, fingerprint) = match answered {
        Ok(Answered { reply, token }) => (
            reply.ok().and_then(|reply| read(&reply)).unwrap_or(unasked),
            Some(token.fingerprint),
        ),
        Err(error) => {
            tracing::warn!(destination = lane.destination.name, %error, "no token to ask with");
            (unasked, None)
        }
    };
    pass_on(lane, request, &answer, fingerprint.as_deref(), shared).await;

    let now = shared.clock.now();
    let settled = late::resolve(answer.verdict, request, later, &lane.limits, now);
    let span = spans::settle(sent);
    let moved = late::settle(
        &shared.database,
        &lane.destination.name,
        request,
        &answer,
        &settled,
        shared.slot,
        now,
    )
    .await
    .inspect_err(|error| spans::settle_failed(&span, error.code()))?;
    tell(lane, request, &answer, &settled, &moved, shared);
    Ok(())
}

/// Tells gate, holds and rules what the answer says beyond the request's events.
async fn pass_on(
    lane: &Lane,
    request: &OpenRequest,
    answer: &LateAnswer,
    fingerprint: Option<&str>,
    shared: &Shared,
) {
    let code = answer.reasons.first().map(|(reason, _)| reason.as_str());
    let now = shared.clock.now();
    match answer.verdict {
        LateVerdict::Unasked(Outcome::RateLimited { after }) => {
            lane.gate()
                .after_throttling(now, after, &lane.limits.schedule);
        }
        LateVerdict::Unasked(Outcome::Hold(hold)) | LateVerdict::All(Outcome::Hold(hold)) => {
            holds::hold(lane, hold, code, fingerprint, shared).await;
        }
        LateVerdict::All(Outcome::HoldRule) => {
            if let Some(rule) = &request.rule {
                holds::hold_rule(lane, rule, code, shared).await;
            }
        }
        _ => {}
    }
}

/// Counts and logs what the answer moved.
fn tell(
    lane: &Lane,
    request: &OpenRequest,
    answer: &LateAnswer,
    settled: &Settled,
    moved: &[Moved],
    shared: &Shared,
) {
    let Some(becomes) = settled.becomes else {
        return;
    };
    let status = answer.status.as_deref();
    let reasons: Vec<String> = answer
        .reasons
        .iter()
        .map(|(reason, count)| format!("{reason}: {count}"))
        .collect();
    let reasons = reasons.join(", ");
    let reason = becomes.reason.map(crate::outcome::Reason::as_str);
    if let Some(notice) = answer.notice {
        exchange::report_notice(lane, notice, Some(&reasons));
    }
    for one in moved {
        if becomes.state != State::Pending && becomes.state != State::Sent {
            let latency = (becomes.state == State::Accepted)
                .then(|| (shared.clock.now() - one.recorded_at).to_std().ok())
                .flatten();
            lane.metrics
                .settled(&one.event_name, becomes.state.as_str(), latency);
        }
        if becomes.state == State::Rejected {
            tracing::warn!(
                event_id = one.event_id,
                destination = lane.destination.name,
                result = becomes.state.as_str(),
                reason,
                code = answer.reasons.first().map(|(reason, _)| reason.as_str()),
                "dead letter"
            );
        }
    }
    tracing::debug!(
        destination = lane.destination.name,
        deliveries = moved.len(),
        asked = request.asked + 1,
        status,
        reasons,
        result = becomes.state.as_str(),
        reason,
        "late answer"
    );
}
