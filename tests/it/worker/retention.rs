//! Personal data go when their time is over, the proof stays, and nothing that still needs them is robbed of them.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::{Value, json};

use crate::process::officer;
use crate::rig::{Rig, Setup, order, refund, with};

fn retaining(platforms: &'static [Destination]) -> Setup {
    Setup {
        rest: "[privacy]\nretention_days = 30\ndead_letter_days = 60\n",
        ..Setup::only(platforms)
    }
}

/// What a person may be known by, all over an event.
fn whole(business_id: &str) -> Value {
    with(
        order(business_id),
        json!({
            "page_url": "https://shop.example/canary",
            "properties": { "note": "canary", "coupon": "SUMMER", "items": [{ "id": "sku-1", "quantity": 1 }] },
        }),
    )
}

/// Business ids of events that still hold personal data.
async fn holding(rig: &Rig) -> String {
    rig.one(
        "select coalesce(string_agg(business_id, ' ' order by event_no), '') from conversion_outbox.event e
          where e::text ~ 'example.com|canary|Ada|170 1234567|gclid' or payload_salt is not null",
    )
    .await
}

async fn retain(rig: &Rig, setup: Setup, args: &[&str]) -> String {
    let (code, said) = officer(rig, setup, &[&["retain"], args].concat(), "").await;
    assert_eq!(code, 0, "{said}");
    said
}

/// Everything in the database is as many days older.
async fn age(rig: &Rig, days: u32) {
    rig.run(&format!(
        "update conversion_outbox.event set recorded_at = recorded_at - interval '{days} days', occurred_at = occurred_at - interval '{days} days';
         update conversion_outbox.delivery set settled_at = settled_at - interval '{days} days', tried_at = tried_at - interval '{days} days';
         update conversion_outbox.kept_data set look_at = look_at - interval '{days} days'"
    ))
    .await;
}

#[tokio::test]
async fn data_go_when_all_is_final_and_the_proof_stays() {
    let rig = Rig::new().await;
    let setup = retaining(&[Destination::Meta, Destination::Ga4]);
    rig.event_fault(FaultKind::MetaError, Platform::Meta, |fault| {
        (fault.code, fault.subcode, fault.event_id) =
            (Some(100), Some(2_804_003), Some("order_paid:dead".into()));
    });
    let worker = rig.work_with(setup);
    rig.insert(&[
        whole("done"),
        whole("dead"),
        with(
            whole("later"),
            json!({ "occurred_at": (chrono::Utc::now() + TimeDelta::days(90)).to_rfc3339() }),
        ),
    ])
    .await;
    rig.until("not exists (select from conversion_outbox.queue)")
        .await;
    rig.until_state("meta", "order_paid:dead", "rejected").await;
    worker.drain().await;
    rig.run("select conversion_outbox.withdraw_consent(business_id => 'done')")
        .await;

    assert!(retain(&rig, setup, &[]).await.contains("of 0 events"));
    age(&rig, 29).await;
    assert!(retain(&rig, setup, &[]).await.contains("of 0 events"));
    age(&rig, 2).await;
    assert!(
        retain(&rig, setup, &["--dry-run"])
            .await
            .contains("of 1 events")
    );
    assert_eq!(
        holding(&rig).await,
        "done dead later",
        "a dry run changes nothing"
    );
    assert!(retain(&rig, setup, &[]).await.contains("of 1 events"));
    assert_eq!(holding(&rig).await, "dead later");
    assert!(
        retain(&rig, setup, &[]).await.contains("of 0 events"),
        "once is enough"
    );

    let kept: Value = rig
        .one("select jsonb_build_object('properties', properties, 'value', value, 'ad_user_data', consent -> 'ad_user_data', 'hashes',
                (select count(payload_hash) from conversion_outbox.delivery d where d.event_no = e.event_no))
               from conversion_outbox.event e where business_id = 'done'")
        .await;
    assert_eq!(
        kept,
        json!({ "properties": { "coupon": "SUMMER", "items": [{ "id": "sku-1", "quantity": 1 }] }, "value": 49.90,
                "ad_user_data": "granted", "hashes": 2 })
    );
    let (_, proof) = officer(&rig, setup, &["prove", "order_paid:done"], "").await;
    assert!(
        proof.contains("The person's data were removed at"),
        "{proof}"
    );
    assert!(
        proof.contains("No request left after the withdrawal of"),
        "{proof}"
    );

    // A dead letter is kept for a replay, and not for ever; what waits is kept as long as it waits.
    age(&rig, 30).await;
    assert!(retain(&rig, setup, &[]).await.contains("of 1 events"));
    assert_eq!(holding(&rig).await, "later");
}

#[tokio::test]
async fn the_worker_removes_by_itself_and_a_retry_still_proves_itself() {
    let rig = Rig::new().await;
    let setup = retaining(&[Destination::Meta]);
    let worker = rig.work_with(setup);
    rig.insert(&[whole("bought"), whole("other")]).await;
    rig.until_final().await;
    worker.drain().await;
    // A dead letter of long ago that a person asks for again after its data are gone.
    age(&rig, 61).await;
    let again = rig.work_with(setup);
    rig.until("not exists (select from conversion_outbox.event where payload_salt is not null)")
        .await;
    assert_eq!(holding(&rig).await, "");
    // Counted a moment after the database has it.
    let removed = || again.metric("conversion_outbox_retention_removed_events_total");
    let counted = async {
        while removed() < 2.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), counted)
        .await
        .expect("it is counted in the end");
    assert_eq!(removed(), 2.0);
    rig.run(
        "update conversion_outbox.event set occurred_at = now();
         update conversion_outbox.delivery set state = 'pending', settled_at = null, due_at = now(), first_tried_at = null
          where event_no = (select event_no from conversion_outbox.event where business_id = 'other')",
    )
    .await;
    rig.until_state("meta", "order_paid:other", "skipped/no_identifier")
        .await;
    // A refund finds no data of its order.
    rig.insert(&[refund("bought", 1, Some(5.0))]).await;
    rig.until_final().await;
    assert_eq!(rig.arrived(Platform::Meta).len(), 2);
    again.drain().await;
}

#[tokio::test]
async fn an_order_keeps_its_data_while_a_refund_needs_them() {
    let rig = Rig::new().await;
    let setup = retaining(&[Destination::Ga4]);
    let worker = rig.work_with(setup);
    rig.insert(&[whole("bought")]).await;
    rig.until_final().await;
    worker.drain().await;
    age(&rig, 40).await;
    rig.insert(&[refund("bought", 1, Some(5.0))]).await;
    assert!(retain(&rig, setup, &[]).await.contains("of 0 events"));
    let worker = rig.work_with(Setup::only(&[Destination::Ga4]));
    rig.until_state("ga4", "bought_refund_1", "sent").await;
    worker.drain().await;
    age(&rig, 1).await;
    assert!(retain(&rig, setup, &[]).await.contains("of 1 events"));
}
