//! Google Data Manager API, events for Google Ads. Parts, in the order of every platform: settings, needs, request,
//! classify.
//!
//! One wrong event refuses the whole request and nothing is stored, but Google names the event. A good answer says only
//! that the form is right; what became of the events is asked for later, and told in counts per reason, never per event.
//! A second event of the same action and transaction id overwrites the first one's value, so a resend counts nothing
//! twice, and a refund is the original told again with what is left. Google has no retraction here: a full refund leaves a
//! conversion worth nothing.
//!
//! Sources: `developers.google.com/data-manager/api/devguides` (events/google-ads/offline/upgrade,
//! events/google-ads/conversion-adjustments, concepts/formatting, understand-errors, diagnostics, limits) and the protos
//! google.ads.datamanager.v1.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use url::Url;

use super::{BatchSize, Credential, HttpRequest, Item, Needs, Unsendable, address, google};
use crate::conversion::{Adjusted, Conversion};
use crate::identity::{Family, Identity};

mod classify;
mod late;
pub mod probe;
mod settings;

pub use super::google::Merchant;
pub use classify::classify;
pub use late::classify_late;
pub use settings::{EventSource, Settings};

// --- needs ---

/// Up to 2,000 events. The default of a destination is far lower: a later answer tells how many failed and not which, so
/// small requests find a culprit sooner. About ten requests at once are advised, status questions included. The clock: a
/// conversion in the future is refused. Source: limits.
pub const NEEDS: Needs = Needs {
    family: Family::GoogleDataManager,
    consent: google::consent,
    concurrency: 4,
    batch: BatchSize {
        default: 100,
        max: 2000,
    },
    // Per Cloud project, ingest and status questions together (developers.google.com/data-manager/api/devguides/limits).
    // There are 100,000 a day as well; the hour at which they are new is not documented.
    rate_limit: Some((300, Duration::from_secs(60))),
    quota_resets_at: None,
    ahead_max: Duration::ZERO,
    base_url: "https://datamanager.googleapis.com",
};

/// Google answers `EVENT_TOO_OLD` and documents no number; ours is ninety days, the longest window an action is known to
/// have, less ten minutes.
pub const AGE_MAX: Duration = Duration::from_secs(90 * 86_400 - 600);

/// Identifiers of one event. Source: limits.
const IDENTIFIERS_MAX: usize = 10;

// --- request ---

/// One element of `events`. Source: events/google-ads/offline/upgrade, field mappings.
pub fn item(settings: &Settings, conversion: &Conversion<'_>) -> Result<Item, Unsendable> {
    let change = change(settings, conversion)?;
    let click = google::click(&conversion.clicks);
    let identifiers = user_identifiers(&conversion.identity);
    if click.is_none() && identifiers.is_empty() {
        return Err(Unsendable::NoIdentifier);
    }
    let event_id = change.map_or(conversion.event_id, |original| original.event_id);
    let occurred_at = change.map_or(conversion.occurred_at, |original| original.occurred_at);

    let mut event = Map::new();
    let mut insert = |key: &str, value: Value| event.insert(key.to_owned(), value);
    insert("destinationReferences", json!([conversion.name]));
    insert("transactionId", google::transaction_id(event_id)?.into());
    insert("eventTimestamp", timestamp(occurred_at).into());
    insert(
        "lastUpdatedTimestamp",
        timestamp(change.map_or(conversion.recorded_at, |original| original.updated_at)).into(),
    );
    insert(
        "eventSource",
        event_source(settings, conversion, change).name().into(),
    );
    if let Some((name, id)) = click {
        insert("adIdentifiers", json!({ name: id }));
    }
    if !identifiers.is_empty() {
        insert("userData", json!({ "userIdentifiers": identifiers }));
    }
    let consent = google::told_consent(conversion.permit, "CONSENT_GRANTED", "CONSENT_DENIED");
    if !consent.is_empty() {
        insert("consent", consent.into());
    }
    for (key, value) in value(conversion, change)? {
        insert(key, value);
    }
    // The items of a refund are what came back, not what was bought.
    if let (Some(merchant), None) = (&settings.merchant, change)
        && let Some(cart) = google::cart(merchant, conversion, &CART)
    {
        insert("cartData", cart);
    }
    Ok(Item::new(Value::Object(event).to_string()).of("", conversion.name))
}

/// `POST /v1/events:ingest`, for one conversion action, which the lot names.
pub fn request(settings: &Settings, base_url: &Url, items: &[&Item]) -> HttpRequest {
    let action = items.first().and_then(|item| item.lot.rule.as_deref());
    let account = |id: &str| json!({ "accountType": "GOOGLE_ADS", "accountId": id });
    let mut destination = Map::new();
    destination.insert("reference".into(), action.into());
    destination.insert(
        "operatingAccount".into(),
        account(&settings.operating_account),
    );
    if let Some(login) = &settings.login_account {
        destination.insert("loginAccount".into(), account(login));
    }
    destination.insert("productDestinationId".into(), action.into());

    let payloads: Vec<&str> = items.iter().map(|item| item.payload.as_str()).collect();
    let mut body = format!(r#"{{"destinations":[{}]"#, Value::Object(destination));
    // Asked for with hashes, and only then. Quotes within a JSON text are escaped, so this can only be the key.
    if payloads
        .iter()
        .any(|payload| payload.contains(r#""userData":"#))
    {
        body.push_str(r#","encoding":"HEX""#);
    }
    if settings.validate_only {
        body.push_str(r#","validateOnly":true"#);
    }
    body.push_str(&format!(r#","events":[{}]}}"#, payloads.join(",")));
    let url = address(base_url, "/v1/events:ingest");
    for_project(settings, HttpRequest::post(url, Credential::Bearer, body))
}

/// `GET /v1/requestStatus:retrieve`. Source: diagnostics.
pub fn question(settings: &Settings, base_url: &Url, receipt: &str) -> HttpRequest {
    let mut url = address(base_url, "/v1/requestStatus:retrieve");
    url.query_pairs_mut().append_pair("requestId", receipt);
    for_project(settings, HttpRequest::get(url, Credential::Bearer))
}

/// With the Cloud project that it counts for. Source: `cloud.google.com/apis/docs/system-parameters`.
fn for_project(settings: &Settings, request: HttpRequest) -> HttpRequest {
    match &settings.quota_project {
        Some(project) => request.header("x-goog-user-project", project.as_str()),
        None => request,
    }
}

/// The original that this event changes. Where refunds are told elsewhere, whatever comes here is an event of its own.
fn change<'c, 'a>(
    settings: &Settings,
    conversion: &'c Conversion<'a>,
) -> Result<Option<&'c Adjusted<'a>>, Unsendable> {
    if !settings.restates || !conversion.is_reversal {
        return Ok(None);
    }
    // Without its original's id it would be counted as a new conversion.
    let original = conversion.original.as_ref();
    original.map(Some).ok_or(Unsendable::Invalid("depends_on"))
}

/// Amount and currency; of a change, all that is left. No value is not the same as nought.
fn value(
    conversion: &Conversion<'_>,
    change: Option<&Adjusted<'_>>,
) -> Result<Vec<(&'static str, Value)>, Unsendable> {
    let (amount, currency) = match change.map(google::left).transpose()? {
        None => match conversion.money {
            Some(money) => (money.amount.clone(), Some(money.currency)),
            None => return Ok(Vec::new()),
        },
        Some(Some(left)) => (left.amount.clone(), Some(left.currency)),
        Some(None) => {
            let told = change.and_then(|original| original.money);
            let money = told.or(conversion.money);
            (0.into(), money.map(|money| money.currency))
        }
    };
    let currency = currency.map(|currency| ("currency", currency.as_str().into()));
    Ok([("conversionValue", Value::Number(amount))]
        .into_iter()
        .chain(currency)
        .collect())
}

/// Everything that may identify the person, hashed; an address only if it is complete. Source: concepts/formatting.
fn user_identifiers(person: &Identity) -> Vec<Value> {
    let emails = person
        .email
        .iter()
        .map(|hash| json!({ "emailAddress": hash }));
    let phones = person
        .phone
        .iter()
        .map(|hash| json!({ "phoneNumber": hash }));
    emails
        .chain(phones)
        .chain(postal_address(person))
        .take(IDENTIFIERS_MAX)
        .collect()
}

/// All four parts, or none: the whole request is refused otherwise.
fn postal_address(person: &Identity) -> Option<Value> {
    let region = person.country.as_ref()?.as_str();
    let code = person.postal_code.as_ref()?.as_str();
    if region == "US" && !is_zip(code) {
        return None;
    }
    Some(json!({ "address": {
        "givenName": person.first_name?,
        "familyName": person.last_name?,
        "regionCode": region,
        "postalCode": code,
    } }))
}

/// Five digits, or five and four. Source: concepts/formatting.
fn is_zip(code: &str) -> bool {
    let is_digits =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    match code.split_once('-') {
        Some((five, four)) => is_digits(five, 5) && is_digits(four, 4),
        None => is_digits(code, 5) || is_digits(code, 9),
    }
}

/// What is configured, else what follows from where it happened. A change happened where its original did; the refund's own
/// row says where the money was given back.
fn event_source(
    settings: &Settings,
    conversion: &Conversion<'_>,
    change: Option<&Adjusted<'_>>,
) -> EventSource {
    let configured = match change {
        Some(_) => settings.event_source_of_action(conversion.name),
        None => settings.event_source(conversion.event_name),
    };
    let (action_source, page) = match change {
        Some(original) => (original.action_source, original.page_url),
        None => (conversion.action_source, conversion.page_url),
    };
    configured.unwrap_or(match action_source {
        Some("website") => EventSource::Web,
        Some("app") => EventSource::App,
        Some("physical_store") => EventSource::InStore,
        Some("phone_call") => EventSource::Phone,
        Some("chat" | "business_messaging") => EventSource::Message,
        None if page.is_some() => EventSource::Web,
        _ => EventSource::Other,
    })
}

/// What this API calls the parts of a cart.
const CART: google::CartKeys = google::CartKeys {
    product: "merchantProductId",
    feed_label: "merchantFeedLabel",
    feed_language: "merchantFeedLanguageCode",
};

/// RFC 3339 in UTC. Numbers are refused.
fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests;
