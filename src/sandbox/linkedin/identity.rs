//! Whether an event says who it is about. Not for the form of identifiers, which `values` checks.

use serde_json::Value;

use super::world::Mode;

/// Whether the event has one of: an entry in `userIds`, both names, an external id, a lead
/// (`…/conversions-api-schema`, section "user").
///
/// The documented message of the refusal omits `SHA256_IP_ADDRESS`; whether it is enough alone is not known, so the
/// strict mode does not count it.
pub(super) fn is_identified(event: &Value, mode: Mode) -> bool {
    let Some(user) = event.get("user") else {
        return false;
    };
    let list = |name: &str| {
        let list = user.get(name).and_then(Value::as_array);
        list.map(Vec::as_slice).unwrap_or_default()
    };
    let counts = |entry: &Value| {
        let is_hashed_ip = entry.get("idType").and_then(Value::as_str) == Some("SHA256_IP_ADDRESS");
        is_filled(entry.get("idValue")) && (mode == Mode::Observed || !is_hashed_ip)
    };
    let info = |name: &str| is_filled(user.get("userInfo").and_then(|info| info.get(name)));
    let is_named = (info("firstName") || info("hashedFirstName"))
        && (info("lastName") || info("hashedLastName"));
    list("userIds").iter().any(counts)
        || is_named
        || is_filled(list("externalIds").first())
        || is_filled(user.get("lead"))
}

fn is_filled(value: Option<&Value>) -> bool {
    value
        .and_then(Value::as_str)
        .is_some_and(|text| !text.trim().is_empty())
}
