//! Google Ads API. Parts, in the order of every platform: settings, needs, request, classify.
//!
//! Closed since 2026-06-15 to everybody who sent no conversions in the half year before, so Data Manager is the usual way.
//! Open to all are adjustments, and only they can retract a conversion. Google answers per row, at once; an order id is
//! taken once per action, so a resend counts nothing twice.
//!
//! Sources: `developers.google.com/google-ads/api/docs/conversions` (upload-offline, upload-adjustments) and the protos
//! google.ads.googleads.v26 (ConversionUploadService, ConversionAdjustmentUploadService).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use url::Url;

use super::{BatchSize, Credential, HttpRequest, Item, Needs, Unsendable, address, google};
use crate::conversion::{Adjusted, Conversion};
use crate::identity::{Family, Identity};

mod classify;
pub mod probe;
mod settings;

pub use super::google::Merchant;
pub use classify::classify;
pub(crate) use settings::read_version;
pub use settings::{Settings, version_ends};

// --- needs ---

/// Up to 2,000 rows. The default of a destination is lower: an answer tells of every row. A conversion in the future is
/// refused.
pub const NEEDS: Needs = Needs {
    family: Family::GoogleAds,
    consent: google::consent,
    concurrency: 4,
    batch: BatchSize {
        default: 200,
        max: 2000,
    },
    rate_limit: None,
    quota_resets_at: None,
    ahead_max: Duration::ZERO,
    base_url: "https://googleads.googleapis.com",
};

/// A click is taken as long as the action's window says (`EXPIRED_EVENT`); ours is ninety days, the longest window an action
/// is known to have, less ten minutes.
pub const AGE_MAX: Duration = Duration::from_secs(90 * 86_400 - 600);

/// A conversion can be adjusted for 54 days (`CONVERSION_EXPIRED`); ours stop ten minutes before.
pub const ADJUSTMENT_AGE_MAX: Duration = Duration::from_secs(54 * 86_400 - 600);

/// Identifiers of one conversion. Source: ClickConversion, `user_identifiers`.
const IDENTIFIERS_MAX: usize = 5;

/// The two calls. A request makes one of them.
const CLICK: &str = "click";
const ADJUSTMENT: &str = "adjustment";

// --- request ---

/// One element of `conversions` or of `conversionAdjustments`.
pub fn item(settings: &Settings, conversion: &Conversion<'_>) -> Result<Item, Unsendable> {
    let (row, call) = if conversion.is_reversal {
        // Without its original's id there is nothing to adjust.
        let original = conversion.original.as_ref();
        let original = original.ok_or(Unsendable::Invalid("depends_on"))?;
        (adjustment(settings, conversion, original)?, ADJUSTMENT)
    } else {
        (click(settings, conversion)?, CLICK)
    };
    Ok(Item::new(Value::Object(row).to_string()).of(call, conversion.name))
}

/// `POST /{version}/customers/{customer_id}:uploadClickConversions`, or `:uploadConversionAdjustments`.
pub fn request(settings: &Settings, base_url: &Url, items: &[&Item]) -> HttpRequest {
    let is_adjustment = items.iter().any(|item| item.lot.call == ADJUSTMENT);
    let (method, list) = match is_adjustment {
        true => ("uploadConversionAdjustments", "conversionAdjustments"),
        false => ("uploadClickConversions", "conversions"),
    };
    let payloads: Vec<&str> = items.iter().map(|item| item.payload.as_str()).collect();
    let mut body = format!(
        r#"{{"{list}":[{}],"partialFailure":true"#,
        payloads.join(",")
    );
    if settings.validate_only {
        body.push_str(r#","validateOnly":true"#);
    }
    body.push('}');
    let path = format!(
        "/{}/customers/{}:{method}",
        settings.api_version, settings.customer_id
    );
    let request = HttpRequest::post(address(base_url, &path), Credential::Bearer, body);
    for_manager(settings, request)
}

/// With the manager account through which access is granted.
fn for_manager(settings: &Settings, request: HttpRequest) -> HttpRequest {
    match &settings.login_customer_id {
        Some(login) => request.header("login-customer-id", login.as_str()),
        None => request,
    }
}

/// Source: upload-offline; ClickConversion.
fn click(
    settings: &Settings,
    conversion: &Conversion<'_>,
) -> Result<Map<String, Value>, Unsendable> {
    let click = google::click(&conversion.clicks);
    // Only a gclid may be accompanied by a person: with the other two Google refuses the row.
    let identifiers = match click {
        Some(("gbraid" | "wbraid", _)) => Vec::new(),
        _ => user_identifiers(&conversion.identity),
    };
    if click.is_none() && identifiers.is_empty() {
        return Err(Unsendable::NoIdentifier);
    }
    let mut row = row(settings, conversion, conversion.event_id)?;
    let mut insert = |key: &str, value: Value| row.insert(key.to_owned(), value);
    insert("conversionDateTime", time(conversion.occurred_at).into());
    if let Some((name, id)) = click {
        insert(name, id.as_str().into());
    }
    if !identifiers.is_empty() {
        insert("userIdentifiers", identifiers.into());
    }
    let consent = google::told_consent(conversion.permit, "GRANTED", "DENIED");
    if !consent.is_empty() {
        insert("consent", consent.into());
    }
    if let Some(money) = conversion.money {
        insert("conversionValue", money.amount.clone().into());
        insert("currencyCode", money.currency.as_str().into());
    }
    if let Some(cart) = settings
        .merchant
        .as_ref()
        .and_then(|merchant| google::cart(merchant, conversion, &CART))
    {
        insert("cartData", cart);
    }
    Ok(row)
}

/// Takes back all of a conversion, or changes it to what is left. It names no person: the order id says which conversion.
/// Its time must be later than the conversion's (`ADJUSTMENT_PRECEDES_CONVERSION`) and than that of every adjustment before,
/// or it is passed over (`RESTATEMENT_ALREADY_EXISTS`, `MORE_RECENT_RESTATEMENT_FOUND`).
/// Source: upload-adjustments; ConversionAdjustment.
fn adjustment(
    settings: &Settings,
    conversion: &Conversion<'_>,
    original: &Adjusted<'_>,
) -> Result<Map<String, Value>, Unsendable> {
    let mut row = row(settings, conversion, original.event_id)?;
    let mut insert = |key: &str, value: Value| row.insert(key.to_owned(), value);
    match google::left(original)? {
        None => insert("adjustmentType", "RETRACTION".into()),
        Some(left) => {
            insert(
                "restatementValue",
                json!({ "adjustedValue": left.amount, "currencyCode": left.currency }),
            );
            insert("adjustmentType", "RESTATEMENT".into())
        }
    };
    insert("adjustmentDateTime", time(original.changed_at).into());
    Ok(row)
}

/// What every row has: its action and the order id, by which Google knows a repeat and finds what is adjusted.
fn row(
    settings: &Settings,
    conversion: &Conversion<'_>,
    event_id: &str,
) -> Result<Map<String, Value>, Unsendable> {
    let action = format!(
        "customers/{}/conversionActions/{}",
        settings.customer_id, conversion.name
    );
    let mut row = Map::new();
    row.insert("conversionAction".into(), action.into());
    row.insert("orderId".into(), google::transaction_id(event_id)?.into());
    Ok(row)
}

/// Addresses and telephone numbers, hashed: Google takes nothing else of a person here.
fn user_identifiers(person: &Identity) -> Vec<Value> {
    let emails = person.email.iter().map(|hash| ("hashedEmail", hash));
    let phones = person.phone.iter().map(|hash| ("hashedPhoneNumber", hash));
    emails
        .chain(phones)
        .take(IDENTIFIERS_MAX)
        .map(|(key, hash)| json!({ "userIdentifierSource": "FIRST_PARTY", key: hash }))
        .collect()
}

/// What this API calls the parts of a cart.
const CART: google::CartKeys = google::CartKeys {
    product: "productId",
    feed_label: "feedCountryCode",
    feed_language: "feedLanguageCode",
};

/// `yyyy-mm-dd hh:mm:ss+hh:mm`, in UTC. No `T`, no `Z`, no fraction.
fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S+00:00").to_string()
}

#[cfg(test)]
mod tests;
