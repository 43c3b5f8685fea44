//! Connections that are few, and connections that hang.

use std::time::Duration;

use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};
use conversion_outbox::telemetry::health::Probe;

use super::totals_are_exact;
use super::wire::{Flow, Wire};
use crate::rig::{Rig, Setup, insert_in, lead, order, refund};

const PLATFORMS: &[Destination] = &[Destination::Meta, Destination::Ga4, Destination::LinkedIn];

fn with_limits(database: &'static str) -> Setup {
    Setup {
        database,
        ..Setup::only(PLATFORMS)
    }
}

#[tokio::test]
async fn one_connection_is_enough_for_all_of_a_worker() {
    for pool in ["pool_size = 1", "pool_size = 2"] {
        let rig = Rig::new().await;
        let worker = rig.work_with(Setup {
            database: pool,
            ..Setup::all()
        });
        let events: Vec<_> = (0..40)
            .flat_map(|n| [order(&format!("o-{n}")), lead(&format!("o-{n}"))])
            .collect();
        rig.insert(&events).await;
        rig.until_final().await;
        assert_eq!(rig.count("linkedin", "accepted").await, 80, "{pool}");
        totals_are_exact(&rig, pool).await;
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_database_that_hangs_is_given_up_said_so_and_taken_up_again() {
    let rig = Rig::new().await;
    let wire = Wire::to(rig.server_port()).await;
    rig.reach_by(&format!("127.0.0.1:{}", wire.port));
    let held = rig.event_fault(FaultKind::HoldAfter, Platform::Meta, |_| {});
    let worker = rig.work_with(with_limits(
        "pool_size = 1\nstatement_timeout_secs = 1\nconnect_timeout_secs = 1\nlock_timeout_secs = 1",
    ));
    rig.insert(&[order("o-1"), lead("o-1")]).await;
    rig.held(held, 1).await;
    worker.until_unready(None).await;
    // What is open falls silent for ever, as behind a firewall that forgot it; and nothing new gets through for a while.
    wire.flow(Flow::Nothing);
    wire.freeze();
    rig.sandbox.release(held);
    worker
        .until_unready(Some("the database is not reachable"))
        .await;
    assert_eq!(
        worker.health.check(Probe::Live),
        Ok(()),
        "a restart would mend nothing"
    );
    wire.flow(Flow::Open);
    rig.until_final().await;
    worker.until_unready(None).await;
    assert_eq!(
        rig.one::<i16>("select max(tries) from conversion_outbox.delivery")
            .await,
        1
    );
    worker.drain().await;
}

#[tokio::test]
async fn a_silent_first_server_does_not_keep_the_second_from_being_found() {
    let rig = Rig::new().await;
    let silent = Wire::to(rig.server_port()).await;
    silent.flow(Flow::Nothing);
    rig.reach_by(&format!(
        "127.0.0.1:{},127.0.0.1:{}",
        silent.port,
        rig.server_port()
    ));
    let worker = rig.work_with(with_limits("connect_timeout_secs = 1\npool_size = 2"));
    rig.insert(&[order("o-1")]).await;
    rig.until_final().await;
    worker.drain().await;
}

#[tokio::test]
async fn the_application_never_waits_for_a_worker_whose_transactions_hang() {
    let rig = Rig::new().await;
    let wire = Wire::to(rig.server_port()).await;
    rig.reach_by(&format!("127.0.0.1:{}", wire.port));
    let held = rig.event_fault(FaultKind::HoldAfter, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work_with(with_limits(
        "statement_timeout_secs = 2\nlock_timeout_secs = 1\nconnect_timeout_secs = 1",
    ));
    rig.insert(&[order("o-1"), lead("o-1")]).await;
    rig.held(held, 1).await;
    rig.until("(select count(*) = 2 from conversion_outbox.delivery where destination = 'linkedin' and state = 'accepted')").await;
    // From here on every transaction of the worker stays open at the server: the settle of Meta, claims, signs of life.
    wire.flow(Flow::NoCommits);
    rig.insert(&[order("o-2")]).await;
    rig.sandbox.release(held);
    let open = "from pg_stat_activity where usename = 'rig_worker' and datname = current_database()
                and state = 'idle in transaction'";
    until_asked(&rig, &format!(
        "(select count(distinct l.relation) >= 2 from pg_locks l join pg_class c on c.oid = l.relation
           where c.relname in ('queue', 'delivery') and l.mode = 'RowExclusiveLock' and l.pid in (select pid {open}))"
    )).await;

    let mut app = rig.app().await;
    app.batch_execute("set lock_timeout = '100ms'; set statement_timeout = '5s'")
        .await
        .expect("set");
    for events in [
        vec![order("o-3"), lead("o-3")],
        // Repeats of what the worker holds, and refunds of it.
        vec![order("o-1"), lead("o-1"), order("o-2")],
        vec![refund("o-1", 1, Some(9.90)), refund("o-2", 1, None)],
    ] {
        let transaction = app.transaction().await.expect("begun");
        insert_in(&transaction, &events).await;
        transaction.commit().await.expect("committed");
    }
    app.batch_execute(
        "select conversion_outbox.withdraw_consent(business_id => 'o-2');
         select * from conversion_outbox.delivery_status('o-1')",
    )
    .await
    .expect("nobody waits");
    rig.run(
        "set lock_timeout = '100ms'; select conversion_outbox.erase_subject(business_ids => array['o-1', 'o-2', 'o-3']);
         set lock_timeout = 0",
    )
    .await;

    // And no transaction of the worker's stays open: the server ends each after the time for locks.
    let pids: Vec<i32> = rig
        .one(&format!("select coalesce(array_agg(pid), '{{}}') {open}"))
        .await;
    assert!(!pids.is_empty(), "the test would prove nothing");
    until_asked(
        &rig,
        &format!(
            "not exists (select {open} and pid = any ('{{{}}}'))",
            pids.iter()
                .map(i32::to_string)
                .collect::<Vec<_>>()
                .join(",")
        ),
    )
    .await;
    wire.flow(Flow::Open);
    super::until_with_time(
        &rig,
        super::SOME_FAILURES,
        "not exists (select from conversion_outbox.queue)
         and not exists (select from conversion_outbox.delivery where state = 'pending')",
    )
    .await;
    totals_are_exact(&rig, "a wire that hung").await;
    worker.drain().await;
}

#[tokio::test]
async fn no_snapshot_is_held_while_on_the_network() {
    let rig = Rig::new().await;
    let held = rig.event_fault(FaultKind::HoldAfter, Platform::Meta, |_| {});
    let worker = rig.work_with(with_limits(""));
    rig.insert(&[order("o-1")]).await;
    rig.held(held, 1).await;
    let at: String = rig.one("select pg_current_xact_id()::text").await;
    // Whatever is removed from now on can be vacuumed away: nobody looks back to before.
    until_asked(&rig, &format!(
        "pg_snapshot_xmin(pg_current_snapshot())::text::bigint > {at}
         and not exists (select from pg_stat_activity where usename = 'rig_worker' and datname = current_database()
                          and backend_xmin::text::bigint <= {at} % (2 ^ 32)::bigint)"
    )).await;
    rig.sandbox.release(held);
    rig.until_final().await;
    worker.drain().await;
}

/// Asks until the server says yes, also of what no trigger tells.
async fn until_asked(rig: &Rig, condition: &str) {
    let sql = format!("select {condition}");
    let asking = async { while !rig.one::<bool>(&sql).await {} };
    tokio::time::timeout(Duration::from_secs(20), asking)
        .await
        .unwrap_or_else(|_| panic!("in vain: {condition}"));
}
