//! Decisions, by clock, route, consent and what happened before.

use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::consent::Kind;
use crate::event::Columns;

mod adjustments;
mod again;

const NOW: i64 = 1_795_428_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(NOW + seconds, 0).expect("a time")
}

/// A destination with these lines.
fn destination(platform: &str, lines: &str) -> DestinationConfig {
    let account = match platform {
        "meta" => "dataset_id = \"1\"\naccess_token = { env = \"TOKEN\" }",
        "google_data_manager" => {
            "operating_account = \"1234567890\"\nservice_account = { env = \"KEY\" }\nconversion_actions = { order_paid = \"77\" }"
        }
        _ => "measurement_id = \"G-1\"\napi_secret = { env = \"SECRET\" }",
    };
    let text = format!(
        "[database]\nurl = {{ env = \"URL\" }}\n[[destination]]\nname = \"mine\"\nplatform = \"{platform}\"\n{account}\n{lines}"
    );
    Config::parse(&text, "test.toml", [])
        .expect("a valid configuration")
        .destinations
        .remove(0)
}

fn event(change: impl FnOnce(&mut Columns)) -> OutboxEvent {
    let mut columns = Columns {
        event_id: "e-1".into(),
        event_name: "order_paid".into(),
        business_id: "o-1".into(),
        occurred_at: at(0),
        recorded_at: at(0),
        value: Some("10".into()),
        currency: Some("EUR".into()),
        consent: json!({ "ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted", "ad_personalization": "granted" }),
        user_data: json!({ "email": "a@example.com", "phone": "+491701234567" }),
        click_ids: json!({ "ga_client_id": "1.2" }),
        ..Columns::default()
    };
    change(&mut columns);
    OutboxEvent::parse(columns).expect("a valid event")
}

fn fresh(event: &OutboxEvent, destination: &DestinationConfig, now: i64) -> Decision {
    decide(
        event,
        &Surroundings::default(),
        destination,
        None,
        &Prior::default(),
        at(now),
    )
}

fn ended(state: State, reason: Reason) -> Decision {
    Decision::End(state, reason, None)
}

#[test]
fn what_consent_kept_at_home_is_not_lost_to_age() {
    let ga4 = destination("ga4", "");
    let refused = event(|columns| columns.consent["analytics_storage"] = "denied".into());
    let late = 30 * 86_400;
    let Decision::End(State::Suppressed, reason, _) = fresh(&refused, &ga4, late) else {
        panic!("{:?}", fresh(&refused, &ga4, late));
    };
    assert_eq!(
        fresh(&refused, &ga4, 0),
        ended(State::Suppressed, reason),
        "as when it was young"
    );
    // It was tried while it might leave: then age says more than what is allowed now.
    let tried = Prior {
        tries: 1,
        ..Prior::default()
    };
    let decision = decide(
        &refused,
        &Surroundings::default(),
        &ga4,
        None,
        &tried,
        at(late),
    );
    assert_eq!(decision, ended(State::Expired, Reason::TooOld));
}

#[test]
fn age_is_judged_by_the_platform_and_by_the_configuration() {
    let day = 86_400;
    let (meta, ga4) = (destination("meta", ""), destination("ga4", ""));
    let order = event(|_| {});
    assert!(matches!(fresh(&order, &meta, 7 * day), Decision::Send(_)));
    assert_eq!(
        fresh(&order, &meta, 7 * day + 1),
        ended(State::Expired, Reason::TooOld)
    );
    assert!(matches!(
        fresh(&order, &ga4, 3 * day - 600),
        Decision::Send(_)
    ));
    assert_eq!(
        fresh(&order, &ga4, 3 * day - 599),
        ended(State::Expired, Reason::TooOld)
    );
    let in_store = event(|columns| columns.action_source = Some("physical_store".into()));
    assert!(matches!(
        fresh(&in_store, &meta, 62 * day),
        Decision::Send(_)
    ));
    let strict = destination("meta", "age_max_hours = 1");
    assert_eq!(
        fresh(&order, &strict, 3601),
        ended(State::Exhausted, Reason::AgeUsedUp)
    );
}

#[test]
fn what_lies_ahead_waits_unless_it_is_only_skew() {
    let meta = destination("meta", "");
    assert!(matches!(
        fresh(&event(|c| c.occurred_at = at(60)), &meta, 0),
        Decision::Send(_)
    ));
    assert_eq!(
        fresh(&event(|c| c.occurred_at = at(61)), &meta, 0),
        Decision::Wait(at(61), Reason::InTheFuture)
    );
}

#[test]
fn routes_and_mappings_come_before_everything_else() {
    let order = event(|columns| {
        (columns.source, columns.properties) = (Some("shop".into()), json!({ "country": "de" }))
    });
    let routed = |lines: &str| fresh(&order, &destination("meta", lines), 0);
    let out = ended(State::Skipped, Reason::FilteredByRoute);
    assert_eq!(routed("routes = { events = [\"lead_created\"] }"), out);
    assert_eq!(routed("routes = { sources = [\"crm\"] }"), out);
    assert_eq!(
        routed("routes = { properties = { country = \"fr\" } }"),
        out
    );
    assert!(matches!(
        routed("routes = { sources = [\"shop\"], properties = { country = \"de\" } }"),
        Decision::Send(_)
    ));
    assert_eq!(
        routed("events = { order_paid = false }"),
        ended(State::Skipped, Reason::UnsupportedEvent)
    );
}

#[test]
fn who_never_came_back_leaves_an_uncertain_delivery() {
    let prior = Prior {
        tries: 1,
        intent_at: Some(at(0)),
        ..Prior::default()
    };
    // Also when the event has grown too old meanwhile: what left is uncertain, not expired.
    let decision = decide(
        &event(|_| {}),
        &Surroundings::default(),
        &destination("ga4", ""),
        None,
        &prior,
        at(999_999),
    );
    assert_eq!(decision, ended(State::Uncertain, Reason::NoAnswer));
}

#[test]
fn a_repeat_is_allowed_where_the_platform_knows_it_or_the_operator_says_so() {
    let repeat_of = |platform: &str, name: &str, lines: &str| {
        let event = event(|columns| columns.event_name = name.into());
        match fresh(&event, &destination(platform, lines), 0) {
            Decision::Send(sendable) => sendable.repeat,
            other => panic!("{other:?}"),
        }
    };
    let two_days = Repeat::Within(Duration::from_secs(48 * 3600));
    assert_eq!(repeat_of("meta", "order_paid", ""), two_days);
    assert_eq!(
        repeat_of("meta", "lead_created", "on_ambiguous = \"resend\""),
        two_days
    );
    assert_eq!(
        repeat_of("meta", "order_paid", "on_ambiguous = \"uncertain\""),
        Repeat::Never
    );
    assert!(matches!(
        repeat_of("ga4", "order_paid", ""),
        Repeat::Within(_)
    ));
    assert_eq!(repeat_of("ga4", "lead_created", ""), Repeat::Never);
    assert_eq!(
        repeat_of("ga4", "lead_created", "on_ambiguous = \"resend\""),
        Repeat::Always
    );
}

#[test]
fn a_retry_says_the_same_or_less_or_nothing() {
    let meta = destination("meta", "");
    let order = event(|_| {});
    let Decision::Send(first) = fresh(&order, &meta, 0) else {
        panic!("it is sent")
    };
    let prior = Prior {
        tries: 1,
        permit: Some(first.permit),
        payload_hash: Some(first.item.hash),
        ..Prior::default()
    };
    let again =
        |event: &OutboxEvent, around: &Surroundings, destination: &DestinationConfig| match decide(
            event,
            around,
            destination,
            None,
            &prior,
            at(3600),
        ) {
            Decision::Send(sendable) => {
                Ok(serde_json::from_str::<Value>(&sendable.item.payload).expect("json"))
            }
            other => Err(other),
        };
    let none = Surroundings::default();
    assert_eq!(
        again(&order, &none, &meta).expect("sent").to_string(),
        first.item.payload
    );
    let no_phone = event(|columns| columns.user_data = json!({ "email": "a@example.com" }));
    assert!(again(&no_phone, &none, &meta).expect("less")["user_data"]["ph"].is_null());
    let less = destination("meta", "fields = [\"email\"]");
    assert!(again(&order, &none, &less).expect("less")["user_data"]["ph"].is_null());
    let changed = Err(ended(State::Rejected, Reason::PayloadChanged));
    assert_eq!(
        again(
            &event(|columns| columns.value = Some("11".into())),
            &none,
            &meta
        ),
        changed
    );
    assert_eq!(
        again(
            &order,
            &none,
            &destination("meta", "events = { order_paid = \"Contact\" }")
        ),
        changed
    );
    let withdrawn = Surroundings {
        withdrawn: vec![Signal::AdUserData],
        ..Surroundings::default()
    };
    assert_eq!(
        again(&order, &withdrawn, &meta),
        Err(ended(State::Suppressed, Reason::Withdrawn))
    );
}
