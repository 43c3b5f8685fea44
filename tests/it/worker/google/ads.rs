//! What the Google Ads API answers at once: single rows, closed doors, ended versions, unknown actions.

use chrono::{TimeDelta, Utc};
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::google::ConversionAction;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::Value;

use super::{DATA_MANAGER, data_manager};
use crate::rig::{ACTION, CUSTOMER, LEAD_ACTION, Rig, Setup, lead, order};

#[tokio::test]
async fn one_bad_row_is_told_by_its_place() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::AdsRowError, Platform::GoogleAds, |fault| {
        fault.event_id = Some("order_paid:o-3".into());
        fault.reason = Some("conversionUploadError.UNPARSEABLE_GCLID".into());
    });
    let events: Vec<Value> = (0..6).map(|n| order(&format!("o-{n}"))).collect();
    rig.insert(&events).await;
    let worker = rig.work_with(Setup::only(&[Destination::GoogleAds]));
    rig.until_final().await;
    assert_eq!(rig.count("google_ads", "accepted").await, 5);
    let told: String = rig
        .one("select concat_ws(' ', state, error_code, tries) from conversion_outbox.delivery where state <> 'accepted'")
        .await;
    assert_eq!(told, "rejected UNPARSEABLE_GCLID 1");
    worker.drain().await;
}

#[tokio::test]
async fn what_is_too_early_waits_and_burns_nothing() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::AdsRowError, Platform::GoogleAds, |fault| {
        fault.times = Some(1);
        fault.event_id = Some("order_paid:o-1".into());
        fault.reason = Some("conversionUploadError.TOO_RECENT_EVENT".into());
    });
    rig.insert(&[order("o-1"), order("o-2")]).await;
    let worker = rig.work_with(Setup::only(&[Destination::GoogleAds]));
    rig.until_state("google_ads", "order_paid:o-1", "pending/too_early")
        .await;
    rig.until_state("google_ads", "order_paid:o-2", "accepted")
        .await;
    let waits: bool = rig
        .one("select attempts = 0 and due_at > now() + interval '5 hours' from conversion_outbox.delivery where state = 'pending'")
        .await;
    assert!(waits);
    rig.later(TimeDelta::hours(7)).await;
    rig.until_state("google_ads", "order_paid:o-1", "accepted")
        .await;
    worker.drain().await;
}

#[tokio::test]
async fn a_closed_door_holds_with_advice() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::AdsNotAllowlisted, Platform::GoogleAds, |_| {});
    rig.insert(&[order("o-1")]).await;
    let worker = rig.work_with(Setup::only(&[Destination::GoogleAds]));
    rig.until_state("google_ads", "order_paid:o-1", "pending/destination_held")
        .await;
    let advice: String = rig
        .one("select hold_reason || ' ' || hold_advice from conversion_outbox.destination")
        .await;
    assert!(advice.starts_with("not_allowlisted"), "{advice}");
    assert!(advice.contains("google_data_manager"), "{advice}");
    worker.drain().await;
}

#[tokio::test]
async fn an_ended_version_holds_and_is_never_retried_blindly() {
    for (platform, name, kind) in [
        (
            Platform::GoogleAds,
            Destination::GoogleAds,
            FaultKind::AdsVersionSunset,
        ),
        (
            Platform::LinkedIn,
            Destination::LinkedIn,
            FaultKind::LinkedinError,
        ),
    ] {
        let rig = Rig::new().await;
        rig.fault(kind, platform, |fault| {
            if kind == FaultKind::LinkedinError {
                fault.reason = Some("NONEXISTENT_VERSION".into());
            }
        });
        rig.insert(&[order("o-1"), order("o-2")]).await;
        let setup = match name {
            Destination::GoogleAds => Setup::only(&[Destination::GoogleAds]),
            _ => Setup::only(&[Destination::LinkedIn]),
        };
        let worker = rig.work_with(setup);
        rig.until(
            "exists (select from conversion_outbox.destination where hold_reason = 'version')",
        )
        .await;
        rig.until(
            "not exists (select from conversion_outbox.delivery where lease_until is not null)",
        )
        .await;
        assert!(rig.arrived(platform).len() <= 2, "{}", name.name());
        worker.drain().await;
    }
}

#[tokio::test]
async fn an_unknown_action_is_held_by_itself() {
    let rig = Rig::new().await;
    let made_at = Utc::now() - TimeDelta::days(30);
    rig.sandbox.google(|world| {
        world.add_action(ConversionAction::upload_clicks(
            CUSTOMER,
            LEAD_ACTION,
            made_at,
        ))
    });
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    let worker = rig.work_with(data_manager());
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "pending/rule_held")
        .await;
    rig.until_state(DATA_MANAGER, "lead_created:l-1", "sent")
        .await;
    rig.sandbox.google(|world| {
        world.add_action(ConversionAction::upload_clicks(CUSTOMER, ACTION, made_at))
    });
    rig.later(TimeDelta::minutes(6)).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "sent")
        .await;
    worker.drain().await;
}
