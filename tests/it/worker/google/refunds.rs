//! Refunds that change what Google counted, by either of its two ways.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};

use super::{DATA_MANAGER, all_asked, conversion, data_manager, pass, worth};
use crate::rig::{ACTION, ADS_ACTION, LEAD_ACTION, Rig, Setup, order, refund};

#[tokio::test]
async fn a_refund_changes_the_value_and_never_the_count() {
    let rig = Rig::new().await;
    let worker = rig.work_with(data_manager());
    rig.insert(&[order("o-1"), order("o-2"), order("o-3")])
        .await;
    rig.until_final().await;
    // None of them may go before Google has confirmed the order: it would be a new conversion.
    rig.insert(&[
        refund("o-1", 1, Some(9.90)),
        refund("o-2", 1, None),
        refund("o-3", 1, Some(10.0)),
        refund("o-3", 2, Some(15.0)),
    ])
    .await;
    rig.until_state(DATA_MANAGER, "o-1_refund_1", "pending/waiting_for_original")
        .await;
    rig.until_state(DATA_MANAGER, "o-3_refund_2", "pending/waiting_for_original")
        .await;
    assert_eq!(rig.arrived(Platform::GoogleDataManager).len(), 3);
    for _ in 0..4 {
        rig.later(TimeDelta::minutes(31)).await;
        all_asked(&rig).await;
        rig.until(&format!("not exists (select from conversion_outbox.delivery where state = 'pending' and due_at <= '{}')",
            rig.clock.now().to_rfc3339()))
            .await;
    }
    rig.until_final().await;
    for id in [
        "o-1_refund_1",
        "o-2_refund_1",
        "o-3_refund_1",
        "o-3_refund_2",
    ] {
        assert!(
            ["sent", "accepted"].contains(&rig.state(DATA_MANAGER, id).await.as_str()),
            "{id}"
        );
    }
    assert_eq!(worth(&rig, ACTION, "o-1"), (1, 40.0));
    assert_eq!(worth(&rig, ACTION, "o-2"), (1, 0.0));
    assert_eq!(worth(&rig, ACTION, "o-3"), (1, 24.9));
    let history: Vec<String> = conversion(&rig, ACTION, "o-3")
        .expect("counted")
        .history()
        .iter()
        .filter_map(|change| change.amount.value.clone())
        .collect();
    assert_eq!(history, ["49.9", "39.9", "24.9"], "in their order");
    assert_eq!(rig.doubles(), 0);
    worker.drain().await;
}

#[tokio::test]
async fn lost_answers_and_failures_never_bring_an_old_value_back() {
    let rig = Rig::new().await;
    let worker = rig.work_with(data_manager());
    rig.fault(
        FaultKind::ResetAfter,
        Platform::GoogleDataManager,
        |fault| {
            (fault.path, fault.every) = (Some("ingest".into()), Some(2));
        },
    );
    rig.insert(&[order("o-1"), refund("o-1", 1, Some(9.90))])
        .await;
    rig.insert(&[refund("o-1", 2, Some(10.0))]).await;
    for _ in 0..12 {
        pass(&rig, TimeDelta::hours(2)).await;
    }
    rig.until_final().await;
    assert_eq!(worth(&rig, ACTION, "o-1"), (1, 30.0));
    let values: Vec<f64> = conversion(&rig, ACTION, "o-1")
        .expect("counted")
        .history()
        .iter()
        .filter_map(|change| change.amount.value.as_ref()?.parse().ok())
        .collect();
    assert!(
        values.windows(2).all(|pair| pair[1] <= pair[0]),
        "never up again: {values:?}"
    );
    worker.drain().await;
}

#[tokio::test]
async fn what_is_taken_back_before_it_left_never_leaves() {
    let rig = Rig::new().await;
    rig.insert(&[order("o-1"), refund("o-1", 1, None)]).await;
    let worker = rig.work_with(Setup::all());
    rig.until("not exists (select from conversion_outbox.queue)")
        .await;
    rig.later(TimeDelta::minutes(10)).await;
    rig.until_final().await;
    for platform in Destination::ALL {
        assert_eq!(
            rig.state(platform.name(), "order_paid:o-1").await,
            "cancelled/taken_back",
            "{}",
            platform.name()
        );
        let refund = rig.state(platform.name(), "o-1_refund_1").await;
        assert!(
            refund.starts_with("skipped/"),
            "{} {refund}",
            platform.name()
        );
    }
    assert_eq!(rig.sandbox.read(|ledger| ledger.rows().len()), 0);
    worker.drain().await;
}

#[tokio::test]
async fn what_was_counted_and_is_sent_again_for_anothers_sake_is_not_taken_for_unsent() {
    let rig = Rig::new().await;
    rig.fault(
        FaultKind::ProcessingError,
        Platform::GoogleDataManager,
        |fault| {
            (fault.event_id, fault.times) = (Some("order_paid:o-2".into()), Some(1));
            fault.reason = Some("PROCESSING_ERROR_REASON_TOO_RECENT_CLICK".into());
        },
    );
    rig.insert(&[order("o-1"), order("o-2")]).await;
    let worker = rig.work_with(data_manager());
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "sent")
        .await;
    rig.later(TimeDelta::minutes(31)).await;
    // Google counted the one and not the other, and does not say which.
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "pending/too_early")
        .await;
    rig.insert(&[refund("o-1", 1, None)]).await;
    for _ in 0..4 {
        pass(&rig, TimeDelta::hours(7)).await;
    }
    all_asked(&rig).await;
    rig.until_final().await;
    for id in ["order_paid:o-1", "order_paid:o-2", "o-1_refund_1"] {
        assert_eq!(rig.state(DATA_MANAGER, id).await, "accepted", "{id}");
    }
    assert_eq!(worth(&rig, ACTION, "o-1"), (1, 0.0));
    assert_eq!(worth(&rig, ACTION, "o-2"), (1, 49.9));
    worker.drain().await;
}

#[tokio::test]
async fn the_ads_api_retracts_and_restates() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::only(&[Destination::GoogleAds]));
    rig.insert(&[order("o-1"), order("o-2")]).await;
    rig.until_final().await;
    rig.insert(&[refund("o-1", 1, Some(9.90)), refund("o-2", 1, None)])
        .await;
    rig.until_final().await;
    assert_eq!(rig.count("google_ads", "accepted").await, 4);
    assert_eq!(worth(&rig, ADS_ACTION, "o-1"), (1, 40.0));
    assert_eq!(worth(&rig, ADS_ACTION, "o-2").0, 0);
    // The rest of the first order, and once more.
    rig.insert(&[refund("o-1", 2, None)]).await;
    rig.until_final().await;
    rig.insert(&[refund("o-1", 3, None)]).await;
    rig.until_final().await;
    assert_eq!(worth(&rig, ADS_ACTION, "o-1").0, 0);
    assert_eq!(
        rig.state("google_ads", "o-1_refund_3").await,
        "skipped/taken_back_before"
    );
    worker.drain().await;
}

/// Conversions through Data Manager, refunds through the Ads API: one account.
const PAIR: &str = r#"
[[destination]]
name = "refunds"
platform = "google_ads"
customer_id = "1234567890"
adjusts_destination = "google_data_manager"
"#;

#[tokio::test]
async fn data_manager_counts_and_the_ads_api_takes_back() {
    let rig = Rig::new().await;
    let keys = format!(
        "{PAIR}base_url = \"{0}\"\ntoken_url = \"{0}/google_ads/token\"\nservice_account = {{ file = \"{1}/google.json\" }}
         conversion_actions = {{ order_paid = \"{ACTION}\", lead_created = \"{LEAD_ACTION}\" }}",
        rig.sandbox.url(),
        rig.folder.path().display()
    );
    let setup = Setup {
        rest: keys.leak(),
        ..data_manager().lines(
            Destination::GoogleDataManager,
            "refund_mode = \"ads_api_retraction\"",
        )
    };
    let worker = rig.work_with(setup);
    rig.insert(&[order("o-1"), order("o-2")]).await;
    rig.insert(&[refund("o-1", 1, Some(9.90))]).await;
    rig.until_state("refunds", "order_paid:o-1", "skipped/unsupported_event")
        .await;
    rig.until_state("refunds", "o-1_refund_1", "pending/waiting_for_original")
        .await;
    rig.until_state(DATA_MANAGER, "o-1_refund_1", "skipped/unsupported_event")
        .await;
    rig.later(TimeDelta::minutes(31)).await;
    all_asked(&rig).await;
    rig.insert(&[refund("o-2", 1, None)]).await;
    for _ in 0..3 {
        pass(&rig, TimeDelta::minutes(31)).await;
    }
    rig.until_final().await;
    assert_eq!(rig.count("refunds", "accepted").await, 2);
    assert_eq!(worth(&rig, ACTION, "o-1"), (1, 40.0));
    assert_eq!(worth(&rig, ACTION, "o-2").0, 0);
    worker.drain().await;
}
