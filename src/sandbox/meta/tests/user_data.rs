//! Rules of `user_data`.

use super::*;

#[test]
fn a_missing_user_agent_is_refused_by_the_docs_and_was_observed_to_pass() {
    refuses(
        json!({"user_data.client_user_agent": null}),
        "[user_data][client_user_agent]",
        None,
    );
    let body = json!({"data": [with(json!({"user_data.client_user_agent": null}))]}).to_string();
    let arrived = post(
        "/v26.0/77/events",
        "application/json",
        Some("Bearer t"),
        body,
    );
    assert_eq!(
        judged(&arrived, &Accounts::default(), MetaMode::Observed).0,
        200
    );
}

#[test]
fn hashed_fields_are_hashes_and_others_are_not() {
    for field in [
        "em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country",
    ] {
        let path = format!("user_data.{field}");
        let blamed = format!("[user_data][{field}]");
        accepts(json!({path.as_str(): [HASH]}));
        accepts(json!({path.as_str(): HASH}));
        for bad in [
            json!("someone@example.com"),
            json!([HASH.to_uppercase()]),
            json!([HASH, "x"]),
            json!([]),
            json!(""),
        ] {
            refuses(json!({path.as_str(): bad}), &blamed, None);
        }
    }
    for field in ["client_ip_address", "client_user_agent", "fbc", "fbp"] {
        refuses(
            json!({format!("user_data.{field}"): HASH}),
            &format!("[user_data][{field}]"),
            None,
        );
    }
    accepts(json!({"user_data.external_id": ["customer-1", HASH]}));
    refuses(
        json!({"user_data.external_id": [""]}),
        "[user_data][external_id]",
        None,
    );
    refuses(
        json!({"user_data.client_ip_address": "10.0.0.1 "}),
        "[user_data][client_ip_address]",
        None,
    );
    refuses(
        json!({"user_data.lead_id": "123456789012345"}),
        "[user_data][lead_id]",
        None,
    );
    accepts(json!({"user_data.lead_id": 123_456_789_012_345_i64}));
    refuses(json!({"user_data.email": HASH}), "[user_data][email]", None);
}

#[test]
fn click_and_browser_cookies() {
    for good in [
        "fb.1.1795427000000.AbC_-9",
        "fb.0.1795427000000.x.AQ",
        "fb.2.1795427000000.x.AQMAAQAA",
    ] {
        accepts(json!({"user_data.fbc": good}));
    }
    for bad in [
        "AbC",
        "fb.1.1795427000.x",
        "fb.1.1795427000000.",
        "fb.x.1795427000000.x",
        "fb.1.1795427000000.x.ABC",
        "fb.1.1795427000000.x y",
    ] {
        refuses(json!({"user_data.fbc": bad}), "[user_data][fbc]", None);
    }
    accepts(json!({"user_data.fbp": "fb.1.1795427000000.1098115397.AQ"}));
    refuses(
        json!({"user_data.fbp": "fb.1.1795427000000.abc"}),
        "[user_data][fbp]",
        None,
    );
}

#[test]
fn thin_identity_is_refused() {
    let other = |user_data: Value| json!({"action_source": "other", "event_source_url": null, "user_data": user_data});
    for thin in [
        json!({}),
        json!({"client_user_agent": "Mozilla/5.0"}),
        json!({"ct": HASH, "country": HASH, "st": HASH, "zp": HASH, "ge": HASH}),
        json!({"db": HASH, "client_user_agent": "Mozilla/5.0"}),
        json!({"fn": HASH, "ge": HASH}),
        json!({"ln": HASH}),
    ] {
        refuses(other(thin), "[user_data]", Some(2_804_050));
    }
    accepts(other(json!({"em": HASH})));
    accepts(other(json!({"fn": HASH, "ln": HASH})));
    accepts(other(
        json!({"client_ip_address": "203.0.113.7", "client_user_agent": "Mozilla/5.0"}),
    ));
}

#[test]
fn refusals_never_repeat_a_value() {
    let (_, body, judgement) =
        send(&json!({"data": [with(json!({"user_data.em": "canary@example.com"}))]}));
    assert!(!body.to_string().contains("canary") && !judgement.events[0].reason.contains("canary"));
}
