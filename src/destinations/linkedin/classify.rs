//! What LinkedIn's answers mean: the fourth part. By status, then by code. A few of its refusals have no code, so their
//! message is searched for fixed words and for the places of the culprits; none of it is kept, for it may echo what was
//! sent.
//!
//! Sources: `learn.microsoft.com/en-us/linkedin/marketing/error-responses`, `…/linkedin/shared/api-guide/concepts/error-handling`,
//! `…/ads-reporting/conversions-api`, and answers of the real endpoint that others logged in August and September 2026
//! (`StefanPHD/pagesmith`, docs/ziel-befunde/linkedin.md).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::super::Reply;
use crate::outcome::{Answer, Hold, Notice, Outcome, RowAnswer, Verdict};

/// Longest wait that is honoured. LinkedIn documents no `Retry-After`; a proxy may send one.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// How long to wait where LinkedIn does not say, which is always: its quota is counted by the minute (conversions-api).
const THROTTLED: Duration = Duration::from_secs(30);

/// What a refusal for the rule's sake says, in lower case, and our word for it.
const OF_THE_RULE: [(&str, &str); 3] = [
    ("method should be conversions_api", "rule_method"),
    ("marked as deleted", "rule_disabled"),
    ("conversion enabled should be true", "rule_disabled"),
];

/// What a refusal for an event's sake says, in lower case, and our word for it.
const OF_THE_EVENT: [(&str, &str); 4] = [
    ("invalid_conversion_time_field_value", "conversion_time"),
    ("conversion time should be", "conversion_time"),
    (
        "invalid_user_identification_field_value",
        "user_identification",
    ),
    ("must contain one of these fields", "user_identification"),
];

/// What an answer, or its part about one event, says when it is no success.
struct Refusal {
    status: u16,
    code: Option<String>,
    /// Message and code in lower case; only for looking into.
    text: String,
    is_page: bool,
    after: Option<Duration>,
}

/// By status, then by code. Of several events all fared alike, or each is told by itself.
pub fn classify(reply: &Reply, sent: usize) -> Answer {
    let after = reply.retry_after().map(|after| after.min(WAIT_MAX));
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if (200..300).contains(&reply.status) {
        // An answer that cannot be read tells of nothing: one event's success has no body at all.
        return match body.is_null() && !reply.body.trim_ascii().is_empty() {
            true => Answer::all(Outcome::Ambiguous).notice(Notice::CountMismatch),
            false => received(reply.status, &body, sent, after),
        };
    }
    Refusal::new(reply.status, &body, reply.is_page(), after).answer(sent)
}

/// One event is answered with 201 and nothing else, a batch with 200 and a status for each.
fn received(status: u16, body: &Value, sent: usize, after: Option<Duration>) -> Answer {
    match body["elements"].as_array() {
        None if status == 201 && sent == 1 => Answer::all(Outcome::Accepted),
        Some(elements) if elements.len() == sent => {
            let answers: Vec<Answer> = elements
                .iter()
                .map(|element| of_element(element, after))
                .collect();
            let notice = answers.iter().find_map(|answer| answer.notice);
            let rows = answers.into_iter().map(alone).collect();
            Answer {
                notice,
                ..Answer::each(rows)
            }
        }
        _ => Answer::all(Outcome::Ambiguous).notice(Notice::CountMismatch),
    }
}

/// Only successes are documented. What went wrong may stand beside the status, or in `error`, as Rest.li has it.
fn of_element(element: &Value, after: Option<Duration>) -> Answer {
    match element["status"].as_u64().map(u16::try_from) {
        Some(Ok(200..=299)) => Answer::all(Outcome::Accepted),
        Some(Ok(status)) => {
            let error = if element["error"].is_object() {
                &element["error"]
            } else {
                element
            };
            Refusal::new(status, error, false, after).answer(1)
        }
        _ => Answer::all(Outcome::Ambiguous),
    }
}

/// The answer about a single event.
fn alone(answer: Answer) -> RowAnswer {
    let outcome = match answer.verdict {
        Verdict::All(outcome) => outcome,
        Verdict::BatchRejected | Verdict::Each(_) => Outcome::Rejected,
    };
    RowAnswer {
        outcome,
        code: answer.code,
    }
}

impl Refusal {
    fn new(status: u16, body: &Value, is_page: bool, after: Option<Duration>) -> Refusal {
        let part = |key: &str| body[key].as_str().unwrap_or_default();
        Refusal {
            status,
            code: own_code(body),
            text: format!("{}\n{}", part("message"), part("code")).to_lowercase(),
            is_page,
            after,
        }
    }

    fn answer(self, sent: usize) -> Answer {
        let answer = self.verdict(sent);
        match (&answer.code, self.code) {
            (None, Some(code)) => answer.code(code),
            _ => answer,
        }
    }

    fn verdict(&self, sent: usize) -> Answer {
        let transient = Answer::all(Outcome::Retry {
            after: self.after,
            delivered: true,
        });
        let misconfigured = Answer::all(Outcome::Hold(Hold::Configuration));
        match self.status {
            401 => Answer::all(Outcome::Hold(Hold::Credential)),
            426 => Answer::all(Outcome::Hold(Hold::Version)),
            429 => Answer::all(Outcome::RateLimited {
                after: Some(self.after.unwrap_or(THROTTLED)),
            }),
            408 | 500.. => transient,
            404 | 405 => misconfigured.notice(Notice::WrongAddress),
            411 | 300..=399 => misconfigured,
            // A page is a proxy's, never the API's.
            _ if self.is_page => transient,
            400 if self.is_of_version() => Answer::all(Outcome::Hold(Hold::Version)),
            400 => self.malformed(sent),
            // A rule that does not exist gets the same answer as a token that may not use it.
            403 => self.held_rule("forbidden"),
            // Too large: fewer may pass.
            413 => Answer::batch_rejected(),
            422 => self
                .blamed(sent, "schema", Outcome::Rejected)
                .notice(Notice::BadRequestForm),
            _ => Answer::all(Outcome::Unrecognised).notice(Notice::UnrecognisedCode),
        }
    }

    fn is_of_version(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some("VERSION_MISSING" | "NONEXISTENT_VERSION")
        )
    }

    fn malformed(&self, sent: usize) -> Answer {
        if let Some(word) = self.word_of(&OF_THE_RULE) {
            return self.held_rule(word);
        }
        match self.word_of(&OF_THE_EVENT) {
            // What is too old never leaves.
            Some(word @ "conversion_time") => self.blamed(sent, word, Outcome::AHEAD_OF_ITS_CLOCK),
            Some(word) => self.blamed(sent, word, Outcome::Rejected),
            None => self
                .blamed(sent, "bad_request", Outcome::Rejected)
                .notice(Notice::UnrecognisedCode),
        }
    }

    /// A request carries events of one rule only.
    fn held_rule(&self, word: &str) -> Answer {
        Answer::all(Outcome::HoldRule).code(self.code_or(word))
    }

    /// Nothing was stored. The events that the message names meet this fate; the others go again.
    fn blamed(&self, sent: usize, word: &str, fate: Outcome) -> Answer {
        let culprits = culprits(&self.text);
        let code = self.code_or(word);
        if sent == 1 && fate != Outcome::Rejected {
            return Answer::all(fate).code(code);
        }
        // Whoever names events that were not sent names none.
        if culprits.is_empty() || culprits.iter().any(|&n| n >= sent) {
            return Answer::batch_rejected().code(code);
        }
        let outcome = |n: usize| match culprits.contains(&n) {
            true => fate,
            false => Outcome::Bystander,
        };
        let rows = (0..sent).map(|n| RowAnswer {
            outcome: outcome(n),
            code: Some(code.clone()),
        });
        Answer::each(rows.collect()).code(code.clone())
    }

    fn word_of(&self, words: &[(&str, &'static str)]) -> Option<&'static str> {
        let said = words.iter().find(|(said, _)| self.text.contains(said));
        said.map(|(_, word)| *word)
    }

    fn code_or(&self, word: &str) -> String {
        self.code.clone().unwrap_or_else(|| word.to_owned())
    }
}

/// LinkedIn's own code, or its number: never a text that could hold something of the event.
fn own_code(body: &Value) -> Option<String> {
    const LENGTH_MAX: usize = 64;
    let is_code = |code: &&str| {
        code.len() <= LENGTH_MAX
            && code.starts_with(|first: char| first.is_ascii_uppercase())
            && code
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    match body["code"].as_str().filter(is_code) {
        Some(code) => Some(code.to_owned()),
        // A longer number might be somebody's telephone's.
        None => body["serviceErrorCode"]
            .as_u64()
            .filter(|number| *number < 10_000_000)
            .map(|number| number.to_string()),
    }
}

/// The places in the batch that a text, in lower case, names, from 0 on: `indices [0, 2]`, `batchIndex=0`, and lines that
/// begin with `Index: 3, ERROR`; lines without an index belong to the one before.
fn culprits(text: &str) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for rest in text.split("indices [").skip(1) {
        let (list, _) = rest.split_once(']').unwrap_or_default();
        found.extend(list.split(',').map(str::trim).filter_map(leading_number));
    }
    found.extend(text.split("batchindex=").skip(1).filter_map(leading_number));
    let lines = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("index: "));
    found.extend(
        lines
            .filter(|rest| rest.contains("error"))
            .filter_map(leading_number),
    );
    found
}

fn leading_number(rest: &str) -> Option<usize> {
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests;
