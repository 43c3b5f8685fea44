//! The messages of `events:ingest` with all their fields (`googleapis/googleapis google/ads/datamanager/v1`, as
//! published in PyPI google-ads-datamanager 0.9.4). Not for rules about values.
//!
//! Left out, so refused as unknown: `encryption_info` and `ad_identifiers.encrypted_user_ids`, which are for
//! encrypted data.

use crate::sandbox::google::proto_json::{
    Enum, Message, boolean, choice, double, int32, int64, message, text, timestamp,
};

macro_rules! named {
    ($name:literal) => {
        concat!("google.ads.datamanager.v1.", $name)
    };
}

/// The body of `events:ingest`.
pub(super) static REQUEST: Message = Message {
    name: named!("IngestEventsRequest"),
    fields: &[
        message("destinations", &DESTINATION).repeated(),
        message("events", &EVENT).repeated(),
        message("consent", &CONSENT),
        boolean("validate_only"),
        choice("encoding", &ENCODING),
    ],
};

static ENCODING: Enum = Enum {
    name: named!("Encoding"),
    values: &["ENCODING_UNSPECIFIED", "HEX", "BASE64"],
};

static DESTINATION: Message = Message {
    name: named!("Destination"),
    fields: &[
        text("reference"),
        message("login_account", &PRODUCT_ACCOUNT),
        message("linked_account", &PRODUCT_ACCOUNT),
        message("operating_account", &PRODUCT_ACCOUNT),
        text("product_destination_id"),
    ],
};

static PRODUCT_ACCOUNT: Message = Message {
    name: named!("ProductAccount"),
    fields: &[
        choice("product", &PRODUCT),
        text("account_id"),
        choice("account_type", &ACCOUNT_TYPE),
    ],
};

static PRODUCT: Enum = Enum {
    name: named!("Product"),
    values: &[
        "PRODUCT_UNSPECIFIED",
        "GOOGLE_ADS",
        "DISPLAY_VIDEO_PARTNER",
        "DISPLAY_VIDEO_ADVERTISER",
        "DATA_PARTNER",
    ],
};

static ACCOUNT_TYPE: Enum = Enum {
    name: named!("ProductAccount.AccountType"),
    values: &[
        "ACCOUNT_TYPE_UNSPECIFIED",
        "GOOGLE_ADS",
        "DISPLAY_VIDEO_PARTNER",
        "DISPLAY_VIDEO_ADVERTISER",
        "DATA_PARTNER",
        "GOOGLE_ANALYTICS_PROPERTY",
        "GOOGLE_AD_MANAGER_AUDIENCE_LINK",
        "FLOODLIGHT_CONFIG",
        "GOOGLE_AD_MANAGER",
    ],
};

static EVENT: Message = Message {
    name: named!("Event"),
    fields: &[
        text("destination_references").repeated(),
        text("transaction_id"),
        timestamp("event_timestamp"),
        timestamp("last_updated_timestamp"),
        message("user_data", &USER_DATA),
        message("consent", &CONSENT),
        message("ad_identifiers", &AD_IDENTIFIERS),
        text("currency"),
        double("conversion_value"),
        double("conversion_count"),
        choice("event_source", &EVENT_SOURCE),
        message("event_device_info", &DEVICE_INFO),
        message("cart_data", &CART_DATA),
        message("custom_variables", &CUSTOM_VARIABLE).repeated(),
        message("experimental_fields", &EXPERIMENTAL_FIELD).repeated(),
        message("user_properties", &USER_PROPERTIES),
        text("event_name"),
        text("client_id"),
        text("user_id"),
        message("additional_event_parameters", &PARAMETER).repeated(),
        message("third_party_user_data", &USER_DATA),
        message("event_location", &EVENT_LOCATION),
        text("app_instance_id"),
    ],
};

static EVENT_SOURCE: Enum = Enum {
    name: named!("EventSource"),
    values: &[
        "EVENT_SOURCE_UNSPECIFIED",
        "WEB",
        "APP",
        "IN_STORE",
        "PHONE",
        "MESSAGE",
        "OTHER",
    ],
};

static CONSENT: Message = Message {
    name: named!("Consent"),
    fields: &[
        choice("ad_user_data", &CONSENT_STATUS),
        choice("ad_personalization", &CONSENT_STATUS),
    ],
};

static CONSENT_STATUS: Enum = Enum {
    name: named!("ConsentStatus"),
    values: &[
        "CONSENT_STATUS_UNSPECIFIED",
        "CONSENT_GRANTED",
        "CONSENT_DENIED",
    ],
};

static USER_DATA: Message = Message {
    name: named!("UserData"),
    fields: &[message("user_identifiers", &USER_IDENTIFIER).repeated()],
};

static USER_IDENTIFIER: Message = Message {
    name: named!("UserIdentifier"),
    fields: &[
        text("email_address").one_of("identifier"),
        text("phone_number").one_of("identifier"),
        message("address", &ADDRESS).one_of("identifier"),
    ],
};

static ADDRESS: Message = Message {
    name: named!("AddressInfo"),
    fields: &[
        text("given_name"),
        text("family_name"),
        text("region_code"),
        text("postal_code"),
        text("address_line"),
        text("city"),
        text("administrative_area"),
    ],
};

static AD_IDENTIFIERS: Message = Message {
    name: named!("AdIdentifiers"),
    fields: &[
        text("session_attributes"),
        text("gclid"),
        text("gbraid"),
        text("wbraid"),
        message("landing_page_device_info", &DEVICE_INFO),
        text("mobile_device_id"),
        text("dclid"),
        text("impression_id"),
        text("match_id"),
        text("ppid"),
        text("visitor_ppid"),
    ],
};

static DEVICE_INFO: Message = Message {
    name: named!("DeviceInfo"),
    fields: &[
        text("user_agent"),
        text("ip_address"),
        text("category"),
        text("language_code"),
        int32("screen_height"),
        int32("screen_width"),
        text("operating_system"),
        text("operating_system_version"),
        text("model"),
        text("brand"),
        text("browser"),
        text("browser_version"),
    ],
};

static CART_DATA: Message = Message {
    name: named!("CartData"),
    fields: &[
        text("merchant_id"),
        text("merchant_feed_label"),
        text("merchant_feed_language_code"),
        double("transaction_discount"),
        message("items", &ITEM).repeated(),
        text("coupon_codes").repeated(),
    ],
};

static ITEM: Message = Message {
    name: named!("Item"),
    fields: &[
        text("merchant_product_id"),
        int64("quantity"),
        double("unit_price"),
        text("item_id"),
        message("additional_item_parameters", &PARAMETER).repeated(),
        text("merchant_id"),
        text("merchant_feed_label"),
        text("merchant_feed_language_code"),
        double("conversion_value"),
        message("custom_variables", &CUSTOM_VARIABLE).repeated(),
    ],
};

static CUSTOM_VARIABLE: Message = Message {
    name: named!("CustomVariable"),
    fields: &[
        text("variable"),
        text("value"),
        text("destination_references").repeated(),
    ],
};

static EXPERIMENTAL_FIELD: Message = Message {
    name: named!("ExperimentalField"),
    fields: &[text("field"), text("value")],
};

static USER_PROPERTIES: Message = Message {
    name: named!("UserProperties"),
    fields: &[
        choice("customer_type", &CUSTOMER_TYPE),
        choice("customer_value_bucket", &VALUE_BUCKET),
        message("additional_user_properties", &USER_PROPERTY).repeated(),
    ],
};

static CUSTOMER_TYPE: Enum = Enum {
    name: named!("CustomerType"),
    values: &["CUSTOMER_TYPE_UNSPECIFIED", "NEW", "RETURNING", "REENGAGED"],
};

static VALUE_BUCKET: Enum = Enum {
    name: named!("CustomerValueBucket"),
    values: &["CUSTOMER_VALUE_BUCKET_UNSPECIFIED", "LOW", "MEDIUM", "HIGH"],
};

static USER_PROPERTY: Message = Message {
    name: named!("UserProperty"),
    fields: &[text("property_name"), text("value")],
};

static PARAMETER: Message = Message {
    name: named!("EventParameter"),
    fields: &[text("parameter_name"), text("value")],
};

static EVENT_LOCATION: Message = Message {
    name: named!("EventLocation"),
    fields: &[
        text("store_id"),
        text("city"),
        text("subdivision_code"),
        text("region_code"),
        text("subcontinent_code"),
        text("continent_code"),
    ],
};
