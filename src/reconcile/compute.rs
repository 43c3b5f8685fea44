//! Computes the days of one entry, one after another: the parent of reading and comparing.
//!
//! Three days are in memory at once, since a row may belong to an event of the day beside it. The source is read before the
//! outbox: whatever the source shows had its event written in the same transaction, so no event is missed for being newer.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use chrono::{DateTime, Days as Count, NaiveDate, TimeDelta, Utc};

use super::ReconcileError;
use super::compare::{Known, Place, compare};
use super::day::{self, Day};
use super::outbox::{self, OutboxRow};
use super::platform::{self, Report};
use super::result::DayResult;
use super::source::{Source, SourceRow};
use crate::config::destination::DestinationConfig;
use crate::config::reconcile::ReconcileConfig;
use crate::db::connect::Database;
use crate::reports;

/// What a comparison works with.
#[derive(Clone, Copy, Debug)]
pub struct With<'a> {
    /// The entry.
    pub entry: &'a ReconcileConfig,
    /// All destinations of the configuration.
    pub destinations: &'a [DestinationConfig],
    /// The outbox, by a login that is a worker's, a reader's or an operator's.
    pub database: &'a Database,
    /// The application's own table.
    pub source: &'a Source,
    /// What time it is.
    pub now: DateTime<Utc>,
    /// How many gaps are listed, see [`Known::gaps_max`].
    pub gaps_max: usize,
}

impl<'a> With<'a> {
    /// The days that the entry looks at, the last of which is today.
    pub async fn span(&self) -> Result<(NaiveDate, NaiveDate), ReconcileError> {
        let today = day::today(self.database, &self.entry.time_zone, self.now).await?;
        let first = today - Count::new(u64::from(self.entry.days) - 1);
        Ok((first, today))
    }

    /// The destinations that the entry is compared with: those it names, or the enabled ones that the event is mapped to.
    pub fn places(&self) -> Vec<&'a DestinationConfig> {
        let wanted = |one: &&DestinationConfig| self.entry.concerns(one);
        self.destinations.iter().filter(wanted).collect()
    }
}

/// Ids that are looked for at once in the application's own tables.
const IDS_MAX: usize = 10_000;

/// The days of one entry, computed one by one.
#[derive(Debug)]
pub struct Days<'a> {
    with: With<'a>,
    reports: BTreeMap<(String, NaiveDate), Report>,
    /// Days that are not read yet.
    ahead: VecDeque<Day>,
    /// At most three days that are.
    read: VecDeque<Read>,
}

#[derive(Debug)]
struct Read {
    day: Day,
    source: Vec<SourceRow>,
    outbox: Vec<OutboxRow>,
}

impl<'a> Days<'a> {
    /// The days from `first` to `last`, both included.
    pub async fn begin(
        with: With<'a>,
        first: NaiveDate,
        last: NaiveDate,
    ) -> Result<Days<'a>, ReconcileError> {
        let one = Count::new(1);
        let zone = &with.entry.time_zone;
        let ahead = day::days(with.database, zone, first - one, last + one).await?;
        let names: Vec<&str> = with.places().iter().map(|one| one.name.as_str()).collect();
        let event = &with.entry.event;
        let reports = platform::latest(with.database, event, &names, first, last).await?;
        let mut days = Days {
            with,
            reports,
            ahead: ahead.into(),
            read: VecDeque::new(),
        };
        days.read_next().await?;
        days.read_next().await?;
        Ok(days)
    }

    /// The next day; nothing after the last one.
    pub async fn next(&mut self) -> Result<Option<DayResult>, ReconcileError> {
        if self.ahead.is_empty() {
            return Ok(None);
        }
        self.read_next().await?;
        let more = self.looked_up().await?;
        let far = self.rows_elsewhere(&more).await?;
        let result = self.compared(&more, &far);
        self.read.pop_front();
        Ok(Some(result))
    }

    async fn read_next(&mut self) -> Result<(), ReconcileError> {
        let Some(day) = self.ahead.pop_front() else {
            return Ok(());
        };
        let With {
            entry,
            database,
            source,
            ..
        } = self.with;
        self.read.push_back(Read {
            day,
            source: source.rows(day.begins_at, day.ends_at, false).await?,
            outbox: outbox::of_day(database, &entry.event, &day, entry.rows_max).await?,
        });
        Ok(())
    }

    /// Events of other days that ids of this day belong to: those of rows without an event, and those that a platform names.
    async fn looked_up(&self) -> Result<Vec<OutboxRow>, ReconcileError> {
        let events = || self.read.iter().flat_map(|one| &one.outbox);
        let here: HashSet<&str> = events()
            .flat_map(|event| [event.business_id.as_str(), event.event_id.as_str()])
            .collect();
        let today = &self.read[1];
        let rows = today
            .source
            .iter()
            .map(|row| row.event_id.as_ref().unwrap_or(&row.business_id));
        let date = today.day.date;
        let reports = self.reports.iter().filter(|((_, day), _)| *day == date);
        let reported = reports.flat_map(|(_, report)| report.ids.iter().flat_map(BTreeMap::keys));
        let unknown: HashSet<&str> = rows
            .chain(reported)
            .map(String::as_str)
            .filter(|id| !here.contains(id))
            .collect();
        let unknown: Vec<&str> = unknown.into_iter().collect();
        let mut more = outbox::by_id(self.with.database, &self.with.entry.event, &unknown).await?;
        let present: HashSet<&str> = events().map(|event| event.event_id.as_str()).collect();
        more.retain(|event| !present.contains(event.event_id.as_str()));
        Ok(more)
    }

    /// Rows of other days that events may belong to for which these days have no row: events that were looked up, and events of
    /// the day that would be extra. As far as the entry looks, before and after.
    async fn rows_elsewhere(&self, more: &[OutboxRow]) -> Result<Vec<SourceRow>, ReconcileError> {
        let mut rows: HashMap<&str, usize> = HashMap::new();
        for row in self.read.iter().flat_map(|one| &one.source) {
            let key = row.event_id.as_ref().unwrap_or(&row.business_id);
            *rows.entry(key.as_str()).or_default() += 1;
        }
        let mut events: HashMap<&str, usize> = HashMap::new();
        for event in self.read.iter().flat_map(|one| &one.outbox) {
            *events.entry(event.business_id.as_str()).or_default() += 1;
        }
        let today = &self.read[1];
        let rows_of = |id: &str| rows.get(id).copied().unwrap_or(0);
        let may_be_extra = |event: &&OutboxRow| {
            let known = rows_of(&event.business_id) + rows_of(&event.event_id);
            known < events.get(event.business_id.as_str()).copied().unwrap_or(0)
        };
        let strangers = today.outbox.iter().filter(may_be_extra).chain(more);
        let ids: HashSet<&str> = strangers
            .flat_map(|event| [event.business_id.as_str(), event.event_id.as_str()])
            .collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = ids.into_iter().take(IDS_MAX).collect();
        let far = TimeDelta::days(self.with.entry.days.into());
        let (first, last) = (today.day.begins_at - far, today.day.ends_at + far);
        let mut found = self.with.source.rows_of(first, last, &ids).await?;
        let read = self.read[0].day.begins_at..self.read[2].day.ends_at;
        found.retain(|row| !read.contains(&row.occurred_at));
        Ok(found)
    }

    fn compared(&self, more: &[OutboxRow], far: &[SourceRow]) -> DayResult {
        let [before, today, after] = [0, 1, 2].map(|at| &self.read[at]);
        let date = today.day.date;
        let place = |one: &&DestinationConfig| Place {
            name: one.name.clone(),
            platform: one.platform().name().to_owned(),
            delay: super::ask::delay(one),
            is_asked: reports::is_asked(one, date, self.with.now),
            report: self.reports.get(&(one.name.clone(), date)).cloned(),
        };
        let mut outbox: Vec<&OutboxRow> = self
            .read
            .iter()
            .flat_map(|one| &one.outbox)
            .chain(more)
            .collect();
        // Two look-ups of ids may find one event twice.
        let mut seen = HashSet::new();
        outbox.retain(|event| seen.insert(event.event_id.as_str()));
        let known = Known {
            days: [before.day, today.day, after.day],
            source: [&before.source, &today.source, &after.source],
            far,
            outbox,
            destinations: self.with.places().iter().map(place).collect(),
            now: self.with.now,
            gaps_max: self.with.gaps_max,
        };
        compare(self.with.entry, &known)
    }
}
