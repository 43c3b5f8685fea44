//! Is it working? Judged from what stands, and said as a person would. Pure.

use super::standing::{Standing, Tally};
use crate::pages::html::{Tone, address, age, count, counted, percent};

/// Of what should leave, so much is to be taken within 15 minutes, in per cent.
pub(super) const SLO: i64 = 99;

/// Due for longer, and something is stuck, in seconds.
const STALLED: f64 = 900.0;

/// Fewer deliveries in a week say nothing about a share.
const FEW: i64 = 20;

pub(super) struct Verdict {
    pub(super) tone: Tone,
    /// The sentence that people came for.
    pub(super) answer: String,
    /// What today looks like so far.
    pub(super) so_far: String,
    /// The worst first.
    pub(super) concerns: Vec<Concern>,
}

/// One thing that somebody should look at.
pub(super) struct Concern {
    pub(super) tone: Tone,
    pub(super) word: &'static str,
    pub(super) said: String,
    pub(super) advice: Option<String>,
    pub(super) link: String,
    pub(super) link_text: &'static str,
}

pub(super) fn meets_slo(in_time: i64, due: i64) -> bool {
    i128::from(in_time) * 100 >= i128::from(due) * i128::from(SLO)
}

impl Verdict {
    pub(super) fn of(standings: &[(Standing, Tally)]) -> Verdict {
        let mut concerns: Vec<Concern> = standings
            .iter()
            .flat_map(|(standing, tally)| concerns(standing, tally))
            .collect();
        let served: Vec<&Standing> = standings
            .iter()
            .map(|(one, _)| one)
            .filter(|one| one.is_served())
            .collect();
        if !served.is_empty() && served.iter().all(|one| one.is_unseen) {
            concerns.insert(0, no_worker());
        }
        concerns.sort_by_key(|concern| match concern.tone {
            Tone::Bad => 0,
            Tone::Warn => 1,
            Tone::Calm | Tone::Good => 2,
        });
        let worst = concerns.first().map_or(Tone::Good, |concern| concern.tone);
        let broken = concerns
            .iter()
            .filter(|concern| concern.tone == Tone::Bad)
            .count() as i64;
        let (tone, answer) = match worst {
            _ if standings.is_empty() => (
                Tone::Calm,
                "Nothing is set up yet: no worker has told the database of a destination.".to_owned(),
            ),
            _ if served.is_empty() => (
                Tone::Bad,
                "No. No worker serves any of the destinations.".to_owned(),
            ),
            Tone::Bad if served.iter().all(|one| one.word().0 == Tone::Bad) => {
                (Tone::Bad, "No. Nothing is being delivered.".to_owned())
            }
            Tone::Bad => (
                Tone::Bad,
                format!("Not everything works: {} somebody now.", match broken {
                    1 => "one thing needs".to_owned(),
                    _ => format!("{broken} things need"),
                }),
            ),
            Tone::Warn => (
                Tone::Warn,
                format!("Yes, it works, and {} a look.", match concerns.len() {
                    1 => "one thing deserves".to_owned(),
                    many => format!("{many} things deserve"),
                }),
            ),
            Tone::Good | Tone::Calm => (
                Tone::Good,
                match served.len() {
                    1 => "Yes, it works. What is to reach the one destination is on its way or has arrived.".to_owned(),
                    many => format!("Yes, it works. What is to reach the {many} destinations is on its way or has arrived."),
                },
            ),
        };
        Verdict {
            tone,
            answer,
            so_far: so_far(standings),
            concerns,
        }
    }
}

fn so_far(standings: &[(Standing, Tally)]) -> String {
    let sum = |of: fn(&super::standing::Day) -> i64| -> i64 {
        standings.iter().map(|(_, tally)| of(&tally.today())).sum()
    };
    let (taken, lost) = (sum(super::standing::Day::taken), sum(|day| day.lost));
    let waiting: i64 = standings.iter().map(|(one, _)| one.pending).sum();
    if standings.is_empty() {
        return "Start one with: conversion-outbox run".to_owned();
    }
    format!(
        "Of today's events, {} taken by a platform and {} not; {} at this moment.",
        were(taken, "delivery", "deliveries"),
        count(lost),
        match waiting {
            0 => "nothing waits".to_owned(),
            1 => "one waits".to_owned(),
            many => format!("{} wait", count(many)),
        }
    )
}

fn were(number: i64, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one} was"),
        _ => format!("{} {many} were", count(number)),
    }
}

fn no_worker() -> Concern {
    Concern {
        tone: Tone::Bad,
        word: "No worker",
        said: "No worker has given a sign of life for more than two minutes.".to_owned(),
        advice: Some("See whether the process runs and what its log says last; nothing is lost meanwhile, it only waits.".to_owned()),
        link: "/destinations".to_owned(),
        link_text: "When each destination was last served",
    }
}

fn concerns(standing: &Standing, tally: &Tally) -> Vec<Concern> {
    let of = |page: &str| address(page, &[("destination", &standing.name)]);
    let name = &standing.name;
    let mut found = Vec::new();
    if !standing.is_served() {
        if standing.pending > 0 {
            found.push(Concern {
                tone: Tone::Warn,
                word: "Not served",
                said: format!(
                    "{name}: {} for a destination that no worker serves.",
                    wait(standing.pending)
                ),
                advice: Some(
                    "Put it back into a worker's configuration, or skip what waits for it."
                        .to_owned(),
                ),
                link: of("/destinations"),
                link_text: "Destinations",
            });
        }
        return found;
    }
    if let Some(hold) = &standing.hold {
        let since = hold.since.format("%F %H:%M UTC");
        let code = hold
            .code
            .as_ref()
            .map(|code| format!(" (code {code})"))
            .unwrap_or_default();
        let (tone, word, said) = match hold.is_pause {
            true => (
                Tone::Warn,
                "Paused",
                format!(
                    "{name} is paused by hand since {since}; {}.",
                    wait(standing.pending)
                ),
            ),
            false => (
                Tone::Bad,
                "Held",
                format!(
                    "{name} refuses everything since {since}{code}; {}.",
                    wait(standing.pending)
                ),
            ),
        };
        found.push(Concern {
            tone,
            word,
            said,
            advice: hold.advice.clone(),
            link: of("/destinations"),
            link_text: "Destinations",
        });
    } else if let Some(seconds) = standing.oldest_due.filter(|seconds| *seconds > STALLED) {
        found.push(Concern {
            tone: Tone::Bad,
            word: "Stalled",
            said: format!("{name}: the oldest delivery is due for {}, and nothing holds it.", age(seconds)),
            advice: Some("See whether a worker runs, what its tries end with, and whether the database answers it.".to_owned()),
            link: of("/errors"),
            link_text: "What tries end with",
        });
    }
    if standing.held_rules > 0 {
        found.push(Concern {
            tone: Tone::Bad,
            word: "Held",
            said: format!(
                "{name}: {} held.",
                match standing.held_rules {
                    1 => "one conversion action or rule is".to_owned(),
                    many => format!("{many} conversion actions or rules are"),
                }
            ),
            advice: None,
            link: of("/destinations"),
            link_text: "Destinations",
        });
    }
    if standing.expiring > 0 {
        found.push(Concern {
            tone: Tone::Bad,
            word: "Expiring",
            said: format!(
                "{name}: the platform takes {} for less than a day from now.",
                were_short(standing.expiring)
            ),
            advice: Some(
                "After that they are lost for good: mend what holds them first.".to_owned(),
            ),
            link: of("/errors"),
            link_text: "What holds them",
        });
    }
    if standing.dead > 0 {
        let dead = match standing.dead {
            10_001.. => "More than 10,000 dead letters".to_owned(),
            dead => counted(dead, "dead letter"),
        };
        found.push(Concern {
            tone: Tone::Warn,
            word: "Dead letters",
            said: format!("{name}: {dead}."),
            advice: Some("Each wants a decision: mend the cause and replay, or skip.".to_owned()),
            link: of("/dead-letters"),
            link_text: "Dead letters, by what they died of",
        });
    }
    let (in_time, due) = tally.in_time(7);
    if due >= FEW && !meets_slo(in_time, due) {
        found.push(Concern {
            tone: Tone::Warn,
            word: "Slow",
            said: format!(
                "{name}: {} of {} in 7 days were taken within 15 minutes; the aim is {SLO} %.",
                percent(in_time, due),
                counted_deliveries(due)
            ),
            advice: None,
            link: of("/errors"),
            link_text: "What delayed them",
        });
    }
    found
}

fn wait(number: i64) -> String {
    match number {
        0 => "nothing waits".to_owned(),
        1 => "1 delivery waits".to_owned(),
        many => format!("{} deliveries wait", count(many)),
    }
}

fn were_short(number: i64) -> String {
    match number {
        1 => "1 waiting delivery".to_owned(),
        many => format!("{} waiting deliveries", count(many)),
    }
}

fn counted_deliveries(number: i64) -> String {
    match number {
        1 => "1 delivery".to_owned(),
        many => format!("{} deliveries", count(many)),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::standing::Hold;
    use super::*;

    fn standing(name: &str) -> Standing {
        Standing {
            name: name.to_owned(),
            platform: "meta".to_owned(),
            is_enabled: true,
            hold: None,
            is_throttled: false,
            is_live: true,
            last_seen_at: DateTime::UNIX_EPOCH,
            is_unseen: false,
            pending: 0,
            due: 0,
            oldest_due: None,
            expiring: 0,
            dead: 0,
            held_rules: 0,
        }
    }

    fn verdict(standings: &[Standing]) -> (Tone, String, Vec<&'static str>) {
        let all: Vec<(Standing, Tally)> = standings
            .iter()
            .map(|one| (one.clone(), Tally::new(30)))
            .collect();
        let verdict = Verdict::of(&all);
        let words = verdict
            .concerns
            .iter()
            .map(|concern| concern.word)
            .collect();
        (verdict.tone, verdict.answer, words)
    }

    #[test]
    fn the_answer_is_no_better_than_its_worst_part() {
        assert_eq!(verdict(&[]).0, Tone::Calm);
        let (tone, answer, words) = verdict(&[standing("a"), standing("b")]);
        assert!(
            tone == Tone::Good && answer.starts_with("Yes") && words.is_empty(),
            "{answer}"
        );

        let dead = Standing {
            dead: 3,
            ..standing("a")
        };
        let (tone, answer, words) = verdict(&[dead.clone(), standing("b")]);
        assert!(
            tone == Tone::Warn && answer.starts_with("Yes, it works, and one"),
            "{answer}"
        );
        assert_eq!(words, ["Dead letters"]);

        let hold = Hold {
            is_pause: false,
            code: Some("190".into()),
            advice: None,
            since: DateTime::UNIX_EPOCH,
        };
        let held = Standing {
            hold: Some(hold.clone()),
            ..standing("c")
        };
        let (tone, answer, words) = verdict(&[dead, held.clone()]);
        assert!(
            tone == Tone::Bad && answer.starts_with("Not everything"),
            "{answer}"
        );
        assert_eq!(words, ["Held", "Dead letters"], "the worst first");
        assert!(verdict(std::slice::from_ref(&held)).1.starts_with("No."));

        let paused = Standing {
            hold: Some(Hold {
                is_pause: true,
                ..hold
            }),
            ..standing("c")
        };
        assert_eq!(verdict(&[paused]).0, Tone::Warn);
        let stalled = Standing {
            oldest_due: Some(901.0),
            ..standing("c")
        };
        assert_eq!(verdict(&[stalled]).2, ["Stalled"]);
        let gone = Standing {
            is_unseen: true,
            ..standing("c")
        };
        assert_eq!(verdict(&[gone]).2, ["No worker"]);
        let left = Standing {
            is_live: false,
            pending: 2,
            ..standing("c")
        };
        assert!(verdict(&[left]).1.starts_with("No."));
    }

    #[test]
    fn a_share_is_judged_only_where_there_is_enough() {
        let slow = |deliveries: i64| {
            let mut tally = Tally::new(30);
            tally.add(29, "accepted", deliveries, 0);
            Verdict::of(&[(standing("a"), tally)]).tone
        };
        assert_eq!((slow(19), slow(20)), (Tone::Good, Tone::Warn));
        assert!(meets_slo(99, 100) && !meets_slo(98, 100) && meets_slo(0, 0));
    }
}
