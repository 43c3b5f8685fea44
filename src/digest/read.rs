//! Gathers a day's figures, each in one statement over small tables.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::{Carried, Deliveries, Digest, Events, Failures, Repeats, Standing, todo};
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::funnel::Funnel;
use crate::operations::Filter;
use crate::operations::dead_letters;
use crate::outcome::{Reason, State};
use crate::reconcile::stored;

const EVENTS: &str = include_str!("../../sql/report/events.sql");
const DELIVERIES: &str = include_str!("../../sql/report/deliveries.sql");
const ANSWERS: &str = include_str!("../../sql/report/answers.sql");
const REPEATS: &str = include_str!("../../sql/report/repeats.sql");
const STANDING: &str = include_str!("../../sql/pages/standing.sql");

/// Reads the digest of a day.
pub async fn read(
    database: &Database,
    day: NaiveDate,
    environment: Option<String>,
    now: DateTime<Utc>,
) -> Result<Digest, DatabaseError> {
    let start = day.and_time(NaiveTime::MIN).and_utc();
    let end = start + chrono::TimeDelta::days(1);
    let week_ago = day.checked_sub_days(Days::new(7)).unwrap_or(day);
    let span: [(&(dyn ToSql + Sync), Type); 2] = [(&week_ago, Type::DATE), (&day, Type::DATE)];
    let of_day: [(&(dyn ToSql + Sync), Type); 1] = [(&day, Type::DATE)];
    let from: [(&(dyn ToSql + Sync), Type); 1] = [(&start, Type::TIMESTAMPTZ)];
    let died = Filter {
        since: Some(start),
        until: Some(end),
        ..Filter::default()
    };

    let mut reconciliation = stored::days(database, None, day, day).await?;
    for closed in stored::last_closed(database).await? {
        if !reconciliation
            .iter()
            .any(|known| known.entry == closed.entry && known.day == closed.day)
        {
            reconciliation.push(closed);
        }
    }
    reconciliation.sort_by(|a, b| (&a.entry, b.day).cmp(&(&b.entry, a.day)));
    let answers = database.query(ANSWERS, &from).await?;
    let standing = database.query(STANDING, &[]).await?;
    let mut digest = Digest {
        day,
        read_at: now,
        environment,
        events: events(&database.query(EVENTS, &span).await?, day)?,
        deliveries: deliveries(&database.query(DELIVERIES, &of_day).await?)?,
        failures: answers.iter().map(failure).collect::<Result<_, _>>()?,
        dead_letters: dead_letters::groups(database, &died).await?,
        repeats: repeats(&database.query(REPEATS, &from).await?)?,
        reconciliation,
        runs: stored::runs(database).await?,
        standing: standing.iter().map(stands).collect::<Result<_, _>>()?,
        to_do: Vec::new(),
    };
    digest
        .failures
        .retain(|row| row.answers > 0 && !matches!(row.outcome.as_str(), "accepted" | "sent"));
    digest.to_do = todo::conclude(&digest);
    Ok(digest)
}

fn events(rows: &[Row], today: NaiveDate) -> Result<Vec<Events>, tokio_postgres::Error> {
    let mut all: BTreeMap<String, Events> = BTreeMap::new();
    for row in rows {
        let event_name: String = row.try_get("event_name")?;
        let day: NaiveDate = row.try_get("day")?;
        let counts = Carried {
            events: row.try_get("events")?,
            click_id: row.try_get("click_id")?,
            email: row.try_get("email")?,
            phone: row.try_get("phone")?,
            external_id: row.try_get("external_id")?,
            consent_granted: row.try_get("consent_granted")?,
            consent_denied: row.try_get("consent_denied")?,
            consent_unspecified: row.try_get("consent_unspecified")?,
        };
        let entry = all.entry(event_name.clone()).or_default();
        entry.event_name = event_name;
        if day == today {
            entry.today = counts;
        } else {
            entry.week_before = entry.week_before.plus(counts);
        }
    }
    Ok(all.into_values().collect())
}

impl Carried {
    fn plus(self, other: Carried) -> Carried {
        Carried {
            events: self.events + other.events,
            click_id: self.click_id + other.click_id,
            email: self.email + other.email,
            phone: self.phone + other.phone,
            external_id: self.external_id + other.external_id,
            consent_granted: self.consent_granted + other.consent_granted,
            consent_denied: self.consent_denied + other.consent_denied,
            consent_unspecified: self.consent_unspecified + other.consent_unspecified,
        }
    }
}

fn deliveries(rows: &[Row]) -> Result<Vec<Deliveries>, DatabaseError> {
    let mut all: BTreeMap<(String, String), (Funnel, i64)> = BTreeMap::new();
    for row in rows {
        let state: &str = row.try_get("state")?;
        let reason: Option<&str> = row.try_get("reason")?;
        let state = State::parse(state).ok_or_else(|| {
            DatabaseError::Broken(format!(
                "a delivery is in the state {state}, which this program does not know: update it"
            ))
        })?;
        let key = (row.try_get("destination")?, row.try_get("event_name")?);
        let (funnel, in_time) = all.entry(key).or_default();
        match row.try_get("is_queued")? {
            true => funnel.add_queued(row.try_get("deliveries")?),
            false => funnel.add(
                state,
                reason.and_then(Reason::parse),
                row.try_get("deliveries")?,
            ),
        }
        *in_time += row.try_get::<_, i64>("in_time")?;
    }
    let named = all.into_iter().map(
        |((destination, event_name), (funnel, in_time))| Deliveries {
            destination,
            event_name,
            funnel,
            in_time,
        },
    );
    Ok(named.collect())
}

fn failure(row: &Row) -> Result<Failures, tokio_postgres::Error> {
    Ok(Failures {
        destination: row.try_get("destination")?,
        outcome: row.try_get("outcome")?,
        response_code: row.try_get("response_code")?,
        error_code: row.try_get("error_code")?,
        answers: row.try_get("answers")?,
        day_before: row.try_get("day_before")?,
    })
}

fn repeats(rows: &[Row]) -> Result<Repeats, tokio_postgres::Error> {
    let row = rows.first().expect("an aggregate gives a row");
    Ok(Repeats {
        repeated: row.try_get("repeated")?,
        with_conflict: row.try_get("with_conflict")?,
        conflicting: row
            .try_get::<_, Option<Vec<String>>>("conflicting")?
            .unwrap_or_default(),
    })
}

/// A destination that no worker has served for so many seconds is served by nobody, as for `status`.
const UNSEEN_MAX: f64 = 600.0;

fn stands(row: &Row) -> Result<Standing, tokio_postgres::Error> {
    Ok(Standing {
        destination: row.try_get("destination")?,
        platform: row.try_get("platform")?,
        is_served: row.try_get("is_live")? && row.try_get::<_, f64>("unseen_for")? <= UNSEEN_MAX,
        oldest_due_secs: row.try_get("oldest_due_age")?,
        hold_reason: row.try_get("hold_reason")?,
        hold_advice: row.try_get("hold_advice")?,
        held_since: row.try_get("held_since")?,
        held_rules: row.try_get("held_rules")?,
        pending: row.try_get("pending")?,
        expiring: row.try_get("expiring")?,
        dead_letters: row.try_get("dead")?,
    })
}
