//! What the demo ends with: one object for scripts, one table for people.

use serde::Serialize;
use tokio_postgres::types::Type;

use super::audit::Audit;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;

const TOTALS: &str = include_str!("../../sql/queries/totals.sql");
const COVERAGE: &str = include_str!("../../sql/demo/coverage.sql");
const REPEATS: &str = include_str!("../../sql/demo/repeats.sql");

/// The result of a demo.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Conversions that happened, should have been counted, were not, and are nowhere to be seen.
    pub lost: u64,
    /// Conversions that a platform counted more than once.
    pub double_counted: u64,
    /// Conversions that a platform counted without consent, against a roll-back, or of which the business knows nothing.
    pub leaked: u64,
    /// Conversions that a platform counted at another value than what the business kept of them.
    pub wrong_value: u64,
    /// Conversions that the platforms' ledgers hold, each counted once.
    pub counted: u64,
    /// Events the application wrote.
    pub events: u64,
    /// Events it wrote again, unchanged.
    pub duplicates: u64,
    /// Events it wrote again with other content; the first one stood.
    pub conflicts: u64,
    /// What events carried.
    pub coverage: Coverage,
    /// Per destination.
    pub destinations: Vec<Destination>,
}

/// Events with what platforms match by, and with consent to advertising use.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Coverage {
    /// Any click or browser id.
    pub click_id: u64,
    /// An e-mail address.
    pub email: u64,
    /// `ad_user_data` granted.
    pub consent: u64,
}

/// Deliveries of one destination by state.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Destination {
    /// Its name.
    pub name: String,
    /// Its platform.
    pub platform: String,
    /// Deliveries, one an event.
    pub events: u64,
    /// Handed over to a platform that never confirms.
    pub sent: u64,
    /// Confirmed.
    pub accepted: u64,
    /// Held back for want of consent.
    pub suppressed: u64,
    /// Not applicable.
    pub skipped: u64,
    /// Too old for the platform.
    pub expired: u64,
    /// Taken back before it left.
    pub cancelled: u64,
    /// Refused for good.
    pub rejected: u64,
    /// May have arrived; not sent again.
    pub uncertain: u64,
    /// Out of attempts.
    pub exhausted: u64,
    /// Took more than one try, whatever the end.
    pub retried: u64,
}

impl Summary {
    /// Asks the database for the states and joins the audit.
    pub async fn gather(database: &Database, audit: &Audit) -> Result<Summary, DatabaseError> {
        let mut destinations: Vec<Destination> = Vec::new();
        for row in database.query(TOTALS, &[]).await? {
            let name: String = row.try_get("destination")?;
            let total = count(row.try_get("total")?);
            if destinations.last().is_none_or(|last| last.name != name) {
                destinations.push(Destination {
                    name,
                    platform: row.try_get("platform")?,
                    ..Destination::default()
                });
            }
            let destination = destinations.last_mut().expect("one was just pushed");
            destination.events += total;
            destination.retried += count(row.try_get("retried")?);
            match row.try_get::<_, &str>("state")? {
                "sent" => destination.sent = total,
                "accepted" => destination.accepted = total,
                "suppressed" => destination.suppressed = total,
                "skipped" => destination.skipped = total,
                "expired" => destination.expired = total,
                "cancelled" => destination.cancelled = total,
                "rejected" => destination.rejected = total,
                "uncertain" => destination.uncertain = total,
                "exhausted" => destination.exhausted = total,
                _ => {}
            }
        }
        let coverage = single(database, COVERAGE).await?;
        let repeats = single(database, REPEATS).await?;
        let number = |row: &tokio_postgres::Row, column: &str| row.try_get(column).map(count);
        Ok(Summary {
            lost: audit.lost.len() as u64,
            double_counted: audit.double_counted.len() as u64,
            leaked: audit.leaked.len() as u64,
            wrong_value: audit.wrong_value.len() as u64,
            counted: audit.counted,
            events: number(&coverage, "events")?,
            duplicates: number(&repeats, "duplicates")?,
            conflicts: number(&repeats, "conflicts")?,
            coverage: Coverage {
                click_id: number(&coverage, "click_id")?,
                email: number(&coverage, "email")?,
                consent: number(&coverage, "consent")?,
            },
            destinations,
        })
    }

    /// Whether nothing is lost, counted twice, leaked or worth something else.
    pub fn is_clean(&self) -> bool {
        [
            self.lost,
            self.double_counted,
            self.leaked,
            self.wrong_value,
        ] == [0; 4]
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let columns = [
            "events",
            "allowed",
            "sent",
            "accepted",
            "suppressed",
            "skipped",
            "expired",
            "cancelled",
            "retried",
            "dead",
        ];
        line(&mut text, "destination", &columns.map(str::to_owned));
        for destination in &self.destinations {
            let dead = destination.rejected + destination.uncertain + destination.exhausted;
            let cells = [
                destination.events,
                destination.events - destination.suppressed,
                destination.sent,
                destination.accepted,
                destination.suppressed,
                destination.skipped,
                destination.expired,
                destination.cancelled,
                destination.retried,
                dead,
            ];
            line(
                &mut text,
                &destination.name,
                &cells.map(|cell| cell.to_string()),
            );
        }
        let share = |part: u64| {
            format!(
                "{} of {} ({:.0} %)",
                part,
                self.events,
                100.0 * part as f64 / self.events.max(1) as f64
            )
        };
        // Writing to a string does not fail.
        text.push_str(&format!(
            "\nevents written again   {} unchanged, {} with other content (the first one stood)\n\
             carried a click id     {}\ncarried an e-mail      {}\nconsent to ad use      {}\n\n\
             From the shop's tables and the platforms' ledgers:\n\
             conversions counted    {}\nlost                   {}\ncounted twice          {}\nleaked                 {}\nwrong value            {}\n",
            self.duplicates,
            self.conflicts,
            share(self.coverage.click_id),
            share(self.coverage.email),
            share(self.coverage.consent),
            self.counted,
            self.lost,
            self.double_counted,
            self.leaked,
            self.wrong_value,
        ));
        text
    }
}

fn line(text: &mut String, name: &str, cells: &[String; 10]) {
    text.push_str(&format!("{name:<15}"));
    for cell in cells {
        text.push_str(&format!("{cell:>11}"));
    }
    text.push('\n');
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

async fn single(database: &Database, sql: &str) -> Result<tokio_postgres::Row, DatabaseError> {
    let no_parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 0] = [];
    let mut rows = database.query(sql, &no_parameters).await?;
    Ok(rows.pop().expect("an aggregate has one row"))
}
