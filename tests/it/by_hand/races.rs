//! An operator against workers and against another operator, each step by hand.

use conversion_outbox::outcome::{Reason, State};
use conversion_outbox::settle;

use super::{ended, on_all, states, totals_are_exact};
use crate::harness::Outbox;
use crate::work::{accepted, claim_due, claim_one, failed, write_events};

#[tokio::test]
async fn two_replays_at_once_count_once() {
    let outbox = Outbox::new().await;
    super::all_states(&outbox).await;
    let (first, second) = (
        outbox.session("operator").await,
        outbox.session("operator").await,
    );
    first.run("begin").await;
    assert_eq!(first.one::<i64>(&on_all("replay_deliveries")).await, 3);
    // Passed over, not waited for.
    assert_eq!(second.one::<i64>(&on_all("replay_deliveries")).await, 0);
    // A skip of the same deliveries neither.
    let skipped: i64 = second.one(&on_all("skip_deliveries")).await;
    assert_eq!(skipped, 1, "the one that waits");
    first.run("commit").await;
    assert_eq!(
        second.one::<i64>(&on_all("replay_deliveries")).await,
        1,
        "the skipped one"
    );
    let admin = outbox.admin().await;
    totals_are_exact(&admin).await;
    let most: i64 = admin
        .one("select max(n) from (select count(*) as n from conversion_outbox.audit_delivery a join conversion_outbox.audit using (audit_no)
               where action = 'replay' group by event_no) x")
        .await;
    assert_eq!(most, 1);
}

#[tokio::test]
async fn a_result_that_is_written_again_does_not_undo_a_replay() {
    let outbox = Outbox::new().await;
    let worker = outbox.worker();
    write_events(&outbox, 1).await;
    let fresh = claim_one(&worker, 0).await.ticket;
    settle::settle(&worker, &[failed(fresh, 1, 10)], &[fresh], 0)
        .await
        .expect("settled");
    let ticket = claim_due(&worker, 20).await[0].ticket;
    let refused = ended(ticket, State::Rejected, Some(Reason::RefusedByPlatform), 2);
    settle::settle(&worker, std::slice::from_ref(&refused), &[], 0)
        .await
        .expect("settled");
    let operator = outbox.session("operator").await;
    assert_eq!(operator.one::<i64>(&on_all("replay_deliveries")).await, 1);
    // The worker never heard that its commit went through, and writes once more; so does one that lost its lease.
    for late in [refused, accepted(ticket, "meta")] {
        let settled = settle::settle(&worker, &[late], &[], 0)
            .await
            .expect("asked");
        assert!(settled.is_empty());
    }
    let admin = outbox.admin().await;
    assert_eq!(states(&admin).await, ["pending/replayed"]);
    totals_are_exact(&admin).await;
}

#[tokio::test]
async fn a_replay_waits_for_no_worker_and_overtakes_none() {
    let outbox = Outbox::new().await;
    let worker = outbox.worker();
    write_events(&outbox, 1).await;
    let fresh = claim_one(&worker, 0).await.ticket;
    settle::settle(&worker, &[failed(fresh, 1, 10)], &[fresh], 0)
        .await
        .expect("settled");
    let ticket = claim_due(&worker, 20).await[0].ticket;
    // A settlement whose commit is still to come.
    let (admin, settling) = (outbox.admin().await, outbox.admin().await);
    settling
        .run("begin; update conversion_outbox.delivery set state = 'rejected', reason = 'refused_by_platform', due_at = null,
                lease_until = null, settled_at = now()")
        .await;
    let operator = outbox.session("operator").await;
    for function in ["replay_deliveries", "skip_deliveries"] {
        assert_eq!(
            operator.one::<i64>(&on_all(function)).await,
            0,
            "{function}"
        );
    }
    settling.run("rollback").await;
    settle::settle(&worker, &[accepted(ticket, "meta")], &[], 0)
        .await
        .expect("settled");
    assert_eq!(operator.one::<i64>(&on_all("replay_deliveries")).await, 0);
    assert_eq!(states(&admin).await, ["accepted"]);
    totals_are_exact(&admin).await;
}

#[tokio::test]
async fn what_is_being_skipped_is_claimed_by_nobody_and_what_is_claimed_is_skipped_by_nobody() {
    let outbox = Outbox::new().await;
    let worker = outbox.worker();
    write_events(&outbox, 2).await;
    for _ in 0..2 {
        let fresh = claim_one(&worker, 0).await.ticket;
        settle::settle(&worker, &[failed(fresh, 1, 10)], &[fresh], 0)
            .await
            .expect("settled");
    }
    let admin = outbox.admin().await;
    admin
        .run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta')")
        .await;
    let operator = outbox.session("operator").await;
    operator.run("begin").await;
    let one = "select skipped from conversion_outbox.skip_deliveries(
        (select array_agg(event_no) from conversion_outbox.delivery where event_no = (select min(event_no) from conversion_outbox.delivery)), '{meta}', 'why')";
    assert_eq!(operator.one::<i64>(one).await, 1);
    let claimed = claim_due(&worker, 20).await;
    assert_eq!(claimed.len(), 1, "the other one");
    operator.run("commit").await;
    assert_eq!(claim_due(&worker, 20).await.len(), 0);
    assert_eq!(
        operator.one::<i64>(&on_all("skip_deliveries")).await,
        0,
        "it is leased"
    );
    // Its lease has run out, and whether its request is under way nobody knows.
    admin
        .run("update conversion_outbox.delivery set lease_until = now() - interval '1 hour' where lease_until is not null")
        .await;
    assert_eq!(operator.one::<i64>(&on_all("skip_deliveries")).await, 0);
    totals_are_exact(&admin).await;
}

#[tokio::test]
async fn what_no_worker_has_looked_at_is_skipped_at_one_destination_and_goes_to_the_others() {
    let outbox = Outbox::new().await;
    let (admin, worker) = (outbox.admin().await, outbox.worker());
    admin
        .run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta'), ('ga4', 'ga4')")
        .await;
    write_events(&outbox, 2).await;
    let operator = outbox.session("operator").await;
    let skip = "select x.skipped from (select array_agg(event_no) as e from conversion_outbox.event_log) a,
        conversion_outbox.skip_deliveries(a.e, array_fill('meta'::text, array[cardinality(a.e)]), 'test orders') x";
    let leased = claim_one(&worker, 0).await;
    assert_eq!(
        operator.one::<i64>(skip).await,
        1,
        "the one that no worker holds"
    );
    assert_eq!(operator.one::<i64>(skip).await, 0);
    let next = claim_one(&worker, 0).await;
    assert_eq!(next.done, ["meta"], "whoever claims it knows");
    let mut to_ga4 = accepted(next.ticket, "ga4");
    to_ga4.state = State::Sent;
    settle::settle(
        &worker,
        &[to_ga4, accepted(next.ticket, "meta")],
        &[next.ticket],
        0,
    )
    .await
    .expect("settled");
    let told: Vec<String> = admin
        .all("select concat_ws(' ', destination, state, reason) from conversion_outbox.delivery order by destination")
        .await;
    assert_eq!(told, ["ga4 sent", "meta cancelled by_operator"]);
    let queued: Vec<i64> = admin
        .all("select event_no from conversion_outbox.queue")
        .await;
    assert_eq!(queued, [leased.ticket.event_no]);
    totals_are_exact(&admin).await;
}
