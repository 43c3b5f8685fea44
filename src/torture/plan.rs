//! Which faults strike when: a function of the seed. Pure.

use std::time::Duration;

use crate::demo::random::Random;
use crate::sandbox::Platform;

/// Between two faults, on average.
const PACE_MS: u64 = 1500;

/// A fault and when it strikes, counted from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When.
    pub at: Duration,
    /// What.
    pub trouble: Trouble,
}

/// Everything that can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A worker is killed, as the kernel does when memory runs out, and started again.
    Kill(usize),
    /// A worker stands still for longer than its lease, and goes on as if nothing had happened.
    Stop(usize),
    /// A worker is told to end, drains, and is started again.
    Terminate(usize),
    /// A worker's connections to the database are cut.
    Cut(usize),
    /// A worker's statements reach the database, and its answers are lost.
    LoseCommit(usize),
    /// All workers' connections are cut at once.
    CutAll,
    /// The database is restarted.
    Restart,
    /// The database crashes and recovers.
    Crash,
    /// The platform takes events and its answers are lost, so often.
    LoseAnswers(Platform, u64),
    /// The platform cuts connections before it takes anything, so often.
    Reset(Platform, u64),
    /// The platform answers 503 for so many seconds.
    Outage(Platform, u64),
    /// The platform throttles, so often.
    Throttle(Platform, u64),
    /// The platform is slower than any worker waits, so often: it takes the event all the same.
    Slow(Platform, u64),
    /// Meta's token expires, and somebody replaces it after so many seconds.
    ExpireToken(u64),
    /// Google takes all access tokens back.
    RevokeTokens,
    /// A conversion rule at LinkedIn is off for so many seconds.
    DisableRule(u64),
    /// The platforms' clock is so many seconds off for a while.
    StepClock(i64),
}

impl Trouble {
    /// The kind, as it is counted.
    pub fn kind(self) -> &'static str {
        match self {
            Trouble::Kill(_) => "kill",
            Trouble::Stop(_) => "stop",
            Trouble::Terminate(_) => "terminate",
            Trouble::Cut(_) => "cut",
            Trouble::LoseCommit(_) => "lost_commit",
            Trouble::CutAll => "cut_all",
            Trouble::Restart => "database_restart",
            Trouble::Crash => "database_crash",
            Trouble::LoseAnswers(..) => "lost_answers",
            Trouble::Reset(..) => "reset",
            Trouble::Outage(..) => "outage",
            Trouble::Throttle(..) => "throttle",
            Trouble::Slow(..) => "slow_answers",
            Trouble::ExpireToken(_) => "token_expired",
            Trouble::RevokeTokens => "tokens_revoked",
            Trouble::DisableRule(_) => "rule_disabled",
            Trouble::StepClock(_) => "clock_step",
        }
    }
}

/// Kinds there are.
const KINDS: usize = 17;

/// The faults of a run, in the order of time. Every kind comes before any comes again.
pub fn plan(seed: u64, length: Duration, workers: usize) -> Vec<Planned> {
    let mut random = Random::of(seed, 0);
    let mut deck: Vec<usize> = Vec::new();
    let mut at = Duration::from_secs(1);
    let mut planned = Vec::new();
    while at < length {
        if deck.is_empty() {
            deck = shuffled(&mut random);
        }
        let kind = deck.pop().expect("it was just filled");
        planned.push(Planned {
            at,
            trouble: trouble(kind, &mut random, workers),
        });
        at += Duration::from_millis(PACE_MS / 2 + random.below(PACE_MS));
    }
    planned
}

fn shuffled(random: &mut Random) -> Vec<usize> {
    let mut deck: Vec<usize> = (0..KINDS).collect();
    for last in (1..KINDS).rev() {
        deck.swap(last, random.index(last + 1));
    }
    deck
}

fn trouble(kind: usize, random: &mut Random, workers: usize) -> Trouble {
    let worker = random.index(workers);
    let platform = *random.pick(&Platform::ALL);
    match kind {
        0 => Trouble::Kill(worker),
        1 => Trouble::Stop(worker),
        2 => Trouble::Terminate(worker),
        3 => Trouble::Cut(worker),
        4 => Trouble::LoseCommit(worker),
        5 => Trouble::CutAll,
        6 => Trouble::Restart,
        7 => Trouble::Crash,
        8 => Trouble::LoseAnswers(platform, 2 + random.below(6)),
        9 => Trouble::Reset(platform, 2 + random.below(6)),
        10 => Trouble::Outage(platform, 2 + random.below(5)),
        11 => Trouble::Throttle(platform, 1 + random.below(3)),
        12 => Trouble::Slow(platform, 1 + random.below(3)),
        13 => Trouble::ExpireToken(2 + random.below(4)),
        14 => Trouble::RevokeTokens,
        15 => Trouble::DisableRule(2 + random.below(5)),
        _ => Trouble::StepClock(if random.percent(50) { 45 } else { -45 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_makes_the_same_plan_and_another_one_another() {
        let length = Duration::from_secs(60);
        assert_eq!(plan(7, length, 3), plan(7, length, 3));
        assert_ne!(plan(7, length, 3), plan(8, length, 3));
    }

    #[test]
    fn a_minute_holds_every_kind_and_lies_within_itself() {
        for seed in 0..20 {
            let planned = plan(seed, Duration::from_secs(60), 3);
            let kinds: BTreeSet<&str> = planned.iter().map(|one| one.trouble.kind()).collect();
            assert_eq!(kinds.len(), KINDS, "{seed}: {kinds:?}");
            assert!(planned.iter().all(|one| one.at < Duration::from_secs(60)));
            assert!(planned.is_sorted_by_key(|one| one.at));
        }
    }
}
