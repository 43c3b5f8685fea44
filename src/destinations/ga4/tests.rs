//! What GA4 is told, and how its silence is read.

use proptest::prelude::*;

use super::*;
use crate::config::secret::SecretRef;
use crate::consent::Permit;
use crate::event::{Columns, OutboxEvent};
use crate::identity::Rules;
use crate::outcome::Verdict;

fn settings() -> Settings {
    Settings {
        measurement_id: "G-1".into(),
        api_secret: SecretRef::variable("SECRET"),
        synthetic_client_id: false,
        mode: Mode::Live,
    }
}

fn event(change: impl FnOnce(&mut Columns)) -> OutboxEvent {
    let mut columns = Columns {
        event_id: "e-1".into(),
        event_name: "order_paid".into(),
        business_id: "o-1".into(),
        value: Some("49.90".into()),
        currency: Some("EUR".into()),
        consent: json!({ "ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted", "ad_personalization": "granted" }),
        user_data: json!({ "email": "a@example.com", "external_id": "customer-7" }),
        click_ids: json!({ "ga_client_id": "123.456" }),
        ..Columns::default()
    };
    change(&mut columns);
    OutboxEvent::parse(columns).expect("a valid event")
}

fn told_with(
    settings: &Settings,
    name: &str,
    user_data: i32,
    event: &OutboxEvent,
) -> Result<Value, Unsendable> {
    let permitted = Permit::from_bits(0xffff | user_data << 16 | 1 << 18).over(event);
    let conversion = Conversion::new(
        name,
        &permitted,
        false,
        None,
        Family::Ga4,
        &Rules::default(),
    );
    item(settings, &conversion).map(|item| serde_json::from_str(&item.payload).expect("json"))
}

fn told(change: impl FnOnce(&mut Columns)) -> Result<Value, Unsendable> {
    told_with(&settings(), "purchase", 1, &event(change))
}

fn verdict(status: u16) -> Verdict {
    classify(
        &settings(),
        &Reply {
            status,
            ..Reply::default()
        },
    )
    .verdict
}

#[test]
fn the_status_is_all_there_is() {
    for status in [200, 204, 299] {
        assert_eq!(
            verdict(status),
            Verdict::All(Outcome::Sent),
            "never accepted: GA4 confirms nothing"
        );
    }
    for status in [400, 404, 405, 413, 415] {
        assert_eq!(verdict(status), Verdict::BatchRejected, "{status}");
    }
    assert_eq!(verdict(401), Verdict::All(Outcome::Hold(Hold::Credential)));
    assert_eq!(verdict(403), Verdict::All(Outcome::Hold(Hold::Permission)));
    assert_eq!(
        verdict(429),
        Verdict::All(Outcome::RateLimited { after: None })
    );
    for status in [408, 500, 502, 503, 504] {
        assert_eq!(
            verdict(status),
            Verdict::All(Outcome::Retry {
                after: None,
                delivered: true
            }),
            "{status}"
        );
    }
}

/// Whose connection it is that answers with a page, nobody knows.
#[test]
fn a_page_is_no_answer() {
    let page = |header: &str, body: &str| {
        let reply = Reply {
            status: 200,
            headers: vec![("content-type".to_owned(), header.to_owned())],
            body: body.as_bytes().to_vec(),
        };
        classify(&settings(), &reply).verdict
    };
    let ambiguous = Verdict::All(Outcome::Ambiguous);
    assert_eq!(page("Text/HTML; charset=utf-8", ""), ambiguous);
    assert_eq!(page("image/gif", "\n <!doctype html>"), ambiguous);
    assert_eq!(page("image/gif", "GIF89a"), Verdict::All(Outcome::Sent));
}

#[test]
fn a_validating_destination_reads_the_messages() {
    let validating = Settings {
        mode: Mode::ValidateOnly,
        ..settings()
    };
    let answer = |body: &str| {
        classify(
            &validating,
            &Reply {
                status: 200,
                body: body.into(),
                ..Reply::default()
            },
        )
    };
    assert_eq!(
        answer(r#"{"validationMessages":[]}"#).verdict,
        Verdict::All(Outcome::Validated)
    );
    let refused = answer(
        r#"{"validationMessages":[{"validationCode":"NAME_INVALID","description":"a@example.com"}]}"#,
    );
    assert_eq!(
        (refused.verdict, refused.code.as_deref()),
        (Verdict::BatchRejected, Some("NAME_INVALID"))
    );
    let odd = answer(r#"{"validationMessages":[{"validationCode":"a@example.com"}]}"#);
    assert_eq!(
        odd.code.as_deref(),
        Some("INVALID"),
        "a text of theirs is never kept"
    );
}

#[test]
fn without_a_client_nothing_is_sent_unless_one_may_be_made() {
    assert_eq!(
        told(|c| c.click_ids = json!({})),
        Err(Unsendable::NoIdentifier)
    );
    let making = Settings {
        synthetic_client_id: true,
        ..settings()
    };
    let made = |external_id: &str| {
        let event = event(|c| {
            (c.click_ids, c.user_data) = (json!({}), json!({ "external_id": external_id }))
        });
        told_with(&making, "purchase", 1, &event)
            .map(|body| body["client_id"].as_str().expect("text").to_owned())
    };
    assert_eq!(made("customer-7"), made("customer-7"), "the same for ever");
    assert_ne!(made("customer-7"), made("customer-8"));
    assert_eq!(
        made("a@example.com"),
        Err(Unsendable::NoIdentifier),
        "an address is no user id"
    );
}

#[test]
fn user_data_needs_its_own_consent() {
    let event = event(|_| {});
    let with = told_with(&settings(), "purchase", 1, &event).expect("sendable");
    assert!(with["user_data"].is_object());
    assert_eq!(
        with["consent"],
        json!({ "ad_user_data": "GRANTED", "ad_personalization": "GRANTED" })
    );
    for answer in [0, 2] {
        let without = told_with(&settings(), "purchase", answer, &event).expect("sendable");
        assert!(without["user_data"].is_null());
        assert_eq!(
            without["consent"]["ad_user_data"].is_null(),
            answer == 0,
            "unspecified is left out"
        );
    }
}

#[test]
fn transaction_ids_are_whole_or_not_sent() {
    assert_eq!(
        told(|c| c.business_id = "x".repeat(100)).expect("sendable")["events"][0]["params"]["transaction_id"],
        "x".repeat(100)
    );
    assert_eq!(
        told(|c| c.business_id = "x".repeat(101)),
        Err(Unsendable::Invalid("business_id"))
    );
    let lead = told_with(
        &settings(),
        "generate_lead",
        1,
        &event(|c| c.event_name = "lead_created".into()),
    );
    assert!(lead.expect("sendable")["events"][0]["params"]["transaction_id"].is_null());
}

#[test]
fn a_body_that_is_too_large_is_not_sent() {
    let items: Vec<Value> = (0..3000)
        .map(|n| json!({ "id": format!("sku-{n}"), "name": "x".repeat(90) }))
        .collect();
    assert_eq!(
        told(|c| c.properties = json!({ "items": items })),
        Err(Unsendable::Invalid("properties"))
    );
}

proptest! {
    #[test]
    fn any_answer_can_be_read(status in 0u16..1000, body in proptest::collection::vec(any::<u8>(), 0..200), wait in ".{0,40}", live in any::<bool>()) {
        let mode = if live { Mode::Live } else { Mode::ValidateOnly };
        let headers = vec![("retry-after".to_owned(), wait)];
        classify(&Settings { mode, ..settings() }, &Reply { status, headers, body });
    }
}
