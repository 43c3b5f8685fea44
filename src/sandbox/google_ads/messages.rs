//! The messages of the requests, field by field (`google/ads/googleads/v26/services/conversion_upload_service.proto`,
//! `conversion_adjustment_upload_service.proto`, `google_ads_service.proto`; the same since v23).
//!
//! Stricter than the protos: `customer_id` is bound by the path and has no place in the body; a search takes neither
//! settings nor an order of results.

use crate::sandbox::google::proto_json::{
    Enum, Message, boolean, choice, double, int32, int64, message, text,
};

pub(super) static UPLOAD_CLICK_CONVERSIONS: Message = Message {
    name: "google.ads.googleads.v26.services.UploadClickConversionsRequest",
    fields: &[
        message("conversions", &CLICK_CONVERSION).repeated(),
        boolean("partial_failure"),
        boolean("validate_only"),
        int32("job_id"),
    ],
};

pub(super) static UPLOAD_CONVERSION_ADJUSTMENTS: Message = Message {
    name: "google.ads.googleads.v26.services.UploadConversionAdjustmentsRequest",
    fields: &[
        message("conversion_adjustments", &CONVERSION_ADJUSTMENT).repeated(),
        boolean("partial_failure"),
        boolean("validate_only"),
        int32("job_id"),
    ],
};

pub(super) static SEARCH: Message = Message {
    name: "google.ads.googleads.v26.services.SearchGoogleAdsRequest",
    fields: &[
        text("query"),
        text("page_token"),
        int32("page_size"),
        boolean("validate_only"),
    ],
};

static CLICK_CONVERSION: Message = Message {
    name: "google.ads.googleads.v26.services.ClickConversion",
    fields: &[
        text("gclid"),
        text("gbraid"),
        text("wbraid"),
        text("conversion_action"),
        text("conversion_date_time"),
        double("conversion_value"),
        text("currency_code"),
        text("order_id"),
        message("external_attribution_data", &EXTERNAL_ATTRIBUTION_DATA),
        message("custom_variables", &CUSTOM_VARIABLE).repeated(),
        message("cart_data", &CART_DATA),
        message("user_identifiers", &USER_IDENTIFIER).repeated(),
        choice("conversion_environment", &CONVERSION_ENVIRONMENT),
        message("consent", &CONSENT),
        choice("customer_type", &CUSTOMER_TYPE),
        text("user_ip_address"),
        text("session_attributes_encoded").one_of("session_attributes"),
        message("session_attributes_key_value_pairs", &SESSION_ATTRIBUTES)
            .one_of("session_attributes"),
    ],
};

static CONVERSION_ADJUSTMENT: Message = Message {
    name: "google.ads.googleads.v26.services.ConversionAdjustment",
    fields: &[
        message("gclid_date_time_pair", &GCLID_DATE_TIME_PAIR),
        text("order_id"),
        text("conversion_action"),
        text("adjustment_date_time"),
        choice("adjustment_type", &ADJUSTMENT_TYPE),
        message("restatement_value", &RESTATEMENT_VALUE),
        message("user_identifiers", &USER_IDENTIFIER).repeated(),
        text("user_agent"),
    ],
};

static EXTERNAL_ATTRIBUTION_DATA: Message = Message {
    name: "google.ads.googleads.v26.services.ExternalAttributionData",
    fields: &[
        double("external_attribution_credit"),
        text("external_attribution_model"),
    ],
};

static CUSTOM_VARIABLE: Message = Message {
    name: "google.ads.googleads.v26.services.CustomVariable",
    fields: &[text("conversion_custom_variable"), text("value")],
};

static CART_DATA: Message = Message {
    name: "google.ads.googleads.v26.services.CartData",
    fields: &[
        int64("merchant_id"),
        text("feed_country_code"),
        text("feed_language_code"),
        double("local_transaction_cost"),
        message("items", &CART_ITEM).repeated(),
    ],
};

static CART_ITEM: Message = Message {
    name: "google.ads.googleads.v26.services.CartData.Item",
    fields: &[text("product_id"), int32("quantity"), double("unit_price")],
};

static USER_IDENTIFIER: Message = Message {
    name: "google.ads.googleads.v26.common.UserIdentifier",
    fields: &[
        choice("user_identifier_source", &USER_IDENTIFIER_SOURCE),
        text("hashed_email").one_of("identifier"),
        text("hashed_phone_number").one_of("identifier"),
        text("mobile_id").one_of("identifier"),
        text("third_party_user_id").one_of("identifier"),
        message("address_info", &ADDRESS_INFO).one_of("identifier"),
    ],
};

static ADDRESS_INFO: Message = Message {
    name: "google.ads.googleads.v26.common.OfflineUserAddressInfo",
    fields: &[
        text("hashed_first_name"),
        text("hashed_last_name"),
        text("city"),
        text("state"),
        text("country_code"),
        text("postal_code"),
        text("hashed_street_address"),
    ],
};

static CONSENT: Message = Message {
    name: "google.ads.googleads.v26.common.Consent",
    fields: &[
        choice("ad_user_data", &CONSENT_STATUS),
        choice("ad_personalization", &CONSENT_STATUS),
    ],
};

static SESSION_ATTRIBUTES: Message = Message {
    name: "google.ads.googleads.v26.services.SessionAttributesKeyValuePairs",
    fields: &[message("key_value_pairs", &SESSION_ATTRIBUTE).repeated()],
};

static SESSION_ATTRIBUTE: Message = Message {
    name: "google.ads.googleads.v26.services.SessionAttributeKeyValuePair",
    fields: &[
        text("session_attribute_key"),
        text("session_attribute_value"),
    ],
};

static GCLID_DATE_TIME_PAIR: Message = Message {
    name: "google.ads.googleads.v26.services.GclidDateTimePair",
    fields: &[text("gclid"), text("conversion_date_time")],
};

static RESTATEMENT_VALUE: Message = Message {
    name: "google.ads.googleads.v26.services.RestatementValue",
    fields: &[double("adjusted_value"), text("currency_code")],
};

static CONVERSION_ENVIRONMENT: Enum = Enum {
    name: "google.ads.googleads.v26.enums.ConversionEnvironmentEnum.ConversionEnvironment",
    values: &["UNSPECIFIED", "UNKNOWN", "APP", "WEB"],
};

static CONSENT_STATUS: Enum = Enum {
    name: "google.ads.googleads.v26.enums.ConsentStatusEnum.ConsentStatus",
    values: &["UNSPECIFIED", "UNKNOWN", "GRANTED", "DENIED"],
};

static CUSTOMER_TYPE: Enum = Enum {
    name: "google.ads.googleads.v26.enums.ConversionCustomerTypeEnum.ConversionCustomerType",
    values: &["UNSPECIFIED", "UNKNOWN", "NEW", "RETURNING"],
};

static USER_IDENTIFIER_SOURCE: Enum = Enum {
    name: "google.ads.googleads.v26.enums.UserIdentifierSourceEnum.UserIdentifierSource",
    values: &["UNSPECIFIED", "UNKNOWN", "FIRST_PARTY", "THIRD_PARTY"],
};

static ADJUSTMENT_TYPE: Enum = Enum {
    name: "google.ads.googleads.v26.enums.ConversionAdjustmentTypeEnum.ConversionAdjustmentType",
    values: &[
        "UNSPECIFIED",
        "UNKNOWN",
        "RETRACTION",
        "RESTATEMENT",
        "ENHANCEMENT",
    ],
};
