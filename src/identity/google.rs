//! What Google takes of a person, and how each field is normalised before it is hashed.
//!
//! Three dialects. Google Analytics: `developers.google.com/analytics/devguides/collection/ga4/uid-data`. Data Manager:
//! `developers.google.com/data-manager/api/devguides/concepts/formatting`. Google Ads:
//! `developers.google.com/google-ads/api/docs/conversions/upload-offline`, where an address is folded as for Analytics.
//! All want telephone numbers alike, and differ in what they cut from an address and from a name.

use super::field::Fields;
use super::phone::{self, Home};
use super::value::{Hashed, Plain, Value};
use super::{Identity, RawIdentity, Rules, field, place, text};

/// Everything in the form GA4 wants: address hashed in part, place plain, the external id as `user_id`.
pub(super) fn analytics(raw: &RawIdentity<'_>, rules: &Rules) -> Identity {
    let home = home(raw, rules);
    let mut fields = Fields::default();
    Identity {
        email: fields.each("email", raw.email, |raw| Hashed::from_raw(raw, email)),
        phone: fields.each("phone", raw.phone, |raw| {
            Hashed::from_raw(raw, |raw| phone(raw, home))
        }),
        first_name: fields.one("first_name", raw.first_name, |raw| {
            Hashed::from_raw(raw, letters)
        }),
        last_name: fields.one("last_name", raw.last_name, |raw| {
            Hashed::from_raw(raw, letters)
        }),
        street: fields.one("street", raw.street, |raw| Hashed::from_raw(raw, street)),
        city: fields.one("city", raw.city, plain(letters)),
        region: fields.one("region", raw.region, plain(letters)),
        postal_code: fields.one("postal_code", raw.postal_code, plain(postal_code)),
        country: fields.one("country", raw.country, plain(country)),
        external_id: fields.one("external_id", raw.external_id, user_id),
        ip_address: fields.one("ip_address", raw.ip_address, field::ip_address),
        user_agent: fields.one("user_agent", raw.user_agent, field::user_agent),
        dropped: fields.dropped(),
        ..Identity::default()
    }
}

/// Everything in the form Data Manager wants. It has no field for a birth, a gender or an id of ours.
pub(super) fn data_manager(raw: &RawIdentity<'_>, rules: &Rules) -> Identity {
    let home = home(raw, rules);
    let mut fields = Fields::default();
    Identity {
        email: fields.each("email", raw.email, |raw| {
            Hashed::from_raw(raw, email_without_tag)
        }),
        phone: fields.each("phone", raw.phone, |raw| {
            Hashed::from_raw(raw, |raw| phone(raw, home))
        }),
        first_name: fields.one("first_name", raw.first_name, |raw| {
            Hashed::from_raw(raw, name)
        }),
        last_name: fields.one("last_name", raw.last_name, |raw| {
            Hashed::from_raw(raw, name)
        }),
        street: fields.one("street", raw.street, |raw| Hashed::from_raw(raw, street)),
        city: fields.one("city", raw.city, plain(letters)),
        region: fields.one("region", raw.region, plain(letters)),
        postal_code: fields.one("postal_code", raw.postal_code, plain(postal_code)),
        country: fields.one("country", raw.country, plain(country)),
        ip_address: fields.one("ip_address", raw.ip_address, field::ip_address),
        user_agent: fields.one("user_agent", raw.user_agent, field::user_agent),
        dropped: fields.dropped(),
        ..Identity::default()
    }
}

/// Everything in the form the Google Ads API wants of a click conversion: address and telephone number, nothing else.
/// It refuses names and places there, and takes IP addresses from few.
pub(super) fn ads(raw: &RawIdentity<'_>, rules: &Rules) -> Identity {
    let home = home(raw, rules);
    let mut fields = Fields::default();
    Identity {
        email: fields.each("email", raw.email, |raw| Hashed::from_raw(raw, email)),
        phone: fields.each("phone", raw.phone, |raw| {
            Hashed::from_raw(raw, |raw| phone(raw, home))
        }),
        dropped: fields.dropped(),
        ..Identity::default()
    }
}

/// GA4 and Google Ads: trimmed, lower case; dots before `@` go for Google's own two domains. `+tag` stays.
pub(super) fn email(raw: &str) -> Option<String> {
    fold_email(raw, |local| local.replace('.', ""))
}

/// Data Manager: as [`email`], and for Google's own two domains `+tag` goes as well.
pub(super) fn email_without_tag(raw: &str) -> Option<String> {
    fold_email(raw, |local| {
        local.split('+').next().unwrap_or_default().replace('.', "")
    })
}

/// E.164 with `+`, which is part of what is hashed. Only with `+`, `00`, or where the country is known.
pub(super) fn phone(raw: &str, home: Home<'_>) -> Option<String> {
    phone::e164(raw, home).map(|digits| format!("+{digits}"))
}

/// Data Manager's given and family name: without ASCII punctuation, lower case, trimmed.
pub(super) fn name(raw: &str) -> Option<String> {
    clean(raw, |c| c.is_ascii_punctuation())
}

/// GA4's first and last name, city and region: as [`name`], and without digits.
pub(super) fn letters(raw: &str) -> Option<String> {
    clean(raw, |c| c.is_ascii_punctuation() || c.is_ascii_digit())
}

/// A street with its number: without ASCII punctuation, lower case, trimmed. Spaces within stay.
pub(super) fn street(raw: &str) -> Option<String> {
    clean(raw, |c| c.is_ascii_punctuation())
}

/// Never hashed: trimmed, without `.` and `~`. What follows a `-` stays.
pub(super) fn postal_code(raw: &str) -> Option<String> {
    let code = text::without(raw, |c| matches!(c, '.' | '~'));
    text::non_empty(text::trim(&code).to_owned())
}

/// Never hashed: ISO 3166-1 alpha-2 in upper case.
pub(super) fn country(raw: &str) -> Option<String> {
    place::country(raw).map(str::to_owned)
}

/// GA4's `user_id`: at most 256 characters, and nothing that tells a third party who it is. An address or a
/// telephone number breaks Google's terms, so it is refused rather than repaired.
fn user_id(raw: &str) -> Option<Value> {
    let id = text::trim(raw);
    let fits = id.chars().count() <= 256;
    (fits && !text::names_a_person(id))
        .then(|| Plain::id(id))
        .flatten()
        .map(Value::Plain)
}

fn home<'a>(raw: &RawIdentity<'a>, rules: &Rules) -> Home<'a> {
    Home {
        country: raw.country.and_then(place::country),
        calling_code: rules.default_calling_code,
    }
}

/// A field sent as text. One that the application hashed is of no use here.
fn plain(normalise: fn(&str) -> Option<String>) -> impl Fn(&str) -> Option<Value> {
    move |raw| match text::form(raw) {
        text::Form::Clear => normalise(raw).and_then(Plain::of).map(Value::Plain),
        text::Form::Sha256 | text::Form::Md5 => None,
    }
}

/// Google delivers `a.b@gmail.com` and `ab@gmail.com` to one mailbox, and matches only the second.
fn fold_email(raw: &str, fold: impl Fn(&str) -> String) -> Option<String> {
    let address = text::lower(text::trim(raw));
    let (local, domain) = text::split_email(&address)?;
    if !matches!(domain, "gmail.com" | "googlemail.com") {
        return Some(address);
    }
    let local = text::non_empty(fold(local))?;
    Some(format!("{local}@{domain}"))
}

fn clean(raw: &str, unwanted: impl Fn(char) -> bool) -> Option<String> {
    let kept = text::lower(&text::without(raw, unwanted));
    text::non_empty(text::trim(&kept).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_never_names_a_person() {
        assert_eq!(
            user_id(" cust_8812 ")
                .map(|id| id.as_str().to_owned())
                .as_deref(),
            Some("cust_8812")
        );
        assert_eq!(user_id("jane@example.com"), None);
        assert_eq!(user_id("+442079460958"), None);
        assert_eq!(user_id(&"x".repeat(257)), None);
    }

    #[test]
    fn a_hashed_city_cannot_be_sent_as_text() {
        assert_eq!(plain(letters)(&"ab".repeat(32)), None);
        assert_eq!(
            plain(letters)("Aix-en-Provence 1")
                .map(|city| city.as_str().to_owned())
                .as_deref(),
            Some("aixenprovence")
        );
    }
}
