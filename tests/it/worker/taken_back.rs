//! Refunds where something else happens meanwhile: new destinations, other conversion actions, answers that come too early.

use chrono::{TimeDelta, Utc};
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::google::ConversionAction;
use conversion_outbox::sandbox::linkedin::ConversionRule;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::{Value, json};

use crate::rig::{ACTION, AD_ACCOUNT, CUSTOMER, RULE, Rig, Setup, order, with};

const DATA_MANAGER: &str = "google_data_manager";

/// All of the order, or this much of it.
fn refund(of: &str, value: Option<f64>) -> Value {
    with(
        order(of),
        json!({
            "event_name": "order_refunded", "event_id": format!("{of}_refund"), "depends_on": format!("order_paid:{of}"),
            "value": value, "currency": value.map(|_| "EUR"), "user_data": {}, "click_ids": {}, "properties": {},
        }),
    )
}

/// What an action counts for an order: how often, and how much.
fn worth(rig: &Rig, action: &str, order: &str) -> Option<(u64, f64)> {
    rig.sandbox.read(|ledger| {
        let (_, conversion) = ledger.conversions().find(|(key, _)| {
            key.event_name == action && key.key == format!("order_paid:{order}")
        })?;
        let value = conversion.amount().value.clone().unwrap_or_default();
        Some((conversion.counted(), value.parse().expect("a number")))
    })
}

/// Data Manager, with paid orders for this action.
fn sent_to(rig: &Rig, action: &str) -> Setup {
    let (url, folder) = (rig.sandbox.url(), rig.folder.path().display());
    let table = format!(
        "[[destination]]\nname = \"google_data_manager\"\nplatform = \"google_data_manager\"\noperating_account = \"{CUSTOMER}\"
base_url = \"{url}\"\ntoken_url = \"{url}/google_data_manager/token\"\nservice_account = {{ file = \"{folder}/google.json\" }}
conversion_actions = {{ order_paid = \"{action}\" }}"
    );
    Setup {
        rest: table.leak(),
        ..Setup::only(&[])
    }
}

/// LinkedIn, with paid orders for this rule.
fn sent_by(rig: &Rig, rule: &str) -> Setup {
    let (url, folder) = (rig.sandbox.url(), rig.folder.path().display());
    let table = format!(
        "[[destination]]\nname = \"linkedin\"\nplatform = \"linkedin\"\nad_account = \"{AD_ACCOUNT}\"\nbase_url = \"{url}\"
access_token = {{ file = \"{folder}/linkedin.token\" }}\nrules = {{ order_paid = \"{rule}\" }}"
    );
    Setup {
        rest: table.leak(),
        ..Setup::only(&[])
    }
}

async fn all_asked(rig: &Rig) {
    rig.until("not exists (select from conversion_outbox.request where settled_at is null)")
        .await;
}

#[tokio::test]
async fn what_was_done_before_the_destination_was_there_is_not_waited_for() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::only(&[Destination::Meta]));
    rig.insert(&[order("o-1")]).await;
    rig.until_final().await;
    worker.drain().await;
    let worker = rig.work_with(Setup::only(&[
        Destination::Meta,
        Destination::GoogleDataManager,
        Destination::Ga4,
    ]));
    rig.insert(&[refund("o-1", None)]).await;
    for name in [DATA_MANAGER, "ga4"] {
        rig.until_state(name, "o-1_refund", "skipped/original_not_sent")
            .await;
    }
    rig.until_final().await;
    worker.drain().await;
}

#[tokio::test]
async fn a_refund_follows_what_may_be_counted_although_others_came_too_early() {
    let rig = Rig::new().await;
    rig.fault(
        FaultKind::ProcessingError,
        Platform::GoogleDataManager,
        |fault| {
            fault.times = Some(1);
            fault.event_id = Some("order_paid:o-1".into());
            fault.reason = Some("PROCESSING_ERROR_REASON_TOO_RECENT_CLICK".into());
        },
    );
    rig.insert(&[order("o-1"), order("o-2")]).await;
    let worker = rig.work_with(Setup::only(&[Destination::GoogleDataManager]));
    rig.until_final().await;
    rig.later(TimeDelta::minutes(31)).await;
    // Google counts the second and does not say so.
    rig.until_state(DATA_MANAGER, "order_paid:o-2", "pending/too_early")
        .await;
    assert_eq!(worth(&rig, ACTION, "o-2"), Some((1, 49.9)));
    rig.insert(&[refund("o-2", None)]).await;
    rig.later(TimeDelta::hours(7)).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-2", "sent")
        .await;
    for _ in 0..3 {
        rig.later(TimeDelta::minutes(31)).await;
        all_asked(&rig).await;
        rig.until(&format!("not exists (select from conversion_outbox.delivery where state = 'pending' and due_at <= '{}')",
            rig.clock.now().to_rfc3339()))
            .await;
    }
    rig.until_final().await;
    assert_eq!(worth(&rig, ACTION, "o-1"), Some((1, 49.9)));
    assert_eq!(worth(&rig, ACTION, "o-2"), Some((1, 0.0)));
    worker.drain().await;
}

#[tokio::test]
async fn a_refund_goes_to_the_action_that_counted_the_order() {
    const OTHER: &str = "7712337599";
    let rig = Rig::new().await;
    let made_at = Utc::now() - TimeDelta::days(30);
    rig.sandbox.google(|world| {
        for action in [ACTION, OTHER] {
            world.add_action(ConversionAction::upload_clicks(CUSTOMER, action, made_at));
        }
    });
    let worker = rig.work_with(sent_to(&rig, ACTION));
    rig.insert(&[order("o-1")]).await;
    rig.until_final().await;
    rig.later(TimeDelta::minutes(31)).await;
    all_asked(&rig).await;
    worker.drain().await;

    let worker = rig.work_with(sent_to(&rig, OTHER));
    rig.insert(&[refund("o-1", Some(9.90))]).await;
    rig.until_state(DATA_MANAGER, "o-1_refund", "sent").await;
    assert_eq!(worth(&rig, OTHER, "o-1"), None, "no second conversion");
    assert_eq!(worth(&rig, ACTION, "o-1"), Some((1, 40.0)));
    worker.drain().await;
}

#[tokio::test]
async fn a_destination_that_does_not_answer_questions_holds_up_no_other() {
    let rig = Rig::new().await;
    let other = format!(
        "[[destination]]\nname = \"other\"\nplatform = \"google_data_manager\"\noperating_account = \"{CUSTOMER}\"
base_url = \"{0}/google_data_manager/\"\ntoken_url = \"{0}/google_data_manager/token\"\nservice_account = {{ file = \"{1}/google.json\" }}
conversion_actions = {{ lead_created = \"{ACTION}\" }}",
        rig.sandbox.url(),
        rig.folder.path().display()
    );
    let setup = Setup {
        worker: "request_timeout_secs = 40\ndrain_secs = 45",
        rest: other.leak(),
        ..Setup::only(&[Destination::GoogleDataManager])
    };
    let worker = rig.work_with(setup);
    rig.insert(&[order("o-1"), crate::rig::lead("l-1")]).await;
    rig.until_final().await;
    let silent = rig.fault(
        FaultKind::HoldBefore,
        Platform::GoogleDataManager,
        |fault| {
            (fault.path, fault.times) = (Some("requestStatus".into()), Some(1));
        },
    );
    rig.later(TimeDelta::minutes(31)).await;
    rig.held(silent, 1).await;
    rig.until("exists (select from conversion_outbox.request a join conversion_outbox.request b on b.destination <> a.destination
               where a.settled_at is not null and b.settled_at is null)")
        .await;
    // Nor does it hold up the end.
    worker.drain().await;
}

#[tokio::test]
async fn a_question_that_was_throttled_is_asked_again_though_there_is_nothing_else_to_send() {
    for status in [429, 403] {
        let rig = Rig::new().await;
        rig.fault(
            FaultKind::GoogleError,
            Platform::GoogleDataManager,
            |fault| {
                fault.path = Some("requestStatus".into());
                (fault.status, fault.times) = (Some(status), Some(1));
            },
        );
        rig.insert(&[order("o-1")]).await;
        let worker = rig.work_with(Setup::only(&[Destination::GoogleDataManager]));
        rig.until_final().await;
        rig.later(TimeDelta::minutes(31)).await;
        rig.until("exists (select from conversion_outbox.request where asked = 1)")
            .await;
        rig.insert(&[refund("o-1", Some(9.90))]).await;
        rig.until_state(DATA_MANAGER, "o-1_refund", "pending/waiting_for_original")
            .await;
        rig.later(TimeDelta::minutes(41)).await;
        rig.until_state(DATA_MANAGER, "order_paid:o-1", "accepted")
            .await;
        rig.later(TimeDelta::minutes(6)).await;
        rig.until_state(DATA_MANAGER, "o-1_refund", "sent").await;
        assert_eq!(worth(&rig, ACTION, "o-1"), Some((1, 40.0)));
        worker.drain().await;
    }
}

#[tokio::test]
async fn who_was_erased_is_told_of_no_more_by_a_refund() {
    for erasure in ["business_ids => array['o-1']", "external_id => 'person-1'"] {
        let rig = Rig::new().await;
        rig.insert(&[with(
            order("o-1"),
            json!({ "user_data": { "external_id": "person-1", "email": "a@example.com" } }),
        )])
        .await;
        let worker = rig.work_with(Setup::only(&[Destination::GoogleAds]));
        rig.until_state("google_ads", "order_paid:o-1", "accepted")
            .await;
        rig.run(&format!(
            "select conversion_outbox.erase_subject({erasure})"
        ))
        .await;
        let unnamed = with(refund("o-1", None), json!({ "business_id": "refund-1" }));
        rig.insert(&[unnamed]).await;
        rig.until_final().await;
        assert_eq!(
            rig.state("google_ads", "o-1_refund").await,
            "suppressed/withdrawn",
            "{erasure}"
        );
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_clear_refusal_of_what_must_not_be_repeated_leaves_no_doubt() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::LinkedinError, Platform::LinkedIn, |fault| {
        (fault.status, fault.times) = (Some(429), Some(1));
    });
    rig.insert(&[order("o-1")]).await;
    let worker = rig.work_with(Setup::only(&[Destination::LinkedIn]));
    rig.until_state("linkedin", "order_paid:o-1", "pending/rate_limited")
        .await;
    rig.insert(&[refund("o-1", None)]).await;
    rig.until("not exists (select from conversion_outbox.queue)")
        .await;
    rig.later(TimeDelta::hours(2)).await;
    rig.until_final().await;
    assert_eq!(
        rig.state("linkedin", "order_paid:o-1").await,
        "cancelled/taken_back"
    );
    worker.drain().await;
}

#[tokio::test]
async fn an_action_or_rule_that_is_set_right_in_the_configuration_gets_what_was_held() {
    for (name, end) in [(DATA_MANAGER, "sent"), ("linkedin", "accepted")] {
        let rig = Rig::new().await;
        rig.sandbox.google(|world| {
            let made_at = Utc::now() - TimeDelta::days(30);
            world.add_action(ConversionAction::upload_clicks(CUSTOMER, ACTION, made_at));
        });
        rig.sandbox
            .linkedin(|world| world.add_rule(ConversionRule::new(RULE, AD_ACCOUNT)));
        let (wrong, right) = match name {
            DATA_MANAGER => (sent_to(&rig, "7712330000"), sent_to(&rig, ACTION)),
            _ => (sent_by(&rig, "104000"), sent_by(&rig, RULE)),
        };
        let worker = rig.work_with(wrong);
        rig.insert(&[order("o-1")]).await;
        rig.until_state(name, "order_paid:o-1", "pending/rule_held")
            .await;
        worker.drain().await;
        let worker = rig.work_with(right);
        rig.later(TimeDelta::minutes(6)).await;
        rig.until_final().await;
        assert_eq!(rig.state(name, "order_paid:o-1").await, end);
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_hold_ends_when_the_platform_finds_fault_with_an_event_again() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::MetaError, Platform::Meta, |fault| {
        (fault.code, fault.times) = (Some(10), Some(1));
    });
    rig.insert(&[order("o-1")]).await;
    let worker = rig.work_with(Setup::only(&[Destination::Meta]));
    rig.until_state("meta", "order_paid:o-1", "pending/destination_held")
        .await;
    rig.fault(FaultKind::MetaError, Platform::Meta, |fault| {
        fault.code = Some(100)
    });
    rig.later(TimeDelta::minutes(6)).await;
    rig.until_state("meta", "order_paid:o-1", "rejected").await;
    rig.until(
        "not exists (select from conversion_outbox.destination where hold_reason is not null)",
    )
    .await;
    worker.drain().await;
}
