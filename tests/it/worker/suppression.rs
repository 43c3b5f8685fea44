//! People on the suppression list: found in every spelling, at every moment, and never passed over for want of a key.

use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::process::officer;
use crate::rig::{Rig, Setup, order, refund, with};

/// The rig's configuration with a key, written where the rig's folder is.
fn keyed(rig: &Rig, setup: Setup) -> Setup {
    let keys = format!(
        "[privacy]\nsubject_key = {{ file = \"{}/subject.key\" }}\n",
        rig.folder.path().display()
    );
    Setup {
        rest: keys.leak(),
        ..setup
    }
}

fn of(business_id: &str, user_data: Value) -> Value {
    with(order(business_id), json!({ "user_data": user_data }))
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn suppress(rig: &Rig, setup: Setup, args: &[&str], value: &str) {
    let args = [&["suppress", "--reason", "asked by letter"], args].concat();
    let (code, said) = officer(rig, setup, &args, value).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test]
async fn somebody_on_the_list_is_found_in_every_spelling() {
    let rig = Rig::new().await;
    let setup = keyed(&rig, Setup::all());
    suppress(&rig, setup, &["--email"], " Jane.Doe+shop@Gmail.com\n").await;
    suppress(&rig, setup, &["--phone", "--all-platforms"], "030 901820").await;
    let worker = rig.work_with(setup);
    rig.insert(&[
        of(
            "raw",
            json!({ "email": ["other@example.com", "janedoe@gmail.com"] }),
        ),
        of(
            "hashed",
            json!({ "email": sha256("jane.doe+shop@gmail.com") }),
        ),
        of(
            "phone",
            json!({ "email": "x@example.com", "phone": "0049 (0)30 90 18 20" }),
        ),
        of(
            "free",
            json!({ "email": "jane@example.com", "phone": "+49 30 901821" }),
        ),
    ])
    .await;
    rig.until_final().await;
    for platform in Platform::ALL {
        let state = async |id: &str| {
            rig.state(platform.as_str(), &format!("order_paid:{id}"))
                .await
        };
        assert_eq!(
            state("phone").await,
            "suppressed/suppressed_subject",
            "{platform}"
        );
        assert!(
            ["accepted", "sent"].contains(&state("free").await.as_str()),
            "{platform}"
        );
        for id in ["raw", "hashed"] {
            let expected = match platform {
                Platform::Ga4 => "sent",
                _ => "suppressed/suppressed_subject",
            };
            assert_eq!(state(id).await, expected, "{platform} {id}");
        }
    }
    // Analytics hears of the order, and nothing that it would pass on.
    for row in rig.arrived(Platform::Ga4) {
        let body: Value = serde_json::from_slice(&row.body).expect("json");
        let is_free = body.to_string().contains("\"free\"");
        assert_eq!(body["user_data"].is_object(), is_free, "{body}");
        if !is_free {
            assert_eq!(body["consent"]["ad_user_data"], "DENIED", "{body}");
        }
    }
    let kept: String = rig
        .one("select string_agg(s::text, ' ') from (select s::text from conversion_outbox.suppression s union all select a::text from conversion_outbox.audit a) s")
        .await;
    for told in ["jane", "901820", &sha256("janedoe@gmail.com")] {
        assert!(!kept.contains(told), "{told} {kept}");
    }

    // Off the list, the next order is told again.
    let args = ["unsuppress", "--reason", "asked by letter", "--email"];
    let (code, said) = officer(&rig, setup, &args, "JaneDoe@gmail.com").await;
    assert_eq!(
        (code, said.contains("off the suppression list")),
        (0, true),
        "{said}"
    );
    rig.insert(&[of("again", json!({ "email": "janedoe@gmail.com" }))])
        .await;
    rig.until_state("meta", "order_paid:again", "accepted")
        .await;
    worker.drain().await;
}

#[tokio::test]
async fn an_entry_counts_for_what_is_claimed_already_and_for_borrowed_data() {
    let rig = Rig::new().await;
    let setup = keyed(&rig, Setup::only(&[Destination::Ga4, Destination::Meta])).lines(
        Destination::Meta,
        "batch_size = 1\nconcurrency = 1\nsend_refunds = true",
    );
    let worker = rig.work_with(setup);
    rig.insert(&[order("bought")]).await;
    rig.until_final().await;
    let held = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |fault| {
        fault.times = Some(1)
    });
    rig.insert(&[
        order("first"),
        of("claimed", json!({ "external_id": "customer-7" })),
        refund("bought", 1, Some(9.90)),
    ])
    .await;
    rig.held(held, 1).await;
    rig.until("not exists (select from conversion_outbox.queue where lease_until is null)")
        .await;
    suppress(&rig, setup, &["--external-id"], "customer-7").await;
    suppress(&rig, setup, &["--email"], "bought@example.com").await;
    rig.sandbox.release(held);
    rig.until_final().await;
    assert_eq!(
        rig.state("meta", "order_paid:claimed").await,
        "suppressed/suppressed_subject"
    );
    assert_eq!(
        rig.state("meta", "bought_refund_1").await,
        "suppressed/suppressed_subject"
    );
    assert_eq!(rig.state("meta", "order_paid:first").await, "accepted");
    assert_eq!(rig.arrived(Platform::Meta).len(), 2);
    worker.drain().await;
}

#[tokio::test]
async fn without_the_key_nothing_is_sent_unjudged() {
    let rig = Rig::new().await;
    let meta = Setup::only(&[Destination::Meta]);
    let setup = keyed(&rig, meta);
    let keyless = rig.work_with(meta);
    rig.insert(&[order("before")]).await;
    rig.until_state("meta", "order_paid:before", "accepted")
        .await;
    suppress(&rig, setup, &["--email"], "jane@example.com").await;
    rig.insert(&[
        order("o-1"),
        of("jane", json!({ "email": "jane@example.com" })),
    ])
    .await;
    rig.until_state("meta", "order_paid:o-1", "pending/unjudged")
        .await;
    assert_eq!(rig.arrived(Platform::Meta).len(), 1);
    keyless.drain().await;

    let refused = rig.work_with(meta).task.await.expect("no panic");
    let error = refused.expect_err("it must not start").to_string();
    assert!(
        error.contains("Fix: name it under [privacy] as subject_key"),
        "{error}"
    );

    // Another key, with the first among the former ones: both are obeyed.
    let folder = rig.folder.path().display().to_string();
    rig.write("newer.key", "another-key-of-the-test-with-32-bytes");
    let both = Setup {
        rest: format!(
            "[privacy]\nsubject_key = {{ file = \"{folder}/newer.key\" }}\nformer_subject_keys = [{{ file = \"{folder}/subject.key\" }}]\n"
        )
        .leak(),
        ..meta
    };
    suppress(&rig, both, &["--email"], "ada@example.com").await;
    let worker = rig.work_with(both);
    rig.insert(&[of("ada", json!({ "email": "ada@example.com" }))])
        .await;
    rig.later(chrono::TimeDelta::minutes(1)).await;
    rig.until_final().await;
    assert_eq!(rig.state("meta", "order_paid:o-1").await, "accepted");
    for id in ["jane", "ada"] {
        let id = format!("order_paid:{id}");
        assert_eq!(
            rig.state("meta", &id).await,
            "suppressed/suppressed_subject"
        );
    }
    worker.drain().await;
}

#[tokio::test]
async fn a_person_is_never_an_argument_and_a_bad_value_is_not_repeated() {
    let rig = Rig::new().await;
    let setup = keyed(&rig, Setup::default());
    let call = async |args: &[&str], input: &str| {
        let args = [&["suppress", "--reason", "x"], args].concat();
        officer(&rig, setup, &args, input).await
    };
    assert_eq!(call(&["--email", "jane@example.com"], "").await.0, 2);
    assert_eq!(call(&[], "jane@example.com").await.0, 2);
    assert_eq!(call(&["--email"], "not-an-address-of-jane").await.0, 1);
    assert_eq!(
        call(&["--email"], "jane@example.com\nada@example.com")
            .await
            .0,
        1
    );
    let list = rig.write(
        "list",
        "email jane@example.com\n\nphone 030 901820\nname Jane-Doe\n",
    );
    let list = list.to_str().expect("text");
    let (code, said) = call(&["--list", list], "").await;
    assert_eq!(code, 1);
    assert!(
        said.contains("line 4") && !said.contains("Jane-Doe"),
        "{said}"
    );
    rig.write("list", "email jane@example.com\n\nphone 030 901820\n");
    assert_eq!(call(&["--list", list], "").await.0, 0);
    let people: i64 = rig
        .one("select count(distinct kind) from conversion_outbox.suppression")
        .await;
    assert_eq!(people, 2);
    // Short keys can be tried out.
    rig.write("subject.key", "short");
    let (code, said) = call(&["--email"], "jane@example.com").await;
    assert!(code != 0 && said.contains("fewer than 32 bytes"), "{said}");
}
