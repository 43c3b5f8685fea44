//! The checks of a request that parses: its destinations and limits, and what each event must have. Collects
//! everything that is wrong, as Data Manager does. Not for what processing finds later.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::body::list;
use super::identifiers;
use super::violation::Violation;
use crate::sandbox::currency;
use crate::sandbox::google::{self, ActionKind, Found};

/// Most destinations and events of one request
/// (`developers.google.com/data-manager/api/devguides/limits`).
const DESTINATIONS_MAX: usize = 10;
const EVENTS_MAX: usize = 2000;

/// How long a new conversion action takes nothing.
const ACTION_AGE_MIN: TimeDelta = TimeDelta::hours(6);

/// Everything wrong with a request, in its order.
pub(super) fn request(body: &Value, world: &google::World, now: DateTime<Utc>) -> Vec<Violation> {
    let mut found = destinations(body, world, now);
    let events = list(body, "events");
    if events.is_empty() {
        found.push(Violation::missing("events"));
    }
    if events.len() > EVENTS_MAX {
        let text = "At most 2000 events are allowed in a request.";
        found.push(Violation::new("events", "TOO_MANY_EVENTS", text));
    }
    let has_user_data = |event: &Value| !list(&event["user_data"], "user_identifiers").is_empty();
    let encoding = identifiers::Encoding::of(body);
    if encoding.is_none() && events.iter().any(has_user_data) {
        found.push(Violation::missing("encoding"));
    }
    for (index, event) in events.iter().enumerate() {
        let at = format!("events[{index}]");
        check_event(body, event, &at, world, now, &mut found);
        identifiers::check(event, &at, encoding, &mut found);
    }
    found
}

fn destinations(body: &Value, world: &google::World, now: DateTime<Utc>) -> Vec<Violation> {
    let mut found = Vec::new();
    let destinations = list(body, "destinations");
    if destinations.is_empty() {
        found.push(Violation::missing("destinations"));
    }
    if destinations.len() > DESTINATIONS_MAX {
        let text = "At most 10 destinations are allowed in a request.";
        found.push(Violation::new(
            "destinations",
            "TOO_MANY_DESTINATIONS",
            text,
        ));
    }
    for (index, destination) in destinations.iter().enumerate() {
        let at = format!("destinations[{index}]");
        let reference = text(destination, "reference");
        if destinations.len() > 1 && reference.is_none() {
            found.push(Violation::missing(format!("{at}.reference")));
        }
        let before = &destinations[..index];
        if reference.is_some_and(|it| before.iter().any(|other| other["reference"] == it)) {
            found.push(Violation::new(
                format!("{at}.reference"),
                "DUPLICATE_DESTINATION_REFERENCE",
                "The reference is used by another destination.",
            ));
        }
        let operating = &destination["operating_account"];
        if operating.is_null() {
            found.push(Violation::missing(format!("{at}.operating_account")));
        }
        for role in ["operating_account", "login_account", "linked_account"] {
            let account = &destination[role];
            if !account.is_null() {
                check_account(account, &format!("{at}.{role}"), role, &mut found);
            }
        }
        let partner = destination["login_account"]["account_type"] == "DATA_PARTNER";
        if !destination["linked_account"].is_null() && !partner {
            found.push(Violation::new(
                format!("{at}.linked_account"),
                "LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT",
                "Linked account is only supported when the login account is a DATA_PARTNER account.",
            ));
        }
        found.extend(check_action(destination, &at, world, now));
    }
    found
}

fn check_account(account: &Value, at: &str, role: &str, found: &mut Vec<Violation>) {
    let named = |name: &str| text(account, name).filter(|kind| !kind.ends_with("_UNSPECIFIED"));
    // The older field `product` does as well.
    match named("account_type").or_else(|| named("product")) {
        None => found.push(Violation::missing(format!("{at}.account_type"))),
        Some(kind) if role == "operating_account" && kind != "GOOGLE_ADS" => {
            found.push(Violation::new(
                format!("{at}.account_type"),
                "DESTINATION_ACCOUNT_TYPE_MISMATCH",
                "The sandbox has Google Ads accounts only.",
            ));
        }
        Some(_) => {}
    }
    check_digits(account, at, "account_id", found);
}

/// A required field of digits only.
fn check_digits(object: &Value, at: &str, name: &str, found: &mut Vec<Violation>) {
    match text(object, name) {
        None => found.push(Violation::missing(format!("{at}.{name}"))),
        Some(id) if !is_digits(id) => found.push(Violation::new(
            format!("{at}.{name}"),
            "INVALID_NUMBER_FORMAT",
            "The id must consist of digits.",
        )),
        Some(_) => {}
    }
}

/// The conversion action: known, owned by the operating account itself, of a fitting type, and not new. An account
/// above or below the owner will not do (`…/events/google-ads/offline/upgrade`).
fn check_action(
    destination: &Value,
    at: &str,
    world: &google::World,
    now: DateTime<Utc>,
) -> Vec<Violation> {
    let field = format!("{at}.product_destination_id");
    let mut found = Vec::new();
    check_digits(destination, at, "product_destination_id", &mut found);
    if !found.is_empty() {
        return found;
    }
    let id = text(destination, "product_destination_id").unwrap_or_default();
    let operating = text(&destination["operating_account"], "account_id").unwrap_or_default();
    let (reason, description) = match world.action(id) {
        Found::AnyGoes => return found,
        Found::Unknown => (
            "INVALID_CONVERSION_ACTION_ID",
            "Conversion action ID is not valid.",
        ),
        Found::Listed(action) if action.owner != operating => (
            "INVALID_CONVERSION_ACTION_ID",
            "The operating account does not own this conversion action.",
        ),
        Found::Listed(action)
            if !matches!(action.kind, ActionKind::UploadClicks | ActionKind::Webpage) =>
        {
            (
                "INVALID_CONVERSION_ACTION_TYPE",
                "The conversion action type is not valid.",
            )
        }
        Found::Listed(action) if now - action.created_at < ACTION_AGE_MIN => (
            "CONVERSION_ACTION_TOO_RECENTLY_CREATED",
            "The conversion action was created too recently.",
        ),
        Found::Listed(_) => return found,
    };
    found.push(Violation::new(field, reason, description));
    found
}

fn check_event(
    body: &Value,
    event: &Value,
    at: &str,
    world: &google::World,
    now: DateTime<Utc>,
    found: &mut Vec<Violation>,
) {
    let destinations = list(body, "destinations");
    for (index, reference) in list(event, "destination_references").iter().enumerate() {
        if !destinations.iter().any(|it| it["reference"] == *reference) {
            found.push(Violation::new(
                format!("{at}.destination_references[{index}]"),
                "INVALID_DESTINATION",
                "No destination of the request has this reference.",
            ));
        }
    }
    match text(event, "transaction_id") {
        None => found.push(Violation::missing(format!("{at}.transaction_id"))),
        // Seen on the real endpoint, which names the event and not the field, and not for a validation.
        Some(id) if is_digits(id) && body["validate_only"] != true => found.push(Violation::new(
            at,
            "INVALID_EVENT",
            "This event is not valid.",
        )),
        Some(_) => {}
    }
    match time(event, "event_timestamp") {
        None => found.push(Violation::missing(format!("{at}.event_timestamp"))),
        Some(happened_at) if happened_at > now => found.push(Violation::new(
            format!("{at}.event_timestamp"),
            "EVENT_TIME_INVALID",
            "Event did not occur within the acceptable time window.",
        )),
        Some(_) => {}
    }
    check_source(body, event, at, world, found);
    if text(event, "currency").is_some_and(|code| !currency::is_code(code)) {
        found.push(Violation::new(
            format!("{at}.currency"),
            "INVALID_CURRENCY_CODE",
            "The currency must be a code of ISO 4217.",
        ));
    }
    if text(&event["cart_data"], "merchant_id").is_some_and(|id| !is_digits(id)) {
        found.push(Violation::new(
            format!("{at}.cart_data.merchant_id"),
            "INVALID_MERCHANT_ID",
            "The merchant id must consist of digits.",
        ));
    }
    if !event["third_party_user_data"].is_null() {
        found.push(Violation::new(
            format!("{at}.third_party_user_data"),
            "THIRD_PARTY_USER_DATA_NOT_ALLOWED",
            "Third party user data can only be set by data partners.",
        ));
    }
}

/// `event_source`: needed for offline conversions; a tag's conversions come from the web. An action nobody listed
/// is one for offline conversions.
fn check_source(
    body: &Value,
    event: &Value,
    at: &str,
    world: &google::World,
    found: &mut Vec<Violation>,
) {
    let wanted = list(event, "destination_references");
    let is_aimed_at =
        |destination: &&Value| wanted.is_empty() || wanted.contains(&destination["reference"]);
    let kind = |destination: &Value| match world
        .action(text(destination, "product_destination_id").unwrap_or_default())
    {
        Found::Listed(action) => action.kind,
        Found::Unknown | Found::AnyGoes => ActionKind::UploadClicks,
    };
    let kinds: Vec<ActionKind> = list(body, "destinations")
        .iter()
        .filter(is_aimed_at)
        .map(kind)
        .collect();
    let field = format!("{at}.event_source");
    match text(event, "event_source").filter(|source| *source != "EVENT_SOURCE_UNSPECIFIED") {
        None if kinds.contains(&ActionKind::UploadClicks) => found.push(Violation::missing(field)),
        Some(source) if source != "WEB" && kinds.contains(&ActionKind::Webpage) => {
            found.push(Violation::new(
                field,
                "EVENT_SOURCE_AND_DESTINATION_MISMATCH",
                "The event source type does not match the destination type.",
            ));
        }
        _ => {}
    }
}

/// A text that is there and not empty: to a proto, an empty one is absent.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object[name].as_str().filter(|text| !text.is_empty())
}

/// A time that was parsed before.
pub(super) fn time(object: &Value, name: &str) -> Option<DateTime<Utc>> {
    let text = object[name].as_str()?;
    DateTime::parse_from_rfc3339(text).ok().map(Into::into)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
