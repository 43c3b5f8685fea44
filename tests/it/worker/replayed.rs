//! What a worker makes of a delivery that a person asked for again.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};

use crate::rig::{Rig, Setup, lead, order, refund};

/// Replays everything that may be, as the function alone does it: without any judgement by the configuration.
async fn replay(rig: &Rig, forced: bool) -> i64 {
    rig.one(&format!(
        "select r.replayed from conversion_outbox.replay_deliveries(
           (select array_agg(event_no) from conversion_outbox.delivery), (select array_agg(destination) from conversion_outbox.delivery),
           'a test', forced => {forced}) r"
    ))
    .await
}

/// Running totals are what counting says.
async fn totals_are_exact(rig: &Rig) {
    let wrong: i64 = rig
        .one(
            "select count(*) from conversion_outbox.destination_total t
               full join (select destination, state, count(*) as total, count(*) filter (where tries > 1) as retried
                            from conversion_outbox.delivery where state <> 'pending' group by 1, 2) c
                 on c.destination = t.destination and c.state = t.state
              where coalesce(t.total, 0) <> coalesce(c.total, 0) or coalesce(t.retried, 0) <> coalesce(c.retried, 0)",
        )
        .await;
    assert_eq!(wrong, 0);
}

#[tokio::test]
async fn what_was_refused_goes_again_as_it_is_configured_now() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::MetaError, Platform::Meta, |fault| {
        (fault.status, fault.code) = (Some(400), Some(100));
    });
    let only = Setup::only(&[Destination::Meta]);
    let worker = rig.work_with(only);
    rig.insert(&[order("o-1"), order("o-2")]).await;
    rig.until("(select count(*) from conversion_outbox.delivery where state = 'rejected') = 2")
        .await;
    worker.drain().await;
    rig.sandbox.clear_faults();
    assert_eq!(replay(&rig, false).await, 2);
    let worker =
        rig.work_with(only.lines(Destination::Meta, "events = { order_paid = \"ShopOrder\" }"));
    rig.until_final().await;
    assert_eq!(
        rig.count("meta", "accepted").await,
        2,
        "not payload_changed"
    );
    let names: Vec<_> = rig
        .arrived(Platform::Meta)
        .into_iter()
        .map(|row| row.event_name.unwrap_or_default())
        .collect();
    assert_eq!(names.iter().filter(|name| *name == "ShopOrder").count(), 2);
    totals_are_exact(&rig).await;
    assert_eq!(replay(&rig, true).await, 0, "accepted is accepted");
    worker.drain().await;
}

#[tokio::test]
async fn what_may_have_arrived_is_sent_to_linkedin_again_only_by_force() {
    let rig = Rig::new().await;
    rig.event_fault(FaultKind::ResetAfter, Platform::LinkedIn, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work_with(Setup::only(&[Destination::LinkedIn]));
    rig.insert(&[lead("l-1")]).await;
    rig.until_state("linkedin", "lead_created:l-1", "uncertain/no_answer")
        .await;
    // The worker is the last to refuse, whoever put it back.
    assert_eq!(replay(&rig, false).await, 1);
    rig.until_state("linkedin", "lead_created:l-1", "uncertain/no_answer")
        .await;
    assert_eq!(rig.arrived(Platform::LinkedIn).len(), 1);
    totals_are_exact(&rig).await;
    // Skipped by hand and asked for again, it is as uncertain as before.
    let skipped: i64 = rig
        .one("select skipped from conversion_outbox.skip_deliveries((select array_agg(event_no) from conversion_outbox.delivery), '{linkedin}', 'seen')")
        .await;
    assert_eq!(skipped, 1);
    assert_eq!(replay(&rig, false).await, 1);
    rig.until_state("linkedin", "lead_created:l-1", "uncertain/no_answer")
        .await;
    assert_eq!(rig.arrived(Platform::LinkedIn).len(), 1);

    assert_eq!(replay(&rig, true).await, 1);
    rig.until_state("linkedin", "lead_created:l-1", "accepted")
        .await;
    assert_eq!(rig.arrived(Platform::LinkedIn).len(), 2);
    let tries: Vec<i16> = vec![
        rig.one("select tries from conversion_outbox.delivery")
            .await,
        rig.one("select count(*)::smallint from conversion_outbox.attempt")
            .await,
        rig.one("select count(distinct payload_hash)::smallint from conversion_outbox.attempt")
            .await,
    ];
    assert_eq!(
        tries,
        [2, 2, 1],
        "the same payload, and both tries on record"
    );
    totals_are_exact(&rig).await;
    worker.drain().await;
}

#[tokio::test]
async fn force_lasts_for_one_doubt_only() {
    let rig = Rig::new().await;
    rig.event_fault(FaultKind::ResetAfter, Platform::LinkedIn, |fault| {
        fault.times = Some(2)
    });
    let worker = rig.work_with(Setup::only(&[Destination::LinkedIn]));
    rig.insert(&[lead("l-1")]).await;
    rig.until_state("linkedin", "lead_created:l-1", "uncertain/no_answer")
        .await;
    assert_eq!(replay(&rig, true).await, 1);
    rig.until(
        "exists (select from conversion_outbox.delivery where state = 'uncertain' and tries = 2)",
    )
    .await;
    assert_eq!(replay(&rig, false).await, 1);
    rig.until_state("linkedin", "lead_created:l-1", "uncertain/no_answer")
        .await;
    assert_eq!(rig.arrived(Platform::LinkedIn).len(), 2);
    worker.drain().await;
}

#[tokio::test]
async fn meta_s_window_counts_from_the_first_try_or_from_the_force() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::ResetAfter, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let down = rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        fault.status = Some(503)
    });
    let worker = rig.work_with(Setup::only(&[Destination::Meta]));
    rig.insert(&[order("o-1")]).await;
    rig.until(
        "exists (select from conversion_outbox.delivery where state = 'pending' and tries > 0)",
    )
    .await;
    rig.later(TimeDelta::hours(49)).await;
    rig.until_state("meta", "order_paid:o-1", "uncertain/repeat_window_over")
        .await;
    assert!(rig.sandbox.remove_fault(down));
    assert_eq!(replay(&rig, false).await, 1);
    rig.until_state("meta", "order_paid:o-1", "uncertain/repeat_window_over")
        .await;
    let before = rig.arrived(Platform::Meta).len();
    worker.drain().await;
    assert_eq!(replay(&rig, true).await, 1);
    // The clock of this test is two days ahead of the database's own, by which the force was noted.
    rig.run(&format!(
        "update conversion_outbox.delivery set forced_at = '{}'",
        rig.clock.now().to_rfc3339()
    ))
    .await;
    let worker = rig.work_with(Setup::only(&[Destination::Meta]));
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    assert_eq!(rig.arrived(Platform::Meta).len(), before + 1);
    totals_are_exact(&rig).await;
    worker.drain().await;
}

#[tokio::test]
async fn force_gives_the_configuration_s_own_age_once_more() {
    let rig = Rig::new().await;
    let setup = Setup::only(&[Destination::Meta]);
    let patient = setup.lines(Destination::Meta, "age_max_hours = 2");
    let down = rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        fault.status = Some(503)
    });
    let worker = rig.work_with(patient);
    rig.insert(&[crate::rig::with(
        order("o-1"),
        serde_json::json!({ "occurred_at": crate::rig::ago(TimeDelta::minutes(119)) }),
    )])
    .await;
    rig.until("exists (select from conversion_outbox.delivery where tries > 0)")
        .await;
    rig.later(TimeDelta::minutes(5)).await;
    rig.until_state("meta", "order_paid:o-1", "exhausted/age_used_up")
        .await;
    assert!(rig.sandbox.remove_fault(down));
    assert_eq!(replay(&rig, false).await, 1);
    rig.until_state("meta", "order_paid:o-1", "exhausted/age_used_up")
        .await;
    assert_eq!(replay(&rig, true).await, 1);
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    totals_are_exact(&rig).await;
    worker.drain().await;
}

#[tokio::test]
async fn a_refund_that_had_nothing_to_take_back_follows_its_replayed_order() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::AdsRowError, Platform::GoogleAds, |fault| {
        fault.times = Some(1);
        fault.reason = Some("conversionUploadError.UNPARSEABLE_GCLID".into());
    });
    let worker = rig.work_with(Setup::only(&[Destination::GoogleAds]));
    rig.insert(&[order("o-1")]).await;
    rig.until_state("google_ads", "order_paid:o-1", "rejected")
        .await;
    rig.insert(&[refund("o-1", 1, Some(10.0))]).await;
    rig.until_state("google_ads", "o-1_refund_1", "skipped/original_not_sent")
        .await;
    assert_eq!(replay(&rig, false).await, 1, "the order was asked for");
    rig.until_final().await;
    assert_eq!(rig.count("google_ads", "accepted").await, 2);
    let worth = rig.sandbox.read(|ledger| {
        let values = ledger
            .conversions()
            .map(|(_, one)| one.amount().value.clone());
        values.flatten().collect::<Vec<_>>()
    });
    assert_eq!(worth.len(), 1);
    assert_eq!(worth[0].parse::<f64>().ok(), Some(39.90));
    let counts: String = rig
        .one("select details ->> 'counts' from conversion_outbox.audit")
        .await;
    assert!(counts.contains("skipped/original_not_sent"), "{counts}");
    totals_are_exact(&rig).await;
    worker.drain().await;
}
