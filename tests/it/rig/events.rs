//! The events of the tests, and how an application writes them.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

/// Inserts events through `enqueue`, in the caller's transaction.
pub(crate) async fn insert_in(client: &impl tokio_postgres::GenericClient, events: &[Value]) {
    let inserted = client
        .execute(
            "select conversion_outbox.enqueue(
               event_id => e ->> 'event_id', event_name => e ->> 'event_name', business_id => e ->> 'business_id',
               consent => e -> 'consent', occurred_at => (e ->> 'occurred_at')::timestamptz,
               value => (e ->> 'value')::numeric, currency => e ->> 'currency', user_data => e -> 'user_data',
               click_ids => e -> 'click_ids', properties => e -> 'properties', action_source => e ->> 'action_source',
               page_url => e ->> 'page_url', source => e ->> 'source', depends_on => e ->> 'depends_on',
               traceparent => e ->> 'traceparent', tracestate => e ->> 'tracestate')
             from jsonb_array_elements($1::jsonb) e",
            &[&Value::from(events.to_vec())],
        )
        .await
        .expect("inserted");
    assert_eq!(inserted, events.len() as u64);
}

/// Everything granted.
pub(crate) fn granted() -> Value {
    json!({ "ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted", "ad_personalization": "granted" })
}

/// A paid order of a person whom every platform knows; its id is `order_paid:` and the business id.
pub(crate) fn order(business_id: &str) -> Value {
    // Everybody has a browser of their own: GA4 tells events apart by it.
    let browser = business_id.bytes().fold(7_u64, |sum, byte| {
        (sum * 31 + u64::from(byte)) % 1_000_000_007
    });
    json!({
        "event_name": "order_paid", "business_id": business_id, "value": 49.90, "currency": "EUR", "consent": granted(),
        "user_data": { "email": format!("{business_id}@example.com"), "phone": "+49 170 1234567", "first_name": "Ada" },
        "click_ids": { "ga_client_id": format!("{browser}.1690000000"), "fbp": "fb.1.1690000000000.123456789",
            "gclid": format!("Cj0KCQiA-{browser}"), "li_fat_id": format!("df5gf5-gh6t7-{browser}") },
        "properties": { "items": [{ "id": "sku-1", "name": "Teapot", "price": 49.90, "quantity": 1 }] },
    })
}

/// A lead of the same kind: an event that GA4 does not deduplicate.
pub(crate) fn lead(business_id: &str) -> Value {
    let mut lead = order(business_id);
    lead["event_name"] = "lead_created".into();
    lead["properties"] = json!({});
    lead
}

/// A refund of an order: the n-th, of so much or of all that is left. Who and where is left to the order's row.
pub(crate) fn refund(of: &str, n: u32, value: Option<f64>) -> Value {
    with(
        order(of),
        json!({
            "event_name": "order_refunded", "event_id": format!("{of}_refund_{n}"), "depends_on": format!("order_paid:{of}"),
            "value": value, "currency": value.map(|_| "EUR"), "user_data": {}, "click_ids": {}, "properties": {},
        }),
    )
}

/// The event with some members changed.
pub(crate) fn with(mut event: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().expect("an object") {
        event[key] = value.clone();
    }
    event
}

/// An RFC 3339 time so far from now.
pub(crate) fn ago(time: TimeDelta) -> Value {
    (Utc::now() - time).to_rfc3339().into()
}
