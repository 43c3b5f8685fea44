//! The connection breaks at every statement of an event's whole life, at three places of its transaction. Nothing is lost,
//! nothing is sent twice, nothing is counted twice, and what was written is not taken for somebody else's.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform, Verdict};

use super::wire::{Place, Wire};
use crate::rig::{Rig, Running, Setup, lead, order};

/// Data Manager answers late; Meta recognises a repeat, GA4 does for orders and not for leads, LinkedIn does not.
const DESTINATIONS: [Destination; 4] = [
    Destination::GoogleDataManager,
    Destination::Meta,
    Destination::Ga4,
    Destination::LinkedIn,
];

/// What a lost line may leave behind under a lease that nobody holds.
#[derive(Clone, Copy)]
enum Abandoned {
    Nothing,
    Delivery,
    Question,
}

/// How many lives each destination has seen.
#[derive(Clone, Copy, Default)]
struct Lives {
    all: i64,
    asked_later: i64,
}

const ALL_FINAL: &str = "not exists (select from conversion_outbox.queue)
    and not exists (select from conversion_outbox.delivery where state = 'pending')";

/// What a life takes at least; without them the sweep would prove little.
const LEAST: [&str; 10] = [
    "register_destination",
    "claim_events",
    "next_due",
    "claim_due",
    "intend",
    "settle",
    "claim_requests",
    "settle_request",
    "destination_holds",
    "backlog",
];

#[tokio::test]
async fn a_connection_lost_before_a_statement_costs_a_moment() {
    sweep(Place::BeforeStatement).await;
}

#[tokio::test]
async fn a_connection_lost_before_a_commit_costs_a_moment() {
    sweep(Place::BeforeCommit).await;
}

#[tokio::test]
async fn a_commit_whose_acknowledgement_is_lost_is_not_done_twice() {
    sweep(Place::AfterCommit).await;
}

/// One life without a fault shows which statements there are; then one life for each of them, with the line cut there.
async fn sweep(place: Place) {
    let rig = Rig::new().await;
    let server = rig.server_port();
    let wire = Wire::to(server).await;
    rig.reach_by(&format!("127.0.0.1:{}", wire.port));
    let mut lives = Lives::default();
    let worker = live(&rig, &mut lives, true, Abandoned::Nothing).await;
    worker.drain().await;
    let statements = wire.seen();
    let missing: BTreeSet<&str> = LEAST
        .into_iter()
        .filter(|name| !statements.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {statements:?}");

    let mut cuts = 0;
    for statement in &statements {
        wire.cut(statement, place);
        // Late answers take their time, so only the lives that need them wait for them.
        let is_asked_later = statement.contains("request");
        // Claimed and not known of, or asked and not written: that comes back when its lease has run out.
        let abandoned = match statement.as_str() {
            "settle_request" => Abandoned::Question,
            "claim_requests" if place == Place::AfterCommit => Abandoned::Question,
            other if other.starts_with("claim_") && place == Place::AfterCommit => {
                Abandoned::Delivery
            }
            _ => Abandoned::Nothing,
        };
        let worker = live(&rig, &mut lives, is_asked_later, abandoned).await;
        assert!(!wire.uncut(), "{statement} was not sent in this life");
        cuts += 1;
        wire.struck(cuts).await;
        all_is_exact(&rig, &worker, lives, &format!("{place:?} {statement}")).await;
        worker.drain().await;
    }
}

/// An order and a lead: claimed, refused once by Meta with a 503, sent, settled, asked for later.
async fn live(rig: &Rig, lives: &mut Lives, is_asked_later: bool, abandoned: Abandoned) -> Running {
    let fault = rig.event_fault(FaultKind::Status, Platform::Meta, |fault| {
        (fault.status, fault.times) = (Some(503), Some(1));
    });
    let first = usize::from(!is_asked_later);
    let worker = rig.work_with(Setup::only(&DESTINATIONS[first..]));
    if !is_asked_later {
        // Otherwise events would wait for the worker of another life.
        rig.run("update conversion_outbox.destination set enabled = false where name = 'google_data_manager'")
            .await;
    }
    let id = format!("o-{}", lives.all);
    rig.insert(&[order(&id), lead(&id)]).await;
    lives.all += 1;
    lives.asked_later += i64::from(is_asked_later);
    until(
        rig,
        abandoned,
        "(select bool_and(state <> 'pending' or reason = 'retry' and lease_until is null)
                   from conversion_outbox.delivery)
                and not exists (select from conversion_outbox.queue)",
    )
    .await;
    rig.pass(TimeDelta::minutes(31));
    until(rig, abandoned, &format!("{ALL_FINAL} and not exists (select from conversion_outbox.request where settled_at is null)")).await;
    rig.sandbox.remove_fault(fault);
    worker
}

/// Time passes only where something may have been abandoned, and not while anything else is under way.
async fn until(rig: &Rig, abandoned: Abandoned, condition: &str) {
    match abandoned {
        Abandoned::Nothing => rig.until(condition).await,
        Abandoned::Delivery => super::until_with_time(rig, super::ONE_FAILURE, condition).await,
        Abandoned::Question => {
            for _ in 0..12 {
                if rig.until_for(super::ONE_FAILURE, condition).await {
                    return;
                }
                rig.later(TimeDelta::minutes(2)).await;
            }
            rig.until(condition).await;
        }
    }
}

async fn all_is_exact(rig: &Rig, worker: &Running, lives: Lives, cut: &str) {
    for (destination, platform, state, lives) in [
        ("meta", Platform::Meta, "accepted", lives.all),
        ("ga4", Platform::Ga4, "sent", lives.all),
        ("linkedin", Platform::LinkedIn, "accepted", lives.all),
        (
            "google_data_manager",
            Platform::GoogleDataManager,
            "accepted",
            lives.asked_later,
        ),
    ] {
        let count = 2 * lives;
        assert_eq!(
            rig.count(destination, state).await,
            count,
            "{cut}: {destination}"
        );
        let taken = rig.arrived(platform);
        let taken = taken.iter().filter(|row| row.verdict != Verdict::Fault);
        assert_eq!(
            i64::try_from(taken.count()).expect("a few"),
            count,
            "{cut}: {destination} has taken each event once"
        );
    }
    assert_eq!(rig.doubles(), 0, "{cut}");
    super::totals_are_exact(rig, cut).await;
    assert_eq!(
        worker.metric("conversion_outbox_late_settlements_total"),
        0.0,
        "{cut}: the worker's own results are not another's"
    );
}
