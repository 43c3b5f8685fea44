//! What one delivery costs before the network: consent, normalising and hashing, and the payload; no I/O.

use std::hint::black_box;
use std::time::Instant;

use chrono::Utc;
use serde_json::{Value, json};

use super::throughput::round;
use crate::config::Config;
use crate::config::destination::DestinationConfig;
use crate::consent::{self, Recipient};
use crate::conversion::Conversion;
use crate::decide::{self, Prior, Surroundings};
use crate::event::{Columns, OutboxEvent};

const ROUNDS: u32 = 20_000;

const CONFIG: &str = r#"
[database]
url = { env = "UNUSED" }
[[destination]]
name = "meta"
platform = "meta"
dataset_id = "1"
access_token = { env = "UNUSED" }
[[destination]]
name = "ga4"
platform = "ga4"
measurement_id = "G-BENCH"
api_secret = { env = "UNUSED" }
"#;

/// Microseconds a delivery for each step, on each platform.
pub(super) fn measure() -> Value {
    crate::identity::warm_up();
    let config = Config::parse(CONFIG, "bench.toml", []).expect("the configuration above is right");
    let event = event();
    let mut result = json!({ "bench": "pipeline", "unit": "us_per_delivery" });
    for destination in &config.destinations {
        result[destination.name.as_str()] = steps(&event, destination);
    }
    result
}

fn steps(event: &OutboxEvent, destination: &DestinationConfig) -> Value {
    let recipient = Recipient {
        destination: &destination.name,
        platform: destination.platform().name(),
        policy: &destination.consent,
        fields: &destination.fields,
    };
    let permit = consent::judge(event, recipient, &[]).expect("consent is granted in the bench");
    let name = destination
        .settings
        .default_name(&event.event_name)
        .expect("a paid order has a name everywhere");
    let rules = destination.settings.rules(None);
    let permitted = permit.over(event);
    let hash = || {
        Conversion::new(
            name,
            &permitted,
            false,
            None,
            destination.platform().needs().family,
            &rules,
        )
    };
    let conversion = hash();
    let around = Surroundings::default();
    json!({
        "consent": micros(|| consent::judge(black_box(event), recipient, &[])),
        "normalise_and_hash": micros(hash),
        "payload": micros(|| destination.settings.item(black_box(&conversion))),
        "all_with_routing_and_age": micros(|| decide::decide(event, &around, destination, None, &Prior::default(), Utc::now())),
    })
}

fn micros<T>(mut step: impl FnMut() -> T) -> f64 {
    let started = Instant::now();
    for _ in 0..ROUNDS {
        black_box(step());
    }
    round(started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS), 2)
}

fn event() -> OutboxEvent {
    let columns = Columns {
        event_id: "order-1042".into(),
        event_name: "order_paid".into(),
        business_id: "order-1042".into(),
        occurred_at: Utc::now(),
        recorded_at: Utc::now(),
        value: Some("129.90".into()),
        currency: Some("EUR".into()),
        consent: json!({ "ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted", "ad_personalization": "granted" }),
        user_data: json!({
            "email": "customer@example.com", "phone": "+49 30 901820", "first_name": "Ana", "last_name": "Muster", "city": "Berlin",
            "postal_code": "10115", "country": "DE", "external_id": "c-1", "ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0 (X11)",
        }),
        click_ids: json!({ "fbp": "fb.1.1596403881668.1116446470", "ga_client_id": "123456789.1700000000" }),
        properties: json!({ "items": [{ "id": "SKU-7", "price": 62.5, "quantity": 2 }], "tax": 20.74 }),
        action_source: Some("website".into()),
        page_url: Some("https://shop.example/thanks".into()),
        ..Columns::default()
    };
    OutboxEvent::parse(columns).expect("the event above is right")
}
