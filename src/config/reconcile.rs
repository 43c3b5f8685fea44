//! One `[[reconcile]]`: the application's own table that a business event is compared with.

use std::collections::BTreeSet;
use std::time::Duration;

use super::destination::DestinationConfig;
use super::read::{Reader, is_name};
use super::secret::SecretRef;
use super::tree::variable_form;

/// Most rows of one day. Three days are in memory at once, at about a kilobyte a row.
const ROWS_MAX: u32 = 2_000_000;

/// One source of truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileConfig {
    /// Unique; the word for it in tables, on pages and in commands.
    pub name: String,
    /// The business event that the rows should have led to.
    pub event: String,
    /// One `select` over the application's own tables. `$1` and `$2` are the range of time, the second excluded; returns
    /// `business_id`, `occurred_at`, `value` and `currency`, and may return `event_id`, `consent`, `user_data`, `click_ids`,
    /// `properties`, `depends_on`, `action_source`, `page_url`, `source`.
    pub query: String,
    /// Another login or database for the query; the worker's own where there is none.
    pub database_url: Option<SecretRef>,
    /// IANA name of the time zone whose days are compared. Default UTC.
    pub time_zone: String,
    /// How many days are looked at, today included. Default 14: longer than any platform's numbers change.
    pub days: u32,
    /// How many days after its end rows of a day may still come. Default 2. A platform that takes longer is waited for.
    pub late_days: u32,
    /// How many per cent of the expected number may be missing or too many. Default 5.
    pub tolerance_percent: u32,
    /// Longest the query may run for one day. Default 30 s.
    pub statement_timeout: Duration,
    /// Most rows of one day. Default 100,000: a query that forgets its range must not fill the memory.
    pub rows_max: u32,
    /// Which destinations are compared; where nothing is said, all enabled ones that the event is mapped to.
    pub destinations: Option<BTreeSet<String>>,
    /// How often it is computed. Default 60 minutes.
    pub every: Duration,
    /// How long lists of ids are kept; counts stay. Default 90 days.
    pub keep_gaps_days: u32,
}

impl ReconcileConfig {
    /// Whether the destination is compared.
    pub fn concerns(&self, destination: &DestinationConfig) -> bool {
        match &self.destinations {
            Some(names) => names.contains(&destination.name),
            // One that only adjusts what another has told is told of no event of its own.
            None => {
                destination.is_enabled
                    && destination.name_of(&self.event).is_some()
                    && destination.settings.adjusts_destination().is_none()
                    && (destination.routes.events.as_ref())
                        .is_none_or(|events| events.contains(&self.event))
            }
        }
    }

    /// Reads one `[[reconcile]]`. `destinations` are those of the configuration; `taken` holds the names seen so far.
    pub fn read(
        reader: &mut Reader<'_>,
        destinations: &[DestinationConfig],
        taken: &mut BTreeSet<String>,
    ) -> Option<ReconcileConfig> {
        reader.require("name", "a short name of your own, such as \"orders\"");
        let name = reader.text_where(
            "name",
            is_name,
            "must be 1 to 40 characters: lower-case letters and digits, with single - or _ between words",
            "choose a name such as \"orders\"",
        );
        if name
            .as_deref()
            .is_some_and(|name| !taken.insert(variable_form(name)))
        {
            reader.fault("name", "is taken by an entry above", "choose another name");
        }
        reader.require(
            "event",
            "the name of a business event, such as \"order_paid\"",
        );
        let event = reader.text_where(
            "event",
            is_event_name,
            "must be the name of a business event: 1 to 40 lower-case letters, digits and underscores, a letter first",
            "write it as the application does, such as \"order_paid\"",
        );
        let config = ReconcileConfig {
            query: read_query(reader).unwrap_or_default(),
            database_url: reader.secret("database_url"),
            time_zone: reader
                .text_where(
                    "time_zone",
                    is_time_zone,
                    "must be the IANA name of a time zone",
                    "write UTC, or a name such as Europe/Berlin",
                )
                .unwrap_or_else(|| "UTC".to_owned()),
            days: reader.integer("days", 2..=400).unwrap_or(14),
            late_days: reader.integer("late_days", 0..=90).unwrap_or(2),
            tolerance_percent: reader.integer("tolerance_percent", 0..=100).unwrap_or(5),
            statement_timeout: reader
                .seconds("statement_timeout_secs", 1..=3600)
                .unwrap_or(Duration::from_secs(30)),
            rows_max: reader.integer("rows_max", 1..=ROWS_MAX).unwrap_or(100_000),
            destinations: read_destinations(reader, destinations),
            every: Duration::from_secs(
                60 * u64::from(reader.integer("every_minutes", 1..=1440).unwrap_or(60)),
            ),
            keep_gaps_days: reader.integer("keep_gaps_days", 1..=3650).unwrap_or(90),
            name: name?,
            event: event?,
        };
        if config.late_days + 2 > config.days {
            reader.fault(
                "late_days",
                "must be at least two below days, or no day is ever closed while it is looked at",
                "lower it, or raise days",
            );
        }
        for one in destinations.iter().filter(|one| config.concerns(one)) {
            let delay = crate::reconcile::ask::delay(one).num_hours();
            if delay > i64::from(config.days - 2) * 24 {
                reader.fault(
                    "days",
                    &format!("leaves no day to be closed: the numbers of {} are final only {delay} hours after a day's end", one.name),
                    "raise days to at least two more than that, or name other destinations",
                );
            }
        }
        Some(config)
    }
}

fn read_query(reader: &mut Reader<'_>) -> Option<String> {
    let query = reader.required_text(
        "query",
        "a select that returns business_id, occurred_at, value and currency where occurred_at >= $1 and occurred_at < $2",
    )?;
    // It becomes part of a statement of ours.
    let query = query.trim().trim_end_matches(';').trim_end().to_owned();
    if !query.contains("$1") || !query.contains("$2") {
        reader.fault(
            "query",
            "must use $1 and $2, the range of time",
            "add: where occurred_at >= $1 and occurred_at < $2",
        );
        return None;
    }
    Some(query)
}

fn read_destinations(
    reader: &mut Reader<'_>,
    known: &[DestinationConfig],
) -> Option<BTreeSet<String>> {
    let names = reader.list_of_text("destinations")?;
    let is_known = |name: &String| known.iter().any(|one| one.name == *name);
    if !names.iter().all(is_known) {
        reader.fault(
            "destinations",
            "must name destinations of this file",
            "write names of [[destination]] tables, or leave the key out for all",
        );
    }
    Some(names.into_iter().collect())
}

/// As the database's own rule for the column.
fn is_event_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The form of an IANA name; whether there is such a zone, the database knows. Abbreviations such as `CET` and offsets
/// are left out: they know no summer time, or PostgreSQL reads their sign the other way round.
pub fn is_time_zone(text: &str) -> bool {
    text == "UTC"
        || (text.len() <= 64
            && text.contains('/')
            && text.split('/').all(|part| {
                part.starts_with(|first: char| first.is_ascii_alphabetic())
                    && part
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "_-+".contains(c))
            }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const HEAD: &str = "[database]\nurl = { env = \"X\" }\n[[reconcile]]\n";
    const QUERY: &str = "query = \"select 1 where $1 < $2;\"\n";

    fn faults(lines: &str) -> Vec<String> {
        let text = format!("{HEAD}{lines}");
        let faults = Config::parse(&text, "c.toml", []).err();
        let faults = faults.map(|faults| faults.list().to_vec());
        faults
            .unwrap_or_default()
            .into_iter()
            .map(|fault| format!("{} {}", fault.path, fault.message))
            .collect()
    }

    #[test]
    fn what_is_left_out_has_a_default_and_a_semicolon_does_no_harm() {
        let text = format!("{HEAD}name = \"orders\"\nevent = \"order_paid\"\n{QUERY}");
        let config = Config::parse(&text, "c.toml", []).expect("valid");
        let [entry] = config.reconcile.as_slice() else {
            panic!("one entry")
        };
        assert_eq!(entry.query, "select 1 where $1 < $2");
        assert_eq!((entry.time_zone.as_str(), entry.days), ("UTC", 14));
        assert_eq!((entry.late_days, entry.tolerance_percent), (2, 5));
        assert_eq!(entry.destinations, None);
    }

    #[test]
    fn only_destinations_that_could_be_told_of_the_event_are_compared() {
        let place = |name: &str, more: &str| {
            format!(
                "[[destination]]\nname = \"{name}\"\nplatform = \"meta\"\ndataset_id = \"1{}\"\naccess_token = {{ env = \"X\" }}\n{more}",
                name.len()
            )
        };
        let text = [
            format!("{HEAD}name = \"orders\"\nevent = \"order_paid\"\n{QUERY}"),
            place("a", ""),
            place("ab", "routes = { events = [\"order_refunded\"] }\n"),
            place("abc", "routes = { events = [\"order_paid\"] }\n"),
            place("abcd", "enabled = false\n"),
            place("abcde", "events = { order_paid = false }\n"),
        ]
        .concat();
        let config = Config::parse(&text, "c.toml", []).expect("valid");
        let entry = &config.reconcile[0];
        let all = config.destinations.iter();
        let compared: Vec<&str> = all
            .filter(|one| entry.concerns(one))
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(compared, ["a", "abc"]);
    }

    #[test]
    fn every_fault_is_named() {
        assert_eq!(
            faults(""),
            [
                "reconcile number 1: event is required",
                "reconcile number 1: name is required",
                "reconcile number 1: query is required",
            ]
        );
        let named = format!("name = \"orders\"\nevent = \"order_paid\"\n{QUERY}");
        for (line, expected) in [
            (
                "time_zone = \"CET\"",
                "time_zone must be the IANA name of a time zone",
            ),
            (
                "time_zone = \"+02:00\"",
                "time_zone must be the IANA name of a time zone",
            ),
            (
                "late_days = 13",
                "late_days must be at least two below days, or no day is ever closed while it is looked at",
            ),
            (
                "destinations = [\"meta\"]",
                "destinations must name destinations of this file",
            ),
            (
                "database_url = \"postgresql://x\"",
                "database_url must be a reference, not a literal",
            ),
            (
                "tolerance_percent = 101",
                "tolerance_percent must be a whole number from 0 to 100",
            ),
        ] {
            assert_eq!(
                faults(&format!("{named}{line}")),
                [format!("reconcile \"orders\": {expected}")]
            );
        }
        assert_eq!(
            faults("name = \"orders\"\nevent = \"Order\"\nquery = \"select 1\""),
            [
                "reconcile \"orders\": event must be the name of a business event: 1 to 40 lower-case letters, digits and underscores, a letter first",
                "reconcile \"orders\": query must use $1 and $2, the range of time",
            ]
        );
        let twice = format!("{named}[[reconcile]]\n{named}");
        assert_eq!(
            faults(&twice),
            ["reconcile \"orders\": name is taken by an entry above"]
        );
    }

    #[test]
    fn zones_have_the_form_of_iana_names() {
        for good in [
            "UTC",
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+5",
        ] {
            assert!(is_time_zone(good), "{good}");
        }
        for bad in [
            "",
            "utc",
            "CET",
            "+02:00",
            "Europe/",
            "/Berlin",
            "Europe/Berlin'",
            "a/1",
        ] {
            assert!(!is_time_zone(bad), "{bad}");
        }
    }
}
