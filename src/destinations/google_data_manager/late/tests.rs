//! How late answers are read: counts per reason, of one event or of many.

use proptest::prelude::*;
use serde_json::json;

use super::super::tests::settings;
use super::*;

fn reply(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.to_string().into(),
    }
}

/// A status as the documentation shows it, with these reasons, without their prefix.
fn status(word: &str, carried: u64, reasons: &[(&str, u64)]) -> Value {
    let counts: Vec<Value> = reasons
        .iter()
        .map(|(reason, count)| {
            json!({ "recordCount": count.to_string(), "reason": format!("PROCESSING_ERROR_REASON_{reason}") })
        })
        .collect();
    json!({ "requestStatusPerDestination": [{
        "destination": { "reference": "1", "productDestinationId": "1" },
        "requestStatus": word,
        "errorInfo": { "errorCounts": counts },
        "eventsIngestionStatus": { "recordCount": carried.to_string() } }] })
}

fn answer(word: &str, carried: u64, reasons: &[(&str, u64)]) -> LateAnswer {
    let sent = usize::try_from(carried).expect("a small number");
    classify_late(
        &settings(""),
        &reply(200, &status(word, carried, reasons)),
        sent,
    )
}

fn verdict(word: &str, carried: u64, reasons: &[(&str, u64)]) -> LateVerdict {
    answer(word, carried, reasons).verdict
}

const NARROW: LateVerdict = LateVerdict::SomeFailed { narrow: true };

#[test]
fn what_is_not_known_yet_is_asked_again() {
    for word in ["PROCESSING", "REQUEST_STATUS_UNKNOWN", "SOMETHING_NEW"] {
        assert_eq!(verdict(word, 4, &[]), LateVerdict::Open, "{word}");
    }
    let empty = classify_late(&settings(""), &reply(200, &json!({})), 4);
    assert_eq!((empty.verdict, empty.status), (LateVerdict::Open, None));
    assert_eq!(
        verdict("SUCCESS", 4, &[]),
        LateVerdict::All(Outcome::Accepted)
    );
    assert_eq!(answer("SUCCESS", 4, &[]).status.as_deref(), Some("SUCCESS"));
}

#[test]
fn a_single_event_is_what_its_reason_says() {
    for (reason, outcome) in [
        ("DUPLICATE_GCLID", Outcome::Duplicate),
        ("DUPLICATE_TRANSACTION_ID", Outcome::Duplicate),
        ("TOO_RECENT_CLICK", TOO_YOUNG),
        ("INTERNAL_ERROR", TRANSIENT),
        ("INVALID_CLICK", Outcome::Unmatched),
        ("CLICK_NOT_FOUND", Outcome::Unmatched),
        ("USER_ID_NOT_FOUND", Outcome::Unmatched),
        ("USER_ID_NOT_FOUND_FOR_GCLID", Outcome::Unmatched),
        ("DENIED_CONSENT", Outcome::Rejected),
        (
            "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED",
            Outcome::Hold(Hold::Permission),
        ),
        (
            "EXTERNAL_ATTRIBUTION_DATA_MISSING",
            Outcome::Hold(Hold::Permission),
        ),
        ("KEK_PERMISSION_DENIED", Outcome::Hold(Hold::Configuration)),
        ("INVALID_WIP", Outcome::Hold(Hold::Configuration)),
        ("AWS_AUTH_FAILED", Outcome::Hold(Hold::Configuration)),
        ("EVENT_TOO_OLD", Outcome::Rejected),
        ("INVALID_GCLID", Outcome::Rejected),
        ("ORIGINAL_CONVERSIONS_NOT_FOUND", ORIGINAL_NOT_FOUND),
        ("SOMETHING_NEW", Outcome::Rejected),
    ] {
        for word in ["FAILED", "PARTIAL_SUCCESS"] {
            assert_eq!(
                verdict(word, 1, &[(reason, 1)]),
                LateVerdict::All(outcome),
                "{reason}"
            );
        }
    }
    assert_eq!(
        verdict("FAILED", 1, &[("INVALID_GCLID", 1), ("INTERNAL_ERROR", 1)]),
        LateVerdict::All(TRANSIENT)
    );
}

#[test]
fn whether_some_were_taken_is_told_beside_the_verdict() {
    let reasons = [("TOO_RECENT_CLICK", 1)];
    assert!(answer("PARTIAL_SUCCESS", 3, &reasons).took_some);
    assert!(!answer("PARTIAL_SUCCESS", 1, &reasons).took_some);
    assert!(!answer("FAILED", 3, &reasons).took_some);
}

#[test]
fn one_that_still_waits_is_not_one_that_was_sent() {
    let body = status("PARTIAL_SUCCESS", 5, &[("INVALID_GCLID", 1)]);
    let answer = classify_late(&settings(""), &reply(200, &body), 1);
    assert_eq!(answer.verdict, NARROW, "four others were of the request");
}

#[test]
fn what_failed_whole_failed_alike_or_is_looked_for() {
    assert_eq!(
        verdict("FAILED", 4, &[("INVALID_GCLID", 3), ("EVENT_TOO_OLD", 1)]),
        LateVerdict::All(Outcome::Rejected)
    );
    assert_eq!(
        verdict("FAILED", 4, &[("CLICK_NOT_FOUND", 4)]),
        LateVerdict::All(Outcome::Unmatched)
    );
    assert_eq!(
        verdict("FAILED", 4, &[("DUPLICATE_GCLID", 4)]),
        LateVerdict::All(Outcome::Duplicate)
    );
    assert_eq!(
        verdict("FAILED", 4, &[("INVALID_GCLID", 3), ("CLICK_NOT_FOUND", 1)]),
        NARROW
    );
    assert_eq!(
        verdict("FAILED", 4, &[("INVALID_GCLID", 3), ("INTERNAL_ERROR", 1)]),
        NARROW
    );
    assert_eq!(
        verdict("FAILED", 4, &[]),
        LateVerdict::All(Outcome::Unrecognised)
    );
}

#[test]
fn of_many_some_are_looked_for_only_where_it_matters() {
    for (reasons, expected) in [
        (
            &[("DUPLICATE_GCLID", 1), ("DUPLICATE_TRANSACTION_ID", 1)][..],
            LateVerdict::All(Outcome::Accepted),
        ),
        (&[("CLICK_NOT_FOUND", 1)], LateVerdict::SomeUnmatched),
        (
            &[("CLICK_NOT_FOUND", 1), ("DUPLICATE_GCLID", 2)],
            LateVerdict::SomeUnmatched,
        ),
        (&[("TOO_RECENT_CLICK", 1)], LateVerdict::All(TOO_YOUNG)),
        (
            &[("TOO_RECENT_CLICK", 1), ("CLICK_NOT_FOUND", 1)],
            LateVerdict::All(TOO_YOUNG),
        ),
        (
            &[("INTERNAL_ERROR", 1), ("TOO_RECENT_CLICK", 1)],
            LateVerdict::All(TRANSIENT),
        ),
        (
            &[("ORIGINAL_CONVERSIONS_NOT_FOUND", 1)],
            LateVerdict::All(ORIGINAL_NOT_FOUND),
        ),
        (&[("INVALID_GCLID", 1)], NARROW),
        (&[("INVALID_GCLID", 1), ("INTERNAL_ERROR", 1)], NARROW),
        (
            &[("INVALID_GCLID", 1), ("KEK_PERMISSION_DENIED", 1)],
            LateVerdict::All(Outcome::Hold(Hold::Configuration)),
        ),
        (&[], NARROW),
    ] {
        assert_eq!(
            verdict("PARTIAL_SUCCESS", 25, reasons),
            expected,
            "{reasons:?}"
        );
    }
}

#[test]
fn without_narrowing_what_may_pass_goes_first() {
    let settings = settings("narrow_partial = false");
    let verdict = |reasons: &[(&str, u64)]| {
        let body = status("PARTIAL_SUCCESS", 25, reasons);
        classify_late(&settings, &reply(200, &body), 25).verdict
    };
    assert_eq!(
        verdict(&[("INVALID_GCLID", 1)]),
        LateVerdict::SomeFailed { narrow: false }
    );
    assert_eq!(
        verdict(&[("INVALID_GCLID", 1), ("INTERNAL_ERROR", 1)]),
        LateVerdict::All(TRANSIENT)
    );
    assert_eq!(
        verdict(&[("INVALID_GCLID", 1), ("TOO_RECENT_CLICK", 1)]),
        LateVerdict::All(TOO_YOUNG)
    );
}

#[test]
fn reasons_are_kept_the_one_that_decided_first() {
    let answer = answer(
        "PARTIAL_SUCCESS",
        25,
        &[("CLICK_NOT_FOUND", 7), ("NO_CONSENT", 2)],
    );
    assert_eq!(
        answer.reasons,
        [
            ("PROCESSING_ERROR_REASON_NO_CONSENT".to_owned(), 2),
            ("PROCESSING_ERROR_REASON_CLICK_NOT_FOUND".to_owned(), 7)
        ]
    );
    assert_eq!(answer.notice, Some(Notice::ConsentRefused));
}

#[test]
fn a_reason_may_be_spelt_without_its_word() {
    let mut body = status("FAILED", 1, &[("X", 1)]);
    body["requestStatusPerDestination"][0]["errorInfo"]["errorCounts"][0]["reason"] =
        "PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER".into();
    let answer = classify_late(&settings(""), &reply(200, &body), 1);
    assert_eq!(
        (answer.verdict, answer.notice),
        (LateVerdict::All(Outcome::Rejected), None)
    );
    let new = super::tests::answer("FAILED", 1, &[("SOMETHING_NEW", 1)]);
    assert_eq!(new.notice, Some(Notice::UnrecognisedCode));
    body["requestStatusPerDestination"][0]["errorInfo"]["errorCounts"][0]["reason"] =
        "a@example.com".into();
    let odd = classify_late(&settings(""), &reply(200, &body), 1);
    assert_eq!(odd.reasons, [("UNREADABLE".to_owned(), 1)]);
}

#[test]
fn a_question_may_fail_or_come_too_late() {
    let error = |status: u16, reason: &str| {
        let body = json!({ "error": { "status": "X", "details": [{ "reason": "INVALID_ARGUMENT" },
            { "fieldViolations": [{ "field": "request_id", "reason": reason }] }] } });
        classify_late(&settings(""), &reply(status, &body), 4).verdict
    };
    assert_eq!(error(404, "NOT_FOUND"), LateVerdict::Forgotten);
    assert_eq!(error(400, "REQUEST_TOO_OLD"), LateVerdict::Forgotten);
    for (status, outcome) in [
        (401, Outcome::Hold(Hold::Credential)),
        (403, Outcome::Hold(Hold::Permission)),
        (
            429,
            Outcome::RateLimited {
                after: Some(THROTTLED),
            },
        ),
        (500, TRANSIENT),
        (503, TRANSIENT),
        (400, Outcome::Unrecognised),
    ] {
        assert_eq!(
            error(status, "REQUIRED_FIELD_MISSING"),
            LateVerdict::Unasked(outcome),
            "{status}"
        );
    }
}

proptest! {
    /// Whatever is counted, what some need may be done to all, and nothing final is said of events that may have been taken.
    #[test]
    fn a_partial_failure_never_rejects_what_was_taken(
        reasons in proptest::collection::vec(
            (prop_oneof![Just("INVALID_GCLID"), Just("CLICK_NOT_FOUND"), Just("TOO_RECENT_CLICK"), Just("INTERNAL_ERROR"), Just("DUPLICATE_GCLID"), Just("NEW")], 1_u64..5),
            0..5,
        ),
        narrow in any::<bool>(),
    ) {
        let settings = settings(&format!("narrow_partial = {narrow}"));
        let body = status("PARTIAL_SUCCESS", 25, &reasons);
        let answer = classify_late(&settings, &reply(200, &body), 25);
        prop_assert!(!matches!(answer.verdict, LateVerdict::All(Outcome::Rejected | Outcome::Unmatched | Outcome::Duplicate)));
        prop_assert_eq!(answer.reasons.len(), reasons.len());
    }

    #[test]
    fn any_answer_can_be_read(status in 0_u16..1000, body in proptest::collection::vec(any::<u8>(), 0..200), sent in 0_usize..5) {
        classify_late(&settings(""), &Reply { status, body, ..Reply::default() }, sent);
    }
}
