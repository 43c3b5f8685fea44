//! Checks `user_data` of an event
//! (`developers.facebook.com/documentation/ads-commerce/conversions-api/parameters/customer-information-parameters`).
//! Not for deciding whether somebody would be matched.

use serde_json::{Map, Value};

use super::event::Wrong;
use crate::sandbox::shape::{self, Fields};

const FIELDS: &Fields = &[
    ("em", shape::sha256_or_list),
    ("ph", shape::sha256_or_list),
    ("fn", shape::sha256_or_list),
    ("ln", shape::sha256_or_list),
    ("db", shape::sha256_or_list),
    ("ge", shape::sha256_or_list),
    ("ct", shape::sha256_or_list),
    ("st", shape::sha256_or_list),
    ("zp", shape::sha256_or_list),
    ("country", shape::sha256_or_list),
    ("external_id", external_id),
    ("client_ip_address", shape::ip_address),
    ("client_user_agent", shape::unhashed),
    ("fbc", fbc),
    ("fbp", fbp),
    ("subscription_id", shape::unhashed),
    ("lead_id", lead_id),
    ("fb_login_id", shape::count),
    ("ctwa_clid", shape::unhashed),
    ("page_id", shape::unhashed),
    ("page_scoped_user_id", shape::unhashed),
    ("ig_account_id", shape::unhashed),
    ("ig_sid", shape::unhashed),
    ("anon_id", shape::unhashed),
    ("madid", shape::unhashed),
];

/// An event that holds nothing but keys of one of these sets is refused
/// (`developers.facebook.com/documentation/ads-commerce/conversions-api/best-practices`).
const TOO_THIN: [&[&str]; 4] = [
    &["ct", "country", "st", "zp", "ge", "client_user_agent"],
    &["db", "client_user_agent"],
    &["fn", "ge"],
    &["ln", "ge"],
];

/// Checks every parameter, then whether they are enough together.
pub(super) fn check(user_data: &Map<String, Value>) -> Result<(), Wrong> {
    shape::fields(user_data, FIELDS, false)
        .map_err(|misfit| Wrong::inside("user_data", &misfit.field, misfit.must))?;
    let thin = |set: &[&str]| user_data.keys().all(|key| set.contains(&key.as_str()));
    // An object without any key is inside every set: refused too.
    if TOO_THIN.iter().any(|set| thin(set)) {
        return Err(
            Wrong::at("user_data", "holds too little customer information").subcode(2_804_050),
        );
    }
    Ok(())
}

/// Hashing is recommended, not required, and the value is the advertiser's own.
fn external_id(value: &Value) -> Result<(), &'static str> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let fits = !list.is_empty() && list.iter().all(|id| shape::filled_string(id).is_ok());
    fits.then_some(())
        .ok_or("must be a string or a list of strings that are not empty")
}

/// Meta's own lead ids have 15 to 17 digits.
fn lead_id(value: &Value) -> Result<(), &'static str> {
    let fits = value
        .as_u64()
        .is_some_and(|id| (15..=17).contains(&id.to_string().len()));
    fits.then_some(())
        .ok_or("must be an integer of 15 to 17 digits")
}

fn fbc(value: &Value) -> Result<(), &'static str> {
    let click = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    cookie(value, click)
        .then_some(())
        .ok_or("must be fb.{index}.{milliseconds}.{fbclid}, not hashed")
}

fn fbp(value: &Value) -> Result<(), &'static str> {
    cookie(value, digits)
        .then_some(())
        .ok_or("must be fb.{index}.{milliseconds}.{random number}, not hashed")
}

/// `fb.{index}.{13 digits}.{rest}`, and a fifth part of 2 or 8 characters where the Parameter Builder wrote it
/// (`github.com/facebook/capi-param-builder`).
fn cookie(value: &Value, rest: impl Fn(&str) -> bool) -> bool {
    let parts: Vec<&str> = value.as_str().unwrap_or_default().split('.').collect();
    let (head, appendix) = match parts.as_slice() {
        [fb, index, millis, last] => ((*fb, *index, *millis, *last), None),
        [fb, index, millis, last, appendix] => ((*fb, *index, *millis, *last), Some(*appendix)),
        _ => return false,
    };
    let (fb, index, millis, last) = head;
    let written_by_builder = appendix.is_none_or(|text| matches!(text.len(), 2 | 8));
    fb == "fb"
        && digits(index)
        && digits(millis)
        && millis.len() == 13
        && rest(last)
        && written_by_builder
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
