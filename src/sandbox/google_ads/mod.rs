//! Emulates the Google Ads API: `uploadClickConversions`, `uploadConversionAdjustments`, and of `googleAds:search`
//! what asks for conversion actions. Errors of rows come inside HTTP 200, by the index of the row. Shares nothing
//! with the adapter. Not for storing: the ledger does.

mod adjustment;
mod call;
mod click;
mod failure;
mod fields;
mod messages;
mod query;
mod report;
mod report_query;
mod search;
mod texts;
mod upload;
mod world;

use axum::http::Method as HttpMethod;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use self::call::{Call, Method};
use self::failure::{Answerer, Flaw};
pub use self::world::{Customer, Quota, Setup, World};
use super::counted::Book;
use super::exchange::{Arrived, Heard, Judgement, Reading, Reply, scalar_text};
use super::faults::Processing;
use super::google::error::GoogleError;
use super::google::{self, ADS_SCOPE};

/// A text that stands in each conversion and adjustment once.
pub(super) const SINK_MARKER: &str = "\"conversionAction\"";

/// What rows get of a customer who may not send them.
pub(super) const NOT_ALLOWLISTED: &str =
    "notAllowlistedError.CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE";

/// The name by which Google's front end knows the API.
const SERVICE: &str = "googleads.googleapis.com";

/// Whether a path carries no events.
pub(super) fn is_call(path: &str) -> bool {
    path.ends_with(call::SEARCH)
}

/// Reads the request without judging it.
pub(super) fn read(arrived: &Arrived) -> Reading {
    let Some(call) = Call::of(&arrived.path) else {
        return Reading::nothing();
    };
    let content: Result<Value, String> = serde_json::from_slice(&arrived.body).map_err(|error| {
        format!(
            "the body is not JSON (line {}, column {})",
            error.line(),
            error.column()
        )
    });
    let (lists, hear): (&[&str], fn(&Value) -> Heard) = match call.method {
        Method::UploadClickConversions => (&["conversions"], hear_conversion),
        Method::UploadConversionAdjustments => (
            &["conversionAdjustments", "conversion_adjustments"],
            hear_adjustment,
        ),
        Method::Search => (&[], hear_conversion),
    };
    let rows = content
        .as_ref()
        .ok()
        .and_then(|body| either(body, lists)?.as_array());
    let events = rows.map_or(Vec::new(), |rows| rows.iter().map(hear).collect());
    Reading {
        account: call.customer.to_owned(),
        content,
        events,
    }
}

/// The first of these fields that is there.
fn either<'a>(object: &'a Value, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| object.get(name))
}

fn hear_conversion(row: &Value) -> Heard {
    Heard {
        value: either(row, &["conversionValue", "conversion_value"]).and_then(scalar_text),
        currency: either(row, &["currencyCode", "currency_code"]).and_then(scalar_text),
        ..hear(row)
    }
}

fn hear_adjustment(row: &Value) -> Heard {
    let restated = either(row, &["restatementValue", "restatement_value"]);
    let of_value = |names: &[&str]| either(restated?, names).and_then(scalar_text);
    Heard {
        value: of_value(&["adjustedValue", "adjusted_value"]),
        currency: of_value(&["currencyCode", "currency_code"]),
        ..hear(row)
    }
}

/// What every row says about itself. Its conversion action stands for the event name.
fn hear(row: &Value) -> Heard {
    let action = either(row, &["conversionAction", "conversion_action"]).and_then(Value::as_str);
    let order_id = either(row, &["orderId", "order_id"]).and_then(Value::as_str);
    Heard {
        event_name: action
            .map(|resource| fields::action_id(resource).unwrap_or(resource).to_owned()),
        event_id: order_id.filter(|id| !id.is_empty()).map(str::to_owned),
        json: row.to_string(),
        ..Heard::default()
    }
}

/// Judges a request.
pub(super) fn judge(
    arrived: &Arrived,
    reading: &Reading,
    world: &mut google::World,
    processing: &Processing,
    now: DateTime<Utc>,
) -> Judgement {
    let (call, answerer) = match enter(arrived, reading, world, now) {
        Ok(entered) => entered,
        Err(refused) => return *refused,
    };
    let kind = match call.method {
        Method::UploadClickConversions => &click::KIND,
        Method::UploadConversionAdjustments => &adjustment::KIND,
        Method::Search => {
            return search::judge(arrived, reading, call.customer, world, &answerer);
        }
    };
    upload::judge(kind, arrived, reading, world, processing, &answerer, now)
}

/// Path, token, version, customer and quota.
fn enter<'a>(
    arrived: &'a Arrived,
    reading: &Reading,
    world: &mut google::World,
    now: DateTime<Utc>,
) -> Result<(Call<'a>, Answerer), Box<Judgement>> {
    let refused = |reason: &str, reply| Box::new(Judgement::refused(reading, reason, reply));
    let call = Call::of(&arrived.path).filter(|_| arrived.method == HttpMethod::POST);
    let Some(call) = call else {
        let reply = GoogleError::new(404, "Method not found.").reply();
        return Err(refused("NOT_FOUND: there is no such method", reply));
    };
    if let Err(unauthorised) = world.authorise(arrived, ADS_SCOPE, now) {
        let reply = unauthorised.reply(SERVICE);
        return Err(refused(unauthorised.reason(), reply));
    }
    let answerer = Answerer::of(arrived, world.ads.omits_zero_index);
    if let Err((status, flaw)) = admit(arrived, &call, &world.ads, now) {
        return Err(refused(&flaw.code(), answerer.refuse(status, &flaw)));
    }
    if let Err(seconds) = world.ads.ask(call.customer, now) {
        let reason = "quotaError.RESOURCE_TEMPORARILY_EXHAUSTED";
        return Err(refused(reason, answerer.throttle(seconds)));
    }
    Ok((call, answerer))
}

/// Whether a request asks for numbers, and not for conversion actions.
pub(super) fn is_report(arrived: &Arrived) -> bool {
    let query = serde_json::from_slice::<Value>(&arrived.body).unwrap_or_default();
    let text = query["query"].as_str().unwrap_or_default();
    is_call(&arrived.path) && report_query::is_of_customer(text)
}

/// Answers a request for numbers.
pub(super) fn answer_report(
    arrived: &Arrived,
    world: &mut google::World,
    has_room: bool,
    book: &Book<'_>,
) -> Reply {
    match enter(arrived, &Reading::nothing(), world, book.now) {
        Err(refused) => refused.reply,
        Ok((_, answerer)) if !has_room => answerer.throttle(900),
        Ok((call, answerer)) => report::answer(arrived, call.customer, &answerer, book),
    }
}

/// Whether the version lives, the customer is one, and whoever asks may act for it.
fn admit(
    arrived: &Arrived,
    call: &Call<'_>,
    world: &World,
    now: DateTime<Utc>,
) -> Result<(), (u16, Flaw)> {
    if !world.is_alive(call.version, now) {
        return Err((400, Flaw::new("requestError", "UNSUPPORTED_VERSION")));
    }
    if !world::is_customer_id(call.customer) {
        return Err((400, Flaw::new("requestError", "INVALID_CUSTOMER_ID")));
    }
    let login = arrived.headers.get("login-customer-id");
    let login = login.map(|value| value.to_str().unwrap_or_default());
    if login.is_some_and(|login| !world::is_customer_id(login)) {
        return Err((400, Flaw::new("headerError", "INVALID_LOGIN_CUSTOMER_ID")));
    }
    if !world.is_reached(call.customer, login) {
        let flaw = Flaw::new("authorizationError", "USER_PERMISSION_DENIED");
        return Err((403, flaw));
    }
    Ok(())
}

/// What a sink answers: every row was taken.
pub(super) fn sink_reply(event_count: usize) -> Reply {
    let row = json!({"conversionAction": "customers/1234567890/conversionActions/1"});
    let results = vec![row; event_count];
    Reply::json(200, &json!({"results": results, "jobId": "2147483648"}))
}

/// What a fault rule answers for a version that is no more.
pub(super) fn scripted_sunset(path: &str) -> Reply {
    let flaw = Flaw::new("requestError", "UNSUPPORTED_VERSION");
    Answerer::scripted(path).refuse(400, &flaw)
}

/// What a fault rule answers for want of quota.
pub(super) fn scripted_throttle(path: &str, seconds: u64) -> Reply {
    Answerer::scripted(path).throttle(seconds)
}

#[cfg(test)]
mod tests;
