//! Oddities of optional columns: the order goes through, and the row says what was odd without the value.

use serde_json::Value;

use crate::harness::{Event, Form, Outbox};

/// What is odd, the field the warning names, and whether the column is emptied.
fn oddities() -> Vec<(Event, &'static str, Option<&'static str>)> {
    let order = || Event::order("order-1").text("event_id", "order-1");
    let user = |fields: &str| order().text("user_data", fields);
    let click = |fields: &str| order().text("click_ids", fields);
    let traceparent = |text: &str| order().text("traceparent", text);
    let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    vec![
        (
            traceparent("canary"),
            "traceparent",
            Some("traceparent is null"),
        ),
        (traceparent(""), "traceparent", Some("traceparent is null")),
        (
            traceparent(&valid.to_uppercase()),
            "traceparent",
            Some("traceparent is null"),
        ),
        (
            traceparent(&valid.replace("-b7", "-é7")),
            "traceparent",
            Some("traceparent is null"),
        ),
        (
            traceparent(&valid.replace("00-0a", "ff-0a")),
            "traceparent",
            Some("traceparent is null"),
        ),
        (
            traceparent(&format!("{valid}-canary")),
            "traceparent",
            Some("traceparent is null"),
        ),
        (
            traceparent(&format!("{valid}0")),
            "traceparent",
            Some("traceparent is null"),
        ),
        (
            traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01"),
            "traceparent",
            Some("traceparent is null"),
        ),
        (
            traceparent("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"),
            "traceparent",
            Some("traceparent is null"),
        ),
        (
            traceparent("00-0af7651916cd43dd8448eb211c8-319c-b7ad6b7169203331-01"),
            "traceparent",
            Some("traceparent is null"),
        ),
        (
            order().text("properties", r#"{"a": [1e131071, 1e131071]}"#),
            "properties",
            Some("properties = '{}'"),
        ),
        (
            order().text("properties", r#"{"a": {"b": 1e-9999}}"#),
            "properties",
            Some("properties = '{}'"),
        ),
        (
            order().text(
                "properties",
                &format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200)),
            ),
            "properties",
            Some("properties = '{}'"),
        ),
        (
            user(&format!(r#"{{"email": "{}"}}"#, "x".repeat(70_000))),
            "user_data",
            Some("user_data = '{}'"),
        ),
        (
            order().text("tracestate", "canary=1"),
            "tracestate",
            Some("tracestate is null"),
        ),
        (
            traceparent(valid).text("tracestate", &"canary=1,".repeat(60)),
            "tracestate",
            Some("tracestate is null"),
        ),
        (
            order().text("depends_on", "order-1"),
            "depends_on",
            Some("depends_on is null"),
        ),
        (
            order().text("action_source", "canary"),
            "action_source",
            Some("action_source is null"),
        ),
        (
            order().text("page_url", "canary"),
            "page_url",
            Some("page_url is null"),
        ),
        (
            order().text("page_url", "javascript:canary"),
            "page_url",
            Some("page_url is null"),
        ),
        (
            order().text("page_url", "https://shop.example/ canary"),
            "page_url",
            Some("page_url is null"),
        ),
        (
            order().set("occurred_at", "now() + interval '1 day'"),
            "occurred_at",
            Some("occurred_at > now()"),
        ),
        (
            order().text("occurred_at", "infinity"),
            "occurred_at",
            Some("occurred_at <= now()"),
        ),
        (
            order().text("occurred_at", "-infinity"),
            "occurred_at",
            Some("isfinite(occurred_at)"),
        ),
        (
            order().text("occurred_at", "10000-01-01"),
            "occurred_at",
            Some("occurred_at <= now()"),
        ),
        (
            order().text("properties", "[\"canary\"]"),
            "properties",
            Some("properties = '{}'"),
        ),
        (user("\"canary\""), "user_data", Some("user_data = '{}'")),
        (user("null"), "user_data", Some("user_data = '{}'")),
        (click("[\"canary\"]"), "click_ids", Some("click_ids = '{}'")),
        (user(r#"{"canary@example.com":"x"}"#), "user_data", None),
        (user(r#"{"canary@example.com":{"x":1}}"#), "user_data", None),
        (user(r#"{"email":"canary"}"#), "user_data.email", None),
        (
            user(r#"{"email":["ada@example.com","canary"]}"#),
            "user_data.email",
            None,
        ),
        (user(r#"{"email":{"canary":1}}"#), "user_data.email", None),
        (user(r#"{"phone":"canary"}"#), "user_data.phone", None),
        (
            user(r#"{"phone":["+49 30 1234567","12"]}"#),
            "user_data.phone",
            None,
        ),
        (
            user(r#"{"first_name":["canary"]}"#),
            "user_data.first_name",
            None,
        ),
        (user(r#"{"city":true}"#), "user_data.city", None),
        (click(r#"{"canary":"x"}"#), "click_ids", None),
        (click(r#"{"gclid":{"canary":1}}"#), "click_ids.gclid", None),
        (consent(r#""canary":"x""#), "consent", None),
        (consent(r#""gpc":"canary""#), "consent.gpc", None),
    ]
}

#[tokio::test]
async fn an_oddity_never_aborts_an_order_and_is_listed_without_its_value() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let admin = outbox.admin().await;
    for (event, field, column) in oddities() {
        for form in Form::ALL {
            let sql = event.sql(form);
            app.run(&sql).await;
            let warnings: Option<Value> = admin
                .one("select warnings from conversion_outbox.event")
                .await;
            let warnings = warnings.unwrap_or_else(|| panic!("no warning: {sql}"));
            let list = warnings.as_array().expect("a list");
            assert_eq!(list.len(), 1, "{sql}: {warnings}");
            assert_eq!(list[0]["field"], field, "{sql}: {warnings}");
            assert!(
                list[0]["rule"].as_str().is_some_and(|rule| rule.len() > 5),
                "{warnings}"
            );
            assert!(!warnings.to_string().contains("canary"), "{warnings}");
            if let Some(condition) = column {
                let kept: bool = admin
                    .one(&format!("select {condition} from conversion_outbox.event"))
                    .await;
                assert!(kept, "{condition}: {sql}");
            }
            let empty = "truncate conversion_outbox.event, conversion_outbox.queue, conversion_outbox.repeat";
            admin.run(empty).await;
        }
    }
}

#[tokio::test]
async fn what_is_well_formed_earns_no_warning() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let hash = "ab".repeat(32);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (n, event) in [
        Event::order("o")
            .text("traceparent", trace)
            .text("tracestate", "a=1"),
        Event::order("o").text("traceparent", &format!("cc{}-future", &trace[2..])),
        Event::order("o").text(
            "user_data",
            r#"{"email":" ada@example.com ","phone":"+49 (30) 12345-67"}"#,
        ),
        Event::order("o").text(
            "user_data",
            r#"{"email":["a@b.example","c@d.example"],"phone":["030 1234567",491701234567]}"#,
        ),
        Event::order("o").text(
            "user_data",
            &format!(r#"{{"email":"{hash}","phone":"{hash}","external_id":7,"city":null}}"#),
        ),
        Event::order("o").text("user_data", r#"{"phone":"0301234567 ext. 12"}"#),
        Event::order("o").text(
            "click_ids",
            r#"{"gclid":"x","ga_session_id":1700000000,"fbc":null}"#,
        ),
        Event::order("o").text("page_url", "HTTPS://shop.example/a?b=c"),
        Event::order("o")
            .set("occurred_at", "now() - interval '3 years'")
            .text("depends_on", "another"),
        consent(r#""gpc":null,"given_at":"2026-11-01T10:00:00Z","source":"banner","tcf":"x""#),
    ]
    .into_iter()
    .enumerate()
    {
        app.run(&event.text("event_id", &n.to_string()).sql(Form::Plain))
            .await;
    }
    let odd: Vec<Value> = outbox
        .admin()
        .await
        .all("select warnings from conversion_outbox.event where warnings is not null")
        .await;
    assert_eq!(odd, Vec::<Value>::new());
}

/// An order whose consent has more in it.
fn consent(more: &str) -> Event {
    Event::order("order-1").text("event_id", "order-1").text(
        "consent",
        &format!(
            r#"{{"ad_storage":"granted","analytics_storage":"granted","ad_user_data":"granted","ad_personalization":"granted",{more}}}"#
        ),
    )
}
