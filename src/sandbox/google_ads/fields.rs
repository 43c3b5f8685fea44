//! Single fields of rows: dates, conversion actions, order ids, currencies, user identifiers. Not for rules between
//! fields or for what came before.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::failure::Flaw;
use crate::sandbox::currency;
use crate::sandbox::exchange::is_sha256_hex;
use crate::sandbox::google::{self, ActionStatus, ConversionAction, Found};

/// Most user identifiers of one row.
const IDENTIFIERS_MAX: usize = 5;

/// A text field; none if it is absent or empty.
pub(super) fn text<'a>(row: &'a Value, field: &str) -> Option<&'a str> {
    row.get(field)?.as_str().filter(|text| !text.is_empty())
}

/// Whether the field is there, be it empty.
pub(super) fn has(row: &Value, field: &str) -> bool {
    row.get(field).is_some()
}

/// A list of messages; empty if it is absent.
pub(super) fn list<'a>(row: &'a Value, field: &str) -> &'a [Value] {
    row.get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Reads `yyyy-mm-dd hh:mm:ss+hh:mm`: with an offset, without `T`, `Z` or a fraction.
pub(super) fn when(text: &str) -> Option<DateTime<Utc>> {
    let pattern = b"dddd-dd-dd dd:dd:dd+dd:dd";
    let fits = |(byte, wanted): (u8, &u8)| match wanted {
        b'd' => byte.is_ascii_digit(),
        b'+' => matches!(byte, b'+' | b'-'),
        other => byte == *other,
    };
    let has_form = text.len() == pattern.len() && text.bytes().zip(pattern).all(fits);
    let parsed = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%:z").ok();
    parsed
        .filter(|_| has_form)
        .map(|time| time.with_timezone(&Utc))
}

/// A date that must be there.
pub(super) fn needed_when(row: &Value, field: &'static str) -> Result<DateTime<Utc>, Flaw> {
    let text = text(row, field).ok_or_else(|| Flaw::required(field))?;
    when(text).ok_or_else(|| {
        let value = "INVALID_STRING_DATE_TIME_SECONDS_WITH_OFFSET";
        Flaw::new("dateError", value).at(field).because_of(text)
    })
}

/// The id in `customers/{customer}/conversionActions/{id}`: it alone counts.
pub(super) fn action_id(resource: &str) -> Option<&str> {
    let (customer, id) = resource
        .strip_prefix("customers/")?
        .split_once("/conversionActions/")?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(customer) && is_number(id)).then_some(id)
}

/// The conversion action of a row: its id, and what is known of it (nothing if every action is taken).
pub(super) fn action<'a, 'w>(
    row: &'a Value,
    world: &'w google::World,
    customer: &str,
    key: &str,
) -> Result<(&'a str, Option<&'w ConversionAction>), Flaw> {
    let field = "conversion_action";
    let resource = text(row, field).ok_or_else(|| Flaw::required(field))?;
    let because = |flaw: Flaw| flaw.at(field).because_of(resource);
    let id = action_id(resource)
        .ok_or_else(|| because(Flaw::new("requestError", "RESOURCE_NAME_MALFORMED")))?;
    match world.action(id) {
        Found::AnyGoes => Ok((id, None)),
        // That a removed or hidden action answers as an unknown one is not documented.
        Found::Listed(action)
            if action.is_used_by(customer) && action.status == ActionStatus::Enabled =>
        {
            Ok((id, Some(action)))
        }
        Found::Listed(_) | Found::Unknown => {
            Err(because(Flaw::new(key, "NO_CONVERSION_ACTION_FOUND")))
        }
    }
}

/// What is wrong with the order id, if it is there.
pub(super) fn order_id(row: &Value, key: &str) -> Option<Flaw> {
    let text = row.get("order_id")?.as_str()?;
    let flaw = if text.trim().is_empty() {
        Flaw::new("stringLengthError", "EMPTY")
    } else if is_personal(text) {
        Flaw::new(key, "ORDER_ID_CONTAINS_PII").because_of(text)
    } else {
        return None;
    };
    Some(flaw.at("order_id"))
}

/// Whether a text looks like an e-mail address or an international phone number. How Google recognises personal data
/// is not documented.
pub(super) fn is_personal(text: &str) -> bool {
    let is_address = text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !domain.starts_with('.')
    });
    let digits = text.strip_prefix('+').unwrap_or_default();
    is_address || digits.len() >= 7 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is wrong with the currency, if it is there.
pub(super) fn currency_code(row: &Value) -> Option<Flaw> {
    let code = row.get("currency_code")?.as_str()?;
    let flaw = || Flaw::new("currencyCodeError", "UNSUPPORTED").at("currency_code");
    (!currency::is_code(code)).then(|| flaw().because_of(code))
}

/// What is wrong with user identifiers. Addresses are for adjustments only.
pub(super) fn user_identifiers(row: &Value, key: &str, takes_addresses: bool) -> Vec<Flaw> {
    let field = "user_identifiers";
    let identifiers = list(row, field);
    if identifiers.len() > IDENTIFIERS_MAX {
        return vec![Flaw::new("collectionSizeError", "TOO_MANY").at(field)];
    }
    let flaw_of = |(index, identifier): (usize, &Value)| {
        let unsupported = has(identifier, "mobile_id")
            || has(identifier, "third_party_user_id")
            || has(identifier, "address_info") && !takes_addresses;
        let value = if unsupported {
            "UNSUPPORTED_USER_IDENTIFIER"
        } else if !is_hashed(identifier) {
            "INVALID_USER_IDENTIFIER"
        } else {
            return None;
        };
        Some(Flaw::new(key, value).at_element(field, index))
    };
    identifiers.iter().enumerate().filter_map(flaw_of).collect()
}

/// Whether everything in it that must be a SHA-256 in lowercase hex is one, and something is there.
fn is_hashed(identifier: &Value) -> bool {
    let good = |holder: &Value, field: &str| match holder.get(field) {
        None => true,
        Some(value) => value.as_str().is_some_and(is_sha256_hex),
    };
    match identifier.get("address_info") {
        Some(address) => [
            "hashed_first_name",
            "hashed_last_name",
            "hashed_street_address",
        ]
        .iter()
        .all(|field| good(address, field)),
        None => {
            hashes(identifier).next().is_some()
                && ["hashed_email", "hashed_phone_number"]
                    .iter()
                    .all(|field| good(identifier, field))
        }
    }
}

/// The hashed e-mail address or phone number of an identifier.
pub(super) fn hashes(identifier: &Value) -> impl Iterator<Item = &str> {
    let fields = ["hashed_email", "hashed_phone_number"].into_iter();
    fields.filter_map(|field| identifier.get(field)?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_one_form() {
        let good = when("2026-11-20 14:32:18+01:00").map(|time| time.to_rfc3339());
        assert_eq!(good.as_deref(), Some("2026-11-20T13:32:18+00:00"));
        assert!(when("2026-11-20 14:32:18-08:00").is_some());
        for bad in [
            "2026-11-20T14:32:18+01:00",
            "2026-11-20 14:32:18Z",
            "2026-11-20 14:32:18",
            "2026-11-20 14:32:18.5+01:00",
            "2026-11-20 14:32:18+0100",
            "2026-11-20 14:32:18 +01:00",
            "2026-11-31 14:32:18+01:00",
            "2026-11-20 25:32:18+01:00",
            "20 Nov 2026 14:32:18+01:00",
            "",
        ] {
            assert_eq!(when(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_action_is_named_by_its_resource() {
        assert_eq!(action_id("customers/1/conversionActions/77"), Some("77"));
        for bad in [
            "77",
            "customers/1/conversionActions/",
            "customers/1/conversionActions/x",
            "customers/1/conversionActions/7/x",
            "customers/123-456-7890/conversionActions/7",
        ] {
            assert_eq!(action_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn personal_data_is_recognised_by_its_form() {
        for personal in ["ada@example.com", "+491701234567"] {
            assert!(is_personal(personal), "{personal}");
        }
        for fine in ["order-1042", "1042", "4917012345678", "a@b", "+12-3", ""] {
            assert!(!is_personal(fine), "{fine}");
        }
    }
}
