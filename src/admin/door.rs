//! Who may come in: with the token, in a session that was begun with it, or, where none is set, from this machine only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::Next;
use chrono::{DateTime, Utc};
use ring::hmac;
use ring::rand::SystemRandom;

use super::answer::{moved, refused, wants_html};
use super::form::Operator;
use super::origin::{is_beyond_this_machine, is_from_here, names_this_machine};
use super::session::{Ended, Seal, Session};
use super::tries::Tries;
use crate::config::secret::{Secret, SecretRef};
use crate::pages::html::address;
use crate::telemetry::metrics::Metrics;
use crate::worker::clock::Clock;

/// The session's cookie on this machine, and everywhere else: there a browser lets nobody but this very host set it.
const COOKIE: &str = "conversion_outbox_session";
const COOKIE_BEYOND: &str = "__Host-conversion_outbox_session";

/// What a request was not let do, in a word of `words::ADMIN_REFUSALS`; travels with the answer to be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted(pub(crate) &'static str);

/// Who came in.
#[derive(Clone)]
pub(crate) enum Visitor {
    /// A tool that knows the token.
    WithToken,
    /// Somebody in a browser who has shown the token.
    Operator(Operator),
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
    ended: Ended,
    metrics: Metrics,
    clock: Clock,
}

impl Door {
    /// A door for this token; whoever holds the secret file may replace it at any time.
    pub(super) fn open(
        token: Option<SecretRef>,
        metrics: Metrics,
        clock: Clock,
    ) -> anyhow::Result<Door> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .ok()
            .context("the machine gives no random numbers")?;
        Ok(Door(Arc::new(Lock {
            token,
            key,
            tries: Tries::default(),
            ended: Ended::default(),
            metrics,
            clock,
        })))
    }

    /// Who this is, or why not. Whoever looks with a browser and has no session guesses nothing, and is led to the log-in.
    fn admit(
        &self,
        peer: SocketAddr,
        headers: &HeaderMap,
        is_look: bool,
    ) -> Result<Visitor, Refusal> {
        if !self.has_token() {
            return match names_this_machine(headers) {
                true => Ok(Visitor::OfThisMachine),
                false => Err(Refusal::Host),
            };
        }
        if !headers.contains_key(header::AUTHORIZATION) {
            // Nobody guesses a seal: sessions need not wait for those who guess tokens.
            if let Some(operator) = self.operator(headers)? {
                return Ok(Visitor::Operator(operator));
            }
            if is_look || cookie(headers).is_some() {
                return Err(Refusal::Session);
            }
        }
        // Whoever gives none guesses nothing: a probe without it must not keep all others of its address waiting.
        let given = bearer(headers).filter(|token| !token.is_empty());
        self.compare(peer, given.ok_or(Refusal::Token)?)
            .map(|_| Visitor::WithToken)
    }

    /// Whether anybody can log in at all.
    pub(super) fn has_token(&self) -> bool {
        self.0.token.is_some()
    }

    /// The seal of the token, for whoever gives that token. A wrong one costs a longer and longer wait.
    pub(super) fn compare(&self, peer: SocketAddr, given: &str) -> Result<Seal, Refusal> {
        let (lock, now) = (&self.0, Instant::now());
        if let Some(wait) = lock.tries.wait(peer.ip(), now) {
            return Err(Refusal::Throttled(wait.as_secs() + 1));
        }
        let token = self.token()?;
        let expected = hmac::sign(&lock.key, token.expose().as_bytes());
        // Takes the same time whatever was given: compared are two digests under a key that nobody knows.
        if hmac::verify(&lock.key, given.as_bytes(), expected.as_ref()).is_err() {
            lock.tries.failed(peer.ip(), now);
            return Err(Refusal::Token);
        }
        lock.tries.succeeded(peer.ip());
        Ok(Seal::of(&token))
    }

    /// Whose session the cookie is of; nothing where there is none, or it is over.
    pub(super) fn operator(&self, headers: &HeaderMap) -> Result<Option<Operator>, Refusal> {
        let Some(cookie) = cookie(headers) else {
            return Ok(None);
        };
        let seal = Seal::of(&self.token()?);
        let session = Session::read(&seal, cookie, self.now());
        Ok(session
            .filter(|session| !self.0.ended.holds(session))
            .map(|session| Operator { session, seal }))
    }

    /// Forgets a session.
    pub(super) fn end(&self, operator: &Operator) {
        self.0.ended.add(&operator.session, self.now());
    }

    /// What time it is for sessions and forms.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Counts a request that was not let in, or not let do what it wanted; see `words::ADMIN_REFUSALS`.
    pub(super) fn count(&self, reason: &'static str) {
        self.0.metrics.admin_refused(reason);
    }

    fn token(&self) -> Result<Secret, Refusal> {
        let token = self.0.token.as_ref().ok_or(Refusal::Token)?;
        token.load().map_err(|_| Refusal::Unreadable)
    }
}

/// Why somebody stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token, or a wrong one.
    Token,
    /// Too many wrong ones: not looked at for so many seconds.
    Throttled(u64),
    /// The name in the request is not this machine's: a page elsewhere may have had its name led here.
    Host,
    /// The token cannot be read now.
    Unreadable,
    /// The session is over, or never was.
    Session,
    /// Another site's page sent this form.
    Origin,
}

/// Asks at the door; the request goes on with its [`Visitor`]. Whoever wants to see a page and may log in is led there.
pub(super) async fn enter(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let is_look = request.method() == Method::GET && wants_html(request.headers());
    let visitor = match door.admit(peer, request.headers(), is_look) {
        Ok(visitor) => visitor,
        Err(Refusal::Session) if is_look => {
            if cookie(request.headers()).is_some() {
                door.count("session");
            }
            return to_login(&request);
        }
        Err(refusal) => return door.refuse(refusal),
    };
    let renewed = match &visitor {
        Visitor::Operator(_)
            if request.method() != Method::GET && !is_from_here(request.headers()) =>
        {
            return door.refuse(Refusal::Origin);
        }
        Visitor::Operator(operator) => operator
            .session
            .used(door.now())
            .map(|session| session_cookie(&session.cookie(&operator.seal), request.headers())),
        Visitor::WithToken | Visitor::OfThisMachine => None,
    };
    request.extensions_mut().insert(visitor);
    let mut response = next.run(request).await;
    if let Some(Counted(reason)) = response.extensions_mut().remove() {
        door.count(reason);
    }
    if let Some(cookie) = renewed
        && !response.headers().contains_key(header::SET_COOKIE)
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Leads to the log-in, and from there back.
fn to_login(request: &Request) -> Response<Body> {
    let wanted = request.uri().path_and_query();
    let wanted = wanted.map_or("/", |path| path.as_str());
    moved(&address("/login", &[("next", wanted)]))
}

impl Door {
    pub(super) fn refuse(&self, refusal: Refusal) -> Response<Body> {
        let wait;
        let (word, status, why) = match refusal {
            Refusal::Token => (
                "token",
                StatusCode::UNAUTHORIZED,
                "send the token of admin.token as Authorization: Bearer",
            ),
            Refusal::Throttled(seconds) => {
                wait = format!("too many wrong tokens from this address: wait {seconds} s");
                ("throttled", StatusCode::TOO_MANY_REQUESTS, wait.as_str())
            }
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
            Refusal::Session => (
                "session",
                StatusCode::UNAUTHORIZED,
                "the session is over: log in again; nothing was done",
            ),
            Refusal::Origin => (
                "origin",
                StatusCode::FORBIDDEN,
                "this form was not sent by a page of ours, or a proxy on the way changes the name of the host; nothing was done",
            ),
        };
        self.count(word);
        let mut response = refused(status, why);
        let headers = response.headers_mut();
        match refusal {
            Refusal::Token => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Refusal::Throttled(seconds) => {
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            Refusal::Host | Refusal::Unreadable | Refusal::Session | Refusal::Origin => {}
        }
        response
    }
}

/// The session's cookie that came along; only the one that this way may bring.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let name = cookie_name(headers);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn cookie_name(headers: &HeaderMap) -> &'static str {
    match is_beyond_this_machine(headers) {
        true => COOKIE_BEYOND,
        false => COOKIE,
    }
}

/// The header that gives the browser its session, or with no value takes it away.
pub(super) fn session_cookie(value: &str, headers: &HeaderMap) -> HeaderValue {
    let (name, secure) = match is_beyond_this_machine(headers) {
        true => (COOKIE_BEYOND, "; Secure"),
        false => (COOKIE, ""),
    };
    let age = if value.is_empty() { "; Max-Age=0" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    HeaderValue::from_str(&text).expect("a sealed text has no odd characters")
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
