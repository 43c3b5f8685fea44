//! When a delivery is tried again, and when it no longer is.

use chrono::TimeDelta;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::json;

use crate::rig::{Rig, Setup, ago, order, with};

/// Seconds from the last try to the next one.
const WAIT: &str = "(select extract(epoch from due_at - tried_at)::float8 from conversion_outbox.delivery where destination = 'meta')";

async fn waits(rig: &Rig) -> f64 {
    rig.until("exists (select from conversion_outbox.delivery where destination = 'meta' and state = 'pending' and tries = 1)").await;
    rig.one(&format!("select {WAIT}")).await
}

#[tokio::test]
async fn retry_after_is_a_lower_bound() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        (fault.status, fault.retry_after) = (Some(503), Some(90))
    });
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    let waits = waits(&rig).await;
    assert!((90.0..100.0).contains(&waits), "{waits}");
    // Nothing else is sent meanwhile either.
    rig.insert(&[order("o-2")]).await;
    rig.until_state("ga4", "order_paid:o-2", "sent").await;
    rig.until_state("meta", "order_paid:o-2", "pending/destination_down")
        .await;
    assert_eq!(rig.arrived(Platform::Meta).len(), 1);
    worker.drain().await;
}

#[tokio::test]
async fn retry_after_is_capped() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        (fault.status, fault.retry_after) = (Some(503), Some(1_000_000))
    });
    let worker = rig.work_with(Setup {
        worker: "retry_after_cap_secs = 600",
        ..Setup::default()
    });
    rig.insert(&[order("o-1")]).await;
    let waits = waits(&rig).await;
    assert!((600.0..610.0).contains(&waits), "{waits}");
    worker.drain().await;
}

#[tokio::test]
async fn throttling_waits_as_the_usage_headers_say_and_burns_nothing() {
    for (status, code) in [(Some(400), Some(80_004)), (Some(429), Some(4))] {
        let rig = Rig::new().await;
        rig.fault(FaultKind::MetaError, Platform::Meta, |fault| {
            (fault.status, fault.code, fault.regain_minutes, fault.times) =
                (status, code, Some(7), Some(1));
        });
        let worker = rig.work();
        rig.insert(&[order("o-1")]).await;
        let waits = waits(&rig).await;
        assert!((420.0..430.0).contains(&waits), "{waits}");
        assert_eq!(
            rig.one::<i16>(
                "select attempts from conversion_outbox.delivery where destination = 'meta'"
            )
            .await,
            0
        );
        assert_eq!(
            rig.state("meta", "order_paid:o-1").await,
            "pending/rate_limited"
        );
        rig.later(TimeDelta::minutes(8)).await;
        rig.until_state("meta", "order_paid:o-1", "accepted").await;
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_bare_429_is_throttling_at_ga4_too() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Ga4, |fault| {
        (fault.status, fault.retry_after, fault.times) = (Some(429), Some(30), Some(1));
    });
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.until_state("ga4", "order_paid:o-1", "pending/rate_limited")
        .await;
    rig.later(TimeDelta::minutes(1)).await;
    rig.until_state("ga4", "order_paid:o-1", "sent").await;
    worker.drain().await;
}

#[tokio::test]
async fn what_grows_too_old_while_it_waits_expires() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        fault.status = Some(503)
    });
    rig.fault(FaultKind::Status, Platform::Ga4, |fault| {
        fault.status = Some(503)
    });
    let worker = rig.work_with(Setup {
        meta: "age_max_hours = 24",
        ..Setup::default()
    });
    rig.insert(&[order("o-1")]).await;
    rig.until_state("meta", "order_paid:o-1", "pending/retry")
        .await;
    rig.until_state("ga4", "order_paid:o-1", "pending/retry")
        .await;
    rig.later(TimeDelta::hours(25)).await;
    rig.until_state("meta", "order_paid:o-1", "exhausted/age_used_up")
        .await;
    rig.later(TimeDelta::hours(50)).await;
    rig.until("exists (select from conversion_outbox.delivery where destination = 'ga4' and state in ('expired', 'uncertain'))").await;
    worker.drain().await;
}

#[tokio::test]
async fn what_lies_in_the_future_waits_for_its_time() {
    let rig = Rig::new().await;
    let worker = rig.work();
    rig.insert(&[with(
        order("o-1"),
        json!({ "occurred_at": ago(TimeDelta::hours(-2)) }),
    )])
    .await;
    rig.until_state("meta", "order_paid:o-1", "pending/in_the_future")
        .await;
    rig.until_state("ga4", "order_paid:o-1", "pending/in_the_future")
        .await;
    rig.later(TimeDelta::hours(3)).await;
    rig.until_final().await;
    assert_eq!(
        (
            rig.count("meta", "accepted").await,
            rig.count("ga4", "sent").await
        ),
        (1, 1)
    );
    worker.drain().await;
}

#[tokio::test]
async fn a_refund_follows_its_purchase_or_not_at_all() {
    let rig = Rig::new().await;
    let refund = |id: &str, of: &str| {
        with(
            order(id),
            json!({ "event_name": "order_refunded", "depends_on": of, "value": 9.90 }),
        )
    };
    let hold = rig.fault(FaultKind::HoldBefore, Platform::Ga4, |fault| {
        fault.event_name = Some("purchase".into())
    });
    let denied = json!({ "ad_storage": "denied", "analytics_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied" });
    let worker = rig.work();
    rig.insert(&[
        refund("r-1", "order_paid:o-1"),
        refund("r-2", "order_paid:o-2"),
        refund("r-3", "order_paid:never"),
        order("o-1"),
        with(order("o-2"), json!({ "consent": denied })),
    ])
    .await;
    rig.held(hold, 1).await;
    rig.until_state("ga4", "order_refunded:r-1", "pending/waiting_for_original")
        .await;
    rig.until_state("ga4", "order_refunded:r-3", "pending/waiting_for_original")
        .await;
    rig.sandbox.release(hold);
    rig.until_state("ga4", "order_paid:o-1", "sent").await;
    rig.later(TimeDelta::minutes(11)).await;
    rig.until_final().await;
    assert_eq!(rig.state("ga4", "order_refunded:r-1").await, "sent");
    assert_eq!(
        rig.state("ga4", "order_refunded:r-2").await,
        "skipped/original_not_sent"
    );
    assert_eq!(
        rig.state("ga4", "order_refunded:r-3").await,
        "skipped/original_unknown"
    );
    assert_eq!(
        rig.state("meta", "order_refunded:r-1").await,
        "skipped/unsupported_event"
    );
    let names: Vec<String> = rig
        .arrived(Platform::Ga4)
        .into_iter()
        .filter_map(|row| row.event_name)
        .collect();
    assert_eq!(names, ["purchase", "refund"]);
    worker.drain().await;
}
