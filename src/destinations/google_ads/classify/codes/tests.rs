//! What each code means.

use super::*;

/// What a code means at a field that says nothing.
#[track_caller]
fn check(key: &str, codes: &[&str], expected: Outcome) {
    for code in codes {
        assert_eq!(
            meaning(key, code, "gclid"),
            Meaning::Known(expected),
            "{code}"
        );
    }
}

#[test]
fn codes_of_the_account_hold_it() {
    let hold = |key, codes: &[&str], hold| check(key, codes, Outcome::Hold(hold));
    let upload = "conversionUploadError";
    hold(
        "authenticationError",
        &[
            "OAUTH_TOKEN_EXPIRED",
            "OAUTH_TOKEN_REVOKED",
            "SOMETHING_NEW",
        ],
        Hold::Credential,
    );
    hold(
        "authenticationError",
        &["CUSTOMER_NOT_FOUND", "CLIENT_CUSTOMER_ID_INVALID"],
        Hold::Configuration,
    );
    hold("authenticationError", &["NOT_ADS_USER"], Hold::Permission);
    hold(
        "authorizationError",
        &[
            "USER_PERMISSION_DENIED",
            "PROJECT_DISABLED",
            "SOMETHING_NEW",
        ],
        Hold::Permission,
    );
    hold(
        "headerError",
        &["INVALID_LOGIN_CUSTOMER_ID"],
        Hold::Configuration,
    );
    hold(
        "requestError",
        &["INVALID_CUSTOMER_ID", "LOGIN_CUSTOMER_ID_PARAMETER_MISSING"],
        Hold::Configuration,
    );
    hold("requestError", &["UNSUPPORTED_VERSION"], Hold::Version);
    hold(
        "requestError",
        &["CLOUD_PROJECT_NOT_FOUND"],
        Hold::Permission,
    );
    hold("quotaError", &["ACCESS_PROHIBITED"], Hold::Permission);
    hold(
        "notAllowlistedError",
        &["CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"],
        Hold::NotAllowlisted,
    );
    hold(
        upload,
        &[
            "CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS",
            "CUSTOMER_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS",
        ],
        Hold::Permission,
    );
    hold(
        upload,
        &["CUSTOMER_DATA_POLICY_PROHIBITS_ENHANCED_CONVERSIONS"],
        Hold::Permission,
    );
    hold(
        "conversionAdjustmentUploadError",
        &["CUSTOMER_DATA_POLICY_PROHIBITS_ENHANCEMENT"],
        Hold::Permission,
    );
    let actions = [
        "NO_CONVERSION_ACTION_FOUND",
        "INVALID_CONVERSION_ACTION_TYPE",
        "UNAUTHORIZED_CUSTOMER",
    ];
    check(upload, &actions, Outcome::HoldRule);
}

#[test]
fn codes_that_may_pass_are_tried_again() {
    let upload = "conversionUploadError";
    let quota = [
        "RESOURCE_EXHAUSTED",
        "RESOURCE_TEMPORARILY_EXHAUSTED",
        "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION",
    ];
    check("quotaError", &quota, Outcome::RateLimited { after: None });
    check(
        "internalError",
        &["INTERNAL_ERROR", "TRANSIENT_ERROR", "DEADLINE_EXCEEDED"],
        TRANSIENT,
    );
    check("databaseError", &["CONCURRENT_MODIFICATION"], TRANSIENT);
    check(
        upload,
        &[
            "DUPLICATE_ORDER_ID",
            "DUPLICATE_CLICK_CONVERSION_IN_REQUEST",
        ],
        TRANSIENT,
    );
    check(
        "conversionAdjustmentUploadError",
        &["DUPLICATE_ADJUSTMENT_IN_REQUEST"],
        TRANSIENT,
    );
    check(
        upload,
        &[
            "TOO_RECENT_EVENT",
            "TOO_RECENT_CONVERSION_ACTION",
            "TOO_RECENT_CALL",
        ],
        TOO_YOUNG,
    );
    check(
        "conversionAdjustmentUploadError",
        &["CONVERSION_NOT_FOUND"],
        ORIGINAL_NOT_FOUND,
    );
    let a_day = Outcome::TooEarly {
        after: Duration::from_secs(86_400),
        tries_max: None,
    };
    check(
        "conversionAdjustmentUploadError",
        &["TOO_RECENT_CONVERSION"],
        a_day,
    );
}

#[test]
fn codes_of_a_row_are_final() {
    let (upload, adjustment) = ("conversionUploadError", "conversionAdjustmentUploadError");
    check(
        upload,
        &["ORDER_ID_ALREADY_IN_USE", "CLICK_CONVERSION_ALREADY_EXISTS"],
        Outcome::Duplicate,
    );
    let known = [
        "CONVERSION_ALREADY_RETRACTED",
        "RESTATEMENT_ALREADY_EXISTS",
        "CONVERSION_ALREADY_ENHANCED",
        "MORE_RECENT_RESTATEMENT_FOUND",
    ];
    check(adjustment, &known, Outcome::Duplicate);
    check(
        upload,
        &["CLICK_NOT_FOUND", "EVENT_NOT_FOUND"],
        Outcome::Unmatched,
    );
    let wrong = [
        "UNPARSEABLE_GCLID",
        "EXPIRED_EVENT",
        "ORDER_ID_CONTAINS_PII",
        "GBRAID_WBRAID_BOTH_SET",
        "CUSTOM_VARIABLE_NOT_ENABLED",
        "EXTERNALLY_ATTRIBUTED_CONVERSION_ACTION_NOT_PERMITTED_WITH_USER_IDENTIFIER",
    ];
    check(upload, &wrong, Outcome::Rejected);
    let wrong = [
        "CONVERSION_EXPIRED",
        "ADJUSTMENT_PRECEDES_CONVERSION",
        "TOO_MANY_ADJUSTMENTS",
        "MISSING_ORDER_ID_FOR_WEBPAGE",
    ];
    check(adjustment, &wrong, Outcome::Rejected);
    check(
        "requestError",
        &["REQUIRED_FIELD_MISSING", "RESOURCE_NAME_MALFORMED"],
        Outcome::Rejected,
    );
    for key in [
        "fieldError",
        "dateError",
        "currencyCodeError",
        "stringFormatError",
        "stringLengthError",
        "rangeError",
        "enumError",
    ] {
        check(key, &["ANYTHING"], Outcome::Rejected);
    }
}

#[test]
fn a_closed_field_is_not_a_closed_door() {
    for (field, expected) in [
        ("session_attributes_encoded", Outcome::Rejected),
        ("session_attributes_key_value_pairs", Outcome::Rejected),
        ("user_ip_address", Outcome::Rejected),
        ("conversion_environment", Outcome::Rejected),
        ("", Outcome::Hold(Hold::NotAllowlisted)),
    ] {
        let code = "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE";
        assert_eq!(
            meaning("notAllowlistedError", code, field),
            Meaning::Known(expected),
            "{field}"
        );
    }
}

#[test]
fn our_own_faults_are_told_apart_from_news() {
    for (key, code) in [
        ("partialFailureError", "PARTIAL_FAILURE_MODE_REQUIRED"),
        ("conversionUploadError", "TOO_MANY_CONVERSIONS_IN_REQUEST"),
        (
            "conversionAdjustmentUploadError",
            "TOO_MANY_ADJUSTMENTS_IN_REQUEST",
        ),
    ] {
        assert_eq!(meaning(key, code, ""), Meaning::Form, "{code}");
    }
    for (key, code) in [
        ("newError", "NEW"),
        ("conversionUploadError", "NEW"),
        ("quotaError", "NEW"),
        ("", ""),
    ] {
        assert_eq!(meaning(key, code, ""), Meaning::Unknown, "{key} {code}");
    }
}
