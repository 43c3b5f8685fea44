//! What the documentation asks of values and the live API does not check: an event that breaks it is answered 201 and
//! is of no use. Messages never repeat the value. Not for types and names of fields, which `schema` checks.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::schema::Flaw;
use crate::sandbox::currency;
use crate::sandbox::exchange::is_sha256_hex;

const HASH: &str = "must be SHA-256 in exactly 64 lowercase hex characters; LinkedIn itself takes anything else and \
    never matches it";
const IPV4: &str =
    "must be an IPv4 address; LinkedIn itself takes anything else and never matches it";
const CURRENCY: &str = "must be an upper-case ISO 4217 code; LinkedIn itself takes anything else";
const AMOUNT: &str = "must be a plain decimal of at least 0; LinkedIn itself takes any text";
const COUNTRY: &str =
    "must be an ISO 3166 code of two letters; LinkedIn itself takes anything else";
const ONE: &str = "must hold one id at most; LinkedIn itself uses only the first";

/// Everything that would make LinkedIn take an event and not use it. What has the wrong type is passed over.
pub(super) fn flaws(event: &Value) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let mut ask = |path: &str, fits: fn(&str) -> bool, must: &'static str| {
        if text(path).is_some_and(|text| !fits(text)) {
            flaws.push(Flaw::at(path, must));
        }
    };
    ask("/conversionValue/amount", is_amount, AMOUNT);
    ask("/conversionValue/currencyCode", currency::is_code, CURRENCY);
    let ids = event.pointer("/user/userIds").and_then(Value::as_array);
    for index in 0..ids.map_or(0, Vec::len) {
        let path = format!("/user/userIds/{index}/idValue");
        match text(&format!("/user/userIds/{index}/idType")) {
            Some("SHA256_EMAIL" | "SHA256_IP_ADDRESS") => ask(&path, is_sha256_hex, HASH),
            Some("PLAINTEXT_IP_ADDRESS") => ask(&path, is_ipv4, IPV4),
            _ => {}
        }
    }
    ask("/user/userInfo/hashedFirstName", is_sha256_hex, HASH);
    ask("/user/userInfo/hashedLastName", is_sha256_hex, HASH);
    ask("/user/userInfo/countryCode", is_country, COUNTRY);
    let external = event.pointer("/user/externalIds").and_then(Value::as_array);
    if external.is_some_and(|list| list.len() > 1) {
        flaws.push(Flaw::at("/user/externalIds", ONE));
    }
    flaws
}

fn is_amount(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    digits(whole) && digits(fraction)
}

fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|it| it.is_ascii_alphabetic())
}
