//! What becomes of an event after the answer: taken, or dropped for a reason that a later look-up tells
//! (`ProcessingErrorReason` in `google/ads/datamanager/v1/processing_errors.proto`). Computed when the event arrives.
//! Not for telling it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::body::{self, Aim, list};
use super::checks::{text, time};
use crate::sandbox::dedup::ConversionKey;
use crate::sandbox::exchange::{Platform, Repeats, Ruling};
use crate::sandbox::google::{self, ClickKind, Counting, Found, Stored};

/// How old a click must be. The number is the Google Ads API's: Data Manager's pages name none.
const CLICK_AGE_MIN: TimeDelta = TimeDelta::hours(6);

/// Days after a click in which a conversion counts, of an action nobody listed.
const LOOKBACK_DAYS: u32 = 90;

/// What became of an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Taken(Ruling),
    /// The reason in full.
    Failed(String),
}

/// Processes one event for one destination. `scripted` is the reason a fault rule wants it to fail for.
pub(super) fn process(
    body: &Value,
    aim: Aim,
    scripted: Option<&str>,
    world: &mut google::World,
    now: DateTime<Utc>,
) -> Outcome {
    let event = &list(body, "events")[aim.event];
    let destination = aim
        .destination
        .map_or(&Value::Null, |index| &list(body, "destinations")[index]);
    let key = ConversionKey {
        platform: Platform::GoogleDataManager,
        account: body::account(destination).unwrap_or_default(),
        event_name: text(destination, "product_destination_id")
            .unwrap_or_default()
            .to_owned(),
        key: text(event, "transaction_id").unwrap_or_default().to_owned(),
    };
    if let Some(reason) = scripted {
        return Outcome::Failed(reason.to_owned());
    }
    if is_denied(body, event) {
        return failed("DENIED_CONSENT");
    }
    let (action, id) = (key.event_name.clone(), key.key.clone());
    let held = world.conversions.get_mut(&action, &id);
    if let Some(held) = held.filter(|held| !held.is_retracted) {
        // All but value and currency is ignored, and user data is added only where there was none.
        held.has_user_data |= has_user_data(event);
        let conversion = held.key.clone();
        return Outcome::Taken(if conversion == key {
            take(key)
        } else {
            Ruling::Adjust { conversion }
        });
    }
    let happened_at = time(event, "event_timestamp").unwrap_or(now);
    if let Some(reason) = click_failure(event, &key, happened_at, world, now) {
        return failed(&reason);
    }
    let stored = Stored {
        key: key.clone(),
        happened_at,
        has_user_data: has_user_data(event),
        adjusted_at: None,
        is_retracted: false,
    };
    world.conversions.put(&action, &id, stored);
    Outcome::Taken(take(key))
}

fn take(key: ConversionKey) -> Ruling {
    Ruling::Take {
        key: key.key,
        repeats: Repeats::Overwrite,
    }
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed(format!("PROCESSING_ERROR_REASON_{reason}"))
}

/// Whether the event, or the request where the event says nothing, denies the use of user data for ads.
fn is_denied(body: &Value, event: &Value) -> bool {
    let status = |object: &Value| {
        let status = text(&object["consent"], "ad_user_data")?;
        (status != "CONSENT_STATUS_UNSPECIFIED").then(|| status == "CONSENT_DENIED")
    };
    status(event).or_else(|| status(body)).unwrap_or(false)
}

fn has_user_data(event: &Value) -> bool {
    !list(&event["user_data"], "user_identifiers").is_empty()
}

/// Why the event's click does not carry a conversion, if it does not. User data beside a click does not save it.
fn click_failure(
    event: &Value,
    key: &ConversionKey,
    happened_at: DateTime<Utc>,
    world: &google::World,
    now: DateTime<Utc>,
) -> Option<String> {
    let named = |kind: ClickKind| Some((kind, text(&event["ad_identifiers"], kind.as_str())?));
    let (kind, id) = ClickKind::ALL.into_iter().find_map(named)?;
    let action = match world.action(&key.event_name) {
        Found::Listed(action) => Some(action),
        Found::Unknown | Found::AnyGoes => None,
    };
    let one_per_click = action.is_some_and(|it| it.counting == Counting::OnePerClick);
    if kind != ClickKind::Gclid && one_per_click {
        return Some("ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID".to_owned());
    }
    let click = match world.click(kind, id) {
        Found::AnyGoes => return None,
        Found::Listed(click) => click,
        Found::Unknown if world.is_click_of_other_kind(kind, id) || !looks_like_click_id(id) => {
            return Some(format!("INVALID_{}", kind.as_str().to_ascii_uppercase()));
        }
        Found::Unknown => return Some("CLICK_NOT_FOUND".to_owned()),
    };
    let is_theirs = match action {
        Some(action) => action.is_used_by(&click.customer),
        None => click.customer == key.account,
    };
    let lookback = action.map_or(LOOKBACK_DAYS, |it| it.lookback_days);
    let reason = if !is_theirs {
        "INVALID_OPERATING_ACCOUNT_FOR_CLICK"
    } else if happened_at < click.clicked_at {
        "CONVERSION_PRECEDES_CLICK"
    } else if now - click.clicked_at < CLICK_AGE_MIN {
        "TOO_RECENT_CLICK"
    } else if happened_at - click.clicked_at > TimeDelta::days(lookback.into()) {
        "EVENT_TOO_OLD"
    } else {
        return None;
    };
    Some(reason.to_owned())
}

/// Click ids are base64url; anything else cannot be decoded.
fn looks_like_click_id(id: &str) -> bool {
    id.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
