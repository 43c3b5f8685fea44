//! Order of checks, versions, batches, time, identity.

use chrono::NaiveDate;

use super::*;

#[test]
fn one_event_is_answered_201_without_a_body() {
    let (status, _, judgement) = judged(&one(&purchase()), &mut World::default());
    assert_eq!((status, judgement.reply.body.as_str()), (201, ""));
    assert!(header(&judgement, "location").is_some_and(|it| !it.contains("order-1042")));
    for name in ["x-li-uuid", "x-li-fabric", "x-li-request-id"] {
        assert!(header(&judgement, name).is_some(), "{name}");
    }
    let Ruling::Take { key, .. } = &judgement.events[0].ruling else {
        panic!("not taken");
    };
    assert_eq!(
        (key.as_str(), judgement.events[0].reason.as_str()),
        ("order-1042", "")
    );
}

#[test]
fn a_batch_is_answered_200_with_a_status_for_each() {
    let events = [purchase(), with(json!({"/eventId": "order-1043"}))];
    let (status, body, judgement) = judged(&batch(&events), &mut World::default());
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({"elements": [{"status": 201}, {"status": 201}]})
    );
    assert_eq!(judgement.events.len(), 2);
    let (status, body, _) = judged(&batch(&events[..1]), &mut World::default());
    assert_eq!(
        (status, body),
        (200, json!({"elements": [{"status": 201}]}))
    );
}

#[test]
fn a_reading_tells_rule_account_id_and_value() {
    let mut world = World::default();
    world.add_rule(ConversionRule::new("104012", "512345"));
    let reading = read(&batch(&[purchase(), purchase()]), &world);
    assert_eq!(
        (reading.account.as_str(), reading.events.len()),
        ("512345", 2)
    );
    let heard = &reading.events[1];
    assert_eq!(
        [
            &heard.event_name,
            &heard.event_id,
            &heard.account,
            &heard.value,
            &heard.currency
        ]
        .map(|text| text.as_deref().unwrap()),
        ["104012", "order-1042", "512345", "129.90", "EUR"]
    );
    let reading = read(&one(&purchase()), &World::default());
    assert_eq!((reading.account.as_str(), reading.events.len()), ("", 1));
}

#[test]
fn checks_come_in_their_order() {
    let mut world = World::default();
    world.add_token(AccessToken::direct("good"));
    world.add_rule(ConversionRule::new("1", "512345"));
    let mut headers = vec![("linkedin-version", "")];
    let mut event =
        json!({"conversion": "urn:li:x:9", "conversionHappenedAt": 0, "user": {"userIds": []}});
    let mut next = |headers: &[(&'static str, &str)], event: &Value| {
        let (status, body, _) = judged(&post(headers, event), &mut world);
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(next(&headers, &event), (400, "VERSION_MISSING".to_owned()));
    headers = vec![("linkedin-version", "202512")];
    assert_eq!(
        next(&headers, &event),
        (426, "NONEXISTENT_VERSION".to_owned())
    );
    headers = vec![];
    assert_eq!(
        next(&headers, &event),
        (401, "INVALID_ACCESS_TOKEN".to_owned())
    );
    headers = vec![("authorization", "Bearer good")];
    assert_eq!(next(&headers, &event).0, 422);
    event["conversion"] = "urn:lla:llaPartnerConversion:9".into();
    assert_eq!(next(&headers, &event).0, 403);
    event["conversion"] = "urn:lla:llaPartnerConversion:1".into();
    assert_eq!(next(&headers, &event).0, 400);
    event["conversionHappenedAt"] = now().timestamp_millis().into();
    assert_eq!(next(&headers, &event).0, 400);
    event["user"]["externalIds"] = json!(["member-7"]);
    assert_eq!(next(&headers, &event).0, 201);
}

#[test]
fn a_version_must_be_named_and_active() {
    let mut world = World::default();
    let arrived = post(&[("linkedin-version", "")], &purchase());
    let (status, body, judgement) = judged(&arrived, &mut world);
    assert_eq!(
        (status, body),
        (
            400,
            json!({"status": 400, "code": "VERSION_MISSING", "message": "A version must be present. Please specify a \
                version by adding the LinkedIn-Version header."})
        )
    );
    assert!(header(&judgement, "x-restli-gateway-error").is_some());
    for version in [
        "202509", "202512", "202610", "202509 ", "2026-09", "latest", "+02609",
    ] {
        let arrived = post(&[("linkedin-version", version)], &purchase());
        let (status, body, _) = judged(&arrived, &mut world);
        assert_eq!(
            (status, &body["code"]),
            (426, &json!("NONEXISTENT_VERSION")),
            "{version}"
        );
    }
    let arrived = post(&[("linkedin-version", "202511")], &purchase());
    let (_, message) = refused(&arrived, &mut world);
    assert_eq!(message, "Requested version 20251101 is not active");
}

#[test]
fn versions_end_by_the_clock_and_can_be_moved() {
    let mut world = World::default();
    let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap();
    let status = |world: &mut World, version: &str, on: NaiveDate| {
        let mut event = with(json!({"/user/userInfo": null}));
        let at = on.and_hms_opt(0, 0, 0).unwrap().and_utc();
        event["conversionHappenedAt"] = (at.timestamp_millis() - 1).into();
        let arrived = post(&[("linkedin-version", version)], &event);
        let reading = read(&arrived, world);
        judge(&arrived, &reading, world, &Processing::default(), at)
            .reply
            .status
    };
    assert_eq!(status(&mut world, "202601", day(2027, 1, 14)), 201);
    assert_eq!(status(&mut world, "202601", day(2027, 1, 15)), 426);
    assert_eq!(status(&mut world, "202608", day(2027, 8, 16)), 201);
    assert_eq!(status(&mut world, "202608", day(2027, 8, 17)), 426);
    assert_eq!(status(&mut world, "202609", day(2027, 9, 15)), 426);
    world.set_version_end(202_609, day(2026, 12, 1));
    world.set_version_end(202_610, day(2027, 10, 15));
    assert_eq!(status(&mut world, "202609", day(2026, 11, 30)), 201);
    assert_eq!(status(&mut world, "202609", day(2026, 12, 1)), 426);
    assert_eq!(status(&mut world, "202610", day(2026, 12, 1)), 201);
}

#[test]
fn the_protocol_header_is_a_must_only_where_documents_count() {
    let arrived = post(&[("x-restli-protocol-version", "")], &purchase());
    let mut world = World::default();
    assert_eq!(judged(&arrived, &mut world).0, 400);
    world.set_mode(Mode::Observed);
    assert_eq!(judged(&arrived, &mut world).0, 201);
    let arrived = post(&[("x-restli-protocol-version", "1.0.0")], &purchase());
    assert_eq!(judged(&arrived, &mut world).0, 400);
}

#[test]
fn form_and_header_of_a_batch_must_agree() {
    let mut world = World::default();
    let elements = json!({"elements": [purchase()]});
    let method = |value| [("x-restli-method", value)];
    let (status, message) = refused(&post(&[], &elements), &mut world);
    assert_eq!(status, 422);
    assert!(
        message.starts_with("ERROR :: /elements :: unrecognized field found but not allowed\n")
    );
    assert_eq!(
        refused(&post(&method("BATCH_CREATE"), &purchase()), &mut world).0,
        400
    );
    assert_eq!(
        refused(&post(&method("BATCH_UPDATE"), &elements), &mut world).0,
        400
    );
    assert_eq!(
        judged(&post(&method("CREATE"), &purchase()), &mut world).0,
        201
    );
    let more = json!({"elements": [purchase()], "paging": {}});
    assert_eq!(
        refused(&post(&method("BATCH_CREATE"), &more), &mut world).0,
        400
    );
    assert_eq!(
        refused(&post(&method("BATCH_CREATE"), &json!([])), &mut world).0,
        400
    );
    let form = post(
        &[("content-type", "application/x-www-form-urlencoded")],
        &purchase(),
    );
    assert_eq!(refused(&form, &mut world).0, 415);
    let broken = request(
        Method::POST,
        EVENTS_PATH,
        &[],
        "{\"conversion\":".to_owned(),
    );
    assert_eq!(refused(&broken, &mut world).0, 400);
}

#[test]
fn a_batch_holds_from_1_to_5000_events() {
    let mut world = World::default();
    let events = |count| batch(&vec![purchase(); count]);
    assert_eq!(refused(&events(0), &mut world).0, 400);
    assert!(is_taken(&events(5000), &mut world));
    assert_eq!(refused(&events(5001), &mut world).0, 400);
}

#[test]
fn an_event_is_at_most_90_days_old_and_not_of_the_future() {
    let mut world = World::default();
    let millis = now().timestamp_millis();
    let oldest = millis - TimeDelta::days(90).num_milliseconds();
    let at = |millis: i64| with(json!({"/conversionHappenedAt": millis}));
    for good in [millis, oldest] {
        assert!(is_taken(&one(&at(good)), &mut world), "{good}");
    }
    let text = "Conversion time should be within 90 days and not exceed current time, indices [0] (0-indexed).";
    for bad in [millis + 1, oldest - 1, millis / 1000, 0, i64::MAX] {
        let refusal = refused(&one(&at(bad)), &mut world);
        assert_eq!(refusal, (400, text.to_owned()), "{bad}");
    }
    let events = [purchase(), at(0), purchase(), at(millis + 1)];
    let (status, message) = refused(&batch(&events), &mut world);
    assert_eq!(status, 400);
    assert!(
        message.ends_with(", indices [1, 3] (0-indexed)."),
        "{message}"
    );
    let (_, _, judgement) = judged(&batch(&events), &mut world);
    assert!(judgement.events[1].reason.starts_with("Conversion time"));
    assert_eq!(
        judgement.events[0].reason,
        "the whole batch was refused for the events [1, 3]"
    );
}

#[test]
fn somebody_must_be_meant() {
    let mut world = World::default();
    let user = |user: Value| one(&with(json!({"/user": user})));
    let id = |kind: &str, value: &str| json!({"userIds": [{"idType": kind, "idValue": value}]});
    for good in [
        id("SHA256_EMAIL", HASH),
        id("LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", LI_FAT_ID),
        id("PLAINTEXT_IP_ADDRESS", "203.0.113.7"),
        id("GOOGLE_AID", "38400000-8cf0-11bd-b23e-10b96e40000d"),
        id("ACXIOM_ID", "x1"),
        json!({"userIds": [], "userInfo": {"firstName": "Ada", "lastName": "Byron"}}),
        json!({"userIds": [], "userInfo": {"hashedFirstName": HASH, "lastName": "Byron"}}),
        json!({"userIds": [], "lead": "urn:li:leadGenFormResponse:7"}),
        json!({"userIds": [], "externalIds": ["member-7"]}),
    ] {
        assert!(is_taken(&user(good.clone()), &mut world), "{good}");
    }
    for bad in [
        json!({"userIds": []}),
        json!({"userIds": [], "userInfo": {"firstName": "Ada", "lastName": " "}}),
        json!({"userIds": [], "externalIds": []}),
        json!({"userIds": [], "externalIds": [""]}),
        id("GOOGLE_AID", ""),
        id("SHA256_IP_ADDRESS", HASH),
    ] {
        let (status, message) = refused(&user(bad.clone()), &mut world);
        assert_eq!(status, 400, "{bad}");
        assert!(
            message.contains("must contain one of these fields"),
            "{message}"
        );
        assert!(message.ends_with(", indices [0] (0-indexed)."), "{message}");
    }
    world.set_mode(Mode::Observed);
    assert!(is_taken(&user(id("SHA256_IP_ADDRESS", HASH)), &mut world));
}

#[test]
fn paths_and_methods_exist_or_not() {
    let mut world = World::default();
    for (method, target, status) in [
        (Method::GET, EVENTS_PATH, 405),
        (Method::POST, RULES_PATH, 405),
        (Method::GET, TOKEN_PATH, 405),
        (Method::POST, "/rest/conversionEvent", 404),
        (Method::POST, "/oauth/v2/introspectToken", 404),
    ] {
        let arrived = request(method, target, &[], String::new());
        assert_eq!(judged(&arrived, &mut world).0, status, "{target}");
    }
}

#[test]
fn a_fault_rule_gives_single_events_another_status() {
    let mut world = World::default();
    let mut processing = Processing::default();
    processing.element_statuses.insert(1, 500);
    let events = [purchase(), purchase(), purchase()];
    let (status, body, judgement) = judged_under(&batch(&events), &mut world, &processing);
    assert_eq!(status, 200);
    let statuses = [201, 500, 201].map(Value::from);
    for (index, expected) in statuses.iter().enumerate() {
        assert_eq!(&body["elements"][index]["status"], expected);
    }
    assert!(body["elements"][1]["error"]["message"].is_string());
    let rulings = judgement.events.iter();
    let rejected: Vec<bool> = rulings.map(|it| it.ruling == Ruling::Reject).collect();
    assert_eq!(rejected, [false, true, false]);
    let processing = Processing {
        element_statuses: [(0, 429)].into(),
        ..Processing::default()
    };
    let (status, _, judgement) = judged_under(&one(&purchase()), &mut world, &processing);
    assert_eq!(
        (status, &judgement.events[0].ruling),
        (429, &Ruling::Reject)
    );
}

#[test]
fn a_sink_answers_as_many_events_as_it_counted() {
    assert_eq!(sink_reply(1), Reply::empty(201));
    let body: Value = serde_json::from_str(&sink_reply(3).body).unwrap();
    assert_eq!(body["elements"].as_array().map(Vec::len), Some(3));
}
