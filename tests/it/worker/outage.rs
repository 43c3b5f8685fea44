//! A destination that is down or whose token expired burns no attempts and blocks no other destination.

use chrono::TimeDelta;
use conversion_outbox::sandbox::{Account, FaultKind, Platform, TokenState};
use serde_json::Value;

use crate::rig::{DATASET, Rig, Running, Setup, TOKEN, order};

const COUNT: i64 = 12;

fn orders() -> Vec<Value> {
    (0..COUNT).map(|n| order(&format!("o-{n}"))).collect()
}

/// Lets time pass until Meta has been tried so many times more, and says how many attempts the tries have burned.
async fn many_tries(rig: &Rig, tries: i64) -> i64 {
    let sum = "(select coalesce(sum(tries), 0)::bigint from conversion_outbox.delivery where destination = 'meta')";
    for _ in 0..tries {
        let before: i64 = rig.one(&format!("select {sum}")).await;
        rig.later(TimeDelta::minutes(3)).await;
        rig.until(&format!("{sum} > {before}")).await;
    }
    rig.one("select coalesce(sum(attempts), 0)::bigint from conversion_outbox.delivery where destination = 'meta'").await
}

async fn ga4_goes_on(rig: &Rig) {
    rig.until(&format!("(select count(*) from conversion_outbox.delivery where destination = 'ga4' and state = 'sent') = {COUNT}"))
        .await;
}

async fn all_is_delivered(rig: &Rig, worker: Running) {
    rig.later(TimeDelta::hours(2)).await;
    rig.until(&format!("(select count(*) from conversion_outbox.delivery where destination = 'meta' and state = 'accepted') >= {COUNT}"))
        .await;
    rig.until_final().await;
    assert_eq!(rig.doubles(), 0);
    let stale: i64 =
        rig.one("select count(*) from conversion_outbox.delivery where error_code is not null or response_code > 299").await;
    assert_eq!(
        stale, 0,
        "what was wrong with an earlier try is told by its attempt, not by the delivery"
    );
    worker.drain().await;
}

#[tokio::test]
async fn a_destination_that_answers_503_burns_nothing() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        fault.status = Some(503)
    });
    let worker = rig.work_with(Setup {
        worker: "attempts_max = 2",
        ..Setup::default()
    });
    rig.insert(&orders()).await;
    ga4_goes_on(&rig).await;
    assert_eq!(many_tries(&rig, 10).await, 0);
    rig.sandbox.clear_faults();
    all_is_delivered(&rig, worker).await;
}

#[tokio::test]
async fn a_destination_that_refuses_connections_burns_nothing() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup {
        worker: "attempts_max = 2",
        meta_url: Some("http://127.0.0.1:1"),
        ..Setup::default()
    });
    rig.insert(&orders()).await;
    ga4_goes_on(&rig).await;
    assert_eq!(many_tries(&rig, 10).await, 0);
    worker.drain().await;
    let worker = rig.work();
    all_is_delivered(&rig, worker).await;
}

#[tokio::test]
async fn a_destination_that_does_not_answer_burns_nothing() {
    let rig = Rig::new().await;
    let hold = rig.fault(FaultKind::HoldBefore, Platform::Meta, |fault| {
        fault.times = Some(3)
    });
    let worker = rig.work_with(Setup {
        worker: "request_timeout_secs = 1",
        ..Setup::default()
    });
    rig.insert(&orders()).await;
    ga4_goes_on(&rig).await;
    assert_eq!(many_tries(&rig, 2).await, 0);
    rig.until("exists (select from conversion_outbox.delivery where destination = 'meta' and error_code = 'timeout')").await;
    // What hung is dropped, not let go: it would arrive now, and a repeat within one channel counts.
    assert!(rig.sandbox.struck(hold).is_some());
    rig.later(TimeDelta::hours(2)).await;
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, COUNT);
    worker.drain().await;
}

#[tokio::test]
async fn an_expired_token_holds_and_a_new_one_resumes_by_itself() {
    let rig = Rig::new().await;
    expire(&rig, TOKEN);
    let worker = rig.work_with(Setup {
        worker: "attempts_max = 2",
        ..Setup::default()
    });
    rig.insert(&orders()).await;
    rig.until("exists (select from conversion_outbox.destination where name = 'meta' and hold_reason = 'credential')").await;
    ga4_goes_on(&rig).await;
    assert_eq!(many_tries(&rig, 0).await, 0);
    // Probes, five minutes apart, burn nothing either.
    for _ in 0..3 {
        let next: String = rig
            .one("select probe_at::text from conversion_outbox.destination where name = 'meta'")
            .await;
        rig.later(TimeDelta::minutes(6)).await;
        rig.until(&format!(
            "(select probe_at > '{next}'::timestamptz + interval '4 minutes' from conversion_outbox.destination where name = 'meta')"
        ))
        .await;
    }
    let requests = rig.sandbox.read(|ledger| {
        ledger
            .accounts()
            .find(|(_, id, _)| *id == DATASET)
            .map(|(_, _, count)| count.requests)
    });
    assert!(requests >= Some(4), "{requests:?}");
    assert_eq!(many_tries(&rig, 0).await, 0);
    let hold: String = rig
        .one("select concat_ws(' | ', hold_reason, hold_code, hold_advice) from conversion_outbox.destination where name = 'meta'")
        .await;
    assert!(
        hold.starts_with("credential | 190/463 | replace the token"),
        "{hold}"
    );

    rig.sandbox
        .put_account(Platform::Meta, DATASET, Account::with_token("new-token"));
    rig.write("meta.token", "new-token");
    rig.until("exists (select from conversion_outbox.destination where name = 'meta' and hold_reason is null)").await;
    all_is_delivered(&rig, worker).await;
}

#[tokio::test]
async fn a_late_refusal_of_the_old_token_does_not_hold_the_new_one() {
    let rig = Rig::new().await;
    rig.run(
        "create table public.hold_seen (name text);
         create function public.see() returns trigger language plpgsql security definer as
           $$ begin insert into public.hold_seen values (new.name); return null; end $$;
         create trigger see after update on conversion_outbox.destination for each row
           when (new.hold_reason is not null) execute function public.see()",
    )
    .await;
    let hold = rig.fault(FaultKind::HoldBefore, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.held(hold, 1).await;
    rig.write("meta.token", "new-token");
    rig.sandbox
        .put_account(Platform::Meta, DATASET, Account::with_token("new-token"));
    // Sent with the old token, refused, and sent again with the new one.
    rig.insert(&[order("o-2")]).await;
    rig.until_state("meta", "order_paid:o-2", "accepted").await;
    rig.sandbox.release(hold);
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    rig.until_final().await;
    assert_eq!(
        rig.one::<i64>("select count(*) from public.hold_seen")
            .await,
        0
    );
    let attempts: i16 = rig
        .one("select max(attempts) from conversion_outbox.delivery")
        .await;
    assert_eq!(attempts, 1);
    worker.drain().await;
}

#[tokio::test]
async fn a_hold_ends_by_command_and_by_a_probe() {
    let rig = Rig::new().await;
    let denied = || {
        rig.fault(FaultKind::MetaError, Platform::Meta, |fault| {
            fault.code = Some(200)
        })
    };
    let fault = denied();
    let worker = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.until(
        "exists (select from conversion_outbox.destination where hold_reason = 'permission')",
    )
    .await;
    rig.sandbox.remove_fault(fault);
    rig.until_state("meta", "order_paid:o-1", "pending/destination_held")
        .await;
    assert!(
        rig.one::<bool>("select conversion_outbox.resume_destination('meta')")
            .await
    );
    rig.until_state("meta", "order_paid:o-1", "accepted").await;

    let fault = denied();
    rig.insert(&[order("o-2")]).await;
    rig.until(
        "exists (select from conversion_outbox.destination where hold_reason = 'permission')",
    )
    .await;
    rig.sandbox.remove_fault(fault);
    rig.later(TimeDelta::minutes(6)).await;
    rig.until_state("meta", "order_paid:o-2", "accepted").await;
    rig.until(
        "not exists (select from conversion_outbox.destination where hold_reason is not null)",
    )
    .await;
    worker.drain().await;
}

#[tokio::test]
async fn a_hold_is_obeyed_by_every_replica() {
    let rig = Rig::new().await;
    expire(&rig, TOKEN);
    let first = rig.work();
    rig.insert(&[order("o-1")]).await;
    rig.until("exists (select from conversion_outbox.destination where hold_reason is not null)")
        .await;
    first.drain().await;
    let requests = rig.arrived(Platform::Meta).len();
    let second = rig.work();
    rig.insert(&[order("o-2")]).await;
    rig.until_state("ga4", "order_paid:o-2", "sent").await;
    rig.until_state("meta", "order_paid:o-2", "pending").await;
    assert_eq!(
        rig.arrived(Platform::Meta).len(),
        requests,
        "it reads the hold before it sends anything"
    );
    rig.sandbox
        .put_account(Platform::Meta, DATASET, Account::with_token("new-token"));
    rig.write("meta.token", "new-token");
    rig.until_final().await;
    second.drain().await;
}

#[tokio::test]
async fn an_event_that_fails_while_others_pass_is_exhausted() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        (fault.status, fault.event_id) = (Some(500), Some("order_paid:bad".into()));
    });
    let worker = rig.work_with(Setup {
        meta: "batch_size = 1\nattempts_max = 3",
        ..Setup::default()
    });
    rig.insert(&[order("bad")]).await;
    let bad = "from conversion_outbox.delivery join conversion_outbox.event using (event_no)
                where business_id = 'bad' and destination = 'meta'";
    rig.until(&format!(
        "exists (select {bad} and tries = 1 and lease_until is null)"
    ))
    .await;
    for n in 1..=3 {
        rig.insert(&[order(&format!("good-{n}"))]).await;
        rig.until_state("meta", &format!("order_paid:good-{n}"), "accepted")
            .await;
        rig.later(TimeDelta::hours(2)).await;
        rig.until(&format!(
            "exists (select {bad} and tries = {} and lease_until is null)",
            n + 1
        ))
        .await;
    }
    rig.until_state("meta", "order_paid:bad", "exhausted/attempts_used_up")
        .await;
    assert_eq!(rig.one::<i16>(&format!("select attempts {bad}")).await, 3);
    worker.drain().await;
}

fn expire(rig: &Rig, token: &str) {
    let mut account = Account::with_token(token);
    account.tokens.insert(token.to_owned(), TokenState::Expired);
    rig.sandbox.put_account(Platform::Meta, DATASET, account);
}
