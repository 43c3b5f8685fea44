//! How Data Manager's answers are read.

use proptest::prelude::*;
use serde_json::json;

use super::super::tests::settings;
use super::*;
use crate::outcome::Verdict;

fn reply(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.to_string().into(),
    }
}

/// An error as the documentation shows it, with these violations: field and reason.
fn refusal(violations: &[(&str, &str)]) -> Value {
    let violations: Vec<Value> = violations
        .iter()
        .map(|(field, reason)| {
            json!({ "field": field, "description": "alexz@example.com", "reason": reason })
        })
        .collect();
    json!({ "error": { "code": 400, "message": "There was a problem with the request.", "status": "INVALID_ARGUMENT", "details": [
        { "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_ARGUMENT", "domain": "datamanager.googleapis.com",
          "metadata": { "requestId": "t-59f75797" } },
        { "@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "t-59f75797" },
        { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations }] } })
}

fn answer(violations: &[(&str, &str)], sent: usize) -> Answer {
    classify(&settings(""), &reply(400, &refusal(violations)), sent)
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

const BYSTANDER: (Outcome, Option<&str>) = (Outcome::Bystander, None);

#[test]
fn what_is_taken_is_asked_for_later() {
    let taken = reply(
        200,
        &json!({ "requestId": "126365e1", "fieldWarnings": [{ "reason": "X" }] }),
    );
    let answer = classify(&settings(""), &taken, 3);
    assert_eq!(answer.verdict, Verdict::All(Outcome::Sent));
    assert_eq!(answer.receipt.as_deref(), Some("126365e1"));
    let validating = settings("validate_only = true");
    let answer = classify(&validating, &taken, 3);
    assert_eq!(
        (answer.verdict, answer.receipt),
        (Verdict::All(Outcome::Validated), None)
    );
    let page = Reply {
        status: 200,
        body: b"<html>log in</html>".to_vec(),
        ..Reply::default()
    };
    assert_eq!(
        classify(&validating, &page, 3).verdict,
        Verdict::All(TRANSIENT)
    );
    for odd in [
        json!({}),
        json!("proxy"),
        json!({ "requestId": "" }),
        json!({ "requestId": "a\u{0}" }),
        json!({ "requestId": "1".repeat(201) }),
        json!({ "requestId": "two words" }),
    ] {
        let answer = classify(&settings(""), &reply(200, &odd), 3);
        assert_eq!(answer.verdict, Verdict::All(Outcome::Ambiguous), "{odd}");
    }
}

#[test]
fn every_violation_counts_and_the_others_go_again() {
    let answer = answer(
        &[
            ("events[3].transaction_id", "REQUIRED_FIELD_MISSING"),
            (
                "events.events[0].user_data.user_identifiers[1]",
                "INVALID_SHA256_FORMAT",
            ),
            ("events[1].transaction_id", "ALREADY_EXISTS"),
        ],
        5,
    );
    assert_eq!(
        rows(&answer),
        [
            (Outcome::Rejected, Some("INVALID_SHA256_FORMAT")),
            (Outcome::Duplicate, Some("ALREADY_EXISTS")),
            BYSTANDER,
            (Outcome::Rejected, Some("REQUIRED_FIELD_MISSING")),
            BYSTANDER,
        ]
    );
    assert_eq!(answer.notice, None);
}

#[test]
fn the_gravest_violation_of_a_row_counts() {
    let wrong = ("events[0].currency", "INVALID_CURRENCY_CODE");
    let known = ("events[0].transaction_id", "ALREADY_EXISTS");
    for violations in [[wrong, known], [known, wrong]] {
        let answer = answer(&violations, 1);
        assert_eq!(rows(&answer), [(Outcome::Rejected, Some(wrong.1))]);
    }
}

#[test]
fn a_row_is_found_wherever_it_stands() {
    for (field, found) in [
        ("events[3].transaction_id", Some(3)),
        ("events.events[12].a", Some(12)),
        ("events[0]", Some(0)),
        ("other_events[3]", None),
        ("my_events[3].events[4]", Some(4)),
        ("events[]", None),
        ("events[-1]", None),
        ("events[+1]", None),
        ("events[99999999999999999999999]", None),
        ("events[3", None),
        ("", None),
    ] {
        assert_eq!(row(field), found, "{field}");
    }
}

#[test]
fn a_row_that_was_not_sent_is_nobody() {
    let answer = answer(&[("events[7].currency", "INVALID_CURRENCY_CODE")], 3);
    assert_eq!(answer.verdict, Verdict::BatchRejected);
    assert_eq!(answer.code.as_deref(), Some("INVALID_CURRENCY_CODE"));
}

#[test]
fn what_concerns_account_or_action_outweighs_every_row() {
    let wrong_row = ("events[0].currency", "INVALID_CURRENCY_CODE");
    for (violation, outcome) in [
        (
            ("destinations[0]", "NOT_ALLOWLISTED"),
            Outcome::Hold(Hold::Permission),
        ),
        (
            (
                "events[1].user_data",
                "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED",
            ),
            Outcome::Hold(Hold::Permission),
        ),
        (
            (
                "destinations[0]",
                "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH",
            ),
            Outcome::Hold(Hold::Configuration),
        ),
        (
            (
                "destinations[0].operating_account.account_id",
                "INVALID_NUMBER_FORMAT",
            ),
            Outcome::Hold(Hold::Configuration),
        ),
        (
            (
                "destinations[0].product_destination_id",
                "INVALID_NUMBER_FORMAT",
            ),
            Outcome::HoldRule,
        ),
        (
            ("destinations[0].product_destination_id", "SOMETHING_NEW"),
            Outcome::HoldRule,
        ),
        (
            (
                "destinations[0].product_destination_id",
                "INVALID_CONVERSION_ACTION_ID",
            ),
            Outcome::HoldRule,
        ),
        (
            ("destinations[0]", "INVALID_CONVERSION_ACTION_TYPE"),
            Outcome::HoldRule,
        ),
        (
            (
                "events[1].event_source",
                "EVENT_SOURCE_AND_DESTINATION_MISMATCH",
            ),
            Outcome::HoldRule,
        ),
        (
            ("destinations[0]", "CONVERSION_ACTION_TOO_RECENTLY_CREATED"),
            TOO_YOUNG,
        ),
        (("", "INTERNAL_ERROR"), TRANSIENT),
        (
            ("", "RESOURCE_EXHAUSTED"),
            Outcome::RateLimited {
                after: Some(THROTTLED),
            },
        ),
    ] {
        let answer = answer(&[wrong_row, violation], 3);
        assert_eq!(answer.verdict, Verdict::All(outcome), "{violation:?}");
        assert_eq!(answer.code.as_deref(), Some(violation.1));
    }
    let both = answer(
        &[
            (
                "destinations[0].product_destination_id",
                "INVALID_CONVERSION_ACTION_ID",
            ),
            ("destinations[0]", "PERMISSION_DENIED"),
        ],
        1,
    );
    assert_eq!(both.verdict, Verdict::All(Outcome::Hold(Hold::Permission)));
}

#[test]
fn a_body_that_cannot_be_parsed_is_our_fault() {
    let body = json!({ "error": { "code": 400, "message": "Invalid JSON payload received.", "status": "INVALID_ARGUMENT", "details": [
        { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
            { "description": "Invalid JSON payload received. Unknown name \"foo\": Cannot find field." }] }] } });
    let answer = classify(&settings(""), &reply(400, &body), 4);
    assert_eq!(answer.verdict, Verdict::BatchRejected);
    assert_eq!(answer.code.as_deref(), Some("INVALID_ARGUMENT"));
    assert_eq!(answer.notice, Some(Notice::BadRequestForm));
    let many = classify(
        &settings(""),
        &reply(400, &refusal(&[("events", "TOO_MANY_EVENTS")])),
        4,
    );
    assert_eq!(
        (many.verdict, many.notice),
        (Verdict::BatchRejected, Some(Notice::BadRequestForm))
    );
    let cut = Reply {
        status: 400,
        body: b"{\"error\":{".to_vec(),
        ..Reply::default()
    };
    let answer = classify(&settings(""), &cut, 4);
    assert_eq!(
        (answer.verdict, answer.notice),
        (Verdict::BatchRejected, None)
    );
}

#[test]
fn an_unknown_reason_goes_by_its_place_and_is_told() {
    let of_row = answer(&[("events[1].x", "SOMETHING_NEW")], 2);
    assert_eq!(
        rows(&of_row),
        [BYSTANDER, (Outcome::Rejected, Some("SOMETHING_NEW"))]
    );
    assert_eq!(of_row.notice, Some(Notice::UnrecognisedCode));
    let of_none = answer(&[("", "SOMETHING_NEW")], 2);
    assert_eq!(of_none.verdict, Verdict::BatchRejected);
    assert_eq!(of_none.notice, Some(Notice::UnrecognisedCode));
}

#[test]
fn the_status_decides_where_no_reason_does() {
    let error = |status: u16, word: &str, reason: &str| {
        let body = json!({ "error": { "status": word, "details": [{ "reason": reason }] } });
        classify(&settings(""), &reply(status, &body), 2)
    };
    for (status, word, reason, outcome) in [
        (
            401,
            "UNAUTHENTICATED",
            "ACCESS_TOKEN_EXPIRED",
            Outcome::Hold(Hold::Credential),
        ),
        (
            401,
            "UNAUTHENTICATED",
            "PERMISSION_DENIED",
            Outcome::Hold(Hold::Credential),
        ),
        (
            403,
            "PERMISSION_DENIED",
            "SERVICE_DISABLED",
            Outcome::Hold(Hold::Permission),
        ),
        (
            403,
            "PERMISSION_DENIED",
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            Outcome::Hold(Hold::Permission),
        ),
        (
            403,
            "PERMISSION_DENIED",
            "INVALID_DESTINATION",
            Outcome::Hold(Hold::Configuration),
        ),
        (
            400,
            "FAILED_PRECONDITION",
            "TERMS_AND_CONDITIONS_NOT_SIGNED",
            Outcome::Hold(Hold::Permission),
        ),
        (
            404,
            "NOT_FOUND",
            "NOT_FOUND",
            Outcome::Hold(Hold::Configuration),
        ),
        (302, "", "", Outcome::Hold(Hold::Configuration)),
        (409, "ALREADY_EXISTS", "ALREADY_EXISTS", Outcome::Duplicate),
        (409, "ABORTED", "ABORTED", TRANSIENT),
        (408, "", "", TRANSIENT),
        (500, "INTERNAL", "INTERNAL_ERROR", TRANSIENT),
        (503, "UNAVAILABLE", "", TRANSIENT),
        (504, "DEADLINE_EXCEEDED", "", TRANSIENT),
        (
            429,
            "RESOURCE_EXHAUSTED",
            "RATE_LIMIT_EXCEEDED",
            Outcome::RateLimited {
                after: Some(THROTTLED),
            },
        ),
    ] {
        assert_eq!(
            error(status, word, reason).verdict,
            Verdict::All(outcome),
            "{status} {reason}"
        );
    }
    assert_eq!(
        error(403, "PERMISSION_DENIED", "SERVICE_DISABLED")
            .code
            .as_deref(),
        Some("SERVICE_DISABLED")
    );
    assert_eq!(error(418, "", "").verdict, Verdict::BatchRejected);
}

#[test]
fn throttling_waits_as_long_as_google_says() {
    let after = |headers: &[(&str, &str)], details: Value| {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let body = json!({ "error": { "status": "RESOURCE_EXHAUSTED", "details": details } });
        let reply = Reply {
            headers: headers.collect(),
            ..reply(429, &body)
        };
        match classify(&settings(""), &reply, 1).verdict {
            Verdict::All(Outcome::RateLimited { after }) => after.map(|wait| wait.as_secs()),
            other => panic!("{other:?}"),
        }
    };
    let info =
        json!([{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12s" }]);
    assert_eq!(after(&[("retry-after", "7")], info), Some(12));
    assert_eq!(after(&[("retry-after", "7")], json!([])), Some(7));
    assert_eq!(after(&[], json!([])), Some(60));
}

/// JSON of any shape, often with the words that are looked for.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("events[1].x".to_owned()),
        Just("destinations[0].product_destination_id".to_owned()),
        Just("REQUIRED_FIELD_MISSING".to_owned()),
        Just("ALREADY_EXISTS".to_owned()),
        Just("30s".to_owned()),
        ".{0,20}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let key = prop_oneof![
            Just("error".to_owned()),
            Just("details".to_owned()),
            Just("fieldViolations".to_owned()),
            Just("field".to_owned()),
            Just("reason".to_owned()),
            Just("retryDelay".to_owned()),
            Just("requestId".to_owned()),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Violations anywhere: in rows, destinations or nowhere, known and unknown.
fn any_refusal() -> impl Strategy<Value = Value> {
    let violation = (0_usize..9, 0_usize..8).prop_map(|(place, reason)| {
        let field = match place {
            8 => "destinations[0]".to_owned(),
            7 => String::new(),
            row => format!("events[{row}].x"),
        };
        let reasons = [
            "REQUIRED_FIELD_MISSING",
            "ALREADY_EXISTS",
            "NOT_ALLOWLISTED",
            "INVALID_CONVERSION_ACTION_ID",
            "TOO_MANY_EVENTS",
            "SOMETHING_NEW",
            "a@example.com",
            "INTERNAL_ERROR",
        ];
        json!({ "field": field, "reason": reasons[reason] })
    });
    proptest::collection::vec(violation, 0..6).prop_map(|all| {
        json!({ "error": { "details": [{ "reason": "INVALID_ARGUMENT" }, { "fieldViolations": all }] } })
    })
}

proptest! {
    #[test]
    fn any_answer_can_be_read(
        status in 0_u16..1000,
        body in prop_oneof![any_json(), any_refusal()],
        wait in ".{0,20}",
        sent in 1_usize..6,
        live in any::<bool>(),
    ) {
        let settings = settings(if live { "" } else { "validate_only = true" });
        let headers = vec![("retry-after".to_owned(), wait)];
        let answer = classify(&settings, &Reply { headers, ..reply(status, &body) }, sent);
        if let Verdict::Each(rows) = &answer.verdict {
            prop_assert_eq!(rows.len(), sent);
        }
        prop_assert!(!answer.code.unwrap_or_default().contains('@'));
    }

    #[test]
    fn any_bytes_can_be_read(status in 0_u16..1000, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        classify(&settings(""), &Reply { status, body, ..Reply::default() }, 3);
    }
}
