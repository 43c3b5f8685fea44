//! What is wrong with a request that parses, and the answer that tells all of it
//! (`developers.google.com/data-manager/api/devguides/concepts/understand-errors`; reasons: `ErrorReason` in
//! `google/ads/datamanager/v1/error.proto`). Not for finding it.

use serde_json::{Value, json};

use crate::sandbox::exchange::Reply;
use crate::sandbox::google::error::{self, GoogleError};

const DOMAIN: &str = "datamanager.googleapis.com";

/// One thing wrong.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Violation {
    /// Path in snake_case, for example `events[3].transaction_id`.
    pub(super) field: String,
    /// Value of `ErrorReason`.
    pub(super) reason: &'static str,
    description: &'static str,
}

impl Violation {
    pub(super) fn new(
        field: impl Into<String>,
        reason: &'static str,
        description: &'static str,
    ) -> Violation {
        Violation {
            field: field.into(),
            reason,
            description,
        }
    }

    /// A required field that is absent or empty.
    pub(super) fn missing(field: impl Into<String>) -> Violation {
        Violation::new(
            field,
            "REQUIRED_FIELD_MISSING",
            "Required field is missing.",
        )
    }

    /// In one line, for the ledger.
    pub(super) fn text(&self) -> String {
        format!("{} at {}: {}", self.reason, self.field, self.description)
    }

    /// Whether it is about this event alone.
    pub(super) fn is_about(&self, event: usize) -> bool {
        let own = format!("events[{event}]");
        self.field
            .strip_prefix(&own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    fn json(&self) -> Value {
        json!({"field": self.field, "description": self.description, "reason": self.reason})
    }
}

/// The answer to a request with something wrong in it. Its id cannot be used for a status.
pub(super) fn refusal(violations: &[Violation], request_id: &str) -> Reply {
    let violations = violations.iter().map(Violation::json).collect();
    let message = "There was a problem with the request.";
    let mut details = details("INVALID_ARGUMENT", request_id);
    details.push(error::bad_request(violations));
    GoogleError {
        details,
        ..GoogleError::new(400, message)
    }
    .reply()
}

/// An answer with one reason and no field: a resource that is not there, a quota that is used up.
pub(super) fn plain_refusal(code: u16, reason: &str, message: &str, request_id: &str) -> Reply {
    GoogleError {
        details: details(reason, request_id),
        ..GoogleError::new(code, message)
    }
    .reply()
}

fn details(reason: &str, request_id: &str) -> Vec<Value> {
    let id = format!("t-{request_id}");
    vec![
        error::error_info(reason, DOMAIN, json!({"requestId": id})),
        json!({"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": id}),
    ]
}
