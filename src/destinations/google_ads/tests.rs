//! What the Google Ads API is told, and what an operator may fill in.

use super::*;
use crate::config::Config;
use crate::consent::Permit;
use crate::destinations;
use crate::event::{Columns, OutboxEvent};
use crate::identity::Rules;
use crate::money::Money;
use crate::original::Left;

const ACTION: &str = "7712337565";

fn read(lines: &str) -> Result<Settings, String> {
    let text = format!(
        "[database]\nurl = {{ env = \"URL\" }}\n[[destination]]\nname = \"google\"\nplatform = \"google_ads\"\n{lines}"
    );
    let config = Config::parse(&text, "test.toml", []).map_err(|faults| faults.to_string())?;
    match config
        .destinations
        .into_iter()
        .next()
        .map(|one| one.settings)
    {
        Some(destinations::Settings::GoogleAds(settings)) => Ok(settings),
        other => panic!("{other:?}"),
    }
}

/// A plain customer with these lines.
pub(super) fn settings(lines: &str) -> Settings {
    read(&format!(
        "customer_id = \"1234567890\"\nservice_account = {{ env = \"KEY\" }}\nconversion_actions = {{ order_paid = \"{ACTION}\" }}\n{lines}"
    ))
    .expect("valid settings")
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_428_000 + seconds, 0).expect("a time")
}

fn event(change: impl FnOnce(&mut Columns)) -> OutboxEvent {
    let mut columns = Columns {
        event_id: "e-1".into(),
        event_name: "order_paid".into(),
        business_id: "o-1".into(),
        occurred_at: at(0),
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

fn told(event: &OutboxEvent, after: Option<&Left>) -> Result<Item, Unsendable> {
    let permitted = Permit::from_bits(0xffff | 1 << 16 | 1 << 18).over(event);
    let paid = euro("49.90");
    let before = Left::Amount(paid.clone());
    let original = after.map(|after| Adjusted {
        event_id: "e-0",
        business_id: "o-1",
        occurred_at: at(-60),
        money: Some(&paid),
        action_source: None,
        page_url: None,
        changed_at: event.occurred_at,
        updated_at: event.recorded_at,
        before: &before,
        after,
    });
    let (family, rules) = (Family::GoogleAds, Rules::default());
    let is_reversal = event.is_reversal();
    let conversion = Conversion::new(ACTION, &permitted, is_reversal, original, family, &rules);
    item(&settings(""), &conversion)
}

fn refund(change: impl FnOnce(&mut Columns)) -> OutboxEvent {
    event(|columns| {
        columns.event_name = "order_refunded".into();
        change(columns);
    })
}

fn json(item: &Item) -> Value {
    serde_json::from_str(&item.payload).expect("json")
}

#[test]
fn conversions_and_adjustments_never_share_a_request() {
    let click = told(&event(|_| {}), None).expect("sendable");
    let taken = told(&refund(|_| {}), Some(&Left::Nothing)).expect("sendable");
    assert_eq!(
        (click.lot.call, click.lot.rule.as_deref()),
        ("click", Some(ACTION))
    );
    assert_eq!(
        (taken.lot.call, taken.lot.rule.as_deref()),
        ("adjustment", Some(ACTION))
    );
    let base = Url::parse("http://127.0.0.1:1/sandbox").expect("an address");
    let settings =
        settings("validate_only = true\nlogin_customer_id = \"42\"\napi_version = \"v25\"");
    let sent = |items: &[&Item]| {
        let request = request(&settings, &base, items);
        assert_eq!(request.headers, [("login-customer-id", "42".to_owned())]);
        let body: Value = serde_json::from_str(&request.body).expect("json");
        assert_eq!(
            (&body["partialFailure"], &body["validateOnly"]),
            (&true.into(), &true.into())
        );
        (request.url.to_string(), body)
    };
    let (url, body) = sent(&[&click, &click]);
    assert_eq!(
        url,
        "http://127.0.0.1:1/sandbox/v25/customers/1234567890:uploadClickConversions"
    );
    assert_eq!(body["conversions"].as_array().map(Vec::len), Some(2));
    let (url, body) = sent(&[&taken]);
    assert_eq!(
        url,
        "http://127.0.0.1:1/sandbox/v25/customers/1234567890:uploadConversionAdjustments"
    );
    assert_eq!(
        body["conversionAdjustments"][0]["adjustmentType"],
        "RETRACTION"
    );
}

#[test]
fn what_is_left_decides_the_kind_of_adjustment() {
    let adjusted = |after: Left| told(&refund(|_| {}), Some(&after));
    let part = json(&adjusted(Left::Amount(euro("9.90"))).expect("sendable"));
    assert_eq!(part["adjustmentType"], "RESTATEMENT");
    assert_eq!(
        part["restatementValue"].to_string(),
        r#"{"adjustedValue":9.90,"currencyCode":"EUR"}"#
    );
    assert_eq!(part["orderId"], "e-0");
    let nothing = json(&adjusted(Left::Nothing).expect("sendable"));
    assert_eq!(nothing["adjustmentType"], "RETRACTION");
    assert!(nothing["restatementValue"].is_null());
    assert_eq!(adjusted(Left::Unknown), Err(Unsendable::Invalid("value")));
    assert_eq!(
        told(&refund(|_| {}), None),
        Err(Unsendable::Invalid("depends_on"))
    );
}

#[test]
fn an_adjustment_needs_no_person() {
    let nobody = refund(|columns| columns.user_data = json!({}));
    let body = json(&told(&nobody, Some(&Left::Nothing)).expect("sendable"));
    assert!(body["userIdentifiers"].is_null() && body["consent"].is_null());
}

#[test]
fn an_adjustment_has_its_own_time_to_the_second() {
    let when = |seconds: i64| {
        let event = refund(|columns| columns.occurred_at = at(seconds));
        json(&told(&event, Some(&Left::Nothing)).expect("sendable"))["adjustmentDateTime"].clone()
    };
    assert_eq!(when(0), "2026-11-23 10:00:00+00:00");
    assert_eq!(when(-59), "2026-11-23 09:59:01+00:00");
}

#[test]
fn the_keys_have_defaults_and_bounds() {
    let plain = settings("");
    assert_eq!(plain.api_version, "v26");
    assert!(
        !plain.validate_only && plain.adjusts_destination.is_none() && plain.merchant.is_none()
    );
    assert_eq!(
        settings("login_customer_id = \"1234567890\"").login_customer_id,
        None
    );
    for (lines, fault) in [
        ("login_customer_id = \"987-654-3210\"", "login_customer_id"),
        ("api_version = \"26\"", "api_version"),
        ("api_version = \"v26.0\"", "api_version"),
        ("merchant_feed_language = \"de\"", "merchant_feed_language"),
    ] {
        let account = "customer_id = \"1\"\nservice_account = { env = \"KEY\" }\n";
        let report = read(&format!("{account}{lines}")).expect_err(lines);
        assert!(report.contains(fault), "{report}");
        assert_eq!(report.lines().count(), 1, "{report}");
    }
}

#[test]
fn every_known_version_has_an_end() {
    let end = |version| version_ends(version).map(|day| day.to_string());
    assert_eq!(end("v22").as_deref(), Some("2026-10-07"));
    assert_eq!(end("v23").as_deref(), Some("2027-02-01"));
    assert_eq!(end("v26").as_deref(), Some("2027-11-01"));
    assert_eq!(end("v99"), None);
    assert!(
        version_ends(&settings("").api_version).is_some(),
        "the default"
    );
}
