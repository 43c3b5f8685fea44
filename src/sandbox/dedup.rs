//! What a platform holds of one conversion, and what it does with a repeat. Not for rows or counts per account.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::exchange::{Channel, Platform, Repeats};
use super::row::Verdict;

/// Meta drops a repeat from the other channel for this long
/// (`developers.facebook.com/docs/marketing-api/conversions-api/deduplicate-pixel-and-server-events`).
const CROSS_CHANNEL_WINDOW: TimeDelta = TimeDelta::hours(48);

/// Most changes remembered of one conversion; the oldest go first.
const HISTORY_MAX: usize = 100;

/// What identifies one conversion on a platform.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ConversionKey {
    /// Where it was counted.
    pub platform: Platform,
    /// Dataset id, measurement id or customer id.
    pub account: String,
    /// The platform's event name; for Google the conversion action. Empty for LinkedIn's events with an id, which are
    /// one conversion whatever their rules.
    pub event_name: String,
    /// The platform's id of the event, or `sha256:` and a digest of its content where it has none.
    pub key: String,
}

/// An amount as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// The value in major units.
    pub value: Option<String>,
    /// The currency.
    pub currency: Option<String>,
}

/// One event that met a conversion, and what it left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// By the sandbox's clock.
    pub at: DateTime<Utc>,
    /// What became of the event.
    pub verdict: Verdict,
    /// What the conversion was worth afterwards.
    #[serde(flatten)]
    pub amount: Amount,
}

/// What a platform holds of one conversion: when it was last taken on each channel, how often it counts, and what
/// it is worth.
#[derive(Debug, Clone, Default)]
pub struct Conversion {
    browser: Option<DateTime<Utc>>,
    server: Option<DateTime<Utc>>,
    counted: u64,
    amount: Amount,
    history: Vec<Change>,
}

impl Conversion {
    /// How often it counts: 0 after a retraction.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// What it is worth: the amount of the event that counted or changed it last.
    #[must_use]
    pub fn amount(&self) -> &Amount {
        &self.amount
    }

    /// Every event that met it, oldest first; the last hundred.
    #[must_use]
    pub fn history(&self) -> &[Change] {
        &self.history
    }

    /// Meets the conversion once more: the verdict, with a reason where there is one.
    pub(super) fn meet(
        &mut self,
        repeats: Repeats,
        channel: Channel,
        amount: Amount,
        now: DateTime<Utc>,
    ) -> (Verdict, &'static str) {
        let (verdict, why) = self.judge(repeats, channel, now);
        match channel {
            Channel::Browser => self.browser = Some(now),
            Channel::Server => self.server = Some(now),
        }
        match verdict {
            Verdict::Stored | Verdict::WouldDouble => {
                self.counted += 1;
                self.amount = amount;
            }
            Verdict::Adjusted => self.overwrite(amount),
            _ => {}
        }
        self.remember(verdict, now);
        (verdict, why)
    }

    /// Gives it another value.
    pub(super) fn adjust(&mut self, amount: Amount, now: DateTime<Utc>) {
        self.overwrite(amount);
        self.remember(Verdict::Adjusted, now);
    }

    /// Meets an event that the platform itself recognised as a repeat.
    pub(super) fn recur(&mut self, now: DateTime<Utc>) {
        self.remember(Verdict::Deduplicated, now);
    }

    /// Takes it back, and tells how often it had counted.
    pub(super) fn retract(&mut self, now: DateTime<Utc>) -> u64 {
        self.amount.value = Some("0".to_owned());
        self.remember(Verdict::Retracted, now);
        std::mem::take(&mut self.counted)
    }

    /// What an adjustment does not name stays. (That an absent value keeps the old one is nowhere documented.)
    fn overwrite(&mut self, amount: Amount) {
        self.amount = Amount {
            value: amount.value.or(self.amount.value.take()),
            currency: amount.currency.or(self.amount.currency.take()),
        };
    }

    fn remember(&mut self, verdict: Verdict, at: DateTime<Utc>) {
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push(Change {
            at,
            verdict,
            amount: self.amount.clone(),
        });
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
            Repeats::Overwrite if self.counted > 0 => (
                Verdict::Adjusted,
                "repeat of an id: value and currency are overwritten, the count stays",
            ),
            Repeats::TagStands if channel == Channel::Server && other.is_some() => (
                Verdict::Deduplicated,
                "the tag sent this id: the event of the API is discarded",
            ),
            Repeats::TagStands if self.counted > 0 && same.is_none() => (
                Verdict::Deduplicated,
                "the event of the API with this id is discarded, and this one counts in its place",
            ),
            Repeats::TagStands if self.counted > 0 => (
                Verdict::WouldDouble,
                "repeat from the same source: not promised to be dropped, would count twice",
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
