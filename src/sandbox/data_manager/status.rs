//! Answers `requestStatus:retrieve`
//! (`developers.google.com/data-manager/api/devguides/concepts/diagnostics`). Not for processing.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::SINK_REQUEST_ID;
use super::requests::Requests;
use super::violation::{Violation, plain_refusal, refusal};
use crate::sandbox::exchange::{Arrived, Reply};
use crate::sandbox::google::error;
use crate::sandbox::google::proto_json::Wrong;

/// The answer to a look-up. `own_id` is the id of this call.
pub(super) fn answer(
    arrived: &Arrived,
    requests: &Requests,
    own_id: &str,
    now: DateTime<Utc>,
) -> Reply {
    let known = |name: &str| matches!(name, "requestId" | "request_id");
    if let Some((name, _)) = arrived.query.iter().find(|(name, _)| !known(name)) {
        return error::invalid_payload(&[unknown_parameter(name)]);
    }
    let id = arrived.query("requestId").or(arrived.query("request_id"));
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return refusal(&[Violation::missing("request_id")], own_id);
    };
    match requests.get(id) {
        Some(processed) if processed.is_too_old(now) => {
            let text = "Request status is only available for approximately 50 days after the API receives a request.";
            let violation = Violation::new("request_id", "REQUEST_TOO_OLD", text);
            refusal(&[violation], own_id)
        }
        Some(processed) => Reply::json(200, &processed.show(now)),
        // A sink remembers nothing and says yes to everything.
        None if id == SINK_REQUEST_ID => {
            let success = json!([{"requestStatus": "SUCCESS"}]);
            Reply::json(200, &json!({"requestStatusPerDestination": success}))
        }
        None => plain_refusal(404, "NOT_FOUND", "Resource not found.", own_id),
    }
}

fn unknown_parameter(name: &str) -> Wrong {
    let text = format!(
        "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' could \
         not be found in request message."
    );
    Wrong {
        path: String::new(),
        description: text.clone(),
        reason: text,
    }
}
