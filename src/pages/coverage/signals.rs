//! What events carry that a platform could match, by the name of the event. Pure.

use std::collections::BTreeMap;

use crate::pages::charts::heat::share_cell;
use crate::pages::charts::sparkline::{Scale, sparkline};
use crate::pages::html::{Markup, address, count, counted, html, name, wide};
use crate::pages::params::Period;

/// How many days the lines show, today among them.
pub(super) const SHOWN: usize = 30;

/// Events of more names than this are not shown.
const ROWS_MAX: usize = 50;

/// What may be carried, in the order of the statement.
const SIGNALS: [&str; 5] = [
    "Click id",
    "E-mail",
    "Phone",
    "External id",
    "Consent given",
];

/// Where the statement has consent given, denied and not asked for.
const CONSENT: [usize; 3] = [4, 5, 6];

/// Events of one name, day by day.
#[derive(Clone, Debug)]
pub(super) struct Signals([Sum; SHOWN]);

/// So many events, and how many of them carried what.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) events: i64,
    carried: [i64; 7],
}

impl Default for Signals {
    fn default() -> Signals {
        Signals([Sum::default(); SHOWN])
    }
}

impl Sum {
    fn add(&mut self, events: i64, carried: &[i64]) {
        self.events += events;
        for (sum, one) in self.carried.iter_mut().zip(carried) {
            *sum += one;
        }
    }
}

impl Signals {
    /// Notes events of the day at this place, the oldest first.
    pub(super) fn add(&mut self, place: usize, events: i64, carried: &[i64]) {
        if let Some(day) = self.0.get_mut(place) {
            day.add(events, carried);
        }
    }

    /// The sum of the last days.
    pub(super) fn last(&self, days: usize) -> Sum {
        let mut sum = Sum::default();
        for day in self.0.iter().rev().take(days) {
            sum.add(day.events, &day.carried);
        }
        sum
    }

    fn line(&self, signal: usize) -> Vec<Option<f64>> {
        self.0
            .iter()
            .map(|day| (day.events > 0).then(|| day.carried[signal] as f64 / day.events as f64))
            .collect()
    }
}

/// A row a name, a column a signal.
pub(super) fn matrix(signals: &BTreeMap<String, Signals>, period: Period) -> Markup {
    let mut rows: Vec<(&String, &Signals, Sum)> = signals
        .iter()
        .map(|(event, signals)| (event, signals, signals.last(period.days() as usize)))
        .collect();
    rows.sort_by_key(|(event, _, sum)| (std::cmp::Reverse(sum.events), *event));
    let rest = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    let days = period.days().to_string();
    wide(
        "What events carry",
        &html! {
            table.matrix {
                thead { tr {
                    th scope="col" { "Event" }
                    th.number scope="col" { "Events" }
                    @for signal in SIGNALS { th scope="col" { (signal) } }
                    th scope="col" { "Consent denied or not asked" }
                } }
                tbody {
                    @for (event, signals, sum) in rows {
                        tr {
                            th scope="row" { a href=(address("/coverage", &[("days", &days), ("event", event)])) { (name(event)) } }
                            td.number { (count(sum.events)) }
                            @for (place, signal) in SIGNALS.into_iter().enumerate() {
                                (share_cell(sum.carried[place], sum.events, &sparkline(signal, &signals.line(place), Scale::Share)))
                            }
                            td { (count(sum.carried[CONSENT[1]])) " denied, " (count(sum.carried[CONSENT[2]])) " not asked" }
                        }
                    }
                }
                @if rest > 0 { tfoot { tr { td colspan="8" { "and " (counted(rest as i64, "rarer name")) ": choose an event above" } } } }
            }
        },
    )
}
