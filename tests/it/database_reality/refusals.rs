//! A server that answers, and refuses: read-only, disk full, no connections, deadlocks. The worker waits ever longer, says
//! what is wrong, and goes on by itself; what it has sent is written when it can be.

use std::time::{Duration, Instant};

use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::FaultKind;

use super::totals_are_exact;
use crate::rig::{Rig, Setup, lead, order};

const PLATFORMS: &[Destination] = &[Destination::Meta, Destination::Ga4, Destination::LinkedIn];

/// Lets every write to some tables fail with a SQLSTATE, and counts it.
const WEATHER: &str = "
    create table public.weather (tables text[], code text);
    insert into public.weather values ('{}', '');
    create sequence public.refused;
    create function public.refuse() returns trigger language plpgsql security definer as $$
      declare w public.weather;
      begin
        select * into w from public.weather;
        if tg_table_name = any (w.tables) and session_user = 'rig_worker' then
          perform nextval('public.refused');
          raise exception using errcode = w.code, message = 'as the test wants it';
        end if;
        return null;
      end $$;
    create trigger refuse before update on conversion_outbox.queue for each statement execute function public.refuse();
    create trigger refuse before insert on conversion_outbox.delivery for each statement execute function public.refuse();";

/// Waits until so many statements more were refused.
async fn refused(rig: &Rig, more: i64) {
    let count = "select case when is_called then last_value else 0 end from public.refused";
    let before: i64 = rig.one(count).await;
    let counting = async { while rig.one::<i64>(count).await < before + more {} };
    tokio::time::timeout(Duration::from_secs(20), counting)
        .await
        .expect("it tries again");
}

#[tokio::test]
async fn what_a_server_refuses_is_tried_again_ever_more_rarely() {
    let rig = Rig::new().await;
    rig.run(WEATHER).await;
    let worker = rig.work_with(Setup::only(PLATFORMS));
    worker.until_unready(None).await;
    // Claims: nothing is taken. Results and intents: what was taken is kept.
    for (n, (table, code, says)) in [
        ("queue", "53100", Some("the database's disk is full")),
        ("delivery", "53100", Some("the database's disk is full")),
        (
            "delivery",
            "53200",
            Some("the database has run out of memory or another resource"),
        ),
        ("queue", "40001", None),
        ("delivery", "40P01", None),
        ("delivery", "57014", None),
    ]
    .into_iter()
    .enumerate()
    {
        rig.run(&format!(
            "update public.weather set tables = '{{{table}}}', code = '{code}'"
        ))
        .await;
        let began = Instant::now();
        let id = format!("o-{n}");
        rig.insert(&[order(&id), lead(&id)]).await;
        if table == "queue" {
            // One loop claims: a tenth of a second at least, then a fifth.
            refused(&rig, 3).await;
            assert!(
                began.elapsed() >= Duration::from_millis(300),
                "{code}: a hammer"
            );
        } else {
            refused(&rig, 4).await;
        }
        worker.until_unready(says).await;
        rig.run("update public.weather set tables = '{}'").await;
        rig.until_final().await;
        worker.until_unready(None).await;
        totals_are_exact(&rig, code).await;
    }
    assert_eq!(rig.count("linkedin", "accepted").await, 12);
    assert_eq!(rig.count("meta", "accepted").await, 12);
    assert_eq!(rig.count("ga4", "sent").await, 12);
    assert_eq!(
        rig.one::<i16>("select max(tries) from conversion_outbox.delivery")
            .await,
        1,
        "nothing was sent again"
    );
    worker.drain().await;
}

#[tokio::test]
async fn a_server_that_turned_read_only_is_left_for_one_that_takes_writes() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::only(PLATFORMS));
    worker.until_unready(None).await;
    rig.run(
        "do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$;
         select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rig_worker' and datname = current_database()",
    )
    .await;
    worker
        .until_unready(Some(
            "the database takes no writes (read-only, or a standby)",
        ))
        .await;
    // Sessions that exist stay read-only for ever; only new ones are not.
    rig.run("do $$ begin execute format('alter database %I reset default_transaction_read_only', current_database()); end $$")
        .await;
    worker.until_unready(None).await;
    rig.insert(&[order("o-1")]).await;
    rig.until_final().await;
    worker.drain().await;
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_waited_for() {
    let rig = Rig::new().await;
    let held = rig.event_fault(
        FaultKind::HoldAfter,
        conversion_outbox::sandbox::Platform::Meta,
        |_| {},
    );
    let worker = rig.work_with(Setup::only(PLATFORMS));
    rig.insert(&[order("o-1")]).await;
    rig.held(held, 1).await;
    rig.run(
        "do $$ begin execute format('alter database %I connection limit 0', current_database()); end $$;
         select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rig_worker' and datname = current_database()",
    )
    .await;
    worker
        .until_unready(Some("the database has no connection left"))
        .await;
    // The answer arrives while there is nowhere to write it.
    rig.sandbox.release(held);
    rig.run("do $$ begin execute format('alter database %I connection limit -1', current_database()); end $$")
        .await;
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
async fn connections_that_an_administrator_ends_again_and_again_lose_and_double_nothing() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::only(PLATFORMS));
    for n in 0..25 {
        let id = format!("o-{n}");
        rig.insert(&[order(&id), lead(&id)]).await;
        rig.run("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rig_worker' and datname = current_database()")
            .await;
    }
    super::until_with_time(
        &rig,
        super::SOME_FAILURES,
        "not exists (select from conversion_outbox.queue)
         and not exists (select from conversion_outbox.delivery where state = 'pending')",
    )
    .await;
    assert_eq!(rig.count("linkedin", "accepted").await, 50);
    assert_eq!(rig.count("meta", "accepted").await, 50);
    assert_eq!(rig.count("ga4", "sent").await, 50);
    assert_eq!(rig.doubles(), 0);
    totals_are_exact(&rig, "57P01").await;
    worker.drain().await;
}
