//! Reads the signed assertion of a service account, a JWT (RFC 7519, RFC 7523;
//! `developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests`). Not for issuing tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::credentials::Credentials;

/// The audience that is right wherever the token endpoint is.
const GOOGLE_AUDIENCE: &str = "https://oauth2.googleapis.com/token";

/// How far the signer's clock may be off.
const SKEW: TimeDelta = TimeDelta::minutes(10);

/// The longest life of an assertion.
const LIFE_MAX: TimeDelta = TimeDelta::hours(1);

/// Why an assertion is refused: Google's `error` and `error_description`.
pub(super) type Refused = (&'static str, &'static str);

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    scope: String,
    aud: String,
    iat: i64,
    exp: i64,
}

const MALFORMED: Refused = (
    "invalid_grant",
    "Invalid JWT: the assertion must be a JWT in three parts, with alg RS256, typ JWT, iss, scope, aud, iat and exp.",
);

/// The scopes an assertion asks for, once everything about it is right. `endpoints` are the URLs of the endpoint
/// that was called.
pub(super) fn scopes(
    assertion: &str,
    credentials: &Credentials,
    endpoints: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<String>, Refused> {
    let (signed, signature) = assertion.rsplit_once('.').ok_or(MALFORMED)?;
    let (header, claims) = signed.split_once('.').ok_or(MALFORMED)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| MALFORMED)?;
    let header: Header = part(header)?;
    let claims: Claims = part(claims)?;
    if header.alg != "RS256" || header.typ.is_some_and(|typ| typ != "JWT") {
        return Err(MALFORMED);
    }
    if credentials.are_listed {
        let account = credentials.service_account(&claims.iss);
        let account = account.ok_or(("invalid_grant", "Invalid grant: account not found"))?;
        if !account.signed(signed.as_bytes(), &signature) {
            return Err(("invalid_grant", "Invalid JWT Signature."));
        }
    } else if claims.iss.is_empty() || signature.is_empty() {
        return Err(MALFORMED);
    }
    let is_for_us = claims.aud == GOOGLE_AUDIENCE || endpoints.contains(&claims.aud);
    if !is_for_us {
        return Err(("invalid_grant", "Invalid JWT: Failed audience check."));
    }
    if !is_timely(&claims, now) {
        return Err((
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your \
             iat and exp values in the JWT claim.",
        ));
    }
    let scopes: Vec<String> = claims.scope.split_whitespace().map(str::to_owned).collect();
    let known = |scope: &String| scope.starts_with("https://www.googleapis.com/auth/");
    if scopes.is_empty() || !scopes.iter().all(known) {
        return Err((
            "invalid_scope",
            "Invalid OAuth scope or ID token audience provided.",
        ));
    }
    Ok(scopes)
}

fn is_timely(claims: &Claims, now: DateTime<Utc>) -> bool {
    let time = |seconds: i64| DateTime::from_timestamp(seconds, 0);
    let (Some(issued), Some(ends)) = (time(claims.iat), time(claims.exp)) else {
        return false;
    };
    issued <= now + SKEW && ends + SKEW > now && ends > issued && ends - issued <= LIFE_MAX
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Refused> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| MALFORMED)?;
    serde_json::from_slice(&json).map_err(|_| MALFORMED)
}
