//! What a run says: one object for machines, a few lines for people, and the whole history of whatever broke a promise.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Options;
use super::checker::{Evidence, Found, Violation};
use super::evidence;
use super::plan::Planned;

/// Violations that are told with their whole history.
const TOLD: usize = 20;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// As `torture --json` prints it.
    pub json: Value,
    /// Whether every promise was kept.
    pub is_clean: bool,
}

impl Report {
    pub(super) fn of(
        options: &Options,
        plan: &[Planned],
        evidence: &Evidence,
        found: Found,
        lives: &BTreeMap<String, Value>,
        took: Duration,
    ) -> Report {
        let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
        for planned in plan {
            *faults.entry(planned.trouble.kind()).or_default() += 1;
        }
        let mut states: BTreeMap<&str, u64> = BTreeMap::new();
        for delivery in evidence.deliveries.values() {
            *states.entry(delivery.state.as_str()).or_default() += 1;
        }
        let violations: Vec<Value> = found
            .violations
            .iter()
            .map(|violation| told(violation, evidence, lives))
            .collect();
        Report {
            is_clean: found.violations.is_empty(),
            json: json!({
                "seed": options.seed,
                "seconds": options.length.as_secs(),
                "workers": options.workers,
                "took_seconds": took.as_secs(),
                "events": evidence.facts.len(),
                "rolled_back": evidence.noted.rolled_back().len(),
                "withdrawn": evidence.withdrawn.len(),
                "heard_of": evidence::heard_of(evidence).len(),
                "counted": found.counted,
                "explained_repeats": found.explained_repeats.len(),
                "deliveries": states,
                "arrivals": evidence::verdicts(evidence),
                "faults": faults,
                "violations": violations,
            }),
        }
    }

    /// For people.
    pub fn readable(&self) -> String {
        let report = &self.json;
        let mut text = format!(
            "seed {}: {} events committed and {} rolled back, {} conversions counted, {} repeats that were risked\n",
            report["seed"],
            report["events"],
            report["rolled_back"],
            report["counted"],
            report["explained_repeats"]
        );
        text.push_str(&format!("faults      {}\n", pairs(&report["faults"])));
        text.push_str(&format!("deliveries  {}\n", pairs(&report["deliveries"])));
        text.push_str(&format!("arrivals    {}\n", pairs(&report["arrivals"])));
        let violations = report["violations"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        match violations.len() {
            0 => text.push_str("violations  0\n"),
            count => text.push_str(&format!(
                "violations  {count}; repeat them with --seed {}\n",
                report["seed"]
            )),
        }
        for violation in violations {
            text.push_str(&format!("\n{violation:#}\n"));
        }
        text
    }
}

/// The events of the first violations, whose lives are told.
pub(super) fn suspects(found: &Found) -> Vec<String> {
    let ids = found
        .violations
        .iter()
        .filter_map(|one| one.event_id.clone());
    ids.take(TOLD).collect()
}

fn told(violation: &Violation, evidence: &Evidence, lives: &BTreeMap<String, Value>) -> Value {
    let mut told = json!({
        "invariant": violation.invariant, "event_id": violation.event_id, "destination": violation.destination, "what": violation.what,
    });
    let Some(id) = violation.event_id.as_ref() else {
        return told;
    };
    if let Some(life) = lives.get(id) {
        let arrived: Vec<Value> = evidence
            .requests
            .iter()
            .filter(|((one, _), _)| one == id)
            .flat_map(|((_, destination), requests)| {
                requests.iter().map(move |one| {
                    json!({ "destination": destination, "at": one.at, "verdict": one.verdict.as_str(), "cents": one.cents })
                })
            })
            .collect();
        let faults: Vec<Value> = evidence
            .noted
            .faults
            .iter()
            .map(|one| json!({ "at": one.at, "what": one.what }))
            .collect();
        told["history"] = json!({
            "application": evidence.noted.of(id), "outbox": life, "arrived": arrived, "faults": faults,
        });
    }
    told
}

fn pairs(object: &Value) -> String {
    let members = object.as_object().into_iter().flatten();
    let pairs: Vec<String> = members
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    pairs.join(", ")
}
