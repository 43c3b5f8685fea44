//! The shape of Google's errors: `google.rpc.Status` as JSON with typed details
//! (`cloud.google.com/apis/design/errors`, `google/rpc/error_details.proto`). Not for deciding what is wrong.

use serde_json::{Map, Value, json};

use crate::sandbox::exchange::Reply;

/// An error answer of a Google API.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sandbox) struct GoogleError {
    /// HTTP status.
    pub(in crate::sandbox) code: u16,
    /// The canonical code in capitals, for example `INVALID_ARGUMENT`.
    pub(in crate::sandbox) status: String,
    pub(in crate::sandbox) message: String,
    /// Objects with an `@type`; absent from the answer when there are none.
    pub(in crate::sandbox) details: Vec<Value>,
}

impl GoogleError {
    /// An error of this HTTP status with the canonical code that belongs to it, without details.
    pub(in crate::sandbox) fn new(code: u16, message: &str) -> GoogleError {
        GoogleError {
            code,
            status: status_of(code).to_owned(),
            message: message.to_owned(),
            details: Vec::new(),
        }
    }

    /// The answer.
    pub(in crate::sandbox) fn reply(&self) -> Reply {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.code.into());
        error.insert("message".to_owned(), self.message.clone().into());
        error.insert("status".to_owned(), self.status.clone().into());
        if !self.details.is_empty() {
            error.insert("details".to_owned(), self.details.clone().into());
        }
        Reply::json(self.code, &json!({"error": error}))
    }
}

/// The canonical code that belongs to an HTTP status (`google/rpc/code.proto`).
pub(in crate::sandbox) fn status_of(code: u16) -> &'static str {
    match code {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        400..=499 => "INVALID_ARGUMENT",
        500..=599 => "INTERNAL",
        _ => "UNKNOWN",
    }
}

/// `google.rpc.ErrorInfo`.
pub(in crate::sandbox) fn error_info(reason: &str, domain: &str, metadata: Value) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": domain,
        "metadata": metadata})
}

/// `google.rpc.RetryInfo`.
pub(in crate::sandbox) fn retry_info(seconds: u64) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")})
}

/// `google.rpc.BadRequest` with its `fieldViolations`.
pub(in crate::sandbox) fn bad_request(violations: Vec<Value>) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations})
}

/// The answer to a body that does not parse: each thing wrong with it, and the path where it has one.
pub(in crate::sandbox) fn invalid_payload(wrongs: &[super::proto_json::Wrong]) -> Reply {
    let violation = |wrong: &super::proto_json::Wrong| {
        let mut violation = Map::new();
        if !wrong.path.is_empty() {
            violation.insert("field".to_owned(), wrong.path.clone().into());
        }
        violation.insert("description".to_owned(), wrong.description.clone().into());
        Value::Object(violation)
    };
    let texts: Vec<&str> = wrongs.iter().map(|it| it.description.as_str()).collect();
    GoogleError {
        details: vec![bad_request(wrongs.iter().map(violation).collect())],
        ..GoogleError::new(400, &texts.join("\n"))
    }
    .reply()
}
