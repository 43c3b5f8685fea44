//! A run over many deliveries: sent again, or ended. Looked at first, page by page; only then, and only if told to, done.
//!
//! What may be done to which delivery is judged here, by the configuration. The database judges once more what can be
//! judged without it, under the lock of each row: what was accepted or sent in between is never touched.

use chrono::{DateTime, Utc};
use serde_json::Value;
use thiserror::Error;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::filter::Filter;
use super::known::{self, KnownError, Unknown};
use super::report::{Report, Tally};
use crate::config::destination::DestinationConfig;
use crate::db::connect::Database;
use crate::db::error::DatabaseError;
use crate::decide::again::Facts;
use crate::outcome::State;

const BEGINS: &str = include_str!("../../sql/queries/run_begins.sql");
const ENDED: &str = include_str!("../../sql/queries/ended_page.sql");
const UNCLAIMED: &str = include_str!("../../sql/queries/unclaimed_page.sql");
const WAITING: &str = include_str!("../../sql/queries/waiting_page.sql");
const REPLAY: &str = include_str!("../../sql/queries/replay.sql");
const SKIP: &str = include_str!("../../sql/queries/skip.sql");

/// Deliveries in one statement: few enough that no lock is held for long. The database takes no more at once.
const PAGE: i64 = 1000;

/// What is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sent again.
    Replay {
        /// Whether also what may count twice, or is older than the configuration wants.
        forced: bool,
    },
    /// Ended as `cancelled/by_operator`.
    Skip,
}

/// What a run is about.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// What to do.
    pub action: Action,
    /// To which deliveries.
    pub filter: &'a Filter,
    /// Whether not only dead letters are meant: to be sent again also what was skipped by hand, to be skipped also what waits.
    pub is_wide: bool,
    /// Why, for the audit. Without it nothing is done.
    pub reason: Option<&'a str>,
}

/// Why a run ended early. What it had done until then is done, and counted in the audit.
#[derive(Debug, Error)]
pub enum RunError {
    /// Something that was named is not there.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The database.
    #[error("the run ended early; what was done until then is counted in the audit")]
    Database(#[from] DatabaseError),
}

impl From<KnownError> for RunError {
    fn from(error: KnownError) -> RunError {
        match error {
            KnownError::Unknown(unknown) => RunError::Unknown(unknown),
            KnownError::Database(error) => RunError::Database(error),
        }
    }
}

/// One delivery as it is judged.
struct Candidate {
    event_no: i64,
    event_id: String,
    event_name: String,
    occurred_at: DateTime<Utc>,
    action_source: Option<String>,
    adjusts: bool,
    original_occurred_at: Option<DateTime<Utc>>,
    state: State,
    reason: Option<String>,
    is_erased: bool,
    answer_lost: bool,
    first_tried_at: Option<DateTime<Utc>>,
    tried_at: Option<DateTime<Utc>>,
    page_at: DateTime<Utc>,
}

/// Looks at every delivery that is meant and, if a reason is given, does it. `destinations` are the configured ones.
pub async fn run(
    database: &Database,
    order: &Order<'_>,
    destinations: &[DestinationConfig],
    now: DateTime<Utc>,
) -> Result<Report, RunError> {
    let meant = &order.filter.destination;
    if let Some(name) = meant {
        known::destination(database, name).await?;
    }
    if let Some(ids) = &order.filter.event_ids {
        known::events(database, ids).await?;
    }
    let rows = database.query(BEGINS, &[(meant, Type::TEXT)]).await?;
    let begins = rows.first().expect("an aggregate has one row");
    let names: Vec<String> = begins.try_get("names").map_err(DatabaseError::from)?;
    let started_at: DateTime<Utc> = begins.try_get("now").map_err(DatabaseError::from)?;
    let mut run = Run {
        database,
        order,
        started_at,
        now,
        tally: Tally::default(),
        audit_no: None,
        done: 0,
    };
    for name in &names {
        let configured = destinations.iter().find(|one| one.name == *name);
        run.over(name, ENDED, configured).await?;
        if order.action == Action::Skip && order.is_wide {
            run.over(name, WAITING, configured).await?;
            run.over(name, UNCLAIMED, configured).await?;
        }
    }
    Ok(run.report())
}

/// A run under way.
struct Run<'a> {
    database: &'a Database,
    order: &'a Order<'a>,
    started_at: DateTime<Utc>,
    now: DateTime<Utc>,
    tally: Tally,
    audit_no: Option<i64>,
    done: u64,
}

impl Run<'_> {
    /// Goes over one destination, page by page.
    async fn over(
        &mut self,
        destination: &str,
        sql: &str,
        configured: Option<&DestinationConfig>,
    ) -> Result<(), DatabaseError> {
        let mut last: Option<(DateTime<Utc>, i64)> = None;
        loop {
            let room = self.room();
            let page = self.page(destination, sql, last, room).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = Some((end.page_at, end.event_no));
            let is_over = (page.len() as i64) < room;
            let chosen: Vec<i64> = page
                .iter()
                .filter(|one| self.admit(destination, one, configured))
                .map(|one| one.event_no)
                .collect();
            self.apply(destination, &chosen).await?;
            if is_over {
                return Ok(());
            }
        }
    }

    /// How many more may be looked at in one page.
    fn room(&self) -> i64 {
        let seen = i64::try_from(self.tally.total).unwrap_or(i64::MAX);
        self.order
            .filter
            .limit
            .map_or(PAGE, |limit| (limit - seen).clamp(0, PAGE))
    }

    async fn page(
        &self,
        destination: &str,
        sql: &str,
        last: Option<(DateTime<Utc>, i64)>,
        room: i64,
    ) -> Result<Vec<Candidate>, DatabaseError> {
        let (last_at, last_no) = last.unzip();
        let takes_skipped = self.order.is_wide && self.order.action != Action::Skip;
        let [state, reason, code, name, ids, since, until] = self.order.filter.params();
        let rows = self
            .database
            .query(
                sql,
                &[
                    (&destination as &(dyn ToSql + Sync), Type::TEXT),
                    state,
                    reason,
                    code,
                    name,
                    ids,
                    since,
                    until,
                    (&room, Type::INT8),
                    (&last_at, Type::TIMESTAMPTZ),
                    (&last_no, Type::INT8),
                    (&self.started_at, Type::TIMESTAMPTZ),
                    (&takes_skipped, Type::BOOL),
                ],
            )
            .await?;
        Ok(rows
            .iter()
            .map(Candidate::read)
            .collect::<Result<_, tokio_postgres::Error>>()?)
    }

    /// Counts one delivery, and says whether it may be done.
    fn admit(
        &mut self,
        destination: &str,
        one: &Candidate,
        configured: Option<&DestinationConfig>,
    ) -> bool {
        let judged = match self.order.action {
            Action::Skip => Ok(()),
            Action::Replay { forced } => match one.facts().judge(configured, self.now) {
                Err(refusal) if forced && refusal.can_be_forced() => Ok(()),
                judged => judged,
            },
        };
        let kind = (
            destination.to_owned(),
            one.state.as_str(),
            one.reason.clone(),
        );
        self.tally.add(kind, &one.event_id, judged);
        judged.is_ok()
    }

    async fn apply(&mut self, destination: &str, chosen: &[i64]) -> Result<(), DatabaseError> {
        let Some(reason) = self.order.reason.filter(|_| !chosen.is_empty()) else {
            return Ok(());
        };
        let names = vec![destination; chosen.len()];
        let filter = serde_json::to_value(self.order.filter).unwrap_or(Value::Null);
        let common = [
            (&chosen as &(dyn ToSql + Sync), Type::INT8_ARRAY),
            (&names, Type::TEXT_ARRAY),
            (&reason, Type::TEXT),
            (&filter, Type::JSONB),
        ];
        let run = (&self.audit_no as &(dyn ToSql + Sync), Type::INT8);
        let rows = match self.order.action {
            Action::Replay { forced } => {
                let forced = (&forced as &(dyn ToSql + Sync), Type::BOOL);
                let params = common.into_iter().chain([forced, run]).collect::<Vec<_>>();
                self.database.query(REPLAY, &params).await?
            }
            Action::Skip => {
                let params = common.into_iter().chain([run]).collect::<Vec<_>>();
                self.database.query(SKIP, &params).await?
            }
        };
        let row = rows.first().expect("a function gives a row");
        self.audit_no = Some(row.try_get("audit_no")?);
        self.done += u64::try_from(row.try_get::<_, i64>("done")?).unwrap_or(0);
        Ok(())
    }

    fn report(self) -> Report {
        let (action, forced) = match self.order.action {
            Action::Replay { forced } => ("replay", forced),
            Action::Skip => ("skip", false),
        };
        Report {
            action,
            dry_run: self.order.reason.is_none(),
            forced,
            filter: self.order.filter.clone(),
            total: self.tally.total,
            refused_total: self.tally.refused_total(),
            deliveries: self.tally.counts(),
            refused: self.tally.refusals(),
            done: self.done,
            audit_no: self.audit_no,
        }
    }
}

impl Candidate {
    fn read(row: &Row) -> Result<Candidate, tokio_postgres::Error> {
        let state: String = row.try_get("state")?;
        Ok(Candidate {
            event_no: row.try_get("event_no")?,
            event_id: row.try_get("event_id")?,
            event_name: row.try_get("event_name")?,
            occurred_at: row.try_get("occurred_at")?,
            action_source: row.try_get("action_source")?,
            adjusts: row.try_get::<_, Option<String>>("depends_on")?.is_some(),
            original_occurred_at: row.try_get("original_occurred_at")?,
            state: State::parse(&state).expect("the database knows the same states"),
            reason: row.try_get("reason")?,
            is_erased: row.try_get("is_erased")?,
            answer_lost: row.try_get("answer_lost")?,
            first_tried_at: row.try_get("first_tried_at")?,
            tried_at: row.try_get("tried_at")?,
            page_at: row.try_get("page_at")?,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            event_name: &self.event_name,
            occurred_at: self.occurred_at,
            action_source: self.action_source.as_deref(),
            adjusts: self.adjusts,
            original_occurred_at: self.original_occurred_at,
            state: self.state,
            is_erased: self.is_erased,
            answer_lost: self.answer_lost,
            first_tried_at: self.first_tried_at,
            tried_at: self.tried_at,
        }
    }
}
