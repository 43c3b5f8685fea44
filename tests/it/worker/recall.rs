//! Consent taken back and people erased at every moment of a delivery's life: after the commit no request begins that
//! carries them, and the receipt names everybody who had received them, or may have.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::{Value, json};

use crate::rig::{Rig, Setup, lead, order};

/// How many requests to a platform carried this event.
fn carried(rig: &Rig, platform: Platform, event_id: &str) -> usize {
    // GA4 knows an order by its own id.
    let (_, business_id) = event_id.split_once(':').expect("a derived id");
    let quoted = [event_id, business_id].map(|id| format!("\"{id}\""));
    let rows = rig.arrived(platform);
    let requests: BTreeSet<u64> = rows
        .iter()
        .filter(|row| quoted.iter().any(|id| row.event.contains(id)))
        .map(|row| row.request)
        .collect();
    requests.len()
}

/// Erases one order as a privacy officer, and gives the receipt.
async fn erase(rig: &Rig, business_id: &str) -> Value {
    rig.one(&format!(
        "select conversion_outbox.erase_subject(array['{business_id}'])"
    ))
    .await
}

async fn withdraw(rig: &Rig, business_id: &str) {
    rig.run(&format!(
        "select conversion_outbox.withdraw_consent(business_id => '{business_id}')"
    ))
    .await;
}

#[tokio::test]
async fn a_batch_that_is_split_leaves_out_who_went_meanwhile() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::MetaError, Platform::Meta, |fault| {
        (fault.code, fault.subcode, fault.event_id) =
            (Some(100), Some(2_804_003), Some("order_paid:o-3".into()));
    });
    let held = rig.fault(FaultKind::HoldBefore, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let orders: Vec<Value> = (0..8).map(|n| order(&format!("o-{n}"))).collect();
    rig.insert(&orders).await;
    let worker = rig.work_with(Setup::only(&[Destination::Meta]));
    rig.held(held, 1).await;
    withdraw(&rig, "o-1").await;
    let receipt = erase(&rig, "o-6").await;
    assert_eq!(
        (&receipt["cancelled"], &receipt["in_flight"]),
        (&json!(0), &json!({ "meta": 1 }))
    );
    rig.sandbox.release(held);
    rig.until_final().await;
    for gone in ["o-1", "o-6"] {
        let id = format!("order_paid:{gone}");
        assert_eq!(
            carried(&rig, Platform::Meta, &id),
            1,
            "{gone}: what was under way"
        );
    }
    assert!(
        carried(&rig, Platform::Meta, "order_paid:o-2") > 1,
        "it was split"
    );
    assert_eq!(
        rig.state("meta", "order_paid:o-1").await,
        "suppressed/withdrawn"
    );
    assert_eq!(
        rig.state("meta", "order_paid:o-6").await,
        "cancelled/erased"
    );
    assert_eq!(rig.count("meta", "accepted").await, 5);
    worker.drain().await;
}

#[tokio::test]
async fn what_a_worker_holds_and_has_not_sent_stays_at_home() {
    let rig = Rig::new().await;
    let held = Platform::ALL.map(|platform| {
        rig.event_fault(FaultKind::HoldBefore, platform, |fault| {
            fault.times = Some(1)
        })
    });
    rig.insert(&[
        order("first"),
        order("withdrawn"),
        order("erased"),
        lead("gone"),
        order("last"),
    ])
    .await;
    let setup = Destination::ALL.into_iter();
    let worker = rig.work_with(setup.fold(Setup::all(), |setup, platform| {
        setup.lines(platform, "batch_size = 1\nconcurrency = 1")
    }));
    for rule in held {
        rig.held(rule, 1).await;
    }
    // All others are claimed, decided, and wait for their turn.
    withdraw(&rig, "withdrawn").await;
    let receipt = erase(&rig, "erased").await;
    erase(&rig, "gone").await;
    let all =
        json!({ "meta": 1, "ga4": 1, "google_data_manager": 1, "google_ads": 1, "linkedin": 1 });
    assert_eq!(receipt["in_flight"], all, "a worker holds it everywhere");
    assert_eq!(receipt["received_by"], json!({}));
    for rule in held {
        rig.sandbox.release(rule);
    }
    rig.until_final().await;
    for platform in Platform::ALL {
        for (id, state, requests) in [
            ("order_paid:withdrawn", "suppressed/withdrawn", 0),
            ("order_paid:erased", "cancelled/erased", 0),
            ("lead_created:gone", "cancelled/erased", 0),
        ] {
            assert_eq!(
                rig.state(platform.as_str(), id).await,
                state,
                "{platform} {id}"
            );
            assert_eq!(carried(&rig, platform, id), requests, "{platform} {id}");
        }
        for id in ["order_paid:first", "order_paid:last"] {
            assert_eq!(carried(&rig, platform, id), 1, "{platform} {id}");
        }
    }
    let unsent: i64 = rig
        .one("select count(*) from conversion_outbox.delivery where state = 'cancelled' and tries > 0")
        .await;
    assert_eq!(unsent, 0, "nothing is on record as tried that was not");
    worker.drain().await;
}

#[tokio::test]
async fn who_goes_while_a_token_is_fetched_is_not_sent_with_it() {
    let rig = Rig::new().await;
    let google = Platform::GoogleDataManager;
    // The intent is written before the token is fetched.
    let worker = rig.work_with(Setup::only(&[Destination::GoogleDataManager]).lines(
        Destination::GoogleDataManager,
        "on_ambiguous = \"uncertain\"",
    ));
    let token = |rig: &Rig| {
        rig.fault(FaultKind::HoldBefore, google, |fault| {
            (fault.path, fault.times) = (Some("/token".into()), Some(1));
        })
    };
    let held = token(&rig);
    rig.insert(&[order("o-1")]).await;
    rig.held(held, 1).await;
    rig.until("exists (select from conversion_outbox.delivery where reason = 'sending')")
        .await;
    withdraw(&rig, "o-1").await;
    rig.sandbox.release(held);
    rig.until_final().await;
    assert_eq!(carried(&rig, google, "order_paid:o-1"), 0);
    assert_eq!(
        rig.state(google.as_str(), "order_paid:o-1").await,
        "suppressed/withdrawn"
    );

    // A token that is refused is renewed and the request made once more: not with who went in between.
    rig.insert(&[order("o-2")]).await;
    rig.until_final().await;
    rig.sandbox.google(|world| world.revoke_access_tokens());
    let held = token(&rig);
    rig.insert(&[order("o-3"), order("o-4")]).await;
    rig.held(held, 1).await;
    let receipt = erase(&rig, "o-3").await;
    assert_eq!(receipt["in_flight"], json!({ "google_data_manager": 1 }));
    let before = carried(&rig, google, "order_paid:o-3");
    rig.sandbox.release(held);
    rig.until_final().await;
    assert_eq!(carried(&rig, google, "order_paid:o-3"), before);
    assert_eq!(
        rig.state(google.as_str(), "order_paid:o-3").await,
        "cancelled/erased"
    );
    assert_eq!(rig.state(google.as_str(), "order_paid:o-4").await, "sent");
    let tried: String = rig
        .one("select d.tries || ' ' || string_agg(a.outcome, ',') from conversion_outbox.delivery d
               join conversion_outbox.attempt a using (event_no, destination) join conversion_outbox.event e using (event_no)
              where e.business_id = 'o-3' group by d.tries")
        .await;
    assert_eq!(
        tried, "1 hold",
        "the request whose token was refused had carried it"
    );
    worker.drain().await;
}

#[tokio::test]
async fn what_is_under_way_is_on_the_receipt_and_ends_as_it_went() {
    let rig = Rig::new().await;
    let answered = Platform::ALL.map(|platform| {
        rig.event_fault(FaultKind::HoldAfter, platform, |fault| {
            fault.times = Some(1)
        })
    });
    let worker = rig.work_with(Setup::all());
    rig.insert(&[order("taken")]).await;
    for rule in answered {
        rig.held(rule, 1).await;
    }
    let receipt = erase(&rig, "taken").await;
    assert_eq!(
        receipt["in_flight"].as_object().expect("an object").len(),
        5
    );
    for rule in answered {
        rig.sandbox.release(rule);
    }
    rig.until_final().await;
    for platform in Platform::ALL {
        let state = rig.state(platform.as_str(), "order_paid:taken").await;
        assert!(
            ["accepted", "sent"].contains(&state.as_str()),
            "{platform} {state}"
        );
    }

    // Not taken: no second try, and who heard of it is on record.
    let failing = Platform::ALL.map(|platform| {
        let hold = rig.event_fault(FaultKind::HoldBefore, platform, |fault| {
            fault.times = Some(1)
        });
        rig.event_fault(FaultKind::Status, platform, |fault| {
            (fault.status, fault.times) = (Some(503), Some(1));
        });
        hold
    });
    rig.insert(&[order("failed")]).await;
    for rule in failing {
        rig.held(rule, 1).await;
    }
    erase(&rig, "failed").await;
    for rule in failing {
        rig.sandbox.release(rule);
    }
    rig.until("(select count(*) from conversion_outbox.delivery where reason = 'erased' or tries > 0 and due_at is not null) >= 5").await;
    rig.later(TimeDelta::hours(1)).await;
    rig.until_final().await;
    for platform in Platform::ALL {
        assert_eq!(
            rig.state(platform.as_str(), "order_paid:failed").await,
            "cancelled/erased"
        );
        assert_eq!(
            carried(&rig, platform, "order_paid:failed"),
            1,
            "{platform}"
        );
    }
    let again = erase(&rig, "failed").await;
    assert_eq!(
        again["received_by"].as_object().expect("an object").len(),
        5
    );
    let kept: i64 = rig
        .one("select count(*) from conversion_outbox.event e where e::text like '%example.com%' or payload_salt is not null")
        .await;
    assert_eq!(kept, 0);
    worker.drain().await;
}

#[tokio::test]
async fn who_goes_while_google_is_narrowed_down_does_not_go_again() {
    let rig = Rig::new().await;
    let google = Platform::GoogleDataManager;
    rig.fault(FaultKind::ProcessingError, google, |fault| {
        (fault.event_id, fault.reason) = (
            Some("order_paid:o-3".into()),
            Some("PROCESSING_ERROR_REASON_INVALID_CURRENCY".into()),
        );
    });
    let worker = rig.work_with(Setup::only(&[Destination::GoogleDataManager]));
    let orders: Vec<Value> = (0..4).map(|n| order(&format!("o-{n}"))).collect();
    rig.insert(&orders).await;
    rig.until_final().await;
    // The next round is held where it fetches nothing but waits for the platform.
    let held = rig.event_fault(FaultKind::HoldBefore, google, |fault| fault.times = Some(1));
    rig.later(TimeDelta::minutes(31)).await;
    rig.held(held, 1).await;
    let counts = ["o-0", "o-1"].map(|one| carried(&rig, google, &format!("order_paid:{one}")));
    for business_id in ["o-0", "o-1", "o-2", "o-3"] {
        withdraw(&rig, business_id).await;
    }
    rig.sandbox.release(held);
    rig.until("not exists (select from conversion_outbox.delivery where state = 'pending')")
        .await;
    for _ in 0..4 {
        rig.later(TimeDelta::minutes(61)).await;
        rig.until("not exists (select from conversion_outbox.delivery where state = 'pending')")
            .await;
    }
    let after =
        ["o-0", "o-1", "o-2", "o-3"].map(|one| carried(&rig, google, &format!("order_paid:{one}")));
    // One request of half the events was under way; nothing more of anybody.
    assert!(counts.iter().all(|count| *count == 1), "{counts:?}");
    assert!(after.iter().sum::<usize>() <= 4 + 2, "{after:?}");
    worker.drain().await;
}

#[tokio::test]
async fn no_request_goes_unjudged_while_the_database_cannot_be_asked() {
    let rig = Rig::new().await;
    let held = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    rig.insert(&[order("o-1"), order("o-2")]).await;
    let worker = rig.work_with(
        Setup::only(&[Destination::Meta])
            .lines(Destination::Meta, "batch_size = 1\nconcurrency = 1"),
    );
    rig.held(held, 1).await;
    rig.run("revoke select on conversion_outbox.withdrawal from conversion_outbox_worker")
        .await;
    rig.sandbox.release(held);
    rig.until_state("meta", "order_paid:o-2", "pending/unjudged")
        .await;
    assert_eq!(carried(&rig, Platform::Meta, "order_paid:o-2"), 0);
    rig.run("grant select on conversion_outbox.withdrawal to conversion_outbox_worker")
        .await;
    rig.until_state("meta", "order_paid:o-2", "accepted").await;
    worker.drain().await;
}

/// Whatever the moment, with several workers: at most the request that was under way, and then the receipt names its
/// destination.
#[tokio::test]
async fn no_receipt_is_silent_about_anybody_who_hears_of_it() {
    let rig = Rig::new().await;
    let held = Platform::ALL.map(|platform| {
        let hold = rig.event_fault(FaultKind::HoldBefore, platform, |fault| {
            fault.times = Some(4)
        });
        // Some of what is held is refused for now, some is lost, and the rest taken.
        rig.event_fault(FaultKind::Status, platform, |fault| {
            (fault.status, fault.every, fault.times) = (Some(503), Some(3), Some(4));
        });
        hold
    });
    let setup = Destination::ALL
        .into_iter()
        .fold(Setup::all(), |setup, platform| {
            // GA4 takes one event a request.
            let one = platform == Destination::Ga4;
            let lines = if one {
                "concurrency = 2"
            } else {
                "batch_size = 2\nconcurrency = 2"
            };
            setup.lines(platform, lines)
        });
    let orders: Vec<Value> = (0..24).map(|n| order(&format!("o-{n}"))).collect();
    rig.insert(&orders).await;
    let workers = [
        rig.work_with(setup),
        rig.work_with(setup),
        rig.work_with(setup),
    ];
    for rule in held {
        rig.held(rule, 2).await;
    }
    let mut receipts = Vec::new();
    for n in (0..24).step_by(2) {
        receipts.push((format!("o-{n}"), erase(&rig, &format!("o-{n}")).await));
        withdraw(&rig, &format!("o-{}", n + 1)).await;
    }
    for rule in held {
        rig.sandbox.release(rule);
    }
    rig.until("not exists (select from conversion_outbox.queue)")
        .await;
    rig.later(TimeDelta::hours(2)).await;
    rig.until_final().await;
    let mut told = 0;
    for platform in Platform::ALL {
        for n in 0..24 {
            let requests = carried(&rig, platform, &format!("order_paid:o-{n}"));
            assert!(requests <= 1, "{platform} o-{n}: {requests}");
            told += requests;
        }
        for (business_id, receipt) in &receipts {
            let is_named = ["in_flight", "received_by"]
                .iter()
                .any(|part| receipt[part].get(platform.as_str()).is_some());
            let has_heard = carried(&rig, platform, &format!("order_paid:{business_id}")) > 0;
            assert!(is_named || !has_heard, "{platform} {business_id} {receipt}");
        }
    }
    assert!(told > 0, "something was under way");
    assert_eq!(rig.doubles(), 0);
    for worker in workers {
        worker.drain().await;
    }
}
