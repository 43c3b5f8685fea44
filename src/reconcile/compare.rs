//! Compares one day: source, outbox, what arrived, and what platforms report. Pure; the clock is passed in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::day::Day;
use super::exact::Exact;
use super::outbox::OutboxRow;
use super::pairs::pair;
use super::platform::{Counts, Report};
use super::result::{Amounts, DayResult, DestinationResult, Gap, is_within};
use super::source::SourceRow;
use super::why::Why;
use crate::config::reconcile::ReconcileConfig;

/// Gaps that are kept of a day, at the outbox and at each destination.
pub const GAPS_MAX: usize = 1000;

/// The place of a day that is none of the three.
const FAR: usize = 3;

/// Everything that is known of one day and of the days beside it.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The day before, the day, the day after.
    pub days: [Day; 3],
    /// Rows of those days.
    pub source: [&'a [SourceRow]; 3],
    /// Rows of other days that events of those days, or the others, may belong to.
    pub far: &'a [SourceRow],
    /// Events of those days, and others that ids of the day led to. None twice.
    pub outbox: Vec<&'a OutboxRow>,
    /// Destinations, by name, with what they report.
    pub destinations: Vec<Place>,
    /// What time it is.
    pub now: DateTime<Utc>,
    /// How many gaps are listed at the outbox, and at each destination; more are only counted.
    pub gaps_max: usize,
}

/// One destination.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Its platform.
    pub platform: String,
    /// How long after the end of its day its numbers are final.
    pub delay: TimeDelta,
    /// Whether it is asked what it counted on that day, and still can be, so that its word is waited for.
    pub is_asked: bool,
    /// What it says of the day.
    pub report: Option<Report>,
}

/// Compares the middle one of three days.
pub fn compare(entry: &ReconcileConfig, known: &Known<'_>) -> DayResult {
    let day = known.days[1];
    let (mut source, duplicates) = without_repeats(&known.source);
    // They take their own events; what is theirs is told on their day.
    source.extend(known.far.iter().map(|row| (FAR, row)));
    let rows: Vec<&SourceRow> = source.iter().map(|(_, row)| *row).collect();
    let pairs = pair(&rows, &known.outbox, &known.days);
    let mut taken = HashSet::new();
    taken.extend(pairs.iter().flatten().copied());
    let mut gaps: Vec<Gap> = duplicates
        .iter()
        .map(|row| gap(Why::DuplicateInSource, row, None))
        .collect();

    // What the day's rows led to, and whether each of them is the source's.
    let mut concerned: Vec<(&OutboxRow, bool)> = Vec::new();
    let known_keys = keys(&known.outbox);
    let strangers = strangers(&known.outbox, &taken);
    let (mut missing, mut value_differs, mut other_day) = (0, 0, 0);
    let mut source_value = Amounts::new();
    let of_day = source.iter().zip(&pairs).filter(|((at, _), _)| *at == 1);
    let mut source_rows = 0;
    for ((_, row), found) in of_day {
        source_rows += 1;
        add(&mut source_value, row.money.as_ref());
        let Some(event) = found.map(|at| known.outbox[at]) else {
            missing += 1;
            let own_id = row.event_id.as_ref().unwrap_or(&row.business_id);
            let alike = strangers.get(&spelling(own_id));
            gaps.push(
                match (known_keys.contains(row.business_id.as_str()), alike) {
                    (true, _) => gap(Why::FewerRows, row, None),
                    (false, Some(theirs)) => Gap {
                        reason: Some(format!("{theirs:?} in the outbox")),
                        ..gap(Why::OtherSpelling, row, None)
                    },
                    (false, None) => gap(Why::NoRow, row, None),
                },
            );
            continue;
        };
        concerned.push((event, true));
        if !day.holds(event.occurred_at) {
            other_day += 1;
            let mut found = gap(Why::OtherDay, row, Some(event));
            found.reason = Some(format!("{} in the outbox", event.occurred_at.to_rfc3339()));
            gaps.push(found);
        }
        if row.money.is_some() && row.money != event.money {
            value_differs += 1;
            let why = match event.has_conflict {
                true => Why::Conflict,
                false => Why::ValueDiffers,
            };
            let mut found = gap(why, row, Some(event));
            (found.source, found.outbox) = (shown(row.money.as_ref()), shown(event.money.as_ref()));
            gaps.push(found);
        }
    }
    let (mut outbox_rows, mut extra) = (0, 0);
    let mut outbox_value = Amounts::new();
    for (at, event) in known.outbox.iter().enumerate() {
        if !day.holds(event.occurred_at) {
            continue;
        }
        outbox_rows += 1;
        add(&mut outbox_value, event.money.as_ref());
        if !taken.contains(&at) {
            extra += 1;
            concerned.push((event, false));
            gaps.push(of_event(Why::NotInSource, event));
        }
    }
    let mut left_out = bound(&mut gaps, known.gaps_max);

    let late = day.ends_at + TimeDelta::days(entry.late_days.into());
    let mut destinations = Vec::new();
    for place in &known.destinations {
        let (result, found, more) = At {
            place,
            entry,
            known,
            late,
        }
        .compare(&concerned, source_rows);
        gaps.extend(found);
        left_out += more;
        destinations.push(result);
    }
    destinations.sort_by(|one, other| one.destination.cmp(&other.destination));
    let closes_at = destinations
        .iter()
        .map(|one| one.closes_at)
        .fold(late, DateTime::max);
    let open_because = open_because(&destinations, late, known.now);
    DayResult {
        entry: entry.name.clone(),
        day: day.date,
        event_name: entry.event.clone(),
        time_zone: entry.time_zone.clone(),
        begins_at: day.begins_at,
        ends_at: day.ends_at,
        source_rows,
        source_value,
        source_duplicates: duplicates.len() as u64,
        outbox_rows,
        outbox_value,
        matched: source_rows - missing,
        missing,
        extra,
        value_differs,
        other_day,
        tolerance_percent: entry.tolerance_percent,
        is_closed: open_because.is_empty(),
        closes_at,
        open_because,
        gaps_left_out: left_out,
        computed_at: known.now,
        closed_at: None,
        changed_at: None,
        changes: 0,
        destinations,
        gaps,
    }
}

/// The comparison at one destination.
struct At<'a> {
    place: &'a Place,
    entry: &'a ReconcileConfig,
    known: &'a Known<'a>,
    /// When late rows are not waited for any more.
    late: DateTime<Utc>,
}

impl At<'_> {
    /// Also gives the gaps, and how many more there are.
    fn compare(
        &self,
        concerned: &[(&OutboxRow, bool)],
        source_rows: u64,
    ) -> (DestinationResult, Vec<Gap>, u64) {
        let name = &self.place.name;
        let mut states: BTreeMap<Why, u64> = BTreeMap::new();
        let (mut accepted, mut sent, mut withheld) = (0, 0, 0);
        let mut arrived_value = Amounts::new();
        let mut gaps = Vec::new();
        for (event, is_of_source) in concerned {
            let standing = event.standings.get(name);
            let why = match standing {
                Some(standing) => Why::of_state(standing.state),
                None if event.is_queued => Some(Why::InQueue),
                None => Some(Why::NoDelivery),
            };
            let Some(why) = why else {
                match standing.is_some_and(|one| one.state == crate::outcome::State::Accepted) {
                    true => accepted += 1,
                    false => sent += 1,
                }
                add(&mut arrived_value, event.money.as_ref());
                continue;
            };
            *states.entry(why).or_default() += 1;
            let is_withheld = matches!(why, Why::Suppressed | Why::Skipped | Why::Cancelled);
            withheld += u64::from(is_withheld && *is_of_source);
            let mut found = of_event(why, event);
            found.reason = standing.and_then(|one| one.reason.clone());
            gaps.push(found);
        }
        let expected = source_rows - withheld;
        let mut difference = Exact::from(accepted + sent) - Exact::from(expected);
        let report = self.place.report.as_ref();
        let mut arrived_in_reported_day = None;
        if let Some(report) = report {
            gaps.extend(self.reported(report));
            let arrived = self.arrived_on(report).count() as u64;
            arrived_in_reported_day = Some(arrived);
            if report.counts == Counts::Received {
                difference = together(difference, report.conversions - Exact::from(arrived));
            }
        }
        let mut whys: BTreeMap<String, u64> = BTreeMap::new();
        for found in &gaps {
            *whys.entry(kind(found)).or_default() += 1;
        }
        for found in &mut gaps {
            found.destination = Some(name.clone());
        }
        let left_out = bound(&mut gaps, self.known.gaps_max);
        let of = |why| states.get(&why).copied().unwrap_or(0);
        let ends_at = report.map_or(self.known.days[1].ends_at, |report| report.day.ends_at);
        let closes_at = self.late.max(ends_at + self.place.delay);
        let result = DestinationResult {
            destination: name.clone(),
            platform: self.place.platform.clone(),
            accepted,
            sent,
            pending: of(Why::Pending),
            in_queue: of(Why::InQueue),
            suppressed: of(Why::Suppressed),
            skipped: of(Why::Skipped),
            expired: of(Why::Expired),
            rejected: of(Why::Rejected),
            uncertain: of(Why::Uncertain),
            exhausted: of(Why::Exhausted),
            cancelled: of(Why::Cancelled),
            no_delivery: of(Why::NoDelivery),
            arrived_value,
            expected,
            reported: report.map(|report| report.conversions),
            reported_value: report.and_then(|report| report.value),
            reported_currency: report.and_then(|report| report.currency.clone()),
            reported_time_zone: report.map(|report| report.time_zone.clone()),
            reported_source: report.map(|report| report.source.clone()),
            reported_counts: report.map(|report| report.counts.as_str().to_owned()),
            reported_at: report.map(|report| report.fetched_at),
            arrived_in_reported_day,
            difference,
            is_within: is_within(difference, expected, self.entry.tolerance_percent),
            is_closed: self.known.now >= closes_at
                && of(Why::Pending) + of(Why::InQueue) == 0
                && self.has_spoken(),
            closes_at,
            whys,
        };
        (result, gaps, left_out)
    }

    /// Whether the platform's word is its last: told after its numbers were final. What nobody asks for, or can ask for any
    /// more, is not waited for.
    fn has_spoken(&self) -> bool {
        let Some(report) = &self.place.report else {
            return !self.place.is_asked;
        };
        let is_final = report.fetched_at >= report.day.ends_at + self.place.delay;
        is_final || (report.source == "api" && !self.place.is_asked)
    }

    /// Events of the platform's own day that it should have.
    fn arrived_on<'b>(&'b self, report: &'b Report) -> impl Iterator<Item = &'b OutboxRow> {
        let events = self.known.outbox.iter().copied();
        events.filter(|event| {
            report.day.holds(event.occurred_at) && event.has_arrived(&self.place.name)
        })
    }

    /// Ids that the platform counted and was not sent, counted too often, or was sent and did not count. It may name events by
    /// either id.
    fn reported(&self, report: &Report) -> Vec<Gap> {
        let Some(ids) = &report.ids else {
            return Vec::new();
        };
        let mut by_id: HashMap<&str, Vec<&OutboxRow>> = HashMap::new();
        for event in &self.known.outbox {
            let names = BTreeSet::from([event.business_id.as_str(), event.event_id.as_str()]);
            for id in names {
                by_id.entry(id).or_default().push(event);
            }
        }
        let mut gaps = Vec::new();
        for (id, &count) in ids {
            let events = by_id.get(id.as_str()).map_or(&[][..], Vec::as_slice);
            let sent: Vec<_> = events
                .iter()
                .filter(|event| event.has_arrived(&self.place.name))
                .collect();
            let (why, reason) = match (sent.len() as u64, events.first()) {
                (0, Some(event)) => {
                    let standing = event.standings.get(&self.place.name);
                    let state = standing.map_or("no delivery", |one| one.state.as_str());
                    (Why::ReportedNeverSent, state.to_owned())
                }
                (0, None) => (Why::ReportedNeverSent, "no event".to_owned()),
                (times, _) if times < count => (Why::ReportedAgain, format!("{count} times")),
                _ => continue,
            };
            gaps.push(Gap {
                destination: None,
                business_id: events
                    .first()
                    .map_or(id, |event| &event.business_id)
                    .clone(),
                event_id: events.first().map(|event| event.event_id.clone()),
                why,
                reason: Some(reason),
                source: None,
                outbox: None,
                occurred_at: events.first().map(|event| event.occurred_at),
            });
        }
        if matches!(report.counts, Counts::Received | Counts::Shared) {
            // What a list cannot hold is not missing from it.
            let may_be_told =
                |id: &String| !id.contains('@') && id.chars().count() <= crate::reports::ID_MAX;
            let is_untold = |event: &&OutboxRow| {
                let names = [&event.business_id, &event.event_id];
                names
                    .iter()
                    .all(|id| may_be_told(id) && !ids.contains_key(*id))
            };
            let untold = self.arrived_on(report).filter(is_untold);
            gaps.extend(untold.map(|event| of_event(Why::NotReported, event)));
        }
        gaps
    }
}

/// Rows with the place of their day, identical ones once; and the day's repeats. A join that multiplies is a common slip, and
/// must not look like a forgotten event.
fn without_repeats<'a>(
    days: &[&'a [SourceRow]; 3],
) -> (Vec<(usize, &'a SourceRow)>, Vec<&'a SourceRow>) {
    let mut seen = HashSet::new();
    let (mut once, mut repeats) = (Vec::new(), Vec::new());
    for (at, rows) in days.iter().enumerate() {
        for row in *rows {
            let content = (&row.business_id, &row.event_id, row.occurred_at, &row.money);
            if seen.insert(content) {
                once.push((at, row));
            } else if at == 1 {
                repeats.push(row);
            }
        }
    }
    (once, repeats)
}

fn keys<'a>(outbox: &[&'a OutboxRow]) -> HashSet<&'a str> {
    outbox
        .iter()
        .map(|event| event.business_id.as_str())
        .collect()
}

/// Ids of events that no row belongs to, by how they are spelled at heart.
fn strangers<'a>(outbox: &[&'a OutboxRow], taken: &HashSet<usize>) -> HashMap<String, &'a str> {
    let untaken = outbox.iter().enumerate();
    untaken
        .filter(|(at, _)| !taken.contains(at))
        .flat_map(|(_, event)| [event.event_id.as_str(), event.business_id.as_str()])
        .map(|id| (spelling(id), id))
        .collect()
}

/// An id without what systems change about it on its way: case, spaces, zeros in front.
fn spelling(id: &str) -> String {
    let letters: String = id.split_whitespace().collect();
    letters.to_lowercase().trim_start_matches('0').to_owned()
}

/// In the order of kinds and ids, what was kept at home last, and no more than are kept. Returns how many are left out.
fn bound(gaps: &mut Vec<Gap>, most: usize) -> u64 {
    fn place(gap: &Gap) -> (bool, Why, &str, &Option<String>, Option<DateTime<Utc>>) {
        let (why, id) = (gap.why, gap.business_id.as_str());
        (
            why.is_kept_at_home(),
            why,
            id,
            &gap.event_id,
            gap.occurred_at,
        )
    }
    gaps.sort_by(|one, other| place(one).cmp(&place(other)));
    let left_out = gaps.len().saturating_sub(most);
    gaps.truncate(most);
    left_out as u64
}

/// `why` or `why/reason`, the reason without what stands in brackets.
fn kind(gap: &Gap) -> String {
    let is_closed_list = !matches!(gap.why, Why::ReportedAgain);
    match gap.reason.as_deref().filter(|_| is_closed_list) {
        Some(reason) => {
            let word = reason.split(" (").next().unwrap_or(reason);
            format!("{}/{word}", gap.why.as_str())
        }
        None => gap.why.as_str().to_owned(),
    }
}

/// What did not arrive and what the platform has more or less of what arrived: of one kind they add up, and of two kinds they do
/// not make up for each other. A platform that counted as many of its own has not counted ours.
fn together(arrival: Exact, reported: Exact) -> Exact {
    let is_one_kind = (arrival >= Exact::ZERO) == (reported >= Exact::ZERO);
    match is_one_kind {
        true => arrival + reported,
        false if arrival.abs() >= reported.abs() => arrival,
        false => reported,
    }
}

fn open_because(
    destinations: &[DestinationResult],
    late: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if now < late {
        reasons.push(format!("rows may still come until {}", late.to_rfc3339()));
    }
    for one in destinations {
        let waiting = one.pending + one.in_queue;
        if waiting > 0 {
            reasons.push(format!("{}: {waiting} still wait", one.destination));
        }
        if now >= one.closes_at && waiting == 0 && !one.is_closed {
            let word = match one.reported_at {
                Some(at) => format!("told before they were final, on {}", at.to_rfc3339()),
                None => "not told yet".to_owned(),
            };
            reasons.push(format!("{}: its numbers were {word}", one.destination));
        }
        if now < one.closes_at && one.closes_at > late {
            let at = one.closes_at.to_rfc3339();
            reasons.push(format!(
                "{}: its numbers are final at {at}",
                one.destination
            ));
        }
    }
    reasons
}

fn add(amounts: &mut Amounts, money: Option<&(Exact, String)>) {
    if let Some((amount, currency)) = money {
        let sum = amounts.entry(currency.clone()).or_default();
        *sum = *sum + *amount;
    }
}

fn shown(money: Option<&(Exact, String)>) -> Option<String> {
    Some(match money {
        Some((amount, currency)) => format!("{amount} {currency}"),
        None => "none".to_owned(),
    })
}

fn gap(why: Why, row: &SourceRow, event: Option<&OutboxRow>) -> Gap {
    Gap {
        destination: None,
        business_id: row.business_id.clone(),
        event_id: event
            .map(|event| event.event_id.clone())
            .or_else(|| row.event_id.clone()),
        why,
        reason: None,
        source: None,
        outbox: None,
        occurred_at: Some(row.occurred_at),
    }
}

fn of_event(why: Why, event: &OutboxRow) -> Gap {
    Gap {
        destination: None,
        business_id: event.business_id.clone(),
        event_id: Some(event.event_id.clone()),
        why,
        reason: None,
        source: None,
        outbox: None,
        occurred_at: Some(event.occurred_at),
    }
}

#[cfg(test)]
mod tests;
