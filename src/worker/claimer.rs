//! Finds work: fresh events from the queue, and waiting deliveries whose time has come. Polling is the truth; there is
//! nothing to miss.
//!
//! A look at the queue starts at the low-water mark, a little behind the highest event seen, so that dead rows at its
//! head cost nothing; a sweep from the very beginning every few seconds finds late commits and expired leases.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::dispatch::put_back;
use super::gate::Pass;
use super::inbox::Class;
use super::lane::{Lane, Room};
use super::patience::Patience;
use super::recall::Seen;
use super::settler::Message;
use super::{Shared, is_over, trace};
use crate::claim::{self, Claimed, Terms};
use crate::consent::{Choice, Signal};
use crate::decide::lost::LostClaim;
use crate::decide::{self, Decision, Sendable};
use crate::event::OutboxEvent;
use crate::outcome::{Reason, State};
use crate::suppression;
use crate::telemetry::health::Part;
use crate::telemetry::metrics::Coverage;
use crate::telemetry::spans;

/// How far behind the highest event number seen a look begins. Numbers are given out before commit, so neighbours may
/// become visible late; more than this many concurrent inserts are found by the sweep.
const MARK_LAG: i64 = 4000;

/// How long there may be no place in memory before a slow lane makes room.
const CROWDED: Duration = Duration::from_millis(100);

/// How often waiting deliveries are looked at.
const DUE_POLL: Duration = Duration::from_millis(100);

/// Claims fresh events until told to stop. `places` bounds the events in memory.
pub(super) async fn fresh(
    lanes: Vec<Arc<Lane>>,
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let mut look = Look::new(shared.worker.sweep);
    let mut pause = shared.worker.poll_min;
    let mut patience = Patience::default();
    let batch = shared.worker.batch_events as usize;
    // Halved while a claim fails on the content of some row, until that row is alone.
    let mut wanted = batch;
    loop {
        shared.health.tick_claim_loop();
        if shared.is_behind.load(Ordering::Relaxed) {
            // What is wrong is told by whoever has results to write.
            shared.works(Part::Claims);
            if is_over(&mut stop, pause).await {
                return;
            }
            continue;
        }
        let Some(free) = free_places(&places, wanted, &lanes, &shared, &mut stop).await else {
            return;
        };
        let above = look.above();
        let limit = free.len();
        let span = spans::receive();
        let started = Instant::now();
        let terms = Terms {
            limit: limit as i64,
            lease: shared.worker.lease,
            clock: shared.clock.for_database(),
        };
        match claim::claim_events(&shared.database, above, terms).await {
            Ok(claimed) => {
                trace::received(&span, &claimed);
                drop(span);
                shared.works(Part::Claims);
                patience.after_success();
                wanted = (wanted * 2).min(batch);
                shared
                    .metrics
                    .claimed(claimed.len(), limit, started.elapsed());
                let is_full = claimed.len() == limit;
                look.seen(&claimed, is_full);
                pause = if claimed.is_empty() {
                    (pause * 2).min(shared.worker.poll_max)
                } else {
                    shared.worker.poll_min
                };
                fan_out(claimed, free, &lanes, &shared).await;
                if is_full {
                    continue;
                }
            }
            Err(error) if error.is_about_data() => {
                spans::nothing_received(&span);
                shared.metrics.claim_failed();
                tracing::warn!(%error, events = limit, "some event cannot be read; looking for it");
                wanted = (limit / 2).max(1);
                if limit > 1 {
                    continue;
                }
                end_unread(above, terms, free, &lanes, &shared).await;
                pause = shared.worker.poll_min;
            }
            Err(error) => {
                spans::nothing_received(&span);
                shared.fails(Part::Claims, &error);
                shared.metrics.claim_failed();
                tracing::warn!(%error, "events could not be claimed; trying again");
                pause = patience.after_failure();
            }
        }
        if is_over(&mut stop, pause).await {
            return;
        }
    }
}

/// Claims waiting deliveries until told to stop, each destination by itself and only as much as it can send.
pub(super) async fn due(
    lanes: Vec<Arc<Lane>>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let mut patience = Patience::default();
    loop {
        let claimed = match shared.is_behind.load(Ordering::Relaxed) {
            true => Ok(false),
            false => claim_due(&lanes, &shared).await,
        };
        let pause = match claimed {
            Ok(has_more) => {
                patience.after_success();
                if has_more { Duration::ZERO } else { DUE_POLL }
            }
            Err(error) => {
                tracing::warn!(%error, "waiting deliveries could not be claimed; trying again");
                patience.after_failure()
            }
        };
        if is_over(&mut stop, pause).await {
            return;
        }
    }
}

/// Returns whether some destination has more that is due. One that cannot be claimed from does not keep the others from it.
async fn claim_due(
    lanes: &[Arc<Lane>],
    shared: &Shared,
) -> Result<bool, crate::db::error::DatabaseError> {
    let now = shared.clock.now();
    let ready: Vec<(&Arc<Lane>, Room)> = lanes
        .iter()
        .filter(|lane| !matches!(lane.gate().look(now), Pass::Shut(_)))
        .map(|lane| (lane, lane.room(shared.worker.lease)))
        .filter(|(_, room)| room.waiting > 0)
        .collect();
    if ready.is_empty() {
        return Ok(false);
    }
    let names: Vec<String> = ready
        .iter()
        .map(|(lane, _)| lane.destination.name.clone())
        .collect();
    let due_at = claim::next_due(&shared.database, &names, shared.clock.for_database()).await?;
    let is_due = |lane: &Lane| {
        due_at
            .get(&lane.destination.name)
            .is_some_and(|due_at| *due_at <= now)
    };
    let mut was_full = false;
    let mut failed = None;
    for (lane, room) in ready.into_iter().filter(|(lane, _)| is_due(lane)) {
        let limit = room.waiting.min(shared.worker.batch_events as usize);
        let replays = room.replayed.min(limit);
        let terms = Terms {
            limit: limit as i64,
            lease: shared.worker.lease,
            clock: shared.clock.for_database(),
        };
        let name = &lane.destination.name;
        let span = spans::receive();
        let claimed = match claim::claim_due(&shared.database, name, replays as i64, terms).await {
            Ok(claimed) => claimed,
            Err(error) if error.is_about_data() => {
                spans::nothing_received(&span);
                tracing::warn!(destination = name, %error, "waiting deliveries could not be read");
                continue;
            }
            Err(error) => {
                spans::nothing_received(&span);
                failed = Some(error);
                continue;
            }
        };
        trace::received(&span, &claimed);
        drop(span);
        was_full |= claimed.len() == limit && lane.gate().is_wide_open();
        count_rescues(&claimed, shared);
        let claimed = marked(claimed, shared).await;
        for claimed in &claimed {
            let seen = Arc::new(Seen::by(claimed));
            hand_to(lane, claimed, &seen, shared).await;
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(was_full),
    }
}

/// Ends the event whose row cannot be read, at every destination.
async fn end_unread(
    above: i64,
    terms: Terms,
    free: Vec<OwnedSemaphorePermit>,
    lanes: &[Arc<Lane>],
    shared: &Shared,
) {
    match claim::claim_unread(&shared.database, above, terms).await {
        Ok(Some(ticket)) => {
            let place = free.into_iter().next().expect("a claim has a place");
            shared
                .report(Message::Opened(ticket, lanes.len(), place))
                .await;
            for lane in lanes {
                let now = shared.clock.now();
                let refused = lane.refuse(ticket, Reason::InvalidEvent, "row", now);
                shared.report(Message::Settled(refused)).await;
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "the event that cannot be read could not be ended"),
    }
}

/// Takes each event to every destination that still needs it.
async fn fan_out(
    events: Vec<Claimed>,
    places: Vec<OwnedSemaphorePermit>,
    lanes: &[Arc<Lane>],
    shared: &Shared,
) {
    if events.is_empty() {
        return;
    }
    let events = marked(events, shared).await;
    count_rescues(&events, shared);
    for (claimed, place) in events.iter().zip(places) {
        let open: Vec<&Arc<Lane>> = lanes
            .iter()
            .filter(|lane| !claimed.done.contains(&lane.destination.name))
            .collect();
        shared
            .report(Message::Opened(claimed.ticket, open.len(), place))
            .await;
        if let (Ok(event), 1) = (&claimed.event, claimed.ticket.claim_no) {
            shared.metrics.covered(&event.event_name, &coverage(event));
        }
        if claimed.lost_at.is_some() {
            // The lost worker had settled these: they are not delivered again.
            let done = claimed.done.len() as u64;
            shared.metrics.duplicates("dispatch", done);
        }
        let seen = Arc::new(Seen::by(claimed));
        for lane in open {
            hand_to(lane, claimed, &seen, shared).await;
        }
    }
}

/// Decides about one event for one destination and hands the decision to its lane.
async fn hand_to(lane: &Lane, claimed: &Claimed, seen: &Arc<Seen>, shared: &Shared) {
    let event = match &claimed.event {
        Ok(event) => event,
        Err(fault) => {
            let refused = lane.refuse(
                claimed.ticket,
                Reason::InvalidEvent,
                fault.column,
                shared.clock.now(),
            );
            return shared.report(Message::Settled(refused)).await;
        }
    };
    let now = shared.clock.now();
    let (destination, code) = (&lane.destination, shared.calling_code);
    let (around, prior) = (&claimed.around, &claimed.prior);
    // Whatever an event holds, it must not stop the others: a panic is this delivery's own end.
    let judged = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let lost = claimed.lost_at.and_then(|at| {
            let claim = LostClaim {
                at,
                lease: shared.worker.lease,
                came_with: &claimed.came_with,
            };
            let sent =
                decide::lost::may_have_left(event, around, destination, code, prior, &claim)?;
            Some(Judged::InDoubt(sent, at))
        });
        lost.unwrap_or_else(|| {
            let decision = decide::decide(event, around, destination, code, prior, now);
            Judged::Now(told(decision, claimed))
        })
    }))
    .unwrap_or(Judged::Now(Decision::End(
        State::Rejected,
        Reason::Defect,
        None,
    )));
    match judged {
        Judged::Now(decision) => lane.take(shared, claimed, event, seen, decision).await,
        Judged::InDoubt(sendable, lost_at) => {
            let doubt = lane.in_doubt(claimed, event, sendable, lost_at, shared);
            shared.report(Message::Settled(doubt)).await;
        }
    }
}

/// What is to become of a claimed event at one destination.
enum Judged {
    /// This, now.
    Now(Decision),
    /// First it is written down that a lost worker may have sent this, by that time; what follows is decided knowing it.
    InDoubt(Sendable, DateTime<Utc>),
}

/// The same with what the suppression list says of them.
async fn marked(mut claimed: Vec<Claimed>, shared: &Shared) -> Vec<Claimed> {
    let keys = shared.subject_keys.as_ref();
    suppression::mark(&shared.database, keys, shared.calling_code, &mut claimed).await;
    claimed
}

/// An erasure that ends what a lost worker held cannot say that nothing had left.
fn told(decision: Decision, claimed: &Claimed) -> Decision {
    match decision {
        Decision::End(state, Reason::Erased, None) if claimed.lost_at.is_some() => {
            Decision::End(state, Reason::Erased, Some("lease_lost"))
        }
        decision => decision,
    }
}

/// Where to look next.
struct Look {
    sweep: Duration,
    swept_at: Option<Instant>,
    highest: i64,
    is_sweeping: bool,
}

impl Look {
    fn new(sweep: Duration) -> Look {
        Look {
            sweep,
            swept_at: None,
            highest: 0,
            is_sweeping: true,
        }
    }

    /// The mark, or nought when it is time to sweep.
    fn above(&mut self) -> i64 {
        self.is_sweeping = self.swept_at.is_none_or(|at| at.elapsed() >= self.sweep);
        if self.is_sweeping {
            0
        } else {
            (self.highest - MARK_LAG).max(0)
        }
    }

    /// A sweep is over when it did not find as much as it could carry.
    fn seen(&mut self, claimed: &[Claimed], is_full: bool) {
        self.highest = claimed
            .iter()
            .map(|claimed| claimed.ticket.event_no)
            .fold(self.highest, i64::max);
        if self.is_sweeping && !is_full {
            self.swept_at = Some(Instant::now());
        }
    }
}

/// At least one place in memory, at most `wanted`; nothing when the worker stops. While there is none and some lane has
/// nothing to do, the fullest lane gives back what it holds: a slow destination must not keep events from a quick one.
async fn free_places(
    places: &Arc<Semaphore>,
    wanted: usize,
    lanes: &[Arc<Lane>],
    shared: &Shared,
    stop: &mut watch::Receiver<bool>,
) -> Option<Vec<OwnedSemaphorePermit>> {
    let first = loop {
        tokio::select! {
            biased;
            () = super::stopped(stop) => return None,
            place = places.clone().acquire_owned() => break place.expect("the semaphore is never closed"),
            () = tokio::time::sleep(CROWDED) => make_room(lanes, shared).await,
        }
        // It waits, and does not hang.
        shared.health.tick_claim_loop();
    };
    let mut free = vec![first];
    while free.len() < wanted
        && let Ok(place) = places.clone().try_acquire_owned()
    {
        free.push(place);
    }
    Some(free)
}

async fn make_room(lanes: &[Arc<Lane>], shared: &Shared) {
    let fullest = lanes.iter().max_by_key(|lane| lane.inbox.len(Class::Fresh));
    let is_any_idle = lanes.iter().any(|lane| lane.inbox.len(Class::Fresh) == 0);
    let Some(lane) = fullest.filter(|lane| is_any_idle && lane.inbox.len(Class::Fresh) > 0) else {
        return;
    };
    let jobs = lane.shed();
    tracing::debug!(
        destination = lane.destination.name,
        jobs = jobs.len(),
        "the destination is slow; its events wait in the database, so that others get theirs"
    );
    let now = shared.clock.now();
    put_back(lane, jobs, Reason::DestinationBusy, now, shared).await;
}

fn count_rescues(claimed: &[Claimed], shared: &Shared) {
    let rescued = claimed.iter().filter(|one| one.lost_at.is_some()).count();
    if rescued > 0 {
        shared.metrics.lease_expired(rescued as u64);
        tracing::warn!(rescued, "took over work whose lease had run out");
    }
}

fn coverage(event: &OutboxEvent) -> Coverage {
    let word = |signal| match event.consent.choice(signal) {
        Choice::Granted => "granted",
        Choice::Denied => "denied",
        Choice::Unspecified => "unspecified",
    };
    Coverage {
        click_id: event.click_ids.tells_a_click(),
        email: !event.user_data.email.is_empty(),
        phone: !event.user_data.phone.is_empty(),
        external_id: event.user_data.text("external_id").is_some(),
        consent: word(Signal::AdUserData),
    }
}
