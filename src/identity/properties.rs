//! What holds for every input, tried on arbitrary Unicode.

use proptest::prelude::*;

use super::phone::{self, Home};
use super::value::Hashed;
use super::*;

/// SHA-256 of the empty text: sent, it would match every person with the same gap.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const FAMILIES: [Family; 5] = [
    Family::Meta,
    Family::Ga4,
    Family::GoogleDataManager,
    Family::GoogleAds,
    Family::LinkedIn,
];

/// All that an operator can switch on.
const GENEROUS: Rules = Rules {
    default_calling_code: None,
    external_id_mode: ExternalIdMode::Raw,
    clear_names: true,
    employment: true,
};

/// Text that often is nearly a value: arbitrary Unicode, addresses, numbers, names with odd case and spaces.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ \\t]?[A-Za-z.+ΣİẞÉ]{0,8}@(gmail|GoogleMail|exämple)\\.(com|de) ?",
        "(tel:)?[+]?[0-9 ().-]{0,18}( ?(x|ext\\.|#)[0-9]{1,4})?",
        "[A-Za-zΣσİKÅ'’. -]{0,12}",
        "[0-9A-Fa-f]{32}|[0-9A-Fa-f]{64}",
    ]
}

/// One field's rule.
type Rule = fn(&str) -> Option<String>;

/// Every rule whose output is again a valid input for it.
const IDEMPOTENT: [(&str, Rule); 20] = [
    ("meta email", meta::email),
    ("meta phone", |raw| meta::phone(raw, Home::default())),
    ("meta name", meta::name),
    ("meta city", meta::city),
    ("meta region", |raw| meta::region(raw, None)),
    ("meta postal code", |raw| meta::postal_code(raw, None)),
    ("meta country", meta::country),
    ("meta gender", meta::gender),
    ("meta date of birth", |raw| meta::date_of_birth(raw, None)),
    ("meta external id", meta::canonical_external_id),
    ("google email", google::email),
    ("google email without tag", google::email_without_tag),
    ("google phone", |raw| {
        google::phone(
            raw,
            Home {
                country: Some("DE"),
                calling_code: Some(1),
            },
        )
    }),
    ("google name", google::name),
    ("google letters", google::letters),
    ("google postal code", google::postal_code),
    ("google country", google::country),
    ("linkedin email", linkedin::email),
    ("linkedin name", linkedin::name),
    ("linkedin ip address", |raw| {
        linkedin::ip_address(raw).map(|address| address.to_string())
    }),
];

proptest! {
    // Meta's telephone rule with a known home is left out: its result has no `+`, so a foreign number that no
    // dialling plan knows may be read as a national one the second time. Nothing normalises twice.
    #[test]
    fn normalising_twice_changes_nothing(raw in text()) {
        for (rule, normalise) in IDEMPOTENT {
            if let Some(once) = normalise(&raw) {
                prop_assert_eq!(normalise(&once), Some(once.clone()), "{}", rule);
            }
        }
    }

    #[test]
    fn what_leaves_is_a_hash_of_something(raw in text(), other in text(), code in 0_u16..1000) {
        let list = [raw.clone(), other.clone()];
        let person = everything(&list, &raw, &other);
        for family in FAMILIES {
            for external_id_mode in [ExternalIdMode::Canonical, ExternalIdMode::RawSha256] {
                let rules = Rules { default_calling_code: Some(code), external_id_mode, ..GENEROUS };
                let identity = identify(&person, family, &rules);
                prop_assert_eq!(&identity, &identify(&person, family, &rules));
                for hash in hashes(&identity) {
                    prop_assert_eq!(hash.len(), 64);
                    prop_assert!(hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
                    prop_assert_ne!(hash, OF_NOTHING);
                }
            }
        }
    }

    #[test]
    fn a_hash_is_never_hashed_again(digest in "[0-9A-Fa-f]{64}") {
        let list = [format!("\u{FEFF} {digest}\n")];
        for family in FAMILIES {
            for rules in [Rules::default(), Rules { external_id_mode: ExternalIdMode::Canonical, ..GENEROUS }] {
                let identity = identify(&everything(&list, &digest, &digest), family, &rules);
                for hash in hashes(&identity) {
                    prop_assert_eq!(hash, digest.to_ascii_lowercase());
                }
                prop_assert_eq!(in_the_clear(&identity), [&None; 4]);
            }
        }
    }

    #[test]
    fn debug_tells_nothing(secret in "[a-z]{12}") {
        let email = [format!("{secret}@example.com")];
        let person = everything(&email, &secret, &secret);
        let shown = format!("{person:?} {:?}", click_id(&secret).or(li_fat_id(&secret)));
        prop_assert!(!shown.contains(&secret));
        for family in FAMILIES {
            let identity = identify(&person, family, &GENEROUS);
            let shown = format!("{identity:?}");
            prop_assert!(!shown.contains(&secret));
            for hash in hashes(&identity) {
                prop_assert!(!shown.contains(hash));
            }
        }
    }

    #[test]
    fn names_and_employment_leave_in_the_clear_only_if_asked(raw in text(), other in text()) {
        let list = [raw.clone(), other.clone()];
        let person = everything(&list, &raw, &other);
        for family in FAMILIES {
            for rules in [Rules::default(), GENEROUS] {
                let identity = identify(&person, family, &rules);
                if (family, rules) != (Family::LinkedIn, GENEROUS) {
                    prop_assert_eq!(in_the_clear(&identity), [&None; 4]);
                }
            }
        }
    }

    #[test]
    fn google_ads_learns_an_address_and_a_number_at_most(raw in text(), other in text()) {
        let list = [raw.clone(), other.clone()];
        let identity = identify(&everything(&list, &raw, &other), Family::GoogleAds, &GENEROUS);
        prop_assert!(identity.dropped.iter().all(|name| ["email", "phone"].contains(name)));
        let rest = Identity { email: vec![], phone: vec![], dropped: vec![], ..identity };
        prop_assert_eq!(rest, Identity::default());
    }

    #[test]
    fn white_space_in_an_address_is_nothing_to_linkedin(
        local in "[A-Za-z0-9.+_-]{1,12}", domain in "[a-zA-Z0-9-]{1,8}\\.(com|DE)", space in "[ \t\n\u{A0}\u{FEFF}]", at in any::<prop::sample::Index>(),
    ) {
        let address = format!("{local}@{domain}");
        let mut spaced = address.clone();
        spaced.insert_str(at.index(address.len()), &space);
        prop_assert_eq!(linkedin::email(&spaced), Some(address.to_ascii_lowercase()));
    }

    #[test]
    fn linkedin_learns_no_address_but_of_version_four(four in any::<std::net::Ipv4Addr>(), six in any::<std::net::Ipv6Addr>()) {
        let sent = |raw: &str| linkedin::ip_address(raw).map(|address| address.to_string());
        prop_assert_eq!(sent(&four.to_string()), Some(four.to_string()));
        prop_assert_eq!(sent(&six.to_string()), None);
    }

    #[test]
    fn an_id_of_linkedin_leaves_as_it_came_or_not_at_all(raw in any::<String>()) {
        if let Some(id) = li_fat_id(&raw) {
            prop_assert_eq!(id.as_str(), raw);
        }
    }

    #[test]
    fn every_dialling_plan_survives_any_digits(digits in "[+]?[0-9]{0,17}", code in 0_u16..1000) {
        let number = phone::e164(&digits, Home { country: None, calling_code: Some(code) });
        prop_assert!(number.is_none_or(|number| (7..=15).contains(&number.len()) && !number.starts_with('0')));
    }
}

fn everything<'a>(list: &'a [String], one: &'a str, other: &'a str) -> RawIdentity<'a> {
    RawIdentity {
        email: list,
        phone: list,
        first_name: Some(one),
        last_name: Some(other),
        street: Some(one),
        city: Some(other),
        region: Some(one),
        postal_code: Some(other),
        country: Some(one),
        date_of_birth: Some(other),
        gender: Some(one),
        external_id: Some(other),
        company: Some(one),
        job_title: Some(other),
        ip_address: Some(one),
        user_agent: Some(other),
        occurred_on: None,
    }
}

/// What only LinkedIn may get, and only by the operator's word.
fn in_the_clear(identity: &Identity) -> [&Option<Plain>; 4] {
    [
        &identity.clear_first_name,
        &identity.clear_last_name,
        &identity.company,
        &identity.job_title,
    ]
}

fn hashes(identity: &Identity) -> Vec<&str> {
    let values = [
        &identity.city,
        &identity.region,
        &identity.postal_code,
        &identity.country,
        &identity.external_id,
    ];
    let hashed_values = values
        .into_iter()
        .flatten()
        .filter_map(|value| match value {
            Value::Hashed(hashed) => Some(hashed),
            Value::Plain(_) => None,
        });
    let single = [
        &identity.first_name,
        &identity.last_name,
        &identity.street,
        &identity.date_of_birth,
        &identity.gender,
    ];
    let listed = identity.email.iter().chain(&identity.phone);
    listed
        .chain(single.into_iter().flatten())
        .chain(hashed_values)
        .map(Hashed::as_str)
        .collect()
}
