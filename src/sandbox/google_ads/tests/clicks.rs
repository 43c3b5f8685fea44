//! The rules of click conversions.

use super::*;
use crate::sandbox::exchange::Repeats;

const UPLOAD: &str = "conversionUploadError";

/// The codes and the first place of a row that changes a good one.
fn judged(google: &mut Google, changes: Value) -> (Vec<String>, String) {
    let body = json!({"conversions": [with(conversion("o1"), changes)], "partialFailure": true, "validateOnly": true});
    let told = google.ask(CLICKS, &body);
    let codes = told.codes(0);
    let place = if codes.is_empty() {
        String::new()
    } else {
        told.place(0)
    };
    (codes, place)
}

fn assert_codes(google: &mut Google, changes: Value, code: &str, field: &str) {
    let (codes, place) = judged(google, changes.clone());
    assert_eq!(codes, [code], "{changes}");
    assert_eq!(place, format!("conversions[0].{field}"), "{changes}");
}

fn assert_good(google: &mut Google, changes: Value) {
    assert_eq!(judged(google, changes.clone()).0, [""; 0], "{changes}");
}

#[test]
fn customers_who_are_not_allowlisted_get_row_errors() {
    let mut google = Google::with_customer();
    google.put(Customer::new(CUSTOMER));
    let told = google.upload(&[conversion("o1"), conversion("o2")]);
    assert_eq!(told.status, 200);
    for row in [0, 1] {
        assert_eq!(told.codes(row), [NOT_ALLOWLISTED]);
    }
    assert_eq!(told.body["results"], json!([{}, {}]));
    assert_eq!(Google::new().upload(&[conversion("o1")]).codes(0), [""; 0]);
}

#[test]
fn actions_must_be_known_shared_enabled_of_the_type_and_old_enough() {
    let mut google = Google::with_customer();
    let created = now() - TimeDelta::days(100);
    let action = |id: &str| ConversionAction::upload_clicks(CUSTOMER, id, created);
    for action in [
        ConversionAction {
            owner: "5555555555".to_owned(),
            ..action("8")
        },
        ConversionAction {
            owner: "5555555555".to_owned(),
            shared_with: vec![CUSTOMER.to_owned()],
            ..action("9")
        },
        ConversionAction {
            kind: ActionKind::Webpage,
            ..action("10")
        },
        ConversionAction {
            created_at: now() - TimeDelta::minutes(359),
            ..action("11")
        },
        ConversionAction {
            status: ActionStatus::Removed,
            ..action("12")
        },
    ] {
        google.world.add_action(action);
    }
    let at = |id: &str| json!({"conversionAction": format!("customers/5555555555/conversionActions/{id}")});
    let field = "conversion_action";
    let unknown = format!("{UPLOAD}.NO_CONVERSION_ACTION_FOUND");
    for id in ["77", "8", "12"] {
        assert_codes(&mut google, at(id), &unknown, field);
    }
    let wrong_type = format!("{UPLOAD}.INVALID_CONVERSION_ACTION_TYPE");
    assert_codes(&mut google, at("10"), &wrong_type, field);
    let young = format!("{UPLOAD}.TOO_RECENT_CONVERSION_ACTION");
    assert_codes(&mut google, at("11"), &young, field);
    // The customer in the resource name does not count.
    assert_good(&mut google, at("7"));
    assert_good(&mut google, at("9"));
    let malformed = json!({"conversionAction": "7"});
    assert_codes(
        &mut google,
        malformed,
        "requestError.RESOURCE_NAME_MALFORMED",
        field,
    );
    assert_codes(
        &mut google,
        json!({"conversionAction": null}),
        "fieldError.REQUIRED",
        field,
    );
}

#[test]
fn times_have_an_offset_and_are_not_in_the_future() {
    let mut google = Google::with_customer();
    let field = "conversion_date_time";
    let form = "dateError.INVALID_STRING_DATE_TIME_SECONDS_WITH_OFFSET";
    for bad in [
        "2026-11-20T14:32:18+01:00",
        "2026-11-20 14:32:18",
        "2026-11-20 14:32:18.5+01:00",
    ] {
        assert_codes(&mut google, json!({"conversionDateTime": bad}), form, field);
    }
    let future = json!({"conversionDateTime": ago(-1)});
    assert_codes(
        &mut google,
        future,
        "dateError.LATER_THAN_MAXIMUM_DATE",
        field,
    );
    assert_codes(
        &mut google,
        json!({"conversionDateTime": null}),
        "fieldError.REQUIRED",
        field,
    );
    assert_good(&mut google, json!({"conversionDateTime": ago(0)}));
}

#[test]
fn one_click_id_or_user_identifiers_are_needed() {
    let mut google = Google::with_customer();
    let required = "fieldError.REQUIRED";
    let unset = "fieldError.VALUE_MUST_BE_UNSET";
    let users = json!([{"hashedEmail": HASH}]);
    let parse = |name: &str| format!("{UPLOAD}.UNPARSEABLE_{name}");
    let both = format!("{UPLOAD}.GBRAID_WBRAID_BOTH_SET");
    for (changes, code, field) in [
        (json!({"gclid": null}), required, "gclid"),
        (json!({"gclid": ""}), &parse("GCLID"), "gclid"),
        (json!({"gclid": "a b"}), &parse("GCLID"), "gclid"),
        (
            json!({"gclid": null, "gbraid": "a.b"}),
            &parse("GBRAID"),
            "gbraid",
        ),
        (
            json!({"gclid": null, "wbraid": "a=b"}),
            &parse("WBRAID"),
            "wbraid",
        ),
        (
            json!({"gclid": null, "gbraid": "a", "wbraid": "b"}),
            &both,
            "gbraid",
        ),
        (json!({"gbraid": "a"}), unset, "gbraid"),
        (json!({"wbraid": "a"}), unset, "wbraid"),
        (
            json!({"gclid": null, "gbraid": "a", "userIdentifiers": users}),
            unset,
            "user_identifiers",
        ),
    ] {
        assert_codes(&mut google, changes, code, field);
    }
    for good in [
        json!({"gclid": null, "gbraid": "a"}),
        json!({"gclid": null, "wbraid": "a", "gbraid": ""}),
        json!({"gclid": null, "userIdentifiers": users}),
        json!({"userIdentifiers": users}),
    ] {
        assert_good(&mut google, good);
    }
    google.world.add_action(ConversionAction {
        counting: Counting::OnePerClick,
        ..ConversionAction::upload_clicks(CUSTOMER, "8", now() - TimeDelta::days(9))
    });
    let action = "customers/1234567890/conversionActions/8";
    let one = format!("{UPLOAD}.ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID");
    let braid = json!({"gclid": null, "gbraid": "a", "conversionAction": action});
    assert_codes(&mut google, braid, &one, "gbraid");
    assert_good(&mut google, json!({"conversionAction": action}));
}

#[test]
fn user_identifiers_are_hashed_few_and_of_two_kinds() {
    let mut google = Google::with_customer();
    let users = |list: Value| json!({"userIdentifiers": list});
    let invalid = format!("{UPLOAD}.INVALID_USER_IDENTIFIER");
    let unsupported = format!("{UPLOAD}.UNSUPPORTED_USER_IDENTIFIER");
    let first = "user_identifiers[0]";
    for (list, code, field) in [
        (json!([{"hashedEmail": "ada@example.com"}]), &invalid, first),
        (
            json!([{"hashedEmail": HASH.to_uppercase()}]),
            &invalid,
            first,
        ),
        (json!([{"hashedPhoneNumber": ""}]), &invalid, first),
        (json!([{}]), &invalid, first),
        (json!([{"mobileId": "x"}]), &unsupported, first),
        (json!([{"addressInfo": {"city": "x"}}]), &unsupported, first),
        (
            json!([{"hashedEmail": HASH}, {"thirdPartyUserId": "x"}]),
            &unsupported,
            "user_identifiers[1]",
        ),
    ] {
        assert_codes(&mut google, users(list), code, field);
    }
    let six: Vec<Value> = (0..6).map(|_| json!({"hashedEmail": HASH})).collect();
    assert_codes(
        &mut google,
        users(json!(six)),
        "collectionSizeError.TOO_MANY",
        "user_identifiers",
    );
    assert_good(&mut google, users(json!(six[..5])));
    let one = json!([{"hashedEmail": HASH, "userIdentifierSource": "FIRST_PARTY"}]);
    let told = google.upload(&[with(conversion("o9"), users(one.clone()))]);
    assert_eq!(told.body["results"][0]["userIdentifiers"], one);
    google.put(Customer {
        ecl_enabled: false,
        ..Customer::new(CUSTOMER).allowlisted()
    });
    let code = format!("{UPLOAD}.CUSTOMER_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS");
    assert_codes(&mut google, users(one.clone()), &code, "user_identifiers");
    assert_good(&mut google, json!({}));
    google.put(Customer {
        terms_accepted: false,
        ..Customer::new(CUSTOMER).allowlisted()
    });
    let code = format!("{UPLOAD}.CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS");
    assert_codes(&mut google, users(one), &code, "user_identifiers");
    assert_good(&mut google, json!({}));
}

#[test]
fn other_fields_have_their_rules() {
    let mut google = Google::with_customer();
    let pii = format!("{UPLOAD}.ORDER_ID_CONTAINS_PII");
    let variable = format!("{UPLOAD}.CUSTOM_VARIABLE_VALUE_CONTAINS_PII");
    let external = format!(
        "{UPLOAD}.EXTERNAL_ATTRIBUTION_DATA_SET_FOR_NON_EXTERNALLY_ATTRIBUTED_CONVERSION_ACTION"
    );
    let currency = "currencyCodeError.UNSUPPORTED";
    for (changes, code, field) in [
        (json!({"currencyCode": "eur"}), currency, "currency_code"),
        (json!({"currencyCode": "XYZ"}), currency, "currency_code"),
        (json!({"orderId": "ada@example.com"}), &pii, "order_id"),
        (json!({"orderId": "+491701234567"}), &pii, "order_id"),
        (
            json!({"orderId": ""}),
            "stringLengthError.EMPTY",
            "order_id",
        ),
        (
            json!({"customVariables": [{"conversionCustomVariable": "x", "value": "ada@example.com"}]}),
            &variable,
            "custom_variables[0].value",
        ),
        (
            json!({"externalAttributionData": {"externalAttributionCredit": 0.5}}),
            &external,
            "external_attribution_data",
        ),
        (
            json!({"conversionEnvironment": "WEB"}),
            NOT_ALLOWLISTED,
            "conversion_environment",
        ),
        (
            json!({"userIpAddress": "192.0.2.1"}),
            NOT_ALLOWLISTED,
            "user_ip_address",
        ),
        (
            json!({"sessionAttributesEncoded": "e30="}),
            NOT_ALLOWLISTED,
            "session_attributes_encoded",
        ),
    ] {
        assert_codes(&mut google, changes, code, field);
    }
    assert_good(
        &mut google,
        json!({"consent": {"adUserData": "GRANTED", "adPersonalization": "DENIED"}, "customerType": "NEW",
            "cartData": {"merchantId": "5", "items": [{"productId": "a", "quantity": 1, "unitPrice": 2.5}]}}),
    );
    assert_good(&mut google, json!({"orderId": null}));
}

#[test]
fn clicks_must_be_known_theirs_and_within_their_times() {
    let mut google = Google::with_customer();
    let days = |days: i64| days * 24;
    google.click(ClickKind::Gclid, "good", 48, CUSTOMER);
    google.click(ClickKind::Gclid, "fresh", 5, CUSTOMER);
    google.click(ClickKind::Gclid, "after", 12, CUSTOMER);
    google.click(ClickKind::Gclid, "old", days(92), CUSTOMER);
    google.click(ClickKind::Gclid, "foreign", 48, "5555555555");
    google.click(ClickKind::Gbraid, "braid", 48, CUSTOMER);
    let code = |value: &str| format!("{UPLOAD}.{value}");
    for (changes, value, field) in [
        (json!({"gclid": "unknown"}), "EVENT_NOT_FOUND", "gclid"),
        (
            json!({"gclid": "fresh", "conversionDateTime": ago(1)}),
            "TOO_RECENT_EVENT",
            "gclid",
        ),
        (
            json!({"gclid": "after"}),
            "CONVERSION_PRECEDES_EVENT",
            "gclid",
        ),
        (json!({"gclid": "old"}), "EXPIRED_EVENT", "gclid"),
        (
            json!({"gclid": "foreign"}),
            "INVALID_CUSTOMER_FOR_CLICK",
            "gclid",
        ),
        (json!({"gclid": "braid"}), "UNPARSEABLE_GCLID", "gclid"),
        (
            json!({"gclid": null, "wbraid": "braid"}),
            "UNPARSEABLE_WBRAID",
            "wbraid",
        ),
    ] {
        assert_codes(&mut google, changes, &code(value), field);
    }
    assert_good(&mut google, json!({"gclid": "good"}));
    assert_good(&mut google, json!({"gclid": null, "gbraid": "braid"}));
    assert_good(
        &mut google,
        json!({"gclid": "old", "conversionDateTime": ago(days(3))}),
    );
    google.now += TimeDelta::hours(1);
    assert_good(
        &mut google,
        json!({"gclid": "fresh", "conversionDateTime": ago(1)}),
    );
}

#[test]
fn users_who_never_clicked_are_not_found() {
    let mut google = Google::with_customer();
    let other = "a".repeat(64);
    let setup = serde_json::from_value(json!({"known_users": [HASH]})).unwrap();
    google.world.ads.set_up(setup).unwrap();
    let users =
        |hash: &str| json!({"gclid": null, "userIdentifiers": [{"hashedPhoneNumber": hash}]});
    assert_good(&mut google, users(HASH));
    let code = format!("{UPLOAD}.CLICK_NOT_FOUND");
    assert_codes(&mut google, users(&other), &code, "user_identifiers");
    assert_good(
        &mut google,
        json!({"userIdentifiers": [{"hashedEmail": other}]}),
    );
}

#[test]
fn an_order_id_is_taken_once_for_each_action() {
    let mut google = Google::with_customer();
    let other = ConversionAction::upload_clicks(CUSTOMER, "8", now() - TimeDelta::days(9));
    google.world.add_action(other);
    assert!(matches!(
        google.upload(&[conversion("o1")]).rulings()[..],
        [Ruling::Take { .. }]
    ));
    let again = with(
        conversion("o1"),
        json!({"conversionDateTime": ago(20), "gclid": "other"}),
    );
    let told = google.upload(&[again]);
    assert_eq!(told.codes(0), [format!("{UPLOAD}.ORDER_ID_ALREADY_IN_USE")]);
    assert_eq!(told.place(0), "conversions[0].order_id");
    assert_eq!(told.body["results"], json!([{}]));
    assert!(matches!(told.rulings()[..], [Ruling::Repeat { .. }]));
    let action = json!({"conversionAction": "customers/1234567890/conversionActions/8"});
    let told = google.upload(&[with(conversion("o1"), action)]);
    assert_eq!(told.codes(0), [""; 0]);
}

#[test]
fn an_order_id_twice_in_a_request_stores_neither() {
    let mut google = Google::with_customer();
    let rows = [conversion("o1"), conversion("o2"), conversion("o1")];
    let told = google.upload(&rows);
    let code = format!("{UPLOAD}.DUPLICATE_ORDER_ID");
    assert_eq!(
        (told.codes(0), told.codes(2)),
        (vec![code.clone()], vec![code])
    );
    assert_eq!(told.codes(1), [""; 0]);
    assert!(matches!(
        told.rulings()[..],
        [Ruling::Reject, Ruling::Take { .. }, Ruling::Reject]
    ));
    assert_eq!(google.upload(&rows[..1]).codes(0), [""; 0]);
}

#[test]
fn without_an_order_id_the_click_and_its_time_tell_repeats() {
    let mut google = Google::with_customer();
    let row = with(conversion(""), json!({"orderId": null}));
    let told = google.upload(&[row.clone(), row.clone()]);
    let code = format!("{UPLOAD}.DUPLICATE_CLICK_CONVERSION_IN_REQUEST");
    assert_eq!(
        (told.codes(0), told.codes(1)),
        (vec![code.clone()], vec![code])
    );
    assert_eq!(google.upload(std::slice::from_ref(&row)).codes(0), [""; 0]);
    // The same moment, written with another offset.
    let at = (now() - TimeDelta::hours(23))
        .format("%Y-%m-%d %H:%M:%S+01:00")
        .to_string();
    let told = google.upload(&[with(row.clone(), json!({"conversionDateTime": at}))]);
    assert_eq!(
        told.codes(0),
        [format!("{UPLOAD}.CLICK_CONVERSION_ALREADY_EXISTS")]
    );
    let later = with(row, json!({"conversionDateTime": ago(22)}));
    assert_eq!(google.upload(&[later]).codes(0), [""; 0]);
    let users = json!({"orderId": null, "gclid": null, "userIdentifiers": [{"hashedEmail": HASH}]});
    for _ in 0..2 {
        let told = google.upload(&[with(conversion(""), users.clone())]);
        let counted = Repeats::CountAgain;
        assert!(
            matches!(told.rulings()[..], [Ruling::Take { repeats, .. }] if *repeats == counted)
        );
    }
}
