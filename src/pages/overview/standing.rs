//! One destination as it stands, and what became of its deliveries day by day.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use crate::outcome::State;
use crate::pages::html::Tone;

/// Without a sign of life for so long, nobody works, in seconds: workers give one every fifteen.
const UNSEEN_MAX: f64 = 120.0;

/// What the database says of a destination now.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) name: String,
    pub(super) platform: String,
    pub(super) is_enabled: bool,
    /// Why nothing is sent, and what to do about it.
    pub(super) hold: Option<Hold>,
    pub(super) is_throttled: bool,
    pub(super) is_live: bool,
    pub(super) last_seen_at: DateTime<Utc>,
    pub(super) is_unseen: bool,
    pub(super) pending: i64,
    pub(super) due: i64,
    /// Seconds.
    pub(super) oldest_due: Option<f64>,
    pub(super) expiring: i64,
    /// Of all time.
    pub(super) dead: i64,
    pub(super) held_rules: i64,
}

/// A hold, or a pause by hand.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) is_pause: bool,
    pub(super) code: Option<String>,
    pub(super) advice: Option<String>,
    pub(super) since: DateTime<Utc>,
}

impl Standing {
    pub(super) fn read(row: &Row) -> Result<Standing, tokio_postgres::Error> {
        let hold = match row.try_get::<_, Option<&str>>("hold_reason")? {
            None => None,
            Some(reason) => Some(Hold {
                is_pause: reason == "paused",
                code: row.try_get("hold_code")?,
                advice: row.try_get("hold_advice")?,
                since: row.try_get("held_since")?,
            }),
        };
        Ok(Standing {
            name: row.try_get("destination")?,
            platform: row.try_get("platform")?,
            is_enabled: row.try_get("enabled")?,
            hold,
            is_throttled: row
                .try_get::<_, Option<bool>>("is_throttled")?
                .unwrap_or(false),
            is_live: row.try_get("is_live")?,
            last_seen_at: row.try_get("last_seen_at")?,
            is_unseen: row.try_get::<_, f64>("unseen_for")? > UNSEEN_MAX,
            pending: row.try_get("pending")?,
            due: row.try_get("due")?,
            oldest_due: row.try_get("oldest_due_age")?,
            expiring: row.try_get("expiring")?,
            dead: row.try_get("dead")?,
            held_rules: row.try_get("held_rules")?,
        })
    }

    /// Whether workers are meant to serve it.
    pub(super) fn is_served(&self) -> bool {
        self.is_enabled && self.is_live
    }

    /// How it stands, in a word.
    pub(super) fn word(&self) -> (Tone, &'static str) {
        match &self.hold {
            _ if !self.is_served() => (Tone::Calm, "Not served"),
            Some(hold) if hold.is_pause => (Tone::Warn, "Paused"),
            Some(_) => (Tone::Bad, "Held"),
            None if self.is_unseen => (Tone::Bad, "No worker"),
            None if self.held_rules > 0 => (Tone::Warn, "Partly held"),
            None if self.is_throttled => (Tone::Warn, "Throttled"),
            None => (Tone::Good, "Working"),
        }
    }
}

/// What became of the deliveries of one destination.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Oldest first, today last.
    pub(super) days: Vec<Day>,
    /// Tries of the last 24 hours that ended other than well.
    pub(super) failed_tries: i64,
    /// All of these tries.
    pub(super) tries: i64,
}

/// Of one day's events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Day {
    /// Confirmed by the platform.
    pub(super) accepted: i64,
    /// Handed over; not confirmed, or not yet.
    pub(super) sent: i64,
    pub(super) open: i64,
    /// Not to leave: consent, no identifier, not for this destination, cancelled.
    pub(super) kept: i64,
    /// Should have left and did not for certain.
    pub(super) lost: i64,
    in_time: i64,
}

impl Day {
    pub(super) fn taken(&self) -> i64 {
        self.accepted + self.sent
    }
}

impl Tally {
    pub(super) fn new(days: usize) -> Tally {
        Tally {
            days: vec![Day::default(); days],
            failed_tries: 0,
            tries: 0,
        }
    }

    pub(super) fn add(&mut self, place: usize, state: &str, deliveries: i64, in_time: i64) {
        let day = &mut self.days[place];
        day.in_time += in_time;
        let sum = match State::parse(state) {
            Some(State::Accepted) => &mut day.accepted,
            Some(State::Sent) => &mut day.sent,
            Some(State::Pending) => &mut day.open,
            Some(State::Suppressed | State::Skipped | State::Cancelled) => &mut day.kept,
            Some(State::Expired | State::Rejected | State::Uncertain | State::Exhausted) | None => {
                &mut day.lost
            }
        };
        *sum += deliveries;
    }

    pub(super) fn today(&self) -> Day {
        self.days.last().copied().unwrap_or_default()
    }

    fn last(&self, days: usize) -> impl Iterator<Item = &Day> {
        self.days.iter().rev().take(days)
    }

    pub(super) fn taken(&self, days: usize) -> i64 {
        self.last(days).map(Day::taken).sum()
    }

    pub(super) fn unconfirmed(&self, days: usize) -> i64 {
        self.last(days).map(|day| day.sent).sum()
    }

    /// How many were taken within fifteen minutes, of all that were or should have been taken. What is still open counts
    /// when it is decided.
    pub(super) fn in_time(&self, days: usize) -> (i64, i64) {
        let in_time = self.last(days).map(|day| day.in_time).sum();
        let due = self.last(days).map(|day| day.taken() + day.lost).sum();
        (in_time, due)
    }
}
