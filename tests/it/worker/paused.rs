//! A pause is a person's word: every worker obeys it, and nothing but a person's word ends it.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{Account, FaultKind, Platform, TokenState};

use super::google::{DATA_MANAGER, data_manager};
use crate::rig::{DATASET, LEAD_RULE, RULE, Rig, Running, Setup, TOKEN, lead, order};

const PAUSE_META: &str = "select conversion_outbox.pause_destination('meta', 'the sale is over')";
const RESUME_META: &str = "select conversion_outbox.resume_destination('meta')";

fn meta() -> Setup {
    Setup::only(&[Destination::Meta])
}

/// Waits until a worker has heard of a pause. It asks the database once a second; so does this, as often as it answers.
async fn obeyed(rig: &Rig, worker: &Running, destination: &str) {
    circuit(rig, worker, destination, 2.0).await;
}

/// Waits until a worker says so of the circuit: 1 while a probe is under way, 2 while nothing passes.
async fn circuit(rig: &Rig, worker: &Running, destination: &str, wanted: f64) {
    let name = format!("conversion_outbox_circuit_state{{destination=\"{destination}\"}}");
    let hears = async {
        while worker.metric(&name) != wanted {
            rig.one::<bool>("select true").await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), hears)
        .await
        .expect("it obeys");
}

/// Meta takes the token no more.
fn expire(rig: &Rig) {
    let mut account = Account::with_token(TOKEN);
    account.tokens.insert(TOKEN.to_owned(), TokenState::Expired);
    rig.sandbox.put_account(Platform::Meta, DATASET, account);
}

async fn hold_reason(rig: &Rig) -> Option<String> {
    rig.one("select hold_reason from conversion_outbox.destination where name = 'meta'")
        .await
}

#[tokio::test]
async fn two_workers_obey_a_pause_and_late_answers_do_not_end_it() {
    let rig = Rig::new().await;
    let late = rig.fault(FaultKind::HoldAfter, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let refused = rig.fault(FaultKind::HoldBefore, Platform::Meta, |fault| {
        fault.event_name = Some("Lead".into())
    });
    let workers = [rig.work_with(meta()), rig.work_with(meta())];
    rig.insert(&[order("o-1")]).await;
    rig.held(late, 1).await;
    rig.insert(&[lead("l-1")]).await;
    rig.held(refused, 1).await;
    rig.run(PAUSE_META).await;
    for worker in &workers {
        obeyed(&rig, worker, "meta").await;
    }
    let orders: Vec<_> = (10..40).map(|n| order(&format!("o-{n}"))).collect();
    for order in &orders {
        rig.insert(std::slice::from_ref(order)).await;
    }
    let waiting = "(select count(*) from conversion_outbox.delivery where state = 'pending' and reason = 'destination_held')";
    rig.until(&format!("{waiting} = 30")).await;

    // A good answer of a request from before the pause.
    rig.sandbox.release(late);
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    assert_eq!(hold_reason(&rig).await.as_deref(), Some("paused"));
    // And a refusal of the credential.
    expire(&rig);
    rig.sandbox.release(refused);
    rig.until_state("meta", "lead_created:l-1", "pending/destination_held")
        .await;
    let told: String = rig
        .one("select concat_ws(' | ', hold_reason, hold_code, paused_because, probe_at at time zone 'UTC', hold_credential) from conversion_outbox.destination")
        .await;
    assert_eq!(told, "paused | the sale is over | 9999-12-31 00:00:00");
    let before = rig.arrived(Platform::Meta).len();
    assert!(before <= 2, "none of the thirty");
    // No probe, however long it lasts, and no new credential.
    rig.sandbox
        .put_account(Platform::Meta, DATASET, Account::with_token("new-token"));
    rig.write("meta.token", "new-token");
    rig.later(TimeDelta::hours(2)).await;
    rig.insert(&[order("o-50")]).await;
    rig.until_state("meta", "order_paid:o-50", "pending/destination_held")
        .await;
    let lifted = rig
        .until_for(
            std::time::Duration::from_millis(2500),
            "exists (select from conversion_outbox.destination where hold_reason is null)",
        )
        .await;
    assert!(!lifted);
    assert_eq!(rig.arrived(Platform::Meta).len(), before);
    let burned: i64 = rig
        .one("select coalesce(sum(attempts), 0)::bigint from conversion_outbox.delivery where state = 'pending'")
        .await;
    assert_eq!(burned, 0);

    rig.run(RESUME_META).await;
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, 33, "nothing is lost");
    assert_eq!(rig.doubles(), 0);
    for worker in workers {
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_probe_under_way_does_not_end_a_pause() {
    let rig = Rig::new().await;
    expire(&rig);
    let worker = rig.work_with(meta());
    rig.insert(&[order("o-1")]).await;
    rig.until(
        "exists (select from conversion_outbox.destination where hold_reason = 'credential')",
    )
    .await;
    rig.sandbox
        .put_account(Platform::Meta, DATASET, Account::with_token(TOKEN));
    let probe = rig.fault(FaultKind::HoldAfter, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    rig.later(TimeDelta::minutes(6)).await;
    rig.held(probe, 1).await;
    circuit(&rig, &worker, "meta", 1.0).await;
    rig.run(PAUSE_META).await;
    // Long before the worker can have heard of it.
    rig.sandbox.release(probe);
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    assert_eq!(hold_reason(&rig).await.as_deref(), Some("paused"));
    obeyed(&rig, &worker, "meta").await;
    let before = rig.arrived(Platform::Meta).len();
    rig.insert(&[order("o-2")]).await;
    rig.until_state("meta", "order_paid:o-2", "pending/destination_held")
        .await;
    assert_eq!(rig.arrived(Platform::Meta).len(), before);
    rig.run(RESUME_META).await;
    rig.until_final().await;
    worker.drain().await;
}

#[tokio::test]
async fn one_rule_is_paused_and_the_others_go_on() {
    let rig = Rig::new().await;
    let late = rig.event_fault(FaultKind::HoldAfter, Platform::LinkedIn, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work_with(Setup::only(&[Destination::LinkedIn]));
    rig.insert(&[order("o-1")]).await;
    rig.held(late, 1).await;
    rig.run(&format!(
        "select conversion_outbox.pause_destination('linkedin', 'wrong campaign', '{RULE}')"
    ))
    .await;
    // Heard of, once something waits for the rule.
    let mut n = 1;
    while !rig
        .until_for(
            std::time::Duration::from_millis(200),
            "exists (select from conversion_outbox.delivery where reason = 'rule_held' and lease_until is null)",
        )
        .await
    {
        n += 1;
        assert!(n < 100, "it obeys");
        rig.insert(&[order(&format!("o-{n}"))]).await;
    }
    let before = rig.arrived(Platform::LinkedIn).len();
    rig.sandbox.release(late);
    rig.until_state("linkedin", "order_paid:o-1", "accepted")
        .await;
    rig.insert(&[order("p-1"), lead("l-1")]).await;
    rig.until_state("linkedin", "lead_created:l-1", "accepted")
        .await;
    rig.until_state("linkedin", "order_paid:p-1", "pending/rule_held")
        .await;
    // A refusal of the other rule is no reason to hold the destination: this one is a person's word.
    assert_eq!(rig.arrived(Platform::LinkedIn).len(), before + 1);
    let soon: bool = rig
        .one("select bool_and(due_at < now() + interval '11 minutes') from conversion_outbox.delivery where reason = 'rule_held'")
        .await;
    assert!(
        soon,
        "what is put back just as the pause ends is found again"
    );
    let held: String = rig
        .one("select concat_ws(' ', rule, reason, paused_because) from conversion_outbox.rule_hold")
        .await;
    assert_eq!(held, format!("{RULE} paused wrong campaign"));
    assert_ne!(RULE, LEAD_RULE);
    rig.run("select conversion_outbox.resume_destination('linkedin')")
        .await;
    rig.until_final().await;
    assert_eq!(rig.doubles(), 0);
    worker.drain().await;
}

#[tokio::test]
async fn a_paused_destination_is_not_asked_for_late_answers_either() {
    let rig = Rig::new().await;
    let worker = rig.work_with(data_manager());
    rig.insert(&[order("o-1")]).await;
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "sent")
        .await;
    rig.run(&format!(
        "select conversion_outbox.pause_destination('{DATA_MANAGER}', 'an audit')"
    ))
    .await;
    obeyed(&rig, &worker, DATA_MANAGER).await;
    rig.later(TimeDelta::hours(1)).await;
    let was_asked = rig
        .until_for(
            std::time::Duration::from_millis(1500),
            "exists (select from conversion_outbox.request where asked > 0 or lease_until is not null)",
        )
        .await;
    assert!(!was_asked);
    rig.run(&format!(
        "select conversion_outbox.resume_destination('{DATA_MANAGER}')"
    ))
    .await;
    rig.until_state(DATA_MANAGER, "order_paid:o-1", "accepted")
        .await;
    worker.drain().await;
}
