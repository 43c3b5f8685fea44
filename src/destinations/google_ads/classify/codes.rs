//! Every error code of the Google Ads API that these two calls may answer with, and what it means.
//!
//! Source: google.ads.googleads.v26.errors, one enum for each key of `errorCode`.

use std::time::Duration;

use super::super::super::google::answer::{ORIGINAL_NOT_FOUND, TOO_YOUNG, TRANSIENT};
use crate::outcome::{Hold, Outcome};

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// As it stands.
    Known(Outcome),
    /// The request's form is wrong, whatever its rows are.
    Form,
    /// Nobody has described it.
    Unknown,
}

impl Meaning {
    /// What it means for a row that it concerns.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Meaning::Known(outcome) => outcome,
            Meaning::Form | Meaning::Unknown => Outcome::Rejected,
        }
    }
}

/// `key` and `code` are the member of `errorCode`, `field` is the last part of its location.
pub(super) fn meaning(key: &str, code: &str, field: &str) -> Meaning {
    let outcome = match key {
        "authenticationError" => Outcome::Hold(match code {
            "CUSTOMER_NOT_FOUND" | "CLIENT_CUSTOMER_ID_INVALID" => Hold::Configuration,
            "NOT_ADS_USER" => Hold::Permission,
            _ => Hold::Credential,
        }),
        "authorizationError" => Outcome::Hold(Hold::Permission),
        "headerError" => Outcome::Hold(Hold::Configuration),
        "notAllowlistedError" => not_allowlisted(field),
        "conversionUploadError" | "conversionAdjustmentUploadError" => return upload(code),
        "dateError" if code == "LATER_THAN_MAXIMUM_DATE" => Outcome::AHEAD_OF_ITS_CLOCK,
        "fieldError" | "dateError" | "currencyCodeError" | "stringFormatError"
        | "stringLengthError" | "rangeError" | "enumError" => Outcome::Rejected,
        _ => return request(key, code),
    };
    Meaning::Known(outcome)
}

/// Fields that few may fill in are the row's own fault; anything else is the whole call.
fn not_allowlisted(field: &str) -> Outcome {
    let is_field = field.starts_with("session_attributes")
        || matches!(field, "user_ip_address" | "conversion_environment");
    match is_field {
        true => Outcome::Rejected,
        false => Outcome::Hold(Hold::NotAllowlisted),
    }
}

fn request(key: &str, code: &str) -> Meaning {
    Meaning::Known(match (key, code) {
        ("requestError", "INVALID_CUSTOMER_ID" | "LOGIN_CUSTOMER_ID_PARAMETER_MISSING") => {
            Outcome::Hold(Hold::Configuration)
        }
        ("requestError", "UNSUPPORTED_VERSION") => Outcome::Hold(Hold::Version),
        ("requestError", "CLOUD_PROJECT_NOT_FOUND") | ("quotaError", "ACCESS_PROHIBITED") => {
            Outcome::Hold(Hold::Permission)
        }
        (
            "quotaError",
            "RESOURCE_EXHAUSTED"
            | "RESOURCE_TEMPORARILY_EXHAUSTED"
            | "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION"
            | "EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION",
        ) => Outcome::RateLimited { after: None },
        ("internalError", "INTERNAL_ERROR" | "TRANSIENT_ERROR" | "DEADLINE_EXCEEDED")
        | ("databaseError", "CONCURRENT_MODIFICATION") => TRANSIENT,
        ("requestError", "REQUIRED_FIELD_MISSING" | "RESOURCE_NAME_MALFORMED") => Outcome::Rejected,
        ("partialFailureError", _) => return Meaning::Form,
        _ => return Meaning::Unknown,
    })
}

/// `ConversionUploadError` and `ConversionAdjustmentUploadError`; what both have means the same.
fn upload(code: &str) -> Meaning {
    Meaning::Known(match code {
        "CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS"
        | "CUSTOMER_DATA_POLICY_PROHIBITS_ENHANCED_CONVERSIONS"
        | "CUSTOMER_DATA_POLICY_PROHIBITS_ENHANCEMENT"
        | "CUSTOMER_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS" => Outcome::Hold(Hold::Permission),
        "NO_CONVERSION_ACTION_FOUND"
        | "INVALID_CONVERSION_ACTION_TYPE"
        | "UNAUTHORIZED_CUSTOMER" => Outcome::HoldRule,
        // Twice in one request: neither is stored.
        "DUPLICATE_ORDER_ID"
        | "DUPLICATE_CLICK_CONVERSION_IN_REQUEST"
        | "DUPLICATE_CALL_CONVERSION_IN_REQUEST"
        | "DUPLICATE_ADJUSTMENT_IN_REQUEST"
        | "DUPLICATE_ENHANCEMENT_IN_REQUEST" => TRANSIENT,
        "TOO_RECENT_EVENT" | "TOO_RECENT_CONVERSION_ACTION" | "TOO_RECENT_CALL" => TOO_YOUNG,
        "TOO_RECENT_CONVERSION" => Outcome::TooEarly {
            after: Duration::from_secs(24 * 3600),
            tries_max: None,
        },
        "CONVERSION_NOT_FOUND" => ORIGINAL_NOT_FOUND,
        "ORDER_ID_ALREADY_IN_USE"
        | "CLICK_CONVERSION_ALREADY_EXISTS"
        | "CONVERSION_ALREADY_RETRACTED"
        | "RESTATEMENT_ALREADY_EXISTS"
        | "CONVERSION_ALREADY_ENHANCED"
        | "MORE_RECENT_RESTATEMENT_FOUND" => Outcome::Duplicate,
        "CLICK_NOT_FOUND" | "EVENT_NOT_FOUND" => Outcome::Unmatched,
        "UNPARSEABLE_GCLID"
        | "UNPARSEABLE_GBRAID"
        | "UNPARSEABLE_WBRAID"
        | "CONVERSION_PRECEDES_EVENT"
        | "EXPIRED_EVENT"
        | "GBRAID_WBRAID_BOTH_SET"
        | "ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID"
        | "INVALID_USER_IDENTIFIER"
        | "UNSUPPORTED_USER_IDENTIFIER"
        | "ORDER_ID_CONTAINS_PII"
        | "ORDER_ID_NOT_PERMITTED_FOR_EXTERNALLY_ATTRIBUTED_CONVERSION_ACTION"
        | "INVALID_CUSTOMER_FOR_CLICK"
        | "CONVERSION_TRACKING_NOT_ENABLED_AT_IMPRESSION_TIME"
        | "CONVERSION_NOT_COMPLIANT_WITH_ATT_POLICY"
        | "INVALID_JOB_ID"
        | "CONVERSION_EXPIRED"
        | "ADJUSTMENT_PRECEDES_CONVERSION"
        | "CANNOT_RESTATE_CONVERSION_ACTION_THAT_ALWAYS_USES_DEFAULT_CONVERSION_VALUE"
        | "TOO_MANY_ADJUSTMENTS"
        | "CONVERSION_ACTION_NOT_ELIGIBLE_FOR_ENHANCEMENT"
        | "GCLID_DATE_TIME_PAIR_AND_ORDER_ID_BOTH_SET"
        | "MISSING_ORDER_ID_FOR_WEBPAGE" => Outcome::Rejected,
        _ if code.starts_with("CUSTOM_VARIABLE_") || code.starts_with("EXTERNAL") => {
            Outcome::Rejected
        }
        _ if code.starts_with("TOO_MANY_") && code.ends_with("_IN_REQUEST") => {
            return Meaning::Form;
        }
        _ => return Meaning::Unknown,
    })
}

#[cfg(test)]
mod tests;
