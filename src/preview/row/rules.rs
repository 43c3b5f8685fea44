//! The rules of the columns, in the words of the database.

use serde_json::Value;

use super::{RowFault, fault};
use crate::consent::{Kind, Signal};
use crate::currency;
use crate::event::Columns;
use crate::event::is_event_name;

const ACTION_SOURCES: [&str; 9] = [
    "website",
    "app",
    "physical_store",
    "phone_call",
    "chat",
    "email",
    "other",
    "system_generated",
    "business_messaging",
];

/// What is wrong with the mandatory columns: `check_mandatory` of the database, in its order.
pub(super) fn check_mandatory(columns: &Columns) -> Result<(), RowFault> {
    let refuse = |code, column, rule, fix| Err(fault(Some(code), column, rule, fix));
    if !is_event_name(&columns.event_name) {
        return refuse(
            "OB001",
            "event_name",
            "must be a snake_case name of 1 to 40 characters",
            "Use order_paid, lead_qualified, order_refunded, ... or your own name made of a-z, 0-9 and _.",
        );
    }
    if !is_printable(&columns.business_id) {
        return refuse(
            "OB002",
            "business_id",
            "must be 1 to 128 printable characters",
            "Pass the order, payment, booking, lead or deal id.",
        );
    }
    if !is_printable(&columns.event_id) {
        return refuse(
            "OB003",
            "event_id",
            "must be 1 to 128 printable characters",
            "Pass the id that the browser uses for the same event, or leave event_id out: it is then derived from event_name and business_id.",
        );
    }
    if columns.value.is_some() != columns.currency.is_some() {
        let column = if columns.value.is_none() {
            "value"
        } else {
            "currency"
        };
        return refuse(
            "OB004",
            column,
            "value and currency are given together or not at all",
            "Pass both, or neither. A currency is never guessed.",
        );
    }
    if columns
        .value
        .as_deref()
        .is_some_and(|value| !is_amount(value))
    {
        return refuse(
            "OB005",
            "value",
            "must be an amount from 0 to below 1e18",
            "Pass the amount as a positive number; a refund is an event of its own (order_refunded), not a negative purchase.",
        );
    }
    if columns
        .currency
        .as_deref()
        .is_some_and(|code| currency::parse(code).is_none())
    {
        return refuse(
            "OB006",
            "currency",
            "must be an ISO 4217 code",
            "Pass three letters such as EUR, USD or JPY.",
        );
    }
    check_consent(&columns.consent)
}

fn check_consent(consent: &Value) -> Result<(), RowFault> {
    let refuse = |code, rule: &str, fix| Err(fault(Some(code), "consent", rule, fix));
    let consent = match consent {
        Value::Object(consent) => consent,
        Value::Null => {
            return refuse(
                "OB010",
                "is mandatory and has no default",
                "Pass {\"ad_storage\": ..., \"analytics_storage\": ..., \"ad_user_data\": ..., \"ad_personalization\": ...} with granted, denied or unspecified as the person chose; unspecified is a legal answer.",
            );
        }
        _ => {
            return refuse(
                "OB011",
                "must be a json object",
                "Pass an object with the four signals, or with \"decision\".",
            );
        }
    };
    let decision = consent.get("decision");
    if decision.is_some_and(|decision| !is_decision(decision)) {
        return refuse(
            "OB013",
            "decision must name platforms or destinations, each with a list of data kinds",
            "Pass {\"decision\": {\"meta\": [\"event\", \"email\"], \"ga4\": [\"event\", \"click_id\"]}}. Data kinds: event, click_id, email, phone, name, address, demographics, external_id, ip_address, user_agent.",
        );
    }
    for (signal, _) in Signal::NAMES {
        let is_answered = match consent.get(signal) {
            None => decision.is_some(),
            Some(answer) => matches!(answer.as_str(), Some("granted" | "denied" | "unspecified")),
        };
        if !is_answered {
            return refuse(
                "OB012",
                &format!("{signal} must be granted, denied or unspecified"),
                "Give all four signals (ad_storage, analytics_storage, ad_user_data, ad_personalization), or a legal \"decision\".",
            );
        }
    }
    Ok(())
}

fn is_decision(decision: &Value) -> bool {
    let is_kind = |kind: &Value| {
        kind.as_str()
            .is_some_and(|name| Kind::parse(name).is_some())
    };
    decision.as_object().is_some_and(|decision| {
        decision.values().all(|kinds| {
            kinds
                .as_array()
                .is_some_and(|kinds| kinds.iter().all(is_kind))
        })
    })
}

/// Drops what `check_event` of the database drops with a warning.
pub(super) fn mend_optional(columns: &mut Columns) {
    let is_page = |url: &String| {
        let lower = url.to_ascii_lowercase();
        let rest = lower
            .strip_prefix("http://")
            .or(lower.strip_prefix("https://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
    };
    columns.page_url = columns.page_url.take().filter(is_page);
    columns.action_source = columns
        .action_source
        .take()
        .filter(|source| ACTION_SOURCES.contains(&source.as_str()));
    columns.depends_on = columns
        .depends_on
        .take()
        .filter(|original| *original != columns.event_id);
}

fn is_amount(written: &str) -> bool {
    written
        .trim()
        .parse::<serde_json::Number>()
        .ok()
        .and_then(|number| number.as_f64())
        .is_some_and(|amount| (0.0..1e18).contains(&amount))
}

fn is_printable(text: &str) -> bool {
    (1..=128).contains(&text.chars().count())
        && !text.contains(char::is_control)
        && !text.trim_matches(' ').is_empty()
}
