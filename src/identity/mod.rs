//! A person, in the only form that a platform sees: normalised by that platform's rule, then hashed.
//!
//! [`identify`] is the one door. Behind it [`Hashed`] and [`Plain`] have their only makers, so no code elsewhere can
//! hand a raw address to a platform. Not for consent: the caller fills in only the fields that may leave.

mod click;
mod field;
mod google;
mod linkedin;
mod meta;
mod phone;
mod place;
mod subject;
mod text;
mod value;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod vectors;

use std::fmt;

use chrono::NaiveDate;

pub use click::{click_id, fb_cookie, fbc, ga_client_id, li_fat_id};
pub use phone::warm_up;
pub use subject::{SubjectKind, forms};
pub use value::{Hashed, Plain, Value};

/// What the application knows of a person, as it wrote it: raw, or hashed already (64 hexadecimal digits).
#[derive(Clone, Copy, Default)]
pub struct RawIdentity<'a> {
    /// E-mail addresses.
    pub email: &'a [String],
    /// Telephone numbers, in any form.
    pub phone: &'a [String],
    /// Given name.
    pub first_name: Option<&'a str>,
    /// Family name.
    pub last_name: Option<&'a str>,
    /// Street with number.
    pub street: Option<&'a str>,
    /// Town.
    pub city: Option<&'a str>,
    /// State, province or region.
    pub region: Option<&'a str>,
    /// Postal code.
    pub postal_code: Option<&'a str>,
    /// ISO 3166-1 alpha-2. Also says how to read a national telephone number.
    pub country: Option<&'a str>,
    /// `YYYY-MM-DD` or `YYYYMMDD`.
    pub date_of_birth: Option<&'a str>,
    /// `m`, `f`, or the English word.
    pub gender: Option<&'a str>,
    /// The application's own stable id of the person.
    pub external_id: Option<&'a str>,
    /// Employer.
    pub company: Option<&'a str>,
    /// Position there.
    pub job_title: Option<&'a str>,
    /// The customer's address, not a proxy's.
    pub ip_address: Option<&'a str>,
    /// The customer's browser.
    pub user_agent: Option<&'a str>,
    /// Day of the event. A later date of birth is refused.
    pub occurred_on: Option<NaiveDate>,
}

/// All that a platform learns of a person. A field the platform does not take is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Each address once, in the application's order.
    pub email: Vec<Hashed>,
    /// Each number once, in the application's order.
    pub phone: Vec<Hashed>,
    /// Given name.
    pub first_name: Option<Hashed>,
    /// Family name.
    pub last_name: Option<Hashed>,
    /// Given name as it was written; only with [`Rules::clear_names`].
    pub clear_first_name: Option<Plain>,
    /// Family name as it was written; only with [`Rules::clear_names`].
    pub clear_last_name: Option<Plain>,
    /// Street with number.
    pub street: Option<Hashed>,
    /// Town.
    pub city: Option<Value>,
    /// State, province or region.
    pub region: Option<Value>,
    /// Postal code.
    pub postal_code: Option<Value>,
    /// Country.
    pub country: Option<Value>,
    /// Date of birth.
    pub date_of_birth: Option<Hashed>,
    /// Gender.
    pub gender: Option<Hashed>,
    /// The application's own id: Meta's `external_id`, GA4's `user_id`, LinkedIn's first of `externalIds`.
    pub external_id: Option<Value>,
    /// Employer; only with [`Rules::employment`].
    pub company: Option<Plain>,
    /// Position there; only with [`Rules::employment`].
    pub job_title: Option<Plain>,
    /// The customer's IP address.
    pub ip_address: Option<Plain>,
    /// The customer's browser.
    pub user_agent: Option<Plain>,
    /// Names of fields that were there and could not be used, by the names of [`RawIdentity`]; never their values.
    pub dropped: Vec<&'static str>,
}

/// Platforms that normalise alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Meta Conversions API.
    Meta,
    /// GA4 Measurement Protocol.
    Ga4,
    /// Google Data Manager API.
    GoogleDataManager,
    /// Google Ads API.
    GoogleAds,
    /// LinkedIn Conversions API.
    LinkedIn,
}

/// What an operator decides about a destination's identifiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Country code for telephone numbers without one, for example 44. Without it they are dropped, not guessed.
    pub default_calling_code: Option<u16>,
    /// How `external_id` leaves.
    pub external_id_mode: ExternalIdMode,
    /// Whether names leave in the clear as well. Only for LinkedIn, whose older versions take no other.
    pub clear_names: bool,
    /// Whether employer and job title leave, in the clear. Only for LinkedIn.
    pub employment: bool,
}

/// How `external_id` is sent to Meta. It must be what the site's Pixel sends, or the two never meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExternalIdMode {
    /// Lower case, without white space, hashed.
    #[default]
    Canonical,
    /// Hashed as it stands.
    RawSha256,
    /// Not hashed, as it stands.
    Raw,
}

/// Normalises and hashes a person for one family of platforms. Pure: the same input gives the same identity for ever.
pub fn identify(raw: &RawIdentity<'_>, family: Family, rules: &Rules) -> Identity {
    match family {
        Family::Meta => meta::identity(raw, rules),
        Family::Ga4 => google::analytics(raw, rules),
        Family::GoogleDataManager => google::data_manager(raw, rules),
        Family::GoogleAds => google::ads(raw, rules),
        Family::LinkedIn => linkedin::identity(raw, rules),
    }
}

/// Redacted: says nothing of the person, not even which fields are known.
impl fmt::Debug for RawIdentity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawIdentity(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(family: Family, rules: Rules, expected: Identity) {
        let email = ["Jane.Doe+a@Gmail.com", " jane.doe+A@gmail.com ", "nobody"].map(str::to_owned);
        let phone = ["020 7946 0958", "+44 20 7946 0958"].map(str::to_owned);
        let person = RawIdentity {
            email: &email,
            phone: &phone,
            first_name: Some("Jane 2"),
            last_name: Some("O'Neill"),
            street: Some("1 High St."),
            city: Some("St. Albans"),
            region: Some("Hertfordshire"),
            postal_code: Some("AL1 1AA"),
            country: Some("uk"),
            date_of_birth: Some("1/2/1990"),
            gender: Some("female"),
            external_id: Some("Cust 42"),
            company: Some("Acme Ltd."),
            job_title: Some("Buyer"),
            ip_address: Some("unknown"),
            user_agent: Some("Mozilla/5.0 (X11)"),
            occurred_on: None,
        };
        assert_eq!(identify(&person, family, &rules), expected);
    }

    fn hashed(normalised: &str) -> Option<Hashed> {
        Hashed::of(normalised)
    }

    fn plain(text: &str) -> Option<Plain> {
        Plain::of(text.to_owned())
    }

    #[test]
    fn meta_takes_all_but_the_street_hashed() {
        let value = |normalised| hashed(normalised).map(Value::Hashed);
        let expected = Identity {
            email: Vec::from_iter(hashed("jane.doe+a@gmail.com")),
            phone: Vec::from_iter(hashed("442079460958")),
            first_name: hashed("jane2"),
            last_name: hashed("oneill"),
            city: value("stalbans"),
            region: value("hertfordshire"),
            postal_code: value("al11aa"),
            country: value("gb"),
            date_of_birth: None,
            gender: hashed("f"),
            external_id: value("cust42"),
            ip_address: None,
            user_agent: plain("Mozilla/5.0 (X11)"),
            dropped: vec!["email", "date_of_birth", "ip_address"],
            ..Identity::default()
        };
        check(Family::Meta, Rules::default(), expected);
    }

    #[test]
    fn ga4_takes_places_and_the_user_id_as_text() {
        let value = |text| plain(text).map(Value::Plain);
        let expected = Identity {
            email: Vec::from_iter(hashed("janedoe+a@gmail.com")),
            phone: Vec::from_iter(hashed("+442079460958")),
            first_name: hashed("jane"),
            last_name: hashed("oneill"),
            street: hashed("1 high st"),
            city: value("st albans"),
            region: value("hertfordshire"),
            postal_code: value("AL1 1AA"),
            country: value("GB"),
            external_id: value("Cust 42"),
            user_agent: plain("Mozilla/5.0 (X11)"),
            dropped: vec!["email", "ip_address"],
            ..Identity::default()
        };
        check(Family::Ga4, Rules::default(), expected);
    }

    #[test]
    fn data_manager_cuts_the_tag_and_keeps_digits_in_names() {
        let value = |text| plain(text).map(Value::Plain);
        let expected = Identity {
            email: Vec::from_iter(hashed("janedoe@gmail.com")),
            phone: Vec::from_iter(hashed("+442079460958")),
            first_name: hashed("jane 2"),
            last_name: hashed("oneill"),
            street: hashed("1 high st"),
            city: value("st albans"),
            region: value("hertfordshire"),
            postal_code: value("AL1 1AA"),
            country: value("GB"),
            user_agent: plain("Mozilla/5.0 (X11)"),
            dropped: vec!["email", "ip_address"],
            ..Identity::default()
        };
        check(Family::GoogleDataManager, Rules::default(), expected);
    }

    #[test]
    fn google_ads_takes_the_address_and_the_number_only() {
        let expected = Identity {
            email: Vec::from_iter(hashed("janedoe+a@gmail.com")),
            phone: Vec::from_iter(hashed("+442079460958")),
            dropped: vec!["email"],
            ..Identity::default()
        };
        check(Family::GoogleAds, Rules::default(), expected);
    }

    #[test]
    fn linkedin_takes_no_number_and_folds_no_address() {
        let value = |text| plain(text).map(Value::Plain);
        let expected = Identity {
            email: Vec::from_iter(hashed("jane.doe+a@gmail.com")),
            first_name: hashed("jane2"),
            last_name: hashed("oneill"),
            country: value("GB"),
            external_id: value("Cust 42"),
            dropped: vec!["email", "ip_address"],
            ..Identity::default()
        };
        check(Family::LinkedIn, Rules::default(), expected.clone());
        let rules = Rules {
            clear_names: true,
            employment: true,
            ..Rules::default()
        };
        let all = Identity {
            clear_first_name: plain("Jane 2"),
            clear_last_name: plain("O'Neill"),
            company: plain("Acme Ltd."),
            job_title: plain("Buyer"),
            ..expected
        };
        check(Family::LinkedIn, rules, all);
    }
}
