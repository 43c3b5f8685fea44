//! The API's errors: `GoogleAdsFailure` in the details of a `google.rpc.Status`, for a whole request and for rows
//! (`google/ads/googleads/v26/errors/errors.proto`). Not for deciding what is wrong.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::texts;
use crate::sandbox::exchange::{Arrived, Reply};
use crate::sandbox::google::error::GoogleError;

/// The `errorCode` key of click conversions.
pub(super) const UPLOAD: &str = "conversionUploadError";

/// The `errorCode` key of adjustments.
pub(super) const ADJUSTMENT: &str = "conversionAdjustmentUploadError";

/// One step of a field path.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    name: &'static str,
    index: Option<usize>,
}

/// Something that is wrong: a `GoogleAdsError`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flaw {
    /// The key of `errorCode`, in camelCase.
    key: String,
    /// The value of `errorCode`.
    value: String,
    /// Below the row, or below the request if it is about the whole request.
    path: Vec<Step>,
    /// What the field held. May be somebody's data: never for the ledger.
    trigger: Option<String>,
}

impl Flaw {
    pub(super) fn new(key: &str, value: &str) -> Flaw {
        Flaw {
            key: key.to_owned(),
            value: value.to_owned(),
            path: Vec::new(),
            trigger: None,
        }
    }

    /// Of a field that is missing.
    pub(super) fn required(field: &'static str) -> Flaw {
        Flaw::new("fieldError", "REQUIRED").at(field)
    }

    /// Of a field that must not be there.
    pub(super) fn must_be_unset(field: &'static str) -> Flaw {
        Flaw::new("fieldError", "VALUE_MUST_BE_UNSET").at(field)
    }

    /// Of a customer who may not do this.
    pub(super) fn not_allowlisted() -> Flaw {
        Flaw::coded(super::NOT_ALLOWLISTED)
    }

    /// Of a code in one text, such as `conversionUploadError.TOO_RECENT_EVENT`.
    pub(super) fn coded(code: &str) -> Flaw {
        let (key, value) = code.split_once('.').unwrap_or(("internalError", code));
        Flaw::new(key, value)
    }

    /// The same one step further down.
    pub(super) fn at(mut self, name: &'static str) -> Flaw {
        self.path.push(Step { name, index: None });
        self
    }

    /// The same one step further down, at an element of a list.
    pub(super) fn at_element(mut self, name: &'static str, index: usize) -> Flaw {
        let index = Some(index);
        self.path.push(Step { name, index });
        self
    }

    /// The same inside this field: one step in front of the path.
    pub(super) fn below(mut self, name: &'static str) -> Flaw {
        self.path.insert(0, Step { name, index: None });
        self
    }

    /// The same with the value that was wrong.
    pub(super) fn because_of(mut self, value: &str) -> Flaw {
        self.trigger = Some(value.to_owned());
        self
    }

    /// The code as the ledger shows it: `conversionUploadError.TOO_RECENT_EVENT`.
    pub(super) fn code(&self) -> String {
        format!("{}.{}", self.key, self.value)
    }

    /// Whether it says that the platform has this already.
    pub(super) fn is_repeat(&self) -> bool {
        matches!(
            self.value.as_str(),
            "ORDER_ID_ALREADY_IN_USE"
                | "CLICK_CONVERSION_ALREADY_EXISTS"
                | "CONVERSION_ALREADY_RETRACTED"
                | "RESTATEMENT_ALREADY_EXISTS"
                | "CONVERSION_ALREADY_ENHANCED"
        )
    }

    fn message(&self) -> &'static str {
        texts::of(&self.value)
    }

    /// The `GoogleAdsError`, with the row in front of the path.
    fn json(&self, row: Option<&Row<'_>>) -> Value {
        let first = row.map(|row| {
            let mut step = Map::from_iter([("fieldName".to_owned(), Value::from(row.list))]);
            if row.index > 0 || !row.omits_zero {
                step.insert("index".to_owned(), row.index.into());
            }
            Value::Object(step)
        });
        let below = self.path.iter().map(|step| match step.index {
            Some(index) => json!({"fieldName": step.name, "index": index}),
            None => json!({"fieldName": step.name}),
        });
        let path: Vec<Value> = first.into_iter().chain(below).collect();
        let mut error = Map::new();
        let mut code = Map::new();
        code.insert(self.key.clone(), self.value.clone().into());
        error.insert("errorCode".to_owned(), Value::Object(code));
        error.insert("message".to_owned(), self.message().into());
        if let Some(trigger) = &self.trigger {
            error.insert("trigger".to_owned(), json!({"stringValue": trigger}));
        }
        if !path.is_empty() {
            error.insert("location".to_owned(), json!({"fieldPathElements": path}));
        }
        Value::Object(error)
    }

    /// The field path in words: `conversions[1].gclid`.
    fn place(&self, list: &str, index: usize) -> String {
        let mut place = format!("{list}[{index}]");
        for step in &self.path {
            place.push('.');
            place.push_str(step.name);
            if let Some(index) = step.index {
                place.push_str(&format!("[{index}]"));
            }
        }
        place
    }
}

/// A row in a request.
struct Row<'a> {
    list: &'a str,
    index: usize,
    omits_zero: bool,
}

/// Who answers: the version and the id that go into every failure.
#[derive(Debug, Clone)]
pub(super) struct Answerer {
    version: String,
    request_id: String,
    /// Whether the index of row 0 is left out.
    omits_zero_index: bool,
}

impl Answerer {
    pub(super) fn of(arrived: &Arrived, omits_zero_index: bool) -> Answerer {
        let digest = Sha256::digest([arrived.path.as_bytes(), &arrived.body].concat());
        Answerer {
            version: super::call::version_in(&arrived.path).to_owned(),
            request_id: URL_SAFE_NO_PAD.encode(&digest[..16]),
            omits_zero_index,
        }
    }

    /// Without a request, for an answer that a fault rule gives.
    pub(super) fn scripted(path: &str) -> Answerer {
        Answerer {
            version: super::call::version_in(path).to_owned(),
            request_id: "sandbox-fault-rule-000".to_owned(),
            omits_zero_index: false,
        }
    }

    /// Refuses the whole request.
    pub(super) fn refuse(&self, status: u16, flaw: &Flaw) -> Reply {
        self.refuse_as(status, flaw.json(None))
    }

    /// Refuses for want of quota, until so many seconds have passed.
    pub(super) fn throttle(&self, seconds: u64) -> Reply {
        let mut error = Flaw::new("quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED").json(None);
        error["details"] = json!({"quotaErrorDetails": {"rateScope": "ACCOUNT",
            "rateName": "Requests per account", "retryDelay": format!("{seconds}s")}});
        self.refuse_as(429, error)
    }

    fn refuse_as(&self, status: u16, error: Value) -> Reply {
        GoogleError {
            details: vec![self.failure(vec![error])],
            ..GoogleError::new(status, texts::of_status(status))
        }
        .reply()
    }

    /// What goes into `partialFailureError` for the flaws of rows; none if no row has any.
    pub(super) fn partial_failure(&self, list: &str, rows: &[Vec<Flaw>]) -> Option<Value> {
        let flaws = rows.iter().enumerate();
        let flaws = flaws.flat_map(|(index, flaws)| flaws.iter().map(move |flaw| (index, flaw)));
        let flaws: Vec<(usize, &Flaw)> = flaws.collect();
        let (index, first) = flaws.first()?;
        let first = format!("{}, at {}", first.message(), first.place(list, *index));
        let message = match flaws.len() {
            1 => first,
            _ => format!("Multiple errors in ‘details’. First error: {first}"),
        };
        let omits_zero = self.omits_zero_index;
        let errors = flaws.iter().map(|(index, flaw)| {
            let index = *index;
            flaw.json(Some(&Row {
                list,
                index,
                omits_zero,
            }))
        });
        let failure = self.failure(errors.collect());
        // 3 is INVALID_ARGUMENT of google/rpc/code.proto.
        Some(json!({"code": 3, "message": message, "details": [failure]}))
    }

    /// A job id as the server picks it: at least 2^31.
    pub(super) fn job_id(&self) -> String {
        let digest = Sha256::digest(&self.request_id);
        let low = digest.iter().take(4);
        let low = low.fold(0_u64, |sum, byte| sum * 256 + u64::from(*byte));
        ((1_u64 << 31) + low).to_string()
    }

    fn failure(&self, errors: Vec<Value>) -> Value {
        let of_type = format!(
            "type.googleapis.com/google.ads.googleads.{}.errors.GoogleAdsFailure",
            self.version
        );
        json!({"@type": of_type, "errors": errors, "requestId": self.request_id})
    }
}
