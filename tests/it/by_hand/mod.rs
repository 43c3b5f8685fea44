//! What operators do to deliveries: which ones are touched, which never, and that the record of it is exact.

mod commands;
mod races;
mod runs;

use conversion_outbox::claim::Ticket;
use conversion_outbox::outcome::{Reason, State};
use conversion_outbox::settle::{self, Settlement};

use crate::harness::{Outbox, Session};
use crate::work::{accepted, at, claim_due, claim_events, write_events};

/// A final result after one request, or after none.
fn ended(ticket: Ticket, state: State, reason: Option<Reason>, tries: i16) -> Settlement {
    let sent = accepted(ticket, "meta");
    Settlement {
        state,
        reason,
        tries,
        attempts: tries,
        first_tried_at: (state == State::Uncertain).then(|| at(0)),
        log: if tries == 0 {
            Vec::new()
        } else {
            sent.log.clone()
        },
        ..sent
    }
}

/// One event for each way to end, settled as a worker does; one that waits; and one that waits under a lease.
async fn all_states(outbox: &Outbox) {
    let worker = outbox.worker();
    write_events(outbox, 11).await;
    let claimed = claim_events(&worker, 11, 0).await;
    let ends = [
        (State::Accepted, None, 1),
        (State::Sent, None, 1),
        (State::Suppressed, Some(Reason::ConsentDenied), 0),
        (State::Skipped, Some(Reason::UnsupportedEvent), 0),
        (State::Expired, Some(Reason::TooOld), 0),
        (State::Rejected, Some(Reason::RefusedByPlatform), 1),
        (State::Uncertain, Some(Reason::NoAnswer), 1),
        (State::Exhausted, Some(Reason::AgeUsedUp), 0),
        (State::Cancelled, Some(Reason::Erased), 0),
    ];
    let mut results: Vec<Settlement> = ends
        .iter()
        .zip(&claimed)
        .map(|((state, reason, tries), claimed)| ended(claimed.ticket, *state, *reason, *tries))
        .collect();
    for claimed in &claimed[9..] {
        results.push(crate::work::failed(claimed.ticket, 1, 10));
    }
    let finished: Vec<Ticket> = claimed.iter().map(|one| one.ticket).collect();
    settle::settle(&worker, &results, &finished, 3)
        .await
        .expect("settled");
    // Both fall due; one is taken.
    let taken =
        conversion_outbox::claim::claim_due(&worker, "meta", 1, crate::work::terms(1, 20)).await;
    assert_eq!(taken.expect("claimed").len(), 1);
}

/// Running totals are what counting says, for every destination and state.
async fn totals_are_exact(admin: &Session) {
    let wrong: Vec<String> = admin
        .all(
            "select format('%s', x) from (
               select coalesce(t.destination, c.destination) as destination, coalesce(t.state, c.state) as state,
                      coalesce(t.total, 0) as total, coalesce(c.total, 0) as counted,
                      coalesce(t.retried, 0) as retried, coalesce(c.retried, 0) as counted_retried
                 from conversion_outbox.destination_total t
                 full join (select destination, state, count(*) as total, count(*) filter (where tries > 1) as retried
                              from conversion_outbox.delivery where state <> 'pending' group by 1, 2) c
                   on c.destination = t.destination and c.state = t.state) x
             where total <> counted or retried <> counted_retried",
        )
        .await;
    assert_eq!(wrong, Vec::<String>::new());
}

/// `event_no state/reason` of every delivery, in order.
async fn states(admin: &Session) -> Vec<String> {
    admin
        .all("select concat_ws('/', state, reason) from conversion_outbox.delivery order by event_no")
        .await
}

/// The function, for every delivery there is.
fn on_all(function: &str) -> String {
    format!(
        "select x.{} from (select array_agg(event_no) as e, array_agg(destination) as d from conversion_outbox.delivery) a,
           conversion_outbox.{function}(a.e, a.d, 'a test') x",
        if function.starts_with("replay") { "replayed" } else { "skipped" }
    )
}

#[tokio::test]
async fn a_replay_touches_dead_letters_only_and_keeps_their_history() {
    let outbox = Outbox::new().await;
    all_states(&outbox).await;
    let (admin, operator) = (outbox.admin().await, outbox.session("operator").await);
    totals_are_exact(&admin).await;
    let before = states(&admin).await;
    assert_eq!(operator.one::<i64>(&on_all("replay_deliveries")).await, 3);
    let after = states(&admin).await;
    for (n, (before, after)) in before.iter().zip(&after).enumerate() {
        let expected = match n {
            5..=7 => "pending/replayed",
            _ => before.as_str(),
        };
        assert_eq!(after, expected, "delivery {n}, was {before}");
    }
    totals_are_exact(&admin).await;
    let told: Vec<String> = admin
        .all("select concat_ws(' ', x.state, x.reason, a.outcome, d.tries, d.attempts, d.payload_hash is not null,
                     d.first_tried_at is not null, d.error_code, d.due_at <= now(), d.replayed_at is not null, d.forced_at)
                from conversion_outbox.audit_delivery x join conversion_outbox.delivery d using (event_no, destination)
                left join conversion_outbox.attempt a using (event_no, destination)
               order by event_no")
        .await;
    assert_eq!(
        told,
        [
            // What was refused for certain may go with another payload; what is in doubt may not.
            "rejected refused_by_platform rejected 1 0 f f t t",
            "uncertain no_answer ambiguous 1 0 t t t t",
            "exhausted age_used_up 0 0 f f t t",
        ]
    );
    let audit: Vec<String> = admin
        .all("select concat_ws(' ', login, action, reason, details ->> 'total', details -> 'counts') from conversion_outbox.audit")
        .await;
    assert_eq!(
        audit,
        [r#"operator_login replay a test 3 {"meta uncertain/no_answer": 1, "meta exhausted/age_used_up": 1, "meta rejected/refused_by_platform": 1}"#]
            .map(|text| text.to_owned())
    );

    // A worker takes and settles them like any other; their tries go on counting.
    let worker = outbox.worker();
    let again = claim_due(&worker, 9_999_999).await;
    let replayed: Vec<_> = again.iter().filter(|one| one.prior.attempts == 0).collect();
    assert_eq!(replayed.len(), 3);
    let results: Vec<Settlement> = replayed
        .iter()
        .map(|one| Settlement {
            tries: one.prior.tries + 1,
            ..accepted(one.ticket, "meta")
        })
        .collect();
    let settled = settle::settle(&worker, &results, &[], 5)
        .await
        .expect("settled");
    assert_eq!(settled.len(), 3);
    totals_are_exact(&admin).await;
    let tries: i64 = admin
        .one("select count(*) from conversion_outbox.attempt where outcome = 'accepted' and try_no = 2")
        .await;
    assert_eq!(tries, 2, "the first try of the third was its own record");
    assert_eq!(operator.one::<i64>(&on_all("replay_deliveries")).await, 0);
}

#[tokio::test]
async fn a_skip_ends_dead_letters_and_what_nobody_holds() {
    let outbox = Outbox::new().await;
    all_states(&outbox).await;
    let (admin, operator) = (outbox.admin().await, outbox.session("operator").await);
    let before = states(&admin).await;
    assert_eq!(operator.one::<i64>(&on_all("skip_deliveries")).await, 4);
    let after = states(&admin).await;
    let leased: i64 = admin
        .one("select count(*) from conversion_outbox.delivery where lease_until is not null and state = 'pending'")
        .await;
    assert_eq!(leased, 1, "what a worker holds is the worker's");
    for (n, (before, after)) in before.iter().zip(&after).enumerate().take(9) {
        let expected = match n {
            5..=7 => "cancelled/by_operator",
            _ => before.as_str(),
        };
        assert_eq!(after, expected, "delivery {n}, was {before}");
    }
    totals_are_exact(&admin).await;
    // Skipped by hand, sent again by hand; erased stays erased. What was in doubt is so still.
    assert_eq!(operator.one::<i64>(&on_all("replay_deliveries")).await, 4);
    totals_are_exact(&admin).await;
    let in_doubt: i64 = admin
        .one("select count(*) from conversion_outbox.delivery where reason = 'replayed' and first_tried_at is not null and payload_hash is not null")
        .await;
    assert_eq!(in_doubt, 1);
    assert!(
        states(&admin)
            .await
            .contains(&"cancelled/erased".to_owned())
    );
    // An intent is a request that may be under way.
    admin
        .run("update conversion_outbox.delivery set intent_at = now(), lease_until = null where state = 'pending'")
        .await;
    assert_eq!(operator.one::<i64>(&on_all("skip_deliveries")).await, 0);
}

#[tokio::test]
async fn whoever_does_something_says_why_and_no_more_than_a_thousand_at_once() {
    let outbox = Outbox::new().await;
    let operator = outbox.session("operator").await;
    let admin = outbox.admin().await;
    admin
        .run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta')")
        .await;
    for (sql, code) in [
        ("conversion_outbox.pause_destination('meta', ' ')", "OB030"),
        (
            "conversion_outbox.pause_destination('meta', repeat('x', 501))",
            "OB030",
        ),
        (
            "conversion_outbox.resume_destination('meta', reason => null)",
            "OB030",
        ),
        (
            "conversion_outbox.pause_destination('nowhere', 'why')",
            "OB031",
        ),
        (
            "conversion_outbox.replay_deliveries('{1}', '{meta}', null)",
            "OB030",
        ),
        (
            "conversion_outbox.replay_deliveries('{1}', '{meta}', 'why', run => 7)",
            "OB032",
        ),
        (
            "conversion_outbox.replay_deliveries('{1,2}', '{meta}', 'why')",
            "OB033",
        ),
        (
            "conversion_outbox.skip_deliveries('{}', '{}', 'why')",
            "OB033",
        ),
        (
            "conversion_outbox.skip_deliveries(array_fill(1::bigint, '{1001}'), array_fill('meta'::text, '{1001}'), 'why')",
            "OB033",
        ),
    ] {
        let refused = operator.refusal(&format!("select {sql}")).await;
        assert_eq!(refused.code().code(), code, "{sql}");
    }
    assert_eq!(
        admin
            .one::<i64>("select count(*) from conversion_outbox.audit")
            .await,
        0
    );
    // Another login may not write into a run, not even another operator.
    admin
        .run("select conversion_outbox.skip_deliveries('{1}', '{meta}', 'why')")
        .await;
    let other = "select conversion_outbox.skip_deliveries('{1}', '{meta}', 'why', run => (select max(audit_no) from conversion_outbox.audit))";
    assert_eq!(operator.refusal(other).await.code().code(), "OB032");
    // Pauses and their ends are on record too, and a rule's own.
    for sql in [
        "select conversion_outbox.pause_destination('meta', 'sale is over')",
        "select conversion_outbox.pause_destination('meta', 'wrong rule', rule => '7')",
        "select conversion_outbox.resume_destination('meta', '7')",
        "select conversion_outbox.resume_destination('meta', reason => 'all is well')",
    ] {
        assert!(operator.one::<bool>(sql).await, "{sql}");
    }
    let told: Vec<String> = admin
        .all("select concat_ws(' ', login, action, reason, details - 'filter') from conversion_outbox.audit where action in ('pause', 'resume') order by audit_no")
        .await;
    assert_eq!(
        told,
        [
            r#"operator_login pause sale is over {"destination": "meta"}"#,
            r#"operator_login pause wrong rule {"rule": "7", "destination": "meta"}"#,
            r#"operator_login resume resumed by hand {"rule": "7", "destination": "meta", "rules_lifted": 1}"#,
            r#"operator_login resume all is well {"destination": "meta"}"#,
        ]
    );
}
