//! What platforms say later: asked for under a lease, written once, and adding up.

use std::time::Duration;

use conversion_outbox::db::connect::Database;
use conversion_outbox::destinations::AskLater;
use conversion_outbox::late::{self, OpenRequest, Settled};
use conversion_outbox::outcome::{LateAnswer, LateVerdict, Outcome, State};
use conversion_outbox::resolve::Limits;
use conversion_outbox::retry::Schedule;
use conversion_outbox::settle::{Receipt, Settlement, settle};

use crate::harness::{Outbox, Session};
use crate::work::{accepted, at, claim_due, claim_events, terms, tried, write_events};

const ASK: AskLater = AskLater {
    first: Duration::from_secs(100),
    growth_percent: 0,
    pause_max: Duration::from_secs(100),
    give_up: Duration::from_secs(1000),
};

const LIMITS: Limits = Limits {
    attempts_max: 5,
    schedule: Schedule {
        initial: Duration::from_secs(5),
        cap: Duration::from_secs(60),
        retry_after_cap: Duration::from_secs(600),
    },
};

/// So many events that were sent in one request, which is to be asked for at 100 seconds.
async fn sent(outbox: &Outbox, count: i64) -> Database {
    write_events(outbox, count).await;
    let worker = outbox.worker();
    let results: Vec<Settlement> = claim_events(&worker, count, 0)
        .await
        .iter()
        .map(|claimed| Settlement {
            state: State::Sent,
            receipt: Some(Receipt {
                number: "receipt-1".into(),
                rule: Some("77".into()),
                ask_at: at(100),
            }),
            log: vec![tried("sent", Some(200))],
            ..accepted(claimed.ticket, "meta")
        })
        .collect();
    let finished: Vec<_> = results.iter().map(|result| result.ticket).collect();
    settle(&worker, &results, &finished, 0)
        .await
        .expect("settled");
    worker
}

async fn claim(worker: &Database, seconds: i64) -> Option<OpenRequest> {
    late::claim(worker, "meta", terms(10, seconds))
        .await
        .expect("claimed")
        .pop()
}

/// Resolves and writes an answer; returns how many deliveries it moved.
async fn answer(
    worker: &Database,
    request: &OpenRequest,
    verdict: LateVerdict,
    seconds: i64,
) -> usize {
    let answer = LateAnswer {
        verdict,
        status: Some("PARTIAL_SUCCESS".into()),
        took_some: true,
        reasons: vec![("PROCESSING_ERROR_REASON_INVALID_GCLID".into(), 1)],
        notice: None,
    };
    let settled: Settled = late::resolve(verdict, request, ASK, &LIMITS, at(seconds));
    late::settle(worker, "meta", request, &answer, &settled, 0, at(seconds))
        .await
        .expect("settled")
        .len()
}

async fn states(admin: &Session) -> Vec<String> {
    admin
        .all(
            "select concat_ws(' ', count(*), state, reason, company, error_code) from conversion_outbox.delivery
              group by state, reason, company, error_code order by 1",
        )
        .await
}

async fn totals(admin: &Session) -> Vec<String> {
    admin
        .all("select state || ' ' || total from conversion_outbox.destination_total where total <> 0 order by 1")
        .await
}

#[tokio::test]
async fn sent_becomes_accepted_when_the_platform_says_so() {
    let outbox = Outbox::new().await;
    let (worker, admin) = (sent(&outbox, 4).await, outbox.admin().await);
    assert_eq!(totals(&admin).await, ["sent 4"]);
    assert_eq!(claim(&worker, 99).await, None, "not yet");
    let request = claim(&worker, 100).await.expect("due");
    assert_eq!((request.deliveries, request.asked), (4, 0));
    assert_eq!(request.rule.as_deref(), Some("77"));
    assert_eq!(claim(&worker, 101).await, None, "somebody asks already");

    assert_eq!(answer(&worker, &request, LateVerdict::Open, 101).await, 0);
    let request = claim(&worker, 201).await.expect("due again");
    assert_eq!(request.asked, 1);
    let accepted = LateVerdict::All(Outcome::Accepted);
    assert_eq!(answer(&worker, &request, accepted, 202).await, 4);
    assert_eq!(totals(&admin).await, ["accepted 4"]);
    assert_eq!(claim(&worker, 9000).await, None, "it is final");
    let log: String = admin
        .one("select concat_ws(' ', status, reasons, asked, settled_at is not null) from conversion_outbox.request_log")
        .await;
    assert_eq!(
        log,
        r#"PARTIAL_SUCCESS {"PROCESSING_ERROR_REASON_INVALID_GCLID": 1} 2 t"#
    );
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_says_nothing() {
    let outbox = Outbox::new().await;
    let (worker, admin) = (sent(&outbox, 2).await, outbox.admin().await);
    let old = claim(&worker, 100).await.expect("due");
    let new = claim(&worker, 161).await.expect("the lease ran out");
    let rejected = LateVerdict::All(Outcome::Rejected);
    assert_eq!(answer(&worker, &old, rejected, 162).await, 0);
    assert_eq!(
        answer(&worker, &new, LateVerdict::All(Outcome::Duplicate), 163).await,
        2
    );
    assert_eq!(answer(&worker, &new, rejected, 164).await, 0, "once only");
    assert_eq!(totals(&admin).await, ["accepted 2"]);
}

#[tokio::test]
async fn some_culprit_sends_all_again_in_halves_and_the_record_keeps_both_tries() {
    let outbox = Outbox::new().await;
    let (worker, admin) = (sent(&outbox, 5).await, outbox.admin().await);
    let request = claim(&worker, 100).await.expect("due");
    let narrow = LateVerdict::SomeFailed { narrow: true };
    assert_eq!(answer(&worker, &request, narrow, 100).await, 5);
    assert_eq!(
        states(&admin).await,
        ["5 pending narrowing 3 PROCESSING_ERROR_REASON_INVALID_GCLID"]
    );
    assert_eq!(totals(&admin).await, Vec::<String>::new());
    let again = claim_due(&worker, 100).await;
    assert_eq!(again.len(), 5);
    assert!(again.iter().all(|one| one.prior.company == Some(3)));
    assert!(
        again
            .iter()
            .all(|one| (one.prior.tries, one.prior.attempts) == (1, 0))
    );
    let tries: Vec<String> = admin
        .all("select distinct outcome || ' ' || try_no from conversion_outbox.delivery_attempt")
        .await;
    assert_eq!(tries, ["sent 1"]);

    let done: Vec<Settlement> = again
        .iter()
        .map(|one| Settlement {
            tries: 2,
            ..accepted(one.ticket, "meta")
        })
        .collect();
    settle(&worker, &done, &[], 0).await.expect("settled");
    assert_eq!(states(&admin).await, ["5 accepted"]);
    let tries: i64 = admin
        .one("select count(*) from conversion_outbox.delivery_attempt")
        .await;
    assert_eq!(tries, 10);
}

#[tokio::test]
async fn what_goes_again_although_some_were_taken_may_be_counted_already() {
    let early = Outcome::TooEarly {
        after: Duration::from_secs(60),
        tries_max: None,
    };
    let failed = Outcome::Retry {
        after: None,
        delivered: true,
    };
    for outcome in [early, failed] {
        let outbox = Outbox::new().await;
        let worker = sent(&outbox, 3).await;
        let request = claim(&worker, 100).await.expect("due");
        assert_eq!(
            answer(&worker, &request, LateVerdict::All(outcome), 101).await,
            3
        );
        let again = claim_due(&worker, 500).await;
        assert_eq!(again.len(), 3);
        assert!(
            again.iter().all(|one| one.prior.first_tried_at.is_some()),
            "{outcome:?}: a refund must follow it, not take its place"
        );
    }
}

#[tokio::test]
async fn what_nobody_ever_confirmed_says_so() {
    let outbox = Outbox::new().await;
    let (worker, admin) = (sent(&outbox, 2).await, outbox.admin().await);
    let request = claim(&worker, 1000).await.expect("due");
    assert_eq!(answer(&worker, &request, LateVerdict::Open, 1000).await, 2);
    assert_eq!(
        states(&admin).await,
        ["2 sent never_confirmed PROCESSING_ERROR_REASON_INVALID_GCLID"]
    );
    assert_eq!(totals(&admin).await, ["sent 2"], "they stay what they were");
    assert_eq!(claim(&worker, 99_999).await, None);
}

#[tokio::test]
async fn what_expires_soon_goes_first() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 6).await;
    let worker = outbox.worker();
    let day = 86_400;
    // The later an event was written, the sooner it expires; the first two have time.
    let expiry = [
        None,
        Some(3 * day),
        Some(900),
        Some(800),
        Some(700),
        Some(600),
    ];
    let waiting: Vec<Settlement> = claim_events(&worker, 6, 0)
        .await
        .iter()
        .zip(expiry)
        .map(|(claimed, expiry)| Settlement {
            expires_at: expiry.map(at),
            ..crate::work::failed(claimed.ticket, 1, claimed.ticket.event_no)
        })
        .collect();
    settle(&worker, &waiting, &[], 0).await.expect("settled");
    let order = |claimed: Vec<conversion_outbox::claim::Claimed>| {
        let mut numbers: Vec<i64> = claimed.iter().map(|one| one.ticket.event_no).collect();
        numbers.sort_unstable();
        numbers
    };
    let claim = async |limit| {
        let claimed =
            conversion_outbox::claim::claim_due(&worker, "meta", limit, terms(limit, 10)).await;
        order(claimed.expect("claimed"))
    };
    assert_eq!(claim(2).await, [5, 6]);
    assert_eq!(
        claim(3).await,
        [1, 3, 4],
        "then the others by their due time"
    );
    assert_eq!(claim(3).await, [2]);
}

#[tokio::test]
async fn each_kind_of_answer_is_counted_by_itself() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 1).await;
    let worker = outbox.worker();
    let outcomes = ["hold", "too_early", "rate_limited", "too_early", "rejected"];
    for (n, outcome) in (1..).zip(outcomes) {
        let claimed = match n {
            1 => claim_events(&worker, 1, 0).await,
            _ => claim_due(&worker, i64::from(n) * 100).await,
        };
        let [one] = &claimed[..] else {
            panic!("one is due")
        };
        let pending = Settlement {
            log: vec![tried(outcome, Some(400))],
            attempts: 0,
            ..crate::work::failed(one.ticket, n, i64::from(n) * 100 + 1)
        };
        let finished = if n == 1 { vec![one.ticket] } else { vec![] };
        settle(&worker, &[pending], &finished, 0)
            .await
            .expect("settled");
    }
    let claimed = claim_due(&worker, 9000).await;
    let prior = &claimed[0].prior;
    assert_eq!((prior.tries, prior.early, prior.refusals), (5, 2, 1));

    let sent = Settlement {
        state: State::Sent,
        tries: 6,
        receipt: Some(Receipt {
            number: "receipt-1".into(),
            rule: None,
            ask_at: at(9001),
        }),
        log: vec![tried("sent", Some(200))],
        ..accepted(claimed[0].ticket, "meta")
    };
    settle(&worker, &[sent], &[], 0).await.expect("settled");
    let request = claim(&worker, 9002).await.expect("due");
    assert_eq!(
        request.sendings, 2,
        "this one was recorded, and it counts itself"
    );
}

#[tokio::test]
async fn narrowing_ends_when_it_is_alone_whatever_the_counts_say() {
    let outbox = Outbox::new().await;
    let (worker, admin) = (sent(&outbox, 2).await, outbox.admin().await);
    let narrow = LateVerdict::SomeFailed { narrow: true };
    let request = claim(&worker, 100).await.expect("due");
    assert_eq!(answer(&worker, &request, narrow, 100).await, 2);
    let again = claim_due(&worker, 100).await;
    assert_eq!(again[0].prior.company, Some(1));
    let alone = Settlement {
        state: State::Sent,
        tries: 2,
        receipt: Some(Receipt {
            number: "receipt-2".into(),
            rule: None,
            ask_at: at(200),
        }),
        log: vec![tried("sent", Some(200))],
        ..accepted(again[0].ticket, "meta")
    };
    settle(&worker, &[alone], &[], 0).await.expect("settled");
    let request = claim(&worker, 200).await.expect("due");
    assert_eq!(request.company, Some(1));
    assert_eq!(answer(&worker, &request, narrow, 200).await, 1);
    let told: Vec<String> = admin
        .all("select state || ' ' || reason from conversion_outbox.delivery where receipt = 'receipt-2'")
        .await;
    assert_eq!(told, ["sent partly_failed"]);
}

#[tokio::test]
async fn a_number_that_is_given_again_is_asked_for_again() {
    let outbox = Outbox::new().await;
    let (worker, admin) = (sent(&outbox, 1).await, outbox.admin().await);
    let accept = LateVerdict::All(Outcome::Accepted);
    let request = claim(&worker, 100).await.expect("due");
    assert_eq!(answer(&worker, &request, accept, 100).await, 1);
    let app = outbox.session("app").await;
    app.run(&format!(
        "insert into conversion_outbox.event (event_name, business_id, consent) values ('order_paid', 'other', {})",
        crate::harness::GRANTED
    ))
    .await;
    let other = claim_events(&worker, 1, 200).await;
    let same_number = Settlement {
        state: State::Sent,
        receipt: Some(Receipt {
            number: "receipt-1".into(),
            rule: None,
            ask_at: at(300),
        }),
        log: vec![tried("sent", Some(200))],
        ..accepted(other[0].ticket, "meta")
    };
    settle(&worker, &[same_number], &[other[0].ticket], 0)
        .await
        .expect("settled");
    let request = claim(&worker, 300).await.expect("due again");
    assert_eq!(answer(&worker, &request, accept, 300).await, 1);
    assert_eq!(totals(&admin).await, ["accepted 2"]);
}
