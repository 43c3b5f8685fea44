//! Nothing leaves without consent on record, judged again at every attempt, and no field that is not needed.

use chrono::TimeDelta;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::{Value, json};

use crate::rig::{Rig, Setup, granted, order, with};

/// An order under another consent.
fn order_with(business_id: &str, consent: Value) -> Value {
    let mut whole = granted();
    for (key, value) in consent.as_object().expect("an object") {
        whole[key] = value.clone();
    }
    with(order(business_id), json!({ "consent": whole }))
}

fn body(rig: &Rig, platform: Platform, at: usize) -> Value {
    serde_json::from_slice(&rig.arrived(platform)[at].body).expect("json")
}

#[tokio::test]
async fn consent_withdrawn_while_a_retry_waits_stops_it() {
    let rig = Rig::new().await;
    for platform in Platform::ALL {
        rig.event_fault(FaultKind::Status, platform, |fault| {
            (fault.status, fault.times) = (Some(503), Some(1))
        });
    }
    let worker = rig.work_with(Setup::all());
    rig.insert(&[order("o-1")]).await;
    for platform in Platform::ALL {
        rig.until_state(platform.as_str(), "order_paid:o-1", "pending/retry")
            .await;
    }
    rig.run("select conversion_outbox.withdraw_consent(business_id => 'o-1')")
        .await;
    rig.later(TimeDelta::hours(1)).await;
    for platform in Platform::ALL {
        rig.until_state(platform.as_str(), "order_paid:o-1", "suppressed/withdrawn")
            .await;
        assert_eq!(
            rig.arrived(platform).len(),
            1,
            "{platform}: the refused first try and nothing more"
        );
    }
    worker.drain().await;
}

#[tokio::test]
async fn a_persons_withdrawal_before_the_first_attempt_counts() {
    let rig = Rig::new().await;
    let person =
        json!({ "user_data": { "email": "ada@example.com", "external_id": "customer-7" } });
    rig.insert(&[with(order("o-1"), person.clone())]).await;
    rig.run("select conversion_outbox.withdraw_consent(external_id => 'customer-7')")
        .await;
    // Given again, later.
    let mut again = with(order("o-2"), person);
    again["consent"]["given_at"] = (chrono::Utc::now() + TimeDelta::minutes(1))
        .to_rfc3339()
        .into();
    rig.insert(&[again]).await;
    let worker = rig.work_with(Setup::all());
    rig.until_final().await;
    for platform in Platform::ALL {
        assert_eq!(
            rig.state(platform.as_str(), "order_paid:o-1").await,
            "suppressed/withdrawn"
        );
        assert_eq!(rig.arrived(platform).len(), 1);
    }
    worker.drain().await;
}

#[tokio::test]
async fn every_kind_of_refusal_is_told_apart() {
    let rig = Rig::new().await;
    let worker = rig.work();
    let cases = [
        (
            "denied",
            json!({ "ad_user_data": "denied", "analytics_storage": "denied" }),
            "suppressed/consent_denied",
            "suppressed/consent_denied",
        ),
        (
            "unspecified",
            json!({ "ad_user_data": "unspecified", "analytics_storage": "unspecified" }),
            "suppressed/consent_unspecified",
            "suppressed/consent_unspecified",
        ),
        ("gpc", json!({ "gpc": true }), "suppressed/opt_out", "sent"),
        (
            "decision",
            json!({ "decision": { "ga4": ["event", "click_id"] } }),
            "suppressed/not_in_decision",
            "sent",
        ),
        (
            "other-decision",
            json!({ "decision": { "meta": ["event", "email"], "ga4": ["click_id"] } }),
            "accepted",
            "suppressed/not_in_decision",
        ),
    ];
    for (name, consent, _, _) in &cases {
        rig.insert(&[order_with(name, consent.clone())]).await;
    }
    rig.until_final().await;
    for (name, _, meta, ga4) in &cases {
        let id = format!("order_paid:{name}");
        assert_eq!(rig.state("meta", &id).await, *meta, "{name} at Meta");
        assert_eq!(rig.state("ga4", &id).await, *ga4, "{name} at GA4");
    }
    let decided: Value = body(&rig, Platform::Meta, 0)["data"][0]["user_data"].clone();
    assert_eq!(
        decided
            .as_object()
            .expect("an object")
            .keys()
            .collect::<Vec<_>>(),
        ["em"]
    );
    worker.drain().await;
}

#[tokio::test]
async fn an_operator_may_take_unspecified_for_granted() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup {
        meta: "consent = { unspecified = \"granted\" }",
        ..Setup::default()
    });
    rig.insert(&[order_with(
        "o-1",
        json!({ "ad_user_data": "unspecified", "analytics_storage": "unspecified" }),
    )])
    .await;
    rig.until_final().await;
    assert_eq!(rig.state("meta", "order_paid:o-1").await, "accepted");
    assert_eq!(
        rig.state("ga4", "order_paid:o-1").await,
        "suppressed/consent_unspecified"
    );
    worker.drain().await;
}

#[tokio::test]
async fn only_fields_with_consent_leave() {
    let rig = Rig::new().await;
    let worker = rig.work();
    rig.insert(&[order_with("o-1", json!({ "ad_user_data": "denied" }))])
        .await;
    rig.until_final().await;
    rig.insert(&[order_with("o-2", json!({ "ad_storage": "denied" }))])
        .await;
    rig.until_final().await;
    assert_eq!(
        rig.state("meta", "order_paid:o-1").await,
        "suppressed/consent_denied"
    );
    let ga4 = body(&rig, Platform::Ga4, 0);
    assert!(ga4["user_data"].is_null() && ga4["client_id"].is_string());
    assert_eq!(ga4["consent"]["ad_user_data"], "DENIED");
    let meta = body(&rig, Platform::Meta, 0)["data"][0]["user_data"].clone();
    assert!(meta["em"].is_array() && meta["fbp"].is_null() && meta["fbc"].is_null());
    worker.drain().await;
}

#[tokio::test]
async fn only_configured_fields_leave() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup {
        meta: "fields = [\"email\"]",
        ga4: "fields = [\"click_id\"]",
        ..Setup::default()
    });
    rig.insert(&[order("o-1")]).await;
    rig.until_final().await;
    let meta = body(&rig, Platform::Meta, 0)["data"][0]["user_data"].clone();
    assert_eq!(
        meta.as_object()
            .expect("an object")
            .keys()
            .collect::<Vec<_>>(),
        ["em"]
    );
    assert!(body(&rig, Platform::Ga4, 0)["user_data"].is_null());
    worker.drain().await;
}
