//! What is asked of a request before its rows are looked at, and the shape of answers.

use super::*;

#[test]
fn only_posts_of_known_methods_exist_and_need_a_token() {
    let mut google = Google::new();
    let body = json!({"conversions": [conversion("o1")], "partialFailure": true}).to_string();
    assert_eq!(google.ask_raw("GET", CLICKS, &body).status, 404);
    let calls = "/v26/customers/1234567890:uploadCallConversions";
    assert_eq!(google.ask_raw("POST", calls, &body).status, 404);
    assert_eq!(google.ask_raw("POST", CLICKS, &body).status, 200);
    google.headers = Vec::new();
    let told = google.ask_raw("POST", CLICKS, &body);
    assert_eq!(
        (told.status, &told.body["error"]["status"]),
        (401, &json!("UNAUTHENTICATED"))
    );
    assert_eq!(told.rulings(), [&Ruling::Reject]);
    let service = &told.body["error"]["details"][0]["metadata"]["service"];
    assert_eq!(service, "googleads.googleapis.com");
}

#[test]
fn versions_live_and_end_by_the_clock() {
    let mut google = Google::new();
    let body =
        json!({"conversions": [conversion("o1")], "partialFailure": true, "validateOnly": true});
    let mut ask = |version: &str, at: DateTime<Utc>| {
        google.now = at;
        let told = google.ask(&CLICKS.replace("v26", version), &body);
        if told.status == 400 {
            assert_eq!(told.refusal(), "requestError.UNSUPPORTED_VERSION");
            let of_type = told.body["error"]["details"][0]["@type"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(
                of_type.contains(version) || !version.starts_with('v'),
                "{of_type}"
            );
        }
        told.status
    };
    for (version, expected) in [
        ("v21", 400),
        ("v22", 400),
        ("v23", 200),
        ("v26", 200),
        ("v27", 400),
        ("26", 400),
    ] {
        assert_eq!(ask(version, now()), expected, "{version}");
    }
    assert_eq!(ask("v23", "2027-02-01T00:00:00Z".parse().unwrap()), 400);
    assert_eq!(ask("v26", "2027-10-31T23:59:59Z".parse().unwrap()), 200);
    google.world.ads.end_version(26, now());
    google.now = now();
    assert_eq!(
        google.ask(CLICKS, &body).refusal(),
        "requestError.UNSUPPORTED_VERSION"
    );
}

#[test]
fn customers_are_ten_digits_and_reached_through_their_managers() {
    let mut google = Google::with_customer();
    google.put(Customer {
        managers: vec!["9876543210".to_owned()],
        ..Customer::new("1111111111").allowlisted()
    });
    let body = json!({"conversions": [conversion("o1")], "partialFailure": true});
    let denied = "authorizationError.USER_PERMISSION_DENIED";
    let login = "headerError.INVALID_LOGIN_CUSTOMER_ID";
    for (customer, header, status, expected) in [
        ("1234567890", None, 200, ""),
        ("1234567890", Some("1234567890"), 200, ""),
        ("1234567890", Some("9876543210"), 403, denied),
        (
            "123-456-7890",
            None,
            400,
            "requestError.INVALID_CUSTOMER_ID",
        ),
        ("123", None, 400, "requestError.INVALID_CUSTOMER_ID"),
        ("5555555555", None, 403, denied),
        ("1111111111", None, 403, denied),
        ("1111111111", Some("1111111111"), 403, denied),
        ("1111111111", Some("9876543210"), 200, ""),
        ("1111111111", Some("987-654-3210"), 400, login),
        ("1111111111", Some(""), 400, login),
    ] {
        google.headers = vec![("authorization", "Bearer t")];
        google
            .headers
            .extend(header.map(|text| ("login-customer-id", text)));
        let told = google.ask(&CLICKS.replace(CUSTOMER, customer), &body);
        assert_eq!(told.status, status, "{customer} {header:?}");
        if status != 200 {
            assert_eq!(told.refusal(), expected, "{customer} {header:?}");
        }
    }
    let mut anybody = Google::new();
    assert_eq!(
        anybody
            .ask(&CLICKS.replace(CUSTOMER, "5555555555"), &body)
            .status,
        200
    );
}

#[test]
fn bodies_are_read_strictly_in_both_casings() {
    let mut google = Google::new();
    let snake = json!({"conversions": [{"gclid": "Cj0KCQiA", "conversion_action": ACTION,
        "conversion_date_time": ago(24), "order_id": "o1", "consent": {"ad_user_data": "GRANTED"}}],
        "partial_failure": true, "job_id": 7});
    let told = google.ask(CLICKS, &snake);
    assert_eq!((told.status, &told.body["jobId"]), (200, &json!("7")));
    assert!(told.body.get("partialFailureError").is_none());
    for (body, expected) in [
        (
            json!({"conversion": []}),
            "Invalid JSON payload received. Unknown name \"conversion\": Cannot find field.",
        ),
        (
            json!({"conversions": [{"transactionId": "o1"}]}),
            "Invalid JSON payload received. Unknown name \"transactionId\" at 'conversions[0]': Cannot find field.",
        ),
        (
            json!({"conversions": [], "customerId": CUSTOMER}),
            "Invalid JSON payload received. Unknown name \"customerId\": Cannot find field.",
        ),
        (
            json!({"conversions": [{"consent": {"adUserData": "CONSENT_GRANTED"}}]}),
            "Invalid value at 'conversions[0].consent.ad_user_data' \
             (type.googleapis.com/google.ads.googleads.v26.enums.ConsentStatusEnum.ConsentStatus), \"CONSENT_GRANTED\"",
        ),
        (
            json!({"conversions": [{"orderId": 1042}]}),
            "Invalid value at 'conversions[0].order_id' (TYPE_STRING), 1042",
        ),
        (
            json!({"conversions": [{"userIdentifiers": [{"hashedEmail": HASH, "hashedPhoneNumber": HASH}]}]}),
            "Invalid value at 'conversions[0].user_identifiers[0].hashed_phone_number' (oneof), oneof field is already \
             set. Cannot set 'hashedPhoneNumber'",
        ),
    ] {
        let told = google.ask(CLICKS, &body);
        let message = &told.body["error"]["message"];
        assert_eq!((told.status, message), (400, &json!(expected)), "{body}");
    }
    assert_eq!(google.ask_raw("POST", CLICKS, "{").status, 400);
}

#[test]
fn requests_must_ask_for_partial_failure_and_have_1_to_2000_rows() {
    let mut google = Google::with_customer();
    let rows = |count: usize| -> Vec<Value> {
        (0..count)
            .map(|index| conversion(&format!("o{index}")))
            .collect()
    };
    for (body, expected) in [
        (
            json!({"conversions": rows(1)}),
            "partialFailureError.PARTIAL_FAILURE_MODE_REQUIRED",
        ),
        (
            json!({"conversions": rows(1), "partialFailure": false}),
            "partialFailureError.PARTIAL_FAILURE_MODE_REQUIRED",
        ),
        (
            json!({"partialFailure": true}),
            "requestError.REQUIRED_FIELD_MISSING",
        ),
        (
            json!({"conversions": rows(2001), "partialFailure": true}),
            "conversionUploadError.TOO_MANY_CONVERSIONS_IN_REQUEST",
        ),
        (
            json!({"conversions": rows(1), "partialFailure": true, "jobId": 0}),
            "conversionUploadError.INVALID_JOB_ID",
        ),
    ] {
        let told = google.ask(CLICKS, &body);
        assert_eq!((told.status, told.refusal().as_str()), (400, expected));
        assert!(
            told.rulings()
                .iter()
                .all(|ruling| **ruling == Ruling::Reject)
        );
    }
    let told = google.upload(&rows(2000));
    assert_eq!(told.body["results"].as_array().unwrap().len(), 2000);
    assert!(told.body.get("partialFailureError").is_none());
    let too_many: Vec<Value> = (0..2001).map(|_| json!({})).collect();
    let told = google.adjust(&too_many);
    let expected = "conversionAdjustmentUploadError.TOO_MANY_ADJUSTMENTS_IN_REQUEST";
    assert_eq!((told.status, told.refusal().as_str()), (400, expected));
}

#[test]
fn a_failed_row_leaves_an_empty_result_and_an_error_with_its_index() {
    let mut google = Google::with_customer();
    let bad = with(
        conversion("o2"),
        json!({"conversionDateTime": "2026-11-20T14:32:18Z"}),
    );
    let told = google.upload(&[conversion("o1"), bad]);
    assert_eq!(told.status, 200);
    let results = &told.body["results"];
    let good = json!({"gclid": "Cj0KCQiA-example", "conversionAction": ACTION, "conversionDateTime": ago(24)});
    assert_eq!(results, &json!([good, {}]));
    let job_id: u64 = told.body["jobId"].as_str().unwrap().parse().unwrap();
    assert!(job_id >= 1 << 31);
    let error = &told.body["partialFailureError"];
    assert_eq!(error["code"], 3);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.ends_with(", at conversions[1].conversion_date_time"),
        "{message}"
    );
    assert_eq!(told.place(0), "conversions[1].conversion_date_time");
    let of_type = "type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure";
    assert_eq!(error["details"][0]["@type"], of_type);
    assert_eq!(error["details"][0]["requestId"].as_str().unwrap().len(), 22);
    let trigger = &error["details"][0]["errors"][0]["trigger"]["stringValue"];
    assert_eq!(trigger, "2026-11-20T14:32:18Z");
    assert!(matches!(
        told.rulings()[..],
        [Ruling::Take { .. }, Ruling::Reject]
    ));
    assert!(!told.events[1].reason.contains("2026"));
}

#[test]
fn several_errors_are_told_and_the_index_of_row_0_can_be_left_out() {
    let mut google = Google::with_customer();
    let bad = json!({"conversionAction": ACTION, "orderId": "o1"});
    let told = google.upload(std::slice::from_ref(&bad));
    assert_eq!(
        told.codes(0),
        ["fieldError.REQUIRED", "fieldError.REQUIRED"]
    );
    let message = told.body["partialFailureError"]["message"]
        .as_str()
        .unwrap();
    assert!(message.starts_with("Multiple errors in ‘details’. First error: "));
    assert_eq!(told.place(0), "conversions[0].conversion_date_time");
    let setup = serde_json::from_value(json!({"omit_zero_index": true})).unwrap();
    google.world.ads.set_up(setup).unwrap();
    let told = google.upload(&[bad.clone(), bad]);
    assert_eq!(told.place(0), "conversions.conversion_date_time");
    assert_eq!(told.place(2), "conversions[1].conversion_date_time");
}

#[test]
fn a_validation_tells_errors_and_leaves_nothing() {
    let mut google = Google::with_customer();
    let bad = with(conversion("o2"), json!({"currencyCode": "eur"}));
    let body = json!({"conversions": [conversion("o1"), bad], "partialFailure": true, "validateOnly": true});
    for _ in 0..2 {
        let told = google.ask(CLICKS, &body);
        assert!(told.body.get("results").is_none());
        assert_eq!(told.codes(1), ["currencyCodeError.UNSUPPORTED"]);
        assert_eq!(told.rulings(), [&Ruling::Validate, &Ruling::Reject]);
    }
    assert_eq!(google.world.conversions.len(), 0);
}

#[test]
fn a_quota_that_is_used_up_says_how_long_to_wait() {
    let mut google = Google::with_customer();
    google.put(Customer {
        quota: Some(Quota {
            requests: 2,
            per_secs: 60,
        }),
        ..Customer::new(CUSTOMER).allowlisted()
    });
    for order_id in ["o1", "o2"] {
        assert_eq!(google.upload(&[conversion(order_id)]).status, 200);
    }
    google.now += TimeDelta::seconds(30);
    let told = google.upload(&[conversion("o3")]);
    assert_eq!(
        (told.status, &told.body["error"]["status"]),
        (429, &json!("RESOURCE_EXHAUSTED"))
    );
    assert_eq!(told.refusal(), "quotaError.RESOURCE_TEMPORARILY_EXHAUSTED");
    let details = &told.body["error"]["details"][0]["errors"][0]["details"]["quotaErrorDetails"];
    assert_eq!(
        (&details["retryDelay"], &details["rateScope"]),
        (&json!("31s"), &json!("ACCOUNT"))
    );
    google.now += TimeDelta::seconds(31);
    assert_eq!(google.upload(&[conversion("o3")]).status, 200);
}

#[test]
fn scripted_errors_hit_their_rows_alone() {
    let mut google = Google::with_customer();
    let code = "conversionUploadError.TOO_RECENT_EVENT";
    google.processing.row_errors.insert(1, code.to_owned());
    let told = google.upload(&[conversion("o1"), conversion("o2")]);
    assert_eq!(
        (told.codes(0).len(), told.codes(1)),
        (0, vec![code.to_owned()])
    );
    google.processing.row_errors.clear();
    let told = google.upload(&[conversion("o2")]);
    assert!(matches!(told.rulings()[..], [Ruling::Take { .. }]));
}

#[test]
fn a_set_up_is_read_as_json_and_refused_as_a_whole() {
    let mut world = World::default();
    for bad in [
        json!({"customers": [{"id": "123-456-7890"}]}),
        json!({"customers": [{"id": CUSTOMER}], "version_ends": {"26": "2026-01-01T00:00:00Z"}}),
    ] {
        let setup = serde_json::from_value(bad).unwrap();
        assert!(world.set_up(setup).is_err());
        assert_eq!(world.show()["customers"], 0);
    }
    let setup = json!({"customers": [{"id": CUSTOMER, "allowlisted": true, "quota": {"requests": 1, "per_secs": 60}}],
        "known_users": [HASH], "version_ends": {"v26": "2026-11-23T09:00:00Z"}});
    world
        .set_up(serde_json::from_value(setup).unwrap())
        .unwrap();
    let customer = world.customer(CUSTOMER).unwrap();
    assert!(customer.allowlisted && customer.ecl_enabled && customer.terms_accepted);
    assert!(!world.is_alive("v26", now()));
    assert!(serde_json::from_value::<Setup>(json!({"customer": []})).is_err());
}
