//! What may leave: consent signals, legal decisions and a destination's policy become a [`Permit`].
//!
//! [`Permitted`] has its only maker here, and the identity of a person is read through it alone, so nothing that
//! consent does not cover can reach a payload. Judged anew at every attempt. TCF and GPP strings are kept as evidence
//! and not interpreted.

mod permit;
mod policy;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::event::{EventFault, OutboxEvent};
use crate::identity::RawIdentity;
use crate::outcome::Reason;

pub use permit::{Permit, Permitted};
pub use policy::{ConsentPolicy, Kind, Signal};

/// A person's answer to one consent signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Yes.
    Granted,
    /// No.
    Denied,
    /// Never asked, or not known. Neither yes nor no: a destination's policy decides, and ours says no.
    Unspecified,
}

/// The consent column of an event.
#[derive(Clone, Debug)]
pub struct Consent {
    signals: BTreeMap<Signal, Choice>,
    gpc: bool,
    decision: Option<BTreeMap<String, Vec<Kind>>>,
}

/// Whom a permit is for.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The destination's name.
    pub destination: &'a str,
    /// Its platform's name.
    pub platform: &'a str,
    /// Which signals it needs for which data.
    pub policy: &'a ConsentPolicy,
    /// The data kinds it is configured to send at all.
    pub fields: &'a BTreeSet<Kind>,
}

impl Consent {
    /// Reads the consent column.
    pub fn parse(value: &Value) -> Result<Consent, EventFault> {
        let fault = |rule| EventFault {
            column: "consent",
            rule,
        };
        let Value::Object(object) = value else {
            return Err(fault("must be a json object"));
        };
        let decision = match object.get("decision") {
            None => None,
            Some(written) => Some(decision(written).ok_or(fault(
                "decision must name platforms or destinations, each with a list of data kinds",
            ))?),
        };
        let mut signals = BTreeMap::new();
        for (name, signal) in Signal::NAMES {
            let choice = match object.get(name).and_then(Value::as_str) {
                Some("granted") => Choice::Granted,
                Some("denied") => Choice::Denied,
                Some("unspecified") => Choice::Unspecified,
                None if decision.is_some() && !object.contains_key(name) => continue,
                _ => return Err(fault("every signal must be granted, denied or unspecified")),
            };
            signals.insert(signal, choice);
        }
        let gpc = match object.get("gpc") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(_) => true,
        };
        Ok(Consent {
            signals,
            gpc,
            decision,
        })
    }

    /// The answer to a signal; unspecified where a legal decision stands in for it.
    pub fn choice(&self, signal: Signal) -> Choice {
        self.signals
            .get(&signal)
            .copied()
            .unwrap_or(Choice::Unspecified)
    }
}

/// Says what of this event the recipient may have now, or why nothing may leave.
///
/// `withdrawn` are the signals taken back since the event was written. A legal decision takes the place of the
/// signals; a withdrawal overrides both.
pub fn judge(
    event: &OutboxEvent,
    to: Recipient<'_>,
    withdrawn: &[Signal],
) -> Result<Permit, Reason> {
    let answers = Answers {
        event,
        to,
        withdrawn,
    };
    answers.refusal(Kind::Event).map_or(Ok(()), Err)?;
    let kinds = to
        .fields
        .iter()
        .copied()
        .filter(|&kind| is_there(event, kind) && answers.refusal(kind).is_none());
    Ok(Permit::new(
        kinds.chain([Kind::Event]),
        answers.choice(Signal::AdUserData),
        answers.choice(Signal::AdPersonalization),
    ))
}

/// Whether the event holds data of this kind at all. A permit names what is there, so that a retry can tell data that
/// were removed since, or added, from a payload that changed.
pub fn is_there(event: &OutboxEvent, kind: Kind) -> bool {
    let user = &event.user_data;
    let any = |keys: &[&str]| keys.iter().any(|key| user.text(key).is_some());
    match kind {
        Kind::Event => true,
        Kind::ClickId => !event.click_ids.is_empty(),
        Kind::Email => !user.email.is_empty(),
        Kind::Phone => !user.phone.is_empty(),
        Kind::Name => any(&["first_name", "last_name", "company", "job_title"]),
        Kind::Address => any(&["street", "city", "region", "postal_code", "country"]),
        Kind::Demographics => any(&["date_of_birth", "gender"]),
        Kind::ExternalId => any(&["external_id"]),
        Kind::IpAddress => any(&["ip_address"]),
        Kind::UserAgent => any(&["user_agent"]),
    }
}

/// One event's consent as one recipient must read it.
struct Answers<'a> {
    event: &'a OutboxEvent,
    to: Recipient<'a>,
    withdrawn: &'a [Signal],
}

impl Answers<'_> {
    /// Why this kind of data may not go to the recipient; nothing when it may.
    fn refusal(&self, kind: Kind) -> Option<Reason> {
        let needed = self.to.policy.requires(kind);
        if needed.iter().any(|signal| self.withdrawn.contains(signal)) {
            return Some(Reason::Withdrawn);
        }
        if let Some(decision) = &self.event.consent.decision {
            let allowed = decision
                .get(self.to.destination)
                .or_else(|| decision.get(self.to.platform));
            let named = allowed.is_some_and(|kinds| kinds.contains(&kind));
            return (!named).then_some(Reason::NotInDecision);
        }
        needed.iter().find_map(|&signal| match self.choice(signal) {
            Choice::Granted => None,
            Choice::Unspecified if self.to.policy.unspecified_is_granted => None,
            Choice::Denied if self.is_opted_out(signal) => Some(Reason::OptOut),
            Choice::Denied => Some(Reason::ConsentDenied),
            Choice::Unspecified => Some(Reason::ConsentUnspecified),
        })
    }

    /// The answer to a signal, with withdrawals and Global Privacy Control taken into account.
    fn choice(&self, signal: Signal) -> Choice {
        if self.withdrawn.contains(&signal) || self.is_opted_out(signal) {
            Choice::Denied
        } else {
            self.event.consent.choice(signal)
        }
    }

    /// Global Privacy Control forbids selling and sharing: the advertising signals, unless a legal decision says more.
    fn is_opted_out(&self, signal: Signal) -> bool {
        let consent = &self.event.consent;
        consent.gpc
            && self.to.policy.gpc_denies_ads
            && consent.decision.is_none()
            && signal != Signal::AnalyticsStorage
    }
}

impl<'a> Permitted<'a> {
    /// What may be known of the person: fields outside the permit are absent.
    pub fn person(&self) -> RawIdentity<'a> {
        let user = &self.event().user_data;
        let text = |kind, key| {
            if self.permit().allows(kind) {
                user.text(key)
            } else {
                None
            }
        };
        let list = |kind, values: &'a [String]| {
            if self.permit().allows(kind) {
                values
            } else {
                &[]
            }
        };
        RawIdentity {
            email: list(Kind::Email, &user.email),
            phone: list(Kind::Phone, &user.phone),
            first_name: text(Kind::Name, "first_name"),
            last_name: text(Kind::Name, "last_name"),
            street: text(Kind::Address, "street"),
            city: text(Kind::Address, "city"),
            region: text(Kind::Address, "region"),
            postal_code: text(Kind::Address, "postal_code"),
            country: text(Kind::Address, "country"),
            date_of_birth: text(Kind::Demographics, "date_of_birth"),
            gender: text(Kind::Demographics, "gender"),
            external_id: text(Kind::ExternalId, "external_id"),
            company: text(Kind::Name, "company"),
            job_title: text(Kind::Name, "job_title"),
            ip_address: text(Kind::IpAddress, "ip_address"),
            user_agent: text(Kind::UserAgent, "user_agent"),
            occurred_on: Some(self.event().occurred_at.date_naive()),
        }
    }

    /// A click id, if click ids may leave.
    pub fn click_id(&self, key: &str) -> Option<&'a str> {
        if self.permit().allows(Kind::ClickId) {
            self.event().click_ids.get(key)
        } else {
            None
        }
    }
}

fn decision(written: &Value) -> Option<BTreeMap<String, Vec<Kind>>> {
    written
        .as_object()?
        .iter()
        .map(|(name, kinds)| {
            let kinds = kinds
                .as_array()?
                .iter()
                .map(|kind| Kind::parse(kind.as_str()?))
                .collect::<Option<_>>()?;
            Some((name.clone(), kinds))
        })
        .collect()
}

#[cfg(test)]
mod tests;
