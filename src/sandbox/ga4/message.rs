//! A validation message, as the debug endpoint shows it
//! (`developers.google.com/analytics/devguides/collection/protocol/ga4/validating-events`). Not for finding faults.

use serde_json::{Value, json};

use super::names::BadName;
use crate::sandbox::shape::Misfit;

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) field_path: String,
    pub(super) description: String,
    pub(super) code: &'static str,
    /// Reported even without `ENFORCE_RECOMMENDATIONS`.
    pub(super) always: bool,
    /// A relaxed request keeps its event and gets a newer time instead.
    pub(super) about_age: bool,
    /// The event it concerns; none concerns the whole request.
    pub(super) event: Option<usize>,
}

impl Message {
    /// A fault of the request that only `ENFORCE_RECOMMENDATIONS` reports.
    pub(super) fn new(code: &'static str, field_path: &str, description: &str) -> Message {
        Message {
            field_path: field_path.to_owned(),
            description: description.to_owned(),
            code,
            always: false,
            about_age: false,
            event: None,
        }
    }

    /// A value of the wrong form.
    pub(super) fn misfit(parent: &str, misfit: &Misfit) -> Message {
        Message::new(
            "VALUE_INVALID",
            &join(parent, &misfit.field),
            &format!("[{}] {}.", misfit.field, misfit.must),
        )
    }

    /// A name that is not allowed.
    pub(super) fn bad_name(field_path: &str, name: &str, bad: BadName) -> Message {
        Message::new(
            bad.code,
            field_path,
            &format!("Invalid name [{name}]. {}", bad.why),
        )
    }

    /// Reported always.
    pub(super) fn always(self) -> Message {
        Message {
            always: true,
            ..self
        }
    }

    /// About the age of an event.
    pub(super) fn about_age(self) -> Message {
        Message {
            about_age: true,
            ..self
        }
    }

    /// About this event.
    pub(super) fn of_event(self, index: usize) -> Message {
        Message {
            event: Some(index),
            ..self
        }
    }

    /// As the debug endpoint writes it.
    pub(super) fn to_json(&self) -> Value {
        json!({"fieldPath": self.field_path, "description": self.description, "validationCode": self.code})
    }
}

/// The path of a field inside its parent; the body itself has the empty path.
pub(super) fn join(parent: &str, field: &str) -> String {
    if parent.is_empty() {
        field.to_owned()
    } else {
        format!("{parent}.{field}")
    }
}
