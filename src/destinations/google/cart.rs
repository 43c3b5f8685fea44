//! What an order consisted of, for a shop in Merchant Center. Both APIs take the same, under names of their own.

use serde_json::{Map, Value};

use super::click;
use crate::config::read::Reader;
use crate::conversion::Conversion;

/// The shop in Merchant Center whose products carts name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchant {
    /// Its id: digits.
    pub id: String,
    /// Which feed; the Google Ads API takes a country's code only.
    pub feed_label: Option<String>,
    /// The feed's language, ISO 639-1.
    pub feed_language: Option<String>,
}

impl Merchant {
    /// Reads `merchant_id`, `merchant_feed_label` and `merchant_feed_language`.
    pub(in crate::destinations) fn read(reader: &mut Reader<'_>) -> Option<Merchant> {
        let id = reader.text_where(
            "merchant_id",
            super::is_account,
            "must be digits only",
            "copy the id from Merchant Center, in quotes",
        );
        let mut text = |key| {
            let rule = "must not be empty";
            reader.text_where(key, |text| !text.is_empty(), rule, "leave it out")
        };
        let feed_label = text("merchant_feed_label");
        let feed_language = text("merchant_feed_language");
        for key in ["merchant_feed_label", "merchant_feed_language"] {
            if reader.has(key) && !reader.has("merchant_id") {
                reader.fault(key, "needs merchant_id", "add merchant_id, or leave it out");
            }
        }
        Some(Merchant {
            id: id?,
            feed_label,
            feed_language,
        })
    }
}

/// What one API calls the parts of a cart.
pub(in crate::destinations) struct CartKeys {
    /// A product's id in the feed.
    pub product: &'static str,
    /// Which feed.
    pub feed_label: &'static str,
    /// The feed's language.
    pub feed_language: &'static str,
}

/// `cartData`; nothing without a line that has a product, and where Google takes none: with `gbraid` or `wbraid` it warns and
/// drops it (`WARNING_REASON_CART_DATA_NOT_SUPPORTED_WITH_GBRAID_OR_WBRAID`).
pub(in crate::destinations) fn cart(
    merchant: &Merchant,
    conversion: &Conversion<'_>,
    keys: &CartKeys,
) -> Option<Value> {
    if let Some(("gbraid" | "wbraid", _)) = click(&conversion.clicks) {
        return None;
    }
    let lines: Vec<Value> = conversion
        .items()
        .filter_map(|item| line(item, keys))
        .collect();
    if lines.is_empty() {
        return None;
    }
    let mut cart = Map::new();
    cart.insert("merchantId".into(), merchant.id.as_str().into());
    for (key, value) in [
        (keys.feed_label, &merchant.feed_label),
        (keys.feed_language, &merchant.feed_language),
    ] {
        if let Some(value) = value {
            cart.insert(key.into(), value.as_str().into());
        }
    }
    cart.insert("items".into(), lines.into());
    Some(Value::Object(cart))
}

fn line(item: &Map<String, Value>, keys: &CartKeys) -> Option<Value> {
    let id = match item.get("id")? {
        Value::String(id) if !id.is_empty() => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    let quantity = item.get("quantity").and_then(Value::as_u64);
    let mut line = Map::new();
    line.insert(keys.product.into(), id.into());
    // A whole number, or none.
    if let Some(quantity) = quantity.and_then(|count| i32::try_from(count).ok()) {
        line.insert("quantity".into(), quantity.into());
    }
    if let Some(Value::Number(price)) = item.get("price") {
        line.insert("unitPrice".into(), price.clone().into());
    }
    Some(Value::Object(line))
}
