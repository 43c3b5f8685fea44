//! What an analyst wants to know each morning: how much came, how much of it arrived, where that differs from the source of
//! truth, what broke, and what to do about it.
//!
//! Read from the tallies and from what reconciliation stored, never from the history. [`todo`] draws the conclusions;
//! [`markdown`], [`page`] and [`csv`] write it down. Its JSON form is an interface: keys stay.

mod csv;
mod markdown;
mod page;
mod read;
mod todo;
mod worth;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::funnel::Funnel;
use crate::operations::dead_letters::Group;
use crate::reconcile::result::DayResult;
use crate::reconcile::stored::Run;

pub use csv::csv;
pub(crate) use csv::field;
pub use markdown::markdown;
pub use page::page;
pub use read::read;
pub use todo::{Task, Urgency};

/// One day. All days are those of UTC, but for reconciled ones, which say theirs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Digest {
    /// The day on which events occurred and answers came.
    pub day: NaiveDate,
    /// When it was read. Before the day is over, much is missing.
    pub read_at: DateTime<Utc>,
    /// `telemetry.environment`.
    pub environment: Option<String>,
    /// Events by name.
    pub events: Vec<Events>,
    /// What became of them, by destination and name.
    pub deliveries: Vec<Deliveries>,
    /// Tries of the day that did not end well, by destination; the most frequent first.
    pub failures: Vec<Failures>,
    /// Deliveries that became dead letters on this day.
    pub dead_letters: Vec<Group>,
    /// Events that came again.
    pub repeats: Repeats,
    /// The day itself as far as it was compared, and the last closed day of each entry.
    pub reconciliation: Vec<DayResult>,
    /// How the last comparison of each entry went: a comparison that fails finds nothing.
    pub runs: Vec<Run>,
    /// Every destination as it stands when this is read.
    pub standing: Vec<Standing>,
    /// What to do, the most urgent first.
    pub to_do: Vec<Task>,
}

/// Events of one name, and how many of them carried what.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Events {
    /// The name.
    pub event_name: String,
    /// Of this day.
    #[serde(flatten)]
    pub today: Carried,
    /// Of the seven days before, together.
    pub week_before: Carried,
}

/// Counts of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// All of them.
    pub events: i64,
    /// With a click id.
    pub click_id: i64,
    /// With an e-mail address.
    pub email: i64,
    /// With a phone number.
    pub phone: i64,
    /// With an id of the application's own.
    pub external_id: i64,
    /// Consent to `ad_user_data` given.
    pub consent_granted: i64,
    /// Denied.
    pub consent_denied: i64,
    /// Not asked for, or decided by law.
    pub consent_unspecified: i64,
}

/// Events of one name at one destination.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deliveries {
    /// Where.
    pub destination: String,
    /// The name.
    pub event_name: String,
    /// How far they got: `events`, `meant`, `consented`, `identified`, `sent`, `accepted`, `unconfirmed` of the accepted, `open`, `lost`, and why the others
    /// did not (`whys`).
    #[serde(flatten, serialize_with = "flat")]
    pub funnel: Funnel,
    /// Of those sent, how many left within 15 minutes after they were recorded.
    pub in_time: i64,
}

/// Tries that ended alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failures {
    /// Where.
    pub destination: String,
    /// One of [`crate::outcome::Outcome::TEXTS`].
    pub outcome: String,
    /// HTTP status, if an answer came.
    pub response_code: Option<i16>,
    /// The platform's own code.
    pub error_code: Option<String>,
    /// On this day.
    pub answers: i64,
    /// On the day before.
    pub day_before: i64,
}

/// Events that came again on this day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repeats {
    /// How many events.
    pub repeated: i64,
    /// Of these, how many came at some time with other content, which was not taken.
    pub with_conflict: i64,
    /// A few of them.
    pub conflicting: Vec<String>,
}

/// One destination as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Standing {
    /// Its name.
    pub destination: String,
    /// Its platform.
    pub platform: String,
    /// Whether some worker serves it.
    pub is_served: bool,
    /// Why nothing is sent.
    pub hold_reason: Option<String>,
    /// What helps.
    pub hold_advice: Option<String>,
    /// Since when.
    pub held_since: Option<DateTime<Utc>>,
    /// Conversion actions or rules that are held by themselves.
    pub held_rules: i64,
    /// Not final yet.
    pub pending: i64,
    /// How long the oldest of those whose time has come has been due, in seconds.
    pub oldest_due_secs: Option<f64>,
    /// Which the platform takes for less than a day.
    pub expiring: i64,
    /// Dead letters of all time.
    pub dead_letters: i64,
}

impl Digest {
    /// Whether the day had ended when it was read.
    pub fn is_over(&self) -> bool {
        self.read_at.date_naive() > self.day
    }

    /// What became of all events, by destination.
    pub fn by_destination(&self) -> BTreeMap<&str, (Funnel, i64)> {
        let mut all: BTreeMap<&str, (Funnel, i64)> = BTreeMap::new();
        for row in &self.deliveries {
            let (funnel, in_time) = all.entry(&row.destination).or_default();
            funnel.extend(&row.funnel);
            *in_time += row.in_time;
        }
        all
    }
}

fn flat<S: serde::Serializer>(funnel: &Funnel, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap;

    use crate::funnel::Step;
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("events", &funnel.total())?;
    for step in Step::ALL {
        map.serialize_entry(step.as_str(), &funnel.reached(step))?;
    }
    map.serialize_entry("unconfirmed", &funnel.unconfirmed())?;
    map.serialize_entry("open", &funnel.open())?;
    map.serialize_entry("lost", &funnel.lost())?;
    let whys: BTreeMap<String, i64> = Step::ALL
        .iter()
        .flat_map(|step| funnel.losses(*step))
        .map(|(loss, count)| (loss.text(), count))
        .collect();
    map.serialize_entry("whys", &whys)?;
    map.end()
}
