//! Rules of fields, parameters and items.

use super::*;

#[test]
fn fields_of_the_body() {
    refuses(json!({"/surprise": 1}), "VALUE_INVALID", "surprise");
    refuses(
        json!({"/user_id": "someone@example.com"}),
        "VALUE_INVALID",
        "user_id",
    );
    refuses(
        json!({"/user_id": "x".repeat(257)}),
        "VALUE_INVALID",
        "user_id",
    );
    accepts(json!({"/user_id": "x".repeat(256)}));
    refuses(
        json!({"/consent/ad_user_data": "granted"}),
        "VALUE_INVALID",
        "consent.ad_user_data",
    );
    refuses(
        json!({"/consent/analytics_storage": "GRANTED"}),
        "VALUE_INVALID",
        "consent.analytics_storage",
    );
    refuses(json!({"/ip_override": "x"}), "VALUE_INVALID", "ip_override");
    accepts(json!({"/ip_override": "203.0.113.7", "/user_agent": "Mozilla/5.0"}));
    refuses(
        json!({"/user_location": {"street": "x"}}),
        "VALUE_INVALID",
        "user_location.street",
    );
    accepts(
        json!({"/user_location": {"city": "Köln", "country_id": "DE"}, "/device": {"category": "mobile"}}),
    );
    refuses(
        json!({"/device": {"category": 1}}),
        "VALUE_INVALID",
        "device.category",
    );
    refuses(
        json!({"/timestamp_micros": "1795427000000000"}),
        "VALUE_INVALID",
        "timestamp_micros",
    );
    accepts(json!({"/non_personalized_ads": true}));
    accepts(json!({"/user_properties": {"plan": {"value": "gold"}}}));
    refuses(
        json!({"/user_properties": {"user_id": {"value": "x"}}}),
        "NAME_RESERVED",
        "user_properties.user_id",
    );
    refuses(
        json!({"/user_properties": {"plan": {"value": "x".repeat(37)}}}),
        "VALUE_OUT_OF_BOUNDS",
        "user_properties.plan",
    );
    let many: Value = (0..26)
        .map(|n| (format!("p{n}"), json!({"value": 1})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    refuses(
        json!({"/user_properties": many}),
        "EXCEEDED_MAX_ENTITIES",
        "user_properties",
    );
}

#[test]
fn user_data_is_hashed_and_bounded() {
    refuses(
        json!({"/user_data/sha256_email_address": ["a@b.example"]}),
        "VALUE_INVALID",
        "user_data.sha256_email_address",
    );
    refuses(
        json!({"/user_data/sha256_phone_number": [HASH.to_uppercase()]}),
        "VALUE_INVALID",
        "user_data.sha256_phone_number",
    );
    refuses(
        json!({"/user_data/email": "a@b.example"}),
        "VALUE_INVALID",
        "user_data.email",
    );
    refuses(
        json!({"/user_data/sha256_email_address": [HASH, HASH, HASH, HASH]}),
        "EXCEEDED_MAX_ENTITIES",
        "user_data.sha256_email_address",
    );
    accepts(
        json!({"/user_data/address": [{"sha256_first_name": HASH, "city": "berlin", "country": "DE"}]}),
    );
    refuses(
        json!({"/user_data/address": [{"first_name": "x"}]}),
        "VALUE_INVALID",
        "user_data.address.first_name",
    );
    refuses(
        json!({"/user_data/address": [{}, {}, {}]}),
        "EXCEEDED_MAX_ENTITIES",
        "user_data.address",
    );
}

#[test]
fn parameters_and_items() {
    let at = "events[0].params";
    let path = |name: &str| format!("{at}.{name}");
    refuses(
        json!({"/events/0/params/value": "129.9"}),
        "VALUE_INVALID",
        &path("value"),
    );
    refuses(
        json!({"/events/0/params/currency": null}),
        "VALUE_REQUIRED",
        &path("currency"),
    );
    refuses(
        json!({"/events/0/params/currency": "eur"}),
        "VALUE_INVALID",
        &path("currency"),
    );
    refuses(
        json!({"/events/0/params/session_id": "abc"}),
        "VALUE_INVALID",
        &path("session_id"),
    );
    refuses(
        json!({"/events/0/params/engagement_time_msec": 0}),
        "VALUE_INVALID",
        &path("engagement_time_msec"),
    );
    refuses(
        json!({"/events/0/params/transaction_id": null}),
        "VALUE_REQUIRED",
        &path("transaction_id"),
    );
    refuses(
        json!({"/events/0/params/own": {"a": 1}}),
        "VALUE_INVALID",
        &path("own"),
    );
    refuses(
        json!({"/events/0/params/own": [1]}),
        "VALUE_INVALID",
        &path("own"),
    );
    refuses(
        json!({"/events/0/params/own": "x".repeat(101)}),
        "VALUE_OUT_OF_BOUNDS",
        &path("own"),
    );
    accepts(json!({"/events/0/params/own": "ä".repeat(100), "/events/0/params/flag": true}));
    refuses(
        json!({"/events/0/params/ga_own": 1}),
        "NAME_RESERVED",
        &path("ga_own"),
    );
    refuses(
        json!({"/events/0/params/firebase_conversion": 1}),
        "NAME_RESERVED",
        &path("firebase_conversion"),
    );
    refuses(
        json!({"/events/0/params/items": {}}),
        "VALUE_INVALID",
        &path("items"),
    );
    refuses(
        json!({"/events/0/params/items": [{"price": 1}]}),
        "VALUE_REQUIRED",
        &path("items[0]"),
    );
    refuses(
        json!({"/events/0/params/items/0": {"item_id": "x", "price": "1"}}),
        "VALUE_INVALID",
        &path("items[0].price"),
    );
    let item: serde_json::Map<_, _> = (0..11)
        .map(|n| (format!("own{n}"), json!(1)))
        .chain([("item_id".to_owned(), json!("x"))])
        .collect();
    refuses(
        json!({"/events/0/params/items": [item]}),
        "EXCEEDED_MAX_ENTITIES",
        &path("items[0]"),
    );
    refuses(
        json!({"/events/0/params/items": vec![json!({"item_id": "x"}); 201]}),
        "EXCEEDED_MAX_ENTITIES",
        &path("items"),
    );
    let many: serde_json::Map<_, _> = (0..26).map(|n| (format!("p{n}"), json!(1))).collect();
    refuses(
        json!({"/events/0": {"name": "lead", "params": many}}),
        "EXCEEDED_MAX_ENTITIES",
        at,
    );
    accepts(
        json!({"/events/0": {"name": "qualify_lead", "params": {"value": 400, "currency": "EUR"}}}),
    );
    accepts(
        json!({"/events/0": {"name": "refund", "params": {"transaction_id": "o", "items": [{"item_id": "SKU-7", "quantity": 1}]}}}),
    );
    refuses(
        json!({"/events/0": {"name": "refund", "params": {}}}),
        "VALUE_REQUIRED",
        &path("transaction_id"),
    );
}
