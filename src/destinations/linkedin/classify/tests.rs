//! How LinkedIn's answers are read: the whole table, and anything at all.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const IN_TIME: &str =
    "Conversion time should be within 90 days and not exceed current time, indices";

fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply {
        status,
        body: body.into(),
        ..Reply::default()
    }
}

fn refused(status: u16, message: &str, sent: usize) -> Answer {
    let body = json!({ "status": status, "message": message }).to_string();
    classify(&reply(status, body), sent)
}

fn all(outcome: Outcome, code: &str) -> (Verdict, Option<String>) {
    (Verdict::All(outcome), Some(code.to_owned()))
}

fn said(answer: Answer) -> (Verdict, Option<String>) {
    (answer.verdict, answer.code)
}

/// Which events are to blame; the others must go again.
#[track_caller]
fn check_blamed(answer: &Answer, culprits: &[usize], code: &str) {
    check_fate(answer, culprits, code, Outcome::Rejected);
}

fn check_fate(answer: &Answer, culprits: &[usize], code: &str, fate: Outcome) {
    let Verdict::Each(rows) = &answer.verdict else {
        panic!("not each: {answer:?}")
    };
    for (n, row) in rows.iter().enumerate() {
        let outcome = if culprits.contains(&n) {
            fate
        } else {
            Outcome::Bystander
        };
        assert_eq!(
            (row.outcome, row.code.as_deref()),
            (outcome, Some(code)),
            "{n}"
        );
    }
}

const RETRY: Outcome = Outcome::Retry {
    after: None,
    delivered: true,
};

#[test]
fn one_event_is_taken_with_201() {
    assert_eq!(classify(&reply(201, ""), 1), Answer::all(Outcome::Accepted));
    for (status, body, sent) in [
        (200, "", 1),
        (204, "", 1),
        (200, "<html>", 1),
        (201, "", 2),
        (201, "<html>", 1),
        (201, "\u{1f}\u{8b}", 1),
        (200, "{}", 2),
        (200, r#"{"elements":[{"status":201}]}"#, 2),
        (
            200,
            r#"{"elements":[{"status":201},{"status":201},{"status":2"#,
            3,
        ),
    ] {
        let unclear = Answer::all(Outcome::Ambiguous).notice(Notice::CountMismatch);
        assert_eq!(
            classify(&reply(status, body), sent),
            unclear,
            "{status} {body}"
        );
    }
}

#[test]
fn a_batch_is_read_event_by_event() {
    let body = json!({ "elements": [
        { "status": 201 },
        { "status": 400, "error": { "message": "Conversion time should be …", "status": 400 } },
        { "status": 422, "message": "ERROR :: /user/userIds :: field is required", "code": "INVALID_INPUT" },
        { "status": 403, "error": { "code": "USER_NOT_AUTHORIZED" } },
        { "status": 401, "error": { "serviceErrorCode": 65600 } },
        { "status": 429 }, { "status": 500 }, { "status": 70_000 }, {}, { "status": 201 },
    ] });
    let answer = classify(&reply(200, body.to_string()), 10);
    let Verdict::Each(rows) = &answer.verdict else {
        panic!("{answer:?}")
    };
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (row.outcome, row.code.as_deref()))
        .collect();
    assert_eq!(
        rows,
        [
            (Outcome::Accepted, None),
            (Outcome::AHEAD_OF_ITS_CLOCK, Some("conversion_time")),
            (Outcome::Rejected, Some("INVALID_INPUT")),
            (Outcome::HoldRule, Some("USER_NOT_AUTHORIZED")),
            (Outcome::Hold(Hold::Credential), Some("65600")),
            (
                Outcome::RateLimited {
                    after: Some(Duration::from_secs(30))
                },
                None
            ),
            (RETRY, None),
            (Outcome::Ambiguous, None),
            (Outcome::Ambiguous, None),
            (Outcome::Accepted, None),
        ]
    );
    assert_eq!(answer.notice, Some(Notice::BadRequestForm));
}

#[test]
fn culprits_are_named_by_their_place() {
    for message in [
        format!("{IN_TIME} [0, 2] (0-indexed)."),
        "com.linkedin.Fault: INVALID_CONVERSION_TIME_FIELD_VALUE at x, batchIndex=0; INVALID_CONVERSION_TIME_FIELD_VALUE, batchIndex=2".to_owned(),
    ] {
        check_fate(&refused(400, &message, 4), &[0, 2], "conversion_time", Outcome::AHEAD_OF_ITS_CLOCK);
    }
    let nobody = "Each event must contain one of these fields: userIds, indices [1]";
    check_blamed(&refused(400, nobody, 2), &[1], "user_identification");

    let code = "INVALID_USER_IDENTIFICATION_FIELD_VALUE";
    let body = json!({ "status": 400, "code": code, "message": "x, batchIndex=1" });
    let answer = classify(&reply(400, body.to_string()), 2);
    check_blamed(&answer, &[1], code);
    assert_eq!(answer.notice, None);

    let schema = "Index: 1, ERROR :: /user/lead :: Invalid Urn format. Invalid prefix.\nERROR :: /x :: unrecognized field found but not allowed\nIndex: 12, ERROR :: /conversionValue/amount :: 19.9 cannot be coerced to String";
    let answer = refused(422, schema, 13);
    check_blamed(&answer, &[1, 12], "schema");
    assert_eq!(answer.notice, Some(Notice::BadRequestForm));
    let alone = refused(400, &format!("{IN_TIME} [0]"), 1);
    assert_eq!(
        said(alone),
        (
            Verdict::All(Outcome::AHEAD_OF_ITS_CLOCK),
            Some("conversion_time".to_owned())
        )
    );
}

#[test]
fn without_places_the_batch_is_split() {
    for message in [
        "Conversion time should be within 90 days".to_owned(),
        format!("{IN_TIME} []"),
        format!("{IN_TIME} [two]"),
        format!("{IN_TIME} [0, 3]"),
        format!("{IN_TIME} [99999999999999999999999]"),
        "INVALID_CONVERSION_TIME_FIELD_VALUE batchIndex=".to_owned(),
    ] {
        let expected = (Verdict::BatchRejected, Some("conversion_time".to_owned()));
        assert_eq!(said(refused(400, &message, 3)), expected, "{message}");
    }
    let schema = refused(422, "ERROR :: /eventId :: field is required", 1);
    assert_eq!(
        said(schema),
        (Verdict::BatchRejected, Some("schema".to_owned()))
    );
    let unknown = refused(400, "jane@example.com is odd", 3);
    assert_eq!(unknown.notice, Some(Notice::UnrecognisedCode));
    assert_eq!(
        said(unknown),
        (Verdict::BatchRejected, Some("bad_request".to_owned()))
    );
    assert_eq!(classify(&reply(413, ""), 3).verdict, Verdict::BatchRejected);
}

#[test]
fn what_is_wrong_with_a_rule_holds_the_rule() {
    for (message, word) in [
        (
            "Conversion's method should be CONVERSIONS_API, indices [1]",
            "rule_method",
        ),
        (
            "Event sent for a conversion that's marked as deleted. Conversion enabled should be true",
            "rule_disabled",
        ),
    ] {
        assert_eq!(said(refused(400, message, 3)), all(Outcome::HoldRule, word));
    }
    let forbidden = refused(403, "No ad accounts found", 1);
    assert_eq!(said(forbidden), all(Outcome::HoldRule, "forbidden"));
    let body = r#"{"status":403,"code":"USER_NOT_AUTHORIZED","message":"x"}"#;
    assert_eq!(
        said(classify(&reply(403, body), 1)),
        all(Outcome::HoldRule, "USER_NOT_AUTHORIZED")
    );
}

#[test]
fn the_destination_is_held_for_what_concerns_all() {
    let coded = |status: u16, code: &str| {
        let body = json!({ "status": status, "code": code, "message": "x" }).to_string();
        said(classify(&reply(status, body), 2))
    };
    for code in [
        "EMPTY_ACCESS_TOKEN",
        "INVALID_ACCESS_TOKEN",
        "REVOKED_ACCESS_TOKEN",
    ] {
        assert_eq!(coded(401, code), all(Outcome::Hold(Hold::Credential), code));
    }
    let version = Outcome::Hold(Hold::Version);
    assert_eq!(
        coded(400, "VERSION_MISSING"),
        all(version, "VERSION_MISSING")
    );
    assert_eq!(
        coded(426, "NONEXISTENT_VERSION"),
        all(version, "NONEXISTENT_VERSION")
    );
    for status in [302, 404, 405, 411] {
        assert_eq!(
            refused(status, "x", 2).verdict,
            Verdict::All(Outcome::Hold(Hold::Configuration)),
            "{status}"
        );
    }
    assert_eq!(refused(404, "x", 2).notice, Some(Notice::WrongAddress));
}

#[test]
fn what_passes_is_tried_again() {
    for status in [408, 500, 502, 503, 504] {
        assert_eq!(
            refused(status, "x", 2).verdict,
            Verdict::All(RETRY),
            "{status}"
        );
    }
    for status in [400, 403, 418, 422] {
        let page = classify(&reply(status, " <!DOCTYPE html><p>indices [0]"), 2);
        assert_eq!(page.verdict, Verdict::All(RETRY), "a page with {status}");
    }
    let throttled = |wait: &str| {
        let mut reply = reply(
            429,
            r#"{"status":429,"message":"Resource level throttle limit"}"#,
        );
        reply.headers = vec![("retry-after".into(), wait.into())];
        classify(&reply, 2).verdict
    };
    for (wait, after) in [("60", Some(60)), ("86400", Some(900)), ("soon", Some(30))] {
        let after = after.map(Duration::from_secs);
        assert_eq!(
            throttled(wait),
            Verdict::All(Outcome::RateLimited { after })
        );
    }
}

#[test]
fn an_unknown_refusal_is_told() {
    let answer = refused(418, "x", 2);
    assert_eq!(answer.verdict, Verdict::All(Outcome::Unrecognised));
    assert_eq!(answer.notice, Some(Notice::UnrecognisedCode));
}

#[test]
fn a_text_of_theirs_is_never_kept() {
    for code in ["jane@example.com", "Jane", "", "JANE DOE", &"A".repeat(65)] {
        let body = json!({ "code": code, "message": "jane@example.com" }).to_string();
        let answer = classify(&reply(400, body), 1);
        assert_eq!(answer.code.as_deref(), Some("bad_request"), "{code}");
    }
}

/// Each event has an outcome, and only a success accepts one.
fn check_any(reply: &Reply, sent: usize) -> Result<(), TestCaseError> {
    let answer = classify(reply, sent);
    let is_success = (200..300).contains(&reply.status);
    match &answer.verdict {
        Verdict::Each(rows) => {
            prop_assert_eq!(rows.len(), sent);
            let is_accepted = |row: &RowAnswer| row.outcome == Outcome::Accepted;
            prop_assert!(is_success || !rows.iter().any(is_accepted));
            let are_all_bystanders = rows.iter().all(|row| row.outcome == Outcome::Bystander);
            prop_assert!(!are_all_bystanders, "the same request again, for ever");
        }
        Verdict::All(outcome) => prop_assert!(is_success || *outcome != Outcome::Accepted),
        Verdict::BatchRejected => prop_assert!(!is_success),
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_answer_can_be_read(
        status in 0u16..1000, body in proptest::collection::vec(any::<u8>(), 0..200), wait in ".{0,40}", sent in 1usize..1000,
    ) {
        let headers = vec![("retry-after".to_owned(), wait)];
        check_any(&Reply { status, headers, body }, sent)?;
    }

    #[test]
    fn any_message_can_be_read(
        status in 400u16..430, message in "(indices \\[|batchIndex=|\nIndex: |ERROR|, |\\]|[0-9]{1,25}|.){0,30}", sent in 1usize..20,
    ) {
        let body = json!({ "status": status, "message": message }).to_string().into_bytes();
        check_any(&reply(status, body), sent)?;
    }

    #[test]
    fn any_batch_answer_can_be_read(statuses in proptest::collection::vec(any::<Option<u32>>(), 0..20), sent in 1usize..20) {
        let elements: Vec<Value> = statuses.iter().map(|status| json!({ "status": status.map(|n| n % 700) })).collect();
        let answer = reply(200, json!({ "elements": elements }).to_string());
        check_any(&answer, sent)?;
        check_any(&answer, statuses.len().max(1))?;
    }
}
