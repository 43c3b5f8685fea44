//! How Meta's answers are read: the whole table of codes, and anything at all.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::outcome::Verdict;

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        body: body.as_bytes().to_vec(),
        ..Reply::default()
    }
}

fn refused(code: i64, subcode: Option<i64>, status: u16) -> Verdict {
    let body = json!({ "error": { "message": "x", "code": code, "error_subcode": subcode } });
    classify(&reply(status, &body.to_string()), 2).verdict
}

#[test]
fn the_table_of_codes_is_read_whatever_the_status() {
    for status in [200, 400, 401, 403, 500] {
        for subcode in [
            None,
            Some(34),
            Some(2804003),
            Some(2804009),
            Some(2804050),
            Some(2804066),
            Some(2804001),
            Some(2804048),
        ] {
            assert_eq!(refused(100, subcode, status), Verdict::BatchRejected);
        }
        assert_eq!(refused(105, None, status), Verdict::BatchRejected);
        assert_eq!(
            refused(100, Some(33), status),
            Verdict::All(Outcome::Hold(Hold::Configuration))
        );
        for subcode in [None, Some(460), Some(463)] {
            assert_eq!(
                refused(190, subcode, status),
                Verdict::All(Outcome::Hold(Hold::Credential))
            );
        }
        for code in [3, 10, 102, 104, 200, 201, 294, 299, 2655, 2500, 2635] {
            assert!(
                matches!(refused(code, None, status), Verdict::All(Outcome::Hold(_))),
                "{code}"
            );
        }
        for code in [4, 17, 32, 341, 613, 80_000, 80_004, 80_014] {
            assert_eq!(
                refused(code, None, status),
                Verdict::All(Outcome::RateLimited { after: None }),
                "{code}"
            );
        }
        for code in [1, 2, 5000, -3, 21_009, 368] {
            assert!(
                matches!(
                    refused(code, None, status),
                    Verdict::All(Outcome::Retry {
                        delivered: true,
                        ..
                    })
                ),
                "{code}"
            );
        }
    }
    assert_eq!(
        refused(4711, None, 400),
        Verdict::All(Outcome::Unrecognised)
    );
    assert!(matches!(
        refused(4711, None, 500),
        Verdict::All(Outcome::Retry { .. })
    ));
    let transient = r#"{"error":{"code":100,"is_transient":true}}"#;
    assert!(matches!(
        classify(&reply(400, transient), 1).verdict,
        Verdict::All(Outcome::Retry { .. })
    ));
}

#[test]
fn a_success_must_count_what_was_sent() {
    let verdict = |body: &str| classify(&reply(200, body), 2).verdict;
    assert_eq!(
        verdict(r#"{"events_received":2}"#),
        Verdict::All(Outcome::Accepted)
    );
    assert_eq!(
        verdict(r#"{"events_received":1,"messages":[]}"#),
        Verdict::All(Outcome::Miscounted)
    );
    assert_eq!(verdict("{}"), Verdict::All(Outcome::Ambiguous));
    assert_eq!(verdict("<html>"), Verdict::All(Outcome::Ambiguous));
}

#[test]
fn a_success_with_an_error_is_none() {
    for error in [
        json!("x"),
        json!([]),
        json!({ "code": "190" }),
        json!(false),
    ] {
        let body = json!({ "events_received": 2, "error": error });
        let answer = classify(&reply(200, &body.to_string()), 2);
        assert_eq!(answer.verdict, Verdict::All(Outcome::Ambiguous), "{error}");
    }
    let fine = json!({ "events_received": 2, "error": null });
    let answer = classify(&reply(200, &fine.to_string()), 2);
    assert_eq!(answer.verdict, Verdict::All(Outcome::Accepted));
}

#[test]
fn no_code_is_as_long_as_a_telephone_number() {
    let code = |code: i64, subcode: i64| {
        let body = json!({ "error": { "code": code, "error_subcode": subcode } });
        classify(&reply(400, &body.to_string()), 1).code
    };
    assert_eq!(code(100, 2_804_050).as_deref(), Some("100/2804050"));
    assert_eq!(code(100, 491_705_550_199).as_deref(), Some("100"));
    assert_eq!(code(491_705_550_199, 1).as_deref(), Some("unreadable"));
    assert_eq!(code(i64::MIN, 1).as_deref(), Some("unreadable"));
}

#[test]
fn the_longest_of_all_waits_counts() {
    let mut throttled = reply(400, r#"{"error":{"code":80004}}"#);
    throttled.headers = vec![
        ("x-business-use-case-usage".into(), r#"{"1":[{"estimated_time_to_regain_access":3}],"2":[{"estimated_time_to_regain_access":5}]}"#.into()),
        ("x-ad-account-usage".into(), r#"{"reset_time_duration":90}"#.into()),
        ("retry-after".into(), "60".into()),
    ];
    assert_eq!(throttled_for(&throttled), Some(Duration::from_secs(300)));
    throttled.headers.remove(0);
    assert_eq!(throttled_for(&throttled), Some(Duration::from_secs(90)));
}

proptest! {
    #[test]
    fn any_answer_can_be_read(
        status in 0u16..1000, body in proptest::collection::vec(any::<u8>(), 0..200), wait in ".{0,40}", sent in 0usize..1000,
    ) {
        let names = ["retry-after", "x-business-use-case-usage", "x-ad-account-usage", "x-ad-api-version-warning"];
        let headers = names.map(|name| (name.to_owned(), wait.clone())).to_vec();
        classify(&Reply { status, headers, body }, sent);
    }

    #[test]
    fn any_error_object_can_be_read(code in any::<i64>(), subcode in any::<Option<i64>>(), minutes in any::<u64>(), status in 100u16..600) {
        let body = json!({ "error": { "code": code, "error_subcode": subcode } }).to_string().into_bytes();
        let usage = json!({ "1": [{ "estimated_time_to_regain_access": minutes }] }).to_string();
        let answer = classify(&Reply { status, headers: vec![("x-business-use-case-usage".into(), usage)], body }, 1);
        prop_assert!(answer.code.is_some());
        prop_assert!(!matches!(answer.verdict, Verdict::All(Outcome::Accepted)));
    }
}
