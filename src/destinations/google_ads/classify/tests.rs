//! How the Google Ads API's answers are read.

use proptest::prelude::*;
use serde_json::json;

use super::super::tests::settings;
use super::*;
use crate::destinations::google::answer::{ORIGINAL_NOT_FOUND, TOO_YOUNG, TRANSIENT};
use crate::outcome::{Hold, Verdict};

fn items(count: usize) -> Vec<Item> {
    let item = Item::new("{}".into()).of("click", "7712337565");
    std::iter::repeat_n(item, count).collect()
}

fn read(lines: &str, reply: &Reply, sent: usize) -> Answer {
    let items = items(sent);
    classify(&settings(lines), reply, &items.iter().collect::<Vec<_>>())
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.to_string().into(),
    }
}

/// One error, at a row or nowhere.
fn error(key: &str, code: &str, row: Option<usize>) -> Value {
    let mut error = json!({ "errorCode": { key: code }, "message": "alexz@example.com", "trigger": { "stringValue": "Cj0KCQiA-example" } });
    if let Some(row) = row {
        let first = match row {
            0 => json!({ "fieldName": "conversions" }),
            _ => json!({ "fieldName": "conversions", "index": row }),
        };
        error["location"] = json!({ "fieldPathElements": [first, { "fieldName": "gclid" }] });
    }
    error
}

fn failure(errors: Vec<Value>) -> Value {
    json!({ "code": 3, "message": "a, at conversions[1].gclid", "details": [{
        "@type": "type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure", "errors": errors, "requestId": "qTx3" }] })
}

/// A 200 with these errors; rows without one have a result.
fn partial(errors: Vec<Value>, sent: usize) -> Value {
    let is_wrong = |row: usize| {
        errors
            .iter()
            .any(|error| match &error["location"]["fieldPathElements"][0] {
                Value::Null => true,
                first => first["index"].as_u64().unwrap_or(0) == row as u64,
            })
    };
    let results: Vec<Value> = (0..sent)
        .map(|row| {
            if is_wrong(row) {
                json!({})
            } else {
                json!({ "gclid": "Cj0" })
            }
        })
        .collect();
    json!({ "partialFailureError": failure(errors), "results": results, "jobId": "2147483999" })
}

fn rows(answer: &Answer) -> Vec<(Outcome, Option<&str>)> {
    match &answer.verdict {
        Verdict::Each(rows) => rows
            .iter()
            .map(|row| (row.outcome, row.code.as_deref()))
            .collect(),
        other => panic!("not row by row: {other:?}"),
    }
}

/// What one row with this error is.
fn outcome(key: &str, code: &str) -> Outcome {
    let answer = read(
        "",
        &reply(200, &partial(vec![error(key, code, Some(0))], 1)),
        1,
    );
    rows(&answer)[0].0
}

#[test]
fn every_row_has_its_result_or_its_error() {
    let body = partial(
        vec![
            error("conversionUploadError", "TOO_RECENT_EVENT", Some(1)),
            error("conversionUploadError", "CLICK_NOT_FOUND", Some(0)),
        ],
        4,
    );
    let answer = read("", &reply(200, &body), 4);
    assert_eq!(
        rows(&answer),
        [
            (Outcome::Unmatched, Some("CLICK_NOT_FOUND")),
            (TOO_YOUNG, Some("TOO_RECENT_EVENT")),
            (Outcome::Accepted, None),
            (Outcome::Accepted, None),
        ]
    );
    assert_eq!(answer.notice, None);
}

#[test]
fn every_code_has_its_class() {
    let of_upload = |code: &str| outcome("conversionUploadError", code);
    for code in ["ORDER_ID_ALREADY_IN_USE", "CLICK_CONVERSION_ALREADY_EXISTS"] {
        assert_eq!(of_upload(code), Outcome::Duplicate, "{code}");
    }
    for code in [
        "NO_CONVERSION_ACTION_FOUND",
        "INVALID_CONVERSION_ACTION_TYPE",
        "UNAUTHORIZED_CUSTOMER",
    ] {
        assert_eq!(of_upload(code), Outcome::HoldRule, "{code}");
    }
    for code in [
        "UNPARSEABLE_GCLID",
        "EXPIRED_EVENT",
        "ORDER_ID_CONTAINS_PII",
        "CUSTOM_VARIABLE_NOT_ENABLED",
        "GBRAID_WBRAID_BOTH_SET",
    ] {
        assert_eq!(of_upload(code), Outcome::Rejected, "{code}");
    }
    for code in [
        "DUPLICATE_ORDER_ID",
        "DUPLICATE_CLICK_CONVERSION_IN_REQUEST",
    ] {
        assert_eq!(of_upload(code), TRANSIENT, "{code}");
    }
    assert_eq!(of_upload("EVENT_NOT_FOUND"), Outcome::Unmatched);
    assert_eq!(of_upload("TOO_RECENT_CONVERSION_ACTION"), TOO_YOUNG);
    assert_eq!(
        of_upload("CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS"),
        Outcome::Hold(Hold::Permission)
    );
    let of_adjustment = |code: &str| outcome("conversionAdjustmentUploadError", code);
    for code in [
        "CONVERSION_ALREADY_RETRACTED",
        "RESTATEMENT_ALREADY_EXISTS",
        "CONVERSION_ALREADY_ENHANCED",
        "MORE_RECENT_RESTATEMENT_FOUND",
    ] {
        assert_eq!(of_adjustment(code), Outcome::Duplicate, "{code}");
    }
    assert_eq!(of_adjustment("CONVERSION_NOT_FOUND"), ORIGINAL_NOT_FOUND);
    assert_eq!(of_adjustment("CONVERSION_EXPIRED"), Outcome::Rejected);
    assert!(
        matches!(of_adjustment("TOO_RECENT_CONVERSION"), Outcome::TooEarly { after, .. } if after.as_secs() == 86_400)
    );
    for (key, code, expected) in [
        (
            "authenticationError",
            "OAUTH_TOKEN_EXPIRED",
            Outcome::Hold(Hold::Credential),
        ),
        (
            "authenticationError",
            "CUSTOMER_NOT_FOUND",
            Outcome::Hold(Hold::Configuration),
        ),
        (
            "authorizationError",
            "USER_PERMISSION_DENIED",
            Outcome::Hold(Hold::Permission),
        ),
        (
            "headerError",
            "INVALID_LOGIN_CUSTOMER_ID",
            Outcome::Hold(Hold::Configuration),
        ),
        (
            "requestError",
            "INVALID_CUSTOMER_ID",
            Outcome::Hold(Hold::Configuration),
        ),
        (
            "requestError",
            "UNSUPPORTED_VERSION",
            Outcome::Hold(Hold::Version),
        ),
        ("requestError", "RESOURCE_NAME_MALFORMED", Outcome::Rejected),
        (
            "quotaError",
            "ACCESS_PROHIBITED",
            Outcome::Hold(Hold::Permission),
        ),
        (
            "quotaError",
            "RESOURCE_EXHAUSTED",
            Outcome::RateLimited {
                after: Some(THROTTLED),
            },
        ),
        ("internalError", "TRANSIENT_ERROR", TRANSIENT),
        ("databaseError", "CONCURRENT_MODIFICATION", TRANSIENT),
        ("currencyCodeError", "UNSUPPORTED", Outcome::Rejected),
        (
            "notAllowlistedError",
            "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE",
            Outcome::Hold(Hold::NotAllowlisted),
        ),
    ] {
        assert_eq!(outcome(key, code), expected, "{key} {code}");
    }
}

#[test]
fn a_closed_door_is_not_a_closed_field() {
    for (field, expected) in [
        ("session_attributes_encoded", Outcome::Rejected),
        ("session_attributes_key_value_pairs", Outcome::Rejected),
        ("user_ip_address", Outcome::Rejected),
        ("conversion_environment", Outcome::Rejected),
        ("gclid", Outcome::Hold(Hold::NotAllowlisted)),
    ] {
        let mut one = error(
            "notAllowlistedError",
            "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE",
            Some(0),
        );
        one["location"]["fieldPathElements"][1]["fieldName"] = field.into();
        let answer = read("", &reply(200, &partial(vec![one], 1)), 1);
        assert_eq!(rows(&answer)[0].0, expected, "{field}");
    }
}

#[test]
fn the_gravest_of_several_errors_counts() {
    let codes = [
        (
            "authorizationError",
            "USER_PERMISSION_DENIED",
            Outcome::Hold(Hold::Permission),
        ),
        (
            "conversionUploadError",
            "NO_CONVERSION_ACTION_FOUND",
            Outcome::HoldRule,
        ),
        (
            "quotaError",
            "RESOURCE_EXHAUSTED",
            Outcome::RateLimited {
                after: Some(THROTTLED),
            },
        ),
        ("internalError", "INTERNAL_ERROR", TRANSIENT),
        ("conversionUploadError", "EXPIRED_EVENT", Outcome::Rejected),
        ("conversionUploadError", "TOO_RECENT_EVENT", TOO_YOUNG),
        (
            "conversionUploadError",
            "CLICK_NOT_FOUND",
            Outcome::Unmatched,
        ),
        (
            "conversionUploadError",
            "ORDER_ID_ALREADY_IN_USE",
            Outcome::Duplicate,
        ),
    ];
    for (n, (_, code, expected)) in codes.iter().enumerate() {
        let errors = codes[n..]
            .iter()
            .rev()
            .map(|(key, code, _)| error(key, code, Some(0)));
        let answer = read("", &reply(200, &partial(errors.collect(), 2)), 2);
        assert_eq!(
            rows(&answer),
            [(*expected, Some(*code)), (Outcome::Accepted, None)]
        );
    }
}

#[test]
fn an_error_of_no_row_concerns_all() {
    let one = error(
        "notAllowlistedError",
        "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE",
        None,
    );
    let answer = read("", &reply(200, &partial(vec![one], 2)), 2);
    let closed = (
        Outcome::Hold(Hold::NotAllowlisted),
        Some("CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"),
    );
    assert_eq!(rows(&answer), [closed, closed]);
}

#[test]
fn rows_that_are_only_validated_have_no_result() {
    let lines = "validate_only = true";
    assert_eq!(
        rows(&read(lines, &reply(200, &json!({})), 2)),
        [(Outcome::Validated, None); 2]
    );
    let body = json!({ "partialFailureError": failure(vec![error("conversionUploadError", "EXPIRED_EVENT", Some(1))]) });
    assert_eq!(
        rows(&read(lines, &reply(200, &body), 2)),
        [
            (Outcome::Validated, None),
            (Outcome::Rejected, Some("EXPIRED_EVENT"))
        ]
    );
}

#[test]
fn an_answer_that_does_not_add_up_proves_nothing() {
    let empty = json!({ "results": [{}, { "gclid": "x" }] });
    assert_eq!(
        rows(&read("", &reply(200, &empty), 2)),
        [(Outcome::Ambiguous, None), (Outcome::Accepted, None)]
    );
    let unsaid = json!({ "partialFailureError": { "code": 3 }, "results": [{}] });
    assert_eq!(
        rows(&read("", &reply(200, &unsaid), 1)),
        [(Outcome::Unrecognised, None)]
    );
    let foreign = partial(
        vec![error("conversionUploadError", "EXPIRED_EVENT", Some(7))],
        8,
    );
    assert_eq!(
        read("", &reply(200, &foreign), 2).verdict,
        Verdict::All(Outcome::Ambiguous)
    );
    assert_eq!(
        read("", &reply(200, &json!("proxy")), 2).verdict,
        Verdict::All(Outcome::Ambiguous)
    );
}

#[test]
fn an_answer_too_long_to_be_read_is_asked_for_in_parts() {
    let cut = Reply {
        status: 200,
        body: vec![b'['; Reply::BODY_MAX],
        ..Reply::default()
    };
    assert_eq!(read("", &cut, 2).verdict, Verdict::BatchRejected);
    assert_eq!(read("", &cut, 1).verdict, Verdict::All(Outcome::Ambiguous));
}

#[test]
fn an_unknown_code_is_final_and_told() {
    let answer = read(
        "",
        &reply(
            200,
            &partial(vec![error("newError", "SOMETHING_NEW", Some(0))], 2),
        ),
        2,
    );
    assert_eq!(
        rows(&answer),
        [
            (Outcome::Rejected, Some("SOMETHING_NEW")),
            (Outcome::Accepted, None)
        ]
    );
    assert_eq!(answer.notice, Some(Notice::UnrecognisedCode));
    let whole = json!({ "error": failure(vec![error("newError", "SOMETHING_NEW", None)]) });
    for (status, expected) in [
        (400, Verdict::BatchRejected),
        (500, Verdict::All(TRANSIENT)),
        (403, Verdict::All(Outcome::Hold(Hold::Permission))),
    ] {
        let answer = read("", &reply(status, &whole), 2);
        assert_eq!(answer.verdict, expected);
        assert_eq!(answer.code.as_deref(), Some("SOMETHING_NEW"));
        assert_eq!(answer.notice, Some(Notice::UnrecognisedCode));
    }
}

#[test]
fn a_request_may_fail_whole() {
    let whole = |status: u16, key: &str, code: &str| {
        let body = json!({ "error": failure(vec![error(key, code, None)]) });
        read("", &reply(status, &body), 2)
    };
    for (status, key, code, expected) in [
        (
            401,
            "authenticationError",
            "OAUTH_TOKEN_EXPIRED",
            Outcome::Hold(Hold::Credential),
        ),
        (
            403,
            "authorizationError",
            "USER_PERMISSION_DENIED",
            Outcome::Hold(Hold::Permission),
        ),
        (
            400,
            "requestError",
            "UNSUPPORTED_VERSION",
            Outcome::Hold(Hold::Version),
        ),
        (500, "internalError", "INTERNAL_ERROR", TRANSIENT),
    ] {
        let answer = whole(status, key, code);
        assert_eq!(answer.verdict, Verdict::All(expected), "{code}");
        assert_eq!(answer.code.as_deref(), Some(code));
    }
    let form = whole(400, "partialFailureError", "PARTIAL_FAILURE_MODE_REQUIRED");
    assert_eq!(
        (form.verdict, form.notice),
        (Verdict::BatchRejected, Some(Notice::BadRequestForm))
    );
    let many = error(
        "conversionUploadError",
        "TOO_MANY_CONVERSIONS_IN_REQUEST",
        None,
    );
    let many = read("", &reply(200, &partial(vec![many], 2)), 2);
    assert_eq!(
        (many.verdict, many.notice),
        (Verdict::BatchRejected, Some(Notice::BadRequestForm))
    );
    for (status, expected) in [
        (401, Verdict::All(Outcome::Hold(Hold::Credential))),
        (404, Verdict::All(Outcome::Hold(Hold::Configuration))),
        (
            429,
            Verdict::All(Outcome::RateLimited {
                after: Some(THROTTLED),
            }),
        ),
        (503, Verdict::All(TRANSIENT)),
        (400, Verdict::BatchRejected),
    ] {
        assert_eq!(
            read("", &reply(status, &json!({})), 2).verdict,
            expected,
            "{status}"
        );
    }
}

#[test]
fn a_body_that_cannot_be_parsed_is_our_fault() {
    let body = json!({ "error": { "status": "INVALID_ARGUMENT", "details": [{ "fieldViolations": [{ "description": "Unknown name" }] }] } });
    let answer = read("", &reply(400, &body), 2);
    assert_eq!(
        (answer.verdict, answer.notice),
        (Verdict::BatchRejected, Some(Notice::BadRequestForm))
    );
    assert_eq!(answer.code.as_deref(), Some("INVALID_ARGUMENT"));
}

#[test]
fn rows_that_had_the_request_refused_let_the_others_go() {
    let body = json!({ "error": failure(vec![error("fieldError", "REQUIRED", Some(1))]) });
    let answer = read("", &reply(400, &body), 3);
    assert_eq!(
        rows(&answer),
        [
            (Outcome::Bystander, None),
            (Outcome::Rejected, Some("REQUIRED")),
            (Outcome::Bystander, None)
        ]
    );
}

#[test]
fn throttling_waits_as_long_as_google_says() {
    let mut one = error("quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", None);
    one["details"] = json!({ "quotaErrorDetails": { "rateScope": "ACCOUNT", "rateName": "x", "retryDelay": "42s" } });
    let answer = read("", &reply(429, &json!({ "error": failure(vec![one]) })), 2);
    let after = Some(Duration::from_secs(42));
    assert_eq!(answer.verdict, Verdict::All(Outcome::RateLimited { after }));
}

/// Errors anywhere, known and unknown.
fn any_errors() -> impl Strategy<Value = Vec<Value>> {
    let one = (0_usize..8, 0_usize..8).prop_map(|(row, code)| {
        let codes = [
            ("conversionUploadError", "EXPIRED_EVENT"),
            ("conversionUploadError", "ORDER_ID_ALREADY_IN_USE"),
            ("conversionUploadError", "TOO_MANY_CONVERSIONS_IN_REQUEST"),
            ("quotaError", "RESOURCE_EXHAUSTED"),
            ("authorizationError", "X"),
            ("newError", "SOMETHING_NEW"),
            ("newError", "a@example.com"),
            ("internalError", "INTERNAL_ERROR"),
        ];
        let (key, code) = codes[code];
        error(key, code, (row < 7).then_some(row))
    });
    proptest::collection::vec(one, 0..6)
}

proptest! {
    #[test]
    fn any_answer_can_be_read(status in 0_u16..1000, errors in any_errors(), sent in 1_usize..6, results in 0_usize..8, live in any::<bool>()) {
        let mut body = partial(errors.clone(), results);
        body["error"] = failure(errors);
        let lines = if live { "" } else { "validate_only = true" };
        let answer = read(lines, &reply(status, &body), sent);
        if let Verdict::Each(rows) = &answer.verdict {
            prop_assert_eq!(rows.len(), sent);
            prop_assert!(rows.iter().all(|row| !row.code.as_deref().unwrap_or_default().contains('@')));
        }
        prop_assert!(!answer.code.unwrap_or_default().contains('@'));
    }

    #[test]
    fn any_bytes_can_be_read(status in 0_u16..1000, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        read("", &Reply { status, body, ..Reply::default() }, 3);
    }
}
