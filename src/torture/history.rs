//! What was done and what struck, by whom and when: the application's operations and the faults.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// Operations and faults kept at most; the first ones stay.
const KEPT: usize = 100_000;

/// How an operation of the application ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Committed.
    Ok,
    /// Rolled back: it never happened.
    Failed,
    /// The connection broke at the commit: nobody told the application.
    Unknown,
}

/// One operation of the application.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Which connection.
    pub writer: u64,
    /// Such as `pay`, `refund`, `withdraw`.
    pub what: &'static str,
    /// The event or business id.
    pub id: String,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// How.
    pub ending: Ending,
}

/// A fault that struck.
#[derive(Clone, Debug)]
pub struct Struck {
    /// When.
    pub at: DateTime<Utc>,
    /// What, in words.
    pub what: String,
}

/// Everything that was noted. Shared by all who note.
#[derive(Debug, Default)]
pub struct History(Mutex<Noted>);

/// The notes themselves.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// Operations in the order in which they ended.
    pub operations: Vec<Operation>,
    /// Faults in the order in which they struck.
    pub faults: Vec<Struck>,
    /// When the platforms' clock was set, and how far off from then on.
    pub clock_steps: Vec<(DateTime<Utc>, TimeDelta)>,
    /// When a worker that stood still went on.
    pub continued: Vec<DateTime<Utc>>,
    /// Seconds for which a transaction of a worker was seen open, where that was too long.
    pub lingering: Vec<String>,
    /// Workers that ended although nobody told them to, or otherwise than they should.
    pub deaths: Vec<String>,
    /// Events that Meta was told to refuse.
    pub poison: BTreeSet<String>,
}

impl History {
    /// Looks at the notes, or adds to them.
    pub fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an operation that just ended.
    pub fn ended(&self, operation: Operation) {
        let mut noted = self.noted();
        if noted.operations.len() < KEPT {
            noted.operations.push(operation);
        }
    }

    /// Notes a fault that strikes now.
    pub fn struck(&self, what: String) {
        let mut noted = self.noted();
        if noted.faults.len() < KEPT {
            noted.faults.push(Struck {
                at: Utc::now(),
                what,
            });
        }
    }
}

impl Noted {
    /// Ids that were written only by transactions that were rolled back.
    pub fn rolled_back(&self) -> BTreeSet<&str> {
        let of = |ending| {
            let operations = self.operations.iter();
            operations
                .filter(move |one| one.ending == ending)
                .map(|one| one.id.as_str())
        };
        let committed: BTreeSet<&str> = of(Ending::Ok).chain(of(Ending::Unknown)).collect();
        of(Ending::Failed)
            .filter(|id| !committed.contains(id))
            .collect()
    }

    /// What the application did with an id, for a person who looks for a fault.
    pub fn of(&self, id: &str) -> Vec<Value> {
        let operations = self.operations.iter().filter(|one| one.id == id);
        operations
            .map(|one| {
                json!({ "writer": one.writer, "what": one.what, "began_at": one.began_at, "ended_at": one.ended_at,
                        "ending": format!("{:?}", one.ending).to_lowercase() })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_once_did_not_roll_back() {
        let operation = |id: &str, ending| Operation {
            writer: 1,
            what: "pay",
            id: id.to_owned(),
            began_at: Utc::now(),
            ended_at: Utc::now(),
            ending,
        };
        let noted = Noted {
            operations: vec![
                operation("a", Ending::Failed),
                operation("b", Ending::Failed),
                operation("b", Ending::Ok),
                operation("c", Ending::Failed),
                operation("c", Ending::Unknown),
            ],
            ..Noted::default()
        };
        assert_eq!(noted.rolled_back(), BTreeSet::from(["a"]));
    }
}
