//! A fault rule as somebody writes it, and which requests it matches. Not for counting or carrying out.

use serde::{Deserialize, Serialize};

use crate::sandbox::exchange::{Heard, Platform};

/// What a rule does to a request it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Only the delay of `latency_ms`.
    Latency,
    /// The connection is reset before the body is read. Matches by platform and path only.
    ResetUnread,
    /// The connection is reset after the body was read; nothing is stored.
    ResetBefore,
    /// The event is judged and stored, then the connection is reset: the answer is lost.
    ResetAfter,
    /// Answers `status` (default 500) with `body`; nothing is stored.
    Status,
    /// Answers a proxy's HTML page with 502; nothing is stored.
    #[serde(rename = "html_502")]
    Html502,
    /// Answers Meta's error object with `code`, `subcode`, `is_transient`; nothing is stored. Throttling codes
    /// carry the usage headers.
    MetaError,
    /// Adds `X-Ad-Api-Version-Warning` to the answer.
    VersionWarning,
    /// Texts for people in Meta's error object come in French.
    Localised,
    /// Meta's success answer without `messages`.
    NoMessages,
    /// Meta's success answer tells of one event less than it stored.
    FewerReceived,
    /// The request waits before it is judged, until the rule is released or removed.
    #[serde(alias = "hold")]
    HoldBefore,
    /// The event is stored, and the answer waits until the rule is released or removed.
    HoldAfter,
}

/// A fault rule. A filter left out matches everything; several matching rules add up, and of those that answer
/// the oldest wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// Only requests of this platform.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Only this dataset or measurement id.
    #[serde(default)]
    pub account: Option<String>,
    /// Only requests with such an event in them.
    #[serde(default)]
    pub event_name: Option<String>,
    /// Only requests with an event of this event id (GA4: transaction id).
    #[serde(default)]
    pub event_id: Option<String>,
    /// Only paths that contain this text.
    #[serde(default)]
    pub path: Option<String>,
    /// HTTP status to answer, for `status` and `meta_error`.
    #[serde(default)]
    pub status: Option<u16>,
    /// Body to answer, for `status`.
    #[serde(default)]
    pub body: Option<String>,
    /// Meta's error code, for `meta_error` (default 1).
    #[serde(default)]
    pub code: Option<i64>,
    /// Meta's error subcode, for `meta_error`.
    #[serde(default)]
    pub subcode: Option<i64>,
    /// Meta's `is_transient`, for `meta_error`; absent from the answer if not given.
    #[serde(default)]
    pub is_transient: Option<bool>,
    /// Adds `Retry-After` in seconds to the answer of `status`, `html_502` and `meta_error`.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// `estimated_time_to_regain_access` of throttling codes, in minutes (default 1).
    #[serde(default)]
    pub regain_minutes: Option<u64>,
    /// Delay in milliseconds before anything else, with any kind.
    #[serde(default)]
    pub latency_ms: Option<u64>,
    /// How often it strikes; without it, for ever.
    #[serde(default)]
    pub times: Option<u64>,
    /// Strikes only every n-th matching request, the n-th first.
    #[serde(default)]
    pub every: Option<u64>,
    /// Strikes a matching request with this probability, 0 to 1; the same sequence in every run.
    #[serde(default)]
    pub probability: Option<f64>,
}

impl Fault {
    /// A rule of this kind that matches every request, for ever.
    #[must_use]
    pub fn of(kind: FaultKind) -> Fault {
        Fault {
            kind,
            platform: None,
            account: None,
            event_name: None,
            event_id: None,
            path: None,
            status: None,
            body: None,
            code: None,
            subcode: None,
            is_transient: None,
            retry_after: None,
            regain_minutes: None,
            latency_ms: None,
            times: None,
            every: None,
            probability: None,
        }
    }

    /// Why this rule makes no sense, if it does not.
    pub(super) fn nonsense(&self) -> Option<&'static str> {
        let filters_events =
            self.account.is_some() || self.event_name.is_some() || self.event_id.is_some();
        if self.kind == FaultKind::ResetUnread && filters_events {
            Some(
                "reset_unread strikes before the body is read: it can filter by platform and path only; use reset_before",
            )
        } else if self.kind == FaultKind::Latency && self.latency_ms.is_none() {
            Some("latency needs latency_ms")
        } else if self.kind == FaultKind::MetaError && self.platform == Some(Platform::Ga4) {
            Some("meta_error is Meta's error object; for ga4 use status")
        } else if self
            .status
            .is_some_and(|status| !(200..=599).contains(&status))
        {
            Some("status must be an HTTP status from 200 to 599")
        } else if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            Some("probability must be from 0 to 1")
        } else if self.every == Some(0) {
            Some("every must be at least 1")
        } else {
            None
        }
    }

    pub(super) fn matches(&self, question: &Question<'_>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|it| found == Some(it))
        };
        let one_event = |heard: &Heard| {
            is(&self.event_name, heard.event_name.as_deref())
                && is(&self.event_id, heard.event_id.as_deref())
        };
        self.platform
            .is_none_or(|platform| platform == question.platform)
            && self
                .path
                .as_deref()
                .is_none_or(|part| question.path.contains(part))
            && is(&self.account, question.account)
            && (self.event_name.is_none() && self.event_id.is_none()
                || question.events.iter().any(one_event))
    }
}

/// A rule that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("this fault rule cannot work: {0}")]
pub struct BadFault(pub(super) &'static str);

/// What is known of a request when rules are asked.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Question<'a> {
    pub(in crate::sandbox) platform: Platform,
    pub(in crate::sandbox) path: &'a str,
    pub(in crate::sandbox) account: Option<&'a str>,
    pub(in crate::sandbox) events: &'a [Heard],
}
