//! Meta Conversions API. Parts, in the order of every platform: settings, needs, request, classify.
//!
//! Meta answers per batch, all or nothing: one wrong event refuses the whole request and nothing is stored, so the
//! worker splits until the culprit is alone. A repeat of the same event name and id between browser and server is
//! discarded within 48 hours; between two server requests nothing is promised, which is why a recorded answer is
//! never followed by another request.
//!
//! Sources: `developers.facebook.com/documentation/ads-commerce/conversions-api` (using-the-api, parameters/server-event,
//! parameters/customer-information-parameters, deduplicate-pixel-and-server-events) and
//! `developers.facebook.com/docs/marketing-api/error-reference`.

use std::time::Duration;

use serde_json::{Map, Value, json};
use url::Url;

use super::{BatchSize, Credential, HttpRequest, Item, Needs, Unsendable, address};
use crate::consent::{Choice, Kind, Signal};
use crate::conversion::Conversion;
use crate::identity::Family;

mod classify;
mod settings;

pub use classify::classify;
pub use settings::{ActionSource, DataProcessing, Settings, TokenPlace, version_ends};

// --- needs ---

/// Source: using-the-api, "Batch requests": up to 1,000 events. The default of a destination is far lower, since one
/// wrong event refuses all. The clock: no upper bound is documented; other senders allow a minute.
pub const NEEDS: Needs = Needs {
    family: Family::Meta,
    consent,
    concurrency: 4,
    batch: BatchSize {
        default: 50,
        max: 1000,
    },
    rate_limit: None,
    quota_resets_at: None,
    ahead_max: Duration::from_secs(60),
    base_url: "https://graph.facebook.com",
};

/// Meta uses what it gets for advertising, and click ids come from advertising storage on the device. Its parameters hold
/// no consent field: the only control is not to send.
fn consent(kind: Kind) -> &'static [Signal] {
    match kind {
        Kind::ClickId => &[Signal::AdStorage, Signal::AdUserData],
        _ => &[Signal::AdUserData],
    }
}

/// How long a browser and a server event of the same name and id count as one.
/// Source: deduplicate-pixel-and-server-events.
pub const REPEAT_WINDOW: Duration = Duration::from_secs(48 * 3600);

/// An event id may be any unique string; Meta publishes no length. Ours is what others were seen to accept, in bytes.
const EVENT_ID_MAX: usize = 256;

/// `event_time` may lie at most seven days back, 62 for `physical_store`, or the whole request is refused.
/// Source: using-the-api, "Event time".
pub fn age_max(action_source: Option<&str>) -> Duration {
    let days = if action_source == Some("physical_store") {
        62
    } else {
        7
    };
    Duration::from_secs(days * 86_400)
}

/// Meta's name for an application's event. `order_created` is never `Purchase`: it would double `order_paid`.
/// Refunds have no name: this edge knows no retraction and documents no negative value.
pub fn default_name(settings: &Settings, event_name: &str) -> Option<&'static str> {
    Some(match event_name {
        "lead_created" => "Lead",
        "lead_qualified" => "LeadQualified",
        "booking_confirmed" => "Schedule",
        "order_created" => "OrderCreated",
        "order_paid" | "purchase" => "Purchase",
        "subscription_started" => "Subscribe",
        "deal_won" => "DealWon",
        "order_refunded" if settings.send_refunds => "Refund",
        _ => return None,
    })
}

/// Any name that is not blank: what Meta does not know is a custom event. Source: parameters/server-event, `event_name`.
pub fn is_event_name(name: &str) -> bool {
    !name.trim().is_empty()
}

// --- request ---
/// One element of `data`. Source: parameters/server-event.
pub fn item(settings: &Settings, conversion: &Conversion<'_>) -> Result<Item, Unsendable> {
    let user = user_data(conversion);
    if !is_matchable(&user) {
        return Err(Unsendable::NoIdentifier);
    }
    if conversion.event_id.len() > EVENT_ID_MAX {
        return Err(Unsendable::Invalid("event_id"));
    }
    if conversion.name == "Purchase" && conversion.money.is_none() {
        // Answered with 100/2804009 otherwise, and the whole batch with it.
        return Err(Unsendable::Invalid("value"));
    }

    let mut event = Map::new();
    event.insert("event_name".into(), conversion.name.into());
    event.insert(
        "event_time".into(),
        conversion.occurred_at.timestamp().into(),
    );
    event.insert("event_id".into(), conversion.event_id.into());
    place(settings, conversion, &user, &mut event);
    event.insert("user_data".into(), Value::Object(user));
    let custom = custom_data(conversion);
    if !custom.is_empty() {
        event.insert("custom_data".into(), Value::Object(custom));
    }
    if conversion.permit.ad_personalization() == Choice::Denied {
        // Attribution yes, ad delivery no. Source: parameters/server-event, opt_out.
        event.insert("opt_out".into(), true.into());
    }
    if let Some(original) = &conversion.original {
        event.insert(
            "original_event_data".into(),
            json!({ "event_id": original.event_id, "order_id": original.business_id }),
        );
    }
    match settings.data_processing {
        None => {}
        Some(DataProcessing::Off) => {
            event.insert("data_processing_options".into(), json!([]));
        }
        Some(DataProcessing::Limited { country, state }) => {
            event.insert("data_processing_options".into(), json!(["LDU"]));
            event.insert("data_processing_options_country".into(), country.into());
            event.insert("data_processing_options_state".into(), state.into());
        }
    }
    Ok(Item::new(Value::Object(event).to_string()))
}

/// `POST /{version}/{dataset_id}/events`. Source: using-the-api.
pub fn request(settings: &Settings, base_url: &Url, items: &[&Item]) -> HttpRequest {
    let payloads: Vec<&str> = items.iter().map(|item| item.payload.as_str()).collect();
    let mut body = format!(r#"{{"data":[{}]"#, payloads.join(","));
    for (key, value) in [
        ("partner_agent", &settings.partner_agent),
        ("test_event_code", &settings.test_event_code),
    ] {
        if let Some(value) = value {
            body.push_str(&format!(r#","{key}":{}"#, Value::from(value.as_str())));
        }
    }
    body.push('}');
    let url = address(
        base_url,
        &format!("/{}/{}/events", settings.version, settings.dataset_id),
    );
    let credential = match settings.token_in {
        TokenPlace::Header => Credential::Bearer,
        TokenPlace::Body => Credential::Body("access_token"),
    };
    HttpRequest::post(url, credential, body)
}

/// `user_data`: hashed fields are always lists. Source: parameters/customer-information-parameters.
fn user_data(conversion: &Conversion<'_>) -> Map<String, Value> {
    let person = &conversion.identity;
    let mut user = Map::new();
    let mut hashed = |key: &str, values: Vec<&str>| {
        if !values.is_empty() {
            user.insert(key.into(), values.into());
        }
    };
    hashed(
        "em",
        person.email.iter().map(|hash| hash.as_str()).collect(),
    );
    hashed(
        "ph",
        person.phone.iter().map(|hash| hash.as_str()).collect(),
    );
    for (key, value) in [
        ("fn", &person.first_name),
        ("ln", &person.last_name),
        ("db", &person.date_of_birth),
        ("ge", &person.gender),
    ] {
        hashed(key, value.iter().map(|hash| hash.as_str()).collect());
    }
    for (key, value) in [
        ("ct", &person.city),
        ("st", &person.region),
        ("zp", &person.postal_code),
        ("country", &person.country),
        ("external_id", &person.external_id),
    ] {
        hashed(key, value.iter().map(|value| value.as_str()).collect());
    }
    for (key, value) in [
        ("client_ip_address", &person.ip_address),
        ("client_user_agent", &person.user_agent),
        ("fbc", &conversion.clicks.fbc),
        ("fbp", &conversion.clicks.fbp),
    ] {
        if let Some(value) = value {
            user.insert(key.into(), value.as_str().into());
        }
    }
    user
}

/// Combinations that Meta calls invalid, and nothing at all. Source: conversions-api/best-practices.
fn is_matchable(user: &Map<String, Value>) -> bool {
    const TOO_THIN: [&[&str]; 4] = [
        &["ct", "country", "st", "zp", "ge", "client_user_agent"],
        &["db", "client_user_agent"],
        &["fn", "ge"],
        &["ln", "ge"],
    ];
    !TOO_THIN
        .iter()
        .any(|thin| user.keys().all(|key| thin.contains(&key.as_str())))
}

/// `action_source` and the page. A user agent or an address is never invented: an event is from the website if it has
/// both, else what its kind is configured to be.
fn place(
    settings: &Settings,
    conversion: &Conversion<'_>,
    user: &Map<String, Value>,
    event: &mut Map<String, Value>,
) {
    let page = conversion.page_url.and_then(page_without_click_ids);
    let is_on_page = page.is_some() && user.contains_key("client_user_agent");
    let source = match conversion.action_source {
        // "app" asks for app_data and "business_messaging" for its channel: the outbox carries neither.
        Some("website" | "app" | "business_messaging") | None if is_on_page => "website",
        Some(
            given @ ("physical_store" | "phone_call" | "chat" | "email" | "other"
            | "system_generated"),
        ) => given,
        _ => settings.action_source(conversion.event_name).name(),
    };
    event.insert("action_source".into(), source.into());
    if let (true, Some(page)) = (source == "website", page) {
        event.insert("event_source_url".into(), page.into());
    }
}

/// The page address without other platforms' click ids and without a fragment.
fn page_without_click_ids(page: &str) -> Option<String> {
    const FOREIGN: [&str; 12] = [
        "gclid",
        "gbraid",
        "wbraid",
        "dclid",
        "li_fat_id",
        "ttclid",
        "msclkid",
        "epik",
        "sc_click_id",
        "ScCid",
        "rdt_cid",
        "twclid",
    ];
    let mut url = Url::parse(page).ok()?;
    url.set_fragment(None);
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| !FOREIGN.contains(&key.as_ref()))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    if url.query().is_some() {
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
    }
    Some(url.into())
}

/// `custom_data`: documented keys only, so that nothing about a person slips in. Source: parameters/custom-data.
fn custom_data(conversion: &Conversion<'_>) -> Map<String, Value> {
    let mut custom = Map::new();
    if let Some(money) = conversion.money {
        custom.insert("value".into(), money.amount.clone().into());
        custom.insert("currency".into(), money.currency.as_str().into());
    }
    if conversion.event_name.starts_with("order") || conversion.name == "Purchase" {
        custom.insert("order_id".into(), conversion.business_id.into());
    }
    let contents: Vec<Value> = conversion.items().filter_map(content).collect();
    if !contents.is_empty() {
        let ids: Vec<&Value> = contents.iter().map(|content| &content["id"]).collect();
        custom.insert("content_ids".into(), json!(ids));
        custom.insert("content_type".into(), "product".into());
        custom.insert(
            "num_items".into(),
            contents
                .iter()
                .map(|content| content["quantity"].as_u64().unwrap_or(1))
                .sum::<u64>()
                .into(),
        );
        custom.insert("contents".into(), contents.into());
    }
    if let Some(Value::Number(value)) = conversion.properties.get("predicted_ltv") {
        custom.insert("predicted_ltv".into(), value.clone().into());
    }
    custom
}

/// One line item: an id is required, a quantity is a whole number.
fn content(item: &Map<String, Value>) -> Option<Value> {
    let id = match item.get("id")? {
        Value::String(id) if !id.is_empty() => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    let mut content = Map::new();
    content.insert("id".into(), id.into());
    if let Some(quantity) = item.get("quantity").and_then(Value::as_u64) {
        content.insert("quantity".into(), quantity.into());
    }
    if let Some(Value::Number(price)) = item.get("price") {
        content.insert("item_price".into(), price.clone().into());
    }
    Some(Value::Object(content))
}

#[cfg(test)]
mod tests;
