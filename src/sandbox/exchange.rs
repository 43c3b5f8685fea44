//! The words the emulators, the faults and the ledger share: what arrived, how it reads, how it was judged, and
//! what is answered. Raw bytes and raw JSON only. Not for anything an adapter uses: an emulator that shared a
//! type with its adapter would share its mistakes.

use std::fmt;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dedup::ConversionKey;

/// A platform that is emulated. Its text is the path prefix and the value in every JSON answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// Meta Conversions API; an account is a dataset id.
    Meta,
    /// GA4 Measurement Protocol; an account is a measurement id.
    Ga4,
    /// Google Data Manager API; an account is the customer id of an operating account.
    GoogleDataManager,
    /// Google Ads API; an account is a customer id.
    GoogleAds,
    /// LinkedIn Conversions API; an account is the ad account of the conversion rule, empty while no rule is set up.
    #[serde(rename = "linkedin")]
    LinkedIn,
}

impl Platform {
    /// Every platform, in the order of pages and answers.
    pub const ALL: [Platform; 5] = [
        Platform::Meta,
        Platform::Ga4,
        Platform::GoogleDataManager,
        Platform::GoogleAds,
        Platform::LinkedIn,
    ];

    /// The platform's text, for example `google_data_manager`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Platform::Meta => "meta",
            Platform::Ga4 => "ga4",
            Platform::GoogleDataManager => "google_data_manager",
            Platform::GoogleAds => "google_ads",
            Platform::LinkedIn => "linkedin",
        }
    }

    /// All texts in one line, for a message to somebody who wrote another.
    pub(super) fn texts() -> String {
        Platform::ALL.map(Platform::as_str).join(", ")
    }

    /// The platform with this text, if there is one.
    #[must_use]
    pub fn named(text: &str) -> Option<Platform> {
        Platform::ALL
            .into_iter()
            .find(|platform| platform.as_str() == text)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an event was seen first hand. Meta drops repeats across channels, not within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The site's own tag.
    Browser,
    /// A server: every request to an emulated endpoint.
    Server,
}

/// One request for a platform, as bytes.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) platform: Platform,
    pub(super) method: Method,
    /// The path as the platform would see it, without the sandbox's own prefix.
    pub(super) path: String,
    /// The decoded query pairs in their order.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Arrived {
    /// The first query value with this name.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A request read leniently, before anything is judged: enough to match faults and to write ledger rows.
#[derive(Debug)]
pub(super) struct Reading {
    /// The account the request names first; empty when it names none.
    pub(super) account: String,
    /// The body (for a form: its fields) as one JSON value, or why it is none.
    pub(super) content: Result<Value, String>,
    /// One entry for each event that can be told apart, in order; an event for several accounts or conversion
    /// actions has one for each of them.
    pub(super) events: Vec<Heard>,
}

impl Reading {
    /// Of a request that carries no events, whose content its emulator reads by itself.
    pub(super) fn nothing() -> Reading {
        Reading {
            account: String::new(),
            content: Ok(Value::Null),
            events: Vec::new(),
        }
    }
}

/// What one event says about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Heard {
    /// The platform's event name; for Google and LinkedIn the conversion action or rule, which stands for it.
    pub(super) event_name: Option<String>,
    /// The platform's id of the event: `event_id`, `transaction_id`, `order_id`.
    pub(super) event_id: Option<String>,
    /// The account this event is for, where that is not the request's.
    pub(super) account: Option<String>,
    pub(super) value: Option<String>,
    pub(super) currency: Option<String>,
    /// The event itself as JSON text.
    pub(super) json: String,
}

/// An emulator's ruling over one event. The ledger turns it into a verdict, since only it knows what came before.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ruling {
    /// The platform takes it. The key tells repeats apart.
    Take { key: String, repeats: Repeats },
    /// Gives a conversion taken before the event's value, and its currency if it names one. Not counted again.
    Adjust { conversion: ConversionKey },
    /// Takes a conversion back: its count and its value become 0.
    Retract { conversion: ConversionKey },
    /// A repeat of a conversion taken before, which the platform recognises and refuses. Not counted again.
    Repeat { conversion: ConversionKey },
    /// Answered as if taken, and dropped in the processing that follows.
    Drop,
    /// Taken, and folded into others for want of a key.
    Collapse,
    /// Looked at and not stored: a validation call.
    Validate,
    /// Answered as if taken, and thrown away.
    Vanish,
    /// Wrong, and not stored.
    Reject,
}

/// What a platform does with a second event of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// Dropped when the other channel sent it within 48 hours; the same channel's repeat counts again.
    DropAcrossChannels,
    /// The first one stands, for ever.
    FirstStands,
    /// Every one counts.
    CountAgain,
    /// The first one counts; a later one overwrites its value and currency.
    Overwrite,
    /// An account's events of one id are one conversion, whatever their names. Of a tag's event and a server's the
    /// tag's counts; the same channel's repeat counts again.
    TagStands,
}

/// A ruling with its reason, in the order of [`Reading::events`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    pub(super) ruling: Ruling,
    /// Why, in words for the page. Empty when there is nothing to say.
    pub(super) reason: String,
}

/// What an emulator makes of a request: one entry for each event, and the answer.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) events: Vec<Judged>,
    /// Why the whole request was refused, if it was.
    pub(super) refusal: Option<String>,
    pub(super) reply: Reply,
}

impl Judgement {
    /// Of a call that carries no events.
    pub(super) fn of_call(reply: Reply) -> Judgement {
        Judgement {
            events: Vec::new(),
            refusal: None,
            reply,
        }
    }

    /// A refusal of everything in the request for one reason.
    pub(super) fn refused(reading: &Reading, reason: &str, reply: Reply) -> Judgement {
        let reject = |_: &Heard| Judged {
            ruling: Ruling::Reject,
            reason: reason.to_owned(),
        };
        Judgement {
            events: reading.events.iter().map(reject).collect(),
            refusal: Some(reason.to_owned()),
            reply,
        }
    }
}

/// An answer, still open to what a fault adds to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Reply {
    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// A JSON answer.
    pub(super) fn json(status: u16, body: &Value) -> Reply {
        Reply::text(status, "application/json; charset=UTF-8", body.to_string())
    }

    /// An answer with a body of any type.
    pub(super) fn text(status: u16, content_type: &str, body: String) -> Reply {
        Reply {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body,
        }
    }

    /// The same answer with one more header.
    pub(super) fn with_header(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// As an HTTP response. A header that HTTP cannot carry is left out; a status it does not know becomes 500.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::try_from(value))
            {
                response.headers_mut().insert(name, value);
            }
        }
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Whether the text is a SHA-256 in lowercase hex: exactly 64 characters.
pub(super) fn is_sha256_hex(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A scalar as text for a ledger row: a string without its quotes, a number as it was written.
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
