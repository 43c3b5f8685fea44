//! Every check of a request that parses, and the answer that collects what they find.

use super::*;

/// Field and reason of everything a request is refused for.
fn violations(world: &mut google::World, body: &Value) -> Vec<(String, String)> {
    let answered = ingest(world, body);
    assert_eq!(answered.status, 400, "{}", answered.body);
    assert!(answered.events.iter().all(|it| it.ruling == Ruling::Reject));
    let error = &answered.body["error"];
    assert_eq!(error["message"], "There was a problem with the request.");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let listed = error["details"][2]["fieldViolations"].as_array().unwrap();
    let pair = |it: &Value| (text(&it["field"]), text(&it["reason"]));
    listed.iter().map(pair).collect()
}

/// Asserts that one change of the good request is refused for this one reason.
fn refused(world: &mut google::World, change: impl Fn(&mut Value), field: &str, reason: &str) {
    let mut body = body();
    change(&mut body);
    let found = violations(world, &body);
    assert_eq!(found, [(field.to_owned(), reason.to_owned())]);
}

/// The same for a change of the event.
fn refused_event(world: &mut google::World, name: &str, value: Value, field: &str, reason: &str) {
    let change = |body: &mut Value| body["events"][0][name] = value.clone();
    let field = if field.is_empty() {
        "events[0]".to_owned()
    } else {
        format!("events[0].{field}")
    };
    refused(world, change, &field, reason);
}

#[test]
fn the_answer_tells_everything_and_nothing_is_stored() {
    let mut world = google::World::default();
    let mut body = body();
    let mut second = body["events"][0].clone();
    body["events"][0]["transactionId"] = "".into();
    body["events"][0]["currency"] = "Euro".into();
    second["eventTimestamp"] = Value::Null;
    body["events"].as_array_mut().unwrap().push(second);
    let good = body["events"][0].clone();
    body["events"].as_array_mut().unwrap().push(good);
    body["events"][2]["transactionId"] = "o-3".into();
    body["events"][2]["currency"] = "EUR".into();
    let answered = ingest(&mut world, &body);
    let error = &answered.body["error"];
    assert_eq!(
        (&error["code"], &error["status"]),
        (&json!(400), &json!("INVALID_ARGUMENT"))
    );
    let info = &error["details"][0];
    assert_eq!(
        (&info["reason"], &info["domain"]),
        (
            &json!("INVALID_ARGUMENT"),
            &json!("datamanager.googleapis.com")
        )
    );
    let id = info["metadata"]["requestId"].as_str().unwrap();
    assert!(id.starts_with("t-"));
    assert_eq!(error["details"][1]["requestId"], id);
    assert_eq!(
        error["details"][2]["fieldViolations"][0],
        json!({"field": "events[0].transaction_id", "description": "Required field is missing.",
            "reason": "REQUIRED_FIELD_MISSING"})
    );
    let reasons: Vec<&str> = answered
        .events
        .iter()
        .map(|it| it.reason.as_str())
        .collect();
    assert!(reasons[0].contains("transaction_id") && reasons[0].contains("INVALID_CURRENCY_CODE"));
    assert!(reasons[1].starts_with("REQUIRED_FIELD_MISSING at events[1].event_timestamp"));
    assert!(reasons[2].starts_with("the whole request was refused for"));
    assert_eq!(look_up(&mut world, id, now()).status, 404);
    assert_eq!(world.conversions.len(), 0);
}

#[test]
fn an_empty_request_misses_both_lists() {
    let missing = "REQUIRED_FIELD_MISSING".to_owned();
    let expected = ["destinations", "events"].map(|it| (it.to_owned(), missing.clone()));
    assert_eq!(
        violations(&mut google::World::default(), &json!({})),
        expected
    );
}

#[test]
fn destinations_must_be_complete_and_told_apart() {
    let mut world = google::World::default();
    let destination = |name: &'static str, value: Value| {
        move |body: &mut Value| body["destinations"][0][name] = value.clone()
    };
    for (name, value, field, reason) in [
        (
            "operatingAccount",
            Value::Null,
            "operating_account",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            "operatingAccount",
            json!({"accountType": "GOOGLE_ADS"}),
            "operating_account.account_id",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            "operatingAccount",
            json!({"accountId": ACCOUNT}),
            "operating_account.account_type",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            "operatingAccount",
            json!({"accountType": "GOOGLE_ADS", "accountId": "123-456-7890"}),
            "operating_account.account_id",
            "INVALID_NUMBER_FORMAT",
        ),
        (
            "operatingAccount",
            json!({"accountType": "DATA_PARTNER", "accountId": ACCOUNT}),
            "operating_account.account_type",
            "DESTINATION_ACCOUNT_TYPE_MISMATCH",
        ),
        (
            "loginAccount",
            json!({"accountType": "GOOGLE_ADS", "accountId": "98 76"}),
            "login_account.account_id",
            "INVALID_NUMBER_FORMAT",
        ),
        (
            "linkedAccount",
            json!({"accountType": "GOOGLE_ADS", "accountId": "5"}),
            "linked_account",
            "LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT",
        ),
        (
            "productDestinationId",
            Value::Null,
            "product_destination_id",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            "productDestinationId",
            json!("AW-1/x"),
            "product_destination_id",
            "INVALID_NUMBER_FORMAT",
        ),
    ] {
        let field = format!("destinations[0].{field}");
        refused(&mut world, destination(name, value), &field, reason);
    }
    let mut two = body_for_two();
    two["destinations"][1]["reference"] = "paid".into();
    two["events"] = body()["events"].clone();
    let found = violations(&mut world, &two);
    assert_eq!(found[0].1, "DUPLICATE_DESTINATION_REFERENCE");
    two["destinations"][1]["reference"] = Value::Null;
    let found = violations(&mut world, &two);
    assert_eq!(found[0].0, "destinations[1].reference");
}

#[test]
fn limits_hold() {
    let mut world = google::World::default();
    let mut many = body();
    let event = many["events"][0].clone();
    many["events"] = vec![event; 2001].into();
    assert_eq!(violations(&mut world, &many)[0].1, "TOO_MANY_EVENTS");
    many["events"].as_array_mut().unwrap().pop();
    assert_eq!(ingest(&mut world, &many).status, 200);
    let mut wide = body();
    let copy = |number: usize| {
        let mut copy = body()["destinations"][0].clone();
        copy["reference"] = number.to_string().into();
        copy
    };
    wide["destinations"] = (0..11).map(copy).collect();
    assert_eq!(violations(&mut world, &wide)[0].1, "TOO_MANY_DESTINATIONS");
    wide["destinations"] = (0..10).map(copy).collect();
    assert_eq!(ingest(&mut world, &wide).status, 200);
}

#[test]
fn conversion_actions_must_be_known_owned_fitting_and_old_enough() {
    let field = "destinations[0].product_destination_id";
    let unchanged = |_: &mut Value| {};
    let mut world = google::World::default();
    world.add_action(action(ActionKind::UploadClicks));
    assert_eq!(ingest(&mut world, &body()).status, 200);
    for (listed, reason) in [
        (
            ConversionAction {
                owner: "9876543210".to_owned(),
                shared_with: vec![ACCOUNT.to_owned()],
                ..action(ActionKind::UploadClicks)
            },
            "INVALID_CONVERSION_ACTION_ID",
        ),
        (
            action(ActionKind::StoreSales),
            "INVALID_CONVERSION_ACTION_TYPE",
        ),
        (
            ConversionAction {
                created_at: now() - TimeDelta::minutes(359),
                ..action(ActionKind::UploadClicks)
            },
            "CONVERSION_ACTION_TOO_RECENTLY_CREATED",
        ),
    ] {
        world.add_action(listed);
        refused(&mut world, unchanged, field, reason);
    }
    let other = |body: &mut Value| body["destinations"][0]["productDestinationId"] = "1".into();
    refused(&mut world, other, field, "INVALID_CONVERSION_ACTION_ID");
    world.add_action(ConversionAction {
        created_at: now() - TimeDelta::hours(6),
        ..action(ActionKind::UploadClicks)
    });
    assert_eq!(ingest(&mut world, &body()).status, 200);
}

#[test]
fn the_event_source_fits_the_action() {
    let mut world = google::World::default();
    let missing = "REQUIRED_FIELD_MISSING";
    refused_event(
        &mut world,
        "eventSource",
        Value::Null,
        "event_source",
        missing,
    );
    let unspecified = json!("EVENT_SOURCE_UNSPECIFIED");
    refused_event(
        &mut world,
        "eventSource",
        unspecified,
        "event_source",
        missing,
    );
    world.add_action(action(ActionKind::Webpage));
    let mismatch = "EVENT_SOURCE_AND_DESTINATION_MISMATCH";
    refused_event(
        &mut world,
        "eventSource",
        json!("PHONE"),
        "event_source",
        mismatch,
    );
    let mut body = body();
    body["events"][0]["eventSource"] = Value::Null;
    assert_eq!(ingest(&mut world, &body).status, 200);
}

#[test]
fn each_event_needs_what_is_required() {
    let mut world = google::World::default();
    for (name, value, field, reason) in [
        (
            "transactionId",
            Value::Null,
            "transaction_id",
            "REQUIRED_FIELD_MISSING",
        ),
        // As the real endpoint answers, without the name of the field.
        ("transactionId", json!("1042"), "", "INVALID_EVENT"),
        (
            "eventTimestamp",
            Value::Null,
            "event_timestamp",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            "eventTimestamp",
            json!("2026-11-20T14:00:01Z"),
            "event_timestamp",
            "EVENT_TIME_INVALID",
        ),
        (
            "currency",
            json!("eur"),
            "currency",
            "INVALID_CURRENCY_CODE",
        ),
        (
            "destinationReferences",
            json!(["paid"]),
            "destination_references[0]",
            "INVALID_DESTINATION",
        ),
        (
            "cartData",
            json!({"merchantId": "M5"}),
            "cart_data.merchant_id",
            "INVALID_MERCHANT_ID",
        ),
        (
            "thirdPartyUserData",
            json!({"userIdentifiers": []}),
            "third_party_user_data",
            "THIRD_PARTY_USER_DATA_NOT_ALLOWED",
        ),
    ] {
        refused_event(&mut world, name, value, field, reason);
    }
}

#[test]
fn an_event_is_matched_by_a_click_or_by_hashes() {
    let mut world = google::World::default();
    let none = |body: &mut Value| {
        body["events"][0]["userData"] = Value::Null;
        body["events"][0]["adIdentifiers"] = json!({"gclid": ""});
        body["events"][0]["eventDeviceInfo"] = json!({"ipAddress": "203.0.113.7"});
    };
    refused(&mut world, none, "events[0]", "NO_IDENTIFIERS_PROVIDED");
    let unencoded = |body: &mut Value| body["encoding"] = Value::Null;
    refused(&mut world, unencoded, "encoding", "REQUIRED_FIELD_MISSING");
    let eleven = json!({"userIdentifiers": vec![json!({"emailAddress": HASH}); 11]});
    let field = "user_data.user_identifiers";
    refused_event(
        &mut world,
        "userData",
        eleven,
        field,
        "TOO_MANY_USER_IDENTIFIERS",
    );
    let mut clicked = body();
    clicked["encoding"] = Value::Null;
    clicked["events"][0]["userData"] = Value::Null;
    assert_eq!(ingest(&mut world, &clicked).status, 200);
}

#[test]
fn hashes_have_the_form_of_the_encoding() {
    let mut world = google::World::default();
    let of = |name: &str, hash: &str| json!({"userIdentifiers": [{name: hash}]});
    for (name, hash, reason) in [
        ("emailAddress", "a@b.c", "INVALID_HEX_ENCODING"),
        ("emailAddress", HASH_BASE64, "INVALID_HEX_ENCODING"),
        ("phoneNumber", &HASH[1..], "INVALID_SHA256_FORMAT"),
        ("phoneNumber", "abcd", "INVALID_SHA256_FORMAT"),
        ("emailAddress", "", "REQUIRED_FIELD_MISSING"),
    ] {
        let snake = if name == "emailAddress" {
            "email_address"
        } else {
            "phone_number"
        };
        let field = format!("user_data.user_identifiers[0].{snake}");
        refused_event(&mut world, "userData", of(name, hash), &field, reason);
    }
    let field = "events[0].user_data.user_identifiers[0].email_address";
    for (hash, reason) in [
        ("not base64", "INVALID_BASE64_ENCODING"),
        (HASH_BASE64.trim_end_matches('='), "INVALID_BASE64_ENCODING"),
        ("UJ6T", "INVALID_SHA256_FORMAT"),
    ] {
        let change = |body: &mut Value| {
            body["encoding"] = "BASE64".into();
            body["events"][0]["userData"] = of("emailAddress", hash);
        };
        refused(&mut world, change, field, reason);
    }
    let mut upper = body();
    upper["events"][0]["userData"] = of("emailAddress", &HASH.to_uppercase());
    assert_eq!(ingest(&mut world, &upper).status, 200);
    let nothing = json!({"userIdentifiers": [{}]});
    let field = "user_data.user_identifiers[0]";
    refused_event(
        &mut world,
        "userData",
        nothing,
        field,
        "REQUIRED_FIELD_MISSING",
    );
}

#[test]
fn an_address_has_all_four_parts() {
    let mut world = google::World::default();
    let good =
        json!({"givenName": HASH, "familyName": HASH, "regionCode": "US", "postalCode": "94043"});
    let with = |address: &Value| json!({"userIdentifiers": [{"address": address}]});
    let mut body = body();
    body["events"][0]["userData"] = with(&good);
    assert_eq!(ingest(&mut world, &body).status, 200);
    for (name, value, field, reason) in [
        (
            "givenName",
            Value::Null,
            "given_name",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            "familyName",
            Value::Null,
            "family_name",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            "familyName",
            json!("Doe"),
            "family_name",
            "INVALID_HEX_ENCODING",
        ),
        (
            "regionCode",
            Value::Null,
            "region_code",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            "regionCode",
            json!("us"),
            "region_code",
            "INVALID_REGION_CODE",
        ),
        (
            "postalCode",
            Value::Null,
            "postal_code",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            "postalCode",
            json!(HASH),
            "postal_code",
            "INVALID_POSTAL_CODE",
        ),
    ] {
        let mut address = good.clone();
        address[name] = value;
        let field = format!("user_data.user_identifiers[0].address.{field}");
        refused_event(&mut world, "userData", with(&address), &field, reason);
    }
}
