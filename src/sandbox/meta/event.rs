//! Checks one element of `data` against Meta's parameter pages
//! (`developers.facebook.com/documentation/ads-commerce/conversions-api/parameters/server-event`). Not for
//! `user_data` and `custom_data`, which have files of their own.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{MetaMode, custom_data, user_data};
use crate::sandbox::shape::{self, Fields, Misfit};

/// The oldest `event_time` Meta takes.
const AGE_MAX: TimeDelta = TimeDelta::days(7);
/// The same for `physical_store`.
const AGE_MAX_STORE: TimeDelta = TimeDelta::days(62);
/// No upper bound is documented. A minute lets clocks differ and still catches milliseconds and time zones.
const FUTURE_MAX: TimeDelta = TimeDelta::seconds(60);

const ACTION_SOURCES: [&str; 9] = [
    "app",
    "business_messaging",
    "chat",
    "email",
    "other",
    "phone_call",
    "physical_store",
    "system_generated",
    "website",
];

/// The only names `business_messaging` takes
/// (`developers.facebook.com/documentation/ads-commerce/conversions-api/business-messaging`).
const MESSAGING_EVENTS: [&str; 14] = [
    "Purchase",
    "LeadSubmitted",
    "InitiateCheckout",
    "AddToCart",
    "ViewContent",
    "OrderCreated",
    "OrderShipped",
    "OrderDelivered",
    "OrderCanceled",
    "OrderReturned",
    "CartAbandoned",
    "QualifiedLead",
    "RatingProvided",
    "ReviewProvided",
];

const FIELDS: &Fields = &[
    ("event_name", shape::filled_string),
    ("event_time", shape::integer),
    ("event_id", shape::string),
    ("action_source", action_source),
    ("event_source_url", web_url),
    ("user_data", shape::object),
    ("custom_data", shape::object),
    ("opt_out", shape::boolean),
    ("data_processing_options", data_processing_options),
    ("data_processing_options_country", data_processing_country),
    ("data_processing_options_state", data_processing_state),
    ("referrer_url", shape::string),
    ("original_event_data", shape::object),
    ("customer_segmentation", shape::filled_string),
    ("app_data", shape::object),
    ("messaging_channel", messaging_channel),
];

const ORIGINAL_EVENT_FIELDS: &Fields = &[
    ("event_name", shape::filled_string),
    ("event_time", shape::integer),
    ("order_id", shape::string),
    ("event_id", shape::string),
];

const APP_FIELDS: &Fields = &[("advertiser_tracking_enabled", flag), ("extinfo", extinfo)];

/// What is wrong with an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wrong {
    /// Path inside the event, for example `[user_data][em]`.
    pub(super) field: String,
    pub(super) must: &'static str,
    pub(super) subcode: Option<i64>,
}

impl Wrong {
    /// A field of the event itself.
    pub(super) fn at(field: &str, must: &'static str) -> Wrong {
        Wrong {
            field: format!("[{field}]"),
            must,
            subcode: None,
        }
    }

    /// With the documented or observed subcode.
    pub(super) fn subcode(self, subcode: i64) -> Wrong {
        Wrong {
            subcode: Some(subcode),
            ..self
        }
    }

    /// A field inside an object of the event.
    pub(super) fn inside(parent: &str, field: &str, must: &'static str) -> Wrong {
        Wrong {
            field: format!("[{parent}][{field}]"),
            must,
            subcode: None,
        }
    }
}

/// Checks an event in the order Meta's pages list the rules; the first fault is the answer.
pub(super) fn check(event: &Value, mode: MetaMode, now: DateTime<Utc>) -> Result<(), Wrong> {
    let event = event.as_object().ok_or(Wrong {
        field: String::new(),
        must: "must be an object",
        subcode: None,
    })?;
    shape::fields(event, FIELDS, false).map_err(|misfit| Wrong::at(&misfit.field, misfit.must))?;
    for required in ["event_name", "event_time", "action_source", "user_data"] {
        if !event.contains_key(required) {
            return Err(Wrong::at(required, "is required"));
        }
    }
    let name = text(event, "event_name");
    let source = text(event, "action_source");
    let user_data = object(event, "user_data").ok_or(Wrong::at("user_data", "is required"))?;
    check_time(event, source, now)?;
    user_data::check(user_data)?;
    check_source(event, name, source, user_data, mode)?;
    check_processing(event, user_data)?;
    if let Some(original) = object(event, "original_event_data") {
        let inside =
            |misfit: Misfit| Wrong::inside("original_event_data", &misfit.field, misfit.must);
        shape::fields(original, ORIGINAL_EVENT_FIELDS, false).map_err(inside)?;
    }
    custom_data::check(object(event, "custom_data"), name)
}

fn check_time(event: &Map<String, Value>, source: &str, now: DateTime<Utc>) -> Result<(), Wrong> {
    let wrong = |must| Wrong::at("event_time", must);
    let seconds = event
        .get("event_time")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let at = DateTime::from_timestamp(seconds, 0).ok_or(wrong("must be Unix time in seconds"))?;
    let age_max = if source == "physical_store" {
        AGE_MAX_STORE
    } else {
        AGE_MAX
    };
    if at > now + FUTURE_MAX {
        Err(wrong(
            "lies in the future; it must be Unix time in seconds, not milliseconds",
        ))
    } else if now - at > age_max {
        Err(wrong("is older than 7 days (62 days for physical_store)").subcode(2_804_003))
    } else {
        Ok(())
    }
}

/// What each `action_source` demands besides.
fn check_source(
    event: &Map<String, Value>,
    name: &str,
    source: &str,
    user_data: &Map<String, Value>,
    mode: MetaMode,
) -> Result<(), Wrong> {
    match source {
        "website" if !event.contains_key("event_source_url") => {
            Err(Wrong::at("event_source_url", "is required for website"))
        }
        "website" if mode == MetaMode::Docs && !user_data.contains_key("client_user_agent") => Err(
            Wrong::inside("user_data", "client_user_agent", "is required for website"),
        ),
        "app" => {
            let app =
                object(event, "app_data").ok_or(Wrong::at("app_data", "is required for app"))?;
            shape::fields(app, APP_FIELDS, true)
                .map_err(|misfit| Wrong::inside("app_data", &misfit.field, misfit.must))?;
            let complete =
                app.contains_key("extinfo") && app.contains_key("advertiser_tracking_enabled");
            complete.then_some(()).ok_or(Wrong::at(
                "app_data",
                "needs extinfo and advertiser_tracking_enabled",
            ))
        }
        "business_messaging" if !MESSAGING_EVENTS.contains(&name) => {
            Err(Wrong::at("event_name", "is not allowed for business_messaging").subcode(2_804_066))
        }
        "business_messaging" if !event.contains_key("messaging_channel") => Err(Wrong::at(
            "messaging_channel",
            "is required for business_messaging",
        )),
        "business_messaging"
            if !user_data.contains_key("page_id") && !user_data.contains_key("ctwa_clid") =>
        {
            Err(Wrong::at(
                "user_data",
                "needs page_id or ctwa_clid for business_messaging",
            ))
        }
        _ => Ok(()),
    }
}

/// Limited Data Use (`developers.facebook.com/docs/marketing-apis/data-processing-options`).
fn check_processing(
    event: &Map<String, Value>,
    user_data: &Map<String, Value>,
) -> Result<(), Wrong> {
    let limited = event
        .get("data_processing_options")
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty());
    let country = event
        .get("data_processing_options_country")
        .and_then(Value::as_i64);
    let state = event
        .get("data_processing_options_state")
        .and_then(Value::as_i64);
    match (limited, country, state) {
        (true, None, _) => Err(Wrong::at(
            "data_processing_options_country",
            "is required with LDU",
        )),
        (_, Some(_), None) => Err(Wrong::at(
            "data_processing_options_state",
            "is required with a country",
        )),
        (true, Some(0), Some(0)) if !user_data.contains_key("client_ip_address") => {
            Err(Wrong::inside(
                "user_data",
                "client_ip_address",
                "is required where Meta is to geolocate (country 0, state 0)",
            ))
        }
        _ => Ok(()),
    }
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn object<'a>(parent: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    parent.get(name).and_then(Value::as_object)
}

fn action_source(value: &Value) -> Result<(), &'static str> {
    let known = value
        .as_str()
        .is_some_and(|text| ACTION_SOURCES.contains(&text));
    known
        .then_some(())
        .ok_or("must be one of the documented action sources")
}

fn web_url(value: &Value) -> Result<(), &'static str> {
    let url = value.as_str().and_then(|text| url::Url::parse(text).ok());
    let fits = url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    fits.then_some(())
        .ok_or("must be a web address with http or https")
}

fn data_processing_options(value: &Value) -> Result<(), &'static str> {
    let fits = value
        .as_array()
        .is_some_and(|list| list.len() <= 1 && list.iter().all(|option| option == "LDU"));
    fits.then_some(()).ok_or("must be [] or [\"LDU\"]")
}

fn data_processing_country(value: &Value) -> Result<(), &'static str> {
    matches!(value.as_i64(), Some(0 | 1))
        .then_some(())
        .ok_or("must be 0 or 1")
}

fn data_processing_state(value: &Value) -> Result<(), &'static str> {
    matches!(value.as_i64(), Some(0 | 1000..=1013))
        .then_some(())
        .ok_or("must be 0 or from 1000 to 1013")
}

fn messaging_channel(value: &Value) -> Result<(), &'static str> {
    let fits = matches!(value.as_str(), Some("messenger" | "whatsapp" | "instagram"));
    fits.then_some(())
        .ok_or("must be messenger, whatsapp or instagram")
}

fn flag(value: &Value) -> Result<(), &'static str> {
    let fits = value.is_boolean() || matches!(value.as_i64(), Some(0 | 1));
    fits.then_some(()).ok_or("must be true, false, 0 or 1")
}

fn extinfo(value: &Value) -> Result<(), &'static str> {
    let fits = value
        .as_array()
        .is_some_and(|list| list.len() == 16 && list.iter().all(Value::is_string));
    fits.then_some(()).ok_or("must be a list of 16 strings")
}
