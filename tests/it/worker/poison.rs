//! One bad event never delays or fails another.

use chrono::TimeDelta;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::{Value, json};

use crate::rig::{Rig, Setup, ago, order, with};

fn orders(count: usize) -> Vec<Value> {
    (0..count).map(|n| order(&format!("o-{n}"))).collect()
}

#[tokio::test]
async fn the_event_that_refuses_a_batch_is_found_and_the_others_pass() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::MetaError, Platform::Meta, |fault| {
        (fault.code, fault.subcode, fault.event_id) =
            (Some(100), Some(2_804_003), Some("order_paid:o-17".into()));
    });
    rig.insert(&orders(50)).await;
    let worker = rig.work();
    // No clock is moved: halves are sent at once.
    rig.until_final().await;
    assert_eq!(
        (
            rig.count("meta", "accepted").await,
            rig.count("meta", "rejected").await
        ),
        (49, 1)
    );
    assert_eq!(
        rig.state("meta", "order_paid:o-17").await,
        "rejected/refused_by_platform"
    );
    let code: String = rig
        .one("select error_code from conversion_outbox.delivery where state = 'rejected'")
        .await;
    assert_eq!(code, "100/2804003");
    let attempts: i16 = rig
        .one("select max(attempts) from conversion_outbox.delivery where destination = 'meta'")
        .await;
    assert_eq!(attempts, 1, "splitting burns no attempts");
    worker.drain().await;
}

#[tokio::test]
async fn events_that_would_be_refused_never_reach_a_batch() {
    let rig = Rig::new().await;
    rig.insert(&[
        order("good"),
        with(
            order("old"),
            json!({ "occurred_at": ago(TimeDelta::days(8)) }),
        ),
        with(
            order("no-value"),
            json!({ "value": null, "currency": null }),
        ),
        with(order("nobody"), json!({ "user_data": {}, "click_ids": {} })),
        with(order("long"), json!({ "business_id": "x".repeat(120) })),
    ])
    .await;
    let worker = rig.work();
    rig.until_final().await;
    let states = |destination: &str| {
        format!("select string_agg(left(business_id, 8) || ' ' || state || coalesce('/' || reason, ''), ', ' order by event_no)
                   from conversion_outbox.delivery join conversion_outbox.event using (event_no) where destination = '{destination}'")
    };
    assert_eq!(
        rig.one::<String>(&states("meta")).await,
        "good accepted, old expired/too_old, no-value rejected/invalid_payload, nobody skipped/no_identifier, xxxxxxxx accepted"
    );
    assert_eq!(
        rig.one::<String>(&states("ga4")).await,
        "good sent, old expired/too_old, no-value sent, nobody skipped/no_identifier, xxxxxxxx rejected/invalid_payload"
    );
    assert_eq!(rig.arrived(Platform::Meta).len(), 2);
    assert_eq!(rig.arrived(Platform::Ga4).len(), 2);
    worker.drain().await;
}

#[tokio::test]
async fn rows_that_cannot_be_read_end_alone() {
    let rig = Rig::new().await;
    let mut events = orders(5);
    events.extend([order("forever"), order("ancient")]);
    rig.insert(&events).await;
    // The door lets no such time in; a table that was tampered with may hold one all the same.
    rig.run(
        r#"update conversion_outbox.event set properties = (repeat('[', 300) || repeat(']', 300))::jsonb where business_id = 'o-1';
           update conversion_outbox.event set properties = '{"$serde_json::private::Number": "no number"}' where business_id = 'o-2';
           update conversion_outbox.event set consent = '{"ad_storage": 1}' where business_id = 'o-3';
           alter table conversion_outbox.event drop constraint occurred_at_is_a_time;
           update conversion_outbox.event set occurred_at = 'infinity' where business_id = 'forever';
           update conversion_outbox.event set occurred_at = '-infinity' where business_id = 'ancient'"#,
    )
    .await;
    let worker = rig.work();
    rig.until_final().await;
    let faults: String = rig
        .one(
            "select string_agg(business_id || ' ' || error_code, ', ' order by event_no)
                from conversion_outbox.delivery join conversion_outbox.event using (event_no)
               where destination = 'meta' and state = 'rejected' and reason = 'invalid_event'",
        )
        .await;
    assert_eq!(
        faults,
        "o-1 properties, o-2 properties, o-3 consent, forever occurred_at, ancient occurred_at"
    );
    assert_eq!(
        (
            rig.count("meta", "accepted").await,
            rig.count("ga4", "sent").await
        ),
        (2, 2)
    );
    worker.drain().await;
}

#[tokio::test]
async fn the_event_that_breaks_a_platform_ends_up_alone() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        (fault.status, fault.event_id) = (Some(500), Some("order_paid:o-3".into()));
    });
    rig.insert(&orders(8)).await;
    let worker = rig.work_with(Setup {
        meta: "batch_size = 8",
        ..Setup::default()
    });
    // Eight together, then four, two, one: each time somewhat later.
    for tries in 1..=4 {
        rig.until(&format!(
            "(select coalesce(max(tries), 0) >= {tries} and count(lease_until) = 0
                from conversion_outbox.delivery where destination = 'meta')"
        ))
        .await;
        rig.later(TimeDelta::hours(2)).await;
    }
    rig.until(
        "(select count(*) = 7 from conversion_outbox.delivery where destination = 'meta' and state = 'accepted')",
    )
    .await;
    assert_eq!(rig.state("meta", "order_paid:o-3").await, "pending/retry");
    worker.drain().await;
}

#[tokio::test]
async fn a_row_that_not_even_the_database_can_print_ends_alone() {
    let rig = Rig::new().await;
    let mut events = orders(5);
    events.push(order("monster"));
    rig.insert(&events).await;
    // A row whose text would pass a gigabyte fails the claim that reads it. The door lets none in, and making one takes
    // long, so a function that the claim calls for this row alone fails in the same way.
    rig.run(
        "create or replace function conversion_outbox.original_of(original text, number integer) returns jsonb language plpgsql stable as $$
           begin raise exception using errcode = 'program_limit_exceeded', message = 'cannot be printed'; end $$;
         update conversion_outbox.event set depends_on = 'another' where business_id = 'monster'",
    )
    .await;
    let worker = rig.work();
    rig.until_final().await;
    assert_eq!(
        rig.state("meta", "order_paid:monster").await,
        "rejected/invalid_event"
    );
    assert_eq!(
        (
            rig.count("meta", "accepted").await,
            rig.count("ga4", "sent").await
        ),
        (5, 5)
    );
    worker.drain().await;
}
