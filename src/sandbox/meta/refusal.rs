//! Meta's error answers: the documented object with message, type, code, subcode and trace id
//! (`developers.facebook.com/docs/marketing-api/error-reference`). Not for deciding what is wrong.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::sandbox::exchange::Reply;

/// Why Meta refuses a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    status: u16,
    kind: &'static str,
    code: i64,
    subcode: Option<i64>,
    message: String,
    /// The field to blame, for example `data[0][event_time]`.
    blame: Option<String>,
}

impl Refusal {
    /// The path or version is not one of this API.
    pub(super) fn unknown_path() -> Refusal {
        Refusal::new(
            400,
            "OAuthException",
            2500,
            None,
            "Unknown path components: only POST /{version}/{dataset id}/events exists here",
        )
    }

    /// There is no token, or a bad one.
    pub(super) fn token(subcode: Option<i64>, message: &str) -> Refusal {
        Refusal::new(401, "OAuthException", 190, subcode, message)
    }

    /// The dataset does not exist, or this token may not use it.
    pub(super) fn unknown_dataset(id: &str) -> Refusal {
        let message = format!(
            "Unsupported post request. Object with ID '{id}' does not exist, cannot be loaded due to missing \
             permissions, or does not support this operation"
        );
        Refusal::new(400, "GraphMethodException", 100, Some(33), &message)
    }

    /// A parameter is wrong.
    pub(super) fn parameter(field: &str, must: &str, subcode: Option<i64>) -> Refusal {
        let message = format!("(#100) Invalid parameter: {field} {must}");
        Refusal {
            blame: Some(field.to_owned()),
            ..Refusal::new(400, "OAuthException", 100, subcode, &message)
        }
    }

    fn new(
        status: u16,
        kind: &'static str,
        code: i64,
        subcode: Option<i64>,
        message: &str,
    ) -> Refusal {
        Refusal {
            status,
            kind,
            code,
            subcode,
            message: message.to_owned(),
            blame: None,
        }
    }

    /// The refusal in one line, for the ledger.
    pub(super) fn reason(&self) -> String {
        match self.subcode {
            Some(subcode) => format!("{}/{subcode}: {}", self.code, self.message),
            None => format!("{}: {}", self.code, self.message),
        }
    }

    /// The answer Meta gives.
    pub(super) fn reply(&self, trace: &str) -> Reply {
        let mut error = Map::new();
        error.insert("message".to_owned(), self.message.clone().into());
        error.insert("type".to_owned(), self.kind.into());
        error.insert("code".to_owned(), self.code.into());
        if let Some(subcode) = self.subcode {
            error.insert("error_subcode".to_owned(), subcode.into());
        }
        error.insert("is_transient".to_owned(), false.into());
        if let Some(field) = &self.blame {
            error.insert(
                "error_data".to_owned(),
                json!({"blame_field_specs": [[field]]}),
            );
            error.insert("error_user_title".to_owned(), "Invalid parameter".into());
            error.insert(
                "error_user_msg".to_owned(),
                "A parameter of your request is not valid.".into(),
            );
        }
        error.insert("fbtrace_id".to_owned(), trace.into());
        Reply::json(self.status, &json!({"error": Value::Object(error)}))
    }
}

/// An error answer by script: any code, without a reason of its own.
pub(in crate::sandbox) fn scripted(
    status: u16,
    code: i64,
    subcode: Option<i64>,
    transient: Option<bool>,
) -> Reply {
    let kind = if (code, subcode) == (100, Some(33)) {
        "GraphMethodException"
    } else {
        "OAuthException"
    };
    let mut error = Map::new();
    error.insert(
        "message".to_owned(),
        format!("(#{code}) Scripted by a fault rule of the sandbox").into(),
    );
    error.insert("type".to_owned(), kind.into());
    error.insert("code".to_owned(), code.into());
    if let Some(subcode) = subcode {
        error.insert("error_subcode".to_owned(), subcode.into());
    }
    if let Some(transient) = transient {
        error.insert("is_transient".to_owned(), transient.into());
    }
    error.insert("fbtrace_id".to_owned(), trace_id(&[b"scripted"]).into());
    Reply::json(status, &json!({"error": Value::Object(error)}))
}

/// A trace id in Meta's form: `A` and more letters and digits. The same input gives the same id.
pub(super) fn trace_id(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let hex: String = hasher
        .finalize()
        .iter()
        .take(11)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("A{hex}")
}
