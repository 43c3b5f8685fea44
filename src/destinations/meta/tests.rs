//! What Meta is told.

use super::*;
use crate::config::secret::SecretRef;
use crate::consent::Permit;
use crate::event::{Columns, OutboxEvent};
use crate::identity::{ExternalIdMode, Rules};

fn settings() -> Settings {
    Settings {
        dataset_id: "123".into(),
        access_token: SecretRef::variable("TOKEN"),
        version: "v26.0".into(),
        token_in: TokenPlace::Header,
        test_event_code: None,
        partner_agent: None,
        action_sources: Default::default(),
        external_id_mode: ExternalIdMode::Canonical,
        data_processing: None,
        send_refunds: false,
    }
}

/// An order with these columns beside the plain ones.
fn event(change: impl FnOnce(&mut Columns)) -> OutboxEvent {
    let mut columns = Columns {
        event_id: "e-1".into(),
        event_name: "order_paid".into(),
        business_id: "o-1".into(),
        value: Some("49.90".into()),
        currency: Some("EUR".into()),
        consent: json!({ "ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted", "ad_personalization": "granted" }),
        user_data: json!({ "email": "a@example.com", "user_agent": "Mozilla/5.0" }),
        ..Columns::default()
    };
    change(&mut columns);
    OutboxEvent::parse(columns).expect("a valid event")
}

/// Every kind of data, and both signals as the two bits each say.
fn permit(personalization: i32) -> Permit {
    Permit::from_bits(0xffff | 1 << 16 | personalization << 18)
}

fn told(settings: &Settings, event: &OutboxEvent, permit: Permit) -> Result<Value, Unsendable> {
    let permitted = permit.over(event);
    let conversion = Conversion::new(
        "Purchase",
        &permitted,
        false,
        None,
        Family::Meta,
        &Rules::default(),
    );
    item(settings, &conversion).map(|item| serde_json::from_str(&item.payload).expect("json"))
}

fn plain(change: impl FnOnce(&mut Columns)) -> Result<Value, Unsendable> {
    told(&settings(), &event(change), permit(1))
}

#[test]
fn combinations_that_meta_calls_invalid_are_not_sent() {
    let with = |user: Value| plain(|columns| columns.user_data = user);
    for thin in [
        json!({}),
        json!({ "user_agent": "Mozilla/5.0" }),
        json!({ "city": "Berlin", "country": "de", "region": "be", "postal_code": "10115", "gender": "f", "user_agent": "x" }),
        json!({ "date_of_birth": "1990-01-02", "user_agent": "x" }),
        json!({ "first_name": "Ada", "gender": "f" }),
        json!({ "last_name": "Lovelace", "gender": "f" }),
    ] {
        assert_eq!(with(thin.clone()), Err(Unsendable::NoIdentifier), "{thin}");
    }
    assert!(with(json!({ "first_name": "Ada", "last_name": "Lovelace" })).is_ok());
    assert!(with(json!({ "email": "a@example.com" })).is_ok());
    let no_value = plain(|columns| (columns.value, columns.currency) = (None, None));
    assert_eq!(no_value, Err(Unsendable::Invalid("value")));
}

#[test]
fn an_event_is_from_the_website_only_with_page_and_browser() {
    let source =
        |change: fn(&mut Columns)| plain(change).expect("sendable")["action_source"].clone();
    assert_eq!(
        source(|c| c.page_url = Some("https://shop.example/".into())),
        "website"
    );
    assert_eq!(
        source(|c| c.action_source = Some("website".into())),
        "other",
        "no page"
    );
    assert_eq!(
        source(|c| (c.page_url, c.user_data) = (
            Some("https://shop.example/".into()),
            json!({ "email": "a@example.com" })
        )),
        "other",
        "no browser"
    );
    assert_eq!(
        source(|c| c.action_source = Some("physical_store".into())),
        "physical_store"
    );
    assert_eq!(
        source(|c| c.event_name = "deal_won".into()),
        "system_generated"
    );
}

#[test]
fn a_page_loses_foreign_click_ids_and_its_fragment() {
    let page = |url: &str| page_without_click_ids(url);
    assert_eq!(
        page("https://a.example/x?gclid=1&q=2&ttclid=3#top").as_deref(),
        Some("https://a.example/x?q=2")
    );
    assert_eq!(
        page("https://a.example/x?gclid=1").as_deref(),
        Some("https://a.example/x")
    );
    assert_eq!(
        page("https://a.example/x?fbclid=1").as_deref(),
        Some("https://a.example/x?fbclid=1")
    );
    assert_eq!(page("no url"), None);
}

#[test]
fn refusing_personalisation_opts_out_of_ads() {
    let event = event(|_| {});
    assert_eq!(
        told(&settings(), &event, permit(2)).expect("sendable")["opt_out"],
        true
    );
    assert!(told(&settings(), &event, permit(1)).expect("sendable")["opt_out"].is_null());
}

#[test]
fn limited_data_use_is_said_in_full_or_switched_off() {
    let with = |data_processing| {
        told(
            &Settings {
                data_processing,
                ..settings()
            },
            &event(|_| {}),
            permit(1),
        )
        .expect("sendable")
    };
    assert!(with(None)["data_processing_options"].is_null());
    assert_eq!(
        with(Some(DataProcessing::Off))["data_processing_options"],
        json!([])
    );
    let limited = with(Some(DataProcessing::Limited {
        country: 1,
        state: 1000,
    }));
    assert_eq!(limited["data_processing_options"], json!(["LDU"]));
    assert_eq!(limited["data_processing_options_country"], 1);
    assert_eq!(limited["data_processing_options_state"], 1000);
}

#[test]
fn contents_are_line_items_with_an_id() {
    let items = json!({ "items": [{ "id": "a", "quantity": 2, "price": 5.5 }, { "name": "no id" }, { "id": 7 }, { "id": "b", "quantity": 1.5 }] });
    let custom =
        plain(|columns| columns.properties = items).expect("sendable")["custom_data"].clone();
    assert_eq!(custom["content_ids"], json!(["a", "7", "b"]));
    assert_eq!(custom["num_items"], 4);
    assert_eq!(
        custom["contents"][0].to_string(),
        r#"{"id":"a","item_price":5.5,"quantity":2}"#
    );
    assert!(custom["contents"][2]["quantity"].is_null());
    assert_eq!(
        custom["value"].to_string(),
        "49.90",
        "the digits of the row, never a float"
    );
}

#[test]
fn versions_end_as_published_and_older_ones_have_ended() {
    let end = |version| version_ends(version).map(|day| day.to_string());
    assert_eq!(end("v19.0").as_deref(), Some("2026-09-24"));
    assert_eq!(end("v20.0").as_deref(), Some("2026-09-24"));
    assert_eq!(end("v25.0").as_deref(), Some("2028-07-29"));
    assert_eq!(end("v26.0"), None);
    assert_eq!(end("v99.0"), None);
}
