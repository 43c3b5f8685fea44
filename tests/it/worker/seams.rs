//! Where one promise meets another: a loss and a cancellation, retention and a withdrawal, an erasure and an event set aside.

use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::Platform;
use serde_json::json;

use crate::rig::{Rig, Setup, order, refund, with};

#[tokio::test]
async fn an_original_that_nobody_can_read_stops_its_refund_alone() {
    let rig = Rig::new().await;
    // Past the triggers, as only a superuser writes.
    rig.run(
        "set session_replication_role = replica;
         insert into conversion_outbox.event (event_id, event_name, business_id, occurred_at, consent, value, currency, properties)
         values ('h-1', 'order_paid', 'h-1', now(), '{}', 5, 'EUR', (repeat('{\"a\":', 200) || '1' || repeat('}', 200))::jsonb);
         set session_replication_role = origin",
    )
    .await;
    let worker = rig.work_with(Setup::only(&[Destination::Ga4]));
    let of_unreadable = with(refund("h-1", 1, None), json!({ "depends_on": "h-1" }));
    rig.insert(&[order("o-1"), of_unreadable, order("o-2")])
        .await;
    rig.until_final().await;
    assert_eq!(rig.count("ga4", "sent").await, 2, "its neighbours pass");
    assert_eq!(
        rig.state("ga4", "h-1_refund_1").await,
        "rejected/invalid_event"
    );
    worker.drain().await;
}

#[tokio::test]
async fn a_withdrawal_outlives_the_data_by_which_it_was_found() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::only(&[Destination::GoogleAds]));
    let person =
        json!({ "user_data": { "email": "ana@example.com", "external_id": "customer-77" } });
    rig.insert(&[with(order("o-1"), person)]).await;
    rig.until_final().await;
    rig.run("select conversion_outbox.withdraw_consent(external_id => 'customer-77')")
        .await;
    let removed = "select removed::bigint from conversion_outbox.remove_old_data('0', '0', 100)";
    assert_eq!(rig.one::<i64>(removed).await, 1);
    rig.insert(&[refund("o-1", 1, Some(9.90))]).await;
    rig.until_final().await;
    assert_eq!(
        rig.state("google_ads", "o-1_refund_1").await,
        "suppressed/withdrawn"
    );
    worker.drain().await;
}

#[tokio::test]
async fn what_was_cancelled_long_before_a_claim_was_lost_is_in_no_doubt() {
    let rig = Rig::new().await;
    rig.insert(&[order("o-1"), refund("o-1", 1, None)]).await;
    rig.run(
        "update conversion_outbox.event set recorded_at = recorded_at - interval '10 minutes';
         update conversion_outbox.queue set claim_no = 1, lease_until = now() - interval '1 second'",
    )
    .await;
    let worker = rig.work_with(Setup::only(&[Destination::Meta]));
    rig.until_final().await;
    assert_eq!(
        rig.state("meta", "order_paid:o-1").await,
        "cancelled/taken_back"
    );
    assert!(rig.arrived(Platform::Meta).is_empty());
    worker.drain().await;
}

#[tokio::test]
async fn what_is_set_aside_is_nobodys_and_what_nobody_serves_can_be_ended() {
    let rig = Rig::new().await;
    rig.run(
        "insert into conversion_outbox.destination (name, platform, last_seen_at) values
           ('meta', 'meta', now()), ('old', 'meta', now() - interval '3 days')",
    )
    .await;
    rig.insert(&[order("o-1"), order("o-2")]).await;
    rig.run(
        "update conversion_outbox.queue set set_aside = true, lease_until = now() + interval '5 minutes';
         insert into conversion_outbox.delivery (event_no, destination, state, reason, due_at, lease_until)
         select event_no, 'old', 'pending', 'retry', now(), now() - interval '1 hour' from conversion_outbox.event
          where business_id = 'o-2'",
    )
    .await;
    let receipt: serde_json::Value = rig
        .one("select conversion_outbox.erase_subject(business_ids => array['o-1'])")
        .await;
    assert_eq!(
        (&receipt["cancelled"], &receipt["in_flight"]),
        (&json!(1), &json!({})),
        "{receipt}"
    );
    let ended = "select count(*) from conversion_outbox.skip_deliveries(
                   (select array_agg(event_no) from conversion_outbox.delivery where destination = 'old'), array['old'], 'gone')";
    assert_eq!(rig.one::<i64>(ended).await, 1);
}
