//! Access tokens: issued with scopes and an end, checked by both APIs, taken back. Not for credentials, which the
//! token endpoint checks.

use std::collections::BTreeMap;

use axum::http::header;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::error::{self, GoogleError};
use crate::sandbox::exchange::{Arrived, Reply};

/// What a token for Data Manager must be good for.
pub const DATA_MANAGER_SCOPE: &str = "https://www.googleapis.com/auth/datamanager";

/// What a token for the Google Ads API must be good for.
pub const ADS_SCOPE: &str = "https://www.googleapis.com/auth/adwords";

/// What a token for the Analytics Data API must be good for
/// (`developers.google.com/analytics/devguides/reporting/data/v1/rest/v1beta/properties/runReport`; the wider
/// `…/auth/analytics` would do too, and is not emulated).
pub const ANALYTICS_SCOPE: &str = "https://www.googleapis.com/auth/analytics.readonly";

/// Seconds for which Google's tokens were seen to live.
const LIFETIME: TimeDelta = TimeDelta::seconds(3599);

/// Why a bearer token is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Unauthorised {
    /// There is none.
    Missing,
    /// Nobody issued it.
    Unknown,
    /// Its time is over, or it was taken back.
    Expired,
    /// It is good for something else.
    WrongScope,
}

impl Unauthorised {
    /// Why, for the ledger.
    pub(in crate::sandbox) fn reason(self) -> &'static str {
        match self {
            Unauthorised::Missing => "UNAUTHENTICATED: there is no bearer token",
            Unauthorised::Unknown => "UNAUTHENTICATED: nobody issued this access token",
            Unauthorised::Expired => "UNAUTHENTICATED: the access token is over or was taken back",
            Unauthorised::WrongScope => {
                "PERMISSION_DENIED: the access token is good for another scope"
            }
        }
    }

    /// What Google's front end answers, in front of both APIs (reasons: `google/api/error_reason.proto`).
    pub(in crate::sandbox) fn reply(self, service: &str) -> Reply {
        let (code, reason, message) = match self {
            Unauthorised::Missing => (
                401,
                "CREDENTIALS_MISSING",
                "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie \
                 or other valid authentication credential.",
            ),
            Unauthorised::Unknown => (401, "ACCESS_TOKEN_TYPE_UNSUPPORTED", INVALID),
            Unauthorised::Expired => (401, "ACCESS_TOKEN_EXPIRED", INVALID),
            Unauthorised::WrongScope => (
                403,
                "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "Request had insufficient authentication scopes.",
            ),
        };
        let info = error::error_info(reason, "googleapis.com", json!({"service": service}));
        GoogleError {
            code,
            status: error::status_of(code).to_owned(),
            message: message.to_owned(),
            details: vec![info],
        }
        .reply()
    }
}

const INVALID: &str = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie \
    or other valid authentication credential.";

/// A token that was issued.
#[derive(Debug)]
struct Issued {
    scopes: Vec<String>,
    ends_at: DateTime<Utc>,
}

/// All tokens that were issued.
pub(super) struct Tokens {
    issued: BTreeMap<String, Issued>,
    /// How long a new one lives.
    pub(super) lifetime: TimeDelta,
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens {
            issued: BTreeMap::new(),
            lifetime: LIFETIME,
        }
    }
}

impl Tokens {
    /// Issues a token, and says how long it lives.
    pub(super) fn issue(&mut self, scopes: Vec<String>, now: DateTime<Utc>) -> (String, TimeDelta) {
        let number = self.issued.len();
        let digest = Sha256::digest(format!("{number} {}", now.timestamp_micros()));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = format!("ya29.sandbox-{number}-{hex}");
        let ends_at = now + self.lifetime;
        self.issued
            .insert(token.clone(), Issued { scopes, ends_at });
        (token, self.lifetime)
    }

    /// Takes all tokens back. They stay known, so that nobody takes them for somebody else's.
    pub(super) fn revoke(&mut self) {
        for issued in self.issued.values_mut() {
            issued.ends_at = DateTime::<Utc>::MIN_UTC;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.issued.len()
    }

    /// Whether the request's token is good for a scope. With `issued_only` it must be one that was issued here.
    pub(super) fn check(
        &self,
        arrived: &Arrived,
        scope: &str,
        issued_only: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Unauthorised> {
        let token = bearer(arrived).ok_or(Unauthorised::Missing)?;
        match self.issued.get(token) {
            None if issued_only => Err(Unauthorised::Unknown),
            None => Ok(()),
            Some(issued) if issued.ends_at <= now => Err(Unauthorised::Expired),
            Some(issued) if !issued.scopes.iter().any(|it| it == scope) => {
                Err(Unauthorised::WrongScope)
            }
            Some(_) => Ok(()),
        }
    }
}

/// The bearer token of a request. In a query or a body it does not count.
fn bearer(arrived: &Arrived) -> Option<&str> {
    let header = arrived.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (kind, token) = header.split_once(' ')?;
    (kind.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}
