//! What the API says of its error codes (comments in `google/ads/googleads/v26/errors/*.proto`). Not for clients to
//! go by: the codes are.

/// The message of a code.
pub(super) fn of(value: &str) -> &'static str {
    match value {
        "ADJUSTMENT_PRECEDES_CONVERSION" => {
            "Adjustment has an adjustment_date_time that occurred before the associated conversion. Make sure your \
             adjustment_date_time is correct and try again."
        }
        "CLICK_CONVERSION_ALREADY_EXISTS" => {
            "The imported event has the same click and conversion_date_time as an existing conversion. Use a unique \
             conversion_date_time or order ID for each unique event and try again."
        }
        "CLICK_NOT_FOUND" => {
            "The email address or phone number for this event can't be matched to a click. This may be because it \
             didn't come from a Google Ads campaign, and you can safely ignore this warning."
        }
        "CONVERSION_ALREADY_ENHANCED" => {
            "Conversion already has enhancements with the same Order ID and conversion action."
        }
        "CONVERSION_ALREADY_RETRACTED" => {
            "The conversion was already retracted. This adjustment was not processed."
        }
        "CONVERSION_EXPIRED" => {
            "Adjustment can't be made to a conversion that occurred more than 54 days ago."
        }
        "CONVERSION_NOT_FOUND" => {
            "The conversion for this conversion action and conversion identifier can't be found. Make sure your \
             conversion identifiers are associated with the correct conversion action and try again."
        }
        "CONVERSION_PRECEDES_EVENT" => {
            "The imported event has a conversion_date_time that precedes the click. Make sure your \
             conversion_date_time is correct and try again."
        }
        "CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS" => {
            "Make sure you agree to the customer data processing terms in conversion settings and try again."
        }
        "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE" => {
            "Customer is not allowlisted for accessing this feature. New integrations should use the Data Manager API."
        }
        "CUSTOMER_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS" => {
            "Make sure you've turned on enhanced conversions for leads in conversion settings and try again."
        }
        "CUSTOM_VARIABLE_VALUE_CONTAINS_PII" => {
            "Can't import events with custom variables containing personally-identifiable information (PII). Remove \
             these variables and try again."
        }
        "DUPLICATE_ADJUSTMENT_IN_REQUEST" => {
            "Imported adjustment has a duplicate conversion adjustment with same adjustment_date_time."
        }
        "DUPLICATE_CLICK_CONVERSION_IN_REQUEST" => {
            "Multiple events have the same click and conversion_date_time."
        }
        "DUPLICATE_ENHANCEMENT_IN_REQUEST" => {
            "Multiple enhancements have the same conversion action and Order ID."
        }
        "DUPLICATE_ORDER_ID" => {
            "Imported events include multiple conversions with the same order ID and were not processed. Make sure \
             order IDs are unique and try again."
        }
        "EMPTY" => "The specified field should have a least one non-whitespace character in it.",
        "EVENT_NOT_FOUND" => {
            "The imported event could not be attributed to a click. This may be because the event did not come from a \
             Google Ads campaign."
        }
        "EXPIRED_EVENT" => {
            "The imported event can't be recorded because its click occurred before this conversion's click-through \
             window. Make sure you import the most recent data."
        }
        "EXTERNAL_ATTRIBUTION_DATA_SET_FOR_NON_EXTERNALLY_ATTRIBUTED_CONVERSION_ACTION" => {
            "The imported event includes external attribution data, but the conversion action isn't set up to use an \
             external attribution model."
        }
        "GBRAID_WBRAID_BOTH_SET" => {
            "Can't use both gbraid and wbraid parameters. Use only 1 and try again."
        }
        "GCLID_DATE_TIME_PAIR_AND_ORDER_ID_BOTH_SET" => {
            "Cannot set both gclid_date_time_pair and order_id. Use only 1 type and try again."
        }
        "INVALID_CONVERSION_ACTION_TYPE" => {
            "The conversion action specified in the upload request isn't set up for uploading conversions."
        }
        "INVALID_CUSTOMER_FOR_CLICK" => {
            "The click from the imported event is associated with a different Google Ads account. Make sure you're \
             importing to the correct account."
        }
        "INVALID_CUSTOMER_ID" => "Customer ID is invalid.",
        "INVALID_JOB_ID" => {
            "The provided job id in the request is not within the allowed range. A job ID must be a positive integer \
             in the range [1, 2^31)."
        }
        "INVALID_LOGIN_CUSTOMER_ID" => "The login customer ID could not be validated.",
        "INVALID_STRING_DATE_TIME_SECONDS_WITH_OFFSET" => {
            "The string date time's format should be yyyy-mm-dd hh:mm:ss+|-hh:mm."
        }
        "INVALID_USER_IDENTIFIER" => {
            "Make sure you hash user provided data using SHA-256 and ensure you are normalizing according to the \
             guidelines."
        }
        "LATER_THAN_MAXIMUM_DATE" => "Date is after allowed maximum.",
        "MISSING_ORDER_ID_FOR_WEBPAGE" => {
            "Adjustment for website conversion requires Order ID (ie, transaction ID)."
        }
        "MORE_RECENT_RESTATEMENT_FOUND" => {
            "More recent adjustment adjustment_date_time has already been reported for the associated conversion."
        }
        "NO_CONVERSION_ACTION_FOUND" => {
            "The conversion action specified in the upload request cannot be found. Make sure it's available in this \
             account."
        }
        "ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID" => {
            "Conversion actions that use one-per-click counting can't be used with gbraid or wbraid parameters."
        }
        "ORDER_ID_ALREADY_IN_USE" => {
            "The imported event includes an order ID that was previously recorded, so the event was not processed."
        }
        "ORDER_ID_CONTAINS_PII" => {
            "Can't import events with order IDs containing personally-identifiable information (PII)."
        }
        "PARTIAL_FAILURE_MODE_REQUIRED" => {
            "The partial failure field was false in the request. This method requires this field be set to true."
        }
        "REQUIRED" => "The required field was not present.",
        "REQUIRED_FIELD_MISSING" => "Required field is missing.",
        "RESOURCE_NAME_MALFORMED" => "Resource name provided is malformed.",
        "RESOURCE_TEMPORARILY_EXHAUSTED" => "Too many requests in a short amount of time.",
        "RESTATEMENT_ALREADY_EXISTS" => {
            "The conversion has prior a restatement with the same adjustment_date_time. Make sure your adjustment has \
             the correct and unique adjustment_date_time and try again."
        }
        "TOO_MANY" => "Too many.",
        "TOO_MANY_ADJUSTMENTS_IN_REQUEST" => {
            "Try uploading fewer than 2001 adjustments in a single API request."
        }
        "TOO_MANY_CONVERSIONS_IN_REQUEST" => "Upload fewer than 2001 events in a single request.",
        "TOO_RECENT_CONVERSION_ACTION" => {
            "Can't import events to a conversion action that was just created. Try importing again in 6 hours."
        }
        "TOO_RECENT_EVENT" => {
            "The click associated with the given identifier or iOS URL parameter occurred less than 6 hours ago. Retry \
             after 6 hours have passed."
        }
        "UNPARSEABLE_GBRAID" => {
            "Can't parse event import data. Check if your gbraid parameter was not modified and try again."
        }
        "UNPARSEABLE_GCLID" => "The imported gclid could not be decoded.",
        "UNPARSEABLE_WBRAID" => {
            "Can't parse event import data. Check if your wbraid parameter was not modified and try again."
        }
        "UNSUPPORTED" => "The currency code is not supported.",
        "UNSUPPORTED_USER_IDENTIFIER" => {
            "The provided user identifiers are not supported. Use only hashed email or phone number and try again."
        }
        "UNSUPPORTED_VERSION" => "This API version has been sunset and is no longer supported.",
        "USER_PERMISSION_DENIED" => {
            "User doesn't have permission to access customer. Note: If you're accessing a client customer, the \
             manager's customer ID must be set in the 'login-customer-id' header."
        }
        "VALUE_MUST_BE_UNSET" => "The field cannot be set.",
        _ => "The request failed with this error code.",
    }
}

/// The message over the details of a refused request.
pub(super) fn of_status(status: u16) -> &'static str {
    match status {
        403 => "The caller does not have permission",
        429 => "Resource has been exhausted (e.g. check quota).",
        _ => "Request contains an invalid argument.",
    }
}
