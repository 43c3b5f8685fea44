//! Many random rows, configurations and answers, and real ones with something changed.
//!
//! `FUZZ_CASES=100000 cargo test --lib fuzz` tries harder.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use super::*;

/// Enough to notice what is plainly wrong, few enough not to be waited for.
const CASES: u32 = 200;

fn cases() -> ProptestConfig {
    let wanted = crate::config::variable("FUZZ_CASES").and_then(|text| text.parse().ok());
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(wanted.unwrap_or(CASES))
    }
}

/// Texts that have broken somebody before.
const TEXTS: [&str; 24] = [
    "",
    " ",
    "\0",
    "\u{202e}txt.exe",
    "\u{200b}\u{feff}",
    "e\u{301}",
    "\u{e9}",
    "ﷺ",
    "👩‍👩‍👧‍👦",
    "İstanbul ß ſ K",
    "a\r\nX-Injected: 1",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx: y",
    "'; drop table event; --",
    "{{7*7}}",
    "../../etc/passwd",
    "https://a:b@x.example/?q#f",
    "javascript:alert(1)",
    "NaN",
    "-Infinity",
    "1e309",
    "9223372036854775808",
    "\u{10ffff}",
    "xn--",
    "null",
];

/// Numbers at every edge.
const NUMBERS: [&str; 12] = [
    "0",
    "-0",
    "-1",
    "1e131071",
    "-1e131071",
    "1e-131071",
    "0.000000000000000000000000000001",
    "999999999999999999",
    "1000000000000000000",
    "9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890.5",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(TEXTS.as_slice()).prop_map(str::to_owned),
        3 => any::<String>(),
        1 => (any::<char>(), 0..5000_usize).prop_map(|(one, count)| one.to_string().repeat(count)),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    select(NUMBERS.as_slice()).prop_map(|text| serde_json::from_str(text).expect("a number"))
}

/// Keys that mean something somewhere, and any others.
fn key() -> impl Strategy<Value = String> {
    const KEYS: [&str; 30] = [
        "items",
        "id",
        "name",
        "price",
        "quantity",
        "brand",
        "tax",
        "shipping",
        "coupon",
        "email",
        "phone",
        "first_name",
        "last_name",
        "city",
        "country",
        "postal_code",
        "ip_address",
        "user_agent",
        "external_id",
        "gclid",
        "gbraid",
        "fbc",
        "fbclid",
        "li_fat_id",
        "ga_client_id",
        "ga_session_id",
        "decision",
        "ad_user_data",
        "given_at",
        "$serde_json::private::Number",
    ];
    prop_oneof![4 => select(KEYS.as_slice()).prop_map(str::to_owned), 1 => text()]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            btree_map(key(), inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A row that leaves for every platform.
fn good() -> Map<String, Value> {
    let granted = "granted";
    let good = json!({
        "event_id": "e-1", "event_name": "order_paid", "business_id": "o-1", "value": "49.90", "currency": "EUR",
        "consent": { "ad_storage": granted, "analytics_storage": granted, "ad_user_data": granted, "ad_personalization": granted },
        "user_data": { "first_name": "Ada", "last_name": "Lovelace", "country": "DE", "postal_code": "10115", "city": "Berlin" },
        "click_ids": { "ga_client_id": "1.2", "fbp": "fb.1.1690000000000.123456789", "gclid": "Cj0KCQ", "li_fat_id": "df5gf5-gh6t7" },
        "properties": { "items": [{ "id": "sku", "name": "Tea", "price": 12.5, "quantity": 2 }], "tax": 1 },
        "action_source": "website", "page_url": "https://shop.example/thanks",
    });
    match good {
        Value::Object(good) => good,
        _ => unreachable!("an object was written"),
    }
}

const COLUMNS: [&str; 15] = [
    "event_id",
    "event_name",
    "business_id",
    "value",
    "currency",
    "consent",
    "user_data",
    "click_ids",
    "properties",
    "action_source",
    "page_url",
    "source",
    "depends_on",
    "traceparent",
    "occurred_at",
];

#[test]
fn a_good_row_leaves_for_every_platform() {
    assert_eq!(row(&good()), 7);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_row_ends_well(changes in vec((select(COLUMNS.as_slice()), json_value()), 1..4)) {
        let mut columns = good();
        columns.extend(changes.into_iter().map(|(column, value)| (column.to_owned(), value)));
        row(&columns);
    }

    /// Within a column: the rest of it stays as it should be.
    #[test]
    fn any_member_of_a_column_ends_well(
        column in select(["consent", "user_data", "click_ids", "properties"].as_slice()), members in btree_map(key(), json_value(), 1..5)
    ) {
        let mut columns = good();
        if let Some(Value::Object(object)) = columns.get_mut(column) {
            object.extend(members);
        }
        row(&columns);
    }

    #[test]
    fn any_configuration_is_read_or_explained(text in any::<String>()) {
        configuration(&text);
    }

    /// The sample, with some of its words, and the secret among them, put where they do not belong.
    #[test]
    fn a_changed_sample_never_repeats_a_secret(
        changes in vec((any::<Index>(), select(vec![
            "", "\"", "[", "]", "{", "}", "=", "\n", "[[destination]]", "name = ", "true", "-1", "1e400", "\0", "'''",
            "\"EAAZq7CanarySecretToken\"", "EAAZq7CanarySecretToken", "{ file = \"EAAZq7CanarySecretToken\" }",
        ])), 1..6)
    ) {
        const SAMPLE: &str = include_str!("../../deploy/conversion-outbox.toml");
        // Words of the sample without its comments.
        let code = |line: &'static str| line.split_once("#").map_or(line, |(code, _)| code);
        let lines: Vec<&str> = SAMPLE.lines().map(code).filter(|line| !line.trim().is_empty()).collect();
        let text = lines.join("\n");
        let mut words: Vec<&str> = text.split_inclusive([' ', '\n']).collect();
        for (place, change) in changes {
            let place = place.index(words.len());
            words[place] = change;
        }
        configuration(&words.join(""));
    }

    #[test]
    fn any_answer_is_understood(
        status in prop_oneof![100..1000_u16, select([200, 201, 204, 307, 400, 401, 403, 404, 409, 422, 429, 500].as_slice())],
        headers in btree_map(select(HEADERS.as_slice()), text(), 0..4),
        body in prop_oneof![vec(any::<u8>(), 0..300), json_value().prop_map(|value| value.to_string().into_bytes()), answer()],
        sent in 1..5_usize,
    ) {
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        reply(&Reply { status, headers, body }, sent);
    }
}

const HEADERS: [&str; 6] = [
    "retry-after",
    "content-type",
    "x-business-use-case-usage",
    "x-ad-account-usage",
    "x-ad-api-version-warning",
    "location",
];

/// Answers as platforms give them.
fn answers() -> Vec<Value> {
    let failure =
        |error: Value| json!({ "details": [{ "errors": [error] }], "code": 3, "message": EMAIL });
    vec![
        json!({ "events_received": 1, "messages": [], "fbtrace_id": "x" }),
        json!({ "error": { "code": 100, "error_subcode": 2_804_003, "is_transient": false, "message": EMAIL, "type": "x" } }),
        json!({ "validationMessages": [{ "validationCode": "VALUE_INVALID", "description": PHONE, "fieldPath": "events" }] }),
        json!({ "requestId": "r-1" }),
        json!({ "error": { "code": 400, "status": "INVALID_ARGUMENT", "message": PHONE, "details": [
            { "reason": "INVALID_FORMAT", "retryDelay": "1.5s", "fieldViolations": [{ "field": "events[0].user_data", "reason": "INVALID_HEX_ENCODING", "description": EMAIL }] }] } }),
        json!({ "requestStatusPerDestination": [{ "requestStatus": "PARTIAL_SUCCESS", "eventsIngestionStatus": { "recordCount": "3" },
            "errorInfo": { "errorCounts": [{ "recordCount": "1", "reason": "PROCESSING_ERROR_REASON_INVALID_GCLID" }] } }] }),
        json!({ "results": [{ "gclid": "x" }, {}], "partialFailureError": failure(json!({ "errorCode": { "conversionUploadError": "TOO_RECENT_EVENT" },
            "location": { "fieldPathElements": [{ "fieldName": "conversions", "index": 1 }, { "fieldName": "gclid" }] },
            "details": { "quotaErrorDetails": { "retryDelay": "30s" } } })) }),
        json!({ "error": failure(json!({ "errorCode": { "quotaError": "RESOURCE_EXHAUSTED" } })) }),
        json!({ "elements": [{ "status": 201 }, { "status": 400, "error": { "message": "Index: 0, ERROR :: indices [0, 2] batchIndex=1" } }] }),
        json!({ "status": 422, "code": "ILLEGAL_ARGUMENT", "serviceErrorCode": 100, "message": format!("Index: 3, ERROR {PHONE}") }),
        json!({ "access_token": "x", "expires_in": 3600, "error": "invalid_grant" }),
    ]
}

/// One of them, with some of its leaves replaced: also by the person's data, as texts and as numbers.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let planted = prop_oneof![
        Just(json!(EMAIL)),
        Just(json!(PHONE)),
        Just(json!(491_705_550_199_u64)),
        Just(json!("491705550199")),
        number(),
        json_value(),
    ];
    (select(answers()), vec((any::<Index>(), planted), 0..4)).prop_map(|(mut answer, changes)| {
        for (place, value) in changes {
            let mut leaves = Vec::new();
            leaves_of(&mut answer, &mut leaves);
            let place = place.index(leaves.len());
            *leaves.swap_remove(place) = value;
        }
        answer.to_string().into_bytes()
    })
}

fn leaves_of<'a>(value: &'a mut Value, leaves: &mut Vec<&'a mut Value>) {
    let is_leaf = match &*value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => true,
    };
    match value {
        leaf if is_leaf => leaves.push(leaf),
        Value::Array(list) => list.iter_mut().for_each(|one| leaves_of(one, leaves)),
        Value::Object(map) => map.values_mut().for_each(|one| leaves_of(one, leaves)),
        _ => unreachable!("everything else is a leaf"),
    }
}
