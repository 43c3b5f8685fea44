//! By what an event is matched: click ids and hashed user data
//! (`developers.google.com/data-manager/api/devguides/concepts/formatting`). Not for whether the click happened.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::body::list;
use super::checks::text;
use super::violation::Violation;

/// Most user identifiers of one event.
const IDENTIFIERS_MAX: usize = 10;

/// Ad identifiers of which one is enough. That an IP address alone is, two guide pages disagree about: here it is
/// not.
const AD_IDENTIFIERS: [&str; 7] = [
    "gclid",
    "gbraid",
    "wbraid",
    "session_attributes",
    "mobile_device_id",
    "dclid",
    "match_id",
];

/// How hashes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Hex,
    Base64,
}

impl Encoding {
    /// What the request says; none if it says nothing.
    pub(super) fn of(body: &Value) -> Option<Encoding> {
        match body["encoding"].as_str()? {
            "HEX" => Some(Encoding::Hex),
            "BASE64" => Some(Encoding::Base64),
            _ => None,
        }
    }

    /// Why a text is no SHA-256 in this encoding, if it is none. Hex may have either case.
    fn misfit(self, hash: &str) -> Option<(&'static str, &'static str)> {
        let length = match self {
            Encoding::Hex if !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                return Some(("INVALID_HEX_ENCODING", "The value is not hex encoded."));
            }
            Encoding::Hex => hash.len() / 2,
            Encoding::Base64 => match STANDARD.decode(hash) {
                Ok(bytes) => bytes.len(),
                Err(_) => {
                    return Some((
                        "INVALID_BASE64_ENCODING",
                        "The value is not base64 encoded.",
                    ));
                }
            },
        };
        let odd = self == Encoding::Hex && hash.len() % 2 == 1;
        (length != 32 || odd)
            .then_some(("INVALID_SHA256_FORMAT", "The value is not a SHA-256 hash."))
    }
}

/// Checks what one event is matched by. Without an encoding, hashes cannot be checked: its absence is told once.
pub(super) fn check(
    event: &Value,
    at: &str,
    encoding: Option<Encoding>,
    found: &mut Vec<Violation>,
) {
    let identifiers = list(&event["user_data"], "user_identifiers");
    let ads = &event["ad_identifiers"];
    let has_ad_identifier = AD_IDENTIFIERS.iter().any(|name| text(ads, name).is_some());
    if identifiers.is_empty() && !has_ad_identifier {
        found.push(Violation::new(
            at,
            "NO_IDENTIFIERS_PROVIDED",
            "Events data contains no user identifiers or ad identifiers.",
        ));
    }
    let within = format!("{at}.user_data.user_identifiers");
    if identifiers.len() > IDENTIFIERS_MAX {
        found.push(Violation::new(
            within.as_str(),
            "TOO_MANY_USER_IDENTIFIERS",
            "At most 10 user identifiers are allowed in an event.",
        ));
    }
    for (index, identifier) in identifiers.iter().enumerate() {
        check_one(identifier, &format!("{within}[{index}]"), encoding, found);
    }
}

fn check_one(identifier: &Value, at: &str, encoding: Option<Encoding>, found: &mut Vec<Violation>) {
    let mut hash = |object: &Value, at: &str, name: &str| {
        let field = format!("{at}.{name}");
        let Some(hash) = text(object, name) else {
            found.push(Violation::missing(field));
            return;
        };
        if let Some((reason, description)) = encoding.and_then(|it| it.misfit(hash)) {
            found.push(Violation::new(field, reason, description));
        }
    };
    let address = &identifier["address"];
    if identifier["email_address"].is_string() {
        hash(identifier, at, "email_address");
    } else if identifier["phone_number"].is_string() {
        hash(identifier, at, "phone_number");
    } else if address.is_object() {
        let at = format!("{at}.address");
        hash(address, &at, "given_name");
        hash(address, &at, "family_name");
        check_place(address, &at, found);
    } else {
        found.push(Violation::missing(at));
    }
}

/// Region and postal code of an address: both needed, neither hashed.
fn check_place(address: &Value, at: &str, found: &mut Vec<Violation>) {
    let region = format!("{at}.region_code");
    match text(address, "region_code") {
        None => found.push(Violation::missing(region)),
        Some(code) if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            let text = "The region code is not valid.";
            found.push(Violation::new(region, "INVALID_REGION_CODE", text));
        }
        Some(_) => {}
    }
    let postal = format!("{at}.postal_code");
    match text(address, "postal_code") {
        None => found.push(Violation::missing(postal)),
        // Longer than any postal code: most likely a hash.
        Some(code) if code.trim() != code || code.len() > 16 => {
            let text = "Postal code is not valid.";
            found.push(Violation::new(postal, "INVALID_POSTAL_CODE", text));
        }
        Some(_) => {}
    }
}
