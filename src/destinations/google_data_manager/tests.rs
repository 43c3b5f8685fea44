//! What Data Manager is told, and what an operator may fill in.

use super::*;
use crate::config::Config;
use crate::consent::Permit;
use crate::destinations;
use crate::event::{Columns, OutboxEvent};
use crate::identity::Rules;
use crate::money::Money;
use crate::original::Left;

const ACTION: &str = "7712337565";

/// The settings that these lines make, or what is wrong with them.
pub(super) fn read(lines: &str) -> Result<Settings, String> {
    let text = format!(
        "[database]\nurl = {{ env = \"URL\" }}\n[[destination]]\nname = \"google\"\nplatform = \"google_data_manager\"\n{lines}"
    );
    let config = Config::parse(&text, "test.toml", []).map_err(|faults| faults.to_string())?;
    match config
        .destinations
        .into_iter()
        .next()
        .map(|one| one.settings)
    {
        Some(destinations::Settings::GoogleDataManager(settings)) => Ok(settings),
        other => panic!("{other:?}"),
    }
}

/// A plain account with these lines.
pub(super) fn settings(lines: &str) -> Settings {
    read(&format!(
        "operating_account = \"1234567890\"\nservice_account = {{ env = \"KEY\" }}\nconversion_actions = {{ order_paid = \"{ACTION}\" }}\n{lines}"
    ))
    .expect("valid settings")
}

fn event(change: impl FnOnce(&mut Columns)) -> OutboxEvent {
    let mut columns = Columns {
        event_id: "e-1".into(),
        event_name: "order_paid".into(),
        business_id: "o-1".into(),
        value: Some("49.90".into()),
        currency: Some("EUR".into()),
        consent: json!({ "ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted", "ad_personalization": "granted" }),
        user_data: json!({ "email": "a@example.com" }),
        ..Columns::default()
    };
    change(&mut columns);
    OutboxEvent::parse(columns).expect("a valid event")
}

fn euro(amount: &str) -> Money {
    Money {
        amount: amount.parse().expect("digits"),
        currency: crate::currency::parse("EUR").expect("a currency"),
    }
}

fn told(
    settings: &Settings,
    event: &OutboxEvent,
    after: Option<&Left>,
) -> Result<Item, Unsendable> {
    let permitted = Permit::from_bits(0xffff | 1 << 16 | 1 << 18).over(event);
    let paid = euro("49.90");
    let before = Left::Amount(paid.clone());
    let original = after.map(|after| Adjusted {
        event_id: "e-0",
        business_id: "o-1",
        occurred_at: DateTime::UNIX_EPOCH,
        money: Some(&paid),
        action_source: None,
        page_url: None,
        changed_at: event.occurred_at,
        updated_at: event.recorded_at,
        before: &before,
        after,
    });
    let (family, rules) = (Family::GoogleDataManager, Rules::default());
    let is_reversal = event.is_reversal();
    let conversion = Conversion::new(ACTION, &permitted, is_reversal, original, family, &rules);
    item(settings, &conversion)
}

fn json(item: &Item) -> Value {
    serde_json::from_str(&item.payload).expect("json")
}

#[test]
fn items_of_one_action_share_a_request() {
    let item = told(&settings(""), &event(|_| {}), None).expect("sendable");
    assert_eq!(
        (item.lot.call, item.lot.rule.as_deref()),
        ("", Some(ACTION))
    );
    let base = Url::parse("http://127.0.0.1:1/sandbox/").expect("an address");
    let request = request(&settings(""), &base, &[&item, &item]);
    assert_eq!(
        request.url.as_str(),
        "http://127.0.0.1:1/sandbox/v1/events:ingest"
    );
    let body: Value = serde_json::from_str(&request.body).expect("json");
    assert_eq!(body["destinations"][0]["productDestinationId"], ACTION);
    assert_eq!(body["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(body["events"][1]["destinationReferences"], json!([ACTION]));
}

#[test]
fn the_encoding_is_told_where_there_are_hashes() {
    let settings = settings("");
    let clicked = event(|c| {
        (c.user_data, c.click_ids) = (json!({}), json!({ "gclid": "\"userData\":" }));
    });
    let click = told(&settings, &clicked, None).expect("sendable");
    let person = told(&settings, &event(|_| {}), None).expect("sendable");
    let base = Url::parse(NEEDS.base_url).expect("an address");
    let encoding = |items: &[&Item]| {
        let body = request(&settings, &base, items).body;
        serde_json::from_str::<Value>(&body).expect("json")["encoding"].clone()
    };
    assert_eq!(encoding(&[&click]), Value::Null);
    assert_eq!(encoding(&[&click, &person]), "HEX");
}

#[test]
fn a_change_is_the_original_told_again() {
    let refund = event(|c| c.event_name = "order_refunded".into());
    let change = |after: Left| told(&settings(""), &refund, Some(&after));
    let part = json(&change(Left::Amount(euro("9.90"))).expect("sendable"));
    assert_eq!(part["transactionId"], "e-0");
    assert_eq!(part["eventTimestamp"], "1970-01-01T00:00:00Z");
    assert_eq!(part["conversionValue"].to_string(), "9.90");
    let nothing = json(&change(Left::Nothing).expect("sendable"));
    assert_eq!(nothing["conversionValue"].to_string(), "0");
    assert_eq!(nothing["currency"], "EUR");
    assert_eq!(change(Left::Unknown), Err(Unsendable::Invalid("value")));
    assert_eq!(
        told(&settings(""), &refund, None),
        Err(Unsendable::Invalid("depends_on"))
    );
}

#[test]
fn where_refunds_are_told_elsewhere_nothing_is_restated() {
    let elsewhere = settings("refund_mode = \"ads_api_retraction\"");
    let refund = event(|c| c.event_name = "order_refunded".into());
    let own = json(&told(&elsewhere, &refund, Some(&Left::Nothing)).expect("sendable"));
    assert_eq!(
        own["transactionId"], "e-1",
        "an event of its own, if anybody maps it"
    );
}

#[test]
fn an_address_needs_all_four_parts_and_a_postal_code_of_its_country() {
    let address = |country: &str, code: &str| {
        let user = json!({ "first_name": "Ada", "last_name": "Lovelace", "country": country, "postal_code": code });
        told(&settings(""), &event(|c| c.user_data = user), None).map(|item| {
            json(&item)["userData"]["userIdentifiers"][0]["address"]["postalCode"].clone()
        })
    };
    for code in ["94043", "94043-1351", "940431351"] {
        assert_eq!(address("US", code), Ok(code.into()));
    }
    for code in ["9404", "94043-13", "W1A 1AA", "94043-"] {
        assert_eq!(address("US", code), Err(Unsendable::NoIdentifier), "{code}");
    }
    assert_eq!(address("GB", "W1A 1AA"), Ok("W1A 1AA".into()));
    assert_eq!(address("", "94043"), Err(Unsendable::NoIdentifier));
}

#[test]
fn the_source_follows_from_where_it_happened() {
    let source = |lines: &str, place: Option<&str>, page: Option<&str>| {
        let event = event(|c| {
            c.action_source = place.map(str::to_owned);
            c.page_url = page.map(str::to_owned);
        });
        json(&told(&settings(lines), &event, None).expect("sendable"))["eventSource"].clone()
    };
    let page = Some("https://shop.example/");
    for (place, page, expected) in [
        (Some("website"), None, "WEB"),
        (Some("app"), page, "APP"),
        (Some("physical_store"), None, "IN_STORE"),
        (Some("phone_call"), None, "PHONE"),
        (Some("chat"), None, "MESSAGE"),
        (Some("business_messaging"), None, "MESSAGE"),
        (Some("email"), None, "OTHER"),
        (Some("system_generated"), page, "OTHER"),
        (None, page, "WEB"),
        (None, None, "OTHER"),
    ] {
        assert_eq!(source("", place, page), expected, "{place:?}");
    }
    let phone = "event_source = { order_paid = \"PHONE\" }";
    assert_eq!(source(phone, Some("website"), page), "PHONE");
}

#[test]
fn a_question_names_the_request() {
    let base = Url::parse(NEEDS.base_url).expect("an address");
    let question = question(&settings("quota_project = \"p-1\""), &base, "a&b c");
    assert_eq!(
        question.url.as_str(),
        "https://datamanager.googleapis.com/v1/requestStatus:retrieve?requestId=a%26b+c"
    );
    assert_eq!(question.body, "");
    assert_eq!(
        question.headers,
        [("x-goog-user-project", "p-1".to_owned())]
    );
}

#[test]
fn the_keys_have_defaults_and_bounds() {
    let plain = settings("");
    assert!(plain.restates && plain.narrow_partial && !plain.validate_only);
    assert_eq!(plain.ask_later.first, Duration::from_secs(1800));
    assert_eq!(plain.ask_later.pause_max, Duration::from_secs(3600));
    assert_eq!(plain.ask_later.give_up, Duration::from_secs(86_400));
    let quick =
        settings("status_first_secs = 1\nstatus_pause_max_secs = 2\nstatus_give_up_hours = 1");
    assert_eq!(quick.ask_later.first, Duration::from_secs(1));
    assert_eq!(quick.ask_later.pause_max, Duration::from_secs(2));
    let own = settings("login_account = \"1234567890\"");
    assert_eq!(own.login_account, None, "no way round to oneself");
    for (lines, fault) in [
        ("login_account = \"987-654-3210\"", "login_account"),
        ("refund_mode = \"retract\"", "refund_mode"),
        (
            "event_source = { order_paid = \"SHOP\" }",
            "event_source.order_paid",
        ),
        ("merchant_id = \"x\"", "merchant_id"),
        ("merchant_feed_label = \"DE\"", "merchant_feed_label"),
        ("quota_project = \"two words\"", "quota_project"),
        ("status_first_secs = 0", "status_first_secs"),
        ("status_give_up_hours = 1201", "status_give_up_hours"),
    ] {
        let account = "operating_account = \"1\"\nservice_account = { env = \"KEY\" }\n";
        let report = read(&format!("{account}{lines}")).expect_err(lines);
        assert!(report.contains(fault), "{report}");
        assert_eq!(report.lines().count(), 1, "{report}");
    }
    let report =
        read("operating_account = \"123-456-7890\"\nconversion_actions = { a = \"AW-1/x\" }")
            .expect_err("three faults");
    for fault in [
        "operating_account must be digits",
        "conversion_actions.a must be",
        "service_account",
    ] {
        assert!(report.contains(fault), "{report}");
    }
}
