//! Every row of the published test vectors, through the functions that make an identity.
//!
//! A row whose field this file does not know fails, so no row is ever skipped in silence.

use serde::Deserialize;

use super::phone::Home;
use super::value::Hashed;
use super::{Plain, click, field, google, meta};
use crate::currency;

#[derive(Deserialize)]
struct MetaRow {
    field: String,
    input: String,
    normalised: Option<String>,
    sha256: Option<String>,
    #[serde(default)]
    normative: bool,
}

#[derive(Deserialize)]
struct GoogleRow {
    field: String,
    input: String,
    normalised: Option<String>,
    sha256_hex: Option<String>,
}

#[test]
fn meta_rows() {
    let rows: Vec<MetaRow> = serde_json::from_str(include_str!(
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
    let rows: Vec<GoogleRow> = serde_json::from_str(include_str!(
        "../../tests/fixtures/vectors/google_normalisation.json"
    ))
    .unwrap();
    assert_eq!(rows.len(), 43);
    for row in rows {
        let place = format!("{} {:?}", row.field, row.input);
        let normalised = google_rule(&row.field, &row.input);
        assert_eq!(normalised, row.normalised, "{place}");
        let is_hashed = !matches!(row.field.as_str(), "region_code" | "postal_code");
        let hash = Hashed::from_raw(&row.input, |_| normalised).filter(|_| is_hashed);
        assert_eq!(
            hash.map(|hash| hash.to_string()),
            row.sha256_hex,
            "hash of {place}"
        );
    }
}

fn google_rule(field: &str, input: &str) -> Option<String> {
    let (name, calling_code) = match field.split_once("[default_calling_code=") {
        Some((name, code)) => (
            name,
            code.strip_suffix(']').and_then(|code| code.parse().ok()),
        ),
        None => (field, None),
    };
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
