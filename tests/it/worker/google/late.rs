//! What Google says later of what it took: confirmed, partly failed, never said.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::Value;

use super::{DATA_MANAGER, all_asked, conversion, data_manager, worth};
use crate::rig::{ACTION, Rig, lead, order};

#[tokio::test]
async fn sent_becomes_accepted_when_google_says_so() {
    let rig = Rig::new().await;
    let worker = rig.work_with(data_manager());
    rig.insert(&[order("o-1"), order("o-2"), lead("l-1")]).await;
    rig.until_final().await;
    assert_eq!(rig.count(DATA_MANAGER, "sent").await, 3);
    let requests: i64 = rig
        .one("select count(*) from conversion_outbox.request where settled_at is null")
        .await;
    assert_eq!(requests, 2, "one action a request");
    rig.later(TimeDelta::minutes(31)).await;
    all_asked(&rig).await;
    assert_eq!(rig.count(DATA_MANAGER, "accepted").await, 3);
    assert_eq!(rig.doubles(), 0);
    worker.drain().await;
}

#[tokio::test]
async fn while_google_processes_nothing_is_known_and_in_the_end_nothing_was_confirmed() {
    let rig = Rig::new().await;
    rig.fault(
        FaultKind::LateStatus,
        Platform::GoogleDataManager,
        |fault| fault.late_secs = Some(3 * 3600),
    );
    let worker = rig.work_with(data_manager());
    rig.insert(&[order("o-1")]).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "sent")
        .await;
    for asked in 1..=3 {
        rig.later(TimeDelta::minutes(61)).await;
        rig.until(&format!(
            "(select asked from conversion_outbox.request) >= {asked}"
        ))
        .await;
        if asked < 3 {
            assert_eq!(rig.state(DATA_MANAGER, "order_paid:o-1").await, "sent");
        }
    }
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "accepted")
        .await;

    rig.sandbox.clear_faults();
    rig.fault(
        FaultKind::LateStatus,
        Platform::GoogleDataManager,
        |fault| fault.late_secs = Some(48 * 3600),
    );
    rig.insert(&[order("o-2")]).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-2", "sent")
        .await;
    rig.later(TimeDelta::hours(25)).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-2", "sent/never_confirmed")
        .await;
    worker.drain().await;
}

#[tokio::test]
async fn the_one_that_failed_later_is_found_and_the_others_are_counted_once() {
    let rig = Rig::new().await;
    rig.fault(
        FaultKind::ProcessingError,
        Platform::GoogleDataManager,
        |fault| {
            fault.event_id = Some("order_paid:o-5".into());
            fault.reason = Some("PROCESSING_ERROR_REASON_INVALID_GCLID".into());
        },
    );
    let events: Vec<Value> = (0..8).map(|n| order(&format!("o-{n}"))).collect();
    rig.insert(&events).await;
    let worker = rig.work_with(data_manager());
    rig.until_state(DATA_MANAGER, "order_paid:o-5", "sent")
        .await;
    for _ in 0..5 {
        rig.until(
            "not exists (select from conversion_outbox.queue)
            and not exists (select from conversion_outbox.delivery where state = 'pending')",
        )
        .await;
        rig.later(TimeDelta::minutes(31)).await;
        all_asked(&rig).await;
    }
    assert_eq!(
        rig.state(DATA_MANAGER, "order_paid:o-5").await,
        "rejected/refused_by_platform"
    );
    assert_eq!(rig.count(DATA_MANAGER, "accepted").await, 7);
    for n in (0..8).filter(|n| *n != 5) {
        assert_eq!(worth(&rig, ACTION, &format!("o-{n}")), (1, 49.9));
    }
    assert!(conversion(&rig, ACTION, "o-5").is_none_or(|one| one.counted() == 0));
    let code: String = rig
        .one("select error_code from conversion_outbox.delivery where state = 'rejected'")
        .await;
    assert_eq!(code, "PROCESSING_ERROR_REASON_INVALID_GCLID");
    let tries: i16 = rig
        .one("select max(tries) from conversion_outbox.delivery")
        .await;
    assert!(tries <= 4, "eight, four, two, one");
    worker.drain().await;
}

#[tokio::test]
async fn an_operator_may_leave_it_at_counts() {
    let rig = Rig::new().await;
    rig.fault(
        FaultKind::ProcessingError,
        Platform::GoogleDataManager,
        |fault| {
            fault.event_id = Some("order_paid:o-1".into());
            fault.reason = Some("PROCESSING_ERROR_REASON_INVALID_GCLID".into());
        },
    );
    rig.insert(&[order("o-1"), order("o-2")]).await;
    let worker = rig
        .work_with(data_manager().lines(Destination::GoogleDataManager, "narrow_partial = false"));
    rig.until_final().await;
    rig.later(TimeDelta::minutes(31)).await;
    all_asked(&rig).await;
    assert_eq!(
        rig.state(DATA_MANAGER, "order_paid:o-2").await,
        "sent/partly_failed"
    );
    let told: String = rig
        .one("select status || ' ' || reasons::text from conversion_outbox.request_log")
        .await;
    assert_eq!(
        told,
        r#"PARTIAL_SUCCESS {"PROCESSING_ERROR_REASON_INVALID_GCLID": 1}"#
    );
    worker.drain().await;
}
