//! Reads what a platform exported as CSV: strictly, with the number of each faulty line. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use thiserror::Error;

use super::exact::Exact;
use super::platform::{Counts, NewReport};

use records::{Record, dividers, records};

/// Records that may stand above the header: title, account and range of an export.
const PREAMBLE_MAX: usize = 50;

/// Faults that are told at once.
const FAULTS_MAX: usize = 20;

/// The columns, by our names.
pub const COLUMNS: [&str; 6] = [
    "day",
    "event_name",
    "conversions",
    "value",
    "currency",
    "id",
];

/// How a file is to be understood.
#[derive(Clone, Debug)]
pub struct Form {
    /// Whose numbers they are.
    pub destination: String,
    /// Whose days they are: IANA name.
    pub time_zone: String,
    /// What they are numbers of.
    pub counts: Counts,
    /// The file's own header for some of our columns.
    pub columns: BTreeMap<String, String>,
    /// Our event for the platform's own name of it.
    pub events: BTreeMap<String, String>,
    /// The event of every line, where no column tells it.
    pub event: Option<String>,
    /// The currency of every line, where no column tells it.
    pub currency: Option<String>,
    /// Whether several lines of one day and event are added up, as of several campaigns.
    pub sums: bool,
    /// Whether numbers are written as 1.234,56.
    pub decimal_comma: bool,
    /// Whether numbers are written as 1,234.56.
    pub comma_groups: bool,
    /// How days are written, in the words of `strftime`; 2026-11-25 or 20261125 where nothing is said.
    pub day_format: Option<String>,
    /// Whether lines without a day are passed over, as the totals of an export.
    pub skips_totals: bool,
}

/// What is wrong with a file: every line of it, up to a few.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the file cannot be imported; nothing was changed\n{}", .0.join("\n"))]
pub struct BadFile(pub Vec<String>);

/// Understands a whole file, or tells what is wrong with it.
pub fn parse(bytes: &[u8], form: &Form, now: DateTime<Utc>) -> Result<Vec<NewReport>, BadFile> {
    let text = records::text(bytes).ok_or_else(|| {
        BadFile(vec![
            "it is neither UTF-8 nor UTF-16 with a byte order mark. Fix: save it as UTF-8"
                .to_owned(),
        ])
    })?;
    let Body {
        columns,
        width,
        lines,
    } = body(&text, form).map_err(BadFile)?;
    let mut faults = Vec::new();
    let mut days: BTreeMap<(NaiveDate, String), Sum> = BTreeMap::new();
    for (number, fields) in lines {
        if form.skips_totals && columns.is_total(&fields, form) {
            continue;
        }
        let added = columns
            .read(&fields, width, form)
            .and_then(|line| add(&mut days, line, number, form));
        if let Err(fault) = added {
            faults.push(format!("line {number}: {fault}"));
        }
        if faults.len() == FAULTS_MAX {
            break;
        }
    }
    if faults.is_empty() && days.is_empty() {
        faults.push("there is no line below the header".to_owned());
    }
    if !faults.is_empty() {
        return Err(BadFile(faults));
    }
    let report = |((day, event_name), sum): ((NaiveDate, String), Sum)| NewReport {
        destination: form.destination.clone(),
        event_name,
        day,
        time_zone: form.time_zone.clone(),
        source: "csv",
        conversions: sum.conversions,
        value: sum.value,
        currency: sum.currency,
        ids: sum.ids,
        details: json!({ "counts": form.counts.as_str() }),
        fetched_at: now,
    };
    Ok(days.into_iter().map(report).collect())
}

/// A file below its header.
struct Body {
    columns: Columns,
    width: usize,
    lines: Vec<Record>,
}

/// Finds the header, which names the columns and is not always the first line, by whatever divides its fields.
fn body(text: &str, form: &Form) -> Result<Body, Vec<String>> {
    let mut told = (0, Vec::new());
    for divider in dividers(text) {
        let (width, faults) = match records(text, divider) {
            Ok(mut lines) => {
                let tried = || lines.iter().take(PREAMBLE_MAX);
                let found = tried().position(|header| Columns::find(header, form).is_ok());
                // What is wrong is told of the line that looks most like a header: the first of the widest.
                let widest = || tried().rev().max_by_key(|(_, fields)| fields.len());
                let header = found.map(|at| &lines[at]).or_else(widest);
                let Some(header) = header else {
                    return Err(vec!["the file is empty".to_owned()]);
                };
                let width = header.1.len();
                match (Columns::find(header, form), found) {
                    (Ok(columns), Some(at)) => {
                        return Ok(Body {
                            columns,
                            width,
                            lines: lines.split_off(at + 1),
                        });
                    }
                    (columns, _) => (width, columns.err().unwrap_or_default()),
                }
            }
            Err(fault) => (1, vec![fault]),
        };
        if width > told.0 {
            told = (width, faults);
        }
    }
    Err(told.1)
}

/// One line, understood.
struct Line {
    day: NaiveDate,
    event_name: String,
    conversions: Exact,
    value: Option<Exact>,
    currency: Option<String>,
    id: Option<String>,
}

/// What the lines of one day and event add up to.
struct Sum {
    first_line: usize,
    conversions: Exact,
    value: Option<Exact>,
    currency: Option<String>,
    ids: Option<BTreeMap<String, u64>>,
}

fn add(
    days: &mut BTreeMap<(NaiveDate, String), Sum>,
    line: Line,
    number: usize,
    form: &Form,
) -> Result<(), String> {
    let sum = days.entry((line.day, line.event_name)).or_insert(Sum {
        first_line: number,
        conversions: Exact::ZERO,
        value: None,
        currency: None,
        ids: None,
    });
    if sum.first_line != number && line.id.is_none() && !form.sums {
        return Err(format!(
            "the same day and event as line {}; --sum adds such lines up",
            sum.first_line
        ));
    }
    // A line without a value has no currency either.
    if let Some(currency) = line.currency
        && *sum.currency.get_or_insert(currency.clone()) != currency
    {
        return Err(format!(
            "another currency than line {} of the same day and event",
            sum.first_line
        ));
    }
    sum.conversions = sum.conversions + line.conversions;
    if let Some(value) = line.value {
        sum.value = Some(sum.value.unwrap_or_default() + value);
    }
    if let Some(id) = line.id {
        *sum.ids.get_or_insert_default().entry(id).or_default() += 1;
    }
    Ok(())
}

/// Where our columns stand in the file.
struct Columns {
    at: BTreeMap<&'static str, usize>,
}

impl Columns {
    fn find((number, header): &Record, form: &Form) -> Result<Columns, Vec<String>> {
        let mut faults = Vec::new();
        let mut at = BTreeMap::new();
        for ours in COLUMNS {
            let theirs = form.columns.get(ours).map_or(ours, String::as_str);
            let mut places = header
                .iter()
                .enumerate()
                .filter(|(_, name)| name.trim() == theirs);
            match (places.next(), places.next()) {
                (Some((place, _)), None) => {
                    at.insert(ours, place);
                }
                (Some(_), Some(_)) => {
                    faults.push(format!("line {number}: two columns are called {theirs:?}"))
                }
                (None, _) if form.columns.contains_key(ours) => {
                    faults.push(format!("line {number}: no column is called {theirs:?}"));
                }
                (None, _) => {}
            }
        }
        let has = |name: &str| at.contains_key(name);
        let is_missing = [
            ("day", !has("day")),
            ("event_name", !has("event_name") && form.event.is_none()),
            ("conversions", !has("conversions") && !has("id")),
        ];
        for (name, _) in is_missing.iter().filter(|(_, is_missing)| *is_missing) {
            faults.push(format!(
                "line {number}: there is no column {name}; the file has {}. Fix: --columns {name}=\"its header\"{}",
                header.join(", "),
                if *name == "event_name" { ", or --event NAME for all lines" } else { "" }
            ));
        }
        match faults.is_empty() {
            true => Ok(Columns { at }),
            false => Err(faults),
        }
    }

    /// Whether a line tells no day where one should stand: nothing, a dash, a word.
    fn is_total(&self, fields: &[String], form: &Form) -> bool {
        let told = self.at.get("day").and_then(|&at| fields.get(at));
        let told = told.map_or("", |text| text.trim());
        day(told, form).is_none() && !told.starts_with(|first: char| first.is_ascii_digit())
    }

    fn read(&self, fields: &[String], width: usize, form: &Form) -> Result<Line, String> {
        if fields.len() != width {
            return Err(format!(
                "{} fields, and the header has {width}",
                fields.len()
            ));
        }
        let field = |name: &str| {
            let text = self.at.get(name).map(|&at| fields[at].trim());
            text.filter(|text| !text.is_empty())
        };
        let number = |name: &str| {
            let text = field(name).filter(|text| *text != "--");
            text.map(|text| {
                let written = match (form.decimal_comma, form.comma_groups) {
                    (true, _) => without_groups(&text.replace(['\u{a0}', '\u{202f}', ' '], ".")),
                    (_, true) => without_groups(&swapped(text)),
                    _ => Some(text.to_owned()),
                };
                written.as_deref().and_then(Exact::parse).ok_or_else(|| {
                    format!("{name} must be a number such as 1234.50, without signs or thousands separators (--decimal-comma reads 1.234,50, --comma-groups 1,234.50)")
                })
            })
            .transpose()
        };
        let told = field("day").unwrap_or_default();
        let day = day(told, form).ok_or_else(|| {
            let written = match &form.day_format {
                Some(_) => "as --day-format says",
                None => {
                    "2026-11-25 or 20261125; --day-format \"%m/%d/%Y\" reads 11/25/2026, \"%d.%m.%Y\" 25.11.2026"
                }
            };
            let is_total = !told.starts_with(|first: char| first.is_ascii_digit());
            let more = if is_total { "; --skip-totals passes over lines without a day" } else { "" };
            format!("day must be written {written}{more}")
        })?;
        let told = field("event_name").or(form.event.as_deref());
        let told = told.ok_or("event_name is empty")?;
        let id = field("id").map(str::to_owned);
        if id
            .as_deref()
            .is_some_and(|id| id.contains('@') || id.chars().count() > 128)
        {
            // Said without showing it: it may be somebody's.
            return Err("id must be an order's, lead's or event's, not an address".to_owned());
        }
        let conversions = match (number("conversions")?, &id) {
            (Some(count), _) if count >= Exact::ZERO => count,
            (Some(_), _) => return Err("conversions must not be below nought".to_owned()),
            (None, Some(_)) => Exact::from(1),
            (None, None) => return Err("conversions is empty".to_owned()),
        };
        let value = number("value")?;
        let currency = field("currency").or(form.currency.as_deref());
        let currency = match currency {
            None if value.is_some() => {
                return Err(
                    "a value without a currency; --currency EUR says it for all lines".to_owned(),
                );
            }
            None => None,
            Some(code) => Some(
                crate::currency::parse(code)
                    .ok_or("currency must be a code of ISO 4217, such as EUR")?
                    .as_str()
                    .to_owned(),
            ),
        };
        Ok(Line {
            day,
            event_name: form
                .events
                .get(told)
                .map_or(told, String::as_str)
                .to_owned(),
            conversions,
            currency: currency.filter(|_| value.is_some()),
            value,
            id,
        })
    }
}

/// `1.234,50` as `1234.50`; nothing where dots do not divide groups of three, or stand behind the comma.
fn without_groups(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once(',').unwrap_or((text, ""));
    let mut groups = whole.split('.');
    let first = groups.next().unwrap_or_default();
    let is_grouped = !whole.contains('.') || (1..=3).contains(&first.len());
    let are_threes = groups.all(|group| group.len() == 3);
    if !is_grouped
        || !are_threes
        || fraction.contains(['.', ','])
        || (text.contains(',') && fraction.is_empty())
    {
        return None;
    }
    let whole = whole.replace('.', "");
    Some(match fraction {
        "" => whole,
        fraction => format!("{whole}.{fraction}"),
    })
}

/// `1,234.50` as `1.234,50`.
fn swapped(text: &str) -> String {
    let swap = |letter| match letter {
        ',' => '.',
        '.' => ',',
        other => other,
    };
    text.chars().map(swap).collect()
}

/// As it was said; else `2026-11-25`, or `20261125` as Google writes it, and nothing else, since 03/04 is a day in two calendars.
fn day(text: &str, form: &Form) -> Option<NaiveDate> {
    let written = match (&form.day_format, text.len()) {
        (Some(format), _) => format,
        (None, 10) => "%Y-%m-%d",
        (None, 8) => "%Y%m%d",
        (None, _) => return None,
    };
    NaiveDate::parse_from_str(text, written).ok()
}

mod records;
#[cfg(test)]
mod tests;
