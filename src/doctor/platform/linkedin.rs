//! LinkedIn: the list of the ad account's conversion rules, which tells about version and token too. There is no address
//! for trying events: whatever is sent is counted.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Check;
use super::{Visit, answer, configured, named};
use crate::destinations::Reply;
use crate::destinations::linkedin::probe::{self, Rule};
use crate::destinations::linkedin::{self, Settings};

const PLATFORM: &str = "platform";
const RULE: &str = "rule";

/// Pages at most: more rules than any account should have, and an end in any case.
const PAGES_MAX: usize = 200;

pub(super) async fn visit(visit: &Visit<'_>, settings: &Settings) -> Vec<Check> {
    let mut rules = Vec::new();
    for page in 0..PAGES_MAX {
        let start = page * probe::PAGE;
        let request = probe::list_rules(settings, &visit.destination.base_url, start);
        let reply = match visit.ask(PLATFORM, request).await {
            Ok(reply) => reply,
            Err(check) => return vec![check],
        };
        let found = match read(&reply) {
            Ok(found) => found,
            Err(check) => return vec![*check],
        };
        let is_last = found.len() < probe::PAGE;
        rules.extend(found);
        if is_last {
            break;
        }
    }
    let seen = format!(
        "the token may list the {} rules of ad account {}",
        rules.len(),
        settings.ad_account
    );
    std::iter::once(Check::ok(PLATFORM, seen))
        .chain(judge(&rules, &configured(visit.destination)))
        .collect()
}

/// A page of rules, or what stands in the way.
fn read(reply: &Reply) -> Result<Vec<Rule>, Box<Check>> {
    let check = match reply.status {
        200..=299 => match probe::read_rules(reply) {
            Some(rules) => return Ok(rules),
            None => Check::warn(
                PLATFORM,
                "the answer is no list of rules, so the configured ones were not looked at",
                "check base_url; behind a proxy, see what it makes of the answer",
            ),
        },
        // Sending needs less than listing: such a token may be good for events all the same.
        403 => Check::warn(
            PLATFORM,
            "the token may not list rules: the configured ones were not looked at. It may be good for events all the same",
            "give the token's app the scope r_ads and its member a role on the ad account, or see in Campaign Manager that \
             each rule is enabled and of method CONVERSIONS_API",
        ),
        status => {
            let answer = linkedin::classify(reply, 1);
            answer::trouble(PLATFORM, answer::meaning(&answer), &answer, status)
        }
    };
    Err(Box::new(check))
}

fn judge(rules: &[Rule], configured: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Check> {
    let checks = configured.iter().map(|(id, events)| {
        let of = named("rule", id, events);
        match rules.iter().find(|rule| rule.id == **id) {
            None => Check::fail(
                RULE,
                format!("{of} is not in the ad account"),
                "copy the rule's id from its address in Campaign Manager, or check ad_account",
            ),
            Some(rule) if !rule.is_enabled => Check::fail(
                RULE,
                format!("{of} is disabled: LinkedIn refuses its events"),
                "enable the rule in Campaign Manager",
            ),
            Some(rule) if !rule.takes_events() => Check::fail(
                RULE,
                format!(
                    "{of} takes no events of this API: its method is {}",
                    method(rule)
                ),
                "make a rule of method CONVERSIONS_API: the method of a rule cannot be changed",
            ),
            Some(_) => Check::ok(RULE, format!("{of} is enabled and takes events")),
        }
    });
    checks.collect()
}

/// A word of LinkedIn's, never more.
fn method(rule: &Rule) -> &str {
    let is_word = rule
        .method
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if is_word && !rule.method.is_empty() {
        &rule.method
    } else {
        "unknown"
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Verdict;
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_refusal_to_list_is_no_refusal_of_events() {
        let told = |status, body: &str| read(&reply(status, body)).expect_err("no page");
        let (warn, fail) = (Verdict::Warn, Verdict::Fail);
        for (status, body, verdict) in [
            (403, r#"{"status":403,"code":"USER_NOT_AUTHORIZED"}"#, warn),
            (401, r#"{"status":401,"code":"REVOKED_ACCESS_TOKEN"}"#, fail),
            (426, r#"{"status":426,"code":"NONEXISTENT_VERSION"}"#, fail),
            (404, "", fail),
            (429, "", warn),
            (503, "<html>", fail),
            (200, "<html>", warn),
        ] {
            assert_eq!(told(status, body).verdict, verdict, "{status}");
        }
        let ended = told(426, r#"{"status":426,"code":"NONEXISTENT_VERSION"}"#);
        assert!(
            ended.seen.contains("version (code NONEXISTENT_VERSION)"),
            "{}",
            ended.seen
        );
    }

    #[test]
    fn each_rule_is_judged() {
        let rule = |id: &str, is_enabled, method: &str| Rule {
            id: id.to_owned(),
            is_enabled,
            method: method.to_owned(),
        };
        let rules = [
            rule("1", true, "CONVERSIONS_API"),
            rule("2", false, "CONVERSIONS_API"),
            rule("3", true, "LINKEDIN_TAG <odd>"),
        ];
        let configured = ["1", "2", "3", "4"].map(|id| (id, BTreeSet::from(["order_paid"])));
        let checks = judge(&rules, &configured.into());
        let (ok, fail) = (Verdict::Ok, Verdict::Fail);
        let verdicts: Vec<Verdict> = checks.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, [ok, fail, fail, fail]);
        assert!(checks[2].seen.ends_with("its method is unknown"));
        assert_eq!(
            checks[3].seen,
            "rule 4 (order_paid) is not in the ad account"
        );
    }
}
