//! The door: what is refused, with which words, and that no value is ever quoted back.

use conversion_outbox::currency;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::harness::{Event, Form, GRANTED, Outbox};

/// Looks like nothing the rules would say by themselves.
const CANARY: &str = "canary7734";

/// Code, column at fault, and the event that has the fault.
fn mistakes() -> Vec<(&'static str, &'static str, Event)> {
    let order = || Event::order("order-1");
    let long = CANARY.repeat(13);
    let signals = |ad_user_data: &str| {
        format!(
            r#"{{"ad_storage":"granted","analytics_storage":"granted","ad_user_data":{ad_user_data},"ad_personalization":"denied"}}"#
        )
    };
    let decision =
        |decision: &str| order().text("consent", &format!(r#"{{"decision":{decision}}}"#));
    vec![
        ("OB001", "event_name", order().without("event_name")),
        (
            "OB001",
            "event_name",
            order().text("event_name", "Canary7734"),
        ),
        (
            "OB001",
            "event_name",
            order().text("event_name", &format!("{CANARY}\n")),
        ),
        (
            "OB001",
            "event_name",
            order().text("event_name", &"canary7734".repeat(5)),
        ),
        ("OB002", "business_id", order().without("business_id")),
        ("OB002", "business_id", order().text("business_id", "")),
        (
            "OB002",
            "business_id",
            order().text("business_id", &format!("{CANARY}\t")),
        ),
        ("OB002", "business_id", order().text("business_id", &long)),
        ("OB003", "event_id", order().text("event_id", "")),
        (
            "OB003",
            "event_id",
            order().text("event_id", &format!("{CANARY}\u{7f}")),
        ),
        ("OB003", "event_id", order().text("event_id", &long)),
        (
            "OB004",
            "value",
            order().without("value").text("currency", "EUR"),
        ),
        (
            "OB004",
            "currency",
            order().without("currency").set("value", "7734.77"),
        ),
        ("OB005", "value", order().set("value", "-7734.77")),
        ("OB005", "value", order().set("value", "'NaN'")),
        ("OB005", "value", order().set("value", "'Infinity'")),
        ("OB005", "value", order().set("value", "'-Infinity'")),
        ("OB006", "currency", order().text("currency", CANARY)),
        ("OB006", "currency", order().text("currency", "HRK")),
        ("OB006", "currency", order().text("currency", "XXX")),
        ("OB006", "currency", order().text("currency", "")),
        ("OB010", "consent", order().without("consent")),
        ("OB010", "consent", order().set("consent", "null")),
        (
            "OB011",
            "consent",
            order().text("consent", &format!("[\"{CANARY}\"]")),
        ),
        ("OB011", "consent", order().text("consent", "null")),
        ("OB012", "consent", order().text("consent", "{}")),
        (
            "OB012",
            "consent",
            order().text("consent", &signals(&format!("\"{CANARY}\""))),
        ),
        (
            "OB012",
            "consent",
            order().text("consent", &signals("true")),
        ),
        (
            "OB012",
            "consent",
            order().text("consent", &signals("null")),
        ),
        (
            "OB012",
            "consent",
            order().text(
                "consent",
                r#"{"decision":{"meta":["event"]},"ad_storage":"canary7734"}"#,
            ),
        ),
        ("OB013", "consent", decision("null")),
        ("OB013", "consent", decision(&format!("[\"{CANARY}\"]"))),
        (
            "OB013",
            "consent",
            decision(&format!(r#"{{"meta":"{CANARY}"}}"#)),
        ),
        (
            "OB013",
            "consent",
            decision(&format!(r#"{{"meta":["event","{CANARY}"]}}"#)),
        ),
        (
            "OB013",
            "consent",
            decision(r#"{"meta":["event",["email"]]}"#),
        ),
    ]
}

#[tokio::test]
async fn a_mistake_in_a_mandatory_column_names_field_rule_and_fix_and_never_the_value() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    for (code, column, event) in mistakes() {
        for form in Form::ALL {
            let sql = event.sql(form);
            let error = app.refusal(&sql).await;
            assert_eq!(error.code().code(), code, "{sql}: {error:?}");
            assert_eq!(error.column(), Some(column), "{sql}");
            assert_eq!(
                (error.schema(), error.table()),
                (Some("conversion_outbox"), Some("event")),
                "{sql}"
            );
            assert!(
                error
                    .message()
                    .starts_with(&format!("conversion_outbox.event.{column}: ")),
                "{error:?}"
            );
            assert!(
                error
                    .detail()
                    .is_some_and(|detail| detail.contains("Rule: ")),
                "{error:?}"
            );
            assert!(
                error.hint().is_some_and(|hint| hint.len() > 20),
                "{error:?}"
            );
            let shown = format!("{error} {error:?}").to_lowercase();
            assert!(
                !shown.contains(CANARY) && !shown.contains("7734"),
                "{error:?}"
            );
        }
    }
    let admin = outbox.admin().await;
    assert_eq!(rows(&admin).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_mistake_takes_the_business_row_with_it_and_a_repeat_does_not() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    admin
        .run("create table shop (id text); grant insert on shop to conversion_outbox_app")
        .await;
    let app = outbox.session("app").await;
    let bad = Event::order("order-1").without("consent").sql(Form::Plain);
    app.run("begin; insert into shop values ('order-1')").await;
    app.refusal(&bad).await;
    app.run("commit").await;
    let good = Event::order("order-2").sql(Form::Plain);
    app.run(&format!(
        "begin; insert into shop values ('order-2'); {good}; {good}; commit"
    ))
    .await;
    assert_eq!(
        admin.all::<String>("select id from shop").await,
        ["order-2"]
    );
    assert_eq!(rows(&admin).await, [1, 1, 1]);
}

#[tokio::test]
async fn a_rollback_leaves_nothing() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    for form in Form::ALL {
        let sql = Event::order("order-1").sql(form);
        app.run(&format!("begin; {sql}; {sql}; rollback")).await;
        app.run(&format!(
            "begin; savepoint s; {sql}; {sql}; rollback to s; commit"
        ))
        .await;
    }
    assert_eq!(rows(&outbox.admin().await).await, [0, 0, 0]);
}

#[tokio::test]
async fn what_is_left_out_is_filled_in_and_money_is_not() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let admin = outbox.admin().await;
    let event = Event::order("lead-1").without("value").without("currency");
    app.run(&event.sql(Form::Plain)).await;
    app.run(
        &Event::order("order-2")
            .text("currency", " eur ")
            .set("value", "0")
            .sql(Form::Plain),
    )
    .await;
    assert!(
        admin
            .one::<bool>(
                "select value is null and currency is null and occurred_at <= recorded_at and warnings is null
                    and user_data = '{}' and click_ids = '{}' and properties = '{}' and event_id = 'order_paid:lead-1'
                   from conversion_outbox.event where business_id = 'lead-1'"
            )
            .await
    );
    let money: String = admin
        .one("select value || currency from conversion_outbox.event where business_id = 'order-2'")
        .await;
    assert_eq!(money, "0EUR");
}

#[tokio::test]
async fn a_decision_stands_in_for_signals_that_are_left_out() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    for (n, consent) in [
        r#"{"decision":{}}"#,
        r#"{"decision":{"meta":[]}}"#,
        r#"{"decision":{"meta":["event","click_id","email","phone","name","address","demographics","external_id","ip_address","user_agent"]}}"#,
        r#"{"decision":{"ga4":["event"]},"ad_storage":"denied"}"#,
    ]
    .iter()
    .enumerate()
    {
        app.run(&Event::order(&format!("order-{n}")).text("consent", consent).sql(Form::Enqueue)).await;
    }
}

#[tokio::test]
async fn the_two_lists_of_currencies_are_one() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    let every: Vec<String> = admin
        .all(
            "select chr(a) || chr(b) || chr(c) from generate_series(65, 90) a, generate_series(65, 90) b, generate_series(65, 90) c
              where conversion_outbox.is_currency(chr(a) || chr(b) || chr(c)) order by 1",
        )
        .await;
    let mut ours: Vec<&str> = currency::all().map(currency::Currency::as_str).collect();
    ours.sort_unstable();
    assert_eq!(every, ours);
    let app = outbox.session("app").await;
    for code in ours {
        app.run(&Event::order(code).text("currency", code).sql(Form::Plain))
            .await;
    }
}

#[tokio::test]
async fn derived_ids_are_the_same_on_every_call_and_differ_otherwise() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    let mut runner = TestRunner::default();
    let name = "[a-z][a-z0-9_]{0,39}";
    // Few characters, so that ids nearly collide; digests of long ids as ids of their own.
    let business_id = prop_oneof![
        "[a:#_][a:#_ é]{0,5}",
        "[a-z:#]{80,128}",
        "[0-9a-f]{64}",
        "ä{100,128}"
    ];
    let pairs = proptest::collection::btree_set((name, business_id), 200);
    let mut pairs: Vec<(String, String)> = pairs
        .new_tree(&mut runner)
        .expect("pairs can be made")
        .current()
        .into_iter()
        .collect();
    let long = "order-".repeat(21);
    let digest: String = admin
        .one(&format!(
            "select encode(sha256(convert_to('{long}', 'UTF8')), 'hex')"
        ))
        .await;
    pairs.extend([
        ("order_paid".to_owned(), long),
        ("order_paid".to_owned(), digest),
    ]);
    let rows: Vec<String> = pairs
        .iter()
        .map(|(name, id)| format!("('{name}','{id}')"))
        .collect();
    let ids: Vec<String> = admin
        .all(&format!(
            "select conversion_outbox.derive_event_id(n, b) from (values {}) as v (n, b)",
            rows.join(",")
        ))
        .await;
    let distinct: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), pairs.len());
    assert!(ids.iter().all(|id| (1..=128).contains(&id.chars().count())));

    let app = outbox.session("app").await;
    let values: Vec<String> = rows
        .iter()
        .map(|row| format!("{}, {GRANTED})", row.trim_end_matches(')')))
        .collect();
    let insert = format!(
        "insert into conversion_outbox.event (event_name, business_id, consent) values {}",
        values.join(",")
    );
    assert_eq!(
        app.attempt(&insert).await.expect("inserted"),
        pairs.len() as u64
    );
    assert_eq!(app.attempt(&insert).await.expect("all repeats"), 0);
    let stored: Vec<String> = admin
        .all("select event_id from conversion_outbox.event order by event_no")
        .await;
    assert_eq!(stored, ids);
}

#[tokio::test]
async fn thousands_of_events_in_one_statement_and_in_one_transaction() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let bulk = format!(
        "insert into conversion_outbox.event (event_name, business_id, consent)
         select 'order_paid', 'bulk-' || n, {GRANTED} from generate_series(1, 5000) n"
    );
    assert_eq!(app.attempt(&bulk).await.expect("inserted"), 5000);
    assert_eq!(app.attempt(&bulk).await.expect("all repeats"), 0);
    app.run("begin").await;
    for n in 0..100 {
        app.run(&Event::order(&format!("one-{n}")).sql(Form::Enqueue))
            .await;
    }
    app.run("commit").await;
    let admin = outbox.admin().await;
    assert_eq!(rows(&admin).await, [5100, 5100, 5000]);
}

/// Rows of event, queue and repeat.
async fn rows(admin: &crate::harness::Session) -> [i64; 3] {
    let counts: Vec<i64> = admin
        .one(
            "select array[(select count(*) from conversion_outbox.event), (select count(*) from conversion_outbox.queue),
                          (select count(*) from conversion_outbox.repeat)]",
        )
        .await;
    counts.try_into().expect("three counts")
}
