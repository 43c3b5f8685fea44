//! What a platform remembers of one conversion, and what it does with a repeat. Not for rows or counts per
//! account.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::exchange::{Channel, Platform, Repeats};
use super::row::Verdict;

/// Meta drops a repeat from the other channel for this long
/// (`developers.facebook.com/docs/marketing-api/conversions-api/deduplicate-pixel-and-server-events`).
const CROSS_CHANNEL_WINDOW: TimeDelta = TimeDelta::hours(48);

/// What identifies one conversion on a platform.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ConversionKey {
    /// Where it was counted.
    pub platform: Platform,
    /// Dataset id or measurement id.
    pub account: String,
    /// The platform's event name.
    pub event_name: String,
    /// `event_id`, `transaction_id`, or `sha256:` and a digest of the event's content where it has neither.
    pub key: String,
}

/// When a conversion was last taken on each channel, and how often it counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Sighting {
    browser: Option<DateTime<Utc>>,
    server: Option<DateTime<Utc>>,
    counted: u64,
}

impl Sighting {
    /// Meets the conversion once more: the verdict, with a reason where there is one.
    pub(super) fn meet(
        &mut self,
        repeats: Repeats,
        channel: Channel,
        now: DateTime<Utc>,
    ) -> (Verdict, &'static str) {
        let (verdict, why) = self.judge(repeats, channel, now);
        match channel {
            Channel::Browser => self.browser = Some(now),
            Channel::Server => self.server = Some(now),
        }
        if verdict.counts() {
            self.counted += 1;
        }
        (verdict, why)
    }

    /// How often it counted so far.
    pub(super) fn counted(&self) -> u64 {
        self.counted
    }

    fn judge(
        &self,
        repeats: Repeats,
        channel: Channel,
        now: DateTime<Utc>,
    ) -> (Verdict, &'static str) {
        let (same, other) = match channel {
            Channel::Browser => (self.browser, self.server),
            Channel::Server => (self.server, self.browser),
        };
        let recent =
            |at: Option<DateTime<Utc>>| at.is_some_and(|at| now - at < CROSS_CHANNEL_WINDOW);
        match repeats {
            Repeats::FirstStands if self.counted > 0 => (
                Verdict::Deduplicated,
                "repeat of a transaction_id: the first one stands",
            ),
            Repeats::CountAgain if self.counted > 0 => (
                Verdict::WouldDouble,
                "the same event once more: this platform counts it again",
            ),
            Repeats::DropAcrossChannels if recent(same) => (
                Verdict::WouldDouble,
                "repeat from the same channel: not promised to be dropped, would count twice",
            ),
            Repeats::DropAcrossChannels if recent(other) => (
                Verdict::Deduplicated,
                "the other channel sent it within 48 hours",
            ),
            Repeats::DropAcrossChannels if self.counted > 0 => (
                Verdict::Stored,
                "the first one is older than the 48 hours of deduplication: counts again",
            ),
            _ => (Verdict::Stored, ""),
        }
    }
}
