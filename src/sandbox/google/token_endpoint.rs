//! Google's token endpoint: a refresh token or a signed assertion for an access token (RFC 6749 section 6, RFC 7523;
//! `developers.google.com/identity/protocols/oauth2/web-server#offline`). Not for checking access tokens.

use std::collections::BTreeMap;

use axum::http::{Method, header};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::World;
use super::credentials::BadRefresh;
use super::{TOKEN_PATH, assertion};
use crate::sandbox::exchange::{Arrived, Judgement, Platform, Reply};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Why no token is given: HTTP status, `error`, `error_description`.
type Refused = (u16, &'static str, &'static str);

/// Answers a request to the token endpoint.
pub(in crate::sandbox) fn answer(
    arrived: &Arrived,
    world: &mut World,
    now: DateTime<Utc>,
) -> Judgement {
    if arrived.method != Method::POST {
        return Judgement::of_call(Reply::empty(404));
    }
    let reply = match grant(arrived, world, now) {
        Ok(scopes) => {
            let scope = scopes.join(" ");
            let (token, lifetime) = world.tokens.issue(scopes, now);
            Reply::json(
                200,
                &json!({"access_token": token, "expires_in": lifetime.num_seconds(), "scope": scope,
                    "token_type": "Bearer"}),
            )
        }
        Err((status, error, description)) => Reply::json(
            status,
            &json!({"error": error, "error_description": description}),
        ),
    };
    Judgement::of_call(reply)
}

/// The scopes of the token to give.
fn grant(arrived: &Arrived, world: &World, now: DateTime<Utc>) -> Result<Vec<String>, Refused> {
    let form = form(arrived)?;
    match form.get("grant_type").map(String::as_str) {
        Some("refresh_token") => {
            let (id, secret, token) = (
                needed(&form, "client_id", "Missing required parameter: client_id")?,
                needed(
                    &form,
                    "client_secret",
                    "Missing required parameter: client_secret",
                )?,
                needed(
                    &form,
                    "refresh_token",
                    "Missing required parameter: refresh_token",
                )?,
            );
            let scopes = world.credentials.scopes_of(id, secret, token);
            scopes.map_err(|bad| match bad {
                BadRefresh::Client => (401, "invalid_client", "The OAuth client was not found."),
                BadRefresh::Grant => (400, "invalid_grant", "Token has been expired or revoked."),
            })
        }
        Some(JWT_BEARER) => {
            let assertion = needed(&form, "assertion", "Missing required parameter: assertion")?;
            let endpoints = endpoints(arrived);
            let scopes = assertion::scopes(assertion, &world.credentials, &endpoints, now);
            scopes.map_err(|(error, description)| (400, error, description))
        }
        _ => Err((400, "unsupported_grant_type", "Invalid grant_type: ")),
    }
}

fn form(arrived: &Arrived) -> Result<BTreeMap<String, String>, Refused> {
    let declared = arrived.headers.get(header::CONTENT_TYPE);
    let declared = declared
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = declared.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err((400, "invalid_request", "The body must be a form."));
    }
    Ok(url::form_urlencoded::parse(&arrived.body)
        .into_owned()
        .collect())
}

fn needed<'a>(
    form: &'a BTreeMap<String, String>,
    name: &str,
    missing: &'static str,
) -> Result<&'a str, Refused> {
    let found = form.get(name).map(String::as_str);
    found
        .filter(|text| !text.is_empty())
        .ok_or((400, "invalid_request", missing))
}

/// Every URL under which this endpoint can be reached, by the request's own host.
fn endpoints(arrived: &Arrived) -> Vec<String> {
    let host = arrived.headers.get(header::HOST);
    let host = host
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let below = |platform: Platform| format!("http://{host}/{platform}{TOKEN_PATH}");
    vec![
        format!("http://{host}{TOKEN_PATH}"),
        below(Platform::GoogleDataManager),
        below(Platform::GoogleAds),
        below(Platform::Ga4),
    ]
}
