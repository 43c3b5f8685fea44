//! Scripted faults: rules that say which requests suffer what. A rule can be added, counted, released and removed
//! while requests run. Not for carrying out a fault: the server does, following the [`Plan`] made here.

mod gate;
mod reply;
mod rule;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;

pub(in crate::sandbox) use self::gate::Gate;
pub(in crate::sandbox) use self::rule::Question;
pub use self::rule::{BadFault, Fault, FaultKind};
pub(in crate::sandbox) use self::wire::Script;
use super::exchange::{Platform, Reply};
use super::google_ads;
use super::meta;

/// The faults that strike one request, put together.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Plan {
    pub(in crate::sandbox) delay: Duration,
    pub(in crate::sandbox) hold_before: Vec<Gate>,
    pub(in crate::sandbox) hold_after: Vec<Gate>,
    /// Reset before anything is judged.
    pub(in crate::sandbox) cut_before: bool,
    /// Reset instead of the answer.
    pub(in crate::sandbox) cut_after: bool,
    /// Answered instead of the platform's own answer; nothing is judged.
    pub(in crate::sandbox) answer: Option<Reply>,
    /// Written instead of any answer; nothing is judged.
    pub(in crate::sandbox) script: Option<Script>,
    pub(in crate::sandbox) version_warning: bool,
    pub(in crate::sandbox) localised: bool,
    pub(in crate::sandbox) no_messages: bool,
    pub(in crate::sandbox) fewer_received: bool,
    pub(in crate::sandbox) processing: Processing,
}

/// What rules say about single events: in the answer, or in the processing that follows, where the platform tells of
/// it later.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Processing {
    /// Added to the time after which the outcome is told.
    pub(in crate::sandbox) delay: TimeDelta,
    /// Reasons for which events fail, by their index in the reading.
    pub(in crate::sandbox) errors: BTreeMap<usize, String>,
    /// Statuses of events within an answer that tells each event's own, by their index in the reading.
    pub(in crate::sandbox) element_statuses: BTreeMap<usize, u16>,
    /// Errors of single rows in the answer itself, by their index in the reading: `conversionUploadError.TOO_RECENT_EVENT`.
    pub(in crate::sandbox) row_errors: BTreeMap<usize, String>,
}

impl Plan {
    /// What the faults change in the answer of the platform itself.
    pub(in crate::sandbox) fn change(&self, reply: Reply) -> Reply {
        let mut reply = reply;
        if self.version_warning {
            reply = meta::with_version_warning(reply);
        }
        if self.localised {
            reply = reply::localised(reply);
        }
        if self.no_messages {
            reply = reply::without_messages(reply);
        }
        if self.fewer_received {
            reply = reply::with_fewer_received(reply);
        }
        reply
    }
}

/// A rule with what it did so far.
#[derive(Debug)]
struct Rule {
    fault: Fault,
    matched: u64,
    struck: u64,
    gate: Gate,
}

/// All rules, by id.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Faults {
    rules: BTreeMap<u64, Rule>,
    last_id: u64,
}

/// A rule as the HTTP API shows it.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct RuleState<'a> {
    id: u64,
    fault: &'a Fault,
    matched: u64,
    struck: u64,
    waiting: u64,
}

impl Faults {
    /// Adds a rule and gives its id.
    pub(in crate::sandbox) fn add(&mut self, fault: Fault) -> Result<u64, BadFault> {
        if let Some(why) = fault.nonsense() {
            return Err(BadFault(why));
        }
        self.last_id += 1;
        self.rules.insert(
            self.last_id,
            Rule {
                fault,
                matched: 0,
                struck: 0,
                gate: Gate::closed(),
            },
        );
        Ok(self.last_id)
    }

    /// Removes a rule and lets go whoever waits at it; says whether there was one.
    pub(in crate::sandbox) fn remove(&mut self, id: u64) -> bool {
        let released = self.release(id);
        self.rules.remove(&id);
        released
    }

    /// Removes all rules and lets go whoever waits.
    pub(in crate::sandbox) fn clear(&mut self) {
        for rule in std::mem::take(&mut self.rules).into_values() {
            rule.gate.open();
        }
    }

    /// Lets go whoever waits at the rule, and everybody after them; says whether there is such a rule.
    pub(in crate::sandbox) fn release(&self, id: u64) -> bool {
        let Some(rule) = self.rules.get(&id) else {
            return false;
        };
        rule.gate.open();
        true
    }

    /// The door of a rule.
    pub(in crate::sandbox) fn gate(&self, id: u64) -> Option<Gate> {
        self.rules.get(&id).map(|rule| rule.gate.clone())
    }

    /// How often a rule struck.
    pub(in crate::sandbox) fn struck(&self, id: u64) -> Option<u64> {
        self.rules.get(&id).map(|rule| rule.struck)
    }

    /// Every rule with its counters, oldest first.
    pub(in crate::sandbox) fn list<'a>(&'a self) -> Vec<RuleState<'a>> {
        let state = |(id, rule): (&u64, &'a Rule)| RuleState {
            id: *id,
            fault: &rule.fault,
            matched: rule.matched,
            struck: rule.struck,
            waiting: rule.gate.waiting_count(),
        };
        self.rules.iter().map(state).collect()
    }

    /// Whether a request of this platform and path is cut before its body is read.
    pub(in crate::sandbox) fn cuts_unread(&mut self, platform: Platform, path: &str) -> bool {
        let question = Question {
            platform,
            path,
            account: None,
            events: &[],
        };
        let mut cut = false;
        for (id, rule) in &mut self.rules {
            if rule.fault.kind == FaultKind::ResetUnread && rule.fault.matches(&question) {
                cut |= rule.strikes(*id);
            }
        }
        cut
    }

    /// What strikes this request.
    pub(in crate::sandbox) fn plan(&mut self, question: &Question<'_>) -> Plan {
        let mut plan = Plan::default();
        for (id, rule) in &mut self.rules {
            let fault = &rule.fault;
            if fault.kind == FaultKind::ResetUnread
                || !fault.matches(question)
                || !rule.strikes(*id)
            {
                continue;
            }
            let fault = &rule.fault;
            plan.delay += Duration::from_millis(fault.latency_ms.unwrap_or(0));
            match fault.kind {
                FaultKind::Latency | FaultKind::ResetUnread => {}
                FaultKind::ResetBefore => plan.cut_before = true,
                FaultKind::ResetAfter => plan.cut_after = true,
                FaultKind::Status
                | FaultKind::Html502
                | FaultKind::MetaError
                | FaultKind::GoogleError
                | FaultKind::LinkedinError
                | FaultKind::AdsVersionSunset
                | FaultKind::AdsThrottled => {
                    plan.answer
                        .get_or_insert_with(|| reply::of(fault, question));
                }
                FaultKind::VersionWarning => plan.version_warning = true,
                FaultKind::Localised => plan.localised = true,
                FaultKind::NoMessages => plan.no_messages = true,
                FaultKind::FewerReceived => plan.fewer_received = true,
                FaultKind::LateStatus => {
                    let secs = fault.late_secs.unwrap_or_default();
                    plan.processing.delay += TimeDelta::seconds(secs.into());
                }
                FaultKind::ProcessingError => {
                    let reason = fault.reason.as_deref().unwrap_or_default();
                    add_errors(fault, question, reason, &mut plan.processing.errors);
                }
                FaultKind::AdsRowError => {
                    let reason = fault.reason.as_deref().unwrap_or_default();
                    add_errors(fault, question, reason, &mut plan.processing.row_errors);
                }
                FaultKind::AdsNotAllowlisted => {
                    let reason = google_ads::NOT_ALLOWLISTED;
                    add_errors(fault, question, reason, &mut plan.processing.row_errors);
                }
                FaultKind::ElementStatus => {
                    let status = fault.status.unwrap_or(500);
                    for (index, heard) in question.events.iter().enumerate() {
                        if fault.matches_event(heard, question.account) {
                            let statuses = &mut plan.processing.element_statuses;
                            statuses.entry(index).or_insert(status);
                        }
                    }
                }
                FaultKind::HoldBefore => plan.hold_before.push(rule.gate.clone()),
                FaultKind::HoldAfter => plan.hold_after.push(rule.gate.clone()),
                FaultKind::Huge
                | FaultKind::Drip
                | FaultKind::EndlessHead
                | FaultKind::Informational
                | FaultKind::Truncated
                | FaultKind::Empty
                | FaultKind::NotHttp
                | FaultKind::Garbage
                | FaultKind::DeepJson
                | FaultKind::WrongTypes
                | FaultKind::LoginPage
                | FaultKind::GzipBomb
                | FaultKind::Redirect
                | FaultKind::Http10 => {
                    plan.script = plan.script.or_else(|| wire::script(fault.kind));
                }
            }
        }
        plan
    }
}

/// Adds a reason to each event that the rule matches and that has none yet.
fn add_errors(
    fault: &Fault,
    question: &Question<'_>,
    reason: &str,
    errors: &mut BTreeMap<usize, String>,
) {
    for (index, heard) in question.events.iter().enumerate() {
        if fault.matches_event(heard, question.account) {
            errors.entry(index).or_insert_with(|| reason.to_owned());
        }
    }
}

impl Rule {
    /// Counts a match and decides whether it strikes.
    fn strikes(&mut self, id: u64) -> bool {
        self.matched += 1;
        let due = self
            .fault
            .every
            .is_none_or(|every| self.matched.is_multiple_of(every));
        let left = self.fault.times.is_none_or(|times| self.struck < times);
        let lucky = self
            .fault
            .probability
            .is_none_or(|p| fraction(id, self.matched) < p);
        let strikes = due && left && lucky;
        self.struck += u64::from(strikes);
        strikes
    }
}

/// A fraction from 0 to 1 that looks random and is the same for the same rule and match: SplitMix64.
fn fraction(id: u64, match_count: u64) -> f64 {
    let mut z = id
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(match_count)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    // The top 32 bits fit an f64 without loss.
    f64::from(u32::try_from(z >> 32).unwrap_or(u32::MAX)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests;
