//! Settling: only for the holder of the lease, once, all or nothing, and adding up.

use conversion_outbox::outcome::{Reason, State};
use conversion_outbox::settle::{Settlement, settle};

use crate::harness::{Outbox, Session};
use crate::work::{accepted, at, claim_due, claim_events, claim_one, failed, tried, write_events};

#[tokio::test]
async fn a_worker_that_lost_its_lease_settles_nothing() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 1).await;
    let worker = outbox.worker();
    let admin = outbox.admin().await;
    let old = claim_one(&worker, 0).await.ticket;
    let new = claim_one(&worker, 61).await.ticket;
    assert!(
        settle(&worker, &[accepted(old, "meta")], &[old], 0)
            .await
            .expect("answered")
            .is_empty()
    );
    assert_eq!(deliveries(&admin).await, Vec::<String>::new());
    assert_eq!(queued(&admin).await, 1);

    settle(&worker, &[failed(new, 1, 70)], &[new], 0)
        .await
        .expect("settled");
    assert_eq!(queued(&admin).await, 0);
    let old = claim_due(&worker, 70).await.remove(0).ticket;
    let new = claim_due(&worker, 200).await.remove(0).ticket;
    let late = Settlement {
        tries: 2,
        attempts: 2,
        ..accepted(old, "meta")
    };
    assert!(
        settle(&worker, &[late], &[], 0)
            .await
            .expect("answered")
            .is_empty()
    );
    assert_eq!(deliveries(&admin).await, ["1 meta pending 1"]);
    let right = Settlement {
        tries: 2,
        attempts: 2,
        ..accepted(new, "meta")
    };
    assert_eq!(
        settle(&worker, &[right], &[], 0)
            .await
            .expect("settled")
            .len(),
        1
    );
    assert_eq!(deliveries(&admin).await, ["1 meta accepted 2"]);
    assert_eq!(totals(&admin).await, ["meta accepted 1 1"]);
}

#[tokio::test]
async fn the_first_settlement_stands() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 1).await;
    let worker = outbox.worker();
    let ticket = claim_one(&worker, 0).await.ticket;
    let rejected = Settlement {
        state: State::Rejected,
        reason: Some(Reason::RefusedByPlatform),
        ..accepted(ticket, "meta")
    };
    assert_eq!(
        settle(&worker, &[accepted(ticket, "meta")], &[], 0)
            .await
            .expect("settled")
            .len(),
        1
    );
    assert!(
        settle(&worker, &[rejected], &[], 0)
            .await
            .expect("answered")
            .is_empty()
    );
    let admin = outbox.admin().await;
    assert_eq!(deliveries(&admin).await, ["1 meta accepted 1"]);
    assert_eq!(totals(&admin).await, ["meta accepted 1 0"]);
}

#[tokio::test]
async fn the_queue_row_goes_with_the_last_destination() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 2).await;
    let worker = outbox.worker();
    let admin = outbox.admin().await;
    let tickets: Vec<_> = claim_events(&worker, 2, 0)
        .await
        .iter()
        .map(|c| c.ticket)
        .collect();
    let both = [accepted(tickets[0], "meta"), accepted(tickets[1], "meta")];
    settle(&worker, &both, &[tickets[1]], 0)
        .await
        .expect("settled");
    assert_eq!(queued(&admin).await, 1);
    settle(&worker, &[accepted(tickets[0], "ga4")], &[tickets[0]], 3)
        .await
        .expect("settled");
    assert_eq!(queued(&admin).await, 0);
    assert_eq!(
        deliveries(&admin).await,
        ["1 ga4 accepted 1", "1 meta accepted 1", "2 meta accepted 1"]
    );
}

#[tokio::test]
async fn settling_is_all_or_nothing() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 2).await;
    let worker = outbox.worker();
    let tickets: Vec<_> = claim_events(&worker, 2, 0)
        .await
        .iter()
        .map(|c| c.ticket)
        .collect();
    // Settled and yet due: no such state.
    let impossible = Settlement {
        due_at: Some(at(9)),
        ..accepted(tickets[1], "meta")
    };
    let error = settle(
        &worker,
        &[accepted(tickets[0], "meta"), impossible],
        &tickets,
        0,
    )
    .await
    .expect_err("impossible");
    assert_eq!(error.code(), Some("23514"));
    let admin = outbox.admin().await;
    assert_eq!(deliveries(&admin).await, Vec::<String>::new());
    assert_eq!(totals(&admin).await, Vec::<String>::new());
    assert_eq!(queued(&admin).await, 2);
}

#[tokio::test]
async fn every_try_has_its_number() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 1).await;
    let worker = outbox.worker();
    let ticket = claim_one(&worker, 0).await.ticket;
    // A batch refused whole and sent again alone: two tries of one claim.
    let twice = Settlement {
        log: vec![
            tried("batch_rejected", Some(400)),
            tried("retry", Some(503)),
        ],
        ..failed(ticket, 2, 10)
    };
    settle(&worker, &[twice], &[ticket], 0)
        .await
        .expect("settled");
    let ticket = claim_due(&worker, 10).await.remove(0).ticket;
    settle(&worker, &[failed(ticket, 3, 20)], &[], 0)
        .await
        .expect("settled");
    let ticket = claim_due(&worker, 20).await.remove(0).ticket;
    let done = Settlement {
        tries: 4,
        attempts: 4,
        ..accepted(ticket, "meta")
    };
    settle(&worker, &[done], &[], 0).await.expect("settled");
    let admin = outbox.admin().await;
    let tries: Vec<String> = admin
        .all("select try_no || ' ' || outcome || ' ' || response_code from conversion_outbox.delivery_attempt order by try_no")
        .await;
    assert_eq!(
        tries,
        [
            "1 batch_rejected 400",
            "2 retry 503",
            "3 retry 503",
            "4 accepted 200"
        ]
    );
}

#[tokio::test]
async fn a_delivery_settled_by_its_first_try_is_its_own_record() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 1).await;
    let worker = outbox.worker();
    let ticket = claim_one(&worker, 0).await.ticket;
    settle(&worker, &[accepted(ticket, "meta")], &[ticket], 0)
        .await
        .expect("settled");
    let admin = outbox.admin().await;
    assert_eq!(
        admin
            .one::<i64>("select count(*) from conversion_outbox.attempt")
            .await,
        0
    );
    let shown: String = admin
        .one("select try_no || ' ' || outcome from conversion_outbox.delivery_attempt")
        .await;
    assert_eq!(shown, "1 accepted");
}

#[tokio::test]
async fn totals_and_backlog_add_up_to_the_events() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 10).await;
    let admin = outbox.admin().await;
    admin
        .run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta'), ('ga4', 'ga4')")
        .await;
    let worker = outbox.worker();
    let tickets: Vec<_> = claim_events(&worker, 6, 0)
        .await
        .iter()
        .map(|c| c.ticket)
        .collect();
    let mut results: Vec<_> = tickets[..4]
        .iter()
        .map(|ticket| accepted(*ticket, "meta"))
        .collect();
    results.push(failed(tickets[4], 1, 10));
    results.push(Settlement {
        state: State::Suppressed,
        reason: Some(Reason::ConsentDenied),
        tries: 0,
        attempts: 0,
        permit: None,
        log: Vec::new(),
        ..accepted(tickets[5], "meta")
    });
    settle(&worker, &results, &[], 5).await.expect("settled");
    assert_eq!(
        totals(&admin).await,
        ["meta accepted 4 0", "meta suppressed 1 0"]
    );
    let backlog: Vec<String> = admin
        .all("select destination || ' ' || pending || ' ' || retrying from conversion_outbox.destination_backlog order by 1")
        .await;
    assert_eq!(backlog, ["ga4 10 0", "meta 5 1"]);
    let log: i64 = admin
        .one("select count(*) from conversion_outbox.delivery_log")
        .await;
    assert_eq!(log, 20);
}

#[tokio::test]
async fn no_impossible_delivery_can_be_written() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    let hash = "sha256('x')";
    for (constraint, columns, values) in [
        (
            "state_is_known",
            "state, settled_at, reason",
            "'lost', now(), 'x'".to_owned(),
        ),
        (
            "final_states_are_settled",
            "state, reason",
            "'skipped', 'x'".to_owned(),
        ),
        (
            "final_states_are_settled",
            "state, due_at, settled_at",
            "'pending', now(), now()".to_owned(),
        ),
        ("pending_is_due_some_time", "state", "'pending'".to_owned()),
        (
            "pending_is_due_some_time",
            "state, settled_at, due_at, reason",
            "'skipped', now(), now(), 'x'".to_owned(),
        ),
        (
            "only_pending_is_leased",
            "state, settled_at, lease_until, reason",
            "'skipped', now(), now(), 'x'".to_owned(),
        ),
        (
            "what_left_is_on_record",
            "state, settled_at",
            "'accepted', now()".to_owned(),
        ),
        (
            "what_left_is_on_record",
            "state, settled_at, tries, tried_at",
            "'sent', now(), 1, now()".to_owned(),
        ),
        (
            "what_left_is_on_record",
            "state, settled_at, payload_hash, reason",
            format!("'uncertain', now(), {hash}, 'x'"),
        ),
        (
            "attempts_are_tries",
            "state, due_at, tries, attempts",
            "'pending', now(), 1, 2".to_owned(),
        ),
        (
            "attempts_are_tries",
            "state, due_at, attempts",
            "'pending', now(), -1".to_owned(),
        ),
        (
            "payload_hash_is_sha256",
            "state, due_at, payload_hash",
            "'pending', now(), 'x'".to_owned(),
        ),
        (
            "trace_id_is_16_bytes",
            "state, due_at, trace_id",
            "'pending', now(), 'x'".to_owned(),
        ),
        (
            "an_error_has_a_reason",
            "state, settled_at",
            "'rejected', now()".to_owned(),
        ),
    ] {
        let insert = format!(
            "insert into conversion_outbox.delivery (event_no, destination, {columns}) values (1, 'meta', {values})"
        );
        let error = admin.refusal(&insert).await;
        assert_eq!(error.constraint(), Some(constraint), "{insert}");
    }
}

/// Event, destination, state and tries of every delivery.
async fn deliveries(admin: &Session) -> Vec<String> {
    admin
        .all("select event_no || ' ' || destination || ' ' || state || ' ' || tries from conversion_outbox.delivery order by 1")
        .await
}

/// Destination, state, total and retried of every final state.
async fn totals(admin: &Session) -> Vec<String> {
    admin
        .all("select destination || ' ' || state || ' ' || total || ' ' || retried from conversion_outbox.destination_total order by 1")
        .await
}

async fn queued(admin: &Session) -> i64 {
    admin
        .one("select count(*) from conversion_outbox.queue")
        .await
}
