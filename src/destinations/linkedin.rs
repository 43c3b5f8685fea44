//! LinkedIn Conversions API. Parts, in the order of every platform: settings, needs, request, classify.
//!
//! An event has no name here: the conversion rule it is sent for, made in Campaign Manager, says what it means. Of a
//! batch all are refused because of one, and the message names the culprits by their place. A repeat between the site's
//! tag and the server is discarded by `eventId`; between two requests of the server nothing is promised, so a recorded
//! answer is never followed by another request. LinkedIn takes nothing back: there are no refunds.
//!
//! Sources: `learn.microsoft.com/en-us/linkedin/marketing/integrations/ads-reporting/` (conversions-api,
//! conversions-api-schema) and `learn.microsoft.com/en-us/linkedin/marketing/conversions/` (deduplication,
//! custom-matching-identifiers, conversions-faq), pages of September 2026.

use std::time::Duration;

use chrono::NaiveTime;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::{BatchSize, Credential, HttpRequest, Item, Needs, Unsendable, address};
use crate::consent::{Kind, Signal};
use crate::conversion::Conversion;
use crate::event::is_reversal;
use crate::identity::{Family, Hashed, Plain};

mod amount;
mod classify;
pub mod probe;
mod settings;
mod version;

pub use classify::classify;
pub use settings::{Access, Settings, is_rule_id};
pub use version::version_ends;

// --- needs ---

/// Source: conversions-api: up to 5,000 events, 600 requests a minute. Ours end at 1,000: LinkedIn publishes no size of a
/// body, and only the beginning of an answer is read, where one for 5,000 events would not fit. The default is far lower,
/// since one wrong event refuses all. The clock: a time after LinkedIn's own is refused (conversions-api-schema,
/// `conversionHappenedAt`).
pub const NEEDS: Needs = Needs {
    family: Family::LinkedIn,
    consent,
    concurrency: 4,
    batch: BatchSize {
        default: 100,
        max: 1000,
    },
    // Per member token (learn.microsoft.com, marketing/integrations/ads-reporting/conversions-api, 2026-09-16). There are
    // 500,000 a day as well, new at midnight UTC.
    rate_limit: Some((600, Duration::from_secs(60))),
    quota_resets_at: Some(NaiveTime::MIN),
    ahead_max: Duration::ZERO,
    base_url: "https://api.linkedin.com",
};

/// LinkedIn uses what it gets for advertising, and its click id comes from advertising storage on the device. The schema
/// holds no consent field: the only control is not to send.
fn consent(kind: Kind) -> &'static [Signal] {
    match kind {
        Kind::ClickId => &[Signal::AdStorage, Signal::AdUserData],
        _ => &[Signal::AdUserData],
    }
}

/// Events may be backdated by 90 days, or the whole request is refused; ours stop ten minutes before.
/// Source: conversions-api-schema, `conversionHappenedAt`.
pub const AGE_MAX: Duration = Duration::from_secs(90 * 86_400 - 600);

/// Longest `eventId`, in characters. LinkedIn publishes none; Salesforce's connector says so
/// (`developer.salesforce.com`, Data Cloud, LinkedIn CAPI connector).
const EVENT_ID_MAX: usize = 64;

// --- request ---

/// One event object. What is not documented is refused, so nothing more is in it, and what is unknown is left out.
/// Source: conversions-api-schema.
pub fn item(settings: &Settings, conversion: &Conversion<'_>) -> Result<Item, Unsendable> {
    if is_reversal(conversion.event_name) {
        // A mapping under `events` may name a rule; it would count what is taken back as a conversion.
        return Err(Unsendable::Invalid("event_name"));
    }
    let user = user(settings, conversion).ok_or(Unsendable::NoIdentifier)?;

    let mut event = Map::new();
    let rule = format!("urn:lla:llaPartnerConversion:{}", conversion.name);
    event.insert("conversion".into(), rule.into());
    event.insert(
        "conversionHappenedAt".into(),
        conversion.occurred_at.timestamp_millis().into(),
    );
    if let Some(money) = conversion.money {
        let amount = amount::plain(&money.amount).ok_or(Unsendable::Invalid("value"))?;
        event.insert(
            "conversionValue".into(),
            json!({ "currencyCode": money.currency.as_str(), "amount": amount }),
        );
    }
    event.insert("eventId".into(), event_id(conversion.event_id).into());
    event.insert("user".into(), user.into());
    Ok(Item::new(Value::Object(event).to_string()).of("", conversion.name))
}

/// `POST /rest/conversionEvents`: one event as it stands, several as a batch. Source: conversions-api;
/// `learn.microsoft.com/en-us/linkedin/marketing/versioning`.
pub fn request(settings: &Settings, base_url: &Url, items: &[&Item]) -> HttpRequest {
    let url = address(base_url, "/rest/conversionEvents");
    let versioned = |body| {
        HttpRequest::post(url, Credential::Bearer, body)
            .header("LinkedIn-Version", &settings.version)
            .header("X-Restli-Protocol-Version", "2.0.0")
    };
    if let [item] = items {
        return versioned(item.payload.clone());
    }
    let payloads: Vec<&str> = items.iter().map(|item| item.payload.as_str()).collect();
    versioned(format!(r#"{{"elements":[{}]}}"#, payloads.join(",")))
        .header("X-RestLi-Method", "BATCH_CREATE")
}

/// The id that the site's tag sends too. One that is too long is replaced by its SHA-256 in lower-case hexadecimal digits,
/// which has just the length: a tag can make the same of it. Source: deduplication.
fn event_id(id: &str) -> String {
    if id.chars().count() <= EVENT_ID_MAX {
        return id.to_owned();
    }
    let digest = Sha256::digest(id);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `user`, if LinkedIn can match anybody by it: an id, a whole name, or an external id. `userIds` must be there even if
/// there is none. Source: conversions-api-schema, `user`; conversions-faq.
fn user(settings: &Settings, conversion: &Conversion<'_>) -> Option<Map<String, Value>> {
    let ids = user_ids(settings, conversion);
    let info = user_info(settings, conversion);
    // Only the first would be used, in the clear. Source: custom-matching-identifiers.
    let external_id = conversion.identity.external_id.as_ref();
    if ids.is_empty() && info.is_none() && external_id.is_none() {
        return None;
    }
    let mut user = Map::new();
    user.insert("userIds".into(), ids.into());
    if let Some(info) = info {
        user.insert("userInfo".into(), info.into());
    }
    if let Some(id) = external_id {
        user.insert("externalIds".into(), json!([id]));
    }
    Some(user)
}

/// `userIds`. Source: conversions-api-schema, `idType`.
fn user_ids(settings: &Settings, conversion: &Conversion<'_>) -> Vec<Value> {
    let person = &conversion.identity;
    let emails = person.email.iter().map(Hashed::as_str);
    let click_id = conversion.clicks.li_fat_id.iter().map(Plain::as_str);
    let address = person.ip_address.iter().filter(|_| settings.send_ip);
    let of_type = |kind| move |value| json!({ "idType": kind, "idValue": value });
    emails
        .map(of_type("SHA256_EMAIL"))
        .chain(click_id.map(of_type("LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID")))
        .chain(
            address
                .map(Plain::as_str)
                .map(of_type("PLAINTEXT_IP_ADDRESS")),
        )
        .collect()
}

/// `userInfo`, which needs both names; one may be hashed and the other not. Source: conversions-api-schema, `userInfo`.
fn user_info(settings: &Settings, conversion: &Conversion<'_>) -> Option<Map<String, Value>> {
    let person = &conversion.identity;
    let mut info = Map::new();
    let first = (&person.clear_first_name, &person.first_name);
    let last = (&person.clear_last_name, &person.last_name);
    for ((clear, hashed), clear_key, hashed_key) in [
        (first, "firstName", "hashedFirstName"),
        (last, "lastName", "hashedLastName"),
    ] {
        let (key, name) = match (clear, hashed) {
            (Some(clear), _) => (clear_key, clear.as_str()),
            (None, Some(hashed)) if settings.takes_hashed_names() => (hashed_key, hashed.as_str()),
            _ => return None,
        };
        info.insert(key.into(), name.into());
    }
    for (key, value) in [
        ("companyName", person.company.as_ref().map(Plain::as_str)),
        ("title", person.job_title.as_ref().map(Plain::as_str)),
        (
            "countryCode",
            person.country.as_ref().map(|code| code.as_str()),
        ),
    ] {
        if let Some(value) = value {
            info.insert(key.into(), value.into());
        }
    }
    Some(info)
}

#[cfg(test)]
mod tests;
