//! The emulator's rules, request by request, without sockets or ledger.

mod adjustments;
mod clicks;
mod requests;
mod searches;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::TimeDelta;

use super::*;
use crate::sandbox::exchange::{Judged, Platform, Ruling};
use crate::sandbox::google::{
    ActionKind, ActionStatus, Click, ClickKind, ConversionAction, Counting, Stored,
};

const CUSTOMER: &str = "1234567890";
const CLICKS: &str = "/v26/customers/1234567890:uploadClickConversions";
const ADJUSTMENTS: &str = "/v26/customers/1234567890:uploadConversionAdjustments";
const SEARCH: &str = "/v26/customers/1234567890/googleAds:search";
const ACTION: &str = "customers/1234567890/conversionActions/7";
const HASH: &str = "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a";

/// 2026-11-23T10:00:00Z.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_428_000, 0).unwrap()
}

/// A time so many hours ago, as the API writes it.
fn ago(hours: i64) -> String {
    let at = now() - TimeDelta::hours(hours);
    at.format("%Y-%m-%d %H:%M:%S+00:00").to_string()
}

/// What was answered and ruled.
struct Told {
    status: u16,
    body: Value,
    events: Vec<Judged>,
}

impl Told {
    /// The code of the only error of a refused request.
    fn refusal(&self) -> String {
        let error = &self.body["error"]["details"][0]["errors"][0];
        code(error)
    }

    /// The codes of a row, in order.
    fn codes(&self, row: u64) -> Vec<String> {
        let errors = &self.body["partialFailureError"]["details"][0]["errors"];
        let errors = errors.as_array().into_iter().flatten();
        let of_row = errors.filter(|error| {
            error["location"]["fieldPathElements"][0]["index"]
                .as_u64()
                .unwrap_or(0)
                == row
        });
        of_row.map(code).collect()
    }

    /// The path of an error, as `conversions[0].user_identifiers[1]`.
    fn place(&self, error: usize) -> String {
        let error = &self.body["partialFailureError"]["details"][0]["errors"][error];
        let steps = error["location"]["fieldPathElements"].as_array().unwrap();
        let steps = steps.iter().map(|step| {
            let name = step["fieldName"].as_str().unwrap();
            match step.get("index") {
                Some(index) => format!("{name}[{index}]"),
                None => name.to_owned(),
            }
        });
        steps.collect::<Vec<_>>().join(".")
    }

    fn rulings(&self) -> Vec<&Ruling> {
        self.events.iter().map(|judged| &judged.ruling).collect()
    }
}

fn code(error: &Value) -> String {
    let (key, value) = error["errorCode"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    format!("{key}.{}", value.as_str().unwrap())
}

struct Google {
    world: google::World,
    processing: Processing,
    now: DateTime<Utc>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Google {
    /// Where nothing was set up.
    fn new() -> Google {
        Google {
            world: google::World::default(),
            processing: Processing::default(),
            now: now(),
            headers: vec![("authorization", "Bearer t")],
        }
    }

    /// With one allowlisted customer and its action.
    fn with_customer() -> Google {
        let mut google = Google::new();
        let created = now() - TimeDelta::days(100);
        let action = ConversionAction::upload_clicks(CUSTOMER, "7", created);
        google.world.add_action(action);
        google.put(Customer::new(CUSTOMER).allowlisted());
        google
    }

    fn put(&mut self, customer: Customer) {
        self.world.ads.put_customer(customer);
    }

    fn click(&mut self, kind: ClickKind, id: &str, hours_ago: i64, customer: &str) {
        self.world.add_click(Click {
            id: id.to_owned(),
            kind,
            clicked_at: self.now - TimeDelta::hours(hours_ago),
            customer: customer.to_owned(),
        });
    }

    fn ask(&mut self, path: &str, body: &Value) -> Told {
        self.ask_raw("POST", path, &body.to_string())
    }

    fn ask_raw(&mut self, method: &str, path: &str, body: &str) -> Told {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let arrived = Arrived {
            platform: Platform::GoogleAds,
            method: method.parse().unwrap(),
            path: path.to_owned(),
            query: Vec::new(),
            headers,
            body: body.to_owned().into(),
        };
        let reading = read(&arrived);
        let told = judge(
            &arrived,
            &reading,
            &mut self.world,
            &self.processing,
            self.now,
        );
        if told.refusal.is_none() {
            assert_eq!(reading.events.len(), told.events.len());
        }
        Told {
            status: told.reply.status,
            body: serde_json::from_str(&told.reply.body).unwrap(),
            events: told.events,
        }
    }

    fn upload(&mut self, rows: &[Value]) -> Told {
        self.ask(
            CLICKS,
            &json!({"conversions": rows, "partialFailure": true}),
        )
    }

    fn adjust(&mut self, rows: &[Value]) -> Told {
        let body = json!({"conversionAdjustments": rows, "partialFailure": true});
        self.ask(ADJUSTMENTS, &body)
    }
}

/// A good click conversion of yesterday.
fn conversion(order_id: &str) -> Value {
    json!({"gclid": "Cj0KCQiA-example", "conversionAction": ACTION, "conversionDateTime": ago(24),
        "conversionValue": 129.9, "currencyCode": "EUR", "orderId": order_id})
}

/// The same with other fields; null takes a field away.
fn with(mut row: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        row[name] = value.clone();
    }
    row
}
