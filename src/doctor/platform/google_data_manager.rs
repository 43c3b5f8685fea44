//! Google Data Manager: for each conversion action an event of nobody that is only validated.

use super::super::Check;
use super::answer::{self, Meaning};
use super::{Visit, configured, named, sample};
use crate::destinations::Reply;
use crate::destinations::google_data_manager::{Settings, probe};

const PLATFORM: &str = "platform";
const ACTION: &str = "conversion_action";

pub(super) async fn visit(visit: &Visit<'_>, settings: &Settings) -> Vec<Check> {
    let actions = configured(visit.destination);
    if actions.is_empty() {
        let fix = "map events to ids under conversion_actions";
        return vec![Check::warn(
            PLATFORM,
            "not asked: no event has a conversion action",
            fix,
        )];
    }
    let mut checks = Vec::new();
    for (action, events) in &actions {
        let sample = sample(visit.destination);
        let base_url = &visit.destination.base_url;
        let request = probe::probe(settings, base_url, action, sample, visit.now);
        let reply = match visit.ask(PLATFORM, request).await {
            Ok(reply) => reply,
            Err(check) => return vec![check],
        };
        match judge(&reply, settings, &named("action", action, events)) {
            Judged::Action(check) => checks.push(check),
            // The other actions would hear the same.
            Judged::Account(check) => return vec![check],
        }
    }
    checks.insert(0, account(settings));
    checks
}

/// Whom a finding concerns.
enum Judged {
    Action(Check),
    Account(Check),
}

fn account(settings: &Settings) -> Check {
    Check::ok(
        PLATFORM,
        format!(
            "the token may tell account {} of events. Only the form was validated: whether clicks and people are found, and \
             terms that count in processing alone, show in later answers",
            settings.operating_account
        ),
    )
}

fn judge(reply: &Reply, settings: &Settings, action: &str) -> Judged {
    let answer = probe::classify_probe(settings, reply);
    let code = answer::code(&answer);
    match answer::meaning(&answer) {
        Meaning::Good => Judged::Action(Check::ok(ACTION, format!("{action} would take an event"))),
        Meaning::Rule => Judged::Action(Check::fail(
            ACTION,
            format!("{action} is refused{code}"),
            "check the id, that operating_account itself owns the action, and that it is of type UPLOAD_CLICKS or WEBPAGE; \
             event_source must fit it",
        )),
        Meaning::TooEarly => Judged::Action(Check::warn(
            ACTION,
            format!("{action} takes nothing yet{code}"),
            "wait six hours after the action was made",
        )),
        Meaning::Content => Judged::Action(Check::warn(
            ACTION,
            format!("{action} refused an event of nobody for its content{code}"),
            "look the code up in Google's documentation, or try a test event",
        )),
        other => Judged::Account(answer::trouble(PLATFORM, other, &answer, reply.status)),
    }
}
