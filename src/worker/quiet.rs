//! What all workers obey beside holds: a destination that throttles is left alone by all of them, and of all workers one
//! probes at a time.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use tokio_postgres::types::{ToSql, Type};

use super::Shared;
use super::gate::Throttles;
use super::lane::Lane;
use crate::outcome::Reason;

const THROTTLE: &str = include_str!("../../sql/queries/throttle_destination.sql");
const CALM: &str = include_str!("../../sql/queries/calm_destination.sql");
const TAKE_PROBE: &str = include_str!("../../sql/queries/take_probe.sql");
const TAKE_RULE_PROBE: &str = include_str!("../../sql/queries/take_rule_probe.sql");

/// What a probe takes beyond its request, which may go out twice with two tokens.
const PROBE_MARGIN: Duration = Duration::from_secs(5);

/// Throttling that lasts so long is taken for a daily quota that is used up, where the platform documents one: the answer
/// does not say which quota it is.
const QUOTA_AFTER: TimeDelta = TimeDelta::minutes(20);

/// Minutes after the hour at which a daily quota is new: five, and up to five more, so that not all come at once.
const QUOTA_MINUTES: i64 = 5;

/// The platform says that it is asked too often: all workers leave it alone. `wish` is how long it asked for.
pub(super) async fn throttle(lane: &Lane, wish: Option<Duration>, is_probe: bool, shared: &Shared) {
    let now = shared.clock.now();
    let (until, throttles) = {
        let mut gate = lane.gate();
        let until = gate.after_throttling(now, wish, &lane.limits.schedule, is_probe);
        let throttles = gate.throttles();
        let until = match quota_is_new_at(lane, throttles, now) {
            Some(new) if new > until => new,
            _ => until,
        };
        gate.wait_until(until);
        (until, throttles)
    };
    let count = i32::try_from(throttles.count).unwrap_or(i32::MAX);
    let since = throttles.since.unwrap_or(now);
    tracing::warn!(
        destination = lane.destination.name,
        until = %until.format("%H:%M:%S UTC"),
        times = count,
        "the destination throttles: all workers leave it alone, nothing is lost, no attempts are used up"
    );
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&lane.destination.name, Type::TEXT),
        (&until, Type::TIMESTAMPTZ),
        (&count, Type::INT4),
        (&since, Type::TIMESTAMPTZ),
    ];
    match shared.database.query(THROTTLE, &params).await {
        Ok(_) => lane.gate().recorded(Reason::RateLimited),
        // This worker leaves it alone all the same; the others find out for themselves.
        Err(error) => {
            tracing::warn!(destination = lane.destination.name, %error, "the quiet time could not be written");
        }
    }
}

/// When a daily quota that seems to be used up is new, where the platform documents its hour.
fn quota_is_new_at(lane: &Lane, throttles: Throttles, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let new_at = next(lane.destination.platform().needs().quota_resets_at?, now);
    // Of yesterday's quota nothing follows for today's.
    let since = throttles.since?.max(new_at - TimeDelta::days(1));
    // As good as random: the fraction of the second at which the answer came.
    let jitter = i64::from(now.timestamp_subsec_micros()) % (QUOTA_MINUTES * 60);
    let is_used_up = now - since >= QUOTA_AFTER;
    is_used_up.then(|| new_at + TimeDelta::minutes(QUOTA_MINUTES) + TimeDelta::seconds(jitter))
}

/// The next time the clock shows this hour, in UTC.
fn next(hour: NaiveTime, now: DateTime<Utc>) -> DateTime<Utc> {
    let today = now.date_naive().and_time(hour).and_utc();
    if today > now {
        today
    } else {
        today + TimeDelta::days(1)
    }
}

/// The platform answers again.
pub(super) async fn calm(lane: &Lane, shared: &Shared) {
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&lane.destination.name, Type::TEXT)];
    if let Err(error) = shared.database.query(CALM, &params).await {
        tracing::warn!(destination = lane.destination.name, %error, "the end of the quiet time could not be written");
    }
}

/// Takes the one probe of a destination that is held or throttled on record. Returns nothing when it may go, else until when
/// another worker has it.
pub(super) async fn take_probe(lane: &Lane, shared: &Shared) -> Option<DateTime<Utc>> {
    let takes = probe_takes(lane);
    let clock = shared.clock.for_database();
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&lane.destination.name, Type::TEXT),
        (&takes, Type::FLOAT8),
        (&clock, Type::TIMESTAMPTZ),
    ];
    taken(lane, shared, TAKE_PROBE, &params).await
}

/// The same for a rule that is held.
pub(super) async fn take_rule_probe(
    lane: &Lane,
    rule: &str,
    shared: &Shared,
) -> Option<DateTime<Utc>> {
    let takes = probe_takes(lane);
    let clock = shared.clock.for_database();
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&lane.destination.name, Type::TEXT),
        (&rule, Type::TEXT),
        (&takes, Type::FLOAT8),
        (&clock, Type::TIMESTAMPTZ),
    ];
    taken(lane, shared, TAKE_RULE_PROBE, &params).await
}

async fn taken(
    lane: &Lane,
    shared: &Shared,
    sql: &str,
    params: &[(&(dyn ToSql + Sync), Type)],
) -> Option<DateTime<Utc>> {
    let read = async || {
        let rows = shared.database.query(sql, params).await?;
        let Some(row) = rows.first() else {
            return Ok::<_, crate::db::error::DatabaseError>(None);
        };
        let is_taken: bool = row.try_get("taken")?;
        let until: Option<DateTime<Utc>> = row.try_get("until")?;
        // A pause stands on record for ever; what the record says is followed once a second anyway.
        let soon = shared.clock.now() + TimeDelta::seconds(10);
        Ok(until.filter(|_| !is_taken).map(|until| until.min(soon)))
    };
    match read().await {
        Ok(until) => until,
        Err(error) => {
            tracing::warn!(destination = lane.destination.name, %error, "the probe could not be taken; trying again");
            Some(shared.clock.now() + TimeDelta::seconds(1))
        }
    }
}

/// How long a probe may take before another worker may send one, in seconds.
fn probe_takes(lane: &Lane) -> f64 {
    (lane.destination.request_timeout * 2 + PROBE_MARGIN).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daily_quota_is_new_at_the_next_such_hour() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let midnight = NaiveTime::MIN;
        assert_eq!(
            next(midnight, at("2026-11-25T23:59:59Z")),
            at("2026-11-26T00:00:00Z")
        );
        assert_eq!(
            next(midnight, at("2026-11-25T00:00:00Z")),
            at("2026-11-26T00:00:00Z")
        );
        let seven = NaiveTime::from_hms_opt(7, 0, 0).expect("an hour");
        assert_eq!(
            next(seven, at("2026-11-25T06:00:00Z")),
            at("2026-11-25T07:00:00Z")
        );
    }
}
