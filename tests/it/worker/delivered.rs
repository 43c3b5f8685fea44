//! What committed is delivered or visible; what rolled back is never sent.

use conversion_outbox::sandbox::Platform;
use serde_json::{Value, json};

use crate::rig::{Rig, Setup, granted, insert_in, lead, order, with};

#[tokio::test]
async fn what_committed_is_delivered_and_what_rolled_back_is_not() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::all());
    let mut app = rig.app().await;
    for n in 0..20 {
        let transaction = app.transaction().await.expect("begun");
        insert_in(&transaction, &[order(&format!("o-{n}"))]).await;
        if n % 2 == 0 {
            transaction.commit().await.expect("committed");
        } else {
            transaction.rollback().await.expect("rolled back");
        }
    }
    rig.until("(select count(*) from conversion_outbox.delivery where state in ('accepted', 'sent')) = 50").await;
    rig.until_final().await;
    for platform in Platform::ALL {
        let rows = rig.arrived(platform);
        assert_eq!(rows.len(), 10, "{platform}");
        let is_even = |id: &str| id.rsplit('-').next().unwrap().parse::<u32>().unwrap() % 2 == 0;
        assert!(
            rows.iter()
                .all(|row| is_even(row.event_id.as_deref().unwrap()))
        );
    }
    worker.drain().await;
}

#[tokio::test]
async fn every_event_has_a_row_at_every_destination() {
    let rig = Rig::new().await;
    let denied = json!({ "ad_storage": "denied", "analytics_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied" });
    let events: Vec<Value> = (0..60)
        .map(|n| {
            let event = if n % 3 == 0 {
                lead(&format!("l-{n}"))
            } else {
                order(&format!("o-{n}"))
            };
            match n % 5 {
                1 => with(event, json!({ "consent": denied })),
                2 => with(event, json!({ "user_data": {}, "click_ids": {} })),
                3 => with(event, json!({ "event_name": "made_up" })),
                4 => with(event, json!({ "source": "crm" })),
                _ => event,
            }
        })
        .collect();
    rig.insert(&events).await;
    // Before any worker has started there is no delivery; the backlog is known as soon as destinations are.
    let worker = rig.work();
    rig.until_final().await;
    let (events, deliveries): (i64, i64) = (
        rig.one("select count(*) from conversion_outbox.event")
            .await,
        rig.one("select count(*) from conversion_outbox.delivery")
            .await,
    );
    assert_eq!((events, deliveries), (60, 120));
    let settled: i64 = rig
        .one("select sum(total)::bigint from conversion_outbox.destination_total")
        .await;
    assert_eq!(settled, 120, "the running totals tell the same");
    for state in ["suppressed", "skipped"] {
        assert!(
            rig.count("meta", state).await > 0 && rig.count("ga4", state).await > 0,
            "{state}"
        );
    }
    worker.drain().await;
}

#[tokio::test]
async fn what_waits_is_counted_in_the_backlog() {
    let rig = Rig::new().await;
    let fault = rig.fault(
        conversion_outbox::sandbox::FaultKind::Status,
        Platform::Meta,
        |fault| fault.status = Some(503),
    );
    let worker = rig.work();
    rig.insert(&(0..5).map(|n| order(&format!("o-{n}"))).collect::<Vec<_>>())
        .await;
    rig.until("(select count(*) from conversion_outbox.delivery where destination = 'meta' and state = 'pending') = 5").await;
    rig.until("not exists (select from conversion_outbox.queue)")
        .await;
    let pending: i64 = rig
        .one("select pending from conversion_outbox.destination_backlog where destination = 'meta'")
        .await;
    assert_eq!(pending, 5);
    worker.drain().await;
    // Inserted while no worker runs: pending at both, for both are configured.
    rig.insert(&[with(order("late"), json!({ "consent": granted() }))])
        .await;
    let pending: String = rig
        .one("select string_agg(destination || ' ' || pending, ', ' order by destination) from conversion_outbox.destination_backlog")
        .await;
    assert_eq!(pending, "ga4 1, meta 6");
    rig.sandbox.remove_fault(fault);
    rig.later(chrono::TimeDelta::hours(2)).await;
    let worker = rig.work();
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, 6);
    worker.drain().await;
}
