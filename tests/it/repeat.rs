//! The same event again, one after another: one event, one queue row, and every repeat counted.

use serde_json::Value;

use crate::harness::{Event, Form, Outbox, Session};

#[tokio::test]
async fn a_repeat_is_counted_in_every_form() {
    for first in Form::ALL {
        let outbox = Outbox::new().await;
        let app = outbox.session("app").await;
        let order = Event::order("order-1");
        app.run(&order.sql(first)).await;
        for again in Form::ALL {
            app.run(&order.sql(again)).await;
        }
        let admin = outbox.admin().await;
        assert_eq!(counted(&admin).await, "1 1 4 0 {}", "{first:?}");
    }
}

#[tokio::test]
async fn an_explicit_id_is_recognised_in_every_form() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let order = Event::order("order-1").text("event_id", "browser-7");
    for form in Form::ALL {
        app.run(&order.sql(form)).await;
    }
    let outcome: String = app.one(&order.sql(Form::Enqueue)).await;
    assert_eq!(outcome, "duplicate");
    assert_eq!(counted(&outbox.admin().await).await, "1 1 4 0 {}");
}

#[tokio::test]
async fn other_content_is_a_conflict_and_the_first_stands() {
    let order = || Event::order("order-1").text("event_id", "e-1");
    for (changed, differs) in [
        (order().set("value", "99"), "{value}"),
        (order().text("currency", "USD"), "{currency}"),
        (
            order().set("value", "99").text("currency", "USD"),
            "{currency,value}",
        ),
        (
            order().without("value").without("currency"),
            "{currency,value}",
        ),
        (order().text("event_name", "order_created"), "{event_name}"),
        (order().text("business_id", "order-2"), "{business_id}"),
        (order().text("depends_on", "other"), "{depends_on}"),
        (
            order().text("properties", r#"{"items":[]}"#),
            "{properties.items}",
        ),
    ] {
        for form in Form::ALL {
            let outbox = Outbox::new().await;
            let app = outbox.session("app").await;
            app.run(&order().sql(Form::Plain)).await;
            app.run(&changed.sql(form)).await;
            let outcome: String = app.one(&changed.sql(Form::Enqueue)).await;
            assert_eq!(outcome, "conflict", "{changed:?}");
            let admin = outbox.admin().await;
            assert_eq!(
                counted(&admin).await,
                format!("1 1 0 2 {differs}"),
                "{changed:?}"
            );
            let stands: String = admin
                .one("select event_name || value || currency || business_id from conversion_outbox.event")
                .await;
            assert_eq!(stands, "order_paid12.50EURorder-1");
        }
    }
}

#[tokio::test]
async fn what_is_no_business_content_makes_no_conflict() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let order = Event::order("order-1").text("event_id", "e-1");
    app.run(&order.sql(Form::Plain)).await;
    for again in [
        order.clone().set("value", "12.5").text("currency", "eur"),
        order
            .clone()
            .set("occurred_at", "now() - interval '1 hour'"),
        order
            .clone()
            .text("user_data", r#"{"email":"ada@example.com"}"#),
        order.clone().text("depends_on", "e-1"),
        order.clone().text("properties", "[]"),
    ] {
        let outcome: String = app.one(&again.sql(Form::Enqueue)).await;
        assert_eq!(outcome, "duplicate", "{again:?}");
    }
    assert_eq!(counted(&outbox.admin().await).await, "1 1 5 0 {}");
}

#[tokio::test]
async fn a_repeat_within_one_statement_is_a_repeat() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let values = Event::order("order-1").sql(Form::Plain);
    let (_, row) = values.split_once(" values ").expect("an insert");
    let inserted = app
        .attempt(&format!("{values}, {row}, {row}"))
        .await
        .expect("inserted");
    assert_eq!(inserted, 1);
    assert_eq!(counted(&outbox.admin().await).await, "1 1 2 0 {}");
}

#[tokio::test]
async fn enqueue_tells_what_became_of_the_first() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let admin = outbox.admin().await;
    admin
        .run(
            "insert into conversion_outbox.destination (name, platform, enabled)
             values ('meta', 'meta', true), ('ga4', 'ga4', true), ('off', 'meta', false)",
        )
        .await;
    let order = Event::order("order-1");
    let deliveries = order
        .sql(Form::Enqueue)
        .replace("select outcome", "select deliveries");
    assert_eq!(app.one::<Value>(&deliveries).await, serde_json::json!({}));
    let waiting: Value = app.one(&deliveries).await;
    assert_eq!(waiting["meta"]["state"], "pending");
    assert_eq!(waiting["ga4"]["state"], "pending");
    assert_eq!(waiting.as_object().map(serde_json::Map::len), Some(2));
    admin
        .run(
            "insert into conversion_outbox.delivery (event_no, destination, state, reason, settled_at)
             select event_no, 'meta', 'suppressed', 'consent_denied', now() from conversion_outbox.event",
        )
        .await;
    let settled: Value = app.one(&deliveries).await;
    assert_eq!(settled["meta"]["state"], "suppressed");
    assert_eq!(settled["meta"]["reason"], "consent_denied");
    let status: Vec<String> = app
        .all("select destination || ' ' || state from conversion_outbox.delivery_status('order-1')")
        .await;
    assert_eq!(status, ["ga4 pending", "meta suppressed"]);
}

/// Events, queue rows, duplicates, conflicts and differing columns.
pub(crate) async fn counted(admin: &Session) -> String {
    admin
        .one(
            "select (select count(*) from conversion_outbox.event) || ' ' || (select count(*) from conversion_outbox.queue)
                    || ' ' || coalesce((select duplicates || ' ' || conflicts || ' ' || differs::text
                                          from conversion_outbox.repeat), '-')",
        )
        .await
}
