//! One business event, one id: every attempt says the same, or less of the person, or nothing at all.

use chrono::TimeDelta;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::{Value, json};

use crate::rig::{Rig, Setup, order, with};

fn bodies(rig: &Rig, platform: Platform) -> Vec<Value> {
    rig.arrived(platform)
        .iter()
        .map(|row| serde_json::from_str(&row.event).expect("json"))
        .collect()
}

#[tokio::test]
async fn every_attempt_carries_the_same_payload() {
    let rig = Rig::new().await;
    for platform in Platform::ALL {
        rig.event_fault(FaultKind::Status, platform, |fault| {
            (fault.status, fault.times) = (Some(503), Some(2))
        });
    }
    let worker = rig.work_with(Setup::all());
    rig.insert(&[order("o-1")]).await;
    for platform in Platform::ALL {
        let name = platform.as_str();
        for tries in 1..=2 {
            rig.until(&format!(
                "exists (select from conversion_outbox.delivery where destination = '{name}' and tries >= {tries} and lease_until is null)"
            ))
            .await;
            rig.later(TimeDelta::hours(2)).await;
        }
    }
    rig.until_final().await;
    for platform in Platform::ALL {
        let bodies = bodies(&rig, platform);
        assert!(bodies.len() >= 3, "{platform}: {}", bodies.len());
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{platform}");
    }
    let hashes: i64 = rig
        .one("select max(n)::bigint from (select count(distinct payload_hash) n from conversion_outbox.delivery_attempt group by event_no, destination) h")
        .await;
    assert_eq!(hashes, 1);
    let trials: i64 = rig
        .one("select count(*) from conversion_outbox.attempt where destination = 'meta'")
        .await;
    assert_eq!(trials, 3, "every try has its row");
    worker.drain().await;
}

#[tokio::test]
async fn a_retry_after_a_partial_withdrawal_says_less_and_nothing_else() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Ga4, |fault| {
        (fault.status, fault.times) = (Some(503), Some(1))
    });
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.until_state("ga4", "order_paid:o-1", "pending/retry")
        .await;
    rig.run("select conversion_outbox.withdraw_consent(business_id => 'o-1', signals => array['ad_user_data', 'ad_personalization'])").await;
    rig.later(TimeDelta::hours(1)).await;
    rig.until_state("ga4", "order_paid:o-1", "sent").await;
    let rows = rig.arrived(Platform::Ga4);
    let (first, second): (Value, Value) = (
        serde_json::from_slice(&rows[0].body).unwrap(),
        serde_json::from_slice(&rows[1].body).unwrap(),
    );
    assert!(first["user_data"].is_object() && second["user_data"].is_null());
    assert_eq!(second["consent"]["ad_user_data"], "DENIED");
    for key in ["client_id", "timestamp_micros", "events"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    worker.drain().await;
}

#[tokio::test]
async fn a_retry_after_user_data_was_removed_says_less() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        (fault.status, fault.times) = (Some(503), Some(1))
    });
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.until_state("meta", "order_paid:o-1", "pending/retry")
        .await;
    rig.run("update conversion_outbox.event set user_data = user_data - 'phone'")
        .await;
    rig.later(TimeDelta::hours(1)).await;
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    let bodies = bodies(&rig, Platform::Meta);
    assert!(bodies[0]["user_data"]["ph"].is_array() && bodies[1]["user_data"]["ph"].is_null());
    let mut rest = bodies[0].clone();
    rest["user_data"].as_object_mut().unwrap().remove("ph");
    assert_eq!(rest, bodies[1]);
    worker.drain().await;
}

#[tokio::test]
async fn data_that_came_later_does_not_leave_with_a_retry() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        (fault.status, fault.times) = (Some(503), Some(1))
    });
    let worker = rig.work();
    rig.insert(&[with(
        order("o-1"),
        json!({ "user_data": { "email": "a@example.com" } }),
    )])
    .await;
    rig.until_state("meta", "order_paid:o-1", "pending/retry")
        .await;
    rig.run(r#"update conversion_outbox.event set user_data = user_data || '{"phone": "+49 170 1234567"}'"#).await;
    rig.later(TimeDelta::hours(1)).await;
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    let bodies = bodies(&rig, Platform::Meta);
    assert_eq!(bodies[0], bodies[1]);
    worker.drain().await;
}

#[tokio::test]
async fn a_retry_that_would_say_something_else_is_stopped() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        fault.status = Some(503)
    });
    let worker = rig.work();
    rig.insert(&[order("o-1"), order("o-2")]).await;
    rig.until("(select count(*) from conversion_outbox.delivery where destination = 'meta' and tries = 1 and lease_until is null) = 2").await;
    worker.drain().await;
    let before = rig.arrived(Platform::Meta).len();
    rig.sandbox.clear_faults();
    // The same order under another name, and an amount that somebody changed in the table.
    rig.run("update conversion_outbox.event set value = 1 where business_id = 'o-2'")
        .await;
    rig.later(TimeDelta::hours(1)).await;
    let worker = rig.work_with(Setup {
        meta: "events = { order_paid = \"Contact\" }",
        ..Setup::default()
    });
    for id in ["order_paid:o-1", "order_paid:o-2"] {
        rig.until_state("meta", id, "rejected/payload_changed")
            .await;
    }
    assert_eq!(
        rig.arrived(Platform::Meta).len(),
        before,
        "nothing more was sent"
    );
    worker.drain().await;
}
