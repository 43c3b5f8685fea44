//! Google's two ways: answers that come late, refunds that change what was counted, tokens that end.

use chrono::{TimeDelta, Utc};
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::google::{ConversionAction, RefreshClient, ServiceAccount};
use conversion_outbox::sandbox::{Conversion, FaultKind, Platform, Verdict};
use serde_json::{Value, json};

use crate::rig::{ACTION, ADS_ACTION, CUSTOMER, LEAD_ACTION, Rig, Setup, lead, order, with};

const DATA_MANAGER: &str = "google_data_manager";

fn data_manager() -> Setup {
    Setup::only(&[Destination::GoogleDataManager])
}

/// Everything granted, this much of the order taken back, or all of it.
fn refund(of: &str, n: u32, value: Option<f64>) -> Value {
    with(
        order(of),
        json!({
            "event_name": "order_refunded", "event_id": format!("{of}_refund_{n}"), "depends_on": format!("order_paid:{of}"),
            "value": value, "currency": value.map(|_| "EUR"), "user_data": {}, "click_ids": {}, "properties": {},
        }),
    )
}

/// The conversion of an order at an action, as the platform holds it.
fn conversion(rig: &Rig, action: &str, order: &str) -> Option<Conversion> {
    rig.sandbox.read(|ledger| {
        ledger
            .conversions()
            .find(|(key, _)| key.event_name == action && key.key == format!("order_paid:{order}"))
            .map(|(_, conversion)| conversion.clone())
    })
}

fn worth(rig: &Rig, action: &str, order: &str) -> (u64, f64) {
    let conversion = conversion(rig, action, order).expect("it was counted");
    let value = conversion.amount().value.clone().unwrap_or_default();
    (conversion.counted(), value.parse().expect("a number"))
}

async fn all_asked(rig: &Rig) {
    rig.until("not exists (select from conversion_outbox.request where settled_at is null)")
        .await;
}

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
    rig.pass(TimeDelta::minutes(31));
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
        rig.pass(TimeDelta::minutes(61));
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
    rig.pass(TimeDelta::hours(25));
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
        rig.pass(TimeDelta::minutes(31));
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
    rig.pass(TimeDelta::minutes(31));
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
        rig.pass(TimeDelta::minutes(31));
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
        rig.pass(TimeDelta::hours(2));
        all_asked(&rig).await;
        rig.until(&format!("not exists (select from conversion_outbox.queue) and not exists
            (select from conversion_outbox.delivery where state = 'pending' and (lease_until is not null or due_at <= '{}'))",
            rig.clock.now().to_rfc3339()))
            .await;
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
    rig.pass(TimeDelta::minutes(10));
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
    rig.pass(TimeDelta::minutes(31));
    all_asked(&rig).await;
    rig.insert(&[refund("o-2", 1, None)]).await;
    rig.pass(TimeDelta::minutes(31));
    rig.until_final().await;
    assert_eq!(rig.count("refunds", "accepted").await, 2);
    assert_eq!(worth(&rig, ACTION, "o-1"), (1, 40.0));
    assert_eq!(worth(&rig, ACTION, "o-2").0, 0);
    worker.drain().await;
}

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
    rig.pass(TimeDelta::hours(7));
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

// --- tokens ---

#[tokio::test]
async fn a_revoked_token_is_renewed_without_a_hold() {
    let rig = Rig::new().await;
    let worker = rig.work_with(data_manager());
    rig.insert(&[order("o-1")]).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "sent")
        .await;
    rig.sandbox.google(|world| world.revoke_access_tokens());
    rig.insert(&[order("o-2")]).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-2", "sent")
        .await;
    let tries: i64 = rig
        .one("select sum(tries)::bigint from conversion_outbox.delivery")
        .await;
    assert_eq!(tries, 2);
    let tokens = rig
        .sandbox
        .read(|ledger| ledger.call(Platform::GoogleDataManager, "/token"));
    assert_eq!(tokens.calls, 2);
    worker.drain().await;
}

#[tokio::test]
async fn a_token_is_asked_for_once_however_many_need_it_and_renewed_before_it_ends() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Latency, Platform::GoogleDataManager, |fault| {
        (fault.path, fault.latency_ms) = (Some("/token".into()), Some(100));
    });
    let events: Vec<Value> = (0..40).map(|n| order(&format!("o-{n}"))).collect();
    rig.insert(&events).await;
    let worker = rig.work_with(data_manager().lines(
        Destination::GoogleDataManager,
        "batch_size = 1\nconcurrency = 8",
    ));
    rig.until_final().await;
    let calls = |rig: &Rig| {
        rig.sandbox
            .read(|ledger| ledger.call(Platform::GoogleDataManager, "/token"))
    };
    assert_eq!((calls(&rig).calls, calls(&rig).at_once_max), (1, 1));
    // Good for an hour, renewed when less than four minutes are left.
    rig.pass(TimeDelta::minutes(57));
    rig.insert(&[order("o-40")]).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-40", "sent")
        .await;
    assert_eq!(calls(&rig).calls, 2);
    let refused = rig
        .sandbox
        .read(|ledger| ledger.count(Platform::GoogleDataManager, Verdict::Rejected));
    assert_eq!(refused, 0);
    worker.drain().await;
}

#[tokio::test]
async fn a_refresh_token_that_was_taken_back_holds_until_there_is_another() {
    let rig = Rig::new().await;
    rig.sandbox.google(|world| {
        world.add_client(RefreshClient::new("client", "secret", "first"));
        world.add_service_account(ServiceAccount::of_sandbox());
    });
    rig.write("client.secret", "secret");
    rig.write("refresh.token", "first");
    let keys = format!(
        "[[destination]]\nname = \"user\"\nplatform = \"google_data_manager\"\noperating_account = \"{CUSTOMER}\"
base_url = \"{0}\"\ntoken_url = \"{0}/token\"\nconversion_actions = {{ order_paid = \"{ACTION}\" }}
oauth = {{ client_id = \"client\", client_secret = {{ file = \"{1}/client.secret\" }}, refresh_token = {{ file = \"{1}/refresh.token\" }} }}",
        rig.sandbox.url(),
        rig.folder.path().display()
    );
    let setup = Setup {
        rest: keys.leak(),
        ..Setup::only(&[])
    };
    let worker = rig.work_with(setup);
    rig.insert(&[order("o-1")]).await;
    rig.until_state("user", "order_paid:o-1", "sent").await;
    rig.sandbox.google(|world| {
        world.revoke_refresh_token("first");
        world.revoke_access_tokens();
    });
    rig.insert(&[order("o-2")]).await;
    rig.until_state("user", "order_paid:o-2", "pending/destination_held")
        .await;
    let told: String = rig
        .one("select hold_reason || ' ' || hold_code from conversion_outbox.destination where name = 'user'")
        .await;
    assert_eq!(told, "credential invalid_grant");
    rig.sandbox.google(|world| {
        world.add_client(RefreshClient::new("client", "secret", "second"));
    });
    rig.write("refresh.token", "second");
    rig.until_state("user", "order_paid:o-2", "sent").await;
    let attempts: i16 = rig
        .one("select max(attempts) from conversion_outbox.delivery where destination = 'user'")
        .await;
    assert_eq!(attempts, 1);
    worker.drain().await;
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
    rig.pass(TimeDelta::minutes(6));
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "sent")
        .await;
    worker.drain().await;
}
