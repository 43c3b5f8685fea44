//! What a lost worker may have sent is written down before anything else happens, and everything that follows knows it.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};

use crate::process::Process;
use crate::rig::{Rig, Setup, order, refund};

const META: Setup = Setup {
    platforms: Some(&[Destination::Meta]),
    meta: "batch_size = 1",
    worker: "",
    database: "",
    ga4: "",
    google: "",
    ads: "",
    linkedin: "",
    rest: "",
    meta_url: None,
    is_proxied: false,
};

/// Every try of every delivery, oldest first, as `outcome code`.
const TRIES: &str = "select coalesce(string_agg(outcome || coalesce(' ' || error_code, ''), ', ' order by event_no, try_no), '')
                       from conversion_outbox.delivery_attempt";

/// Kills a worker while the platform has its request and has not answered.
async fn lost_in_flight(rig: &Rig, platform: Platform, setup: Setup) {
    let held = rig.event_fault(FaultKind::HoldAfter, platform, |fault| {
        fault.times = Some(1);
    });
    let worker = Process::start(rig, setup);
    rig.insert(&[order("o-1")]).await;
    rig.held(held, 1).await;
    worker.kill().await;
}

#[tokio::test]
async fn a_lost_claim_is_a_try_without_an_answer_before_the_next_request_leaves() {
    let rig = Rig::new().await;
    lost_in_flight(&rig, Platform::Meta, META).await;
    rig.pass(TimeDelta::minutes(2));
    let next = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |fault| {
        fault.times = Some(1);
    });
    let second = rig.work_with(META);
    rig.held(next, 1).await;
    assert_eq!(rig.one::<String>(TRIES).await, "ambiguous lease_lost");
    let in_doubt = "select state || '/' || reason from conversion_outbox.delivery where first_tried_at < tried_at and tries = 1";
    assert_eq!(rig.one::<String>(in_doubt).await, "pending/no_answer");
    rig.sandbox.release(next);
    rig.until_final().await;
    assert_eq!(
        rig.one::<String>(TRIES).await,
        "ambiguous lease_lost, accepted"
    );
    assert_eq!(
        rig.one::<i64>(
            "select count(distinct payload_hash) from conversion_outbox.delivery_attempt"
        )
        .await,
        1
    );
    second.drain().await;
}

#[tokio::test]
async fn what_was_lost_longer_ago_than_the_platform_remembers_is_not_sent_again() {
    let rig = Rig::new().await;
    lost_in_flight(&rig, Platform::Meta, META).await;
    rig.pass(TimeDelta::hours(49));
    let second = rig.work_with(META);
    rig.until_final().await;
    assert_eq!(
        rig.state("meta", "order_paid:o-1").await,
        "uncertain/repeat_window_over"
    );
    assert_eq!(rig.arrived(Platform::Meta).len(), 1);
    second.drain().await;
}

#[tokio::test]
async fn consent_withdrawn_after_the_loss_hides_nothing_of_what_may_have_left() {
    let rig = Rig::new().await;
    lost_in_flight(&rig, Platform::Meta, META).await;
    rig.run("select conversion_outbox.withdraw_consent(business_id => 'o-1')")
        .await;
    rig.pass(TimeDelta::minutes(2));
    let second = rig.work_with(META);
    rig.until_final().await;
    assert_eq!(
        rig.state("meta", "order_paid:o-1").await,
        "suppressed/withdrawn"
    );
    assert_eq!(rig.one::<String>(TRIES).await, "ambiguous lease_lost");
    assert_eq!(rig.arrived(Platform::Meta).len(), 1);
    second.drain().await;
}

#[tokio::test]
async fn an_order_lost_in_flight_is_not_cancelled_by_its_refund() {
    let rig = Rig::new().await;
    let ads = Setup::only(&[Destination::GoogleAds]);
    lost_in_flight(&rig, Platform::GoogleAds, ads).await;
    rig.insert(&[refund("o-1", 1, None)]).await;
    rig.pass(TimeDelta::minutes(2));
    let second = rig.work_with(ads);
    rig.until("exists (select from conversion_outbox.delivery join conversion_outbox.event using (event_no)
                 where event_name = 'order_paid' and state <> 'pending')")
        .await;
    assert_eq!(
        rig.state("google_ads", "order_paid:o-1").await,
        "accepted/duplicate"
    );
    second.drain().await;
}

/// Whoever claimed them saw both: an order that is taken back in its own transaction leaves with no worker, lost or not.
#[tokio::test]
async fn an_order_that_was_never_seen_without_its_refund_is_in_no_doubt() {
    let rig = Rig::new().await;
    rig.insert(&[order("o-1"), refund("o-1", 1, None)]).await;
    rig.run("update conversion_outbox.queue set claim_no = claim_no + 1, lease_until = clock_timestamp() - interval '1 second'")
        .await;
    let second = rig.work_with(META);
    rig.until_final().await;
    assert_eq!(
        rig.state("meta", "order_paid:o-1").await,
        "cancelled/taken_back"
    );
    assert_eq!(rig.arrived(Platform::Meta).len(), 0);
    assert_eq!(rig.one::<String>(TRIES).await, "");
    second.drain().await;
}

#[tokio::test]
async fn an_event_that_was_set_aside_for_another_worker_is_in_no_doubt() {
    let rig = Rig::new().await;
    rig.work().drain().await;
    // This one does not serve GA4, which is known to be served by somebody.
    let first = rig.work_with(META);
    rig.insert(&[order("o-1")]).await;
    rig.until("exists (select from conversion_outbox.queue where set_aside)")
        .await;
    first.drain().await;
    rig.later(TimeDelta::minutes(2)).await;
    let second = rig.work();
    rig.until_final().await;
    assert_eq!(rig.one::<String>(TRIES).await, "accepted, sent");
    assert_eq!(second.metric("conversion_outbox_lease_expired_total"), 0.0);
    second.drain().await;
}
