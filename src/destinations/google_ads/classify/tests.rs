//! How the Google Ads API's answers are read.

use proptest::prelude::*;
use serde_json::json;

use super::super::tests::settings;
use super::*;
use crate::destinations::google::answer::{TOO_YOUNG, TRANSIENT};
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

#[test]
fn an_error_in_a_place_that_cannot_be_read_is_nobodys() {
    for index in [json!(-1), json!("1"), json!(1.5), json!([1])] {
        let mut bad = error("conversionUploadError", "UNPARSEABLE_GCLID", Some(1));
        bad["location"]["fieldPathElements"][0]["index"] = index.clone();
        let body = partial(vec![bad], 3);
        let answer = read("", &reply(200, &body), 3);
        assert_eq!(answer.verdict, Verdict::All(Outcome::Ambiguous), "{index}");
    }
}

#[test]
fn an_error_of_no_row_takes_back_no_result() {
    let mut body = partial(
        vec![error("conversionUploadError", "UNPARSEABLE_GCLID", None)],
        2,
    );
    body["results"][0] = json!({ "gclid": "Cj0" });
    let answer = read("", &reply(200, &body), 2);
    let told: Vec<Outcome> = rows(&answer)
        .into_iter()
        .map(|(outcome, _)| outcome)
        .collect();
    assert_eq!(told, [Outcome::Accepted, Outcome::Rejected]);
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
fn an_action_that_is_too_young_waits_whole() {
    let body = |row| {
        failure(vec![error(
            "conversionUploadError",
            "TOO_RECENT_CONVERSION_ACTION",
            row,
        )])
    };
    let whole = read("", &reply(400, &json!({ "error": body(None) })), 2);
    assert_eq!(whole.verdict, Verdict::All(TOO_YOUNG));
    let of_row = read("", &reply(400, &json!({ "error": body(Some(1)) })), 2);
    assert_eq!(rows(&of_row)[1].0, TOO_YOUNG);
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
