//! Any number of workers on one database, in one process.

use chrono::TimeDelta;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::Value;

use crate::rig::{Rig, Running, Setup, lead, order, refund};

/// Every event once in each ledger and in the tables, whoever took it; and refunds after them, each once.
async fn race(replicas: usize) {
    const ORDERS: i64 = 150;
    const REFUNDS: i64 = 30;
    let rig = Rig::new().await;
    let setup = Setup {
        worker: "batch_events = 20",
        // Many questions to ask later.
        google: "batch_size = 5",
        ..Setup::all()
    };
    let workers: Vec<Running> = (0..replicas).map(|_| rig.work_with(setup)).collect();
    let events: Vec<Value> = (0..ORDERS)
        .flat_map(|n| [order(&format!("o-{n}")), lead(&format!("l-{n}"))])
        .collect();
    for chunk in events.chunks(50) {
        rig.insert(chunk).await;
    }
    rig.until_final().await;
    for platform in Platform::ALL {
        assert_eq!(rig.arrived(platform).len(), 300, "{platform}");
    }
    // All ask for late answers at once.
    rig.later(TimeDelta::minutes(31)).await;
    rig.until("not exists (select from conversion_outbox.request where settled_at is null)")
        .await;
    assert_eq!(
        rig.one::<i16>("select max(asked) from conversion_outbox.request")
            .await,
        1
    );
    assert_eq!(rig.count("google_data_manager", "accepted").await, 300);
    let refunds: Vec<Value> = (0..REFUNDS)
        .map(|n| refund(&format!("o-{n}"), 1, (n % 2 == 0).then_some(9.90)))
        .collect();
    for chunk in refunds.chunks(10) {
        rig.insert(chunk).await;
    }
    rig.until_final().await;
    rig.later(TimeDelta::minutes(31)).await;
    rig.until("not exists (select from conversion_outbox.request where settled_at is null)")
        .await;
    for worker in workers {
        worker.drain().await;
    }
    for (platform, arrived) in Platform::ALL.into_iter().zip([300, 330, 330, 330, 300]) {
        assert_eq!(rig.arrived(platform).len(), arrived, "{platform}");
    }
    assert_eq!(rig.doubles(), 0);
    let differs: i64 = rig
        .one("select count(*) from (select destination, state, count(*) from conversion_outbox.delivery group by 1, 2) d
              full join (select * from conversion_outbox.destination_total where total <> 0) t using (destination, state)
             where d.count is distinct from t.total")
        .await;
    assert_eq!(differs, 0, "the running totals tell the same");
    let deliveries: i64 = rig
        .one("select count(*) from conversion_outbox.delivery")
        .await;
    assert_eq!(deliveries, 5 * 330);
}

#[tokio::test]
async fn two_workers_deliver_everything_once() {
    race(2).await;
}

#[tokio::test]
async fn three_workers_deliver_everything_once() {
    race(3).await;
}

#[tokio::test]
async fn a_drain_finishes_what_is_under_way_and_gives_back_the_rest() {
    let rig = Rig::new().await;
    let hold = rig.fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
    let worker = rig.work_with(Setup {
        meta: "batch_size = 1\nconcurrency = 2",
        ..Setup::default()
    });
    rig.insert(
        &(0..10)
            .map(|n| order(&format!("o-{n}")))
            .collect::<Vec<_>>(),
    )
    .await;
    rig.held(hold, 2).await;
    worker.stop();
    rig.sandbox.release(hold);
    worker.drain().await;
    let leased: i64 = rig
        .one("select (select count(*) from conversion_outbox.queue where lease_until is not null)
                   + (select count(*) from conversion_outbox.delivery where lease_until is not null)")
        .await;
    assert_eq!(leased, 0, "whoever comes next need not wait for a lease");
    assert!(
        rig.count("meta", "accepted").await >= 2,
        "what was under way has ended"
    );
    let second = rig.work();
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, 10);
    assert_eq!(rig.doubles(), 0);
    second.drain().await;
}

#[tokio::test]
async fn a_destination_that_only_one_of_two_workers_knows_gets_every_event() {
    let rig = Rig::new().await;
    let both = rig.work();
    rig.insert(&[order("first")]).await;
    rig.until_final().await;
    // As in a rolling deployment: the one does not know GA4 (yet, or any more).
    let meta_only = rig.work_with(Setup {
        platforms: Some(&[conversion_outbox::destinations::Platform::Meta]),
        ..Setup::default()
    });
    let events: Vec<Value> = (0..60).map(|n| order(&format!("o-{n}"))).collect();
    for chunk in events.chunks(10) {
        rig.insert(chunk).await;
    }
    rig.until("(select count(*) from conversion_outbox.delivery where destination = 'meta' and state = 'accepted') = 61").await;
    // What was set aside comes back after a moment.
    rig.later(TimeDelta::hours(1)).await;
    rig.until("(select count(*) from conversion_outbox.delivery where destination = 'ga4' and state = 'sent') = 61").await;
    rig.until_final().await;
    both.drain().await;
    meta_only.drain().await;
    assert_eq!(rig.doubles(), 0);
}
