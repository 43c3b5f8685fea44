//! The evidence of an event, before and after its data are gone, and the receipt of an erasure.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::{Value, json};

use crate::process::officer;
use crate::rig::{Rig, Setup, granted, order, with};

const CANARY: &str = "canary-7f3a9c";

fn setup(rig: &Rig) -> Setup {
    let keys = format!(
        "[privacy]\nsubject_key = {{ file = \"{}/subject.key\" }}\n",
        rig.folder.path().display()
    );
    Setup {
        rest: keys.leak(),
        ..Setup::only(&[Destination::Meta, Destination::Ga4])
    }
}

/// An order with a canary wherever a person may be named.
fn of_canary(business_id: &str) -> Value {
    let mut consent = granted();
    for (key, value) in [
        ("given_at", "2026-11-01T10:00:00Z"),
        ("source", "banner"),
        ("version", "7"),
        ("tcf", CANARY),
        ("note", CANARY),
    ] {
        consent[key] = value.into();
    }
    with(
        order(business_id),
        json!({
            "consent": consent,
            "user_data": { "email": format!("{CANARY}@example.com"), "phone": "+49 30 901820", "external_id": CANARY },
            "page_url": format!("https://shop.example/{CANARY}"), "properties": { "note": CANARY },
        }),
    )
}

async fn prove(rig: &Rig, event_id: &str) -> Value {
    let (code, said) = officer(rig, setup(rig), &["prove", event_id, "--json"], "").await;
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains(CANARY) && !said.contains("901820"), "{said}");
    serde_json::from_str(&said).expect("json")
}

fn statements(proof: &Value) -> Vec<&str> {
    let list = proof["statements"].as_array().expect("a list");
    list.iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn the_proof_of_an_event_outlives_its_data() {
    let rig = Rig::new().await;
    rig.event_fault(FaultKind::Status, Platform::Ga4, |fault| {
        (fault.status, fault.times) = (Some(503), Some(1));
    });
    let worker = rig.work_with(setup(&rig));
    rig.insert(&[of_canary("o-1")]).await;
    rig.until_state("meta", "order_paid:o-1", "accepted").await;
    rig.until_state("ga4", "order_paid:o-1", "pending/retry")
        .await;
    rig.run(&format!(
        "select conversion_outbox.withdraw_consent(external_id => '{CANARY}')"
    ))
    .await;
    rig.later(TimeDelta::hours(1)).await;
    rig.until_final().await;

    rig.until("(select count(*) from conversion_outbox.policy) = 2")
        .await;
    let before = prove(&rig, "order_paid:o-1").await;
    let meta = &before["deliveries"][1];
    assert_eq!(
        (&meta["destination"], &meta["state"]),
        (&json!("meta"), &json!("accepted"))
    );
    assert_eq!(
        meta["allowed_data"],
        json!(["event", "click_id", "email", "phone", "external_id"])
    );
    assert_eq!(meta["requests"][0]["response_code"], 200);
    assert_eq!(meta["payload_hash"].as_str().map(str::len), Some(64));
    assert_eq!(
        meta["policies"][0]["policy"]["requires"]["email"],
        json!(["ad_user_data"])
    );
    assert_eq!(
        (&before["consent"]["version"], &before["consent"]["has_tcf"]),
        (&json!("7"), &json!(true))
    );
    let ga4 = &before["deliveries"][0];
    assert_eq!(
        (&ga4["state"], &ga4["reason"]),
        (&json!("suppressed"), &json!("withdrawn"))
    );
    assert_eq!(ga4["requests"][0]["outcome"], "retry");
    let said = statements(&before);
    assert!(
        said[0].starts_with("2 requests carried this event"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("No request left after the withdrawal of"),
        "{said:?}"
    );

    // Found by a telephone number that is written in another way.
    let args = ["erase", "--phone", "--reason", "asked by letter"];
    let (code, said) = officer(&rig, setup(&rig), &args, "0049 30 / 90 18 20").await;
    assert_eq!(code, 0, "{said}");
    let receipt: Value = serde_json::from_str(&said).expect("json");
    assert_eq!(
        (
            &receipt["events"],
            &receipt["received_by"],
            &receipt["in_flight"]
        ),
        (&json!(1), &json!({ "meta": 1, "ga4": 1 }), &json!({}))
    );
    assert!(receipt["received_at"]["ga4"]["first"].is_string());
    let left: i64 = rig
        .one(&format!(
            "select count(*) from (select e::text from conversion_outbox.event e union all select a::text from conversion_outbox.audit a
               union all select s::text from conversion_outbox.suppression s) t (t) where t ~ '{CANARY}|901820'"
        ))
        .await;
    // The TCF string is evidence, and no name.
    assert_eq!(left, 1);
    rig.run("update conversion_outbox.event set consent = consent - 'tcf'")
        .await;
    let named: bool = rig
        .one(&format!(
            "select exists (select from conversion_outbox.event e where e::text like '%{CANARY}%')"
        ))
        .await;
    assert!(!named);

    let after = prove(&rig, "order_paid:o-1").await;
    assert_eq!(after["deliveries"][1]["requests"], meta["requests"]);
    assert_eq!(
        after["withdrawals"][0], before["withdrawals"][0],
        "the row tells it no more, the proof does"
    );
    let said = statements(&after);
    assert!(
        said.iter()
            .any(|one| one.starts_with("No request left after the erasure at")),
        "{said:?}"
    );

    // And the next order of the same number is not told.
    rig.insert(&[with(
        of_canary("o-2"),
        json!({ "user_data": { "phone": "030 901820", "country": "de" } }),
    )])
    .await;
    for destination in ["meta", "ga4"] {
        rig.until_state(
            destination,
            "order_paid:o-2",
            "suppressed/suppressed_subject",
        )
        .await;
    }
    let args = ["report", "--from", "2020-01-01", "--to", "2999-01-01"];
    let (code, said) = officer(&rig, setup(&rig), &args, "").await;
    assert_eq!(code, 0, "{said}");
    let report: Value = serde_json::from_str(&said).expect("json");
    assert_eq!(report["consent"]["ad_user_data"], json!({ "granted": 2 }));
    assert_eq!(
        report["suppressed"],
        json!({ "withdrawn": 1, "suppressed_subject": 2 })
    );
    assert_eq!(
        report["data_removed"],
        json!({ "retention": 0, "erasure": 1 })
    );
    assert_eq!(report["done_by_hand"], json!({ "erase": 1, "suppress": 1 }));
    assert!(report["oldest_personal_data"].is_string());
    let said = prove(&rig, "order_paid:o-2").await.to_string();
    assert!(
        said.contains("meta was not told: the person was on the suppression list."),
        "{said}"
    );
    worker.drain().await;
}

#[tokio::test]
async fn what_was_in_flight_at_an_erasure_is_proved_later() {
    let rig = Rig::new().await;
    let held = rig.event_fault(FaultKind::HoldAfter, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    let worker = rig.work_with(setup(&rig));
    rig.insert(&[of_canary("o-1")]).await;
    rig.held(held, 1).await;
    let args = [
        "erase",
        "--business-id",
        "o-1",
        "--reason",
        "asked by letter",
    ];
    let (code, said) = officer(&rig, setup(&rig), &args, "").await;
    assert_eq!(code, 0, "{said}");
    let receipt: Value = serde_json::from_str(&said).expect("json");
    assert_eq!(receipt["in_flight"]["meta"], 1);
    let during = prove(&rig, "order_paid:o-1").await.to_string();
    assert!(during.contains("a request may be under way"), "{during}");
    rig.sandbox.release(held);
    rig.until_final().await;
    let proof = prove(&rig, "order_paid:o-1").await;
    let meta = proof["deliveries"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["destination"] == "meta");
    assert_eq!(meta.expect("there is one")["state"], "accepted");
    let said = statements(&proof);
    assert!(
        said.iter()
            .any(|one| one.starts_with("No request left after the erasure")),
        "it had begun before: {said:?}"
    );
    let audit: String = rig
        .one("select action || ' ' || reason || ' ' || login from conversion_outbox.audit")
        .await;
    assert_eq!(audit, "erase asked by letter rig_privacy");
    let (code, _) = officer(&rig, setup(&rig), &["prove", "order_paid:nobody"], "").await;
    assert_eq!(code, 1);
    worker.drain().await;
}

#[tokio::test]
async fn a_worker_that_died_with_an_erased_order_may_have_told_it() {
    let rig = Rig::new().await;
    rig.insert(&[of_canary("o-1")]).await;
    rig.run(
        "insert into conversion_outbox.destination (name, platform) values ('meta', 'meta');
         update conversion_outbox.queue set claim_no = 1, lease_until = now() - interval '1 minute'",
    )
    .await;
    let args = ["erase", "--external-id", "--reason", "asked by letter"];
    let (code, said) = officer(&rig, setup(&rig), &args, CANARY).await;
    assert_eq!(code, 0, "{said}");
    let receipt: Value = serde_json::from_str(&said).expect("json");
    assert_eq!(
        (&receipt["cancelled"], &receipt["in_flight"]),
        (&json!(1), &json!({ "meta": 1 }))
    );
    let said = prove(&rig, "order_paid:o-1").await.to_string();
    assert!(
        said.contains("meta may have received it: a worker that held it never told how it went."),
        "{said}"
    );
}
