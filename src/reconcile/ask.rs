//! Asks platforms what they counted, and keeps their answers.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde_json::Value;

use super::exact::Exact;
use super::platform::{self, Counts, NewReport};
use crate::config::ALIASES;
use crate::config::destination::DestinationConfig;
use crate::config::reconcile::ReconcileConfig;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::reports::{self, DayRange, ReportError, ReportedDay};
use crate::send::Sender;

/// Days asked for at once; a fetch takes at most a hundred.
const PART: u64 = 31;

/// Details that say that a number is less than all there is.
const HOLES: [&str; 3] = ["thresholded", "other_row", "sampled"];

/// How long after a day's end the destination's numbers are final.
pub(crate) fn delay(destination: &DestinationConfig) -> TimeDelta {
    TimeDelta::from_std(reports::delay_of(destination)).unwrap_or(TimeDelta::MAX)
}

/// Asks each of these destinations about the entry's event on these days, and keeps what it says. Returns what could not be
/// asked, `destination: why`; a destination that is not configured to be asked is none of it.
pub async fn ask(
    database: &Database,
    entry: &ReconcileConfig,
    places: &[&DestinationConfig],
    sender: &Sender,
    (first, last): (NaiveDate, NaiveDate),
    now: DateTime<Utc>,
) -> Result<Vec<String>, DatabaseError> {
    let mut notes = Vec::new();
    for place in places {
        let mut from = first;
        while from <= last {
            let to = last.min(from + Days::new(PART - 1));
            let range = DayRange {
                first: from,
                last: to,
                time_zone: entry.time_zone.clone(),
            };
            match reports::fetch(place, sender, &range, now).await {
                Ok(days) => {
                    let reports: Vec<NewReport> = days
                        .iter()
                        .filter_map(|day| report(place, &entry.event, day, now))
                        .collect();
                    platform::store(database, &reports).await?;
                }
                Err(ReportError::NotConfigured | ReportError::Nothing(_)) => {}
                Err(error) => {
                    notes.push(format!("{}: {error}. Fix: {}", place.name, error.advice()));
                    break;
                }
            }
            from = to + Days::new(1);
        }
    }
    Ok(notes)
}

/// What is kept of one day; nothing where the number is not the event's.
fn report(
    place: &DestinationConfig,
    event: &str,
    day: &ReportedDay,
    now: DateTime<Utc>,
) -> Option<NewReport> {
    let sharing: Vec<&str> = match day.details["events"].as_array() {
        Some(events) => events.iter().filter_map(Value::as_str).collect(),
        None => vec![day.event_name.as_str()],
    };
    if !sharing.contains(&event) {
        return None;
    }
    // Two names of one event, of which an application uses one, share nothing.
    let is_own = |one: &&str| *one == event || (ALIASES.contains(one) && ALIASES.contains(&event));
    let has_hole = HOLES.iter().any(|hole| day.details[*hole] == true);
    let counts = match reports::counts(place.platform()) {
        reports::Counts::Attributed => Counts::Attributed,
        reports::Counts::Received if has_hole => Counts::Incomplete,
        reports::Counts::Received if !sharing.iter().all(is_own) => Counts::Shared,
        reports::Counts::Received => Counts::Received,
    };
    // Whatever a site's tag put there, an address is nobody's order.
    let ids = day.ids.as_ref().map(|ids| {
        let ids = ids.iter().filter(|(id, _)| !id.contains('@'));
        ids.map(|(id, count)| (id.clone(), *count)).collect()
    });
    let mut details = day.details.clone();
    details["counts"] = counts.as_str().into();
    details["platform_name"] = day.platform_name.as_str().into();
    Some(NewReport {
        destination: place.name.clone(),
        event_name: event.to_owned(),
        day: day.day,
        time_zone: day.time_zone.clone(),
        source: "api",
        conversions: Exact::parse(&day.conversions)?,
        value: day.value.as_deref().and_then(Exact::parse),
        currency: day.currency.clone(),
        ids,
        details,
        fetched_at: now,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::config::Config;

    fn kept(event: &str, name: &str, details: Value) -> Option<(String, usize)> {
        let text = r#"
[database]
url = { env = "X" }
[[destination]]
name = "meta"
platform = "meta"
dataset_id = "1234567890"
access_token = { env = "X" }
"#;
        let config = Config::parse(text, "c.toml", []).expect("valid");
        let ids = BTreeMap::from([("o-1".to_owned(), 1), ("ada@example.com".to_owned(), 1)]);
        let day = ReportedDay {
            event_name: name.to_owned(),
            platform_name: "Purchase".to_owned(),
            day: NaiveDate::default(),
            time_zone: "UTC".to_owned(),
            conversions: "2".to_owned(),
            value: None,
            currency: None,
            ids: Some(ids),
            details,
        };
        let kept = report(&config.destinations[0], event, &day, DateTime::default())?;
        let counts = kept.details["counts"].as_str().expect("a word").to_owned();
        Some((counts, kept.ids.expect("ids").len()))
    }

    #[test]
    fn a_number_is_taken_for_what_it_is() {
        let word = |counts: &str| Some((counts.to_owned(), 1));
        assert_eq!(
            kept("order_paid", "order_paid", json!({})),
            word("received")
        );
        assert_eq!(kept("lead_created", "order_paid", json!({})), None);
        let aliases = json!({ "events": ["order_paid", "purchase"] });
        assert_eq!(kept("purchase", "order_paid", aliases), word("received"));
        let shared = json!({ "events": ["order_paid", "deal_won"] });
        assert_eq!(kept("deal_won", "order_paid", shared), word("shared"));
        let sampled = json!({ "sampled": true });
        assert_eq!(
            kept("order_paid", "order_paid", sampled),
            word("incomplete")
        );
    }
}
