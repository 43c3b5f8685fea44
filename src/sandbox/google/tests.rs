//! The token endpoint and the tokens it gives.

use axum::http::{HeaderMap, HeaderValue, Method};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::access::Unauthorised;
use super::*;
use crate::sandbox::exchange::Platform;

const EMAIL: &str = "sandbox@conversion-outbox-sandbox.iam.gserviceaccount.com";
const JWT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_428_000, 0).unwrap()
}

fn ask_as(world: &mut World, content_type: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
    headers.insert("host", HeaderValue::from_static("127.0.0.1:8890"));
    let arrived = Arrived {
        platform: Platform::GoogleAds,
        method: Method::POST,
        path: TOKEN_PATH.to_owned(),
        query: Vec::new(),
        headers,
        body: body.into(),
    };
    let reply = answer_token(&arrived, world, now()).reply;
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

fn ask(world: &mut World, form: &[(&str, &str)]) -> (u16, Value) {
    ask_as(world, "application/x-www-form-urlencoded", form)
}

fn refresh(world: &mut World, id: &str, secret: &str, token: &str) -> (u16, Value) {
    ask(
        world,
        &[
            ("grant_type", "refresh_token"),
            ("client_id", id),
            ("client_secret", secret),
            ("refresh_token", token),
        ],
    )
}

/// A JWT signed with the sandbox's own key.
fn jwt(header: &Value, claims: &Value) -> String {
    let file: Value = serde_json::from_str(&sandbox_key_file("")).unwrap();
    let pem = file["private_key"].as_str().unwrap();
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let pair = KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "sandbox-key-1"})
}

fn claims() -> Value {
    let at = now().timestamp();
    json!({"iss": EMAIL, "scope": DATA_MANAGER_SCOPE, "aud": "https://oauth2.googleapis.com/token", "iat": at,
        "exp": at + 3600})
}

fn assert_grant(world: &mut World, assertion: &str) -> (u16, Value) {
    ask(world, &[("grant_type", JWT), ("assertion", assertion)])
}

fn standing(
    world: &World,
    header: Option<&str>,
    scope: &str,
    at: DateTime<Utc>,
) -> Result<(), Unauthorised> {
    let mut headers = HeaderMap::new();
    if let Some(text) = header {
        headers.insert("authorization", HeaderValue::from_str(text).unwrap());
    }
    let arrived = Arrived {
        platform: Platform::GoogleAds,
        method: Method::POST,
        path: String::new(),
        query: Vec::new(),
        headers,
        body: bytes::Bytes::new(),
    };
    world.authorise(&arrived, scope, at)
}

#[test]
fn a_refresh_token_gives_an_access_token_with_its_scopes_and_end() {
    let mut world = World::default();
    world.add_client(RefreshClient {
        scopes: vec![ADS_SCOPE.to_owned()],
        ..RefreshClient::new("id", "secret", "refresh")
    });
    let (status, body) = refresh(&mut world, "id", "secret", "refresh");
    assert_eq!(status, 200);
    assert_eq!(
        (&body["expires_in"], &body["token_type"], &body["scope"]),
        (&json!(3599), &json!("Bearer"), &json!(ADS_SCOPE))
    );
    let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
    let bearer = Some(bearer.as_str());
    let last = now() + TimeDelta::seconds(3598);
    assert_eq!(standing(&world, bearer, ADS_SCOPE, last), Ok(()));
    assert_eq!(
        standing(&world, bearer, DATA_MANAGER_SCOPE, last),
        Err(Unauthorised::WrongScope)
    );
    assert_eq!(
        standing(&world, bearer, ADS_SCOPE, last + TimeDelta::seconds(1)),
        Err(Unauthorised::Expired)
    );
    world.revoke_access_tokens();
    assert_eq!(
        standing(&world, bearer, ADS_SCOPE, now()),
        Err(Unauthorised::Expired)
    );
    assert_eq!(
        standing(&world, Some("Bearer other"), ADS_SCOPE, now()),
        Err(Unauthorised::Unknown)
    );
    for missing in [None, Some("Bearer "), Some("Basic abc")] {
        assert_eq!(
            standing(&world, missing, ADS_SCOPE, now()),
            Err(Unauthorised::Missing)
        );
    }
    world.set_token_lifetime(TimeDelta::seconds(5));
    let (_, again) = refresh(&mut world, "id", "secret", "refresh");
    assert_eq!(again["expires_in"], 5);
    assert_ne!(again["access_token"], body["access_token"]);
}

#[test]
fn wrong_clients_and_refresh_tokens_are_told_apart() {
    let mut world = World::default();
    world.add_client(RefreshClient::new("id", "secret", "refresh"));
    world.add_client(RefreshClient::new("other", "secret", "theirs"));
    for (id, secret, token, expected) in [
        ("nobody", "secret", "refresh", (401, "invalid_client")),
        ("id", "wrong", "refresh", (401, "invalid_client")),
        ("id", "secret", "theirs", (400, "invalid_grant")),
        ("id", "secret", "unknown", (400, "invalid_grant")),
        ("id", "secret", "", (400, "invalid_request")),
        ("", "secret", "refresh", (400, "invalid_request")),
        ("id", "", "refresh", (400, "invalid_request")),
    ] {
        let (status, body) = refresh(&mut world, id, secret, token);
        assert_eq!((status, body["error"].as_str().unwrap()), expected);
    }
    world.revoke_refresh_token("refresh");
    let (status, body) = refresh(&mut world, "id", "secret", "refresh");
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
    world.add_client(RefreshClient::new("id", "secret", "refresh"));
    assert_eq!(refresh(&mut world, "id", "secret", "refresh").0, 200);
    let (_, body) = ask(&mut world, &[("grant_type", "password")]);
    assert_eq!(body["error"], "unsupported_grant_type");
    let form = [("grant_type", "refresh_token")];
    let (status, body) = ask_as(&mut world, "application/json", &form);
    assert_eq!((status, &body["error"]), (400, &json!("invalid_request")));
}

#[test]
fn a_signed_assertion_gives_an_access_token() {
    let mut world = World::default();
    world.add_service_account(ServiceAccount::of_sandbox());
    for audience in [
        "https://oauth2.googleapis.com/token",
        "http://127.0.0.1:8890/token",
        "http://127.0.0.1:8890/google_data_manager/token",
        "http://127.0.0.1:8890/google_ads/token",
    ] {
        let mut claims = claims();
        claims["aud"] = audience.into();
        let (status, body) = assert_grant(&mut world, &jwt(&header(), &claims));
        assert_eq!((status, &body["scope"]), (200, &json!(DATA_MANAGER_SCOPE)));
        let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
        let good = standing(&world, Some(&bearer), DATA_MANAGER_SCOPE, now());
        assert_eq!(good, Ok(()));
    }
    let mut late = claims();
    late["iat"] = (now().timestamp() + 599).into();
    late["exp"] = (now().timestamp() + 599 + 3600).into();
    assert_eq!(assert_grant(&mut world, &jwt(&header(), &late)).0, 200);
}

#[test]
fn an_assertion_with_anything_wrong_gives_none() {
    let mut world = World::default();
    world.add_service_account(ServiceAccount::of_sandbox());
    let at = now().timestamp();
    for (field, value, error) in [
        ("iss", json!("nobody@example.com"), "invalid_grant"),
        ("aud", json!("https://example.com/token"), "invalid_grant"),
        ("scope", json!(""), "invalid_scope"),
        ("scope", json!("email"), "invalid_scope"),
        ("iat", json!(at + 601), "invalid_grant"),
        ("exp", json!(at + 3601), "invalid_grant"),
        ("exp", json!(at - 601), "invalid_grant"),
        ("exp", json!(at), "invalid_grant"),
        ("iat", json!("now"), "invalid_grant"),
    ] {
        let mut claims = claims();
        claims[field] = value;
        let (status, body) = assert_grant(&mut world, &jwt(&header(), &claims));
        let found = (status, body["error"].as_str().unwrap());
        assert_eq!(found, (400, error), "{field}: {}", claims[field]);
    }
    for header in [
        json!({"alg": "HS256", "typ": "JWT"}),
        json!({"alg": "none"}),
        json!({"alg": "RS256", "typ": "JWS"}),
    ] {
        let (status, _) = assert_grant(&mut world, &jwt(&header, &claims()));
        assert_eq!(status, 400, "{header}");
    }
    let good = jwt(&header(), &claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let other = jwt(&header(), &json!({}));
    let (_, signature) = other.rsplit_once('.').unwrap();
    let (_, body) = assert_grant(&mut world, &format!("{signed}.{signature}"));
    assert_eq!(body["error_description"], "Invalid JWT Signature.");
    for nonsense in ["", "a", "a.b.c", signed] {
        assert_eq!(assert_grant(&mut world, nonsense).0, 400, "{nonsense}");
    }
}

#[test]
fn without_credentials_every_sound_request_gets_a_token() {
    let mut world = World::default();
    let (status, body) = refresh(&mut world, "any", "any", "any");
    assert_eq!(status, 200);
    let both = format!("{DATA_MANAGER_SCOPE} {ADS_SCOPE}");
    assert_eq!(body["scope"], both);
    let mut foreign = claims();
    foreign["iss"] = "somebody@example.com".into();
    assert_eq!(assert_grant(&mut world, &jwt(&header(), &foreign)).0, 200);
    foreign["exp"] = 0.into();
    assert_eq!(assert_grant(&mut world, &jwt(&header(), &foreign)).0, 400);
    let any = Some("Bearer anything");
    assert_eq!(standing(&world, any, ADS_SCOPE, now()), Ok(()));
}

#[test]
fn a_set_up_is_read_as_json_and_shown_without_secrets() {
    let setup = json!({
        "clients": [{"client_id": "id", "client_secret": "s3cret", "refresh_token": "r3fresh"}],
        "token_lifetime_secs": 60,
        "actions": [{"owner": "1234567890", "id": "7", "type": "UPLOAD_CLICKS", "created_at": "2026-01-01T00:00:00Z"}],
        "clicks": [{"id": "c", "kind": "gclid", "clicked_at": "2026-11-01T00:00:00Z", "customer": "1234567890"}],
    });
    let mut world = World::default();
    world
        .set_up(serde_json::from_value(setup).unwrap())
        .unwrap();
    let (_, body) = refresh(&mut world, "id", "s3cret", "r3fresh");
    assert_eq!(body["expires_in"], 60);
    let shown = format!("{world:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("r3fresh") && !shown.contains("ya29"));
    assert_eq!(world.show()["clicks"], 1);
    assert_eq!(world.show()["actions"][0]["lookback_days"], 90);
    let unknown = serde_json::from_value::<Setup>(json!({"action": []}));
    assert!(unknown.is_err());
}
