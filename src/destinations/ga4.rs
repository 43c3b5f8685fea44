//! Google Analytics 4 Measurement Protocol. Parts, in the order of every platform: settings, needs, request, classify.
//!
//! GA4 answers nothing: any request that arrives gets a 2xx, a wrong secret included, so a delivery ends as `sent` and
//! never as `accepted`, and our own check before sending is the only error anybody will see. Repeats are recognised for
//! `purchase` by `transaction_id` only.
//!
//! Sources: `developers.google.com/analytics/devguides/collection/protocol/ga4` (reference, sending-events, use-cases,
//! validating-events), `developers.google.com/analytics/devguides/collection/ga4/uid-data` and
//! `support.google.com/analytics/answer/12313109`.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::{BatchSize, Credential, HttpRequest, Item, Needs, Reply, Unsendable, address};
use crate::consent::{Choice, Kind, Signal};
use crate::conversion::Conversion;
use crate::identity::Family;
use crate::outcome::{Answer, Hold, Notice, Outcome};

mod probe;
mod settings;

pub use probe::{classify_probe, in_debug_view, probe};
pub use settings::{Mode, Settings, is_event_name};

// --- needs ---

/// One event a request: the protocol takes 25, but says nothing of any of them, so that only a request of its own
/// keeps an event's hash, status and retry exact. In the EU: `https://region1.google-analytics.com`. The clock: GA4 documents past times only; five minutes of skew pass.
pub const NEEDS: Needs = Needs {
    family: Family::Ga4,
    consent,
    concurrency: 20,
    batch: BatchSize { default: 1, max: 1 },
    rate_limit: None,
    quota_resets_at: None,
    ahead_max: Duration::from_secs(5 * 60),
    base_url: "https://www.google-analytics.com",
};

/// Identifiers hashed for user-provided data go to the advertising side too. Source: uid-data.
fn consent(kind: Kind) -> &'static [Signal] {
    match kind {
        Kind::Email | Kind::Phone | Kind::Name | Kind::Address | Kind::Demographics => {
            &[Signal::AnalyticsStorage, Signal::AdUserData]
        }
        _ => &[Signal::AnalyticsStorage],
    }
}

/// Events may be backdated by 72 hours; older ones are rewritten to that age without a word, so ours stop ten minutes
/// before. Source: sending-events.
pub const AGE_MAX: Duration = Duration::from_secs(72 * 3600 - 600);

/// `purchase` is recognised by its `transaction_id`, the first one wins, and no window is documented: it is bounded by
/// [`AGE_MAX`]. Nothing else is. Source: `support.google.com/analytics/answer/12313109`.
pub fn repeat_window(name: &str) -> Option<Duration> {
    (name == "purchase").then_some(AGE_MAX)
}

/// GA4's recommended name where there is one, else a custom name. `order_created` is never `purchase`.
/// Source: reference/events.
pub fn default_name(event_name: &str) -> Option<&'static str> {
    Some(match event_name {
        "lead_created" => "generate_lead",
        "lead_qualified" => "qualify_lead",
        "booking_confirmed" => "booking_confirmed",
        "order_created" => "order_created",
        "order_paid" | "purchase" => "purchase",
        "order_refunded" | "order_cancelled" => "refund",
        "subscription_started" => "subscription_started",
        "deal_won" => "close_convert_lead",
        _ => return None,
    })
}

/// Longest `user_id`, in characters, and longest text of a parameter. Source: sending-events, limitations.
const USER_ID_MAX: usize = 256;
const TEXT_MAX: usize = 100;

/// The body must stay below 130 kB. Source: sending-events, limitations.
const BODY_MAX: usize = 130_000;

/// How many of each kind `user_data` takes. Source: uid-data.
const EMAIL_MAX: usize = 3;
const PHONE_MAX: usize = 3;

// --- request ---

/// One whole body: GA4 gets one event a request. Source: reference.
pub fn item(settings: &Settings, conversion: &Conversion<'_>) -> Result<Item, Unsendable> {
    if !is_event_name(conversion.name) {
        return Err(Unsendable::Invalid("event_name"));
    }
    let user_id = conversion
        .identity
        .external_id
        .as_ref()
        .map(|id| id.as_str())
        .filter(|id| is_user_id(id));
    let client_id = match &conversion.clicks.ga_client_id {
        Some(id) => id.as_str().to_owned(),
        None if settings.synthetic_client_id => {
            synthetic_client_id(user_id.ok_or(Unsendable::NoIdentifier)?)
        }
        None => return Err(Unsendable::NoIdentifier),
    };

    let mut body = Map::new();
    body.insert("client_id".into(), client_id.into());
    if let Some(user_id) = user_id {
        body.insert("user_id".into(), user_id.into());
    }
    body.insert(
        "timestamp_micros".into(),
        conversion.occurred_at.timestamp_micros().into(),
    );
    let consent = told_consent(conversion);
    if !consent.is_empty() {
        body.insert("consent".into(), consent.into());
    }
    if conversion.permit.ad_user_data() == Choice::Granted {
        let user = user_data(conversion);
        if !user.is_empty() {
            body.insert("user_data".into(), user.into());
        }
    }
    for (key, value) in [
        ("ip_override", &conversion.identity.ip_address),
        ("user_agent", &conversion.identity.user_agent),
    ] {
        if let Some(value) = value {
            body.insert(key.into(), value.as_str().into());
        }
    }
    body.insert(
        "events".into(),
        json!([{ "name": conversion.name, "params": params(conversion)? }]),
    );
    if settings.mode == Mode::ValidateOnly {
        body.insert(
            "validation_behavior".into(),
            "ENFORCE_RECOMMENDATIONS".into(),
        );
    }
    let payload = Value::Object(body).to_string();
    if payload.len() >= BODY_MAX {
        return Err(Unsendable::Invalid("properties"));
    }
    Ok(Item::new(payload))
}

/// `POST /mp/collect`, or its validating twin, which records nothing. Source: reference; validating-events.
pub fn request(settings: &Settings, base_url: &Url, items: &[&Item]) -> HttpRequest {
    let [item] = items else {
        unreachable!("NEEDS.batch.max is one")
    };
    let path = match settings.mode {
        Mode::Live => "/mp/collect",
        Mode::ValidateOnly => "/debug/mp/collect",
    };
    let mut url = address(base_url, path);
    url.query_pairs_mut()
        .append_pair("measurement_id", &settings.measurement_id);
    HttpRequest::post(url, Credential::Query("api_secret"), item.payload.clone())
}

/// Event parameters: scalars, and `items`. Source: reference; reference/events.
fn params(conversion: &Conversion<'_>) -> Result<Map<String, Value>, Unsendable> {
    let mut params = Map::new();
    if let Some(session) = &conversion.clicks.ga_session_id {
        params.insert("session_id".into(), session.as_str().into());
    }
    // Without it the event may be missing from realtime and engagement reports. Source: sending-events.
    params.insert("engagement_time_msec".into(), 1.into());
    if is_transaction(conversion) {
        if conversion.business_id.chars().count() > TEXT_MAX {
            // Cut ids of two orders might be one, and GA4 folds equal ids.
            return Err(Unsendable::Invalid("business_id"));
        }
        params.insert("transaction_id".into(), conversion.business_id.into());
    }
    if let Some(money) = conversion.money {
        params.insert("value".into(), money.amount.clone().into());
        params.insert("currency".into(), money.currency.as_str().into());
    }
    for key in ["tax", "shipping"] {
        if let Some(Value::Number(amount)) = conversion.properties.get(key) {
            params.insert(key.into(), amount.clone().into());
        }
    }
    for key in [
        "coupon",
        "lead_source",
        "unconvert_lead_reason",
        "disqualified_lead_reason",
    ] {
        if let Some(text) = conversion.text(key) {
            params.insert(key.into(), clipped(text).into());
        }
    }
    let items: Vec<Value> = conversion.items().filter_map(item_of).collect();
    if !items.is_empty() {
        params.insert("items".into(), items.into());
    }
    Ok(params)
}

/// Events about an order carry its id. An empty one would fold all orders into one; ours is never empty.
fn is_transaction(conversion: &Conversion<'_>) -> bool {
    matches!(conversion.name, "purchase" | "refund")
        || conversion.event_name.starts_with("order_")
        || conversion.event_name == "subscription_started"
}

/// One line item: `item_id` or `item_name` is required. Source: reference/events, items.
fn item_of(item: &Map<String, Value>) -> Option<Value> {
    let mut written = Map::new();
    for (from, to) in [
        ("id", "item_id"),
        ("name", "item_name"),
        ("brand", "item_brand"),
        ("category", "item_category"),
        ("variant", "item_variant"),
        ("coupon", "coupon"),
    ] {
        match item.get(from) {
            Some(Value::String(text)) if !text.is_empty() => {
                written.insert(to.into(), clipped(text).into())
            }
            Some(Value::Number(number)) => written.insert(to.into(), number.to_string().into()),
            _ => None,
        };
    }
    for key in ["price", "discount", "quantity", "index"] {
        if let Some(Value::Number(number)) = item.get(key) {
            written.insert(key.into(), number.clone().into());
        }
    }
    (written.contains_key("item_id") || written.contains_key("item_name"))
        .then_some(Value::Object(written))
}

/// The two signals GA4 takes. Unspecified is left out: GA4 then uses what the browser told it. Source: reference.
fn told_consent(conversion: &Conversion<'_>) -> Map<String, Value> {
    let mut consent = Map::new();
    for (key, choice) in [
        ("ad_user_data", conversion.permit.ad_user_data()),
        ("ad_personalization", conversion.permit.ad_personalization()),
    ] {
        match choice {
            Choice::Granted => consent.insert(key.into(), "GRANTED".into()),
            Choice::Denied => consent.insert(key.into(), "DENIED".into()),
            Choice::Unspecified => None,
        };
    }
    consent
}

/// User-provided data, hashed by the caller. Source: uid-data.
fn user_data(conversion: &Conversion<'_>) -> Map<String, Value> {
    let person = &conversion.identity;
    let mut user = Map::new();
    if !person.email.is_empty() {
        user.insert(
            "sha256_email_address".into(),
            json!(person.email.iter().take(EMAIL_MAX).collect::<Vec<_>>()),
        );
    }
    if !person.phone.is_empty() {
        user.insert(
            "sha256_phone_number".into(),
            json!(person.phone.iter().take(PHONE_MAX).collect::<Vec<_>>()),
        );
    }
    let mut address = Map::new();
    for (key, value) in [
        ("sha256_first_name", &person.first_name),
        ("sha256_last_name", &person.last_name),
        ("sha256_street", &person.street),
    ] {
        if let Some(value) = value {
            address.insert(key.into(), value.as_str().into());
        }
    }
    for (key, value) in [
        ("city", &person.city),
        ("region", &person.region),
        ("postal_code", &person.postal_code),
        ("country", &person.country),
    ] {
        if let Some(value) = value {
            address.insert(key.into(), value.as_str().into());
        }
    }
    if !address.is_empty() {
        user.insert("address".into(), json!([address]));
    }
    user
}

/// An opaque id: never an e-mail address, and short enough. Source: reference, user_id.
fn is_user_id(id: &str) -> bool {
    !id.contains('@') && id.chars().count() <= USER_ID_MAX
}

/// Two positive 31-bit numbers from the user id, the same for ever. Not a browser GA4 has seen: sessions do not join.
fn synthetic_client_id(user_id: &str) -> String {
    let digest = Sha256::digest(user_id.as_bytes());
    let number = |at: usize| {
        let bytes: [u8; 4] = digest[at..at + 4]
            .try_into()
            .expect("a digest has 32 bytes");
        (u32::from_be_bytes(bytes) >> 1).max(1)
    };
    format!("{}.{}", number(0), number(4))
}

/// Texts longer than GA4 takes are cut, at a character.
fn clipped(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

// --- classify ---

/// By status alone, there is nothing else; a validating destination reads the messages.
/// Source: reference, "Response codes"; validating-events.
pub fn classify(settings: &Settings, reply: &Reply) -> Answer {
    match reply.status {
        200..=299 if settings.mode == Mode::ValidateOnly => validated(reply),
        // The protocol says nothing; a page is somebody else's.
        200..=299 if reply.is_page() => Answer::all(Outcome::Ambiguous),
        200..=299 => Answer::all(Outcome::Sent),
        401 => Answer::all(Outcome::Hold(Hold::Credential)),
        403 => Answer::all(Outcome::Hold(Hold::Permission)),
        404 | 405 => Answer::batch_rejected().notice(Notice::WrongAddress),
        429 => Answer::all(Outcome::RateLimited {
            after: reply.retry_after(),
        }),
        408 | 500.. => Answer::all(Outcome::Retry {
            after: reply.retry_after(),
            delivered: true,
        }),
        300..=399 => Answer::all(Outcome::Hold(Hold::Configuration)),
        _ => Answer::batch_rejected(),
    }
}

fn validated(reply: &Reply) -> Answer {
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        return Answer::all(Outcome::Retry {
            after: None,
            delivered: true,
        });
    };
    match body["validationMessages"].as_array().map(Vec::as_slice) {
        None | Some([]) => Answer::all(Outcome::Validated),
        Some([first, ..]) => {
            let code = first["validationCode"].as_str().filter(|code| {
                code.bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            });
            Answer::batch_rejected().code(code.unwrap_or("INVALID"))
        }
    }
}

#[cfg(test)]
mod tests;
