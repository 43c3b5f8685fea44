//! Workers killed at the worst moments, and a database that goes away: real processes, real signals.

use chrono::TimeDelta;
use conversion_outbox::sandbox::postgres::{Durability, Options};
use conversion_outbox::sandbox::{FaultKind, Platform, Verdict};

use crate::process::Process;
use crate::rig::{self, Rig, Setup, lead, order};

#[tokio::test]
async fn a_worker_killed_before_the_platform_took_anything_loses_nothing() {
    let rig = Rig::new().await;
    let held = [Platform::Meta, Platform::Ga4].map(|platform| {
        rig.fault(FaultKind::ResetBefore, platform, |fault| {
            fault.latency_ms = Some(600_000)
        })
    });
    let worker = Process::start(&rig, Setup::default());
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    // Both are under way: the purchase under the queue's lease, the lead announced.
    rig.until("exists (select from conversion_outbox.delivery where destination = 'ga4' and reason = 'sending')").await;
    for (rule, least) in held.into_iter().zip([1, 2]) {
        struck(&rig, rule, least).await;
    }
    worker.kill().await;
    rig.sandbox.clear_faults();
    rig.pass(TimeDelta::minutes(2));
    let second = rig.work();
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, 2);
    assert_eq!(rig.state("ga4", "order_paid:o-1").await, "sent");
    assert_eq!(
        rig.state("ga4", "lead_created:l-1").await,
        "uncertain/no_answer",
        "nobody knows that it never arrived"
    );
    assert_eq!(rig.doubles(), 0);
    second.drain().await;
}

/// A rule has struck so often: its requests have been read.
async fn struck(rig: &Rig, rule: u64, least: u64) {
    let striking = async {
        while rig.sandbox.struck(rule) < Some(least) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), striking)
        .await
        .expect("the requests arrive");
}

#[tokio::test]
async fn a_worker_killed_after_the_platform_took_it_doubles_nothing_that_counts() {
    let rig = Rig::new().await;
    let held = [Platform::Meta, Platform::Ga4].map(|platform| {
        rig.fault(FaultKind::HoldAfter, platform, |fault| {
            fault.times = Some(2)
        })
    });
    let worker = Process::start(
        &rig,
        Setup {
            meta: "batch_size = 1",
            ..Setup::default()
        },
    );
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    for rule in held {
        rig.held(rule, 2).await;
    }
    worker.kill().await;
    rig.pass(TimeDelta::minutes(2));
    let second = rig.work();
    rig.until_final().await;
    assert_eq!(
        rig.count("meta", "accepted").await,
        2,
        "sent again with the same id, within the window"
    );
    assert_eq!(
        rig.state("ga4", "lead_created:l-1").await,
        "uncertain/no_answer"
    );
    let ga4 = rig.arrived(Platform::Ga4);
    let of = |name: &str| {
        ga4.iter()
            .filter(|row| row.event_name.as_deref() == Some(name))
            .map(|row| row.verdict)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of("generate_lead"),
        [Verdict::Stored],
        "a lead is not sent again"
    );
    assert_eq!(of("purchase"), [Verdict::Stored, Verdict::Deduplicated]);
    second.drain().await;
}

#[tokio::test]
async fn killed_again_and_again_it_still_delivers_everything() {
    let rig = Rig::new().await;
    rig.insert(
        &(0..200)
            .map(|n| order(&format!("o-{n}")))
            .collect::<Vec<_>>(),
    )
    .await;
    for round in 1..=4_i64 {
        let worker = Process::start(
            &rig,
            Setup {
                worker: "batch_events = 20",
                ga4: "concurrency = 1",
                ..Setup::default()
            },
        );
        rig.until(&format!("(select count(*) from conversion_outbox.delivery where state in ('accepted', 'sent')) > {}", round * 20)).await;
        worker.kill().await;
        // Leases of a killed worker run out.
        rig.run("update conversion_outbox.queue set lease_until = now() - interval '1 s' where lease_until is not null").await;
        rig.run("update conversion_outbox.delivery set lease_until = now() - interval '1 s' where lease_until is not null").await;
    }
    let last = rig.work();
    rig.until_final().await;
    assert_eq!(
        (
            rig.count("meta", "accepted").await,
            rig.count("ga4", "sent").await
        ),
        (200, 200)
    );
    let counted = rig.sandbox.read(|ledger| ledger.conversions().count());
    assert_eq!(counted, 400);
    let purchases_doubled = rig
        .sandbox
        .read(|ledger| ledger.count(Platform::Ga4, Verdict::WouldDouble));
    assert_eq!(purchases_doubled, 0);
    last.drain().await;
}

#[tokio::test]
async fn sigterm_drains_and_gives_back_what_was_not_sent() {
    let rig = Rig::new().await;
    let hold = rig.fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
    let mut worker = Process::start(
        &rig,
        Setup {
            meta: "batch_size = 1\nconcurrency = 2",
            ..Setup::default()
        },
    );
    rig.insert(
        &(0..10)
            .map(|n| order(&format!("o-{n}")))
            .collect::<Vec<_>>(),
    )
    .await;
    rig.held(hold, 2).await;
    worker.signal("-TERM").await;
    rig.sandbox.release(hold);
    let ended = worker.ended().await;
    assert_eq!(ended, Some(0));
    let leased: i64 = rig
        .one("select (select count(*) from conversion_outbox.queue where lease_until is not null)
                   + (select count(*) from conversion_outbox.delivery where lease_until is not null)")
        .await;
    assert_eq!(leased, 0);
    let second = rig.work();
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, 10);
    assert_eq!(rig.doubles(), 0);
    second.drain().await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let rig = Rig::new().await;
    let hold = rig.fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
    let mut worker = Process::start(&rig, Setup::default());
    rig.insert(&[order("o-1")]).await;
    rig.held(hold, 1).await;
    worker.signal("-TERM").await;
    worker.signal("-INT").await;
    let ended = worker.ended().await;
    assert_eq!(ended, Some(1));
    rig.sandbox.release(hold);
}

#[tokio::test]
async fn a_database_that_crashes_at_settle_loses_and_doubles_nothing() {
    let server = rig::start(Options {
        durability: Durability::Real,
        ..Options::default()
    })
    .await;
    let mut rig = Rig::on(&server).await;
    let held = [Platform::Meta, Platform::Ga4]
        .map(|platform| rig.fault(FaultKind::HoldAfter, platform, |_| {}));
    let worker = rig.work();
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    rig.held(held[0], 1).await;
    rig.held(held[1], 2).await;
    server.crash().expect("it was running");
    for rule in held {
        rig.sandbox.release(rule);
    }
    // The answers arrive while there is nowhere to write them.
    server.restart().expect("it recovers");
    rig.reconnect().await;
    rig.until_final().await;
    assert_eq!(
        (
            rig.count("meta", "accepted").await,
            rig.count("ga4", "sent").await
        ),
        (2, 2)
    );
    for platform in [Platform::Meta, Platform::Ga4] {
        assert_eq!(
            rig.arrived(platform).len(),
            2,
            "{platform}: the results were kept, so nothing is sent again"
        );
    }
    worker.drain().await;
}
