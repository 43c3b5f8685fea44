//! Claiming: nothing is held twice, what was lost comes back, and nobody waits.

use std::collections::HashSet;

use conversion_outbox::claim;
use conversion_outbox::outcome::State;
use conversion_outbox::settle::{intend, release, settle};

use crate::harness::Outbox;
use crate::work::{
    LEASE, accepted, at, claim_due, claim_events, claim_one, failed, intent, terms, write_events,
};

#[tokio::test]
async fn two_claimers_never_hold_the_same_event() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 600).await;
    let (one, two) = (outbox.worker(), outbox.worker());
    let mut held = HashSet::new();
    while held.len() < 600 {
        let (mine, yours) = tokio::join!(claim_events(&one, 7, 0), claim_events(&two, 7, 0));
        assert!(
            !mine.is_empty() || !yours.is_empty(),
            "nothing was left behind"
        );
        for claimed in mine.iter().chain(&yours) {
            assert!(held.insert(claimed.ticket.event_no), "held twice");
            assert_eq!(
                (claimed.ticket.claim_no, claimed.lost_at.is_some()),
                (1, false)
            );
        }
    }
    assert!(claim_events(&one, 7, 0).await.is_empty());
}

#[tokio::test]
async fn a_lease_that_ran_out_is_claimed_again_under_a_higher_number() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 1).await;
    let worker = outbox.worker();
    let first = claim_one(&worker, 0).await;
    assert!(
        claim_events(&worker, 1, 60).await.is_empty(),
        "held to its last second"
    );
    let second = claim_one(&worker, 61).await;
    assert!(second.lost_at.is_some());
    assert_eq!(second.ticket.claim_no, first.ticket.claim_no + 1);
    assert_eq!(second.done, Vec::<String>::new());
}

#[tokio::test]
async fn a_rescue_tells_what_was_done() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 1).await;
    let worker = outbox.worker();
    let first = claim_one(&worker, 0).await;
    settle(&worker, &[accepted(first.ticket, "meta")], &[], 0)
        .await
        .expect("settled");
    assert_eq!(claim_one(&worker, 61).await.done, ["meta"]);
}

#[tokio::test]
async fn rows_that_another_holds_are_passed_over() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 3).await;
    let admin = outbox.admin().await;
    admin
        .run("begin; select from conversion_outbox.queue where event_no = 1 for update")
        .await;
    let worker = outbox.worker();
    let claimed: Vec<i64> = claim_events(&worker, 10, 0)
        .await
        .iter()
        .map(|c| c.ticket.event_no)
        .collect();
    assert_eq!(claimed, [2, 3]);
}

#[tokio::test]
async fn events_below_the_mark_are_found_by_a_claim_without_one() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 10).await;
    let worker = outbox.worker();
    let above = claim::claim_events(&worker, 8, terms(100, 0))
        .await
        .expect("claimed");
    assert_eq!(
        above.iter().map(|c| c.ticket.event_no).collect::<Vec<_>>(),
        [9, 10]
    );
    assert_eq!(claim_events(&worker, 100, 0).await.len(), 8);
}

#[tokio::test]
async fn an_intent_survives_a_crash_and_a_release() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 1).await;
    let worker = outbox.worker();
    let fresh = claim_one(&worker, 0).await.ticket;
    let tickets = intend(&worker, "meta", &[intent(fresh)], LEASE, at(1), Some(at(1)))
        .await
        .expect("intended");
    assert_eq!(tickets.len(), 1);
    assert!(!tickets[0].is_fresh);
    assert_eq!(
        release(&worker, &[(tickets[0], "meta".to_owned())])
            .await
            .expect("released"),
        0
    );
    assert!(claim_due(&worker, 60).await.is_empty(), "under lease");
    let found = claim_due(&worker, 62)
        .await
        .pop()
        .expect("the lease has run out");
    assert!(found.lost_at.is_some());
    assert_eq!(found.prior.intent_at, Some(at(1)));
    assert_eq!((found.prior.tries, found.prior.attempts), (1, 0));
    assert_eq!(found.prior.payload_hash, Some([7; 32]));
}

#[tokio::test]
async fn an_intent_needs_the_current_claim() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 1).await;
    let worker = outbox.worker();
    let old = claim_one(&worker, 0).await.ticket;
    let new = claim_one(&worker, 61).await.ticket;
    let intends = |ticket, seconds| {
        let worker = &worker;
        async move {
            let intents = [intent(ticket)];
            intend(
                worker,
                "meta",
                &intents,
                LEASE,
                at(seconds),
                Some(at(seconds)),
            )
            .await
            .expect("answered")
        }
    };
    assert!(intends(old, 62).await.is_empty());
    assert_eq!(intends(new, 62).await.len(), 1);
    assert!(intends(new, 63).await.is_empty(), "there is a row already");
    // Written again with the same time, after an answer that was lost, it is the same intent.
    assert_eq!(intends(new, 62).await.len(), 1);
    let waiting = claim_due(&worker, 200).await.pop().expect("due").ticket;
    let again = claim_due(&worker, 300).await.pop().expect("due").ticket;
    assert!(intends(waiting, 301).await.is_empty());
    assert_eq!(intends(again, 301).await.len(), 1);
    assert_eq!(intends(again, 301).await.len(), 1);
    let tries = "select tries from conversion_outbox.delivery";
    assert_eq!(outbox.admin().await.one::<i16>(tries).await, 2);
}

#[tokio::test]
async fn a_release_needs_the_current_claim() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 2).await;
    let worker = outbox.worker();
    let old = claim_one(&worker, 0).await.ticket;
    let new = claim_events(&worker, 2, 61).await.remove(0).ticket;
    assert_eq!(new.event_no, old.event_no);
    let to = || "meta".to_owned();
    assert_eq!(release(&worker, &[(old, to())]).await.expect("answered"), 0);
    assert_eq!(release(&worker, &[(new, to())]).await.expect("answered"), 1);
    let back = claim_one(&worker, 62).await;
    assert_eq!((back.ticket.claim_no, back.lost_at.is_some()), (3, false));
    settle(&worker, &[failed(back.ticket, 1, 70)], &[], 0)
        .await
        .expect("settled");
    let waiting = claim_due(&worker, 70).await.remove(0).ticket;
    let later = claim_due(&worker, 200).await.remove(0).ticket;
    assert_eq!(
        release(&worker, &[(waiting, to())])
            .await
            .expect("answered"),
        0
    );
    assert_eq!(
        release(&worker, &[(later, to())]).await.expect("answered"),
        1
    );
    assert!(claim_due(&worker, 201).await.remove(0).lost_at.is_none());
}

#[tokio::test]
async fn waiting_deliveries_are_claimed_when_due_and_once() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 40).await;
    let (one, two) = (outbox.worker(), outbox.worker());
    let results: Vec<_> = claim_events(&one, 100, 0)
        .await
        .iter()
        .map(|c| failed(c.ticket, 1, 30))
        .collect();
    settle(&one, &results, &[], 0).await.expect("settled");
    let destinations = ["meta".to_owned(), "ga4".to_owned()];
    let next = claim::next_due(&one, &destinations, Some(at(0)))
        .await
        .expect("answered");
    assert_eq!(
        next.into_iter().collect::<Vec<_>>(),
        [("meta".to_owned(), at(30))]
    );
    assert!(claim_due(&one, 29).await.is_empty());
    let claim = |worker| async move {
        claim::claim_due(worker, "meta", 5, terms(5, 30))
            .await
            .expect("claimed")
    };
    let mut held = HashSet::new();
    while held.len() < 40 {
        let (mine, yours) = tokio::join!(claim(&one), claim(&two));
        assert!(
            !mine.is_empty() || !yours.is_empty(),
            "nothing was left behind"
        );
        for claimed in mine.iter().chain(&yours) {
            assert!(held.insert(claimed.ticket.event_no), "held twice");
            assert_eq!((claimed.prior.tries, claimed.prior.attempts), (1, 1));
        }
    }
    assert!(
        claim::next_due(&one, &destinations, Some(at(30)))
            .await
            .expect("answered")
            .is_empty()
    );
}

#[tokio::test]
async fn an_adjusted_event_is_shown_with_its_states() {
    let outbox = Outbox::new().await;
    write_events(&outbox, 1).await;
    let app = outbox.session("app").await;
    let refund = crate::harness::Event::order("order-1")
        .text("event_name", "order_refunded")
        .text("depends_on", "order_paid:order-1");
    app.run(&refund.sql(crate::harness::Form::Enqueue)).await;
    let worker = outbox.worker();
    let claimed = claim_events(&worker, 10, 0).await;
    settle(&worker, &[accepted(claimed[0].ticket, "meta")], &[], 0)
        .await
        .expect("settled");
    let original = claim_events(&worker, 10, 61)
        .await
        .remove(1)
        .around
        .original
        .expect("it is known");
    assert_eq!(original.number, Some(1));
    assert_eq!(original.reversals.len(), 1, "the asking event itself");
    assert_eq!(original.event.expect("a good row").business_id, "order-1");
    let standings: Vec<_> = original.standings.into_iter().collect();
    assert_eq!(standings.len(), 1);
    assert_eq!(
        (standings[0].0.as_str(), standings[0].1.state),
        ("meta", State::Accepted)
    );
}
