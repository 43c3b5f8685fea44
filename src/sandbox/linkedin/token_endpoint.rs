//! LinkedIn's token endpoint: a refresh token for an access token
//! (`learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens`). Not for checking access
//! tokens.

use std::collections::BTreeMap;

use axum::http::header;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::clients::BadRefresh;
use super::world::World;
use crate::sandbox::exchange::{Arrived, Reply};

/// Why no token is given: HTTP status, `error`, `error_description`.
type Refused = (u16, &'static str, String);

/// Answers a request to the token endpoint.
pub(super) fn answer(arrived: &Arrived, world: &mut World, now: DateTime<Utc>) -> Reply {
    grant(arrived, world, now).unwrap_or_else(|(status, error, description)| {
        let body = json!({"error": error, "error_description": description});
        Reply::json(status, &body)
    })
}

fn grant(arrived: &Arrived, world: &mut World, now: DateTime<Utc>) -> Result<Reply, Refused> {
    let form = form(arrived)?;
    if needed(&form, "grant_type")? != "refresh_token" {
        let description = "only grant_type refresh_token is emulated".to_owned();
        return Err((400, "unsupported_grant_type", description));
    }
    let refresh_token = needed(&form, "refresh_token")?;
    let (id, secret) = (needed(&form, "client_id")?, needed(&form, "client_secret")?);
    let grant = world.clients.redeem(id, secret, refresh_token, now);
    let grant = grant.map_err(|bad| match bad {
        BadRefresh::Client => (
            401,
            "invalid_client",
            "Client authentication failed".to_owned(),
        ),
        BadRefresh::Grant => {
            let description =
                "The provided authorization grant or refresh token is invalid, expired or revoked.";
            (400, "invalid_grant", description.to_owned())
        }
    })?;
    let lifetime = world.tokens.lifetime.num_seconds();
    let body = json!({
        "access_token": world.tokens.issue(grant.scopes, now),
        "expires_in": lifetime,
        "refresh_token": refresh_token,
        "refresh_token_expires_in": grant.refresh_left.num_seconds(),
    });
    Ok(Reply::json(200, &body))
}

fn form(arrived: &Arrived) -> Result<BTreeMap<String, String>, Refused> {
    let declared = arrived.headers.get(header::CONTENT_TYPE);
    let declared = declared.and_then(|value| value.to_str().ok());
    let kind = declared.and_then(|value| value.split(';').next());
    let is_form = kind.is_some_and(|kind| {
        kind.trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if !is_form {
        return Err((
            400,
            "invalid_request",
            "The body must be a form.".to_owned(),
        ));
    }
    let pairs = url::form_urlencoded::parse(&arrived.body);
    Ok(pairs.into_owned().collect())
}

fn needed<'a>(form: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str, Refused> {
    let found = form.get(name).map(String::as_str);
    found.filter(|text| !text.is_empty()).ok_or_else(|| {
        let description = format!("A required parameter \"{name}\" is missing");
        (400, "invalid_request", description)
    })
}
