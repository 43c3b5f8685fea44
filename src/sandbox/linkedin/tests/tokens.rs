//! Access tokens, the token endpoint, and what is set up as JSON.

use super::*;

fn send(world: &mut World, authorization: &str, at: DateTime<Utc>) -> (u16, Value) {
    let event = with(json!({"/conversionHappenedAt": at.timestamp_millis()}));
    let arrived = post(&[("authorization", authorization)], &event);
    let reading = read(&arrived, world);
    let reply = judge(&arrived, &reading, world, &Processing::default(), at).reply;
    (
        reply.status,
        serde_json::from_str(&reply.body).unwrap_or(Value::Null),
    )
}

fn ask(world: &mut World, form: &[(&str, &str)], at: DateTime<Utc>) -> (u16, Value) {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", ""),
        ("linkedin-version", ""),
    ];
    let arrived = request(Method::POST, TOKEN_PATH, &headers, body);
    let reply = judge(
        &arrived,
        &Reading::nothing(),
        world,
        &Processing::default(),
        at,
    )
    .reply;
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

fn refresh(
    world: &mut World,
    id: &str,
    secret: &str,
    token: &str,
    at: DateTime<Utc>,
) -> (u16, Value) {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", id),
        ("client_secret", secret),
    ];
    ask(world, &form, at)
}

#[test]
fn without_tokens_every_token_that_is_not_empty_is_good() {
    let mut world = World::default();
    assert_eq!(send(&mut world, "Bearer anything", now()).0, 201);
    for missing in ["", "Bearer ", "Bearer", "Basic abc"] {
        let (status, body) = send(&mut world, missing, now());
        assert_eq!(status, 401, "{missing}");
        assert_eq!(
            body,
            json!({"status": 401, "serviceErrorCode": 65604, "code": "EMPTY_ACCESS_TOKEN",
                "message": "Empty oauth2 access token"})
        );
    }
    world.revoke_token("gone");
    assert_eq!(
        send(&mut world, "Bearer gone", now()).1["code"],
        "REVOKED_ACCESS_TOKEN"
    );
    assert_eq!(send(&mut world, "Bearer anything", now()).0, 201);
}

#[test]
fn listed_tokens_are_told_apart() {
    let mut world = World::default();
    let end = now() + TimeDelta::days(60);
    world.add_token(AccessToken::direct("direct"));
    world.add_token(AccessToken::oauth("app", &[SEND_SCOPE], end));
    world.add_token(AccessToken::oauth("reader", &[LIST_SCOPE], end));
    let year = now() + TimeDelta::days(200);
    for (token, at, expected) in [
        ("Bearer direct", now(), (201, Value::Null)),
        ("Bearer direct", year, (201, Value::Null)),
        (
            "bearer app",
            end - TimeDelta::seconds(1),
            (201, Value::Null),
        ),
        ("Bearer app", end, (401, json!(65602))),
        ("Bearer other", now(), (401, json!(65600))),
        ("Bearer reader", now(), (403, Value::Null)),
    ] {
        let (status, body) = send(&mut world, token, at);
        assert_eq!(
            (status, body["serviceErrorCode"].clone()),
            expected,
            "{token}"
        );
    }
    assert_eq!(
        send(&mut world, "Bearer reader", now()).1["code"],
        "USER_NOT_AUTHORIZED"
    );
    world.revoke_token("direct");
    let (status, body) = send(&mut world, "Bearer direct", now());
    assert_eq!(
        (status, body),
        (
            401,
            json!({"status": 401, "serviceErrorCode": 65601, "code": "REVOKED_ACCESS_TOKEN",
                "message": "The token used in the request has been revoked by the user"})
        )
    );
    world.add_token(AccessToken::direct("direct"));
    assert_eq!(send(&mut world, "Bearer direct", now()).0, 201);
}

#[test]
fn a_refresh_token_gives_an_access_token_and_keeps_its_own_end() {
    let mut world = World::default();
    world.add_client(OAuthClient::new("id", "secret", "refresh"));
    assert_eq!(send(&mut world, "Bearer stale", now()).0, 401);
    let (status, body) = refresh(&mut world, "id", "secret", "refresh", now());
    assert_eq!(status, 200);
    let year = 365 * 86_400;
    assert_eq!(
        (
            &body["expires_in"],
            &body["refresh_token"],
            &body["refresh_token_expires_in"]
        ),
        (&json!(5_184_000), &json!("refresh"), &json!(year))
    );
    assert_eq!(body.as_object().map(|fields| fields.len()), Some(4));
    let first = format!("Bearer {}", body["access_token"].as_str().unwrap());
    assert_eq!(send(&mut world, &first, now()).0, 201);
    let later = now() + TimeDelta::days(60);
    assert_eq!(
        send(&mut world, &first, later).1["code"],
        "EXPIRED_ACCESS_TOKEN"
    );
    let (_, body) = refresh(&mut world, "id", "secret", "refresh", later);
    assert_eq!(body["refresh_token_expires_in"], year - 60 * 86_400);
    let second = format!("Bearer {}", body["access_token"].as_str().unwrap());
    assert_ne!(first, second);
    assert_eq!(send(&mut world, &second, later).0, 201);
    world.revoke_access_tokens();
    assert_eq!(
        send(&mut world, &second, later).1["code"],
        "REVOKED_ACCESS_TOKEN"
    );
    let over = now() + TimeDelta::days(365);
    let (status, body) = refresh(&mut world, "id", "secret", "refresh", over);
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
    world.set_token_lifetime(TimeDelta::seconds(5));
    world.add_client(OAuthClient::new("id", "secret", "new"));
    let (_, body) = refresh(&mut world, "id", "secret", "new", over);
    assert_eq!(body["expires_in"], 5);
}

#[test]
fn wrong_clients_refresh_tokens_and_forms_are_told_apart() {
    let mut world = World::default();
    world.add_client(OAuthClient::new("id", "secret", "refresh"));
    world.add_client(OAuthClient::new("other", "secret", "theirs"));
    for (id, secret, token, expected) in [
        ("nobody", "secret", "refresh", (401, "invalid_client")),
        ("id", "wrong", "refresh", (401, "invalid_client")),
        ("id", "secret", "theirs", (400, "invalid_grant")),
        ("id", "secret", "unknown", (400, "invalid_grant")),
        ("id", "secret", "", (400, "invalid_request")),
        ("", "secret", "refresh", (400, "invalid_request")),
        ("id", "", "refresh", (400, "invalid_request")),
    ] {
        let (status, body) = refresh(&mut world, id, secret, token, now());
        assert_eq!((status, body["error"].as_str().unwrap()), expected);
    }
    world.revoke_refresh_token("refresh");
    let (status, body) = refresh(&mut world, "id", "secret", "refresh", now());
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
    let (_, body) = ask(&mut world, &[("grant_type", "client_credentials")], now());
    assert_eq!(body["error"], "unsupported_grant_type");
    let json = request(
        Method::POST,
        TOKEN_PATH,
        &[],
        "grant_type=refresh_token".to_owned(),
    );
    let (status, body, _) = judged(&json, &mut world);
    assert_eq!((status, &body["error"]), (400, &json!("invalid_request")));
}

#[test]
fn without_clients_every_refresh_token_is_good_until_it_is_taken_back() {
    let mut world = World::default();
    assert_eq!(refresh(&mut world, "any", "any", "any", now()).0, 200);
    world.revoke_refresh_token("any");
    assert_eq!(refresh(&mut world, "any", "any", "any", now()).0, 400);
}

#[test]
fn a_set_up_is_read_as_json_and_shown_without_secrets() {
    let setup = json!({
        "mode": "observed",
        "rules": [{"id": "104012", "account": "512345"}, {"id": "2", "account": "512345", "enabled": false,
            "method": "PIXEL", "type": "LEAD"}],
        "tokens": [{"token": "s3cret-direct"}, {"token": "s3cret-app", "scopes": ["rw_conversions"],
            "expires_at": "2026-12-01T00:00:00Z", "accounts": ["512345"]}],
        "revoked_tokens": ["s3cret-old"],
        "clients": [{"client_id": "id", "client_secret": "s3cret", "refresh_token": "s3cret-refresh",
            "refresh_ends_at": "2026-11-24T00:00:00Z"}],
        "token_lifetime_secs": 60,
        "version_ends": {"202610": "2027-10-15"},
    });
    let mut world = World::default();
    let setup: Setup = serde_json::from_value(setup).unwrap();
    assert!(!format!("{setup:?}").contains("s3cret-app"));
    world.set_up(setup).unwrap();
    assert_eq!(send(&mut world, "Bearer s3cret-app", now()).0, 201);
    assert_eq!(
        send(&mut world, "Bearer s3cret-old", now()).1["code"],
        "REVOKED_ACCESS_TOKEN"
    );
    let (_, body) = refresh(&mut world, "id", "s3cret", "s3cret-refresh", now());
    assert_eq!(body["expires_in"], 60);
    let shown = format!("{world:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("AQsandbox"));
    assert_eq!(world.show()["rules"][1]["type"], "LEAD");
    assert_eq!(world.show()["mode"], "observed");
    for bad in [
        json!({"rules": [{"id": "urn:lla:llaPartnerConversion:1", "account": "5"}]}),
        json!({"rules": [{"id": "1", "account": "urn:li:sponsoredAccount:5"}]}),
        json!({"version_ends": {"2026": "2027-10-15"}}),
    ] {
        let setup = serde_json::from_value(bad.clone()).unwrap();
        assert!(world.set_up(setup).is_err(), "{bad}");
    }
    assert!(serde_json::from_value::<Setup>(json!({"rule": []})).is_err());
}
