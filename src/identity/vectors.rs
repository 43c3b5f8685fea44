//! Every row of the published test vectors, through the functions that make an identity.
//!
//! A row whose field this file does not know fails, so no row is ever skipped in silence.

use serde::Deserialize;

use super::phone::Home;
use super::value::Hashed;
use super::{
    Family, Plain, RawIdentity, Rules, Value, click, field, google, identify, linkedin, meta,
};
use crate::currency;

/// Google's file has no row that is not normative, and does not say so.
#[derive(Deserialize)]
struct Row {
    field: String,
    input: String,
    normalised: Option<String>,
    #[serde(alias = "sha256_hex")]
    sha256: Option<String>,
    #[serde(default)]
    normative: bool,
}

impl Row {
    /// What the platform gets: the hash, or the text where the platform takes it plain.
    fn sent(&self) -> Option<&str> {
        self.sha256.as_deref().or(self.normalised.as_deref())
    }
}

#[test]
fn meta_rows() {
    let rows: Vec<Row> = serde_json::from_str(include_str!(
        "../../tests/fixtures/vectors/meta_normalisation.json"
    ))
    .unwrap();
    let normative: Vec<_> = rows.iter().filter(|row| row.normative).collect();
    assert_eq!((rows.len(), normative.len()), (168, 106));
    for row in normative {
        let place = format!("{} {:?}", row.field, row.input);
        if let Some(normalise) = meta_rule(&row.field) {
            let hash = Hashed::from_raw(&row.input, normalise);
            assert_eq!(
                hash.map(|hash| hash.to_string()),
                row.sha256,
                "hash of {place}"
            );
            if hash.map(|hash| hash.to_string()) != row.normalised {
                assert_eq!(normalise(&row.input), row.normalised, "{place}");
            }
        } else {
            assert_eq!(
                meta_plain(&row.field, &row.input),
                row.normalised,
                "{place}"
            );
            assert_eq!(row.sha256, None, "{place} is never hashed");
        }
    }
}

/// The rule of a hashed field of Meta.
fn meta_rule(field: &str) -> Option<fn(&str) -> Option<String>> {
    Some(match field {
        "em" => meta::email,
        "ph" => |raw| meta::phone(raw, Home::default()),
        "fn" | "ln" => meta::name,
        "ct" => meta::city,
        "st" => |raw| meta::region(raw, None),
        "zp" => |raw| meta::postal_code(raw, None),
        "country" => meta::country,
        "ge" => meta::gender,
        "db" => |raw| meta::date_of_birth(raw, None),
        "external_id" => meta::canonical_external_id,
        _ => return None,
    })
}

/// A field that Meta takes as it is.
fn meta_plain(name: &str, input: &str) -> Option<String> {
    let sent = |value: Option<Plain>| value.map(|value| value.as_str().to_owned());
    match name {
        "currency" => currency::parse(input).map(|currency| currency.to_string()),
        "client_ip_address" => sent(field::ip_address(input)),
        "fbp" => sent(click::fb_cookie(input)),
        "fbc" => {
            let (fbclid, ms) = input
                .strip_prefix("fbclid=")?
                .split_once("&observed_at_ms=")?;
            sent(click::fbc(fbclid, ms.parse().ok()?))
        }
        unknown => panic!("no rule for the field {unknown}"),
    }
}

#[test]
fn google_rows() {
    let rows: Vec<Row> = serde_json::from_str(include_str!(
        "../../tests/fixtures/vectors/google_normalisation.json"
    ))
    .unwrap();
    assert_eq!(rows.len(), 43);
    let mut checked = [Family::GoogleDataManager, Family::Ga4, Family::GoogleAds].map(|f| (f, 0));
    for row in rows {
        let place = format!("{} {:?}", row.field, row.input);
        let (name, calling_code) = match row.field.split_once("[default_calling_code=") {
            Some((name, code)) => (name, code.strip_suffix(']').unwrap().parse().ok()),
            None => (row.field.as_str(), None),
        };
        let normalised = google_rule(name, &row.input, calling_code);
        assert_eq!(normalised, row.normalised, "{place}");
        let (families, field) = google_field(name);
        for family in families {
            let as_sent = sent(*family, field, &row.input, calling_code);
            assert_eq!(as_sent.as_deref(), row.sent(), "{place} to {family:?}");
            let (_, count) = checked.iter_mut().find(|(f, _)| f == family).unwrap();
            *count += 1;
        }
    }
    assert_eq!(checked.map(|(_, count)| count), [37, 20, 15]);
}

fn google_rule(name: &str, input: &str, calling_code: Option<u16>) -> Option<String> {
    match name {
        "email" => google::email_without_tag(input),
        "email_dots_only" => google::email(input),
        "phone" => google::phone(
            input,
            Home {
                country: None,
                calling_code,
            },
        ),
        "given_name" | "family_name" => google::name(input),
        "first_name_ga4" | "last_name_ga4" => google::letters(input),
        "street_ga4" | "address_line" => google::street(input),
        "region_code" => google::country(input),
        "postal_code" => google::postal_code(input),
        unknown => panic!("no rule for the field {unknown}"),
    }
}

/// Which of Google's dialects a row is about, and our name for its field.
fn google_field(name: &str) -> (&'static [Family], &'static str) {
    use Family::{Ga4, GoogleAds, GoogleDataManager};
    match name {
        "email" => (&[GoogleDataManager], "email"),
        "email_dots_only" => (&[Ga4, GoogleAds], "email"),
        "phone" => (&[GoogleDataManager, Ga4, GoogleAds], "phone"),
        "given_name" => (&[GoogleDataManager], "first_name"),
        "family_name" => (&[GoogleDataManager], "last_name"),
        "first_name_ga4" => (&[Ga4], "first_name"),
        "last_name_ga4" => (&[Ga4], "last_name"),
        "street_ga4" => (&[Ga4], "street"),
        "address_line" => (&[GoogleDataManager], "street"),
        "region_code" => (&[GoogleDataManager, Ga4], "country"),
        "postal_code" => (&[GoogleDataManager, Ga4], "postal_code"),
        unknown => panic!("no family for the field {unknown}"),
    }
}

#[test]
fn linkedin_rows() {
    let rows: Vec<Row> = serde_json::from_str(include_str!(
        "../../tests/fixtures/vectors/linkedin_normalisation.json"
    ))
    .unwrap();
    let normative: Vec<_> = rows.iter().filter(|row| row.normative).collect();
    assert_eq!((rows.len(), normative.len()), (36, 36));
    for row in normative {
        let place = format!("{} {:?}", row.field, row.input);
        let normalised = linkedin_rule(&row.field, &row.input);
        // Where both are alike, the application hashed it, or it is refused: no rule is asked.
        if row.sha256 != row.normalised {
            assert_eq!(normalised, row.normalised, "{place}");
        }
        let as_sent = match row.field.as_str() {
            "SHA256_EMAIL" => sent(Family::LinkedIn, "email", &row.input, None),
            "hashedFirstName" => sent(Family::LinkedIn, "first_name", &row.input, None),
            "hashedLastName" => sent(Family::LinkedIn, "last_name", &row.input, None),
            "PLAINTEXT_IP_ADDRESS" => sent(Family::LinkedIn, "ip_address", &row.input, None),
            "externalIds" => sent(Family::LinkedIn, "external_id", &row.input, None),
            // The address leaves plain, so only the rule that would come before its hash is ours.
            "SHA256_IP_ADDRESS" => {
                Hashed::from_raw(&row.input, |_| normalised).map(|hash| hash.to_string())
            }
            "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID" => normalised,
            unknown => panic!("nothing is sent for the field {unknown}"),
        };
        assert_eq!(as_sent.as_deref(), row.sent(), "{place}");
    }
}

fn linkedin_rule(field: &str, input: &str) -> Option<String> {
    let sent = |value: Plain| value.as_str().to_owned();
    match field {
        "SHA256_EMAIL" => linkedin::email(input),
        "hashedFirstName" | "hashedLastName" => linkedin::name(input),
        "SHA256_IP_ADDRESS" | "PLAINTEXT_IP_ADDRESS" => linkedin::ip_address(input).map(sent),
        "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID" => click::li_fat_id(input).map(sent),
        "externalIds" => linkedin::external_id(input).map(|id| id.as_str().to_owned()),
        unknown => panic!("no rule for the field {unknown}"),
    }
}

/// What a family makes of a person of whom only one field is known, as text.
fn sent(family: Family, field: &str, input: &str, calling_code: Option<u16>) -> Option<String> {
    let list = [input.to_owned()];
    let mut raw = RawIdentity::default();
    match field {
        "email" => raw.email = &list,
        "phone" => raw.phone = &list,
        "first_name" => raw.first_name = Some(input),
        "last_name" => raw.last_name = Some(input),
        "street" => raw.street = Some(input),
        "postal_code" => raw.postal_code = Some(input),
        "country" => raw.country = Some(input),
        "external_id" => raw.external_id = Some(input),
        "ip_address" => raw.ip_address = Some(input),
        unknown => panic!("no such field: {unknown}"),
    }
    let rules = Rules {
        default_calling_code: calling_code,
        ..Rules::default()
    };
    let identity = identify(&raw, family, &rules);
    let hash = |hash: Option<Hashed>| hash.map(|hash| hash.to_string());
    let value = |value: Option<Value>| value.map(|value| value.as_str().to_owned());
    match field {
        "email" => hash(identity.email.first().copied()),
        "phone" => hash(identity.phone.first().copied()),
        "first_name" => hash(identity.first_name),
        "last_name" => hash(identity.last_name),
        "street" => hash(identity.street),
        "postal_code" => value(identity.postal_code),
        "country" => value(identity.country),
        "external_id" => value(identity.external_id),
        _ => identity.ip_address.map(|ip| ip.to_string()),
    }
}
