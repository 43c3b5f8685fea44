//! A fault rule as somebody writes it, and which requests it matches. Not for counting or carrying out.

use serde::{Deserialize, Serialize};

use crate::sandbox::exchange::{Heard, Platform};
use crate::sandbox::google;

/// The platforms whose errors have Google's shape.
const GOOGLE: [Platform; 2] = [Platform::GoogleDataManager, Platform::GoogleAds];

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
    /// Answers an error body in Google's shape with `status` (default 500), `google_status`, `reason` and
    /// `retry_delay`; nothing is stored.
    GoogleError,
    /// Answers an error body in LinkedIn's shape; nothing is stored. `reason` is its `code`: `EMPTY_ACCESS_TOKEN`,
    /// `INVALID_ACCESS_TOKEN`, `REVOKED_ACCESS_TOKEN`, `EXPIRED_ACCESS_TOKEN`, `USER_NOT_AUTHORIZED`,
    /// `VERSION_MISSING`, `NONEXISTENT_VERSION` and `TOO_MANY_REQUESTS` bring their own status. Any other, or none,
    /// takes `status` (default 500).
    LinkedinError,
    /// Events that match have `status` (default 500) in LinkedIn's batch answer, and are not stored; the others are. A
    /// single event is answered with the status.
    ElementStatus,
    /// The outcome of processing is told `late_secs` later than it would be, by the sandbox's clock.
    LateStatus,
    /// Events that match are answered well and fail in processing for `reason`.
    ProcessingError,
    /// Rows of a Google Ads upload that match get the error `reason`, written as `errorCode` key and value with a dot:
    /// `conversionUploadError.TOO_RECENT_EVENT`. The others are judged.
    AdsRowError,
    /// Rows of a Google Ads upload that match get the error of a customer who is not allowlisted.
    AdsNotAllowlisted,
    /// Answers that the version of the Google Ads API is no more; nothing is stored.
    AdsVersionSunset,
    /// Answers 429 as the Google Ads API does, with `retry_delay` (default 30) in its quota details; nothing is stored.
    AdsThrottled,
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
    /// Answers 200 with a body that never ends, as fast as it is read. Of this and all below nothing is stored.
    Huge,
    /// Answers 200 with a body that never ends, a byte at a time.
    Drip,
    /// Answers headers that never end.
    EndlessHead,
    /// Answers 103 over and over, and never more.
    Informational,
    /// Ends the connection before the body is as long as was announced.
    Truncated,
    /// Ends the connection without a byte.
    Empty,
    /// Answers in another protocol.
    NotHttp,
    /// Answers 200 with what is neither UTF-8 nor JSON.
    Garbage,
    /// Answers 200 with JSON of 100,000 levels.
    DeepJson,
    /// Answers 200 with the platforms' own members, all of them of the wrong type.
    WrongTypes,
    /// Answers 200 with a page for people, as a captive network does.
    LoginPage,
    /// Answers 200 with a compressed body that nobody asked for, a good answer of 16 MiB.
    GzipBomb,
    /// Answers 307 and sends elsewhere.
    Redirect,
    /// Answers 200 by HTTP/1.0, without a length and without a body.
    #[serde(rename = "http_10")]
    Http10,
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
    /// Only this account.
    #[serde(default)]
    pub account: Option<String>,
    /// Only requests with such an event in them.
    #[serde(default)]
    pub event_name: Option<String>,
    /// Only requests with an event of this id.
    #[serde(default)]
    pub event_id: Option<String>,
    /// Only paths that contain this text.
    #[serde(default)]
    pub path: Option<String>,
    /// HTTP status to answer, for `status`, `meta_error`, `google_error`, `linkedin_error` and `element_status`.
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
    /// Adds `Retry-After` in seconds to the answer of `status`, `html_502`, `meta_error`, `google_error` and
    /// `linkedin_error`.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// `estimated_time_to_regain_access` of throttling codes, in minutes (default 1).
    #[serde(default)]
    pub regain_minutes: Option<u64>,
    /// `error.status` of `google_error`, for example `RESOURCE_EXHAUSTED`; by default what belongs to the HTTP status.
    #[serde(default)]
    pub google_status: Option<String>,
    /// `reason` in the `ErrorInfo` of `google_error`; the processing error's reason of `processing_error`, in full; the
    /// error code of `ads_row_error`; `code` of `linkedin_error`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Seconds in the `RetryInfo` of `google_error`, which without it has none, and of `ads_throttled`.
    #[serde(default)]
    pub retry_delay: Option<u64>,
    /// Seconds of `late_status`.
    #[serde(default)]
    pub late_secs: Option<u32>,
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
            google_status: None,
            reason: None,
            retry_delay: None,
            late_secs: None,
            latency_ms: None,
            times: None,
            every: None,
            probability: None,
        }
    }

    /// Why this rule makes no sense, if it does not.
    pub(super) fn nonsense(&self) -> Option<&'static str> {
        let other_than = |platforms: &[Platform]| {
            self.platform
                .is_some_and(|platform| !platforms.contains(&platform))
        };
        let filters_events =
            self.account.is_some() || self.event_name.is_some() || self.event_id.is_some();
        if self.kind == FaultKind::ResetUnread && filters_events {
            Some(
                "reset_unread strikes before the body is read: it can filter by platform and path only; use reset_before",
            )
        } else if self.kind == FaultKind::Latency && self.latency_ms.is_none() {
            Some("latency needs latency_ms")
        } else if self.kind == FaultKind::MetaError && other_than(&[Platform::Meta]) {
            Some("meta_error is Meta's error object; for another platform use status")
        } else if self.kind == FaultKind::GoogleError && other_than(&GOOGLE) {
            Some("google_error is Google's error object; for another platform use status")
        } else if matches!(
            self.kind,
            FaultKind::LinkedinError | FaultKind::ElementStatus
        ) && other_than(&[Platform::LinkedIn])
        {
            Some(
                "linkedin_error and element_status are LinkedIn's; for another platform use status",
            )
        } else if self.kind == FaultKind::LateStatus && self.late_secs.is_none() {
            Some("late_status needs late_secs")
        } else if self.kind == FaultKind::ProcessingError && self.reason.is_none() {
            Some("processing_error needs the reason")
        } else if self.kind == FaultKind::AdsRowError
            && !self.reason.as_deref().is_some_and(is_error_code)
        {
            Some("ads_row_error needs the reason, as in conversionUploadError.TOO_RECENT_EVENT")
        } else if self.kind.is_of_google_ads() && other_than(&[Platform::GoogleAds]) {
            Some("the faults that begin with ads_ are those of google_ads")
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
        let filters_events = self.event_name.is_some() || self.event_id.is_some();
        self.kind.suits(question)
            && self
                .platform
                .is_none_or(|platform| platform == question.platform)
            && self
                .path
                .as_deref()
                .is_none_or(|part| question.path.contains(part))
            && if question.events.is_empty() {
                !filters_events && is(&self.account, question.account)
            } else {
                let mut events = question.events.iter();
                events.any(|heard| self.matches_event(heard, question.account))
            }
    }

    /// Whether the filters about accounts and events match this event of a request for `account`.
    pub(super) fn matches_event(&self, heard: &Heard, account: Option<&str>) -> bool {
        is(&self.account, heard.account.as_deref().or(account))
            && is(&self.event_name, heard.event_name.as_deref())
            && is(&self.event_id, heard.event_id.as_deref())
    }
}

impl FaultKind {
    fn is_of_google_ads(self) -> bool {
        self.hits_ads_rows()
            || matches!(self, FaultKind::AdsVersionSunset | FaultKind::AdsThrottled)
    }

    fn hits_ads_rows(self) -> bool {
        matches!(self, FaultKind::AdsRowError | FaultKind::AdsNotAllowlisted)
    }

    /// Whether there is anything the kind could do to the request. One that cannot does not use the rule up.
    fn suits(self, question: &Question<'_>) -> bool {
        let is_ads =
            question.platform == Platform::GoogleAds && question.path != google::TOKEN_PATH;
        !self.is_of_google_ads() || is_ads && !(self.hits_ads_rows() && question.events.is_empty())
    }
}

/// Whether this is the key and the value of an `errorCode` with a dot between them.
fn is_error_code(text: &str) -> bool {
    let parts = text.split_once('.');
    parts.is_some_and(|(key, value)| key.ends_with("Error") && !value.is_empty())
}

/// Whether what was found is wanted; a filter left out wants everything.
fn is(wanted: &Option<String>, found: Option<&str>) -> bool {
    wanted.as_deref().is_none_or(|it| found == Some(it))
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
