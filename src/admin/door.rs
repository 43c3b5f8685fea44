//! Who may come in: with the token, or, where none is set, from this machine only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::middleware::Next;
use ring::hmac;
use ring::rand::SystemRandom;

use super::answer::refused;
use super::tries::Tries;
use crate::config::secret::SecretRef;
use crate::telemetry::metrics::Metrics;

/// A token that is shorter could be guessed.
const LENGTH_MIN: usize = 16;

/// Who came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visitor {
    /// Knows the token.
    WithToken,
    /// Somebody on this machine, where there is no token.
    OfThisMachine,
}

/// Lets visitors in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Door(Arc<Lock>);

struct Lock {
    token: Option<SecretRef>,
    /// Of this process alone, so that what is compared says nothing about the token.
    key: hmac::Key,
    tries: Tries,
    metrics: Metrics,
}

impl Door {
    /// A door for this token; whoever holds the secret file may replace it at any time.
    pub(super) fn open(token: Option<SecretRef>, metrics: Metrics) -> anyhow::Result<Door> {
        if let Some(token) = &token {
            let secret = token.load().context("admin.token")?;
            if secret.expose().len() < LENGTH_MIN {
                bail!(
                    "admin.token is too short. Fix: write at least {LENGTH_MIN} random characters"
                );
            }
        }
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .ok()
            .context("the machine gives no random numbers")?;
        Ok(Door(Arc::new(Lock {
            token,
            key,
            tries: Tries::default(),
            metrics,
        })))
    }

    /// Who this is, or why not.
    fn admit(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<Visitor, Refusal> {
        let lock = &self.0;
        let Some(token) = &lock.token else {
            return match names_this_machine(headers) {
                true => Ok(Visitor::OfThisMachine),
                false => Err(Refusal::Host),
            };
        };
        let now = Instant::now();
        if let Some(wait) = lock.tries.wait(peer.ip(), now) {
            return Err(Refusal::Throttled(wait.as_secs() + 1));
        }
        let expected = token.load().map_err(|_| Refusal::Unreadable)?;
        let expected = hmac::sign(&lock.key, expected.expose().as_bytes());
        // Takes the same time whatever was given: compared are two digests under a key that nobody knows.
        let given = bearer(headers).unwrap_or_default();
        if hmac::verify(&lock.key, given.as_bytes(), expected.as_ref()).is_err() {
            lock.tries.failed(peer.ip(), now);
            return Err(Refusal::Token);
        }
        lock.tries.succeeded(peer.ip());
        Ok(Visitor::WithToken)
    }
}

/// Why somebody stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// No token, or a wrong one.
    Token,
    /// Too many wrong ones: not looked at for so many seconds.
    Throttled(u64),
    /// The name in the request is not this machine's: a page elsewhere may have had its name led here.
    Host,
    /// The token cannot be read now.
    Unreadable,
}

/// Asks at the door; the request goes on with its [`Visitor`].
pub(super) async fn enter(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    match door.admit(peer, request.headers()) {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(refusal) => door.refuse(refusal),
    }
}

impl Door {
    fn refuse(&self, refusal: Refusal) -> Response<Body> {
        let (word, status, why) = match refusal {
            Refusal::Token => (
                "token",
                StatusCode::UNAUTHORIZED,
                "send the token of admin.token as Authorization: Bearer",
            ),
            Refusal::Throttled(_) => (
                "throttled",
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong tokens from this address: wait",
            ),
            Refusal::Host => (
                "host",
                StatusCode::FORBIDDEN,
                "without a token only this machine may ask, by the name localhost or a loopback address",
            ),
            Refusal::Unreadable => (
                "unreadable",
                StatusCode::SERVICE_UNAVAILABLE,
                "the token of admin.token cannot be read",
            ),
        };
        self.0.metrics.admin_refused(word);
        let mut response = refused(status, why);
        let headers = response.headers_mut();
        match refusal {
            Refusal::Token => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    header::HeaderValue::from_static("Bearer"),
                );
            }
            Refusal::Throttled(seconds) => {
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            Refusal::Host | Refusal::Unreadable => {}
        }
        response
    }
}

/// The token that came along; the scheme's name is in any case (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the request says `localhost`, `127.…` or `[::1]`, with any port.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(url) = url::Url::parse(&format!("http://{}", host.to_str().unwrap_or_default())) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
