//! What an answer means: for each event of the request, and for the destination as a whole.

use super::Shared;
use super::exchange::Exchange;
use super::holds;
use super::lane::{Job, Lane};
use super::quiet;
use crate::outcome::{Outcome, Reason, RowAnswer, Verdict};
use crate::settle::Try;

/// What becomes of the events of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Refused whole, and some event of several is the culprit: halves go on.
    Split,
    /// Each by itself, in the order of the request.
    Each(Vec<RowAnswer>),
}

/// Reads the verdict for these jobs. A refused batch of one is a refused event. A code that nobody has described is tried
/// once more, then taken for a refusal.
pub(super) fn fate(exchange: &Exchange, jobs: &[Job]) -> Fate {
    // A token that was refused says nothing of the event.
    let is_refusal = |one: &Try| one.outcome != "hold";
    let was_refused = |job: &Job| job.prior.refusals > 0 || job.log.iter().any(is_refusal);
    let alike = |outcome| {
        Fate::Each(
            jobs.iter()
                .map(|_| RowAnswer {
                    outcome,
                    code: exchange.answer.code.clone(),
                })
                .collect(),
        )
    };
    match &exchange.answer.verdict {
        Verdict::BatchRejected if jobs.len() == 1 => alike(Outcome::Rejected),
        Verdict::BatchRejected => Fate::Split,
        Verdict::All(Outcome::Unrecognised) if jobs.iter().any(was_refused) => {
            if jobs.len() > 1 {
                Fate::Split
            } else {
                alike(Outcome::Rejected)
            }
        }
        Verdict::All(outcome) => alike(*outcome),
        // An answer that tells of other events than were sent tells of none.
        Verdict::Each(rows) if rows.len() != jobs.len() => alike(Outcome::Ambiguous),
        Verdict::Each(rows) => Fate::Each(
            rows.iter()
                .zip(jobs)
                .map(|(row, job)| match row.outcome {
                    Outcome::Unrecognised if was_refused(job) => RowAnswer {
                        outcome: Outcome::Rejected,
                        code: row.code.clone(),
                    },
                    _ => row.clone(),
                })
                .collect(),
        ),
    }
}

/// Tells gate, holds and rules what the answer says beyond its events.
pub(super) async fn pass_on(
    lane: &Lane,
    exchange: &Exchange,
    rule: Option<&str>,
    is_probe: bool,
    shared: &Shared,
) {
    let now = shared.clock.now();
    let was_shut = match of_destination(&exchange.answer.verdict) {
        Said::Works => {
            let (why, was_shut) = {
                let mut gate = lane.gate();
                (gate.why_shut(), gate.after_success(now, is_probe))
            };
            if was_shut {
                lift(lane, why, shared).await;
            }
            was_shut
        }
        Said::Refuses => {
            let (why, was_shut) = {
                let mut gate = lane.gate();
                (gate.why_shut(), gate.after_refusal(is_probe))
            };
            // Who finds fault with an event lets us in.
            let is_hold = why == Some(Reason::DestinationHeld);
            if was_shut && !(is_hold && is_of_rule(&exchange.answer.verdict)) {
                lift(lane, why, shared).await;
            }
            was_shut
        }
        Said::NothingYet if exchange.status.is_some() => lane.gate().after_refusal(is_probe),
        Said::NothingYet => {
            lane.gate().after_failure(now, None);
            false
        }
        Said::Fails(Outcome::Retry { after, .. }) => {
            lane.gate().after_failure(
                now,
                after.map(|after| after.min(lane.limits.schedule.retry_after_cap)),
            );
            false
        }
        Said::Fails(Outcome::RateLimited { after }) => {
            quiet::throttle(lane, after, is_probe, shared).await;
            false
        }
        Said::Fails(Outcome::Hold(hold)) => {
            let code = first_code(exchange, Outcome::Hold(hold));
            let refused = exchange.fingerprint.as_deref();
            holds::hold(lane, hold, code, refused, shared).await;
            false
        }
        Said::Fails(_) => unreachable!("only these three are about the destination"),
    };
    if was_shut {
        tracing::info!(
            destination = lane.destination.name,
            "the destination answers again"
        );
    }
    let circuit = lane.gate().circuit();
    lane.metrics.circuit(circuit);
    let Some(rule) = rule else { return };
    if is_of_rule(&exchange.answer.verdict) {
        let code = first_code(exchange, Outcome::HoldRule);
        holds::hold_rule(lane, rule, code, shared).await;
    } else if outcomes(&exchange.answer.verdict).any(proves_rule) {
        holds::lift_rule(lane, rule, shared).await;
    }
}

/// The gate opened: why it was shut goes from the record.
async fn lift(lane: &Lane, why: Option<Reason>, shared: &Shared) {
    match why {
        Some(Reason::DestinationHeld) => holds::lift(lane, shared).await,
        Some(Reason::RateLimited) => quiet::calm(lane, shared).await,
        _ => {}
    }
}

/// What an answer says of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// It took something.
    Works,
    /// It answers, and found fault with what was sent.
    Refuses,
    /// No answer, or one that cannot be read.
    NothingYet,
    /// It fails, throttles, or does not let us in.
    Fails(Outcome),
}

/// The gravest of what it says of any event, for what concerns the destination concerns all.
fn of_destination(verdict: &Verdict) -> Said {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Hold(_) => 5,
        Outcome::RateLimited { .. } => 4,
        Outcome::Accepted
        | Outcome::Duplicate
        | Outcome::Unmatched
        | Outcome::Sent
        | Outcome::Validated
        | Outcome::TooEarly { .. } => 3,
        Outcome::Retry { .. } => 2,
        Outcome::Ambiguous => 1,
        Outcome::Rejected
        | Outcome::Unrecognised
        | Outcome::Miscounted
        | Outcome::Bystander
        | Outcome::HoldRule => 0,
    };
    let Some(gravest) = outcomes(verdict).max_by_key(rank) else {
        return Said::Refuses;
    };
    match rank(&gravest) {
        5 | 4 | 2 => Said::Fails(gravest),
        3 => Said::Works,
        1 => Said::NothingYet,
        _ => Said::Refuses,
    }
}

fn is_of_rule(verdict: &Verdict) -> bool {
    outcomes(verdict).any(|outcome| outcome == Outcome::HoldRule)
}

fn outcomes(verdict: &Verdict) -> impl Iterator<Item = Outcome> + '_ {
    let (one, each): (Option<Outcome>, &[RowAnswer]) = match verdict {
        Verdict::All(outcome) => (Some(*outcome), &[]),
        Verdict::BatchRejected => (None, &[]),
        Verdict::Each(rows) => (None, rows),
    };
    one.into_iter().chain(each.iter().map(|row| row.outcome))
}

/// Whether it shows that the rule works: an event was taken for it, or refused for its own sake.
fn proves_rule(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Accepted | Outcome::Duplicate | Outcome::Unmatched | Outcome::Sent
    )
}

fn first_code(exchange: &Exchange, outcome: Outcome) -> Option<&str> {
    let of_row = match &exchange.answer.verdict {
        Verdict::Each(rows) => rows
            .iter()
            .find(|row| row.outcome == outcome)
            .and_then(|row| row.code.as_deref()),
        _ => None,
    };
    of_row.or(exchange.answer.code.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Hold;

    fn each(outcomes: &[Outcome]) -> Verdict {
        let rows = outcomes.iter().map(|&outcome| RowAnswer {
            outcome,
            code: None,
        });
        Verdict::Each(rows.collect())
    }

    #[test]
    fn what_concerns_the_destination_outweighs_its_events() {
        let failed = Outcome::Retry {
            after: None,
            delivered: true,
        };
        let throttled = Outcome::RateLimited { after: None };
        let held = Outcome::Hold(Hold::Permission);
        for (outcomes, said) in [
            (&[Outcome::Rejected, Outcome::Accepted][..], Said::Works),
            (&[failed, Outcome::Accepted], Said::Works),
            (&[failed, Outcome::Rejected], Said::Fails(failed)),
            (&[throttled, Outcome::Accepted], Said::Fails(throttled)),
            (&[Outcome::Accepted, held, throttled], Said::Fails(held)),
            (&[Outcome::Rejected, Outcome::Bystander], Said::Refuses),
            (&[Outcome::HoldRule], Said::Refuses),
            (&[Outcome::Ambiguous], Said::NothingYet),
        ] {
            assert_eq!(of_destination(&each(outcomes)), said, "{outcomes:?}");
        }
        assert_eq!(of_destination(&Verdict::BatchRejected), Said::Refuses);
        assert_eq!(
            of_destination(&Verdict::All(Outcome::Miscounted)),
            Said::Refuses
        );
    }
}
