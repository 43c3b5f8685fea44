//! A person and credentials that are recognised wherever they appear.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use conversion_outbox::sandbox::google::sandbox_key_file;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::rig::{order, with};

pub(super) const META_TOKEN: &str = "EAAcanaryMetaToken1234567890abcdefghij";
pub(super) const GA4_SECRET: &str = "CanarySecretOfGa4";
pub(super) const LINKEDIN_TOKEN: &str = "AQXcanaryLinkedInToken_1234567890-abcdefghij";
pub(super) const ADMIN_TOKEN: &str = "CanaryAdminToken-1234567890";
pub(super) const DATABASE_PASSWORD: &str = "CanaryDatabasePassword";
pub(super) const CLIENT_SECRET: &str = "GOCSPX-CanaryClientSecret";
pub(super) const REFRESH_TOKEN: &str = "1//0canaryRefreshToken-abcdef";
/// What every access token of the sandbox begins with.
pub(super) const ACCESS_TOKEN: &str = "ya29.sandbox";

/// Everything personal of an event, each value recognisable.
pub(super) const PERSON: [(&str, &str); 15] = [
    ("email", "Canary.Person+Shop@Gmail.com"),
    ("phone", "+49 170 9876543"),
    ("first_name", "canaryfirst"),
    ("last_name", "canarylast"),
    ("street", "canarystreet 99"),
    ("city", "canarycity"),
    ("region", "canaryregion"),
    ("postal_code", "98765"),
    ("date_of_birth", "1987-06-05"),
    ("external_id", "canary-external-id"),
    ("company", "canary company"),
    ("job_title", "canary job"),
    ("ip_address", "203.0.113.177"),
    ("user_agent", "CanaryBrowser/1.0"),
    ("country", "de"),
];
/// The same as platforms normalise it: each family has its own way with a tag, dots and a plus.
pub(super) const NORMALISED: [&str; 6] = [
    "canary.person+shop@gmail.com",
    "canaryperson+shop@gmail.com",
    "canaryperson@gmail.com",
    "+491709876543",
    "491709876543",
    "19870605",
];
pub(super) const CLICKS: [(&str, &str); 8] = [
    ("fbp", "fb.1.1690000000000.9876543210"),
    ("fbclid", "IwAR0canaryClick"),
    ("gclid", "CjwCanaryGclid-0123456789"),
    ("gbraid", "0AAAAACanaryGbraid-0123456789"),
    ("wbraid", "Cj8CanaryWbraid-0123456789"),
    ("li_fat_id", "0c4a8a17-cafe-4c0a-9a3e-canary012345"),
    ("ga_client_id", "9876543210.1690000001"),
    ("ga_session_id", "1690000099"),
];
pub(super) const PAGE: &str = "https://shop.example/thanks?mail=canary-page";

pub(super) fn secrets() -> Vec<String> {
    let key_file: Value =
        serde_json::from_str(&sandbox_key_file("http://localhost/token")).expect("json");
    let key = key_file["private_key"].as_str().expect("a key");
    let of_key = key.lines().filter(|line| line.len() > 40);
    let others = [
        META_TOKEN,
        GA4_SECRET,
        LINKEDIN_TOKEN,
        CLIENT_SECRET,
        REFRESH_TOKEN,
        ACCESS_TOKEN,
        ADMIN_TOKEN,
        DATABASE_PASSWORD,
    ];
    of_key.chain(others).map(str::to_owned).collect()
}

/// What must not be found: raw, and hashed in every spelling of a hash. Of secrets too, for a hash of a weak one is as good as
/// the secret.
pub(super) fn canaries() -> Vec<String> {
    let raw: Vec<String> = secrets().into_iter().chain(of_the_person()).collect();
    let hashed = raw.iter().flat_map(|value| {
        let hash = Sha256::digest(value.as_bytes());
        [
            hex(&hash),
            STANDARD_NO_PAD.encode(hash),
            URL_SAFE_NO_PAD.encode(hash),
        ]
    });
    hashed.chain(raw.iter().cloned()).collect()
}

fn of_the_person() -> impl Iterator<Item = String> {
    PERSON
        .iter()
        .chain(&CLICKS)
        .filter(|(key, _)| *key != "country")
        .map(|(_, value)| *value)
        .chain(NORMALISED)
        .chain([PAGE, "canary-page", "canary gift"])
        .map(str::to_owned)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// With all that is known of the person.
pub(super) fn known(event: Value) -> Value {
    let map = |pairs: &[(&str, &str)]| -> Value {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    with(
        event,
        json!({
            "user_data": map(&PERSON), "click_ids": map(&CLICKS), "page_url": PAGE, "action_source": "website",
            "properties": { "gift_message": "canary gift", "items": [{ "id": "sku-1" }] },
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }),
    )
}

pub(super) fn event(business_id: &str) -> Value {
    known(order(business_id))
}
