//! Which row of the source belongs to which event. Pure.
//!
//! Rows of one key (the event's own id where the query tells it, else the business id) are paired in four rounds, each in the
//! order of time: same day and same amount, same day, same amount, whatever is left. So an order that is there twice, or three
//! refunds of one order, find their own before they find another's.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

use chrono::{DateTime, Utc};

use super::day::Day;
use super::outbox::OutboxRow;
use super::source::SourceRow;

/// For each row of the source the place of its event, if there is one.
pub(super) fn pair(
    source: &[&SourceRow],
    outbox: &[&OutboxRow],
    days: &[Day],
) -> Vec<Option<usize>> {
    let own_ids: HashSet<&str> = source
        .iter()
        .filter_map(|row| row.event_id.as_deref())
        .collect();
    // Days that were not read are told apart by the calendar alone: near enough to find one's own there.
    let day_of = |at: DateTime<Utc>| match days.iter().position(|day| day.holds(at)) {
        Some(place) => (Some(place), None),
        None => (None, Some(at.date_naive())),
    };
    // No event id is mistaken for a business id.
    let source_key = |row: &SourceRow| match &row.event_id {
        Some(id) => (true, id.clone()),
        None => (false, row.business_id.clone()),
    };
    let outbox_key = |row: &OutboxRow| match own_ids.contains(row.event_id.as_str()) {
        true => (true, row.event_id.clone()),
        false => (false, row.business_id.clone()),
    };
    let mut pairs = Pairs {
        source: in_time(source.len(), |at| source[at].occurred_at),
        outbox: in_time(outbox.len(), |at| outbox[at].occurred_at),
        found: vec![None; source.len()],
    };
    pairs.round(
        |at| {
            Some((
                source_key(source[at]),
                day_of(source[at].occurred_at),
                source[at].money.clone(),
            ))
        },
        |at| {
            Some((
                outbox_key(outbox[at]),
                day_of(outbox[at].occurred_at),
                outbox[at].money.clone(),
            ))
        },
    );
    pairs.round(
        |at| Some((source_key(source[at]), day_of(source[at].occurred_at))),
        |at| Some((outbox_key(outbox[at]), day_of(outbox[at].occurred_at))),
    );
    pairs.round(
        |at| Some((source_key(source[at]), source[at].money.clone())),
        |at| Some((outbox_key(outbox[at]), outbox[at].money.clone())),
    );
    pairs.round(
        |at| Some(source_key(source[at])),
        |at| Some(outbox_key(outbox[at])),
    );
    pairs.found
}

struct Pairs {
    /// What is not paired yet, in the order of time.
    source: Vec<usize>,
    outbox: Vec<usize>,
    found: Vec<Option<usize>>,
}

impl Pairs {
    /// Pairs what has the same key; what has none waits for another round.
    fn round<K: Eq + Hash>(
        &mut self,
        source_key: impl Fn(usize) -> Option<K>,
        outbox_key: impl Fn(usize) -> Option<K>,
    ) {
        let mut waiting: HashMap<K, VecDeque<usize>> = HashMap::new();
        for &at in &self.outbox {
            if let Some(key) = outbox_key(at) {
                waiting.entry(key).or_default().push_back(at);
            }
        }
        let mut taken = HashSet::new();
        let found = &mut self.found;
        self.source.retain(|&at| {
            let partner = source_key(at).and_then(|key| waiting.get_mut(&key)?.pop_front());
            if let Some(partner) = partner {
                found[at] = Some(partner);
                taken.insert(partner);
            }
            partner.is_none()
        });
        self.outbox.retain(|at| !taken.contains(at));
    }
}

/// Places in the order of time, those of one moment as they came.
fn in_time<T: Ord>(count: usize, time: impl Fn(usize) -> T) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by_key(|&at| time(at));
    places
}
