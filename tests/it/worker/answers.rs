//! Answers that no careful server gives, at every platform: each event ends in a clear state, and nobody else waits.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{Account, FaultKind, Platform};
use serde_json::Value;

use crate::rig::{DATASET, Rig, Setup, TOKEN, order};

/// Every such answer, and whether the protocol of GA4, whose answers say nothing, takes it for one.
const KINDS: [(FaultKind, bool); 14] = [
    (FaultKind::Huge, true),
    (FaultKind::Drip, false),
    (FaultKind::EndlessHead, false),
    (FaultKind::Informational, false),
    (FaultKind::Truncated, false),
    (FaultKind::Empty, false),
    (FaultKind::NotHttp, false),
    (FaultKind::Garbage, true),
    (FaultKind::DeepJson, true),
    (FaultKind::WrongTypes, true),
    (FaultKind::LoginPage, false),
    (FaultKind::GzipBomb, true),
    (FaultKind::Http10, true),
    (FaultKind::Redirect, false),
];

/// A second dataset that nothing is wrong with.
const NEIGHBOUR: &str = "neighbour";

fn setup(rig: &Rig) -> Setup {
    rig.sandbox
        .put_account(Platform::Meta, "999000999", Account::with_token(TOKEN));
    let rest = format!(
        "[[destination]]\nname = \"{NEIGHBOUR}\"\nplatform = \"meta\"\ndataset_id = \"999000999\"\nbase_url = \"{}\"
access_token = {{ file = \"{}/meta.token\" }}\n",
        rig.sandbox.url(),
        rig.folder.path().display()
    );
    Setup {
        // Time passes while requests are under way: no lease may run out by that.
        worker: "lease_secs = 3600\nrequest_timeout_secs = 3\nbackoff_initial_secs = 1\nbackoff_cap_secs = 1",
        rest: rest.leak(),
        ..Destination::ALL
            .into_iter()
            .fold(Setup::all(), |setup, platform| match platform {
                // One event a request anyway.
                Destination::Ga4 => setup,
                other => setup.lines(other, "batch_size = 1"),
            })
    }
}

#[tokio::test]
async fn every_answer_has_an_end_and_delays_nobody() {
    let rig = Rig::new().await;
    let mut rules = Vec::new();
    for (kind, _) in KINDS {
        for platform in Platform::ALL {
            rules.push(rig.event_fault(kind, platform, |fault| {
                let id = match platform {
                    Platform::Ga4 => format!("{kind:?}"),
                    _ => format!("order_paid:{kind:?}"),
                };
                (fault.event_id, fault.times) = (Some(id), Some(1));
                if platform == Platform::Meta {
                    fault.account = Some(DATASET.to_owned());
                }
            }));
        }
    }
    let events: Vec<Value> = KINDS
        .iter()
        .map(|(kind, _)| order(&format!("{kind:?}")))
        .collect();
    rig.insert(&events).await;
    let worker = rig.work_with(setup(&rig));
    // Before any time passes and while all of that goes on.
    rig.until(&format!(
        "(select count(*) = {} from conversion_outbox.delivery where destination = '{NEIGHBOUR}' and state = 'accepted')",
        KINDS.len()
    ))
    .await;
    let mut rounds = 0;
    while !is_over(&rig, &rules).await {
        rounds += 1;
        assert!(rounds < 60, "not over: {:?}", firsts(&rig).await);
        rig.later(TimeDelta::minutes(6)).await;
    }
    let firsts = firsts(&rig).await;
    for (kind, is_ga4_content) in KINDS {
        for platform in Destination::ALL {
            let at = format!("{platform:?} after {kind:?}");
            let first = &firsts[&(platform.name().to_owned(), format!("{kind:?}"))];
            let is_said = platform == Destination::Ga4 && is_ga4_content;
            let expected = match kind {
                FaultKind::Redirect => "hold",
                _ if is_said => "sent",
                // It does not promise to know a repeat, so its first try is the last.
                _ if platform == Destination::LinkedIn => "uncertain",
                _ => "ambiguous",
            };
            assert_eq!(first, expected, "{at}");
            let state = rig
                .state(platform.name(), &format!("order_paid:{kind:?}"))
                .await;
            let is_final = match (platform, first.as_str()) {
                (Destination::LinkedIn, "uncertain") => state == "uncertain/no_answer",
                (Destination::Ga4, _) => state == "sent",
                (Destination::GoogleDataManager, _) => {
                    ["sent", "accepted"].contains(&state.as_str())
                }
                _ => state == "accepted",
            };
            assert!(is_final, "{at}: {state}");
        }
    }
    assert_eq!(rig.doubles(), 0);
    worker.drain().await;
}

/// Waits until no request is under way; then says whether every rule struck and every delivery is final.
async fn is_over(rig: &Rig, rules: &[u64]) -> bool {
    rig.until(
        "not exists (select from conversion_outbox.queue)
         and not exists (select from conversion_outbox.delivery where lease_until is not null)",
    )
    .await;
    let is_final = rig
        .until_for(
            Duration::from_millis(100),
            "not exists (select from conversion_outbox.delivery where state = 'pending')",
        )
        .await;
    is_final
        && rules
            .iter()
            .all(|rule| rig.sandbox.struck(*rule) == Some(1))
}

/// How each delivery's first try ended, by destination and order.
async fn firsts(rig: &Rig) -> BTreeMap<(String, String), String> {
    let rows: Value = rig
        .one(
            "select coalesce(jsonb_agg(jsonb_build_array(destination, business_id, outcome)), '[]')
               from conversion_outbox.delivery_attempt join conversion_outbox.event using (event_no) where try_no = 1",
        )
        .await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = rows.as_array().expect("a list").iter();
    rows.map(|row| ((text(&row[0]), text(&row[1])), text(&row[2])))
        .collect()
}

#[tokio::test]
async fn tokens_and_late_answers_are_asked_for_again() {
    const ASKED: [Destination; 1] = [Destination::GoogleDataManager];
    let rig = Rig::new().await;
    let mut rules = Vec::new();
    for (kind, _) in KINDS {
        for path in ["/token", "requestStatus"] {
            rules.push(rig.fault(kind, Platform::GoogleDataManager, |fault| {
                (fault.path, fault.times) = (Some(path.to_owned()), Some(1));
            }));
        }
    }
    // Otherwise a token endpoint that never ends would have its twenty seconds.
    for rule in [FaultKind::Drip, FaultKind::Informational] {
        let slow = KINDS
            .iter()
            .position(|(kind, _)| *kind == rule)
            .expect("listed")
            * 2;
        rig.sandbox.remove_fault(rules[slow]);
    }
    let rules: Vec<u64> = rules
        .into_iter()
        .filter(|rule| rig.sandbox.struck(*rule).is_some())
        .collect();
    rig.insert(&[order("o-1")]).await;
    let worker = rig.work_with(Setup {
        worker: "lease_secs = 3600\nrequest_timeout_secs = 3\nbackoff_initial_secs = 1\nbackoff_cap_secs = 1",
        google: "status_first_secs = 60\nstatus_pause_max_secs = 60",
        ..Setup::only(&ASKED)
    });
    let mut rounds = 0;
    while rig.state("google_data_manager", "order_paid:o-1").await != "accepted" {
        rounds += 1;
        assert!(rounds < 90, "no end: {rules:?}");
        rig.later(TimeDelta::minutes(6)).await;
        rig.until_for(
            Duration::from_millis(250),
            "exists (select from conversion_outbox.delivery where state = 'accepted')",
        )
        .await;
    }
    let struck: Vec<Option<u64>> = rules.iter().map(|rule| rig.sandbox.struck(*rule)).collect();
    assert_eq!(struck, vec![Some(1); rules.len()]);
    assert_eq!(rig.doubles(), 0);
    worker.drain().await;
}
