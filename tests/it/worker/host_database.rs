//! While a request is under way, the host database notices nothing of it.

use conversion_outbox::sandbox::{FaultKind, Platform};

use crate::rig::{Rig, Setup, lead, order};

#[tokio::test]
async fn nothing_is_locked_and_no_transaction_is_open_while_on_the_network() {
    let rig = Rig::new().await;
    let holds =
        Platform::ALL.map(|platform| rig.event_fault(FaultKind::HoldAfter, platform, |_| {}));
    let worker = rig.work_with(Setup {
        google: "batch_size = 1",
        ads: "batch_size = 1",
        linkedin: "batch_size = 1",
        ..Setup::all()
    });
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    rig.held(holds[0], 1).await;
    for hold in &holds[1..] {
        rig.held(*hold, 2).await;
    }
    let held_at: String = rig.one("select clock_timestamp()::text").await;

    // The application goes on, and the worker claims what it writes.
    rig.insert(&[order("o-2")]).await;
    rig.until("(select min(claim_no) from conversion_outbox.queue) > 0")
        .await;
    rig.run(
        // A moment is for the worker's own short statements.
        "begin;
         set local lock_timeout = '1s';
         select from conversion_outbox.queue for update;
         select from conversion_outbox.delivery for update;
         select from conversion_outbox.event for update;
         select from conversion_outbox.destination for update;
         rollback",
    )
    .await;
    let old: i64 = rig
        .one(&format!(
            "select count(*) from pg_stat_activity
              where datname = current_database() and usename = 'rig_worker' and xact_start < '{held_at}'"
        ))
        .await;
    assert_eq!(old, 0, "no transaction lives as long as a request");
    let connections: i64 = rig
        .one("select count(*) from pg_stat_activity where datname = current_database() and usename = 'rig_worker'")
        .await;
    assert!(
        connections <= 5,
        "{connections} connections, with a pool of 5"
    );

    for hold in holds {
        rig.sandbox.release(hold);
    }
    rig.until_final().await;
    worker.drain().await;
}

#[tokio::test]
async fn an_application_that_locks_rows_waits_for_nobody_and_holds_up_only_them() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::all());
    rig.insert(&[order("o-0")]).await;
    rig.until_final().await;
    // A long transaction of the application's own, with an event in it.
    let mut app = rig.app().await;
    let long = app.transaction().await.expect("begun");
    crate::rig::insert_in(&long, &[order("o-1")]).await;
    rig.insert(&[order("o-2")]).await;
    rig.until_state("meta", "order_paid:o-2", "accepted").await;
    long.commit().await.expect("committed");
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    worker.drain().await;
}
