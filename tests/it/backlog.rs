//! What metrics say of the backlog: each delivery in one state, what expires, and how little is read for it.

use serde_json::{Value, json};

use crate::harness::{Outbox, Session};
use crate::work::write_events;

const BACKLOG: &str = include_str!("../../sql/queries/backlog.sql");

/// Settled deliveries, enough that reading any part of them would show.
const HISTORY: u32 = 200_000;

/// The statement as a worker of Meta (seven days, 62 from a shop) and GA4 (three days) asks it.
fn asked() -> String {
    BACKLOG
        .replace("$1::text[]", "array['meta', 'ga4']")
        .replace("$2::float8[]", "array[604800, 259200]::float8[]")
        .replace("$3::float8[]", "array[5356800, 259200]::float8[]")
        .replace("$4, now()", "null, now()")
}

/// A destination's numbers.
async fn backlog(admin: &Session, destination: &str) -> Value {
    admin
        .one(&format!(
            "select to_jsonb(t) from ({}) t where destination = '{destination}'",
            asked()
        ))
        .await
}

/// Those of some columns.
fn of(row: &Value, columns: &[&str]) -> Value {
    columns.iter().map(|column| row[column].clone()).collect()
}

const STATES: [&str; 5] = ["due", "retrying", "waiting", "leased", "held"];

#[tokio::test]
async fn each_delivery_is_in_one_state() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    write_events(&outbox, 12).await;
    admin
        .run(
            "insert into conversion_outbox.destination (name, platform) values ('meta', 'meta'), ('ga4', 'ga4');
             -- Two are untouched. One is leased, one was lost, one is set aside for another worker's destination.
             update conversion_outbox.queue set claim_no = 1, lease_until = now() + interval '1 minute' where event_no = 3;
             update conversion_outbox.queue set claim_no = 1, lease_until = now() - interval '1 minute' where event_no = 4;
             update conversion_outbox.queue set claim_no = 1, lease_until = now() + interval '1 minute', set_aside = true where event_no = 5;
             delete from conversion_outbox.queue where event_no > 5;
             -- Of the set-aside one, GA4 is done.
             insert into conversion_outbox.delivery (event_no, destination, state, reason, settled_at) values (5, 'ga4', 'skipped', 'no_identifier', now());
             insert into conversion_outbox.delivery (event_no, destination, state, reason, due_at, tries, lease_until, expires_at) values
               (6, 'meta', 'pending', 'retry', now(), 1, now() + interval '1 minute', now() + interval '1 hour'),
               (7, 'meta', 'pending', 'retry', now() + interval '1 hour', 2, null, now() + interval '2 days'),
               (8, 'meta', 'pending', 'rule_held', now(), 1, null, null),
               (9, 'meta', 'pending', 'destination_busy', now() - interval '1 hour', 0, null, now() + interval '1 hour'),
               (10, 'meta', 'pending', 'waiting_for_original', now() + interval '1 hour', 0, null, null)",
        )
        .await;
    let meta = backlog(&admin, "meta").await;
    assert_eq!(of(&meta, &STATES), json!([4, 1, 2, 2, 1]));
    assert_eq!(meta["expiring"], 2);
    let ga4 = backlog(&admin, "ga4").await;
    assert_eq!(of(&ga4, &STATES), json!([3, 0, 0, 1, 0]));
    // As many as the view for people says, and as old.
    for (destination, row) in [("meta", &meta), ("ga4", &ga4)] {
        let pending: i64 = STATES.iter().filter_map(|state| row[state].as_i64()).sum();
        let same: bool = admin
            .one(&format!(
                "select pending = {pending} and oldest_due_at = '{}' and oldest_recorded_at = '{}'
                   from conversion_outbox.destination_backlog where destination = '{destination}'",
                row["oldest_due_at"].as_str().expect("a time"),
                row["oldest_recorded_at"].as_str().expect("a time"),
            ))
            .await;
        assert!(same, "{destination} {row}");
    }

    // Of a destination that is held, all but the leased ones are held; what is settled soon is nobody's.
    admin
        .run("select conversion_outbox.pause_destination('meta', 'a test'), conversion_outbox.pause_destination('meta', 'a test', '77')")
        .await;
    let meta = backlog(&admin, "meta").await;
    assert_eq!(of(&meta, &STATES), json!([0, 0, 0, 2, 8]));
    assert_eq!(
        of(&meta, &["hold_reason", "held_rules"]),
        json!(["paused", 1])
    );
}

/// Also what nobody has claimed yet is about to be too old, by the destination's own limit.
#[tokio::test]
async fn what_waits_in_the_queue_expires_too() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    write_events(&outbox, 5).await;
    admin
        .run(
            "insert into conversion_outbox.destination (name, platform) values ('meta', 'meta'), ('ga4', 'ga4');
             set session_replication_role = replica;
             update conversion_outbox.event set occurred_at = now() - interval '6 days 1 hour' where event_no in (1, 2);
             update conversion_outbox.event set action_source = 'physical_store' where event_no = 2;
             update conversion_outbox.event set occurred_at = now() - interval '49 hours' where event_no in (3, 4);
             set session_replication_role = origin;
             -- One of them is done at GA4.
             update conversion_outbox.queue set claim_no = 1 where event_no = 4;
             insert into conversion_outbox.delivery (event_no, destination, state, reason, settled_at) values (4, 'ga4', 'skipped', 'no_identifier', now())",
        )
        .await;
    assert_eq!(backlog(&admin, "meta").await["expiring"], 1);
    assert_eq!(backlog(&admin, "ga4").await["expiring"], 3);
    // Nobody serves it any more.
    admin
        .run("update conversion_outbox.destination set last_seen_at = now() - interval '1 hour' where name = 'ga4'")
        .await;
    let ga4 = backlog(&admin, "ga4").await;
    assert_eq!(of(&ga4, &["expiring", "due"]), json!([0, 0]));
}

/// Rows of the large tables that a statement reads, and the pages it touches.
async fn cost(admin: &Session, statement: &str) -> (i64, i64) {
    const READ: &str = "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_xact_user_tables
                         where relname in ('event', 'delivery', 'attempt', 'queue', 'repeat')";
    admin.run("begin").await;
    let before: i64 = admin.one(READ).await;
    let plan: Value = admin
        .one(&format!(
            "explain (analyze, buffers, timing off, format json) {statement}"
        ))
        .await;
    let rows = admin.one::<i64>(READ).await - before;
    admin.run("rollback").await;
    let buffers = ["Shared Hit Blocks", "Shared Read Blocks"];
    let pages = buffers
        .iter()
        .filter_map(|key| plan[0]["Plan"][key].as_i64());
    (rows, pages.sum())
}

#[tokio::test]
async fn a_look_reads_what_is_open_and_nothing_of_the_history() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    write_events(&outbox, 5100).await;
    admin
        .run(
            "insert into conversion_outbox.destination (name, platform) values ('meta', 'meta'), ('ga4', 'ga4');
             delete from conversion_outbox.queue where event_no > 5000;
             insert into conversion_outbox.delivery (event_no, destination, state, reason, due_at)
               select n, 'meta', 'pending', 'retry', now() from generate_series(5001, 5100) n",
        )
        .await;
    let repeats = "select * from conversion_outbox.take_repeats(10000)";
    let mut costs = Vec::new();
    for history in [1000, HISTORY] {
        settle_history(&admin, history).await;
        admin.run("vacuum (analyze) conversion_outbox.event, conversion_outbox.delivery, conversion_outbox.queue, conversion_outbox.attempt, conversion_outbox.repeat").await;
        costs.push((cost(&admin, &asked()).await, cost(&admin, repeats).await));
    }
    let [(before, taken_before), (after, taken_after)] = costs[..] else {
        unreachable!("two looks");
    };
    // 5,000 of the queue three times, their events, and 100 that wait: the same whatever lies behind them.
    assert!(
        after.0 <= 20_200 && after.0 <= before.0 + 10,
        "rows: {before:?} {after:?}"
    );
    // An index may have become a level deeper, which is a page more for each probe.
    assert!(after.1 <= before.1 + 6_000, "pages: {before:?} {after:?}");
    assert_eq!(
        (taken_before.0, taken_after.0),
        (0, 0),
        "repeats are news, not history"
    );
}

/// Adds events that were delivered, tried twice and repeated long ago. Triggers are off: this is about reading.
async fn settle_history(admin: &Session, count: u32) {
    admin
        .run(&format!(
            "set session_replication_role = replica;
             with written as (
               insert into conversion_outbox.event (event_id, event_name, business_id, occurred_at, consent)
               select 'old-{count}-' || n, 'order_paid', 'old-' || n, now(), '{{}}' from generate_series(1, {count}) n
               returning event_no, event_id),
             repeated as (
               insert into conversion_outbox.repeat (event_id, duplicates) select event_id, 1 from written),
             delivered as (
               insert into conversion_outbox.delivery (event_no, destination, state, tries, attempts, tried_at, settled_at, payload_hash)
               select event_no, d, 'accepted', 2, 1, now(), now(), sha256('x') from written, unnest(array['meta', 'ga4']) d)
             insert into conversion_outbox.attempt (event_no, destination, try_no, outcome, counted, tried_at, duration_ms, payload_hash)
               select event_no, 'meta', 1, 'retry', true, now(), 5, sha256('x') from written;
             set session_replication_role = origin"
        ))
        .await;
}
