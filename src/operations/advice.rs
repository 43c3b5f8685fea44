//! What to do about a dead letter, by what it died of.

use crate::outcome::Reason;

/// One sentence for whoever looks at the dead letters of this reason.
pub fn advice(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::RefusedByPlatform) => {
            "the platform refused it with the code shown: mend mapping, configuration or account, then replay; the new payload is sent"
        }
        Some(Reason::InvalidPayload) => {
            "our check found the field in the code wrong: mend mapping or configuration, then replay; what is wrong in the row itself cannot be mended: skip it"
        }
        Some(Reason::InvalidEvent) => {
            "the row cannot be read: mend the application, let it write the event under another id, and skip this one"
        }
        Some(Reason::PayloadChanged) => {
            "a retry would have said something else than the first try: if it may have arrived, undo the change of configuration and replay; otherwise a replay sends the new payload"
        }
        Some(Reason::Defect) => {
            "the worker itself failed on it: look into its log and report that; replay after an update"
        }
        Some(Reason::NoAnswer | Reason::CountMismatch) => {
            "it may have arrived: look at the platform; skip it if it is there; if it is not, replay it and overrule the doubt"
        }
        Some(Reason::RepeatWindowOver) => {
            "it may have arrived, and a repeat is not recognised any more: look at the platform; skip it if it is there; if it is not, replay it and overrule the doubt"
        }
        Some(Reason::AttemptsUsedUp) => {
            "it failed while others passed: see its code, mend the cause, then replay"
        }
        Some(Reason::AgeUsedUp) => {
            "it waited longer than age_max_hours: raise that and replay, or replay and overrule the doubt"
        }
        _ => "see its tries: conversion-outbox dead-letters show EVENT_ID",
    }
}
