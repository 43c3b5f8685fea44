//! PostgreSQL as it really is: connections that break anywhere, servers that fail over, refuse, fill up and hang.

mod deadlocks;
mod failover;
mod hanging;
mod lost_connections;
mod refusals;
mod wire;

use std::time::Duration;

use chrono::TimeDelta;

use crate::rig::Rig;

/// Longer than a worker waits that has failed once, and one that has failed a few times.
const ONE_FAILURE: Duration = Duration::from_millis(900);
const SOME_FAILURES: Duration = Duration::from_millis(2500);

/// Waits until a condition holds. A claim whose answer was lost is nobody's: it comes back when its lease has run out, so
/// time passes where nothing has happened for this long.
async fn until_with_time(rig: &Rig, quiet: Duration, condition: &str) {
    for _ in 0..12 {
        if rig.until_for(quiet, condition).await {
            return;
        }
        rig.pass(TimeDelta::minutes(2));
    }
    rig.until(condition).await;
}

/// The running totals say what counting says, and every try is on record once.
async fn totals_are_exact(rig: &Rig, after: &str) {
    let wrong: Vec<String> = rig
        .one(
            "select coalesce(array_agg(concat_ws(' ', destination, state, kept, counted)), '{}') from (
               select destination, state, coalesce(t.total, 0) || '/' || coalesce(t.retried, 0) as kept,
                      coalesce(c.total, 0) || '/' || coalesce(c.retried, 0) as counted
                 from (select destination, state, sum(total) as total, sum(retried) as retried
                         from conversion_outbox.delivery_total group by destination, state) t
                 full join (select destination, state, count(*) as total, count(*) filter (where tries > 1) as retried
                              from conversion_outbox.delivery where state <> 'pending' group by destination, state) c
                   using (destination, state)) as b
              where kept <> counted",
        )
        .await;
    assert!(wrong.is_empty(), "{after}: {wrong:?}");
    let wrong: Vec<String> = rig
        .one(
            "select coalesce(array_agg(concat_ws(' ', d.event_no, d.destination, d.state, d.tries, d.attempts)), '{}')
               from conversion_outbox.delivery d
              where d.tries <> (select count(*) from conversion_outbox.delivery_attempt a
                                 where a.event_no = d.event_no and a.destination = d.destination)
                 or d.attempts <> (select count(*) filter (where a.counted) from conversion_outbox.delivery_attempt a
                                    where a.event_no = d.event_no and a.destination = d.destination)",
        )
        .await;
    assert!(wrong.is_empty(), "{after}: {wrong:?}");
}
