//! The forms a JSON value may be asked to have, as small checks that say what they miss. Not for rules between
//! fields. Messages never repeat the value: it may be somebody's address.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::exchange::is_sha256_hex;

/// Checks one value; the error says what it must be.
pub(super) type Check = fn(&Value) -> Result<(), &'static str>;

/// The documented fields of an object, each with its check.
pub(super) type Fields = [(&'static str, Check)];

/// A field that fails, and what it must be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Misfit {
    pub(super) field: String,
    pub(super) must: &'static str,
}

/// Checks each field of an object. An undocumented field is refused, unless `open` says that there may be others.
pub(super) fn fields(
    object: &Map<String, Value>,
    known: &Fields,
    open: bool,
) -> Result<(), Misfit> {
    for (name, value) in object {
        let misfit = |must| Misfit {
            field: name.clone(),
            must,
        };
        match known.iter().find(|(known, _)| known == name) {
            Some((_, check)) => check(value).map_err(misfit)?,
            None if open => {}
            None => return Err(misfit("is not a documented field")),
        }
    }
    Ok(())
}

/// Turns a test into a check.
fn holds(test: bool, must: &'static str) -> Result<(), &'static str> {
    test.then_some(()).ok_or(must)
}

pub(super) fn anything(_: &Value) -> Result<(), &'static str> {
    Ok(())
}

pub(super) fn string(value: &Value) -> Result<(), &'static str> {
    holds(value.is_string(), "must be a string")
}

pub(super) fn filled_string(value: &Value) -> Result<(), &'static str> {
    holds(
        value.as_str().is_some_and(|text| !text.trim().is_empty()),
        "must be a string that is not empty",
    )
}

pub(super) fn boolean(value: &Value) -> Result<(), &'static str> {
    holds(value.is_boolean(), "must be true or false")
}

pub(super) fn object(value: &Value) -> Result<(), &'static str> {
    holds(value.is_object(), "must be an object")
}

/// An integer as JSON writes it: neither `5.0` nor `"5"`.
pub(super) fn integer(value: &Value) -> Result<(), &'static str> {
    holds(
        value.as_i64().is_some(),
        "must be an integer, not a string and without a fraction",
    )
}

pub(super) fn count(value: &Value) -> Result<(), &'static str> {
    holds(value.as_u64().is_some(), "must be an integer of at least 0")
}

pub(super) fn number(value: &Value) -> Result<(), &'static str> {
    holds(value.is_number(), "must be a JSON number, not a string")
}

pub(super) fn amount(value: &Value) -> Result<(), &'static str> {
    let fits = value.is_number()
        && value
            .as_f64()
            .is_some_and(|amount| amount.is_finite() && amount >= 0.0);
    holds(fits, "must be a JSON number of at least 0, not a string")
}

pub(super) fn strings(value: &Value) -> Result<(), &'static str> {
    let fits = value
        .as_array()
        .is_some_and(|list| list.iter().all(Value::is_string));
    holds(fits, "must be a list of strings")
}

/// An IPv4 or IPv6 address without spaces. A hash is none.
pub(super) fn ip_address(value: &Value) -> Result<(), &'static str> {
    let fits = value
        .as_str()
        .is_some_and(|text| text.parse::<IpAddr>().is_ok());
    holds(
        fits,
        "must be an IPv4 or IPv6 address, not hashed and without spaces",
    )
}

/// Text that was not hashed by mistake.
pub(super) fn unhashed(value: &Value) -> Result<(), &'static str> {
    let fits = value
        .as_str()
        .is_some_and(|text| !text.trim().is_empty() && !is_sha256_hex(&text.to_lowercase()));
    holds(fits, "must be a string that is not empty and not hashed")
}

/// One SHA-256 in lowercase hex, or a list of at least one.
pub(super) fn sha256_or_list(value: &Value) -> Result<(), &'static str> {
    let one = |value: &Value| value.as_str().is_some_and(is_sha256_hex);
    let fits = one(value)
        || value
            .as_array()
            .is_some_and(|list| !list.is_empty() && list.iter().all(one));
    holds(
        fits,
        "must be SHA-256 in exactly 64 lowercase hex characters, or a list of these that is not empty",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_check_takes_its_form_and_refuses_others() {
        let hash = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f";
        let cases: [(Check, Value, Value); 15] = [
            (string, json!(""), json!(1)),
            (filled_string, json!("a"), json!(" ")),
            (boolean, json!(true), json!("true")),
            (object, json!({}), json!([])),
            (integer, json!(-5), json!(5.5)),
            (integer, json!(5), json!("5")),
            (count, json!(0), json!(-1)),
            (number, json!(-1.5), json!("1.5")),
            (amount, json!(129.90), json!("129.90")),
            (amount, json!(0), json!(-0.01)),
            (strings, json!([]), json!([1])),
            (ip_address, json!("2001:db8::1"), json!(" 203.0.113.7")),
            (unhashed, json!("Mozilla/5.0"), json!(hash)),
            (sha256_or_list, json!(hash), json!(hash.to_uppercase())),
            (sha256_or_list, json!([hash]), json!([])),
        ];
        for (index, (check, good, bad)) in cases.iter().enumerate() {
            assert_eq!(check(good), Ok(()), "case {index}");
            assert!(check(bad).is_err(), "case {index}");
        }
    }

    #[test]
    fn integers_are_exact() {
        for text in ["5.0", "1e9", "99999999999999999999"] {
            assert!(
                integer(&serde_json::from_str(text).unwrap()).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn undocumented_fields_are_refused_unless_the_object_is_open() {
        let object = json!({"a": 1, "b": 2}).as_object().unwrap().clone();
        let known: &Fields = &[("a", integer)];
        assert_eq!(fields(&object, known, false).unwrap_err().field, "b");
        assert_eq!(fields(&object, known, true), Ok(()));
    }
}
