//! What to make of the server itself: encryption, clock, room for connections. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::super::Check;
use crate::config::connection::Encryption;

/// From which difference a person should know, and from which it must not stay so: times in logs and tokens are the
/// host's, due times and leases the database's.
const DIFFERENCE_WARN: TimeDelta = TimeDelta::seconds(2);
const DIFFERENCE_FAIL: TimeDelta = TimeDelta::seconds(60);

/// How many connections there is room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Of the server.
    pub(super) connections_max: i32,
    /// Of these, kept for others.
    pub(super) reserved: i32,
    /// In use now.
    pub(super) connected: i64,
    /// Of this login, where it has a limit of its own.
    pub(super) login_max: Option<i32>,
}

/// How much is demanded of the server before anything is sent to it.
pub(super) fn tls(encryption: &Encryption, is_insecure: bool) -> Check {
    const NAME: &str = "database_tls";
    let fix = "use sslmode=verify-full in the database URL, and remove insecure under [database]";
    let seen = match encryption {
        Encryption::Unverified => {
            return Check::warn(
                NAME,
                "database.insecure: encrypted at best, and nobody verifies the server",
                fix,
            );
        }
        Encryption::None if is_insecure => {
            return Check::warn(
                NAME,
                "database.insecure: the connection is not encrypted",
                fix,
            );
        }
        Encryption::None => "not encrypted, and stays within this machine",
        Encryption::Authority(_) => {
            "encrypted; the certificate's chain is verified, the host name is not (verify-ca)"
        }
        Encryption::Full(_) => "encrypted; certificate and host name are verified (verify-full)",
    };
    if is_insecure {
        let seen = format!("{seen}; database.insecure is set and not needed");
        return Check::warn(NAME, seen, "remove insecure under [database]");
    }
    Check::ok(NAME, seen)
}

/// The database's clock against this host's, which was read before and after.
pub(super) fn clock(database: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) -> Check {
    const NAME: &str = "clock";
    let difference = if database < before {
        database - before
    } else if database > after {
        database - after
    } else {
        TimeDelta::zero()
    };
    let seconds = difference.num_milliseconds().abs() as f64 / 1000.0;
    let seen = match difference {
        behind if behind < TimeDelta::zero() => {
            format!("the database is {seconds:.1} s behind this host")
        }
        ahead if ahead > TimeDelta::zero() => {
            format!("the database is {seconds:.1} s ahead of this host")
        }
        _ => "the database and this host agree".to_owned(),
    };
    let fix = "let both take their time from NTP";
    match difference.abs() {
        far if far >= DIFFERENCE_FAIL => Check::fail(NAME, seen, fix),
        some if some >= DIFFERENCE_WARN => Check::warn(NAME, seen, fix),
        _ => Check::ok(NAME, seen),
    }
}

/// Whether every worker's pool finds room.
pub(super) fn connections(room: &Room, pool_size: u32) -> Check {
    const NAME: &str = "connections";
    let open = room.connections_max - room.reserved;
    let limit = i64::from(room.login_max.map_or(open, |own| own.min(open)));
    let pool = i64::from(pool_size);
    let free = i64::from(open) - room.connected;
    let seen = format!(
        "a pool of {pool}; logins like this have {limit} connections, and {} of the server's are in use",
        room.connected
    );
    let fix = "lower database.pool_size, raise max_connections, or put PgBouncer in between";
    if pool > limit {
        Check::fail(NAME, seen, fix)
    } else if pool > free {
        Check::warn(NAME, seen, fix)
    } else {
        Check::ok(NAME, seen)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_is_judged_beyond_the_time_that_asking_took() {
        let before = DateTime::from_timestamp(1_795_428_000, 0).expect("a time");
        let after = before + TimeDelta::seconds(1);
        let judged = |offset: i64| clock(before + TimeDelta::milliseconds(offset), before, after);
        let (ok, warn, fail) = (Verdict::Ok, Verdict::Warn, Verdict::Fail);
        for (offset, verdict) in [
            (-60_000, fail),
            (-2000, warn),
            (-1999, ok),
            (500, ok),
            (2999, ok),
            (3000, warn),
            (61_000, fail),
        ] {
            assert_eq!(judged(offset).verdict, verdict, "{offset}");
        }
        assert_eq!(
            judged(4500).seen,
            "the database is 3.5 s ahead of this host"
        );
        assert_eq!(judged(-4500).seen, "the database is 4.5 s behind this host");
    }

    #[test]
    fn a_pool_must_find_room() {
        let room = Room {
            connections_max: 100,
            reserved: 3,
            connected: 90,
            login_max: None,
        };
        let verdict = |room, pool| connections(&room, pool).verdict;
        assert_eq!(verdict(room, 7), Verdict::Ok);
        assert_eq!(verdict(room, 8), Verdict::Warn);
        assert_eq!(verdict(room, 98), Verdict::Fail);
        let limited = Room {
            login_max: Some(4),
            ..room
        };
        assert_eq!(verdict(limited, 5), Verdict::Fail);
    }

    #[test]
    fn what_is_not_verified_is_told() {
        let verdict = |encryption, is_insecure| tls(&encryption, is_insecure).verdict;
        assert_eq!(verdict(Encryption::Full(None), false), Verdict::Ok);
        assert_eq!(
            verdict(Encryption::Authority("a".into()), false),
            Verdict::Ok
        );
        assert_eq!(verdict(Encryption::None, false), Verdict::Ok);
        assert_eq!(verdict(Encryption::None, true), Verdict::Warn);
        assert_eq!(verdict(Encryption::Unverified, true), Verdict::Warn);
        assert_eq!(verdict(Encryption::Full(None), true), Verdict::Warn);
    }
}
