//! Rules of one event outside `user_data`.

use super::*;

#[test]
fn required_fields_and_types() {
    for field in ["event_name", "event_time", "action_source", "user_data"] {
        refuses(json!({field: null}), &format!("[{field}]"), None);
    }
    refuses(json!({"event_name": ""}), "[event_name]", None);
    refuses(json!({"event_time": "1795427000"}), "[event_time]", None);
    refuses(json!({"event_time": 1_795_427_000.5}), "[event_time]", None);
    refuses(json!({"event_id": 1042}), "[event_id]", None);
    refuses(json!({"opt_out": "true"}), "[opt_out]", None);
    refuses(json!({"value": 1}), "[value]", None);
    refuses(json!({"action_source": "web"}), "[action_source]", None);
    refuses(
        json!({"original_event_data": {"order": "1"}}),
        "[original_event_data][order]",
        None,
    );
    accepts(json!({"event_id": null}));
    accepts(
        json!({"opt_out": true, "referrer_url": "https://a.example/", "customer_segmentation": "new_customer_to_business"}),
    );
    accepts(
        json!({"original_event_data": {"event_name": "Purchase", "event_time": 1_795_000_000, "order_id": "1", "event_id": "1"}}),
    );
}

#[test]
fn age_and_future() {
    let at = |age: TimeDelta| json!((now() - age).timestamp());
    accepts(json!({"event_time": at(TimeDelta::days(7))}));
    refuses(
        json!({"event_time": at(TimeDelta::days(7) + TimeDelta::seconds(1))}),
        "[event_time]",
        Some(2_804_003),
    );
    accepts(json!({"event_time": at(TimeDelta::days(62)), "action_source": "physical_store"}));
    refuses(
        json!({"event_time": at(TimeDelta::days(63)), "action_source": "physical_store"}),
        "[event_time]",
        Some(2_804_003),
    );
    accepts(json!({"event_time": at(TimeDelta::seconds(-60))}));
    refuses(
        json!({"event_time": at(TimeDelta::seconds(-61))}),
        "[event_time]",
        None,
    );
    refuses(
        json!({"event_time": 1_795_427_000_000_i64}),
        "[event_time]",
        None,
    );
}

#[test]
fn what_an_action_source_demands() {
    refuses(
        json!({"event_source_url": null}),
        "[event_source_url]",
        None,
    );
    refuses(
        json!({"event_source_url": "shop.example"}),
        "[event_source_url]",
        None,
    );
    accepts(
        json!({"action_source": "system_generated", "event_source_url": null, "user_data.client_user_agent": null}),
    );
    accepts(json!({"action_source": "other", "event_source_url": null}));
    refuses(json!({"action_source": "app"}), "[app_data]", None);
    let extinfo = vec!["a"; 16];
    accepts(
        json!({"action_source": "app", "app_data": {"advertiser_tracking_enabled": 1, "extinfo": extinfo}}),
    );
    refuses(
        json!({"action_source": "app", "app_data": {"advertiser_tracking_enabled": 1, "extinfo": ["a"]}}),
        "[app_data][extinfo]",
        None,
    );
    let messaging = json!({"action_source": "business_messaging", "messaging_channel": "whatsapp", "user_data.ctwa_clid": "c"});
    accepts(messaging.clone());
    let mut change = messaging;
    change["event_name"] = json!("Lead");
    refuses(change.clone(), "[event_name]", Some(2_804_066));
    change["event_name"] = json!("LeadSubmitted");
    change["messaging_channel"] = Value::Null;
    refuses(change, "[messaging_channel]", None);
}

#[test]
fn a_purchase_has_value_and_currency() {
    refuses(
        json!({"custom_data": null}),
        "[custom_data][value]",
        Some(2_804_009),
    );
    refuses(
        json!({"custom_data.value": null}),
        "[custom_data][value]",
        Some(2_804_009),
    );
    refuses(
        json!({"custom_data.currency": null}),
        "[custom_data][currency]",
        None,
    );
    refuses(
        json!({"custom_data.value": "129.90"}),
        "[custom_data][value]",
        None,
    );
    refuses(
        json!({"custom_data.value": -1}),
        "[custom_data][value]",
        None,
    );
    refuses(
        json!({"custom_data.currency": "EURO"}),
        "[custom_data][currency]",
        None,
    );
    accepts(json!({"custom_data.currency": "eur"}));
    accepts(json!({"event_name": "Lead", "custom_data": null}));
    accepts(json!({"custom_data.own_property": {"any": "thing"}}));
    refuses(
        json!({"custom_data.contents": [{"quantity": 1}]}),
        "[custom_data][contents]",
        None,
    );
    refuses(
        json!({"custom_data.num_items": 1.5}),
        "[custom_data][num_items]",
        None,
    );
    refuses(
        json!({"custom_data.content_type": "things"}),
        "[custom_data][content_type]",
        None,
    );
}

#[test]
fn limited_data_use() {
    let ldu = |country: Value, state: Value| {
        json!({"data_processing_options": ["LDU"], "data_processing_options_country": country,
            "data_processing_options_state": state})
    };
    accepts(json!({"data_processing_options": []}));
    accepts(ldu(json!(1), json!(1000)));
    accepts(ldu(json!(0), json!(0)));
    refuses(
        ldu(Value::Null, Value::Null),
        "[data_processing_options_country]",
        None,
    );
    refuses(
        ldu(json!(1), Value::Null),
        "[data_processing_options_state]",
        None,
    );
    refuses(
        ldu(json!(2), json!(1000)),
        "[data_processing_options_country]",
        None,
    );
    refuses(
        ldu(json!(1), json!(1014)),
        "[data_processing_options_state]",
        None,
    );
    refuses(
        json!({"data_processing_options": ["ldu"]}),
        "[data_processing_options]",
        None,
    );
    let mut geolocated = ldu(json!(0), json!(0));
    geolocated["user_data.client_ip_address"] = Value::Null;
    refuses(geolocated, "[user_data][client_ip_address]", None);
}
