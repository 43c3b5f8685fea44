//! Google Ads API: the conversion actions as the account lists them, and whether an upload would be allowed at all.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Check;
use super::answer::{self, Meaning};
use super::{Visit, configured, named, sample};
use crate::destinations::Reply;
use crate::destinations::google_ads::probe::{self, Action};
use crate::destinations::google_ads::{self, Settings};
use crate::outcome::Hold;

const PLATFORM: &str = "platform";
const ACTION: &str = "conversion_action";
const UPLOAD: &str = "upload";

/// What actions must be of for conversions to be uploaded, and for adjustments.
/// Source: `developers.google.com/google-ads/api/docs/conversions` (upload-offline, upload-adjustments).
const UPLOADS: [&str; 1] = ["UPLOAD_CLICKS"];
const ADJUSTMENTS: [&str; 3] = ["UPLOAD_CLICKS", "WEBPAGE", "SALESFORCE"];

pub(super) async fn visit(visit: &Visit<'_>, settings: &Settings) -> Vec<Check> {
    let configured = configured(visit.destination);
    if configured.is_empty() {
        let fix = "map events to ids under conversion_actions";
        return vec![Check::warn(
            PLATFORM,
            "not asked: no event has a conversion action",
            fix,
        )];
    }
    let ids: Vec<&str> = configured.keys().copied().collect();
    let request = probe::search_actions(settings, &visit.destination.base_url, &ids);
    let actions = match visit.ask(PLATFORM, request).await {
        Ok(reply) => match listed(&reply, settings) {
            Ok(actions) => actions,
            Err(check) => return vec![*check],
        },
        Err(check) => return vec![check],
    };
    let seen = format!("the token may act for customer {}", settings.customer_id);
    let mut checks = vec![Check::ok(PLATFORM, seen)];
    checks.extend(judge(&actions, &configured, settings));
    if settings.adjusts_destination.is_none() {
        checks.push(upload(visit, settings, &actions).await);
    }
    checks
}

/// The actions, or what stands in the way.
fn listed(reply: &Reply, settings: &Settings) -> Result<Vec<Action>, Box<Check>> {
    if (200..300).contains(&reply.status) {
        return probe::read_actions(reply).ok_or_else(|| {
            Box::new(Check::warn(
                PLATFORM,
                "the answer is no list of conversion actions, so they were not looked at",
                "check base_url; behind a proxy, see what it makes of the answer",
            ))
        });
    }
    let answer = probe::classify_search(settings, reply);
    let meaning = answer::meaning(&answer);
    Err(Box::new(answer::trouble(
        PLATFORM,
        meaning,
        &answer,
        reply.status,
    )))
}

fn judge(
    actions: &[Action],
    configured: &BTreeMap<&str, BTreeSet<&str>>,
    settings: &Settings,
) -> Vec<Check> {
    let kinds = kinds(settings);
    let checks = configured.iter().map(|(id, events)| {
        let of = named("action", id, events);
        match actions.iter().find(|action| action.id == **id) {
            None => Check::fail(
                ACTION,
                format!("customer {} has no {of}", settings.customer_id),
                "copy the number after ctId= from the action's page, or check customer_id",
            ),
            Some(action) if action.status != "ENABLED" => Check::fail(
                ACTION,
                format!("{of} is not enabled: {}", word(&action.status)),
                "enable the conversion action in Google Ads, or map the events to another one",
            ),
            Some(action) if !kinds.contains(&action.kind.as_str()) => Check::fail(
                ACTION,
                format!("{of} is of type {}", word(&action.kind)),
                format!("map the events to an action of type {}", kinds.join(" or ")),
            ),
            Some(action) => Check::ok(ACTION, format!("{of} is enabled, of type {}", action.kind)),
        }
    });
    checks.collect()
}

fn kinds(settings: &Settings) -> &'static [&'static str] {
    match settings.adjusts_destination {
        Some(_) => &ADJUSTMENTS,
        None => &UPLOADS,
    }
}

/// A word of Google's, never more.
fn word(text: &str) -> &str {
    let is_word = text
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if is_word && !text.is_empty() {
        text
    } else {
        "unknown"
    }
}

/// Whether a conversion of nobody would be taken, for the first action that could take one.
async fn upload(visit: &Visit<'_>, settings: &Settings, actions: &[Action]) -> Check {
    let usable = actions
        .iter()
        .find(|action| action.status == "ENABLED" && UPLOADS.contains(&action.kind.as_str()));
    let Some(action) = usable else {
        return Check::skipped(
            UPLOAD,
            "not tried: no conversion action could take a conversion",
        );
    };
    let sample = sample(visit.destination);
    let base_url = &visit.destination.base_url;
    let request = probe::probe(settings, base_url, &action.id, sample, visit.now);
    match visit.ask(UPLOAD, request).await {
        Ok(reply) => judge_upload(&reply, settings),
        Err(check) => check,
    }
}

fn judge_upload(reply: &Reply, settings: &google_ads::Settings) -> Check {
    let answer = probe::classify_probe(settings, reply);
    let code = answer::code(&answer);
    match answer::meaning(&answer) {
        Meaning::Good => Check::ok(
            UPLOAD,
            "an upload was validated: the customer may send conversions",
        ),
        Meaning::Held(Hold::NotAllowlisted) => Check::warn(
            UPLOAD,
            format!("the customer may not upload conversions{code}"),
            Hold::NotAllowlisted.advice(),
        ),
        // Google looked at the row itself, so it had let the customer in.
        Meaning::Content | Meaning::TooEarly => Check::ok(
            UPLOAD,
            format!(
                "the customer may send conversions; one of nobody was refused for its content{code}"
            ),
        ),
        other => answer::trouble(UPLOAD, other, &answer, reply.status),
    }
}
