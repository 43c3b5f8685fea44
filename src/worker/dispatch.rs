//! A lane's jobs on their way out: a place among the requests, then gate, rule, turn and probe, in this order. What may not
//! go now goes back to the database at once; what may go soon waits here, with a lease that outlasts the wait.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::gate::Pass;
use super::lane::{Job, Lane, Passage};
use super::rules::RulePass;
use super::settler::Message;
use super::turns::{NotBefore, Turn};
use super::{Shared, attempt, company, quiet, stopped};
use crate::outcome::Reason;

/// Sends a lane's jobs until told to stop; then gives back what was not sent and waits for what is under way.
pub(super) async fn run(lane: Arc<Lane>, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(lane.destination.concurrency as usize));
    let mut requests = JoinSet::new();
    let size = lane.destination.batch_size as usize;
    loop {
        let batch = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            batch = lane.inbox.take(size) => batch,
        };
        // Each lot goes by itself: a slow conversion action holds up no other.
        for mut parts in company::lots(batch, size) {
            while let Some(part) = parts.pop() {
                let way = let_out(&lane, part, &slots, &shared, &mut stop).await;
                lane.moves();
                match way {
                    Way::Out(part, leave) => {
                        let mut parts = std::mem::take(&mut parts);
                        parts.push(part);
                        let (lane, shared) = (lane.clone(), shared.clone());
                        requests.spawn(async move {
                            attempt::deliver(&lane, parts, &leave.passage, leave.turn, &shared)
                                .await;
                            drop(leave.slot);
                        });
                    }
                    Way::Back => {}
                    Way::Stop(part) => give_back(&lane, part, &shared).await,
                }
            }
            while let Some(ended) = requests.try_join_next() {
                report_panic(ended);
            }
        }
    }
    give_back(&lane, lane.inbox.clear(), &shared).await;
    while let Some(ended) = requests.join_next().await {
        report_panic(ended);
    }
}

/// Where a part goes.
enum Way {
    Out(Vec<Job>, Leave),
    /// It went back to the database.
    Back,
    Stop(Vec<Job>),
}

/// All that a request needs to leave.
struct Leave {
    slot: OwnedSemaphorePermit,
    passage: Passage,
    turn: Turn,
}

async fn let_out(
    lane: &Arc<Lane>,
    mut part: Vec<Job>,
    slots: &Arc<Semaphore>,
    shared: &Shared,
    stop: &mut watch::Receiver<bool>,
) -> Way {
    let slot = tokio::select! {
        biased;
        () = stopped(stop) => return Way::Stop(part),
        slot = slots.clone().acquire_owned() => slot.expect("the semaphore is never closed"),
    };
    let passage = loop {
        let somebody_left = lane.left.notified();
        match lane.enter(shared.clock.now()) {
            Ok(passage) => break passage,
            Err(Pass::Shut(reason)) => {
                put_back(lane, part, reason, shared.clock.now(), shared).await;
                return Way::Back;
            }
            Err(_) => tokio::select! {
                biased;
                () = stopped(stop) => return Way::Stop(part),
                () = somebody_left => {}
            },
        }
    };
    let Some(lot) = part.first().map(|job| job.sendable.item.lot.clone()) else {
        return Way::Back;
    };
    let by_rule = lane.rules().ask(&lot, shared.clock.now());
    if let RulePass::Wait(until) = by_rule {
        put_back(lane, part, Reason::RuleHeld, until, shared).await;
        return Way::Back;
    }
    // A probe is one delivery: if it is taken after all and the answer lost, that is all there is to doubt.
    if passage.is_probe() || by_rule == RulePass::Probe {
        let rest = part.split_off(1);
        let (reason, due_at) = probed(lane, by_rule, shared);
        put_back(lane, rest, reason, due_at, shared).await;
    }
    let turn = tokio::select! {
        biased;
        () = stopped(stop) => return Way::Stop(part),
        turn = lane.turn(shared) => match turn {
            Ok(turn) => turn,
            Err(NotBefore(at)) => {
                let wait = at.saturating_duration_since(tokio::time::Instant::now());
                let due_at = shared.clock.now() + wait;
                put_back(lane, part, Reason::RateLimited, due_at, shared).await;
                return Way::Back;
            }
        },
    };
    if passage.is_probe()
        && let Some(until) = quiet::take_probe(lane, shared).await
    {
        lane.gate().wait_until(until);
        let (reason, due_at) = probed(lane, RulePass::Free, shared);
        put_back(lane, part, reason, due_at, shared).await;
        return Way::Back;
    }
    if by_rule == RulePass::Probe
        && let Some(rule) = &lot.rule
        && let Some(until) = quiet::take_rule_probe(lane, rule, shared).await
    {
        lane.rules().wait(rule, until);
        put_back(lane, part, Reason::RuleHeld, until, shared).await;
        return Way::Back;
    }
    let leave = Leave {
        slot,
        passage,
        turn,
    };
    Way::Out(part, leave)
}

/// Why the others wait while one probes, and until when.
fn probed(lane: &Lane, by_rule: RulePass, shared: &Shared) -> (Reason, DateTime<Utc>) {
    let now = shared.clock.now();
    let pass = lane.gate().look(now);
    match (by_rule, pass) {
        (RulePass::Probe, _) => (Reason::RuleHeld, lane.rules().probe_ends(now)),
        (_, Pass::Shut(reason)) => (reason, now),
        _ => (Reason::DestinationBusy, now),
    }
}

/// Gives jobs back to the database without having sent them.
pub(super) async fn put_back(
    lane: &Lane,
    jobs: Vec<Job>,
    reason: Reason,
    due_at: DateTime<Utc>,
    shared: &Shared,
) {
    for job in jobs {
        let settlement = lane.postponed(job, reason, due_at);
        shared.report(Message::Settled(settlement)).await;
    }
}

/// Whoever comes next need not wait for the lease.
async fn give_back(lane: &Lane, jobs: Vec<Job>, shared: &Shared) {
    for job in jobs {
        let unsent = Message::Unsent(job.ticket, lane.destination.name.clone());
        shared.report(unsent).await;
    }
}

/// The jobs of a request that panicked come back when their lease runs out.
fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err() {
        tracing::error!("a request panicked; its deliveries come back when their lease runs out");
    }
}
