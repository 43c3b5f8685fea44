//! Asks the platforms, each in its own way, whether they would take events: nothing that could be counted is sent, unless
//! a test event is asked for. One file for each platform says what to ask and what the answer means.

mod answer;
mod ga4;
mod google_ads;
mod google_data_manager;
mod linkedin;
mod meta;
pub mod test_event;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Blame, Check, Verdict};
use crate::config::destination::DestinationConfig;
use crate::config::secret::Secret;
use crate::consent::Kind;
use crate::destinations::google::probe::Sample;
use crate::destinations::{HttpRequest, Reply, Settings};
use crate::send::{SendError, Sender};

/// The destination that is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patient<'a> {
    pub(super) destination: &'a DestinationConfig,
    /// For the test event's person.
    pub(super) calling_code: Option<u16>,
    /// Whether a test event is sent when all else is well.
    pub(super) test_event: bool,
}

/// A destination with a credential that can be used, and how to ask.
#[derive(Clone, Copy, Debug)]
struct Visit<'a> {
    destination: &'a DestinationConfig,
    sender: &'a Sender,
    secret: &'a Secret,
    now: DateTime<Utc>,
}

impl Visit<'_> {
    /// Asks within the destination's own time-out. What is no answer is a finding already.
    async fn ask(&self, name: &'static str, request: HttpRequest) -> Result<Reply, Check> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let timeout = self.destination.request_timeout;
        let sent = self.sender.send(request, self.secret, timeout).await;
        sent.map_err(|error| unanswered(name, &host, error))
    }
}

/// Everything that one platform says of its destination.
pub(super) async fn examine(
    patient: &Patient<'_>,
    sender: &Sender,
    now: DateTime<Utc>,
) -> Vec<Check> {
    let destination = patient.destination;
    let sender = &sender.within(destination.reach);
    let (told, secret) = token::fetch(destination.settings.credentials(), sender, now).await;
    let mut checks: Vec<Check> = told.into_iter().collect();
    if let Some(secret) = secret {
        let visit = Visit {
            destination,
            sender,
            secret: &secret,
            now,
        };
        checks.extend(visited(&visit).await);
        if patient.test_event {
            checks.push(
                match checks.iter().any(|one| one.verdict == Verdict::Fail) {
                    true => Check::skipped(
                        test_event::NAME,
                        "not sent: something has to be mended first",
                    ),
                    false => test_event::send(&visit, patient.calling_code).await,
                },
            );
        }
    }
    checks
        .into_iter()
        .map(|check| check.at(&destination.name))
        .collect()
}

async fn visited(visit: &Visit<'_>) -> Vec<Check> {
    match &visit.destination.settings {
        Settings::Meta(settings) => meta::visit(visit, settings).await,
        Settings::Ga4(settings) => ga4::visit(visit, settings).await,
        Settings::GoogleDataManager(settings) => google_data_manager::visit(visit, settings).await,
        Settings::GoogleAds(settings) => google_ads::visit(visit, settings).await,
        Settings::LinkedIn(settings) => linkedin::visit(visit, settings).await,
    }
}

/// Every conversion action or rule that events are sent for, each with these events.
fn configured(destination: &DestinationConfig) -> BTreeMap<&str, BTreeSet<&str>> {
    let actions = destination.settings.actions().into_iter().flatten();
    let events = actions
        .map(|(event, _)| event)
        .chain(destination.events.keys());
    let mut by_action: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for event in events {
        if let Some(action) = destination.name_of(event) {
            by_action.entry(action).or_default().insert(event);
        }
    }
    by_action
}

/// A conversion action or rule with its events, as the beginning of a sentence.
fn named(what: &str, id: &str, events: &BTreeSet<&str>) -> String {
    let events: Vec<&str> = events.iter().copied().collect();
    format!("{what} {id} ({})", events.join(", "))
}

/// What a destination that is tried with a row of nobody is tried with: what it really sends.
fn sample(destination: &DestinationConfig) -> Sample {
    let sends = |kind| destination.fields.contains(&kind);
    match sends(Kind::Email) || sends(Kind::Phone) {
        true => Sample::Email,
        false => Sample::Click,
    }
}

fn unanswered(name: &'static str, host: &str, error: SendError) -> Check {
    match error {
        SendError::Credential => Check::fail(
            name,
            error.to_string(),
            "write the token alone into its file, as it was given out",
        )
        .blame(Blame::Configuration),
        SendError::Private => Check::fail(
            name,
            format!("{host} leads to a private address, and nothing was asked"),
            "check base_url and name resolution; allow_private_addresses = true lets it be",
        )
        .blame(Blame::Configuration),
        SendError::Connect => Check::fail(
            name,
            format!("no connection to {host}"),
            "check base_url, name resolution and what the firewall lets out",
        )
        .blame(Blame::Unavailable),
        SendError::Timeout | SendError::Broken => Check::fail(
            name,
            format!("{host} gave no answer ({})", error.as_str()),
            "try again; if it stays so, check proxies on the way and request_timeout_secs",
        )
        .blame(Blame::Unavailable),
    }
}
