//! Adjustments: the rules of a row of `uploadConversionAdjustments`, in the order of the message's fields, then
//! against the conversion it is about, whichever of Google's APIs took that
//! (`developers.google.com/google-ads/api/docs/conversions/upload-adjustments`,
//! `google/ads/googleads/v26/errors/conversion_adjustment_upload_error.proto`).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::click;
use super::failure::{ADJUSTMENT, Flaw};
use super::fields::{self, has, list, text};
use super::messages;
use super::upload::{Desk, Kind, Rejection, Taken};
use crate::sandbox::exchange::Ruling;
use crate::sandbox::google::{ActionKind, ClickKind, ConversionAction, Stored};

/// After so long a conversion is not adjusted any more.
const ADJUSTABLE: TimeDelta = TimeDelta::days(54);

pub(super) const KIND: Kind = Kind {
    request: &messages::UPLOAD_CONVERSION_ADJUSTMENTS,
    list: "conversion_adjustments",
    key: ADJUSTMENT,
    too_many: "TOO_MANY_ADJUSTMENTS_IN_REQUEST",
    identity: once_per_request,
    judge,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Retraction,
    Restatement,
    Enhancement,
}

impl Change {
    fn of(row: &Value) -> Option<Change> {
        match text(row, "adjustment_type")? {
            "RETRACTION" => Some(Change::Retraction),
            "RESTATEMENT" => Some(Change::Restatement),
            "ENHANCEMENT" => Some(Change::Enhancement),
            _ => None,
        }
    }
}

/// What a request may hold only once: the same change of the same conversion at the same time; of enhancements, one
/// for each conversion.
fn once_per_request(row: &Value) -> Option<String> {
    let action = text(row, "conversion_action").and_then(fields::action_id)?;
    let conversion = conversion_of(row)?;
    let at = match Change::of(row)? {
        Change::Enhancement => String::new(),
        Change::Retraction | Change::Restatement => {
            let at = fields::when(text(row, "adjustment_date_time")?)?;
            at.timestamp().to_string()
        }
    };
    Some(format!("{action}\0{conversion}\0{at}"))
}

/// The identity of the conversion that the row is about.
fn conversion_of(row: &Value) -> Option<String> {
    if let Some(order_id) = text(row, "order_id") {
        return Some(order_id.to_owned());
    }
    let pair = row.get("gclid_date_time_pair")?;
    let at = fields::when(text(pair, "conversion_date_time")?)?;
    Some(click::of_click(ClickKind::Gclid, text(pair, "gclid")?, at))
}

fn judge(desk: &mut Desk<'_>, row: &Value) -> Result<Taken, Rejection> {
    let change = Change::of(row).ok_or_else(|| Flaw::required("adjustment_type"))?;
    let flaws = flaws_of_fields(desk, row, change);
    if !flaws.is_empty() {
        return Err(flaws.into());
    }
    let (action, _) = fields::action(row, desk.world, desk.customer, ADJUSTMENT)?;
    if desk.is_repeated(once_per_request(row).as_deref()) {
        let value = match change {
            Change::Enhancement => "DUPLICATE_ENHANCEMENT_IN_REQUEST",
            Change::Retraction | Change::Restatement => "DUPLICATE_ADJUSTMENT_IN_REQUEST",
        };
        return Err(Flaw::new(ADJUSTMENT, value).into());
    }
    let identity = conversion_of(row).unwrap_or_default();
    let (now, is_dry) = (desk.now, desk.is_dry);
    let stored = desk.world.conversions.get_mut(action, &identity);
    let stored = stored.ok_or_else(|| Flaw::new(ADJUSTMENT, "CONVERSION_NOT_FOUND"))?;
    let adjusted_at = text(row, "adjustment_date_time").and_then(fields::when);
    if let Some(flaw) = flaw_of_time(stored, change, adjusted_at, now) {
        let ruling = if flaw.is_repeat() {
            let conversion = stored.key.clone();
            Ruling::Repeat { conversion }
        } else {
            Ruling::Reject
        };
        let flaws = vec![flaw];
        return Err(Rejection { flaws, ruling });
    }
    if !is_dry {
        match change {
            Change::Retraction => stored.is_retracted = true,
            Change::Restatement => {}
            Change::Enhancement => stored.has_user_data = true,
        }
        if change != Change::Enhancement {
            stored.adjusted_at = adjusted_at;
        }
    }
    let conversion = stored.key.clone();
    let ruling = match change {
        Change::Retraction => Ruling::Retract { conversion },
        Change::Restatement | Change::Enhancement => Ruling::Adjust { conversion },
    };
    let result = result_of(row);
    Ok(Taken { ruling, result })
}

/// What is wrong with the row by itself, in the order of its fields.
fn flaws_of_fields(desk: &Desk<'_>, row: &Value, change: Change) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let known = match fields::action(row, desk.world, desk.customer, ADJUSTMENT) {
        Ok((_, known)) => known,
        Err(flaw) => {
            flaws.push(flaw);
            None
        }
    };
    if known.is_some_and(|action| !takes(action, change)) {
        let flaw = Flaw::new(ADJUSTMENT, "INVALID_CONVERSION_ACTION_TYPE");
        flaws.push(flaw.at("conversion_action"));
    }
    flaws.extend(flaws_of_identity(row, change, known));
    let at = fields::needed_when(row, "adjustment_date_time");
    if change != Change::Enhancement || has(row, "adjustment_date_time") {
        flaws.extend(at.err());
    }
    flaws.extend(flaws_of_value(row, change));
    flaws.extend(flaws_of_user(desk, row, change));
    flaws
}

fn takes(action: &ConversionAction, change: Change) -> bool {
    match action.kind {
        ActionKind::Webpage => true,
        ActionKind::UploadClicks => change != Change::Enhancement,
        ActionKind::UploadCalls | ActionKind::StoreSales => false,
    }
}

fn flaws_of_identity(row: &Value, change: Change, action: Option<&ConversionAction>) -> Vec<Flaw> {
    let mut flaws: Vec<Flaw> = fields::order_id(row, ADJUSTMENT).into_iter().collect();
    let has_order_id = has(row, "order_id");
    let is_of_tag = action.is_some_and(|action| action.kind == ActionKind::Webpage);
    let pair = row.get("gclid_date_time_pair");
    if !has_order_id && (is_of_tag || change == Change::Enhancement) {
        flaws.push(Flaw::new(ADJUSTMENT, "MISSING_ORDER_ID_FOR_WEBPAGE").at("order_id"));
    } else if !has_order_id && pair.is_none() {
        flaws.push(Flaw::required("order_id"));
    } else if has_order_id && pair.is_some() && change != Change::Enhancement {
        flaws.push(Flaw::new(
            ADJUSTMENT,
            "GCLID_DATE_TIME_PAIR_AND_ORDER_ID_BOTH_SET",
        ));
    }
    if let Some(pair) = pair {
        if text(pair, "gclid").is_none() {
            flaws.push(below("gclid_date_time_pair", "gclid"));
        }
        if let Err(flaw) = fields::needed_when(pair, "conversion_date_time") {
            flaws.push(flaw.below("gclid_date_time_pair"));
        }
    }
    flaws
}

fn below(field: &'static str, inner: &'static str) -> Flaw {
    Flaw::required(inner).below(field)
}

fn flaws_of_value(row: &Value, change: Change) -> Vec<Flaw> {
    let field = "restatement_value";
    match (row.get(field), change) {
        (None, Change::Restatement) => vec![Flaw::required(field)],
        (Some(value), Change::Restatement) => {
            let missing = !has(value, "adjusted_value");
            let missing = missing.then(|| below(field, "adjusted_value"));
            let currency = fields::currency_code(value).map(|flaw| flaw.below(field));
            missing.into_iter().chain(currency).collect()
        }
        (Some(_), _) => vec![Flaw::must_be_unset(field)],
        (None, _) => Vec::new(),
    }
}

fn flaws_of_user(desk: &Desk<'_>, row: &Value, change: Change) -> Vec<Flaw> {
    let field = "user_identifiers";
    if change != Change::Enhancement {
        let given = [field, "user_agent"].into_iter();
        return given
            .filter(|field| has(row, field))
            .map(Flaw::must_be_unset)
            .collect();
    }
    if list(row, field).is_empty() {
        return vec![Flaw::required(field)];
    }
    let mut flaws = fields::user_identifiers(row, ADJUSTMENT, true);
    flaws.extend(desk.terms(ADJUSTMENT).map(|flaw| flaw.at(field)));
    flaws
}

/// What the conversion's age and its earlier adjustments forbid.
fn flaw_of_time(
    stored: &Stored,
    change: Change,
    at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<Flaw> {
    let earlier = stored.adjusted_at.zip(at);
    let value = if now - stored.happened_at > ADJUSTABLE {
        "CONVERSION_EXPIRED"
    } else if stored.is_retracted {
        "CONVERSION_ALREADY_RETRACTED"
    } else if at.is_some_and(|at| at <= stored.happened_at) {
        "ADJUSTMENT_PRECEDES_CONVERSION"
    } else if change == Change::Enhancement {
        if !stored.has_user_data {
            return None;
        }
        "CONVERSION_ALREADY_ENHANCED"
    } else if earlier.is_some_and(|(last, at)| at < last) {
        "MORE_RECENT_RESTATEMENT_FOUND"
    } else if change == Change::Restatement && earlier.is_some_and(|(last, at)| at == last) {
        "RESTATEMENT_ALREADY_EXISTS"
    } else {
        return None;
    };
    let flaw = Flaw::new(ADJUSTMENT, value);
    Some(match value {
        "ADJUSTMENT_PRECEDES_CONVERSION"
        | "MORE_RECENT_RESTATEMENT_FOUND"
        | "RESTATEMENT_ALREADY_EXISTS" => flaw.at("adjustment_date_time"),
        _ => flaw,
    })
}

/// What `results` says of a row: what it was known by (`ConversionAdjustmentResult`).
fn result_of(row: &Value) -> Value {
    let mut result = Map::new();
    if let Some(pair) = row.get("gclid_date_time_pair") {
        let at = text(pair, "conversion_date_time");
        let pair = json!({"gclid": text(pair, "gclid"), "conversionDateTime": at});
        result.insert("gclidDateTimePair".to_owned(), pair);
    }
    for (field, name) in [
        ("order_id", "orderId"),
        ("conversion_action", "conversionAction"),
        ("adjustment_date_time", "adjustmentDateTime"),
        ("adjustment_type", "adjustmentType"),
    ] {
        if let Some(text) = text(row, field) {
            result.insert(name.to_owned(), text.into());
        }
    }
    Value::Object(result)
}
