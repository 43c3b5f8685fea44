//! What LinkedIn takes of a person, and how each field is normalised before it is hashed.
//!
//! Facts: `learn.microsoft.com/en-us/linkedin/marketing/integrations/ads-reporting/conversions-api-schema`. That page
//! says "lower case, no white space" of an address and "no punctuation" of a name without naming the characters;
//! ASCII punctuation is our reading. There is no field for a telephone number. A malformed IP address was seen to be
//! accepted with 201 and cannot match, so what is malformed is refused here.

use std::net::Ipv4Addr;

use super::field::Fields;
use super::value::{Hashed, Plain, Value};
use super::{Identity, RawIdentity, Rules, place, text};

/// Everything in the form LinkedIn wants: address and names hashed, the rest plain.
///
/// Clear names, and employer and job title, only by the operator's word.
pub(super) fn identity<'a>(raw: &RawIdentity<'a>, rules: &Rules) -> Identity {
    let mut fields = Fields::default();
    let email = fields.each("email", raw.email, |raw| Hashed::from_raw(raw, email));
    let first_name = fields.one("first_name", raw.first_name, hashed_name);
    let last_name = fields.one("last_name", raw.last_name, hashed_name);
    let asked = |raw: Option<&'a str>| raw.filter(|_| rules.employment);
    // A name that cannot be hashed is no name, in the clear neither.
    let clear = |hashed: Option<Hashed>, raw: Option<&str>| {
        hashed.filter(|_| rules.clear_names)?;
        as_written(raw?)
    };
    Identity {
        email,
        clear_first_name: clear(first_name, raw.first_name),
        clear_last_name: clear(last_name, raw.last_name),
        first_name,
        last_name,
        country: fields.one("country", raw.country, country),
        external_id: fields.one("external_id", raw.external_id, external_id),
        company: fields.one("company", asked(raw.company), as_written),
        job_title: fields.one("job_title", asked(raw.job_title), as_written),
        ip_address: fields.one("ip_address", raw.ip_address, ip_address),
        dropped: fields.dropped(),
        ..Identity::default()
    }
}

/// `SHA256_EMAIL`: without any white space, lower case. Dots and `+tag` stay.
pub(super) fn email(raw: &str) -> Option<String> {
    let address = text::lower(&text::without(raw, text::is_space));
    text::split_email(&address).is_some().then_some(address)
}

/// `hashedFirstName`, `hashedLastName`: lower case, without white space and ASCII punctuation. Other letters and `’`
/// stay as they are in UTF-8.
pub(super) fn name(raw: &str) -> Option<String> {
    text::non_empty(text::without(&text::lower(raw), |c| {
        text::is_space(c) || c.is_ascii_punctuation()
    }))
}

/// `PLAINTEXT_IP_ADDRESS`: IPv4 only. LinkedIn hashes it itself.
pub(super) fn ip_address(raw: &str) -> Option<Plain> {
    let address = text::trim(raw);
    address.parse::<Ipv4Addr>().ok()?;
    Plain::of(address.to_owned())
}

/// `externalIds`: unchanged, in the clear. Our own rule: for that reason an e-mail address or a telephone number is
/// refused. Source: `learn.microsoft.com/en-us/linkedin/marketing/conversions/custom-matching-identifiers`.
pub(super) fn external_id(raw: &str) -> Option<Value> {
    (!text::names_a_person(raw))
        .then(|| Plain::id(raw))
        .flatten()
        .map(Value::Plain)
}

/// `countryCode`: ISO 3166-1 alpha-2 in upper case.
fn country(raw: &str) -> Option<Value> {
    let code = place::country(raw)?;
    Plain::of(code.to_owned()).map(Value::Plain)
}

fn hashed_name(raw: &str) -> Option<Hashed> {
    Hashed::from_raw(raw, name)
}

/// `firstName`, `lastName`, `companyName`, `title`: text without spaces around it. One that the application hashed is
/// of no use here.
fn as_written(raw: &str) -> Option<Plain> {
    Plain::of(text::trim(raw).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> RawIdentity<'static> {
        RawIdentity {
            first_name: Some(" Jean-Luc "),
            last_name: Some("O’Neill"),
            company: Some(" Acme & Söhne "),
            job_title: Some("5d41402abc4b2a76b9719d911017c592"),
            ..RawIdentity::default()
        }
    }

    #[test]
    fn employment_and_clear_names_wait_for_the_operator() {
        let person = identity(&worker(), &Rules::default());
        let clear = [&person.clear_first_name, &person.clear_last_name];
        assert_eq!(clear, [&None; 2]);
        assert_eq!([person.company, person.job_title], [None, None]);
        assert_eq!(person.dropped, [""; 0]);
    }

    #[test]
    fn the_operator_may_ask_for_them() {
        let rules = Rules {
            clear_names: true,
            employment: true,
            ..Rules::default()
        };
        let person = identity(&worker(), &rules);
        let sent = |plain: Option<Plain>| plain.map(|plain| plain.as_str().to_owned());
        assert_eq!(person.first_name, Hashed::of("jeanluc"));
        assert_eq!(sent(person.clear_first_name).as_deref(), Some("Jean-Luc"));
        assert_eq!(sent(person.clear_last_name).as_deref(), Some("O’Neill"));
        assert_eq!(sent(person.company).as_deref(), Some("Acme & Söhne"));
        assert_eq!(person.job_title, None);
        assert_eq!(person.dropped, ["job_title"]);
    }

    #[test]
    fn a_name_without_a_letter_is_not_sent_in_the_clear() {
        let rules = Rules {
            clear_names: true,
            ..Rules::default()
        };
        let digest = "AB".repeat(32);
        let person = RawIdentity {
            first_name: Some(" - "),
            last_name: Some(&digest),
            ..RawIdentity::default()
        };
        let person = identity(&person, &rules);
        assert_eq!((person.first_name, person.clear_first_name), (None, None));
        assert_eq!(person.last_name, Hashed::given(&digest));
        assert_eq!(person.clear_last_name, None);
        assert_eq!(person.dropped, ["first_name"]);
    }

    #[test]
    fn an_id_in_the_clear_never_names_a_person() {
        let sent = |raw| external_id(raw).map(|id| id.as_str().to_owned());
        assert_eq!(sent(" User 42 ").as_deref(), Some(" User 42 "));
        assert_eq!(sent("jane@example.com"), None);
        assert_eq!(sent(" +442079460958"), None);
    }
}
