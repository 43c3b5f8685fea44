//! Asks platforms that answer late what became of requests, until each answer is final.
//!
//! One question at a time for each destination, and none while its gate is shut: questions count against the same quota
//! as requests. A destination that is slow to answer holds up no other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{Instrument, Span};

use super::exchange::{self, Answered, Unsent};
use super::gate::Pass;
use super::lane::{Lane, Passage};
use super::patience::Patience;
use super::turns::Turn;
use super::{Shared, holds, is_over, quiet};
use crate::claim::Terms;
use crate::late::{self, Moved, OpenRequest, Settled};
use crate::outcome::{Hold, LateAnswer, LateVerdict, Outcome, State};
use crate::telemetry::context::Place;
use crate::telemetry::spans;

/// How often requests are looked for.
const POLL: Duration = Duration::from_millis(500);

/// Questions between two looks at a destination.
const AT_ONCE: usize = 20;

/// Asks one destination until told to stop; returns at once where there is nothing to ask.
pub(super) async fn run(lane: Arc<Lane>, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    if lane.destination.settings.asks_later().is_none() {
        return;
    }
    let mut patience = Patience::default();
    loop {
        let pause = match ask_all(&lane, &shared, &mut stop).await {
            Ok(()) => {
                patience.after_success();
                POLL
            }
            Err(error) => {
                tracing::warn!(destination = lane.destination.name, %error, "late answers could not be written; asking again");
                patience.after_failure().max(POLL)
            }
        };
        if is_over(&mut stop, pause).await {
            return;
        }
    }
}

async fn ask_all(
    lane: &Arc<Lane>,
    shared: &Shared,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), crate::db::error::DatabaseError> {
    let limit = match lane.gate().look(shared.clock.now()) {
        Pass::Open | Pass::Full => AT_ONCE.min(lane.turns_within(shared.worker.lease)),
        // There may be nothing else that could find out whether it works again.
        Pass::Probe => 1,
        Pass::Shut(_) => 0,
    };
    if limit == 0 {
        return Ok(());
    }
    let terms = Terms {
        limit: limit as i64,
        lease: shared.worker.lease,
        clock: shared.clock.for_database(),
    };
    for request in late::claim(&shared.database, &lane.destination.name, terms).await? {
        // What is not asked now comes back when its lease runs out.
        let Some((passage, turn)) = may_ask(lane, shared, stop).await else {
            return Ok(());
        };
        let is_probe = passage.as_ref().is_some_and(Passage::is_probe);
        let size = usize::try_from(request.deliveries).unwrap_or(0);
        let span = spans::late(&lane.destination.name, &request.told, size);
        ask(lane, &request, is_probe, turn, &span, shared, stop)
            .instrument(span.clone())
            .await?;
    }
    Ok(())
}

/// The right to ask one question. Where all is well it needs no place among the requests, or a busy lane would never ask.
async fn may_ask(
    lane: &Arc<Lane>,
    shared: &Shared,
    stop: &mut watch::Receiver<bool>,
) -> Option<(Option<Passage>, Turn)> {
    let is_wide_open = lane.gate().is_wide_open();
    let passage = match is_wide_open {
        true => None,
        false => Some(lane.enter(shared.clock.now()).ok()?),
    };
    let turn = tokio::select! {
        biased;
        () = super::stopped(stop) => return None,
        turn = lane.turn(shared) => turn.ok()?,
    };
    let is_probe = passage.as_ref().is_some_and(Passage::is_probe);
    if is_probe && let Some(until) = quiet::take_probe(lane, shared).await {
        lane.gate().wait_until(until);
        return None;
    }
    Some((passage, turn))
}

async fn ask(
    lane: &Lane,
    request: &OpenRequest,
    is_probe: bool,
    turn: Turn,
    span: &Span,
    shared: &Shared,
    stop: &mut watch::Receiver<bool>,
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
    let asking = exchange::signed(
        lane,
        question,
        turn,
        &[],
        std::slice::from_ref(span),
        shared,
        |reply| {
            read(reply).is_some_and(|answer| {
                answer.verdict == LateVerdict::Unasked(Outcome::Hold(Hold::Credential))
            })
        },
    );
    let answered = tokio::select! {
        biased;
        // Whoever asks next gets the same answer.
        _ = stop.wait_for(|&stop| stop) => {
            spans::finish(span, "not_asked", None);
            return Ok(());
        }
        answered = asking => answered,
    };
    let unasked = LateAnswer {
        verdict: LateVerdict::Unasked(Outcome::Ambiguous),
        status: None,
        took_some: false,
        reasons: Vec::new(),
        notice: None,
    };
    let (answer, fingerprint) = match answered {
        Ok(Answered { reply, token, .. }) => (
            reply.ok().and_then(|reply| read(&reply)).unwrap_or(unasked),
            Some(token.fingerprint),
        ),
        Err(Unsent::Token(error)) => {
            tracing::warn!(destination = lane.destination.name, %error, "no token to ask with");
            (unasked, None)
        }
        // A question carries nobody.
        Err(Unsent::Halted(_)) => (unasked, None),
    };
    pass_on(
        lane,
        request,
        is_probe,
        &answer,
        fingerprint.as_deref(),
        shared,
    )
    .await;

    let now = shared.clock.now();
    let settled = late::resolve(answer.verdict, request, later, &lane.limits, now);
    let (word, is_failure) = named(answer.verdict);
    spans::finish(span, word, is_failure.then_some(word));
    let settling = spans::settle(request.told.iter().cloned(), sent);
    let statement = spans::write(&settling);
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
    .inspect_err(|error| {
        spans::write_failed(&statement, error.code());
        spans::settle_failed(&settling, error.code());
    })?;
    drop((statement, settling));
    tell(lane, request, &answer, &settled, &moved, shared);
    Ok(())
}

/// What a span says of an answer, and whether that is a failure.
fn named(verdict: LateVerdict) -> (&'static str, bool) {
    match verdict {
        LateVerdict::Open => ("open", false),
        LateVerdict::All(outcome) => (
            outcome.as_str(),
            !matches!(outcome.as_str(), "accepted" | "sent"),
        ),
        LateVerdict::SomeFailed { .. } => ("partly_failed", true),
        LateVerdict::SomeUnmatched => ("accepted", false),
        LateVerdict::Forgotten => ("forgotten", true),
        LateVerdict::Unasked(_) => ("unasked", true),
    }
}

/// Tells gate, holds and rules what the answer says beyond the request's events. As a probe it opens a gate that failures
/// or throttling shut; a hold is lifted by an event alone, for it may be of what events are sent to.
async fn pass_on(
    lane: &Lane,
    request: &OpenRequest,
    is_probe: bool,
    answer: &LateAnswer,
    fingerprint: Option<&str>,
    shared: &Shared,
) {
    let code = answer.reasons.first().map(|(reason, _)| reason.as_str());
    let now = shared.clock.now();
    match answer.verdict {
        LateVerdict::Unasked(Outcome::RateLimited { after }) => {
            quiet::throttle(lane, after, is_probe, shared).await;
        }
        LateVerdict::Unasked(Outcome::Hold(hold)) | LateVerdict::All(Outcome::Hold(hold)) => {
            holds::hold(lane, hold, code, fingerprint, shared).await;
        }
        LateVerdict::All(Outcome::HoldRule) => {
            if let Some(rule) = &request.rule {
                holds::hold_rule(lane, rule, code, shared).await;
            }
        }
        LateVerdict::Unasked(_) if is_probe => lane.gate().after_failure(now, None),
        LateVerdict::Unasked(_) => {}
        _ if is_probe && !lane.gate().is_held() => {
            lane.gate().after_refusal(true);
            quiet::calm(lane, shared).await;
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
            // When it was taken is known since it was sent.
            lane.metrics
                .settled(&one.event_name, becomes.state.as_str());
            if becomes.reason == Some(crate::outcome::Reason::Duplicate) {
                shared.metrics.duplicates("platform", 1);
            }
        }
        if becomes.state == State::Rejected {
            tracing::warn!(
                event_id = one.event_id,
                destination = lane.destination.name,
                result = becomes.state.as_str(),
                reason,
                code = answer.reasons.first().map(|(reason, _)| reason.as_str()),
                trace_id = one.told.as_ref().map(Place::trace_id),
                span_id = one.told.as_ref().map(Place::span_id),
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
