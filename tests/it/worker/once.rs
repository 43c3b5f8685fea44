//! What is recorded as taken is never sent again, and only the holder of the lease writes.

use chrono::TimeDelta;
use conversion_outbox::sandbox::{FaultKind, Platform};

use crate::rig::{Rig, Setup, lead, order};

const LATE: &str = "conversion_outbox_late_settlements_total";

#[tokio::test]
async fn what_was_taken_is_never_sent_again() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::all());
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    rig.until_final().await;
    worker.drain().await;
    rig.later(TimeDelta::hours(50)).await;
    let workers = [rig.work_with(Setup::all()), rig.work_with(Setup::all())];
    // The same events once more, and one that shows when the workers have passed them.
    rig.insert(&[order("o-1"), lead("l-1"), order("o-2")]).await;
    rig.until(
        "(select count(*) from conversion_outbox.delivery where state in ('accepted', 'sent')) = 15",
    )
    .await;
    for worker in workers {
        worker.drain().await;
    }
    for platform in Platform::ALL {
        assert_eq!(rig.arrived(platform).len(), 3, "{platform}");
    }
    let repeats: i64 = rig
        .one("select sum(duplicates)::bigint from conversion_outbox.repeat")
        .await;
    assert_eq!(repeats, 2);
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_changes_nothing() {
    let rig = Rig::new().await;
    let hold = rig.fault(FaultKind::HoldAfter, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let first = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.held(hold, 1).await;
    first.stop();
    rig.until_state("ga4", "order_paid:o-1", "sent").await;
    rig.pass(TimeDelta::minutes(5));
    let second = rig.work();
    rig.until_final().await;
    let record = "select format('%s %s', d, (select count(*) from conversion_outbox.attempt)) from conversion_outbox.delivery d where destination = 'meta'";
    let before: String = rig.one(record).await;
    assert_eq!(first.metric(LATE), 0.0);
    rig.sandbox.release(hold);
    let metrics = first.metrics.clone();
    first.drain().await;
    assert!(
        metrics.render().contains(&format!("{LATE} 1\n")),
        "{}",
        metrics.render()
    );
    assert_eq!(
        rig.one::<String>(record).await,
        before,
        "the record is the second worker's"
    );
    let totals: i64 = rig.one("select sum(total)::bigint from conversion_outbox.destination_total where destination = 'meta'").await;
    assert_eq!(totals, 1);
    second.drain().await;
}

#[tokio::test]
async fn a_late_result_of_an_own_lost_lease_closes_nothing() {
    let rig = Rig::new().await;
    let meta = rig.fault(FaultKind::HoldAfter, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let ga4 = rig.fault(FaultKind::HoldBefore, Platform::Ga4, |_| {});
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.held(meta, 1).await;
    rig.held(ga4, 1).await;
    // The same worker takes the event again, and its first request of each kind still hangs.
    rig.pass(TimeDelta::minutes(5));
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    rig.held(ga4, 2).await;
    rig.sandbox.release(meta);
    let late = format!("{LATE} 1\n");
    // A statement of another event shows that the late result has been written, or rather has not.
    rig.insert(&[order("o-2")]).await;
    rig.until_state("meta", "order_paid:o-2", "accepted").await;
    assert!(
        worker.metrics.render().contains(&late),
        "{}",
        worker.metrics.render()
    );
    assert_eq!(
        rig.state("ga4", "order_paid:o-1").await,
        "pending/no_answer",
        "GA4 is still to come"
    );
    rig.sandbox.release(ga4);
    rig.until_final().await;
    assert_eq!(rig.count("ga4", "sent").await, 2);
    worker.drain().await;
}

#[tokio::test]
async fn an_intent_whose_lease_ran_out_is_not_sent_again() {
    let rig = Rig::new().await;
    let hold = rig.fault(FaultKind::HoldAfter, Platform::Ga4, |fault| {
        fault.times = Some(1)
    });
    let first = rig.work();
    rig.insert(&[lead("l-1")]).await;
    rig.held(hold, 1).await;
    first.stop();
    rig.pass(TimeDelta::minutes(5));
    let second = rig.work();
    rig.until_state("ga4", "lead_created:l-1", "uncertain/no_answer")
        .await;
    rig.sandbox.release(hold);
    first.drain().await;
    assert_eq!(
        rig.state("ga4", "lead_created:l-1").await,
        "uncertain/no_answer"
    );
    assert_eq!(rig.arrived(Platform::Ga4).len(), 1);
    second.drain().await;
}
