//! Searches for conversion actions.

use super::*;

const SELECT: &str = "SELECT conversion_action.id, conversion_action.name, conversion_action.status, \
    conversion_action.type FROM conversion_action";
const MASK: &str =
    "conversionAction.id,conversionAction.name,conversionAction.status,conversionAction.type";

fn search(google: &mut Google, rest: &str) -> Told {
    google.ask(SEARCH, &json!({"query": format!("{SELECT}{rest}")}))
}

#[test]
fn every_action_the_customer_uses_is_found() {
    let mut google = Google::with_customer();
    let action = |id: &str| ConversionAction::upload_clicks(CUSTOMER, id, now());
    google.world.add_action(ConversionAction {
        name: Some("Paid order".to_owned()),
        status: ActionStatus::Removed,
        kind: ActionKind::Webpage,
        ..action("8")
    });
    google.world.add_action(ConversionAction {
        owner: "5555555555".to_owned(),
        ..action("9")
    });
    let told = search(&mut google, "");
    let first = json!({"resourceName": ACTION, "id": "7", "name": "Conversion action 7", "status": "ENABLED",
        "type": "UPLOAD_CLICKS"});
    let second = json!({"resourceName": "customers/1234567890/conversionActions/8", "id": "8",
        "name": "Paid order", "status": "REMOVED", "type": "WEBPAGE"});
    let rows = json!([{"conversionAction": first}, {"conversionAction": second}]);
    assert_eq!(told.body, json!({"results": rows, "fieldMask": MASK}));
    for (rest, expected) in [
        (" WHERE conversion_action.id = 8", vec!["8"]),
        (
            " WHERE conversion_action.id IN (7, 8, 9) LIMIT 1",
            vec!["7"],
        ),
        (" WHERE conversion_action.id NOT IN (7)", vec!["8"]),
        (" WHERE conversion_action.status = 'ENABLED'", vec!["7"]),
        (" WHERE conversion_action.name = \"Paid order\"", vec!["8"]),
        (" WHERE conversion_action.type != 'WEBPAGE'", vec!["7"]),
    ] {
        let told = search(&mut google, rest);
        let rows = told.body["results"].as_array().unwrap().iter();
        let ids: Vec<&str> = rows
            .map(|row| row["conversionAction"]["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, expected, "{rest}");
    }
    let told = search(&mut google, " WHERE conversion_action.id = 9");
    assert_eq!(told.body, json!({"fieldMask": MASK}));
}

#[test]
fn without_any_action_listed_those_asked_for_exist() {
    let mut google = Google::new();
    assert_eq!(search(&mut google, "").body, json!({"fieldMask": MASK}));
    let told = search(&mut google, " WHERE conversion_action.id IN (7, 8)");
    let rows = told.body["results"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["conversionAction"]["status"], "ENABLED");
    let rest = " WHERE conversion_action.id IN (7, 8) AND conversion_action.status = 'REMOVED'";
    assert!(search(&mut google, rest).body.get("results").is_none());
}

#[test]
fn wrong_searches_are_refused() {
    let mut google = Google::with_customer();
    for (body, expected) in [
        (json!({}), "requestError.REQUIRED_FIELD_MISSING"),
        (
            json!({"query": SELECT, "pageSize": 5}),
            "requestError.PAGE_SIZE_NOT_SUPPORTED",
        ),
        (
            json!({"query": SELECT, "pageToken": "x"}),
            "requestError.INVALID_PAGE_TOKEN",
        ),
        (
            json!({"query": "SELECT campaign.id FROM campaign"}),
            "queryError.UNRECOGNIZED_FIELD",
        ),
    ] {
        let told = google.ask(SEARCH, &body);
        assert_eq!(
            (told.status, told.refusal().as_str()),
            (400, expected),
            "{body}"
        );
    }
    assert_eq!(google.ask(SEARCH, &json!({"sql": SELECT})).status, 400);
    let told = google.ask(SEARCH, &json!({"query": SELECT, "validateOnly": true}));
    assert_eq!((told.status, told.body), (200, json!({})));
    google.headers = vec![
        ("authorization", "Bearer t"),
        ("login-customer-id", "9876543210"),
    ];
    assert_eq!(search(&mut google, "").status, 403);
}
