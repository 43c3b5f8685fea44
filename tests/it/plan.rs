//! Claiming costs the same however much has been delivered before.

use serde_json::Value;

use crate::harness::{Outbox, Session};
use crate::work::write_events;

const CLAIM_EVENTS: &str = include_str!("../../sql/queries/claim_events.sql");
const CLAIM_DUE: &str = include_str!("../../sql/queries/claim_due.sql");
const DEAD_LETTERS: &str = include_str!("../../sql/queries/dead_letters.sql");
const GROUPS: &str = include_str!("../../sql/queries/dead_letter_groups.sql");
const ENDED_PAGE: &str = include_str!("../../sql/queries/ended_page.sql");

/// Settled events, enough that a sequential scan of them would show.
const HISTORY: u32 = 200_000;

/// Deliveries that wait, enough that a look at each of them would show.
const WAITING: u32 = 100_000;

#[tokio::test]
async fn claim_cost_stays_flat_as_history_grows() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    write_events(&outbox, 400).await;
    admin
        .run(
            "delete from conversion_outbox.queue where event_no > 200;
             insert into conversion_outbox.delivery (event_no, destination, state, reason, due_at)
               select n, 'meta', 'pending', 'retry', now() - interval '1 hour' from generate_series(201, 400) n",
        )
        .await;
    settle_history(&admin, 1000).await;
    let before = costs(&admin).await;
    settle_history(&admin, HISTORY).await;
    wait_in_the_way(&admin).await;
    let after = costs(&admin).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(
            (before.rows, after.rows),
            (100, 100),
            "{before:?} {after:?}"
        );
        // Each of some eight index accesses a row may have become a level deeper. A scan reads thousands of pages more.
        assert!(
            after.pages <= before.pages + 10 * after.rows,
            "{before:?} {after:?}"
        );
        assert_eq!(after.scans, Vec::<String>::new());
    }
}

#[tokio::test]
async fn dead_letters_are_found_without_reading_what_was_delivered() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    write_events(&outbox, 400).await;
    admin
        .run(
            "insert into conversion_outbox.destination (name, platform) values ('meta', 'meta'), ('ga4', 'ga4');
             insert into conversion_outbox.delivery (event_no, destination, state, reason, settled_at)
               select event_no, 'meta', 'rejected', 'invalid_payload', now() - make_interval(secs => event_no) from conversion_outbox.event",
        )
        .await;
    settle_history(&admin, HISTORY).await;
    admin
        .run("vacuum (analyze) conversion_outbox.event, conversion_outbox.delivery")
        .await;
    let filter = "text, text, text, text, text, text[], timestamptz, timestamptz, bigint";
    let none = "null, null, null, null, null, null, null, null, 100";
    let listed = cost(
        &admin,
        DEAD_LETTERS,
        &format!("{filter}, timestamptz, bigint, text"),
        &format!("{none}, null, null, null"),
    )
    .await;
    // The page behind it costs no more, though all died at nearly the same moment.
    let next = cost(
        &admin,
        DEAD_LETTERS,
        &format!("{filter}, timestamptz, bigint, text"),
        &format!("{none}, now(), 1000000, 'meta'"),
    )
    .await;
    let grouped = cost(&admin, GROUPS, filter, none).await;
    let page = cost(
        &admin,
        ENDED_PAGE,
        &format!("{filter}, timestamptz, bigint, timestamptz, boolean"),
        "'meta', null, null, null, null, null, null, null, 100, null, null, now(), false",
    )
    .await;
    assert_eq!((listed.rows, grouped.rows, page.rows), (100, 1, 100));
    for cost in [&listed, &next, &grouped, &page] {
        assert_eq!(cost.scans, Vec::<String>::new());
        assert!(cost.pages < 2000, "{cost:?}");
    }
}

/// Retention walks on from where it was, whatever lies behind it and however much is kept for later.
#[tokio::test]
async fn retention_reads_what_it_looks_at_and_no_more() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    settle_history(&admin, 20_000).await;
    // All but the last thousand were looked at, and are kept for later.
    admin
        .run(
            "update conversion_outbox.retention set looked_to = (select max(event_no) - 1000 from conversion_outbox.event);
             insert into conversion_outbox.kept_data
               select e.event_no, now() + interval '9 days' from conversion_outbox.event e, conversion_outbox.retention r
                where e.event_no <= r.looked_to",
        )
        .await;
    admin.run("vacuum (analyze)").await;
    // The session's numbers include what it read a moment ago.
    let read = async || {
        admin
            .one::<i64>("select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_xact_user_tables
                          where relname in ('event', 'delivery', 'kept_data')")
            .await
    };
    for round in 1..=8 {
        admin.run("begin").await;
        let before = read().await;
        let removed: i64 = admin
            .one("select removed from conversion_outbox.remove_old_data('0', '0', 100)")
            .await;
        let rows = read().await - before;
        admin.run("commit").await;
        assert_eq!(removed, 100, "a batch each time");
        // A few index accesses an event.
        assert!(rows <= 700, "round {round}: {rows} rows");
    }
}

/// What a statement read.
#[derive(Debug)]
struct Cost {
    pages: i64,
    rows: i64,
    /// Tables that were read from end to end.
    scans: Vec<String>,
}

/// What a claim of a hundred rows reads: fresh events, then waiting deliveries.
async fn costs(admin: &Session) -> [Cost; 2] {
    admin.run("vacuum (analyze) conversion_outbox.event, conversion_outbox.delivery, conversion_outbox.queue").await;
    [
        cost(
            admin,
            CLAIM_EVENTS,
            "bigint, bigint, float8, timestamptz",
            "0, 100, 60, null",
        )
        .await,
        cost(
            admin,
            CLAIM_DUE,
            "text, bigint, float8, timestamptz, float8, bigint",
            "'meta', 100, 60, null, 86400, 25",
        )
        .await,
    ]
}

async fn cost(admin: &Session, query: &str, types: &str, params: &str) -> Cost {
    admin
        .run(&format!("begin; prepare claim ({types}) as {query}"))
        .await;
    let plan: Value = admin
        .one(&format!(
            "explain (analyze, buffers, timing off, format json) execute claim ({params})"
        ))
        .await;
    admin.run("rollback; deallocate claim").await;
    let root = &plan[0]["Plan"];
    let mut scans = Vec::new();
    collect_scans(root, &mut scans);
    Cost {
        pages: ["Shared Hit Blocks", "Shared Read Blocks"]
            .iter()
            .filter_map(|key| root[key].as_i64())
            .sum(),
        rows: root["Actual Rows"].as_f64().expect("a number") as i64,
        scans,
    }
}

fn collect_scans(node: &Value, scans: &mut Vec<String>) {
    if node["Node Type"] == "Seq Scan"
        && ["event", "delivery"]
            .iter()
            .any(|name| node["Relation Name"] == *name)
    {
        scans.push(node.to_string());
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        collect_scans(child, scans);
    }
}

/// Adds many that wait: replays that came before all others, and what expires soon and is not due yet.
async fn wait_in_the_way(admin: &Session) {
    admin
        .run(&format!(
            "insert into conversion_outbox.delivery (event_no, destination, state, reason, due_at, expires_at, replayed_at)
               select 1000000 + n, 'meta', 'pending', 'retry', now() - interval '1 day', now() + interval '1 hour', now()
                 from generate_series(1, {WAITING}) n;
             insert into conversion_outbox.delivery (event_no, destination, state, reason, due_at, expires_at)
               select 2000000 + n, 'meta', 'pending', 'retry', now() + interval '1 hour', now() + interval '2 hours'
                 from generate_series(1, {WAITING}) n"
        ))
        .await;
}

/// Adds events that were delivered long ago. Triggers are off: this is about reading.
async fn settle_history(admin: &Session, count: u32) {
    admin
        .run(&format!(
            "set session_replication_role = replica;
             with written as (
               insert into conversion_outbox.event (event_id, event_name, business_id, occurred_at, consent)
               select 'old-{count}-' || n, 'order_paid', 'old-' || n, now(), '{{}}' from generate_series(1, {count}) n
               returning event_no)
             insert into conversion_outbox.delivery (event_no, destination, state, tries, attempts, tried_at, settled_at, payload_hash)
               select event_no, 'meta', 'accepted', 1, 1, now(), now(), sha256('x') from written;
             set session_replication_role = origin"
        ))
        .await;
}
