//! One line of the ledger: an event, where it came from and its verdict. Not for deciding the verdict.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::exchange::{Channel, Platform};

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Taken and counted.
    Stored,
    /// Taken and counted a second time: the platform does not promise to drop this repeat.
    WouldDouble,
    /// Changed the value of a conversion counted before; not counted again.
    Adjusted,
    /// Took a conversion counted before back.
    Retracted,
    /// Dropped as a repeat, whether the answer says so or not.
    Deduplicated,
    /// Folded into others because its key is empty; not counted.
    Collapsed,
    /// Answered as if taken, and thrown away.
    Vanished,
    /// Answered as if taken, and dropped in processing for a reason that a later look-up tells; not counted.
    Dropped,
    /// Checked by a validation call; not stored.
    Validated,
    /// Refused, or on a platform that never says so silently dropped; not counted.
    Rejected,
    /// A scripted fault came first; nothing was judged or stored.
    Fault,
}

impl Verdict {
    /// Every verdict, best first.
    pub const ALL: [Verdict; 11] = [
        Verdict::Stored,
        Verdict::WouldDouble,
        Verdict::Adjusted,
        Verdict::Retracted,
        Verdict::Deduplicated,
        Verdict::Collapsed,
        Verdict::Vanished,
        Verdict::Dropped,
        Verdict::Validated,
        Verdict::Rejected,
        Verdict::Fault,
    ];

    /// The verdict's text in JSON answers and on the page.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Stored => "stored",
            Verdict::WouldDouble => "would_double",
            Verdict::Adjusted => "adjusted",
            Verdict::Retracted => "retracted",
            Verdict::Deduplicated => "deduplicated",
            Verdict::Collapsed => "collapsed",
            Verdict::Vanished => "vanished",
            Verdict::Dropped => "dropped",
            Verdict::Validated => "validated",
            Verdict::Rejected => "rejected",
            Verdict::Fault => "fault",
        }
    }

    /// Whether a report of the platform would count the event.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, Verdict::Stored | Verdict::WouldDouble)
    }

    /// The verdict with this text, if there is one.
    #[must_use]
    pub fn named(text: &str) -> Option<Verdict> {
        Verdict::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
    }
}

/// One event that arrived, or a request without a readable event.
#[derive(Debug, Clone)]
pub struct Row {
    /// Counts up from 1, without gaps until a reset.
    pub seq: u64,
    /// Number of the request it came in; the events of a batch share it.
    pub request: u64,
    /// Which platform it was meant for.
    pub platform: Platform,
    /// Dataset id, measurement id or customer id; empty if the request named none.
    pub account: String,
    /// Path on the platform.
    pub path: String,
    /// Browser or server.
    pub channel: Channel,
    /// By the sandbox's clock.
    pub received_at: DateTime<Utc>,
    /// The platform's event name; for Google and LinkedIn the conversion action or rule.
    pub event_name: Option<String>,
    /// The platform's id of the event: `event_id`, `transaction_id`, `order_id`.
    pub event_id: Option<String>,
    /// The amount as it was written.
    pub value: Option<String>,
    /// The currency as it was written.
    pub currency: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, for a person. Empty for a plain `stored`.
    pub reason: String,
    /// Status answered; none if the connection was cut instead.
    pub status: Option<u16>,
    /// SHA-256 of the request's body in hex.
    pub digest: String,
    /// The event as JSON text; empty if there was none or bodies are not recorded.
    pub event: String,
    /// The request's body; shared by the rows of a batch, empty if bodies are not recorded.
    pub body: Bytes,
}

/// What is the same for all events of one request.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub(super) platform: Platform,
    pub(super) account: String,
    pub(super) path: String,
    pub(super) channel: Channel,
    pub(super) received_at: DateTime<Utc>,
    pub(super) status: Option<u16>,
    pub(super) digest: String,
    pub(super) body: Bytes,
}
