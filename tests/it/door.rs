//! `preview` refuses what the database refuses, in the same words.

use chrono::Utc;
use conversion_outbox::db::migrate;
use conversion_outbox::preview::row;
use serde_json::{Value, json};

use crate::server::Server;

#[test]
fn preview_and_database_refuse_alike() {
    let server = Server::start();
    server.psql("postgres", &migrate::script(1..=u32::MAX));
    for change in [
        json!({ "event_name": "Order Paid" }),
        json!({ "event_name": null }),
        json!({ "event_name": "a".repeat(41) }),
        json!({ "business_id": "" }),
        json!({ "business_id": "line\nfeed" }),
        json!({ "business_id": "ä".repeat(129) }),
        json!({ "event_id": "" }),
        json!({ "event_id": "e".repeat(129) }),
        json!({ "value": null }),
        json!({ "currency": null }),
        json!({ "value": -1 }),
        json!({ "value": "NaN" }),
        json!({ "value": "Infinity" }),
        json!({ "currency": "EURO" }),
        json!({ "currency": "XXX" }),
        json!({ "consent": null }),
        json!({ "consent": [] }),
        json!({ "consent": {} }),
        json!({ "consent": { "ad_storage": "yes" } }),
        json!({ "consent": { "ad_storage": "granted", "analytics_storage": true } }),
        json!({ "consent": { "decision": "meta" } }),
        json!({ "consent": { "decision": { "meta": "event" } } }),
        json!({ "consent": { "decision": { "meta": ["everything"] } } }),
        json!({ "consent": { "decision": {}, "ad_user_data": "maybe" } }),
    ] {
        let event = changed(&change);
        let here =
            row::read(event.as_object().expect("an object"), Utc::now()).expect_err("refused");
        let there = server.try_insert(&event).expect_err("refused");
        let code = here.code.expect("a code of ours");
        let message = format!(
            "{code}: conversion_outbox.event.{}: {}\n",
            here.column, here.rule
        );
        assert!(there.contains(&message), "{change}\n{message}\n{there}");
        assert!(
            there.contains(&format!("HINT:  {}\n", here.fix)),
            "{change}\n{here}\n{there}"
        );
    }
}

#[test]
fn preview_and_database_take_alike() {
    let server = Server::start();
    server.psql("postgres", &migrate::script(1..=u32::MAX));
    for change in [
        json!({}),
        json!({ "value": 0, "currency": " jpy " }),
        json!({ "value": null, "currency": null }),
        json!({ "event_name": "a", "business_id": "ä".repeat(128) }),
        json!({ "business_id": 1042, "event_id": "own" }),
        json!({ "consent": { "decision": {} }, "event_id": "decided" }),
        json!({ "occurred_at": "2026-11-23 10:00:00.5+01", "event_id": "timed" }),
        json!({ "user_data": [], "click_ids": "none", "properties": 7, "page_url": "x", "event_id": "odd" }),
    ] {
        let event = changed(&change);
        let here = row::read(event.as_object().expect("an object"), Utc::now()).expect("taken");
        assert_eq!(server.try_insert(&event), Ok(()), "{change}");
        let id = here.event_id.replace('\'', "''");
        let is_there =
            format!("select 1 / count(*) from conversion_outbox.event where event_id = '{id}'");
        assert_eq!(server.try_psql("postgres", &is_there), Ok(()), "{change}");
    }
}

fn changed(change: &Value) -> Value {
    let mut event = json!({
        "event_name": "order_paid", "business_id": "order-1042", "value": 49, "currency": "EUR",
        "consent": {
            "ad_storage": "granted", "analytics_storage": "denied", "ad_user_data": "unspecified", "ad_personalization": "granted",
        },
    });
    for (key, value) in change.as_object().expect("an object") {
        event[key] = value.clone();
    }
    event
}
