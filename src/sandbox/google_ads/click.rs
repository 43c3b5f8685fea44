//! Click conversions: the rules of a row of `uploadClickConversions`, in the order of the message's fields, then
//! against what came before and against the click
//! (`developers.google.com/google-ads/api/docs/conversions/upload-offline`,
//! `google/ads/googleads/v26/errors/conversion_upload_error.proto`).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::failure::{Flaw, UPLOAD};
use super::fields::{self, has, list, text};
use super::messages;
use super::upload::{Desk, Kind, Rejection, Taken};
use crate::sandbox::dedup::ConversionKey;
use crate::sandbox::exchange::{Platform, Repeats, Ruling};
use crate::sandbox::google::{ActionKind, ClickKind, ConversionAction, Counting, Found, Stored};

/// Clicks and actions younger than this take nothing yet.
const TOO_RECENT: TimeDelta = TimeDelta::hours(6);

pub(super) const KIND: Kind = Kind {
    request: &messages::UPLOAD_CLICK_CONVERSIONS,
    list: "conversions",
    key: UPLOAD,
    too_many: "TOO_MANY_CONVERSIONS_IN_REQUEST",
    identity: |row| Some(Identity::of(row)?.once_per_request(row)),
    judge,
};

/// Fields that only allowlisted customers may send (`developers.google.com/ads/blog/posts/2026/01/changes-to-ip-address-and-session`;
/// of `conversion_environment` it was seen).
const CLOSED_FIELDS: [&str; 4] = [
    "conversion_environment",
    "user_ip_address",
    "session_attributes_encoded",
    "session_attributes_key_value_pairs",
];

/// What tells a conversion of an action from its others: the order id, or else the click and the time.
pub(super) enum Identity {
    Order(String),
    Click(String),
}

impl Identity {
    /// None of a row with user identifiers alone: nothing documented tells it from others.
    fn of(row: &Value) -> Option<Identity> {
        if let Some(order_id) = text(row, "order_id") {
            return Some(Identity::Order(order_id.to_owned()));
        }
        let (kind, click) = click_id(row)?;
        let at = fields::when(text(row, "conversion_date_time")?)?;
        Some(Identity::Click(of_click(kind, click, at)))
    }

    /// As the memory of conversions has it.
    fn text(&self) -> &str {
        match self {
            Identity::Order(text) | Identity::Click(text) => text,
        }
    }

    fn once_per_request(&self, row: &Value) -> String {
        let action = text(row, "conversion_action").and_then(fields::action_id);
        format!("{}\0{}", action.unwrap_or_default(), self.text())
    }

    fn code_in_request(&self) -> &'static str {
        match self {
            Identity::Order(_) => "DUPLICATE_ORDER_ID",
            Identity::Click(_) => "DUPLICATE_CLICK_CONVERSION_IN_REQUEST",
        }
    }

    fn code_of_repeat(&self) -> &'static str {
        match self {
            Identity::Order(_) => "ORDER_ID_ALREADY_IN_USE",
            Identity::Click(_) => "CLICK_CONVERSION_ALREADY_EXISTS",
        }
    }

    fn field(&self, row: &Value) -> &'static str {
        match self {
            Identity::Order(_) => "order_id",
            Identity::Click(_) => click_id(row).map_or("gclid", |(kind, _)| kind.as_str()),
        }
    }
}

/// The identity of a conversion without an order id. No order id can be one: it has a NUL.
pub(super) fn of_click(kind: ClickKind, click: &str, at: DateTime<Utc>) -> String {
    format!("\0{}\0{click}\0{}", kind.as_str(), at.timestamp())
}

/// The first click id of a row.
fn click_id(row: &Value) -> Option<(ClickKind, &str)> {
    let mut kinds = ClickKind::ALL.into_iter();
    kinds.find_map(|kind| Some((kind, text(row, kind.as_str())?)))
}

fn judge(desk: &mut Desk<'_>, row: &Value) -> Result<Taken, Rejection> {
    if desk
        .switches()
        .is_some_and(|customer| !customer.allowlisted)
    {
        return Err(Flaw::not_allowlisted().into());
    }
    let flaws = flaws_of_fields(desk, row);
    if !flaws.is_empty() {
        return Err(flaws.into());
    }
    let (action, known) = fields::action(row, desk.world, desk.customer, UPLOAD)?;
    let happened_at = fields::needed_when(row, "conversion_date_time")?;
    let identity = Identity::of(row);
    check_repeats(desk, row, action, identity.as_ref())?;
    check_click(desk, row, happened_at, known)?;
    let repeats = Repeats::FirstStands;
    let ruling = match &identity {
        Some(Identity::Order(order_id)) => Ruling::Take {
            key: order_id.clone(),
            repeats,
        },
        Some(Identity::Click(click)) => Ruling::Take {
            key: digest(click),
            repeats,
        },
        // That Google drops a repeat of user identifiers alone is nowhere promised.
        None => Ruling::Take {
            key: digest(&row.to_string()),
            repeats: Repeats::CountAgain,
        },
    };
    if let (Ruling::Take { key, .. }, Some(identity), false) = (&ruling, &identity, desk.is_dry) {
        let key = ConversionKey {
            platform: Platform::GoogleAds,
            account: desk.customer.to_owned(),
            event_name: action.to_owned(),
            key: key.clone(),
        };
        let stored = Stored {
            key,
            happened_at,
            has_user_data: !list(row, "user_identifiers").is_empty(),
            adjusted_at: None,
            is_retracted: false,
        };
        desk.world.conversions.put(action, identity.text(), stored);
    }
    Ok(Taken {
        ruling,
        result: result_of(row),
    })
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    let hex: String = digest
        .iter()
        .take(16)
        .map(|it| format!("{it:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// What is wrong with the row by itself, in the order of its fields.
fn flaws_of_fields(desk: &Desk<'_>, row: &Value) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let action = fields::action(row, desk.world, desk.customer, UPLOAD);
    match &action {
        Ok((_, known)) => flaws.extend(known.and_then(|known| flaw_of_action(known, desk.now))),
        Err(flaw) => flaws.push(flaw.clone()),
    }
    match fields::needed_when(row, "conversion_date_time") {
        // Which code a time in the future gets is not documented.
        Ok(at) if at > desk.now => {
            flaws.push(Flaw::new("dateError", "LATER_THAN_MAXIMUM_DATE").at("conversion_date_time"))
        }
        Ok(_) => {}
        Err(flaw) => flaws.push(flaw),
    }
    let counting = action
        .ok()
        .and_then(|(_, known)| known)
        .map(|it| it.counting);
    flaws.extend(flaws_of_click_ids(desk, row, counting));
    flaws.extend(flaws_of_identifiers(desk, row));
    flaws.extend(fields::currency_code(row));
    flaws.extend(fields::order_id(row, UPLOAD));
    if has(row, "external_attribution_data") {
        let value = "EXTERNAL_ATTRIBUTION_DATA_SET_FOR_NON_EXTERNALLY_ATTRIBUTED_CONVERSION_ACTION";
        flaws.push(Flaw::new(UPLOAD, value).at("external_attribution_data"));
    }
    for (index, variable) in list(row, "custom_variables").iter().enumerate() {
        if text(variable, "value").is_some_and(fields::is_personal) {
            let flaw = Flaw::new(UPLOAD, "CUSTOM_VARIABLE_VALUE_CONTAINS_PII");
            flaws.push(flaw.at_element("custom_variables", index).at("value"));
        }
    }
    let closed = CLOSED_FIELDS.into_iter().filter(|field| has(row, field));
    flaws.extend(closed.map(|field| Flaw::not_allowlisted().at(field)));
    flaws
}

fn flaw_of_action(action: &ConversionAction, now: DateTime<Utc>) -> Option<Flaw> {
    let value = if action.kind != ActionKind::UploadClicks {
        "INVALID_CONVERSION_ACTION_TYPE"
    } else if now - action.created_at < TOO_RECENT {
        "TOO_RECENT_CONVERSION_ACTION"
    } else {
        return None;
    };
    Some(Flaw::new(UPLOAD, value).at("conversion_action"))
}

fn flaws_of_click_ids(desk: &Desk<'_>, row: &Value, counting: Option<Counting>) -> Vec<Flaw> {
    let given: Vec<ClickKind> = ClickKind::ALL
        .into_iter()
        .filter(|kind| text(row, kind.as_str()).is_some())
        .collect();
    let flaw = match given.as_slice() {
        // An empty gclid is one that is there; empty braids are absent, as their fields are not optional.
        [] if has(row, "gclid") => Flaw::new(UPLOAD, "UNPARSEABLE_GCLID").at("gclid"),
        [] if list(row, "user_identifiers").is_empty() => Flaw::required("gclid"),
        [] => return Vec::new(),
        [ClickKind::Gbraid, ClickKind::Wbraid] => {
            Flaw::new(UPLOAD, "GBRAID_WBRAID_BOTH_SET").at("gbraid")
        }
        [kind] => {
            return flaw_of_click_id(desk, row, *kind, counting)
                .into_iter()
                .collect();
        }
        [_, second, ..] => Flaw::must_be_unset(second.as_str()),
    };
    vec![flaw]
}

fn flaw_of_click_id(
    desk: &Desk<'_>,
    row: &Value,
    kind: ClickKind,
    counting: Option<Counting>,
) -> Option<Flaw> {
    let field = kind.as_str();
    let id = text(row, field)?;
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !id.bytes().all(is_letter) || desk.world.is_click_of_other_kind(kind, id) {
        let value = match kind {
            ClickKind::Gclid => "UNPARSEABLE_GCLID",
            ClickKind::Gbraid => "UNPARSEABLE_GBRAID",
            ClickKind::Wbraid => "UNPARSEABLE_WBRAID",
        };
        return Some(Flaw::new(UPLOAD, value).at(field).because_of(id));
    }
    let one_per_click = counting == Some(Counting::OnePerClick) && kind != ClickKind::Gclid;
    let value = "ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID";
    one_per_click.then(|| Flaw::new(UPLOAD, value).at(field))
}

fn flaws_of_identifiers(desk: &Desk<'_>, row: &Value) -> Vec<Flaw> {
    let field = "user_identifiers";
    if list(row, field).is_empty() {
        return Vec::new();
    }
    // Seen in the field; the guide says no more than that they do not go together.
    if text(row, "gbraid").or(text(row, "wbraid")).is_some() {
        return vec![Flaw::must_be_unset(field)];
    }
    let mut flaws = fields::user_identifiers(row, UPLOAD, false);
    flaws.extend(desk.terms(UPLOAD).map(|flaw| flaw.at(field)));
    if desk
        .switches()
        .is_some_and(|customer| !customer.ecl_enabled)
    {
        let value = "CUSTOMER_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS";
        flaws.push(Flaw::new(UPLOAD, value).at(field));
    }
    flaws
}

/// Whether the row came before, in this request or in an earlier one. What Data Manager took counts as well.
fn check_repeats(
    desk: &Desk<'_>,
    row: &Value,
    action: &str,
    identity: Option<&Identity>,
) -> Result<(), Rejection> {
    let Some(identity) = identity else {
        return Ok(());
    };
    let flaw = |value| Flaw::new(UPLOAD, value).at(identity.field(row));
    if desk.is_repeated(Some(&identity.once_per_request(row))) {
        return Err(flaw(identity.code_in_request()).into());
    }
    let Some(stored) = desk.world.conversions.get(action, identity.text()) else {
        return Ok(());
    };
    Err(Rejection {
        flaws: vec![flaw(identity.code_of_repeat())],
        ruling: Ruling::Repeat {
            conversion: stored.key.clone(),
        },
    })
}

/// Whether the click is known and the conversion within its time.
fn check_click(
    desk: &Desk<'_>,
    row: &Value,
    happened_at: DateTime<Utc>,
    action: Option<&ConversionAction>,
) -> Result<(), Flaw> {
    let Some((kind, id)) = click_id(row) else {
        let hashes = list(row, "user_identifiers")
            .iter()
            .flat_map(fields::hashes);
        return if desk.world.ads.knows_user(hashes) {
            Ok(())
        } else {
            Err(Flaw::new(UPLOAD, "CLICK_NOT_FOUND").at("user_identifiers"))
        };
    };
    let flaw = |value| Err(Flaw::new(UPLOAD, value).at(kind.as_str()).because_of(id));
    let click = match desk.world.click(kind, id) {
        Found::AnyGoes => return Ok(()),
        Found::Unknown => return flaw("EVENT_NOT_FOUND"),
        Found::Listed(click) => click,
    };
    let lookback = action.map(|action| TimeDelta::days(action.lookback_days.into()));
    let is_theirs = click.customer == desk.customer
        || action.is_some_and(|action| action.is_used_by(&click.customer));
    if !is_theirs {
        flaw("INVALID_CUSTOMER_FOR_CLICK")
    } else if desk.now - click.clicked_at < TOO_RECENT {
        flaw("TOO_RECENT_EVENT")
    } else if lookback.is_some_and(|lookback| happened_at - click.clicked_at > lookback) {
        flaw("EXPIRED_EVENT")
    } else if happened_at < click.clicked_at {
        flaw("CONVERSION_PRECEDES_EVENT")
    } else {
        Ok(())
    }
}

/// What `results` says of a row: what it was known by (`ClickConversionResult`).
fn result_of(row: &Value) -> Value {
    let mut result = Map::new();
    for (field, name) in [
        ("gclid", "gclid"),
        ("gbraid", "gbraid"),
        ("wbraid", "wbraid"),
        ("conversion_action", "conversionAction"),
        ("conversion_date_time", "conversionDateTime"),
    ] {
        if let Some(text) = text(row, field) {
            result.insert(name.to_owned(), text.into());
        }
    }
    let identifiers = list(row, "user_identifiers").iter().map(|identifier| {
        let fields = [
            ("user_identifier_source", "userIdentifierSource"),
            ("hashed_email", "hashedEmail"),
            ("hashed_phone_number", "hashedPhoneNumber"),
        ];
        let fields = fields.into_iter();
        let fields = fields.filter_map(|(field, name)| {
            Some((name.to_owned(), Value::from(text(identifier, field)?)))
        });
        Value::Object(fields.collect())
    });
    let identifiers: Vec<Value> = identifiers.collect();
    if !identifiers.is_empty() {
        result.insert("userIdentifiers".to_owned(), identifiers.into());
    }
    Value::Object(result)
}
