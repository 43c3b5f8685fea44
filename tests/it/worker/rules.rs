//! One conversion rule that does not work is held by itself; the rest of its destination goes on.

use std::time::Duration;

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::linkedin::ConversionRule;
use conversion_outbox::sandbox::{FaultKind, Platform};

use crate::rig::{AD_ACCOUNT, LEAD_RULE, RULE, Rig, Setup, lead, order};

const HELD: &str = "exists (select from conversion_outbox.rule_hold where rule = '104012')";

/// What LinkedIn knows of the two rules.
fn rules(rig: &Rig, orders: bool, leads: bool) {
    rig.sandbox.linkedin(|world| {
        for (id, enabled) in [(RULE, orders), (LEAD_RULE, leads)] {
            world.add_rule(ConversionRule {
                enabled,
                ..ConversionRule::new(id, AD_ACCOUNT)
            });
        }
    });
}

fn linkedin() -> Setup {
    Setup::only(&[Destination::LinkedIn])
}

async fn state(rig: &Rig, event_id: &str) -> String {
    rig.state("linkedin", event_id).await
}

#[tokio::test]
async fn a_rule_that_is_off_holds_its_events_and_no_others() {
    let rig = Rig::new().await;
    rules(&rig, false, true);
    let worker = rig.work_with(linkedin());
    rig.insert(&[order("o-1"), order("o-2"), lead("l-1"), lead("l-2")])
        .await;
    for id in ["lead_created:l-1", "lead_created:l-2"] {
        rig.until_state("linkedin", id, "accepted").await;
    }
    rig.until(HELD).await;
    for id in ["order_paid:o-1", "order_paid:o-2"] {
        rig.until_state("linkedin", id, "pending/rule_held").await;
    }
    let told: String = rig
        .one("select concat_ws(' ', reason, code, advice is not null) from conversion_outbox.rule_hold")
        .await;
    assert_eq!(told, "rule rule_disabled t");

    // What comes meanwhile is not even tried.
    let before = rig.arrived(Platform::LinkedIn).len();
    rig.insert(&[order("o-3"), lead("l-3")]).await;
    rig.until_state("linkedin", "order_paid:o-3", "pending/rule_held")
        .await;
    rig.until_state("linkedin", "lead_created:l-3", "accepted")
        .await;
    assert_eq!(rig.arrived(Platform::LinkedIn).len(), before + 1);
    let attempts: i64 = rig
        .one("select sum(attempts)::bigint from conversion_outbox.delivery where state = 'pending'")
        .await;
    assert_eq!(attempts, 0, "nothing is burned");

    // A probe every five minutes; when the rule is on again, all go.
    rig.later(TimeDelta::minutes(6)).await;
    rig.until("exists (select from conversion_outbox.delivery where tries = 2 and reason = 'rule_held' and intent_at is null)")
        .await;
    rules(&rig, true, true);
    rig.later(TimeDelta::minutes(6)).await;
    rig.until_final().await;
    for id in ["order_paid:o-1", "order_paid:o-2", "order_paid:o-3"] {
        assert_eq!(state(&rig, id).await, "accepted", "{id}");
    }
    assert!(!rig.one::<bool>(&format!("select {HELD}")).await);
    assert_eq!(rig.doubles(), 0);
    worker.drain().await;
}

/// The settler writes after the lane has decided. What was kept back for the probe and is written only when the probe's
/// answer has lifted the hold must not wait for an hour that means nothing any more.
#[tokio::test]
async fn what_is_written_late_does_not_wait_for_a_hold_that_is_over() {
    let rig = Rig::new().await;
    rules(&rig, false, true);
    let worker = rig.work_with(linkedin());
    rig.insert(&[order("o-1"), order("o-2"), order("o-3")])
        .await;
    rig.until(HELD).await;
    rig.until("(select count(*) from conversion_outbox.delivery where reason = 'rule_held' and lease_until is null) = 3")
        .await;
    // The third shows when the hold is over and the others were woken: it is not due for long.
    rig.run(
        "update conversion_outbox.delivery d set due_at = due_at + interval '1 day'
           from conversion_outbox.event e where e.event_no = d.event_no and e.event_id = 'order_paid:o-3'",
    )
    .await;
    // Whatever gives a delivery back to wait for the rule is not written until the lock is free.
    let slow = rig.superuser().await;
    slow.batch_execute(
        "create function public.write_late() returns trigger language plpgsql as $$
         begin perform pg_advisory_xact_lock_shared(104012); return new; end $$;
         create trigger write_late before update on conversion_outbox.delivery for each row
           when (new.reason = 'rule_held' and old.lease_until is not null and new.lease_until is null)
           execute function public.write_late();
         select pg_advisory_lock(104012)",
    )
    .await
    .expect("a superuser may");
    rules(&rig, true, true);
    rig.later(TimeDelta::minutes(6)).await;
    rig.until(
        "exists (select from conversion_outbox.delivery join conversion_outbox.event using (event_no)
          where event_id = 'order_paid:o-3' and due_at < recorded_at + interval '1 hour')",
    )
    .await;
    slow.batch_execute("select pg_advisory_unlock(104012)")
        .await
        .expect("it is held");
    rig.until_final().await;
    assert_eq!(rig.count("linkedin", "accepted").await, 3);
    assert_eq!(rig.doubles(), 0);
    worker.drain().await;
}

#[tokio::test]
async fn a_person_may_lift_the_hold_of_one_rule() {
    let rig = Rig::new().await;
    rules(&rig, false, true);
    let worker = rig.work_with(linkedin());
    rig.insert(&[order("o-1")]).await;
    rig.until(HELD).await;
    rig.until_state("linkedin", "order_paid:o-1", "pending/rule_held")
        .await;
    rules(&rig, true, true);
    assert!(
        rig.one::<Option<bool>>(
            "select conversion_outbox.resume_destination('linkedin', 'another')"
        )
        .await
        .is_none()
    );
    assert!(
        rig.one::<bool>("select conversion_outbox.resume_destination('linkedin', '104012')")
            .await
    );
    rig.until_state("linkedin", "order_paid:o-1", "accepted")
        .await;
    worker.drain().await;
}

#[tokio::test]
async fn another_worker_obeys_the_hold_of_a_rule() {
    let rig = Rig::new().await;
    rules(&rig, false, true);
    let first = rig.work_with(linkedin());
    rig.insert(&[order("o-1")]).await;
    rig.until(HELD).await;
    first.drain().await;
    let tried = rig.arrived(Platform::LinkedIn).len();
    let second = rig.work_with(linkedin());
    rig.until("exists (select from conversion_outbox.destination where last_seen_at > held_since or held_since is null)")
        .await;
    rig.insert(&[lead("l-1")]).await;
    rig.until_state("linkedin", "lead_created:l-1", "accepted")
        .await;
    rig.insert(&[order("o-2")]).await;
    rig.until_state("linkedin", "order_paid:o-2", "pending/rule_held")
        .await;
    assert_eq!(
        rig.arrived(Platform::LinkedIn).len(),
        tried + 1,
        "the lead alone"
    );
    second.drain().await;
}

#[tokio::test]
async fn when_no_rule_lets_us_in_it_is_the_account() {
    let rig = Rig::new().await;
    rig.sandbox
        .linkedin(|world| world.add_rule(ConversionRule::new("999", AD_ACCOUNT)));
    let worker = rig.work_with(linkedin());
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    rig.until(
        "exists (select from conversion_outbox.destination where hold_reason = 'permission')",
    )
    .await;
    assert_eq!(
        rig.one::<i64>("select count(*) from conversion_outbox.rule_hold")
            .await,
        2
    );
    rules(&rig, true, true);
    rig.run("select conversion_outbox.resume_destination('linkedin')")
        .await;
    rig.until_final().await;
    assert_eq!(state(&rig, "order_paid:o-1").await, "accepted");
    assert_eq!(state(&rig, "lead_created:l-1").await, "accepted");
    worker.drain().await;
}

#[tokio::test]
async fn of_all_workers_one_probes_a_rule_with_one_delivery() {
    let rig = Rig::new().await;
    rules(&rig, false, true);
    let workers = [0; 3].map(|_| rig.work_with(linkedin()));
    let orders: Vec<_> = (0..20).map(|n| order(&format!("o-{n}"))).collect();
    rig.insert(&orders).await;
    rig.until(HELD).await;
    rig.until("(select count(*) from conversion_outbox.delivery where reason = 'rule_held' and lease_until is null) = 20")
        .await;
    // All have read the hold.
    rig.until_for(Duration::from_millis(1200), "false").await;
    let before = rig.arrived(Platform::LinkedIn).len();
    let hold = rig.event_fault(FaultKind::HoldAfter, Platform::LinkedIn, |_| {});
    rules(&rig, true, true);
    rig.later(TimeDelta::minutes(6)).await;
    rig.held(hold, 1).await;
    rig.until_for(Duration::from_millis(1500), "false").await;
    assert_eq!(
        rig.sandbox.struck(hold),
        Some(1),
        "one probe of three workers"
    );
    assert_eq!(
        rig.arrived(Platform::LinkedIn).len(),
        before + 1,
        "and in it one delivery"
    );
    rig.sandbox.remove_fault(hold);
    rig.until_final().await;
    assert_eq!(rig.count("linkedin", "accepted").await, 20);
    for worker in workers {
        worker.drain().await;
    }
}
