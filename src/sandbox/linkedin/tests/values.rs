//! What the live API does not check.

use super::*;

const BAD: [(&str, &str); 14] = [
    ("/user/userIds/0/idValue", "ada@example.com"),
    (
        "/user/userIds/0/idValue",
        "62A14E44F765419D10FEA99367361A727C12365E2520F32218D505ED9AA0F62F",
    ),
    (
        "/user/userIds/0/idValue",
        "5d41402abc4b2a76b9719d911017c592",
    ),
    ("/user/userIds/2/idValue", "999.999.999.999"),
    ("/user/userIds/2/idValue", "2001:db8::1"),
    ("/user/userIds/2/idValue", " 203.0.113.7"),
    ("/conversionValue/currencyCode", "XYZ"),
    ("/conversionValue/currencyCode", "eur"),
    ("/conversionValue/amount", "-1"),
    ("/conversionValue/amount", "1e3"),
    ("/conversionValue/amount", "1,000.00"),
    ("/user/userInfo/hashedFirstName", "Ada"),
    ("/user/userInfo/hashedLastName", "Byron"),
    ("/user/userInfo/countryCode", "Germany"),
];

#[test]
fn strict_mode_refuses_what_linkedin_takes_and_never_uses() {
    for (path, value) in BAD {
        let told = message(&with(json!({path: value})), "202609");
        assert!(
            told.starts_with(&format!("ERROR :: {path} :: must be ")),
            "{told}"
        );
        assert!(!told.contains(value), "{told}");
    }
    let told = message(&with(json!({"/user/externalIds": ["a", "b"]})), "202609");
    assert!(told.starts_with("ERROR :: /user/externalIds :: must hold one id"));
    let ip = json!({"idType": "SHA256_IP_ADDRESS", "idValue": "203.0.113.7"});
    let told = message(&with(json!({"/user/userIds/1": ip})), "202609");
    assert!(told.contains("64 lowercase hex"), "{told}");
}

#[test]
fn observed_mode_takes_it_and_says_so_in_the_ledger() {
    let mut world = World::default();
    world.set_mode(Mode::Observed);
    for (path, value) in BAD {
        let (status, _, judgement) = judged(&one(&with(json!({path: value}))), &mut world);
        assert_eq!(status, 201, "{path}");
        let reason = &judgement.events[0].reason;
        assert!(reason.starts_with("would_not_match: ERROR :: ") && reason.contains(path));
        assert!(!reason.contains(value), "{reason}");
    }
    let events = [
        purchase(),
        with(json!({"/conversionValue/currencyCode": "XYZ"})),
    ];
    let (_, _, judgement) = judged(&batch(&events), &mut world);
    let flagged = judgement.events.iter().map(|it| !it.reason.is_empty());
    assert_eq!(flagged.collect::<Vec<_>>(), [false, true]);
}

#[test]
fn schema_and_value_errors_come_together() {
    let changes = json!({"/conversionValue/amount": 5, "/conversionValue/currencyCode": "XYZ"});
    let told = message(&with(changes), "202609");
    assert_eq!(told.lines().count(), 2, "{told}");
}
