//! What Meta takes of a person, and how each field is normalised before it is hashed.
//!
//! Facts: `developers.facebook.com/documentation/ads-commerce/conversions-api/parameters/customer-information-parameters`.
//! Meta's own libraries disagree with that page and with each other; where they do, the page wins, and where it is
//! silent, the reading that two libraries share. No composing or decomposing of accents: none of them does it.

use chrono::{Datelike, NaiveDate};

use super::field::Fields;
use super::phone::{self, Home};
use super::value::{Hashed, Plain, Value};
use super::{ExternalIdMode, Identity, RawIdentity, Rules, field, place, text};

/// Everything in the form Meta wants: all hashed but the IP address and the user agent. Meta has no street.
pub(super) fn identity(raw: &RawIdentity<'_>, rules: &Rules) -> Identity {
    let country_code = raw.country.and_then(place::country);
    let home = Home {
        country: country_code,
        calling_code: rules.default_calling_code,
    };
    let hashed = |normalise: fn(&str) -> Option<String>| {
        move |raw: &str| Hashed::from_raw(raw, normalise).map(Value::Hashed)
    };
    let mut fields = Fields::default();
    Identity {
        email: fields.each("email", raw.email, |raw| Hashed::from_raw(raw, email)),
        phone: fields.each("phone", raw.phone, |raw| {
            Hashed::from_raw(raw, |raw| phone(raw, home))
        }),
        first_name: fields.one("first_name", raw.first_name, |raw| {
            Hashed::from_raw(raw, name)
        }),
        last_name: fields.one("last_name", raw.last_name, |raw| {
            Hashed::from_raw(raw, name)
        }),
        city: fields.one("city", raw.city, hashed(city)),
        region: fields.one("region", raw.region, |raw| {
            Hashed::from_raw(raw, |raw| region(raw, country_code)).map(Value::Hashed)
        }),
        postal_code: fields.one("postal_code", raw.postal_code, |raw| {
            Hashed::from_raw(raw, |raw| postal_code(raw, country_code)).map(Value::Hashed)
        }),
        country: fields.one("country", raw.country, hashed(country)),
        date_of_birth: fields.one("date_of_birth", raw.date_of_birth, |birth| {
            Hashed::from_raw(birth, |birth| date_of_birth(birth, raw.occurred_on))
        }),
        gender: fields.one("gender", raw.gender, |raw| Hashed::from_raw(raw, gender)),
        external_id: fields.one("external_id", raw.external_id, |raw| {
            external_id(raw, rules.external_id_mode)
        }),
        ip_address: fields.one("ip_address", raw.ip_address, field::ip_address),
        user_agent: fields.one("user_agent", raw.user_agent, field::user_agent),
        dropped: fields.dropped(),
        ..Identity::default()
    }
}

/// `em`: trimmed, lower case. Dots and `+tag` stay: Meta does not fold them.
pub(super) fn email(raw: &str) -> Option<String> {
    let address = text::lower(text::trim(raw));
    text::split_email(&address).is_some().then_some(address)
}

/// `ph`: digits with the country code, without `+` or leading zeros. A national form whose country is unknown is
/// refused; digits without any prefix are taken to have their country code, as Meta's libraries do.
pub(super) fn phone(raw: &str, home: Home<'_>) -> Option<String> {
    phone::e164(raw, home).or_else(|| phone::digits(raw))
}

/// `fn`, `ln`: lower case, without white space and ASCII punctuation. Other letters and `’` stay.
pub(super) fn name(raw: &str) -> Option<String> {
    text::non_empty(text::without(&text::lower(raw), |c| {
        text::is_space(c) || c.is_ascii_punctuation()
    }))
}

/// `ct`: as a name, and without digits.
pub(super) fn city(raw: &str) -> Option<String> {
    let name = name(raw)?;
    text::non_empty(text::without(&name, |c| c.is_ascii_digit()))
}

/// `st`: as a city. The name of a US state becomes its two letters, unless the person is known to live elsewhere:
/// Montana is a province of Bulgaria too. Regions of other countries are not cut.
pub(super) fn region(raw: &str, country: Option<&str>) -> Option<String> {
    let region = city(raw)?;
    match place::us_state(&region) {
        Some(letters) if is_us_or_unknown(country) => Some(letters.to_owned()),
        _ => Some(region),
    }
}

/// `zp`: lower case, without white space, cut at the first `-`; the nine digits of the USA become five.
/// Fewer than two characters say nothing.
pub(super) fn postal_code(raw: &str, country: Option<&str>) -> Option<String> {
    let code = text::without(&text::lower(raw), text::is_space);
    let code = code.split('-').next()?;
    let nine_digits = code.len() == 9 && code.bytes().all(|byte| byte.is_ascii_digit());
    let code = if nine_digits && is_us_or_unknown(country) {
        &code[..5]
    } else {
        code
    };
    (code.chars().count() >= 2).then(|| code.to_owned())
}

/// `country`: ISO 3166-1 alpha-2 in lower case.
pub(super) fn country(raw: &str) -> Option<String> {
    place::country(raw).map(str::to_ascii_lowercase)
}

/// `ge`: one letter. Meta knows two.
pub(super) fn gender(raw: &str) -> Option<String> {
    match text::lower(text::trim(raw)).as_str() {
        "m" | "male" => Some("m".to_owned()),
        "f" | "female" => Some("f".to_owned()),
        _ => None,
    }
}

/// `db`: `YYYYMMDD`, from that form or `YYYY-MM-DD`. Every other order of day and month is a guess. Nobody is born
/// before 1900 or after the event itself, whose day stays the same at every attempt.
pub(super) fn date_of_birth(raw: &str, occurred_on: Option<NaiveDate>) -> Option<String> {
    let compact = match text::trim(raw).as_bytes() {
        [y @ .., b'-', m1, m2, b'-', d1, d2] if y.len() == 4 => [y, &[*m1, *m2, *d1, *d2]].concat(),
        digits => digits.to_vec(),
    };
    let compact = String::from_utf8(compact).ok()?;
    let well_formed = compact.len() == 8 && compact.bytes().all(|byte| byte.is_ascii_digit());
    let date = well_formed
        .then(|| NaiveDate::parse_from_str(&compact, "%Y%m%d").ok())
        .flatten()?;
    let possible = date.year() >= 1900 && occurred_on.is_none_or(|day| date <= day);
    possible.then_some(compact)
}

/// `external_id` must equal what the site's Pixel sends, so the operator says what that is.
fn external_id(raw: &str, mode: ExternalIdMode) -> Option<Value> {
    if text::form(raw) == text::Form::Sha256 && mode != ExternalIdMode::Raw {
        return Hashed::given(raw).map(Value::Hashed);
    }
    match mode {
        ExternalIdMode::Canonical => Hashed::of(&canonical_external_id(raw)?).map(Value::Hashed),
        ExternalIdMode::RawSha256 => Hashed::of(raw).map(Value::Hashed),
        ExternalIdMode::Raw => Plain::id(raw).map(Value::Plain),
    }
}

/// `external_id` before hashing: lower case without white space. 32 hexadecimal digits are an id like any other here.
pub(super) fn canonical_external_id(raw: &str) -> Option<String> {
    text::non_empty(text::without(&text::lower(raw), text::is_space))
}

fn is_us_or_unknown(country: Option<&str>) -> bool {
    country.is_none_or(|code| code == "US")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_name_abroad_keeps_its_letters() {
        assert_eq!(region("Montana", None).as_deref(), Some("mt"));
        assert_eq!(region("Montana", Some("US")).as_deref(), Some("mt"));
        assert_eq!(region("Montana", Some("BG")).as_deref(), Some("montana"));
    }

    #[test]
    fn nine_digits_abroad_stay_nine() {
        assert_eq!(
            postal_code("940351234", Some("US")).as_deref(),
            Some("94035")
        );
        assert_eq!(
            postal_code("940351234", Some("IR")).as_deref(),
            Some("940351234")
        );
        assert_eq!(postal_code("-12", None), None);
    }

    #[test]
    fn a_birth_is_a_real_day_before_the_event() {
        let event = NaiveDate::from_ymd_opt(2026, 11, 23);
        for (raw, expected) in [
            ("2026-11-23", Some("20261123")),
            ("2026-11-24", None),
            ("1899-12-31", None),
            ("1997-02-30", None),
            ("199702-16", None),
            ("+9970216", None),
        ] {
            assert_eq!(date_of_birth(raw, event).as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn external_id_follows_its_mode() {
        let as_sent = |raw, mode| external_id(raw, mode).map(|value| value.as_str().to_owned());
        let canonical = as_sent("cust42", ExternalIdMode::Canonical);
        assert_eq!(as_sent(" Cust 42 ", ExternalIdMode::Canonical), canonical);
        assert_eq!(as_sent("cust42", ExternalIdMode::RawSha256), canonical);
        assert_ne!(as_sent("Cust42", ExternalIdMode::RawSha256), canonical);
        assert_eq!(
            as_sent("Cust 42", ExternalIdMode::Raw).as_deref(),
            Some("Cust 42")
        );
        assert!(
            as_sent(
                "7f3c1b9e0a544c0e9a552f1d2e3c4b5a",
                ExternalIdMode::Canonical
            )
            .is_some()
        );
    }
}
