//! Whose click ids go where.

use serde_json::json;

use super::*;
use crate::consent::Kind;
use crate::event::{Columns, OutboxEvent};

/// Every click id a row may carry.
fn event() -> OutboxEvent {
    let signals = [
        "ad_storage",
        "analytics_storage",
        "ad_user_data",
        "ad_personalization",
    ];
    let columns = Columns {
        consent: signals
            .map(|signal| (signal, json!("granted")))
            .into_iter()
            .collect(),
        click_ids: json!({
            "gclid": " Cj0KCQiA-example ", "gbraid": "0AAAA-b", "wbraid": "Cl-w", "li_fat_id": "df5gf5-gh6t7",
            "fbc": "fb.1.1.abc", "fbp": "fb.1.1.1", "ga_client_id": "1.2", "ga_session_id": "3", "msclkid": "m",
        }),
        ..Columns::default()
    };
    OutboxEvent::parse(columns).expect("a valid event")
}

fn permit(kinds: &[Kind]) -> Permit {
    Permit::from_bits(kinds.iter().fold(0, |bits, kind| bits | 1 << *kind as i32))
}

/// The names of the ids that a family gets, with what it gets.
fn given(permit: Permit, family: Family) -> Vec<(&'static str, String)> {
    let event = event();
    let clicks = clicks(&permit.over(&event), family);
    let all = [
        ("fbc", clicks.fbc),
        ("fbp", clicks.fbp),
        ("ga_client_id", clicks.ga_client_id),
        ("ga_session_id", clicks.ga_session_id),
        ("gclid", clicks.gclid),
        ("gbraid", clicks.gbraid),
        ("wbraid", clicks.wbraid),
        ("li_fat_id", clicks.li_fat_id),
    ];
    all.into_iter()
        .filter_map(|(name, id)| Some((name, id?.to_string())))
        .collect()
}

#[test]
fn each_family_gets_its_own_ids_only() {
    let google = [
        ("gclid", "Cj0KCQiA-example"),
        ("gbraid", "0AAAA-b"),
        ("wbraid", "Cl-w"),
    ];
    for (family, expected) in [
        (
            Family::Meta,
            &[("fbc", "fb.1.1.abc"), ("fbp", "fb.1.1.1")][..],
        ),
        (
            Family::Ga4,
            &[("ga_client_id", "1.2"), ("ga_session_id", "3")],
        ),
        (Family::GoogleDataManager, &google),
        (Family::GoogleAds, &google),
        (Family::LinkedIn, &[("li_fat_id", "df5gf5-gh6t7")]),
    ] {
        let ids = given(permit(&[Kind::Event, Kind::ClickId]), family);
        let as_text: Vec<_> = ids.iter().map(|(name, id)| (*name, id.as_str())).collect();
        assert_eq!(as_text, expected, "{family:?}");
        assert_eq!(given(permit(&[Kind::Event]), family), []);
    }
}
