//! What an operator may write, and what LinkedIn is told.

use super::*;
use crate::config::read::read_config;
use crate::config::secret::SecretRef;
use crate::consent::Permit;
use crate::destinations::Credentials;
use crate::event::{Columns, OutboxEvent};
use crate::identity::Rules;

const DIRECT: &str = "ad_account = \"512345678\"\nrules = { order_paid = \"104012\" }\naccess_token = { env = \"TOKEN\" }\n";
const PARTNER: &str = "ad_account = \"512345678\"\nrules = { order_paid = \"104012\" }\n[oauth]\nclient_id = \"app\"\nclient_secret = { env = \"SECRET\" }\nrefresh_token = { env = \"REFRESH\" }\n";

fn read(text: &str) -> Result<Settings, String> {
    read_config(text, "fixture", [], Settings::read).map_err(|faults| faults.to_string())
}

fn settings() -> Settings {
    Settings {
        ad_account: "512345678".into(),
        rules: [("order_paid".into(), "104012".into())].into(),
        version: "202609".into(),
        access: Access::Direct(SecretRef::variable("TOKEN")),
        clear_names: false,
        send_employment: false,
        send_ip: false,
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
        user_data: json!({ "email": "a@example.com" }),
        ..Columns::default()
    };
    change(&mut columns);
    OutboxEvent::parse(columns).expect("a valid event")
}

fn item_of(settings: &Settings, event: &OutboxEvent) -> Result<Item, Unsendable> {
    let permitted = Permit::from_bits(0xffff | 1 << 16 | 1 << 18).over(event);
    let rules = settings.rules(Rules::default());
    let conversion = Conversion::new("104012", &permitted, false, None, Family::LinkedIn, &rules);
    item(settings, &conversion)
}

fn told(settings: &Settings, change: impl FnOnce(&mut Columns)) -> Result<Value, Unsendable> {
    let item = item_of(settings, &event(change))?;
    Ok(serde_json::from_str(&item.payload).expect("json"))
}

fn user(settings: &Settings, person: Value) -> Result<Value, Unsendable> {
    told(settings, |columns| columns.user_data = person).map(|event| event["user"].clone())
}

#[test]
fn a_minimal_destination_gets_the_defaults() {
    assert_eq!(read(DIRECT), Ok(settings()));
    let partner = read(PARTNER).expect("valid");
    let Credentials::OAuth(oauth) = partner.credentials() else {
        panic!("a partner app")
    };
    assert_eq!(
        (oauth.token_url.as_str(), oauth.scope),
        ("https://www.linkedin.com/oauth/v2/accessToken", "")
    );
}

#[test]
fn exactly_one_kind_of_token_is_given() {
    let both = format!("access_token = {{ env = \"TOKEN\" }}\n{PARTNER}");
    let none = DIRECT.replace("access_token", "# access_token");
    for text in [both, none] {
        let report = read(&text).expect_err("a fault");
        assert!(
            report.contains("access_token or oauth: exactly one of them"),
            "{report}"
        );
        assert_eq!(report.lines().count(), 1, "{report}");
    }
    let half = PARTNER.replace("refresh_token", "# refresh_token");
    assert!(
        read(&half)
            .expect_err("a fault")
            .contains("oauth.refresh_token is required")
    );
}

#[test]
fn what_linkedin_would_not_take_is_a_fault() {
    for (change, place) in [
        (
            ("\"512345678\"", "\"urn:li:sponsoredAccount:5\""),
            "ad_account must be digits",
        ),
        (("ad_account", "# ad_account"), "ad_account is required"),
        (
            ("\"104012\"", "\"urn:lla:llaPartnerConversion:1\""),
            "rules.order_paid must be a conversion rule's id",
        ),
        (("rules", "# rules"), "rules is required"),
        (("order_paid", "order_refunded"), "rules maps a refund"),
        (("order_paid", "booking_cancelled"), "rules maps a refund"),
    ] {
        let report = read(&DIRECT.replace(change.0, change.1)).expect_err("a fault");
        assert!(report.contains(place), "{report}");
    }
    for version in ["202512", "2026-09", "202613", "v26.0", "latest"] {
        let report = read(&format!("{DIRECT}version = \"{version}\"\n")).expect_err("a fault");
        assert!(report.contains("version must be a version"), "{report}");
    }
}

#[test]
fn one_event_is_no_batch() {
    let item = item_of(&settings(), &event(|_| {})).expect("sendable");
    assert_eq!(
        (item.lot.call, item.lot.rule.as_deref()),
        ("", Some("104012"))
    );
    let base = Url::parse("https://proxy.example/linkedin/").expect("a url");
    let one = request(&settings(), &base, &[&item]);
    assert_eq!(
        one.url.as_str(),
        "https://proxy.example/linkedin/rest/conversionEvents"
    );
    assert_eq!(one.body, item.payload);
    let headers = [
        ("LinkedIn-Version", "202609".to_owned()),
        ("X-Restli-Protocol-Version", "2.0.0".to_owned()),
    ];
    assert_eq!(one.headers, headers);
    assert_eq!(one.credential, Credential::Bearer);

    let two = request(&settings(), &base, &[&item, &item]);
    assert_eq!(
        two.body,
        format!("{{\"elements\":[{0},{0}]}}", item.payload)
    );
    assert_eq!(two.headers[..2], headers);
    assert_eq!(
        two.headers[2..],
        [("X-RestLi-Method", "BATCH_CREATE".to_owned())]
    );
}

#[test]
fn an_amount_is_text_without_an_exponent() {
    let amount = |value: &str| {
        told(&settings(), |columns| columns.value = Some(value.into()))
            .map(|event| event["conversionValue"]["amount"].clone())
    };
    assert_eq!(amount("49.90"), Ok(json!("49.90")));
    assert_eq!(amount("1e2"), Ok(json!("100")));
    assert_eq!(amount("1e-300"), Err(Unsendable::Invalid("value")));
    let without = told(&settings(), |c| (c.value, c.currency) = (None, None)).expect("sendable");
    assert!(without.get("conversionValue").is_none());
}

#[test]
fn an_id_that_is_too_long_becomes_its_digest() {
    assert_eq!(event_id(&"x".repeat(64)), "x".repeat(64));
    assert_eq!(
        event_id(&"ü".repeat(64)),
        "ü".repeat(64),
        "characters, not bytes"
    );
    // python3: hashlib.sha256(b"x" * 65).hexdigest()
    assert_eq!(
        event_id(&"x".repeat(65)),
        "9537c5fdf120482f7d58d25e9ed583f52c02b4e304ea814db1633ad565aed7e9"
    );
}

#[test]
fn somebody_must_be_there() {
    let nobody = Err(Unsendable::NoIdentifier);
    for person in [
        json!({}),
        json!({ "email": "nobody", "phone": "+49 170 1234567" }),
        json!({ "first_name": "Ada", "country": "de" }),
        json!({ "ip_address": "203.0.113.7" }),
    ] {
        assert_eq!(user(&settings(), person.clone()), nobody, "{person}");
    }
    let by_id = user(&settings(), json!({ "external_id": "customer-7" }));
    assert_eq!(
        by_id,
        Ok(json!({ "userIds": [], "externalIds": ["customer-7"] }))
    );
    let click = told(&settings(), |columns| {
        columns.user_data = json!({});
        columns.click_ids = json!({ "li_fat_id": "Df5gf5-gh6t7-ph4j7h-fgf6n1" });
    });
    assert_eq!(
        click.expect("sendable")["user"],
        json!({ "userIds": [{ "idType": "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "idValue": "Df5gf5-gh6t7-ph4j7h-fgf6n1" }] })
    );
}

#[test]
fn an_address_of_the_network_leaves_by_the_operators_word() {
    let open = Settings {
        send_ip: true,
        ..settings()
    };
    let by_ip = user(&open, json!({ "ip_address": "203.0.113.7" }));
    assert_eq!(
        by_ip,
        Ok(json!({ "userIds": [{ "idType": "PLAINTEXT_IP_ADDRESS", "idValue": "203.0.113.7" }] }))
    );
    let v6 = user(&open, json!({ "ip_address": "2001:db8::7" }));
    assert_eq!(v6, Err(Unsendable::NoIdentifier));
}

#[test]
fn names_leave_in_pairs_and_as_the_version_takes_them() {
    let hash = "ab".repeat(32);
    let person = json!({ "first_name": "Jean-Luc", "last_name": hash });
    let info = |version: &str, clear_names| {
        let settings = Settings {
            version: version.into(),
            clear_names,
            ..settings()
        };
        user(&settings, person.clone()).map(|user| user["userInfo"].clone())
    };
    assert_eq!(
        info("202609", true),
        Ok(json!({ "firstName": "Jean-Luc", "hashedLastName": hash })),
        "pairs may be mixed"
    );
    assert!(info("202609", false).expect("sendable")["hashedFirstName"].is_string());
    assert_eq!(
        info("202608", true),
        Err(Unsendable::NoIdentifier),
        "a hash is no clear name"
    );
    assert_eq!(info("202608", false), Err(Unsendable::NoIdentifier));
}

#[test]
fn what_is_taken_back_is_no_conversion() {
    for name in ["order_refunded", "booking_cancelled"] {
        let refund = told(&settings(), |columns| columns.event_name = name.into());
        assert_eq!(refund, Err(Unsendable::Invalid("event_name")), "{name}");
    }
}
