//! A resend after an answer that never came happens only where the platform recognises it, inside its window.

use chrono::TimeDelta;
use conversion_outbox::sandbox::{FaultKind, Platform, Verdict};

use crate::rig::{Rig, Setup, lead, order};

#[tokio::test]
async fn a_purchase_is_sent_to_ga4_again_and_counted_once() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::ResetAfter, Platform::Ga4, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.until_state("ga4", "order_paid:o-1", "pending/no_answer")
        .await;
    rig.later(TimeDelta::hours(1)).await;
    rig.until_state("ga4", "order_paid:o-1", "sent").await;
    let verdicts: Vec<Verdict> = rig
        .arrived(Platform::Ga4)
        .iter()
        .map(|row| row.verdict)
        .collect();
    assert_eq!(verdicts, [Verdict::Stored, Verdict::Deduplicated]);
    worker.drain().await;
}

#[tokio::test]
async fn a_lead_is_not_sent_to_ga4_again() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::ResetAfter, Platform::Ga4, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work();
    rig.insert(&[lead("l-1")]).await;
    rig.until_state("ga4", "lead_created:l-1", "uncertain/no_answer")
        .await;
    rig.later(TimeDelta::hours(10)).await;
    rig.insert(&[lead("l-2")]).await;
    rig.until_state("ga4", "lead_created:l-2", "sent").await;
    let of_first = rig.arrived(Platform::Ga4);
    assert_eq!(of_first.len(), 2, "one arrival each");
    assert_eq!(rig.doubles(), 0);
    let tries: i16 = rig
        .one("select tries from conversion_outbox.delivery where state = 'uncertain'")
        .await;
    assert_eq!(tries, 1);
    worker.drain().await;
}

#[tokio::test]
async fn ga4_resends_a_lead_where_the_operator_takes_the_risk() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::ResetAfter, Platform::Ga4, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work_with(Setup {
        ga4: "on_ambiguous = \"resend\"",
        ..Setup::default()
    });
    rig.insert(&[lead("l-1")]).await;
    rig.until_state("ga4", "lead_created:l-1", "pending/no_answer")
        .await;
    rig.later(TimeDelta::hours(1)).await;
    rig.until_state("ga4", "lead_created:l-1", "sent").await;
    assert_eq!(rig.arrived(Platform::Ga4).len(), 2);
    worker.drain().await;
}

#[tokio::test]
async fn meta_is_sent_the_same_id_again_within_its_window() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::ResetAfter, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.until_state("meta", "order_paid:o-1", "pending/no_answer")
        .await;
    rig.later(TimeDelta::hours(47)).await;
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    let ids: Vec<Option<String>> = rig
        .arrived(Platform::Meta)
        .into_iter()
        .map(|row| row.event_id)
        .collect();
    assert_eq!(ids, vec![Some("order_paid:o-1".to_owned()); 2]);
    worker.drain().await;
}

#[tokio::test]
async fn meta_is_not_sent_it_again_after_its_window() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::ResetAfter, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.until_state("meta", "order_paid:o-1", "pending/no_answer")
        .await;
    rig.later(TimeDelta::hours(49)).await;
    rig.until_state("meta", "order_paid:o-1", "uncertain/repeat_window_over")
        .await;
    assert_eq!(rig.arrived(Platform::Meta).len(), 1);
    worker.drain().await;
}

#[tokio::test]
async fn meta_is_never_sent_it_again_where_the_operator_says_so() {
    let rig = Rig::new().await;
    let hold = rig.fault(FaultKind::HoldAfter, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work_with(Setup {
        meta: "on_ambiguous = \"uncertain\"",
        ..Setup::default()
    });
    rig.insert(&[order("o-1")]).await;
    rig.held(hold, 1).await;
    let announced: bool = rig
        .one("select exists (select from conversion_outbox.delivery where destination = 'meta' and reason = 'sending' and intent_at is not null and tries = 1 and payload_hash is not null)")
        .await;
    assert!(announced, "the intent is written before the request");
    rig.fault(FaultKind::ResetAfter, Platform::Meta, |fault| {
        fault.event_id = Some("order_paid:o-2".into())
    });
    rig.insert(&[order("o-2")]).await;
    rig.until_state("meta", "order_paid:o-2", "uncertain/no_answer")
        .await;
    rig.sandbox.release(hold);
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    rig.later(TimeDelta::hours(1)).await;
    rig.insert(&[order("o-3")]).await;
    rig.until_state("meta", "order_paid:o-3", "accepted").await;
    assert_eq!(rig.arrived(Platform::Meta).len(), 3);
    worker.drain().await;
}

#[tokio::test]
async fn a_count_that_does_not_add_up_is_not_followed_by_a_resend() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::FewerReceived, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.until_state("meta", "order_paid:o-1", "uncertain/count_mismatch")
        .await;
    assert_eq!(rig.arrived(Platform::Meta).len(), 1);
    worker.drain().await;
}
