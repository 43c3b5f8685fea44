//! Consent taken back, people erased, and destinations resumed.

use conversion_outbox::claim::read_event;
use conversion_outbox::consent::Signal;
use conversion_outbox::settle::{intend, settle};
use serde_json::{Value, json};

use crate::harness::{Event, Form, Outbox, Session};
use crate::work::{LEASE, accepted, at, claim_due, claim_events, failed, intent};

/// An order of a person, whose consent was given at a time that is written like this.
fn order_of(business_id: &str, person: &str, given_at: &str) -> Event {
    Event::order(business_id)
        .text("user_data", &format!(r#"{{"external_id":"{person}","email":"canary@example.com"}}"#))
        .text("click_ids", r#"{"gclid":"canary"}"#)
        .text("page_url", "https://shop.example/canary")
        .text("consent", &format!(
            r#"{{"ad_storage":"granted","analytics_storage":"granted","ad_user_data":"granted","ad_personalization":"granted","given_at":{given_at}}}"#
        ))
}

/// Which signals count as taken back for an order.
async fn withdrawn(outbox: &Outbox, business_id: &str) -> Vec<Signal> {
    let (_, around) = read_event(&outbox.worker(), &format!("order_paid:{business_id}"))
        .await
        .expect("answered")
        .expect("it is there");
    around.withdrawn
}

#[tokio::test]
async fn a_withdrawal_covers_one_order_or_one_person() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    for (business_id, person) in [
        ("order-1", "ada"),
        ("order-2", "ada"),
        ("order-3", "bob"),
        ("order-4", "bob"),
    ] {
        app.run(&order_of(business_id, person, "null").sql(Form::Enqueue))
            .await;
    }
    app.run("select conversion_outbox.withdraw_consent(external_id => 'ada')")
        .await;
    app.run("select conversion_outbox.withdraw_consent('order-3', signals => '{ad_user_data}')")
        .await;
    assert_eq!(withdrawn(&outbox, "order-1").await.len(), 4);
    assert_eq!(withdrawn(&outbox, "order-2").await.len(), 4);
    assert_eq!(withdrawn(&outbox, "order-3").await, [Signal::AdUserData]);
    assert_eq!(withdrawn(&outbox, "order-4").await, []);
    let stored: String = outbox
        .admin()
        .await
        .one("select string_agg(w::text, ' ') from conversion_outbox.withdrawal w")
        .await;
    assert!(!stored.contains("ada"), "kept as a digest only");
}

#[tokio::test]
async fn a_consent_given_later_stands_and_no_consent_is_irrevocable() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    app.run(&order_of("order-1", "ada", "null").sql(Form::Enqueue))
        .await;
    for (n, odd) in [
        "\"infinity\"",
        "\"now\"",
        "\"tomorrow\"",
        "\"2999-01-01\"",
        "\"canary\"",
        "17",
        "{}",
    ]
    .iter()
    .enumerate()
    {
        app.run(&order_of(&format!("odd-{n}"), "ada", odd).sql(Form::Enqueue))
            .await;
    }
    app.run("select conversion_outbox.withdraw_consent(external_id => 'ada')")
        .await;
    app.run(&order_of("order-2", "ada", "null").sql(Form::Enqueue))
        .await;
    app.run(&order_of("order-3", "ada", "\"2020-01-01T00:00:00Z\"").sql(Form::Enqueue))
        .await;
    assert_eq!(withdrawn(&outbox, "order-1").await.len(), 4, "given before");
    assert_eq!(
        withdrawn(&outbox, "order-2").await,
        [],
        "given with the order, later"
    );
    assert_eq!(
        withdrawn(&outbox, "order-3").await.len(),
        4,
        "ordered later, given before"
    );
    for n in 0..7 {
        assert_eq!(
            withdrawn(&outbox, &format!("odd-{n}")).await.len(),
            4,
            "no given_at makes it irrevocable: {n}"
        );
    }
}

#[tokio::test]
async fn a_withdrawal_says_how_much_still_waited() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let admin = outbox.admin().await;
    admin.run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta'), ('ga4', 'ga4')").await;
    app.run(&order_of("order-1", "ada", "null").sql(Form::Enqueue))
        .await;
    let waiting: i64 = app
        .one("select conversion_outbox.withdraw_consent('order-1')")
        .await;
    assert_eq!(waiting, 2);
}

#[tokio::test]
async fn a_wrong_call_is_refused_without_its_values() {
    let outbox = Outbox::new().await;
    let privacy = outbox.session("privacy").await;
    for (code, call) in [
        ("OB020", "withdraw_consent()"),
        ("OB020", "withdraw_consent('canary', 'canary')"),
        ("OB021", "withdraw_consent('canary', signals => '{canary}')"),
        ("OB021", "withdraw_consent('canary', signals => '{}')"),
        ("OB021", "withdraw_consent('canary', signals => null)"),
        (
            "OB021",
            "withdraw_consent('canary', signals => '{ad_storage,null}')",
        ),
        ("OB024", "erase_events('{1}', ' ')"),
        ("OB022", "erase_subject()"),
        ("OB022", "erase_subject('{canary}', 'canary')"),
    ] {
        let error = privacy
            .refusal(&format!("select conversion_outbox.{call}"))
            .await;
        assert_eq!(error.code().code(), code, "{call}: {error:?}");
        assert!(error.hint().is_some());
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn an_erasure_gives_a_receipt_and_leaves_no_person() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    for (business_id, person) in [
        ("order-1", "ada"),
        ("order-2", "ada"),
        ("order-3", "ada"),
        ("order-4", "bob"),
    ] {
        app.run(&order_of(business_id, person, "null").sql(Form::Enqueue))
            .await;
    }
    let worker = outbox.worker();
    let tickets: Vec<_> = claim_events(&worker, 10, 0)
        .await
        .iter()
        .map(|claimed| claimed.ticket)
        .collect();
    // One has left, one waits, one is about to be sent, one is somebody else's.
    settle(
        &worker,
        &[accepted(tickets[0], "meta"), failed(tickets[1], 1, 10)],
        &[],
        0,
    )
    .await
    .expect("settled");
    let sending = intend(
        &worker,
        "meta",
        &[intent(tickets[2])],
        LEASE,
        at(1),
        Some(at(1)),
    )
    .await
    .expect("intended");
    settle(&worker, &[failed(tickets[3], 1, 10)], &[], 0)
        .await
        .expect("settled");

    let privacy = outbox.session("privacy").await;
    let receipt: Value = privacy
        .one("select conversion_outbox.erase_subject(external_id => 'ada')")
        .await;
    assert_eq!(
        receipt,
        json!({
            "events": 3, "cancelled": 1, "in_flight": {"meta": 1}, "received_by": {"meta": 3},
            "received_at": {"meta": {"first": "2027-01-15T08:00:00+00:00", "last": "2027-01-15T08:00:01+00:00"}},
        })
    );
    let admin = outbox.admin().await;
    let kept: Vec<String> = admin
        .all("select business_id from conversion_outbox.event e where e::text like '%canary%' or e::text like '%ada%'")
        .await;
    assert_eq!(kept, ["order-4"]);
    let states: Vec<String> = admin
        .all("select event_no || ' ' || state || ' ' || coalesce(reason, '') from conversion_outbox.delivery order by 1")
        .await;
    assert_eq!(
        states,
        [
            "1 accepted ",
            "2 cancelled erased",
            "3 pending sending",
            "4 pending retry"
        ]
    );
    let late = settle(&worker, &[accepted(sending[0], "meta")], &[], 0)
        .await
        .expect("answered");
    assert_eq!(
        late.len(),
        1,
        "what was on its way is recorded as it went: the receipt names its receiver"
    );
    assert_eq!(claim_due(&worker, 100).await.len(), 1);
    let totals: i64 = admin
        .one("select total from conversion_outbox.destination_total where state = 'cancelled'")
        .await;
    assert_eq!(totals, 1);

    for erased in ["order-1", "order-2", "order-3"] {
        assert_eq!(withdrawn(&outbox, erased).await.len(), 4, "{erased}");
    }
    assert_eq!(withdrawn(&outbox, "order-4").await, []);
    app.run(&order_of("order-5", "ada", "\"2020-01-01T00:00:00Z\"").sql(Form::Enqueue))
        .await;
    assert_eq!(
        withdrawn(&outbox, "order-5").await.len(),
        4,
        "the opt-out outlives the erasure"
    );
}

#[tokio::test]
async fn an_erasure_by_orders_covers_those_orders() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    for business_id in ["order-1", "order-2"] {
        app.run(&order_of(business_id, "ada", "null").sql(Form::Enqueue))
            .await;
    }
    let privacy = outbox.session("privacy").await;
    let receipt: Value = privacy
        .one("select conversion_outbox.erase_subject(array['order-1', null])")
        .await;
    assert_eq!(
        receipt,
        json!({"events": 1, "cancelled": 0, "in_flight": {}, "received_by": {}, "received_at": {}})
    );
    assert_eq!(withdrawn(&outbox, "order-1").await.len(), 4);
    assert_eq!(withdrawn(&outbox, "order-2").await, []);
    assert_eq!(emails(&outbox.admin().await).await, ["order-2"]);
}

#[tokio::test]
async fn a_held_destination_is_resumed_once() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    admin
        .run(
            "insert into conversion_outbox.destination (name, platform, hold_reason, held_since, probe_at, hold_code)
             values ('meta', 'meta', 'credential', now(), now(), '190'), ('ga4', 'ga4', null, null, null, null)",
        )
        .await;
    let operator = outbox.session("operator").await;
    for (name, expected) in [
        ("meta", Some(true)),
        ("meta", None),
        ("ga4", None),
        ("unknown", None),
    ] {
        let resumed: Option<bool> = operator
            .one(&format!(
                "select conversion_outbox.resume_destination('{name}')"
            ))
            .await;
        assert_eq!(resumed, expected, "{name}");
    }
    for half in [
        "hold_reason = 'credential'",
        "held_since = now()",
        "hold_code = '190'",
    ] {
        let error = admin
            .refusal(&format!("update conversion_outbox.destination set {half}"))
            .await;
        assert_eq!(error.constraint(), Some("a_hold_is_whole"));
    }
}

#[tokio::test]
async fn one_session_removes_at_a_time_and_none_waits_for_another() {
    const REMOVE: &str = "select count(*) from conversion_outbox.remove_old_data('0', '0', 100)";
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    for business_id in ["order-1", "order-2"] {
        app.run(&order_of(business_id, "ada", "null").sql(Form::Enqueue))
            .await;
    }
    let admin = outbox.admin().await;
    admin.run("delete from conversion_outbox.queue").await;
    let (first, second) = (
        outbox.session("worker").await,
        outbox.session("worker").await,
    );
    // Somebody has an order in hand: it is looked at later, and nobody waits.
    admin
        .run("begin; select from conversion_outbox.event where business_id = 'order-1' for update")
        .await;
    first.run("begin; set local lock_timeout = '1s'").await;
    assert_eq!(first.one::<i64>(REMOVE).await, 1);
    assert_eq!(
        second.one::<i64>(REMOVE).await,
        0,
        "another session is at it"
    );
    first.run("commit").await;
    admin.run("rollback").await;
    assert_eq!(emails(&admin).await, ["order-1"]);
    let later: i64 = second
        .one("select removed from conversion_outbox.remove_old_data('0', '0', 100, now() + interval '2 minutes')")
        .await;
    assert_eq!((later, emails(&admin).await.len()), (1, 0));
    let error = second
        .refusal("select * from conversion_outbox.remove_old_data('-1 day', '0', 100)")
        .await;
    assert_eq!(error.code().code(), "OB023");
    let again: i64 = admin
        .one("select count(*) from conversion_outbox.kept_data")
        .await;
    assert_eq!(again, 0);
}

/// Orders that still have an e-mail address.
async fn emails(admin: &Session) -> Vec<String> {
    admin
        .all("select business_id from conversion_outbox.event where user_data ? 'email'")
        .await
}
