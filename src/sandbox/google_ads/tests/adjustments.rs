//! The rules of adjustments.

use super::*;
use crate::sandbox::dedup::ConversionKey;

const ADJUSTMENT: &str = "conversionAdjustmentUploadError";

fn key(platform: Platform, id: &str) -> ConversionKey {
    ConversionKey {
        platform,
        account: CUSTOMER.to_owned(),
        event_name: "7".to_owned(),
        key: id.to_owned(),
    }
}

fn retraction(order_id: &str) -> Value {
    json!({"adjustmentType": "RETRACTION", "conversionAction": ACTION, "orderId": order_id,
        "adjustmentDateTime": ago(1)})
}

fn restatement(order_id: &str, hours_ago: i64) -> Value {
    json!({"adjustmentType": "RESTATEMENT", "conversionAction": ACTION, "orderId": order_id,
        "adjustmentDateTime": ago(hours_ago), "restatementValue": {"adjustedValue": 70.0, "currencyCode": "EUR"}})
}

fn enhancement(order_id: &str) -> Value {
    json!({"adjustmentType": "ENHANCEMENT", "conversionAction": ACTION, "orderId": order_id,
        "userIdentifiers": [{"hashedEmail": HASH}], "userAgent": "Mozilla/5.0"})
}

/// With an order uploaded yesterday.
fn with_order() -> Google {
    let mut google = Google::with_customer();
    assert_eq!(google.upload(&[conversion("o1")]).codes(0), [""; 0]);
    google
}

/// With the action of a tag and one order it told.
fn with_tag() -> Google {
    let mut google = with_order();
    google.world.add_action(ConversionAction {
        kind: ActionKind::Webpage,
        ..ConversionAction::upload_clicks(CUSTOMER, "7", now() - TimeDelta::days(9))
    });
    let told = google.world.hear_tag(
        &key(Platform::GoogleAds, "tag"),
        now() - TimeDelta::hours(24),
    );
    assert_eq!(told, None);
    google
}

fn assert_codes(google: &mut Google, row: Value, code: &str, place: &str) {
    let told = google.adjust(std::slice::from_ref(&row));
    assert_eq!(told.status, 200);
    assert_eq!(told.codes(0), [code], "{row}");
    assert_eq!(
        told.place(0),
        format!("conversion_adjustments[0]{place}"),
        "{row}"
    );
    assert_eq!(told.body["results"], json!([{}]));
}

fn code(value: &str) -> String {
    format!("{ADJUSTMENT}.{value}")
}

#[test]
fn a_retraction_is_final() {
    let mut google = with_order();
    let told = google.adjust(&[retraction("o1")]);
    let conversion = key(Platform::GoogleAds, "o1");
    assert_eq!(
        told.rulings(),
        [&Ruling::Retract {
            conversion: conversion.clone()
        }]
    );
    let result = json!({"orderId": "o1", "conversionAction": ACTION, "adjustmentDateTime": ago(1),
        "adjustmentType": "RETRACTION"});
    assert_eq!(told.body["results"], json!([result]));
    assert!(told.body["jobId"].is_string());
    for row in [retraction("o1"), restatement("o1", 0)] {
        let told = google.adjust(&[row]);
        assert_eq!(told.codes(0), [code("CONVERSION_ALREADY_RETRACTED")]);
        assert_eq!(
            told.rulings(),
            [&Ruling::Repeat {
                conversion: conversion.clone()
            }]
        );
    }
    let told = google.upload(&[super::conversion("o1")]);
    assert_eq!(
        told.codes(0),
        ["conversionUploadError.ORDER_ID_ALREADY_IN_USE"]
    );
}

#[test]
fn a_restatement_needs_a_newer_time_each() {
    let mut google = with_order();
    let told = google.adjust(&[restatement("o1", 5)]);
    let conversion = key(Platform::GoogleAds, "o1");
    assert_eq!(told.rulings(), [&Ruling::Adjust { conversion }]);
    let at = ".adjustment_date_time";
    let same = code("RESTATEMENT_ALREADY_EXISTS");
    assert_codes(&mut google, restatement("o1", 5), &same, at);
    let older = code("MORE_RECENT_RESTATEMENT_FOUND");
    assert_codes(&mut google, restatement("o1", 6), &older, at);
    let told = google.adjust(&[restatement("o1", 4), restatement("o1", 3)]);
    assert!(told.body.get("partialFailureError").is_none());
    assert_eq!(google.adjust(&[retraction("o1")]).codes(0), [""; 0]);
}

#[test]
fn the_conversion_must_be_there_and_not_too_old_or_too_young() {
    let mut google = with_order();
    let not_found = code("CONVERSION_NOT_FOUND");
    assert_codes(&mut google, retraction("o2"), &not_found, "");
    let early = code("ADJUSTMENT_PRECEDES_CONVERSION");
    assert_codes(
        &mut google,
        restatement("o1", 24),
        &early,
        ".adjustment_date_time",
    );
    google.now += TimeDelta::days(54) - TimeDelta::hours(24);
    assert_eq!(google.adjust(&[restatement("o1", 2)]).codes(0), [""; 0]);
    google.now += TimeDelta::seconds(1);
    assert_codes(
        &mut google,
        retraction("o1"),
        &code("CONVERSION_EXPIRED"),
        "",
    );
}

#[test]
fn what_data_manager_took_is_adjusted_too() {
    let mut google = Google::with_customer();
    let key = key(Platform::GoogleDataManager, "o1");
    let stored = Stored {
        key: key.clone(),
        happened_at: now() - TimeDelta::hours(24),
        has_user_data: true,
        adjusted_at: None,
        is_retracted: false,
    };
    google.world.conversions.put("7", "o1", stored);
    let told = google.upload(&[conversion("o1")]);
    assert_eq!(
        told.codes(0),
        ["conversionUploadError.ORDER_ID_ALREADY_IN_USE"]
    );
    let told = google.adjust(&[restatement("o1", 5)]);
    assert_eq!(
        told.rulings(),
        [&Ruling::Adjust {
            conversion: key.clone()
        }]
    );
    let told = google.adjust(&[retraction("o1")]);
    assert_eq!(told.rulings(), [&Ruling::Retract { conversion: key }]);
}

#[test]
fn a_conversion_without_order_id_is_found_by_its_click_and_time() {
    let mut google = Google::with_customer();
    let row = with(conversion(""), json!({"orderId": null}));
    google.upload(&[row, conversion("o1")]);
    let pair = |at: String| {
        let pair = json!({"gclid": "Cj0KCQiA-example", "conversionDateTime": at});
        with(
            retraction(""),
            json!({"orderId": null, "gclidDateTimePair": pair}),
        )
    };
    assert_codes(
        &mut google,
        pair(ago(23)),
        &code("CONVERSION_NOT_FOUND"),
        "",
    );
    let told = google.adjust(&[pair(ago(24))]);
    assert_eq!(told.codes(0), [""; 0]);
    assert_eq!(
        told.body["results"][0]["gclidDateTimePair"]["gclid"],
        "Cj0KCQiA-example"
    );
    let both = with(pair(ago(24)), json!({"orderId": "o1"}));
    let expected = code("GCLID_DATE_TIME_PAIR_AND_ORDER_ID_BOTH_SET");
    assert_codes(&mut google, both, &expected, "");
}

#[test]
fn fields_are_needed_and_forbidden_by_type() {
    let mut google = with_order();
    let required = "fieldError.REQUIRED";
    let unset = "fieldError.VALUE_MUST_BE_UNSET";
    let value = json!({"restatementValue": {"adjustedValue": 0}});
    let form = "dateError.INVALID_STRING_DATE_TIME_SECONDS_WITH_OFFSET";
    for (row, expected, place) in [
        (
            with(retraction("o1"), json!({"adjustmentType": null})),
            required,
            ".adjustment_type",
        ),
        (
            with(retraction("o1"), json!({"adjustmentType": "UNKNOWN"})),
            required,
            ".adjustment_type",
        ),
        (
            with(retraction("o1"), json!({"orderId": null})),
            required,
            ".order_id",
        ),
        (with(retraction("o1"), value), unset, ".restatement_value"),
        (
            with(
                retraction("o1"),
                json!({"userIdentifiers": [{"hashedEmail": HASH}]}),
            ),
            unset,
            ".user_identifiers",
        ),
        (
            with(retraction("o1"), json!({"userAgent": "x"})),
            unset,
            ".user_agent",
        ),
        (
            with(retraction("o1"), json!({"adjustmentDateTime": null})),
            required,
            ".adjustment_date_time",
        ),
        (
            with(
                retraction("o1"),
                json!({"adjustmentDateTime": "2026-11-22T10:00:00Z"}),
            ),
            form,
            ".adjustment_date_time",
        ),
        (
            with(restatement("o1", 1), json!({"restatementValue": null})),
            required,
            ".restatement_value",
        ),
        (
            with(
                restatement("o1", 1),
                json!({"restatementValue": {"currencyCode": "EUR"}}),
            ),
            required,
            ".restatement_value.adjusted_value",
        ),
        (
            with(
                restatement("o1", 1),
                json!({"restatementValue": {"adjustedValue": 1, "currencyCode": "eur"}}),
            ),
            "currencyCodeError.UNSUPPORTED",
            ".restatement_value.currency_code",
        ),
        (
            with(retraction("o1"), json!({"orderId": "ada@example.com"})),
            &code("ORDER_ID_CONTAINS_PII"),
            ".order_id",
        ),
        (
            with(
                retraction("o1"),
                json!({"conversionAction": "customers/1/conversionActions/8"}),
            ),
            &code("NO_CONVERSION_ACTION_FOUND"),
            ".conversion_action",
        ),
        (
            enhancement("o1"),
            &code("INVALID_CONVERSION_ACTION_TYPE"),
            ".conversion_action",
        ),
    ] {
        assert_codes(&mut google, row, expected, place);
    }
    assert_eq!(google.adjust(&[retraction("o1")]).codes(0), [""; 0]);
}

#[test]
fn an_enhancement_adds_user_data_to_a_tag_once() {
    let mut google = with_tag();
    let missing = code("MISSING_ORDER_ID_FOR_WEBPAGE");
    for row in [enhancement(""), retraction("")] {
        let row = with(row, json!({"orderId": null}));
        assert_codes(&mut google, row, &missing, ".order_id");
    }
    let none = with(enhancement("tag"), json!({"userIdentifiers": []}));
    assert_codes(
        &mut google,
        none,
        "fieldError.REQUIRED",
        ".user_identifiers",
    );
    let users = |list: Value| with(enhancement("tag"), json!({"userIdentifiers": list}));
    let first = ".user_identifiers[0]";
    let invalid = code("INVALID_USER_IDENTIFIER");
    let unhashed = json!([{"addressInfo": {"hashedFirstName": "Ada"}}]);
    assert_codes(&mut google, users(unhashed), &invalid, first);
    let mobile = json!([{"mobileId": "x"}]);
    assert_codes(
        &mut google,
        users(mobile),
        &code("UNSUPPORTED_USER_IDENTIFIER"),
        first,
    );
    let twice = google.adjust(&[enhancement("tag"), enhancement("tag")]);
    assert_eq!(twice.codes(1), [code("DUPLICATE_ENHANCEMENT_IN_REQUEST")]);
    let address =
        json!([{"addressInfo": {"hashedFirstName": HASH, "city": "x", "countryCode": "DE"}}]);
    let told = google.adjust(&[users(address)]);
    let conversion = key(Platform::GoogleAds, "tag");
    assert_eq!(told.rulings(), [&Ruling::Adjust { conversion }]);
    assert_codes(
        &mut google,
        enhancement("tag"),
        &code("CONVERSION_ALREADY_ENHANCED"),
        "",
    );
    google.put(Customer {
        terms_accepted: false,
        ..Customer::new(CUSTOMER)
    });
    let terms = code("CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS");
    assert_codes(&mut google, enhancement("tag"), &terms, ".user_identifiers");
}

#[test]
fn the_same_adjustment_twice_in_a_request_is_told() {
    let mut google = with_order();
    let told = google.adjust(&[restatement("o1", 5), restatement("o1", 5)]);
    let expected = code("DUPLICATE_ADJUSTMENT_IN_REQUEST");
    assert_eq!(
        (told.codes(0), told.codes(1)),
        (vec![expected.clone()], vec![expected])
    );
}

#[test]
fn adjustments_are_open_to_customers_who_are_not_allowlisted() {
    let mut google = with_order();
    google.put(Customer::new(CUSTOMER));
    let dry = json!({"conversionAdjustments": [retraction("o1"), retraction("o2")], "partialFailure": true,
        "validateOnly": true});
    for _ in 0..2 {
        let told = google.ask(ADJUSTMENTS, &dry);
        assert_eq!(told.rulings(), [&Ruling::Validate, &Ruling::Reject]);
        assert_eq!(told.codes(1), [code("CONVERSION_NOT_FOUND")]);
        assert!(told.body.get("results").is_none());
    }
    assert_eq!(google.adjust(&[retraction("o1")]).codes(0), [""; 0]);
}
