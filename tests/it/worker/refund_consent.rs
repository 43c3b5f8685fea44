//! A refund's row may leave person and click to its order's. Then nothing leaves that the consent of either forbids.

use chrono::TimeDelta;
use conversion_outbox::sandbox::{Platform, Row};
use serde_json::{Value, json};

use crate::rig::{Rig, Running, Setup, granted, order, refund, with};

/// Where a refund is told at all.
const TOLD: [Platform; 4] = [
    Platform::Meta,
    Platform::Ga4,
    Platform::GoogleDataManager,
    Platform::GoogleAds,
];

/// Orders that every platform has taken, and Google has confirmed.
async fn counted(rig: &Rig, orders: &[Value]) -> Running {
    let worker = rig.work_with(Setup {
        meta: "send_refunds = true",
        ..Setup::all()
    });
    rig.insert(orders).await;
    rig.until_final().await;
    rig.later(TimeDelta::minutes(31)).await;
    rig.until("not exists (select from conversion_outbox.request where settled_at is null)")
        .await;
    worker
}

/// The refund of a part, whose row is found by another business id than its order's.
fn refund_of(order: &str, consent: Value) -> Value {
    let mut whole = granted();
    for (key, value) in consent.as_object().expect("an object") {
        whole[key] = value.clone();
    }
    with(
        refund(order, 1, Some(9.90)),
        json!({ "business_id": format!("credit-note-of-{order}"), "consent": whole }),
    )
}

/// What arrived of refunds.
fn refunds(rig: &Rig, platform: Platform, orders: usize) -> Vec<Row> {
    rig.arrived(platform).split_off(orders)
}

#[tokio::test]
async fn what_either_consent_forbids_stays_at_home() {
    let rig = Rig::new().await;
    let cases = [
        (
            "withdrawn",
            "withdraw_consent(business_id => 'withdrawn')",
            json!({}),
            "withdrawn",
        ),
        (
            "person",
            "withdraw_consent(external_id => 'customer-of-person')",
            json!({}),
            "withdrawn",
        ),
        (
            "erased",
            "erase_subject(business_ids => array['erased'])",
            json!({}),
            "withdrawn",
        ),
        (
            "forgotten",
            "erase_subject(external_id => 'customer-of-forgotten')",
            json!({}),
            "withdrawn",
        ),
        (
            "credit",
            "withdraw_consent(business_id => 'credit-note-of-credit')",
            json!({}),
            "withdrawn",
        ),
        (
            "denied",
            "erase_subject(business_ids => array['nobody'])",
            json!({ "ad_user_data": "denied", "analytics_storage": "denied" }),
            "consent_denied",
        ),
    ];
    let orders: Vec<Value> = cases
        .iter()
        .map(|(id, ..)| {
            let mut order = order(id);
            order["user_data"]["external_id"] = format!("customer-of-{id}").into();
            order
        })
        .collect();
    let worker = counted(&rig, &orders).await;
    let refunds_of_cases: Vec<Value> = cases
        .iter()
        .map(|(id, _, consent, _)| refund_of(id, consent.clone()))
        .collect();
    // A row that was there before consent was taken back, and is read after.
    worker.drain().await;
    rig.insert(&refunds_of_cases).await;
    for (_, call, ..) in &cases {
        rig.run(&format!("select conversion_outbox.{call}")).await;
    }
    let worker = rig.work_with(Setup {
        meta: "send_refunds = true",
        ..Setup::all()
    });
    rig.until_final().await;
    for (id, _, _, reason) in cases {
        for platform in TOLD {
            assert_eq!(
                rig.state(platform.as_str(), &format!("{id}_refund_1"))
                    .await,
                format!("suppressed/{reason}"),
                "{id} at {platform}"
            );
        }
    }
    for platform in Platform::ALL {
        assert_eq!(rig.arrived(platform).len(), orders.len(), "{platform}");
    }
    worker.drain().await;
}

#[tokio::test]
async fn what_only_one_consent_allows_is_left_out() {
    let rig = Rig::new().await;
    let no_clicks = json!({ "ad_storage": "denied" });
    let mut careful = granted();
    careful["ad_storage"] = "denied".into();
    let orders = [
        order("lender-denies"),
        order("refund-denies"),
        order("both-grant"),
    ];
    let mut orders = orders.to_vec();
    orders[0] = with(orders[0].clone(), json!({ "consent": careful }));
    let worker = counted(&rig, &orders).await;
    rig.insert(&[
        refund_of("lender-denies", json!({})),
        refund_of("refund-denies", no_clicks),
        refund_of("both-grant", json!({})),
    ])
    .await;
    rig.until_final().await;
    for platform in TOLD {
        let rows = refunds(&rig, platform, 3);
        assert_eq!(rows.len(), 3, "{platform}");
    }
    // The click at Google and the cookie at Meta need ad_storage from both.
    let clicks = |platform, key: &str| {
        let rows = refunds(&rig, platform, 3);
        rows.iter().filter(|row| row.event.contains(key)).count()
    };
    assert_eq!(clicks(Platform::GoogleDataManager, "gclid"), 1);
    assert_eq!(clicks(Platform::Meta, "fbp"), 1);
    assert_eq!(clicks(Platform::GoogleDataManager, "emailAddress"), 3);
    assert_eq!(
        clicks(Platform::GoogleAds, "gclid"),
        0,
        "an adjustment names nobody"
    );
    worker.drain().await;
}
