//! A limit of requests that all workers keep together: how much of it is free now.

use chrono::{DateTime, Utc};

use crate::limit::RateLimit;
use crate::pages::html::{Markup, age, count, html, time};

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    /// So many requests may leave at once.
    Free(u32),
    /// All is given away until then.
    Booked(DateTime<Utc>),
}

/// A time that is past is credit, up to what may leave at once after a pause.
fn left(limit: &RateLimit, next_at: DateTime<Utc>, now: DateTime<Utc>) -> Left {
    if next_at > now {
        return Left::Booked(next_at);
    }
    let credit = (now - next_at).as_seconds_f64() / limit.interval().as_secs_f64();
    // Truncated: half a turn is none.
    Left::Free((credit as u32).saturating_add(1).min(limit.burst()))
}

/// The limit, how much of it is given away, and when the next request may leave.
pub(super) fn shown(
    limit: Option<&RateLimit>,
    next_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Markup {
    let Some(limit) = limit else {
        return html! { "none" };
    };
    html! {
        (count(i64::from(limit.requests))) " requests in " (age(limit.per.as_secs_f64())) ", kept by all workers together as " code { (limit.group) }
        @match next_at.map(|at| left(limit, at, now)) {
            None => { "; never used yet" }
            Some(Left::Free(turns)) => { "; " (turns) " of " (limit.burst()) " may leave at once" }
            Some(Left::Booked(at)) => { "; all turns are given away until " (time(at)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_time_that_is_past_is_credit_up_to_the_burst() {
        let limit = RateLimit {
            group: "g".into(),
            requests: 100,
            per: Duration::from_secs(60),
        };
        let now = DateTime::from_timestamp(1_795_428_000, 0).expect("a time");
        let of = |seconds: i64| left(&limit, now - TimeDelta::seconds(seconds), now);
        assert_eq!(
            [of(0), of(1), of(60)],
            [Left::Free(1), Left::Free(2), Left::Free(10)]
        );
        assert_eq!(of(-5), Left::Booked(now + TimeDelta::seconds(5)));
        let never = left(&limit, DateTime::<Utc>::MIN_UTC, now);
        assert_eq!(never, Left::Free(10));
    }
}
