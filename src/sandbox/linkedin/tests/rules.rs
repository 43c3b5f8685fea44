//! Conversion rules: looked up for events, and listed.

use super::*;

fn world() -> World {
    let mut world = World::default();
    world.add_rule(ConversionRule::new("104012", "512345"));
    world.add_rule(ConversionRule {
        enabled: false,
        ..ConversionRule::new("104013", "512345")
    });
    world.add_rule(ConversionRule {
        method: "PIXEL".to_owned(),
        ..ConversionRule::new("104014", "512345")
    });
    world.add_rule(ConversionRule::new("204012", "598765"));
    world
}

fn of_rule(id: &str) -> Value {
    with(json!({"/conversion": format!("urn:lla:llaPartnerConversion:{id}")}))
}

#[test]
fn without_rules_every_rule_exists() {
    assert!(is_taken(&one(&of_rule("7")), &mut World::default()));
}

#[test]
fn an_unknown_rule_is_answered_as_a_missing_account() {
    let mut world = world();
    assert!(is_taken(
        &batch(&[purchase(), of_rule("204012")]),
        &mut world
    ));
    for events in [
        vec![of_rule("7")],
        vec![purchase(), of_rule("7"), of_rule("104013")],
    ] {
        let (status, body, judgement) = judged(&batch(&events), &mut world);
        assert_eq!(status, 403);
        assert_eq!(
            body,
            json!({"message": "No ad accounts found", "status": 403})
        );
        let culprit = events.iter().position(|it| *it == of_rule("7")).unwrap();
        assert!(
            judgement.events[culprit]
                .reason
                .contains("this rule is not known")
        );
    }
}

#[test]
fn disabled_rules_and_other_methods_are_refused_with_indices() {
    let mut world = world();
    let (status, message) = refused(&batch(&[purchase(), of_rule("104013")]), &mut world);
    assert_eq!(status, 400);
    assert!(
        message.ends_with(
            "conversion that's marked as deleted. Conversion enabled should be true, indices [1] (0-indexed)"
        ),
        "{message}"
    );
    let events = [of_rule("104014"), purchase(), of_rule("104014")];
    assert_eq!(
        refused(&batch(&events), &mut world),
        (
            400,
            "Incorrect conversions information provided. Conversion's method should be CONVERSIONS_API, indices \
             [0, 2] (0-indexed)"
                .to_owned()
        )
    );
    world.add_rule(ConversionRule::new("104013", "512345"));
    assert!(is_taken(&one(&of_rule("104013")), &mut world));
}

#[test]
fn a_token_reaches_the_rules_of_its_accounts_only() {
    let mut world = world();
    world.add_token(AccessToken {
        accounts: vec!["512345".to_owned()],
        ..AccessToken::direct("t")
    });
    assert!(is_taken(&one(&purchase()), &mut world));
    assert_eq!(
        refused(&one(&of_rule("204012")), &mut world),
        (403, "No ad accounts found".to_owned())
    );
    assert_eq!(
        list(
            &mut world,
            "q=account&account=urn:li:sponsoredAccount:598765"
        )
        .0,
        403
    );
}

fn list(world: &mut World, query: &str) -> (u16, Value) {
    let target = format!("{RULES_PATH}?{query}");
    let (status, body, judgement) =
        judged(&request(Method::GET, &target, &[], String::new()), world);
    assert!(judgement.events.is_empty());
    (status, body)
}

#[test]
fn the_rules_of_an_account_are_listed_in_pages() {
    let mut world = world();
    let account = "q=account&account=urn%3Ali%3AsponsoredAccount%3A512345";
    let (status, body) = list(&mut world, account);
    assert_eq!(status, 200);
    assert_eq!(
        body["paging"],
        json!({"start": 0, "count": 10, "links": [], "total": 3})
    );
    let first = &body["elements"][0];
    assert_eq!(
        (
            &first["id"],
            &first["account"],
            &first["enabled"],
            &first["conversionMethod"]
        ),
        (
            &json!(104_012),
            &json!("urn:li:sponsoredAccount:512345"),
            &json!(true),
            &json!("CONVERSIONS_API")
        )
    );
    assert_eq!(body["elements"][1]["enabled"], false);
    assert_eq!(body["elements"][2]["conversionMethod"], "PIXEL");
    let (_, body) = list(&mut world, &format!("{account}&start=2&count=2"));
    assert_eq!(body["elements"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["paging"]["total"], 3);
    let (status, body) = list(&mut world, "q=account&account=urn:li:sponsoredAccount:1");
    assert_eq!((status, &body["elements"]), (200, &json!([])));
    for bad in [
        "",
        "account=urn:li:sponsoredAccount:1",
        "q=search&account=urn:li:sponsoredAccount:1",
        "q=account",
        "q=account&account=512345",
        "q=account&account=urn:li:sponsoredAccount:1&start=x",
        "q=account&account=urn:li:sponsoredAccount:1&count=-1",
    ] {
        assert_eq!(list(&mut world, bad).0, 400, "{bad}");
    }
}

#[test]
fn listing_needs_version_token_and_scope() {
    let mut world = world();
    world.add_token(AccessToken::oauth(
        "t",
        &[SEND_SCOPE],
        now() + TimeDelta::days(60),
    ));
    world.add_token(AccessToken::oauth(
        "both",
        &[SEND_SCOPE, LIST_SCOPE],
        now() + TimeDelta::days(60),
    ));
    let target = format!("{RULES_PATH}?q=account&account=urn:li:sponsoredAccount:512345");
    for (header, status) in [
        (("linkedin-version", ""), 400),
        (("linkedin-version", "202509"), 426),
        (("authorization", ""), 401),
        (("authorization", "Bearer other"), 401),
        (("authorization", "Bearer t"), 403),
        (("x-restli-protocol-version", ""), 403),
        (("authorization", "Bearer both"), 200),
    ] {
        let arrived = request(Method::GET, &target, &[header], String::new());
        assert_eq!(judged(&arrived, &mut world).0, status, "{header:?}");
    }
    let headers = [
        ("authorization", "Bearer both"),
        ("x-restli-protocol-version", ""),
    ];
    let arrived = request(Method::GET, &target, &headers, String::new());
    assert_eq!(judged(&arrived, &mut world).0, 400);
}
