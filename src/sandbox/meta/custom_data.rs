//! Checks `custom_data` of an event
//! (`developers.facebook.com/documentation/ads-commerce/conversions-api/parameters/custom-data`). Own properties
//! are allowed there, so unknown keys pass.

use serde_json::{Map, Value};

use super::event::Wrong;
use crate::sandbox::currency;
use crate::sandbox::shape::{self, Fields};

const FIELDS: &Fields = &[
    ("value", shape::amount),
    ("currency", currency_code),
    ("order_id", shape::string),
    ("content_ids", shape::strings),
    ("content_type", content_type),
    ("content_name", shape::string),
    ("content_category", shape::string),
    ("contents", contents),
    ("num_items", shape::count),
    ("predicted_ltv", shape::number),
    ("net_revenue", shape::number),
    ("delivery_category", delivery_category),
    ("search_string", shape::string),
    ("status", shape::string),
    ("event_source", shape::string),
    ("lead_event_source", shape::string),
];

const CONTENT_FIELDS: &Fields = &[
    ("id", shape::filled_string),
    ("quantity", shape::count),
    ("item_price", shape::amount),
    ("delivery_category", delivery_category),
];

/// Checks the documented properties, and that a `Purchase` has its value and currency.
pub(super) fn check(
    custom_data: Option<&Map<String, Value>>,
    event_name: &str,
) -> Result<(), Wrong> {
    if let Some(properties) = custom_data {
        shape::fields(properties, FIELDS, true)
            .map_err(|misfit| Wrong::inside("custom_data", &misfit.field, misfit.must))?;
    }
    let has = |name: &str| custom_data.is_some_and(|properties| properties.contains_key(name));
    if event_name != "Purchase" {
        Ok(())
    } else if !has("value") {
        Err(Wrong::inside("custom_data", "value", "is required for Purchase").subcode(2_804_009))
    } else if !has("currency") {
        Err(Wrong::inside(
            "custom_data",
            "currency",
            "is required for Purchase",
        ))
    } else {
        Ok(())
    }
}

/// Upper and lower case were both taken when observed.
fn currency_code(value: &Value) -> Result<(), &'static str> {
    let fits = value
        .as_str()
        .is_some_and(|code| currency::is_code(&code.to_ascii_uppercase()));
    fits.then_some(()).ok_or("must be an ISO 4217 code")
}

fn content_type(value: &Value) -> Result<(), &'static str> {
    let fits = matches!(value.as_str(), Some("product" | "product_group"));
    fits.then_some(()).ok_or("must be product or product_group")
}

fn delivery_category(value: &Value) -> Result<(), &'static str> {
    let fits = matches!(
        value.as_str(),
        Some("in_store" | "curbside" | "home_delivery")
    );
    fits.then_some(())
        .ok_or("must be in_store, curbside or home_delivery")
}

fn contents(value: &Value) -> Result<(), &'static str> {
    let content = |content: &Value| {
        let fields = content.as_object();
        fields.is_some_and(|fields| {
            fields.contains_key("id") && shape::fields(fields, CONTENT_FIELDS, true).is_ok()
        })
    };
    let fits = value
        .as_array()
        .is_some_and(|list| list.iter().all(content));
    fits.then_some(()).ok_or(
        "must be a list of objects with id (string), quantity (integer), item_price (number)",
    )
}
