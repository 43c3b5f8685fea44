//! What becomes of events after the answer, and what a look-up tells of it.

use super::*;
use crate::sandbox::dedup::ConversionKey;
use crate::sandbox::google::{Click, ClickKind, Counting, Stored};

const CLICK: &str = "Cj0KCQiA-example";

fn click(kind: ClickKind, clicked_at: DateTime<Utc>) -> Click {
    Click {
        id: CLICK.to_owned(),
        kind,
        clicked_at,
        customer: ACCOUNT.to_owned(),
    }
}

/// A click long enough ago.
fn good_click() -> Click {
    click(ClickKind::Gclid, now() - TimeDelta::hours(6))
}

/// Why the event with this click id was dropped; empty if it was taken.
fn failure(world: &mut google::World, kind: &str, id: &str) -> String {
    let mut body = body();
    body["events"][0]["adIdentifiers"] = json!({kind: id});
    let answered = ingest(world, &body);
    assert_eq!(answered.status, 200);
    match &answered.events[0] {
        judged if judged.ruling == Ruling::Drop => judged
            .reason
            .strip_prefix("PROCESSING_ERROR_REASON_")
            .unwrap()
            .to_owned(),
        judged => {
            assert_eq!(judged.ruling, taken("order-1042"));
            String::new()
        }
    }
}

#[test]
fn a_second_event_of_a_transaction_changes_the_first() {
    let mut world = google::World::default();
    let first = ingest(&mut world, &body());
    world.add_click(good_click());
    let mut again = body();
    again["events"][0]["conversionValue"] = 67.4.into();
    // Everything but the value is ignored, so a click nobody knows does no harm any more.
    again["events"][0]["adIdentifiers"]["gclid"] = "unknown".into();
    let second = ingest(&mut world, &again);
    assert_eq!(rulings(&first), rulings(&second));
    assert_eq!(world.conversions.len(), 1);
    let mut other = body();
    other["destinations"][0]["productDestinationId"] = "1".into();
    ingest(&mut world, &other);
    assert_eq!(world.conversions.len(), 2);
}

#[test]
fn user_data_is_added_only_where_there_was_none() {
    let mut world = google::World::default();
    let mut bare = body();
    bare["events"][0]["userData"] = Value::Null;
    let has_user_data = |world: &mut google::World| {
        let held = world.conversions.get_mut(ACTION, "order-1042");
        held.unwrap().has_user_data
    };
    ingest(&mut world, &bare);
    assert!(!has_user_data(&mut world));
    ingest(&mut world, &body());
    ingest(&mut world, &bare);
    assert!(has_user_data(&mut world));
}

#[test]
fn a_conversion_of_the_ads_api_is_changed_where_it_counts() {
    let mut world = google::World::default();
    let key = ConversionKey {
        platform: Platform::GoogleAds,
        account: ACCOUNT.to_owned(),
        event_name: ACTION.to_owned(),
        key: "order-1042".to_owned(),
    };
    let stored = Stored {
        key: key.clone(),
        happened_at: now(),
        has_user_data: false,
        adjusted_at: None,
        is_retracted: false,
    };
    world.conversions.put(ACTION, "order-1042", stored);
    let adjusted = ingest(&mut world, &body());
    assert_eq!(rulings(&adjusted), [Ruling::Adjust { conversion: key }]);
    let held = world.conversions.get_mut(ACTION, "order-1042");
    held.unwrap().is_retracted = true;
    assert_eq!(rulings(&ingest(&mut world, &body())), [taken("order-1042")]);
}

#[test]
fn clicks_are_judged_once_one_is_known() {
    let mut world = google::World::default();
    assert_eq!(failure(&mut world, "gclid", "any"), "");
    world.forget();
    world.add_click(good_click());
    assert_eq!(failure(&mut world, "gclid", CLICK), "");
    world.forget();
    for (kind, id, reason) in [
        ("gclid", "EAIaIQob", "CLICK_NOT_FOUND"),
        ("gclid", "Cj0 KCQ", "INVALID_GCLID"),
        ("gbraid", CLICK, "INVALID_GBRAID"),
        ("wbraid", "nö", "INVALID_WBRAID"),
    ] {
        assert_eq!(failure(&mut world, kind, id), reason, "{kind} {id}");
    }
    let theirs = Click {
        customer: "5".to_owned(),
        ..good_click()
    };
    let at = |text: &str| click(ClickKind::Gclid, text.parse().unwrap());
    for (click, reason) in [
        (theirs, "INVALID_OPERATING_ACCOUNT_FOR_CLICK"),
        (at("2026-11-20T13:32:19Z"), "CONVERSION_PRECEDES_CLICK"),
        (at("2026-11-20T08:00:01Z"), "TOO_RECENT_CLICK"),
        (at("2026-08-22T13:32:17Z"), "EVENT_TOO_OLD"),
    ] {
        world.add_click(click);
        assert_eq!(failure(&mut world, "gclid", CLICK), reason);
    }
}

#[test]
fn the_action_says_whose_clicks_count_and_how_long() {
    let mut world = google::World::default();
    let mut click = good_click();
    click.customer = "5".to_owned();
    click.clicked_at = now() - TimeDelta::days(31);
    world.add_click(click);
    world.add_action(ConversionAction {
        shared_with: vec!["5".to_owned()],
        ..action(ActionKind::UploadClicks)
    });
    assert_eq!(failure(&mut world, "gclid", CLICK), "");
    world.forget();
    world.add_action(ConversionAction {
        shared_with: vec!["5".to_owned()],
        lookback_days: 30,
        counting: Counting::OnePerClick,
        ..action(ActionKind::UploadClicks)
    });
    assert_eq!(failure(&mut world, "gclid", CLICK), "EVENT_TOO_OLD");
    assert_eq!(
        failure(&mut world, "wbraid", "w"),
        "ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID"
    );
}

#[test]
fn denied_consent_drops_an_event_and_the_events_word_goes_before_the_requests() {
    let mut world = google::World::default();
    let consent = |status: &str| json!({"adUserData": status});
    let mut outcome = |of_request: &str, of_event: Option<&str>| {
        world.forget();
        let mut body = body();
        body["consent"] = consent(of_request);
        if let Some(status) = of_event {
            body["events"][0]["consent"] = consent(status);
        }
        rulings(&ingest(&mut world, &body)).remove(0)
    };
    assert_eq!(outcome("CONSENT_DENIED", None), Ruling::Drop);
    assert_eq!(
        outcome("CONSENT_GRANTED", Some("CONSENT_DENIED")),
        Ruling::Drop
    );
    assert_eq!(
        outcome("CONSENT_DENIED", Some("CONSENT_STATUS_UNSPECIFIED")),
        Ruling::Drop
    );
    let granted = outcome("CONSENT_DENIED", Some("CONSENT_GRANTED"));
    assert_eq!(granted, taken("order-1042"));
}

#[test]
fn a_look_up_tells_counts_for_each_destination() {
    let mut world = google::World::default();
    let mut body = body_for_two();
    body["events"][0]["consent"] = json!({"adUserData": "CONSENT_DENIED"});
    body["events"][1]["consent"] = json!({"adUserData": "CONSENT_DENIED"});
    let mut fourth = body["events"][2].clone();
    fourth["transactionId"] = "o-4".into();
    fourth["destinationReferences"] = json!(["paid"]);
    body["events"].as_array_mut().unwrap().push(fourth);
    let mut faults = Processing::default();
    // The entry of the third event at its second destination.
    faults
        .errors
        .insert(3, "PROCESSING_ERROR_REASON_DENIED_CONSENT".to_owned());
    let target = (INGEST_PATH, [].as_slice());
    let text = body.to_string();
    let answered = call(&mut world, &faults, Method::POST, target, &text, now());
    let told = look_up(&mut world, &id_of(&answered), now()).body;
    let mut destination = body["destinations"][0].clone();
    let errors = |count: &str| json!({"errorCounts": [{"recordCount": count, "reason": "PROCESSING_ERROR_REASON_DENIED_CONSENT"}]});
    assert_eq!(
        told["requestStatusPerDestination"][0],
        json!({"destination": destination, "requestStatus": "PARTIAL_SUCCESS", "errorInfo": errors("1"),
            "eventsIngestionStatus": {"recordCount": "3"}})
    );
    destination = body["destinations"][1].clone();
    assert_eq!(
        told["requestStatusPerDestination"][1],
        json!({"destination": destination, "requestStatus": "FAILED", "errorInfo": errors("2"),
            "eventsIngestionStatus": {"recordCount": "2"}})
    );
}

#[test]
fn an_outcome_is_told_after_its_delay_and_for_fifty_days() {
    let mut world = google::World::default();
    let setup = Setup {
        status_delay_secs: Some(1800),
        ..Setup::default()
    };
    world.data_manager.set_up(setup).unwrap();
    let faults = Processing {
        delay: TimeDelta::minutes(30),
        ..Processing::default()
    };
    let target = (INGEST_PATH, [].as_slice());
    let text = body().to_string();
    let answered = call(&mut world, &faults, Method::POST, target, &text, now());
    let id = id_of(&answered);
    let mut told = |after: TimeDelta| look_up(&mut world, &id, now() + after);
    let processing = told(TimeDelta::minutes(59)).body["requestStatusPerDestination"][0].clone();
    assert_eq!(processing["requestStatus"], "PROCESSING");
    assert!(processing["errorInfo"].is_null());
    assert!(processing["destination"]["reference"].is_string());
    let done = told(TimeDelta::minutes(60)).body["requestStatusPerDestination"][0].clone();
    assert_eq!(done["requestStatus"], "SUCCESS");
    assert_eq!(told(TimeDelta::days(50)).status, 200);
    let late = told(TimeDelta::days(51));
    let violation = &late.body["error"]["details"][2]["fieldViolations"][0];
    assert_eq!(
        (late.status, &violation["reason"]),
        (400, &json!("REQUEST_TOO_OLD"))
    );
}

#[test]
fn a_look_up_needs_an_id_that_was_given() {
    let mut world = google::World::default();
    let unknown = look_up(&mut world, "126365e1-16d0-4c81-9de9-f362711e250a", now());
    assert_eq!(
        (unknown.status, &unknown.body["error"]["message"]),
        (404, &json!("Resource not found."))
    );
    let empty = look_up(&mut world, "", now());
    let violation = &empty.body["error"]["details"][2]["fieldViolations"][0];
    assert_eq!(
        (empty.status, &violation["field"], &violation["reason"]),
        (400, &json!("request_id"), &json!("REQUIRED_FIELD_MISSING"))
    );
    let faults = Processing::default();
    let query = [("id", "x")];
    let target = (STATUS_PATH, query.as_slice());
    let other = call(&mut world, &faults, Method::GET, target, "", now());
    assert_eq!(other.status, 400);
    let id = id_of(&ingest(&mut world, &body()));
    world.forget();
    assert_eq!(look_up(&mut world, &id, now()).status, 404);
}

#[test]
fn a_scripted_failure_leaves_room_for_another_try() {
    let mut world = google::World::default();
    let mut faults = Processing::default();
    faults
        .errors
        .insert(0, "PROCESSING_ERROR_REASON_INTERNAL_ERROR".to_owned());
    let target = (INGEST_PATH, [].as_slice());
    let text = body().to_string();
    let failed = call(&mut world, &faults, Method::POST, target, &text, now());
    assert_eq!(rulings(&failed), [Ruling::Drop]);
    assert_eq!(
        failed.events[0].reason,
        "PROCESSING_ERROR_REASON_INTERNAL_ERROR"
    );
    assert_eq!(rulings(&ingest(&mut world, &body())), [taken("order-1042")]);
}
