//! One request to a platform: the events' parts of it, where its credential goes, and what comes back.

use std::time::Duration;

use sha2::{Digest, Sha256};
use url::Url;

/// One event's part of a request body, and its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// JSON text. The same conversion gives the same bytes on every try.
    pub payload: String,
    /// SHA-256 of `payload`.
    pub hash: [u8; 32],
    /// What may share a request with it.
    pub lot: Lot,
}

/// Items of one lot may share a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lot {
    /// Which of the platform's calls, where it has several.
    pub call: &'static str,
    /// The conversion action or rule, where the platform has such. It may be held by itself.
    pub rule: Option<String>,
}

/// Why no request can be made of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// Nothing that the platform could match a person by.
    NoIdentifier,
    /// The platform would refuse it. Names the field, never the value.
    Invalid(&'static str),
}

/// A request without its credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// `POST`, or `GET` for questions, which have no body.
    pub method: Method,
    /// Address, without secret query parameters.
    pub url: Url,
    /// Beyond the content type; none is secret.
    pub headers: Vec<(&'static str, String)>,
    /// Where the credential goes.
    pub credential: Credential,
    /// JSON text; empty in a question.
    pub body: String,
}

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Tells something.
    Post,
    /// Asks something.
    Get,
}

/// Where a platform wants its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer …`
    Bearer,
    /// A query parameter of this name.
    Query(&'static str),
    /// A member of the JSON body of this name.
    Body(&'static str),
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// As far as it is read, see [`Reply::BODY_MAX`].
    pub body: Vec<u8>,
}

impl Item {
    /// Fingerprints one event's part of a body.
    pub fn new(payload: String) -> Item {
        let hash = Sha256::digest(payload.as_bytes()).into();
        Item {
            payload,
            hash,
            lot: Lot::default(),
        }
    }

    /// The same part, for one call of several and for one action or rule of several.
    pub fn of(self, call: &'static str, rule: &str) -> Item {
        Item {
            lot: Lot {
                call,
                rule: Some(rule.to_owned()),
            },
            ..self
        }
    }
}

impl Method {
    /// The word in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Get => "GET",
        }
    }
}

impl HttpRequest {
    /// Tells something, with nothing beside the credential and the body.
    pub fn post(url: Url, credential: Credential, body: String) -> HttpRequest {
        HttpRequest {
            method: Method::Post,
            url,
            headers: Vec::new(),
            credential,
            body,
        }
    }

    /// Asks something.
    pub fn get(url: Url, credential: Credential) -> HttpRequest {
        HttpRequest {
            method: Method::Get,
            url,
            headers: Vec::new(),
            credential,
            body: String::new(),
        }
    }

    /// With one more header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> HttpRequest {
        self.headers.push((name, value.into()));
        self
    }
}

impl Reply {
    /// How far a body is read, in bytes. Google tells of each of 2,000 rows, some hundred bytes each; none says more.
    pub const BODY_MAX: usize = 1024 * 1024;

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the body is a page for people: a proxy's or a log-in's, never an API's.
    pub fn is_page(&self) -> bool {
        let is_html = |value: &str| {
            value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("text/html")
        };
        self.header("content-type").is_some_and(is_html)
            || self.body.trim_ascii_start().starts_with(b"<")
    }

    /// `Retry-After` in seconds. The form with a date is not read: no platform documents it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?
            .trim()
            .parse()
            .ok()
            .map(Duration::from_secs)
    }
}

/// An address under the base, which may itself have a path (a proxy, a sandbox).
pub(crate) fn address(base_url: &Url, path: &str) -> Url {
    let mut url = base_url.clone();
    url.set_path(&format!("{}{path}", base_url.path().trim_end_matches('/')));
    url
}
