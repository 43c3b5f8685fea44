//! Two servers with streaming replication, and the primary dies under load.

use std::time::Duration;

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::postgres::{Options, Postgres};
use conversion_outbox::sandbox::{FaultKind, Platform, Verdict};
use tokio_postgres::{Client, NoTls};

use super::wire::{Flow, Wire};
use super::{totals_are_exact, until_with_time};
use crate::rig::{self, Rig, Setup, lead, order};

const BOTH: &[Destination] = &[Destination::Meta, Destination::Ga4];

const ALL_FINAL: &str = "not exists (select from conversion_outbox.queue)
    and not exists (select from conversion_outbox.delivery where state = 'pending')";

fn options() -> Options {
    let settings = [("synchronous_commit", "on"), ("wal_keep_size", "64MB")];
    Options {
        settings: settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Options::default()
    }
}

/// A primary, its standby, and the wire between them.
async fn pair() -> (Postgres, Postgres, Wire) {
    let primary = rig::start(options()).await;
    let wire = Wire::to(primary.port()).await;
    let by_port = wire.port;
    tokio::task::spawn_blocking(move || {
        let standby = primary
            .follower(by_port, &options())
            .expect("a standby comes up");
        (primary, standby, wire)
    })
    .await
    .expect("no panic")
}

async fn client(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Ends the primary as a power cut would, and makes the standby take its place.
async fn fail_over(primary: Postgres, standby: &Postgres) -> Postgres {
    let primary = tokio::task::spawn_blocking(move || {
        primary.crash().expect("it was running");
        primary
    })
    .await
    .expect("no panic");
    let standby = client(&standby.url("postgres")).await.expect("it answers");
    let promoted = standby.query_one("select pg_promote()", &[]).await;
    assert!(promoted.expect("asked").get::<_, bool>(0));
    primary
}

/// Asks a server until it says yes.
async fn until_it_says(server: &Postgres, condition: &str) {
    let client = client(&server.url("postgres")).await.expect("it answers");
    let asking = async {
        let sql = format!("select {condition}");
        while !client
            .query_one(&sql, &[])
            .await
            .expect("asked")
            .get::<_, bool>(0)
        {}
    };
    tokio::time::timeout(Duration::from_secs(20), asking)
        .await
        .expect(condition);
}

/// The application: writes an order and a lead at a time, and writes them again until it knows that they are committed.
async fn sell(urls: [String; 2], count: usize) {
    let mut app = None;
    for n in 0..count {
        loop {
            if app.is_none() {
                for url in &urls {
                    app = client(url).await.ok();
                    if let Some(client) = &app
                        && client
                            .batch_execute("create temp table writable ()")
                            .await
                            .is_ok()
                    {
                        break;
                    }
                    app = None;
                }
            }
            let Some(client) = &app else {
                tokio::task::yield_now().await;
                continue;
            };
            let id = format!("o-{n}");
            let events = serde_json::Value::from(vec![order(&id), lead(&id)]);
            let written = client
                .execute(
                    "select conversion_outbox.enqueue(event_name => e ->> 'event_name', business_id => e ->> 'business_id',
                       consent => e -> 'consent', value => (e ->> 'value')::numeric, currency => e ->> 'currency',
                       user_data => e -> 'user_data', click_ids => e -> 'click_ids')
                     from jsonb_array_elements($1::jsonb) e",
                    &[&events],
                )
                .await;
            if written.is_ok() {
                break;
            }
            app = None;
        }
    }
}

#[tokio::test]
async fn a_synchronous_failover_under_load_loses_and_doubles_nothing() {
    const COUNT: usize = 120;
    let (first, second, wire) = pair().await;
    let mut rig = Rig::on(&first).await;
    rig.run("alter system set synchronous_standby_names = '*'")
        .await;
    rig.run("select pg_reload_conf()").await;
    until_it_says(
        &first,
        "exists (select from pg_stat_replication where sync_state = 'sync')",
    )
    .await;
    rig.reach_by(&format!(
        "127.0.0.1:{},127.0.0.1:{}",
        first.port(),
        second.port()
    ));
    let setup = Setup {
        database: "statement_timeout_secs = 1\nconnect_timeout_secs = 1",
        ..Setup::only(BOTH)
    };
    let worker = rig.work_with(setup);
    worker.until_unready(None).await;

    // The standby falls silent. A commit that waits for it is not done: nothing is sent on the strength of a claim or an
    // intent that only one server knows.
    rig.run("alter role rig_app set synchronous_commit = local")
        .await;
    wire.flow(Flow::Nothing);
    rig.insert(&[lead("early")]).await;
    worker
        .until_unready(Some("the database is not reachable"))
        .await;
    assert!(rig.arrived(Platform::Ga4).is_empty());
    wire.flow(Flow::Open);
    rig.run("alter role rig_app reset synchronous_commit").await;
    until_with_time(&rig, super::SOME_FAILURES, ALL_FINAL).await;
    assert_eq!(rig.state("ga4", "lead_created:early").await, "sent");

    let mut urls = [rig.url_of("rig_app"), rig.url_of("rig_app")];
    urls[1] = urls[1].replace(
        &format!(":{}/", first.port()),
        &format!(":{}/", second.port()),
    );
    let selling = tokio::spawn(sell(urls, COUNT));
    rig.until("(select count(*) from conversion_outbox.delivery) > 40")
        .await;
    let first = fail_over(first, &second).await;
    rig.move_to(&second).await;
    tokio::time::timeout(Duration::from_secs(20), selling)
        .await
        .expect("the application goes on")
        .expect("no panic");
    until_with_time(&rig, super::SOME_FAILURES, ALL_FINAL).await;

    let all = 1 + 2 * i64::try_from(COUNT).expect("a few");
    assert_eq!(rig.count("meta", "accepted").await, all);
    assert_eq!(
        rig.count("ga4", "sent").await,
        all,
        "an intent whose acknowledgement was lost is no doubt"
    );
    assert_eq!(rig.doubles(), 0);
    totals_are_exact(&rig, "the failover").await;

    // The former primary comes back as a standby; who names it first still finds the one that takes writes.
    worker.drain().await;
    let first = tokio::task::spawn_blocking(move || {
        first.restart_as_standby().expect("it comes up");
        first
    })
    .await
    .expect("no panic");
    let worker = rig.work_with(Setup::only(BOTH));
    rig.insert(&[order("afterwards")]).await;
    rig.until_final().await;
    assert_eq!(rig.state("meta", "order_paid:afterwards").await, "accepted");
    worker.drain().await;
    drop(first);
}

#[tokio::test]
async fn an_asynchronous_failover_forgets_what_the_host_database_forgets_and_no_more() {
    let (first, second, wire) = pair().await;
    let mut rig = Rig::on(&first).await;
    rig.reach_by(&format!(
        "127.0.0.1:{},127.0.0.1:{}",
        first.port(),
        second.port()
    ));
    let setup = Setup::only(BOTH);
    let setup = BOTH.iter().fold(setup, |setup, platform| {
        setup.lines(*platform, "batch_size = 1")
    });
    // A lead that nobody may claim before the standby stops hearing of it.
    rig.insert(&[lead("forgotten")]).await;
    rig.run("update conversion_outbox.queue set lease_until = now() + interval '1 hour'")
        .await;
    let worker = rig.work_with(setup);
    let held = [Platform::Meta, Platform::Ga4].map(|platform| {
        rig.event_fault(FaultKind::HoldAfter, platform, |fault| {
            fault.times = Some(2)
        })
    });
    rig.insert(&[order("kept"), lead("kept")]).await;
    for rule in held {
        rig.held(rule, 2).await;
    }
    // Claims and intents have reached the standby; from here on nothing does.
    let written: String = rig.one("select pg_current_wal_lsn()::text").await;
    until_it_says(&second, &format!("pg_last_wal_replay_lsn() >= '{written}'")).await;
    wire.flow(Flow::Nothing);
    for rule in held {
        rig.sandbox.release(rule);
    }
    rig.run("update conversion_outbox.queue set lease_until = null where claim_no = 0")
        .await;
    rig.insert(&[order("lost")]).await;
    rig.until_final().await;

    let first = fail_over(first, &second).await;
    rig.move_to(&second).await;
    assert_eq!(
        rig.one::<i64>("select count(*) from conversion_outbox.event where business_id = 'lost'")
            .await,
        0,
        "the host database has lost the order itself"
    );
    assert_eq!(
        rig.one::<i64>("select count(*) from conversion_outbox.queue")
            .await,
        3,
        "what was settled is open again"
    );
    rig.pass(TimeDelta::hours(2));
    until_with_time(&rig, super::SOME_FAILURES, ALL_FINAL).await;

    // Whose claim the standby knew of: sent again where the platform recognises it, and not where it does not.
    for (destination, event, state) in [
        ("meta", "order_paid:kept", "accepted"),
        ("meta", "lead_created:kept", "accepted"),
        ("ga4", "order_paid:kept", "sent"),
        ("ga4", "lead_created:kept", "uncertain/no_answer"),
        ("meta", "lead_created:forgotten", "accepted"),
        ("ga4", "lead_created:forgotten", "sent"),
    ] {
        assert_eq!(
            rig.state(destination, event).await,
            state,
            "{destination} {event}"
        );
    }
    let taken = |platform, verdict| {
        let rows = rig.arrived(platform);
        let alike = rows.iter().filter(|row| row.verdict == verdict);
        alike.count()
    };
    assert_eq!(
        taken(Platform::Ga4, Verdict::Deduplicated),
        1,
        "the order that was kept"
    );
    // The standby never heard that this lead was on its way, and GA4 does not recognise it.
    assert_eq!(
        taken(Platform::Ga4, Verdict::WouldDouble),
        1,
        "the forgotten lead"
    );
    // Meta hears of all three again under the same ids, within its window; what it makes of that it does not promise.
    let mut ids: Vec<String> = rig
        .arrived(Platform::Meta)
        .into_iter()
        .filter_map(|row| row.event_id)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), rig.arrived(Platform::Meta).len()), (4, 7));
    totals_are_exact(&rig, "the failover").await;
    worker.drain().await;
    drop(first);
}
