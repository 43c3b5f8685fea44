//! Policies against answers: who may have what.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::destinations::Platform;
use crate::event::Columns;

fn event(consent: Value) -> OutboxEvent {
    let columns = Columns {
        consent,
        user_data: json!({ "email": "a@example.com", "phone": "+491701234567", "external_id": "7" }),
        click_ids: json!({ "fbp": "fb.1.1.1" }),
        ..Columns::default()
    };
    OutboxEvent::parse(columns).expect("a valid event")
}

/// Four answers in the order of [`Signal::NAMES`]: g, d, u.
fn answers(letters: &str) -> Value {
    let word = |letter| match letter {
        'g' => "granted",
        'd' => "denied",
        _ => "unspecified",
    };
    Signal::NAMES
        .iter()
        .zip(letters.chars())
        .map(|((name, _), letter)| ((*name).to_owned(), Value::from(word(letter))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn judged(platform: Platform, consent: Value, withdrawn: &[Signal]) -> Result<Permit, Reason> {
    let policy = ConsentPolicy::new(platform.needs().consent);
    let fields = Kind::NAMES.map(|(_, kind)| kind).into();
    let to = Recipient {
        destination: "mine",
        platform: platform.name(),
        policy: &policy,
        fields: &fields,
    };
    judge(&event(consent), to, withdrawn)
}

/// The kinds a permit allows, by name.
fn kinds(permit: Permit) -> Vec<&'static str> {
    Kind::NAMES
        .iter()
        .filter(|(_, kind)| permit.allows(*kind))
        .map(|(name, _)| *name)
        .collect()
}

#[test]
fn the_default_policies() {
    const ALL: &[&str] = &["event", "click_id", "email", "phone", "external_id"];
    // ad_storage, analytics_storage, ad_user_data, ad_personalization
    for (letters, meta, ga4) in [
        ("gggg", Ok(ALL), Ok(ALL)),
        (
            "dggg",
            Ok(&["event", "email", "phone", "external_id"][..]),
            Ok(ALL),
        ),
        ("gdgg", Ok(ALL), Err(Reason::ConsentDenied)),
        (
            "ggdg",
            Err(Reason::ConsentDenied),
            Ok(&["event", "click_id", "external_id"][..]),
        ),
        ("gggd", Ok(ALL), Ok(ALL)),
        ("gugg", Ok(ALL), Err(Reason::ConsentUnspecified)),
        (
            "ggug",
            Err(Reason::ConsentUnspecified),
            Ok(&["event", "click_id", "external_id"][..]),
        ),
        (
            "dddd",
            Err(Reason::ConsentDenied),
            Err(Reason::ConsentDenied),
        ),
        (
            "uuuu",
            Err(Reason::ConsentUnspecified),
            Err(Reason::ConsentUnspecified),
        ),
    ] {
        let of = |platform| judged(platform, answers(letters), &[]).map(kinds);
        assert_eq!(
            of(Platform::Meta),
            meta.map(<[_]>::to_vec),
            "{letters} at Meta"
        );
        assert_eq!(
            of(Platform::Ga4),
            ga4.map(<[_]>::to_vec),
            "{letters} at GA4"
        );
    }
}

#[test]
fn a_withdrawal_overrides_signals_and_decisions() {
    let decided = json!({ "decision": { "meta": ["event", "email"] } });
    for consent in [answers("gggg"), decided.clone()] {
        assert_eq!(
            judged(Platform::Meta, consent, &[Signal::AdUserData]),
            Err(Reason::Withdrawn)
        );
    }
    assert_eq!(
        judged(Platform::Meta, decided, &[]).map(kinds),
        Ok(vec!["event", "email"])
    );
}

#[test]
fn a_decision_for_the_destination_goes_before_that_for_its_platform() {
    let both = json!({ "decision": { "mine": ["event"], "meta": ["event", "email"] } });
    assert_eq!(
        judged(Platform::Meta, both, &[]).map(kinds),
        Ok(vec!["event"])
    );
    assert_eq!(
        judged(Platform::Meta, json!({ "decision": {} }), &[]),
        Err(Reason::NotInDecision)
    );
}

#[test]
fn global_privacy_control_denies_advertising_and_not_analytics() {
    let mut consent = answers("gggg");
    for odd in [json!(true), json!("yes"), json!(1)] {
        consent["gpc"] = odd;
        assert_eq!(
            judged(Platform::Meta, consent.clone(), &[]),
            Err(Reason::OptOut)
        );
        let ga4 = judged(Platform::Ga4, consent.clone(), &[]).expect("analytics is allowed");
        assert_eq!(ga4.ad_user_data(), Choice::Denied);
    }
    consent["gpc"] = json!(false);
    assert!(judged(Platform::Meta, consent, &[]).is_ok());
}

#[test]
fn a_permit_names_only_what_is_there() {
    let permit = judged(Platform::Meta, answers("gggg"), &[]).expect("allowed");
    assert!(!permit.allows(Kind::Name) && !permit.allows(Kind::IpAddress));
}

#[test]
fn employment_is_gated_like_a_name() {
    let columns = Columns {
        consent: answers("gggg"),
        user_data: json!({ "company": "Acme", "job_title": "Buyer" }),
        ..Columns::default()
    };
    let event = OutboxEvent::parse(columns).expect("a valid event");
    assert!(is_there(&event, Kind::Name));
    for (kinds, expected) in [
        (
            &[Kind::Event, Kind::Name][..],
            (Some("Acme"), Some("Buyer")),
        ),
        (&[Kind::Event, Kind::Address], (None, None)),
    ] {
        let unspecified = Choice::Unspecified;
        let permit = Permit::new(kinds.iter().copied(), unspecified, unspecified);
        let permitted = permit.over(&event);
        let person = permitted.person();
        assert_eq!((person.company, person.job_title), expected);
    }
}

fn any_permit() -> impl Strategy<Value = Permit> {
    let choice = || {
        prop_oneof![
            Just(Choice::Granted),
            Just(Choice::Denied),
            Just(Choice::Unspecified)
        ]
    };
    (
        proptest::sample::subsequence(Kind::NAMES.to_vec(), 0..=Kind::NAMES.len()),
        choice(),
        choice(),
    )
        .prop_map(|(kinds, one, other)| {
            Permit::new(kinds.into_iter().map(|(_, kind)| kind), one, other)
        })
}

proptest! {
    #[test]
    fn a_permit_survives_the_database(permit in any_permit()) {
        prop_assert_eq!(Permit::from_bits(permit.bits()), permit);
    }

    #[test]
    fn two_permits_together_allow_no_more_than_either(one in any_permit(), other in any_permit()) {
        let both = one.and(other);
        for (_, kind) in Kind::NAMES {
            prop_assert_eq!(both.allows(kind), one.allows(kind) && other.allows(kind));
        }
        prop_assert_eq!(both, other.and(one));
        prop_assert_eq!(both.and(one), both);
        for (told, asked) in [(both.ad_user_data(), [one.ad_user_data(), other.ad_user_data()]),
                              (both.ad_personalization(), [one.ad_personalization(), other.ad_personalization()])] {
            prop_assert_eq!(told == Choice::Granted, asked == [Choice::Granted; 2]);
            prop_assert_eq!(told == Choice::Denied, asked.contains(&Choice::Denied));
        }
    }
}
