//! Rows that no careful application writes: each ends in a clear state, and none delays another.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::Platform;
use serde_json::{Value, json};

use crate::rig::{Rig, Setup, lead, order, refund, with};

/// What became of an event: `state/reason` at Meta, GA4, Data Manager, Google Ads and LinkedIn.
async fn ends(rig: &Rig, event_id: &str) -> String {
    let mut states = Vec::new();
    for platform in Destination::ALL {
        states.push(rig.state(platform.name(), event_id).await);
    }
    states.join(", ")
}

#[tokio::test]
async fn odd_orders() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::all());
    let id = |id: &str| with(order("odd"), json!({ "event_id": id }));
    let value = |value: &str| {
        with(
            order("odd"),
            json!({ "event_id": format!("worth {value}"), "value": value }),
        )
    };
    let click = |name: &str, value: &str| {
        let mut event = with(order("odd"), json!({ "event_id": name }));
        event["click_ids"][name] = value.into();
        event
    };
    let fine = "accepted, sent, sent, accepted, accepted";
    let (no_id, refused) = ("rejected/invalid_payload", "rejected/refused_by_platform");
    let rows = [
        (id("with a space"), fine.to_owned()),
        // What may be an address goes to nobody who takes no personal data there.
        (
            id("ana@example.com"),
            format!("accepted, sent, {no_id}, {no_id}, accepted"),
        ),
        (id("größe-№-7"), fine.to_owned()),
        (id(&"x".repeat(128)), fine.to_owned()),
        (id("1042"), fine.to_owned()),
        (value("0"), fine.to_owned()),
        (value("0.123456789012345678901234567890"), fine.to_owned()),
        (value("999999999999999999"), fine.to_owned()),
        (
            click("gclid", "<script>alert(1)</script>"),
            format!("accepted, sent, sent, {refused}, accepted"),
        ),
        (click("li_fat_id", "no id at all"), fine.to_owned()),
        (click("gbraid", ""), fine.to_owned()),
        (order("good"), fine.to_owned()),
    ];
    let events: Vec<Value> = rows.iter().map(|(event, _)| event.clone()).collect();
    rig.insert(&events).await;
    rig.until_final().await;
    for (event, expected) in &rows {
        let id = event["event_id"].as_str().unwrap_or("order_paid:good");
        assert_eq!(ends(&rig, id).await, *expected, "{id}");
    }
    worker.drain().await;
}

/// The tables of a worker whose Google destinations have confirmed these.
async fn confirmed(rig: &Rig, events: &[Value]) {
    rig.insert(events).await;
    rig.until_final().await;
    rig.later(TimeDelta::minutes(31)).await;
    rig.until("not exists (select from conversion_outbox.request where settled_at is null)")
        .await;
}

#[tokio::test]
async fn odd_refunds() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::all());
    confirmed(
        &rig,
        &[order("o-1"), order("o-2"), order("o-3"), lead("l-1")],
    )
    .await;
    let of =
        |event: Value, depends_on: Option<&str>| with(event, json!({ "depends_on": depends_on }));
    let tiny = "0.000000000000000000000000000001";
    // At GA4, and at either of Google's ways; Meta and LinkedIn hear of no refund.
    let unknown = "rejected/invalid_payload";
    let rows = [
        // Nobody can say what five dollars leave of an order in euros; all that is left can be said again.
        (
            with(refund("o-1", 1, Some(5.0)), json!({ "currency": "USD" })),
            "sent",
            unknown,
        ),
        (refund("o-1", 2, Some(5.0)), "sent", unknown),
        (refund("o-1", 3, None), "sent", "told"),
        (refund("o-2", 1, Some(9.9)), "sent", "told"),
        (
            of(refund("o-2", 2, Some(1.0)), Some("o-2_refund_1")),
            "skipped/unsupported_event",
            "skipped/unsupported_event",
        ),
        (
            of(refund("cycle", 1, Some(1.0)), Some("cycle_refund_2")),
            "skipped/unsupported_event",
            "skipped/unsupported_event",
        ),
        (
            of(refund("cycle", 2, Some(1.0)), Some("cycle_refund_1")),
            "skipped/unsupported_event",
            "skipped/unsupported_event",
        ),
        (
            of(refund("l-1", 1, None), Some("lead_created:l-1")),
            "sent",
            "told",
        ),
        (
            refund("nobody", 1, Some(1.0)),
            "skipped/original_unknown",
            "skipped/original_unknown",
        ),
        (refund("o-3", 1, Some(0.0)), "sent", "told"),
        (
            with(refund("o-3", 2, Some(0.0)), json!({ "value": tiny })),
            "sent",
            unknown,
        ),
        (
            of(refund("free", 1, Some(1.0)), None),
            "skipped/no_identifier",
            unknown,
        ),
        // What all of this delays.
        (order("good"), "sent", "told"),
    ];
    let events: Vec<Value> = rows.iter().map(|(event, ..)| event.clone()).collect();
    rig.insert(&events).await;
    for _ in 0..3 {
        rig.until("not exists (select from conversion_outbox.queue)")
            .await;
        rig.later(TimeDelta::minutes(45)).await;
        rig.until("not exists (select from conversion_outbox.request where settled_at is null)")
            .await;
    }
    rig.until_final().await;
    for (event, ga4, google) in &rows {
        let id = event["event_id"].as_str().unwrap_or("order_paid:good");
        assert_eq!(rig.state("ga4", id).await, *ga4, "{id}");
        for destination in ["google_data_manager", "google_ads"] {
            let found = rig.state(destination, id).await;
            let is_told = *google == "told" && ["sent", "accepted"].contains(&found.as_str());
            assert!(
                is_told || found == *google,
                "{id} at {destination}: {found}"
            );
        }
    }
    worker.drain().await;
}

#[tokio::test]
async fn hundreds_of_refunds_of_one_order_delay_nobody_and_end() {
    const TOLD: [Destination; 2] = [Destination::Ga4, Destination::GoogleAds];
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::only(&TOLD));
    confirmed(&rig, &[order("huge")]).await;
    // More than there is to give back, in one transaction.
    let refunds: Vec<Value> = (1..=300).map(|n| refund("huge", n, Some(0.25))).collect();
    rig.insert(&refunds).await;
    rig.insert(&[order("after")]).await;
    rig.until_state("ga4", "order_paid:after", "sent").await;
    rig.until_state("google_ads", "order_paid:after", "accepted")
        .await;
    rig.until("not exists (select from conversion_outbox.queue)
           and not exists (select from conversion_outbox.delivery where destination = 'ga4' and state = 'pending')").await;
    let cents: Vec<u64> = rig
        .arrived(Platform::Ga4)
        .iter()
        .filter(|row| row.event_name.as_deref() == Some("refund"))
        .filter_map(|row| Some((row.value.as_ref()?.parse::<f64>().ok()? * 100.0).round() as u64))
        .collect();
    assert_eq!((cents.len(), cents.iter().sum()), (200, 4990));
    // Google hears them one at a time, and what is too late in the end is over.
    let waiting = rig.count("google_ads", "pending").await;
    assert!(waiting > 100, "{waiting}");
    rig.later(TimeDelta::days(91)).await;
    rig.until_final().await;
    assert_eq!(rig.count("google_ads", "expired").await, waiting);
    worker.drain().await;
}
