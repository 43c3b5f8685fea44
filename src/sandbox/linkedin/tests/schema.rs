//! Every error of the strict schema, in one answer.

use super::*;

#[test]
fn full_and_least_events_pass() {
    let mut world = World::default();
    let least = json!({
        "conversion": "urn:lla:llaPartnerConversion:1", "conversionHappenedAt": now().timestamp_millis(),
        "user": {"userIds": [{"idType": "SHA256_EMAIL", "idValue": HASH}]},
    });
    assert!(is_taken(&one(&least), &mut world));
    let full = with(
        json!({"/user/userInfo": {"firstName": "Ada", "lastName": "Byron", "companyName": "Engine",
        "title": "Countess", "countryCode": "GB"}, "/user/externalIds": ["a"],
        "/user/lead": "urn:li:leadGenFormResponse:1"}),
    );
    for version in ["202601", "202608", "202609"] {
        let arrived = post(&[("linkedin-version", version)], &full);
        assert!(is_taken(&arrived, &mut world), "{version}");
    }
}

#[test]
fn each_error_has_linkedins_words() {
    for (changes, line) in [
        (
            json!({"/quatsch": 1}),
            "ERROR :: /quatsch :: unrecognized field found but not allowed",
        ),
        (
            json!({"/user/userInfo/city": "Berlin"}),
            "ERROR :: /user/userInfo/city :: unrecognized field found but not allowed",
        ),
        (
            json!({"/user/userIds/0/ip": "1"}),
            "ERROR :: /user/userIds/0/ip :: unrecognized field found but not allowed",
        ),
        (
            json!({"/conversionHappenedAt": null}),
            "ERROR :: /conversionHappenedAt :: field is required but not found and has no default value",
        ),
        (
            json!({"/user/userIds": null}),
            "ERROR :: /user/userIds :: field is required but not found and has no default value",
        ),
        (
            json!({"/conversionValue/amount": null}),
            "ERROR :: /conversionValue/amount :: field is required but not found and has no default value",
        ),
        (
            json!({"/conversionValue/currencyCode": null}),
            "ERROR :: /conversionValue/currencyCode :: field is required but not found and has no default value",
        ),
        (
            json!({"/user/userIds/1/idValue": null}),
            "ERROR :: /user/userIds/1/idValue :: field is required but not found and has no default value",
        ),
        (
            json!({"/conversionValue/amount": 19.9}),
            "ERROR :: /conversionValue/amount :: 19.9 cannot be coerced to String",
        ),
        (
            json!({"/conversionHappenedAt": "2026-11-23"}),
            "ERROR :: /conversionHappenedAt :: 2026-11-23 cannot be coerced to Long",
        ),
        (
            json!({"/conversionHappenedAt": 1_795_427_000.5}),
            "ERROR :: /conversionHappenedAt :: 1795427000.5 cannot be coerced to Long",
        ),
        (
            json!({"/eventId": 1042}),
            "ERROR :: /eventId :: 1042 cannot be coerced to String",
        ),
        (
            json!({"/user/externalIds": [7]}),
            "ERROR :: /user/externalIds/0 :: 7 cannot be coerced to String",
        ),
        (
            json!({"/user/userIds/0/idType": "AXCIOM_ID"}),
            "ERROR :: /user/userIds/0/idType :: \"AXCIOM_ID\" is not an enum symbol",
        ),
        (
            json!({"/user/userIds/0/idType": "ORACLE_MOAT_ID"}),
            "ERROR :: /user/userIds/0/idType :: \"ORACLE_MOAT_ID\" is not an enum symbol",
        ),
        (
            json!({"/user/userIds/0/idType": 3}),
            "ERROR :: /user/userIds/0/idType :: enum type is not backed by a String",
        ),
        (
            json!({"/conversion": "urn:li:llaPartnerConversion:104012"}),
            "ERROR :: /conversion :: Invalid Urn format. Invalid prefix.",
        ),
        (
            json!({"/conversion": "104012"}),
            "ERROR :: /conversion :: Invalid Urn format. Invalid prefix.",
        ),
        (
            json!({"/user/lead": "urn:li:lead:1"}),
            "ERROR :: /user/lead :: Invalid Urn format. Invalid prefix.",
        ),
        (
            json!({"/user": []}),
            "ERROR :: /user :: record type is not backed by a DataMap",
        ),
        (
            json!({"/user/userIds": {}}),
            "ERROR :: /user/userIds :: array type is not backed by a DataList",
        ),
    ] {
        assert_eq!(message(&with(changes), "202609"), format!("{line}\n"));
    }
    let mut event = purchase();
    event["eventId"] = Value::Null;
    assert_eq!(
        message(&event, "202609"),
        "ERROR :: /eventId :: null cannot be coerced to String\n"
    );
}

#[test]
fn all_errors_come_together_and_name_their_event_once() {
    let city =
        json!({"/conversionValue/amount": null, "/user/userInfo": {"city": "San Francisco"}});
    let bad = with(city);
    let lines = "ERROR :: /conversionValue/amount :: field is required but not found and has no default value\n\
        ERROR :: /user/userInfo/city :: unrecognized field found but not allowed\n\
        ERROR :: /user/userInfo/firstName :: field is required but not found and has no default value\n\
        ERROR :: /user/userInfo/lastName :: field is required but not found and has no default value\n";
    for version in ["202608", "202609"] {
        assert_eq!(message(&bad, version), lines);
    }
    let mut world = World::default();
    let urn = with(json!({"/conversion": "urn:li:x:1"}));
    let events = [purchase(), bad, purchase(), urn];
    let (status, message) = refused(&batch(&events), &mut world);
    let expected = format!(
        "Index: 1, {lines}Index: 3, ERROR :: /conversion :: Invalid Urn format. Invalid prefix.\n"
    );
    assert_eq!((status, message), (422, expected));
    let (_, _, judgement) = judged(&batch(&events), &mut world);
    let reasons: Vec<&str> = judgement
        .events
        .iter()
        .map(|it| it.reason.as_str())
        .collect();
    assert!(reasons[1].contains("/user/userInfo/city") && reasons[3].contains("/conversion"));
    assert_eq!(
        [reasons[0], reasons[2]],
        ["the whole batch was refused for the events [1, 3]"; 2]
    );
}

#[test]
fn an_element_that_is_no_object_is_told_by_its_index() {
    let (status, message) = refused(&batch(&[purchase(), json!(7)]), &mut World::default());
    assert_eq!(
        (status, message.as_str()),
        (
            422,
            "Index: 1, ERROR ::  :: record type is not backed by a DataMap\n"
        )
    );
}

#[test]
fn hashed_names_exist_from_202609_on() {
    let names = |info: Value| with(json!({"/user/userInfo": info}));
    let hashed = names(json!({"hashedFirstName": HASH, "hashedLastName": HASH}));
    let told = message(&hashed, "202608");
    for name in ["hashedFirstName", "hashedLastName"] {
        let line =
            format!("ERROR :: /user/userInfo/{name} :: unrecognized field found but not allowed\n");
        assert!(told.contains(&line), "{told}");
    }
    let mut world = World::default();
    assert!(is_taken(&one(&hashed), &mut world));
    let mixed = names(json!({"firstName": "Ada", "hashedLastName": HASH}));
    assert!(is_taken(&one(&mixed), &mut world));
    let missing = "ERROR :: /user/userInfo/lastName :: field is required but not found and has no default value\n";
    let half = names(json!({"firstName": "Ada"}));
    for version in ["202601", "202609"] {
        assert_eq!(message(&half, version), missing);
    }
    assert_eq!(
        message(&names(json!({"hashedFirstName": HASH})), "202609"),
        missing
    );
}
