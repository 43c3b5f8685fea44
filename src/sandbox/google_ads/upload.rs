//! What both uploads have in common: a list of rows, each judged by itself, and errors that name their rows. Not for
//! the rules of rows.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::failure::{Answerer, Flaw};
use super::fields;
use super::world::Customer;
use crate::sandbox::exchange::{Arrived, Judged, Judgement, Reading, Reply, Ruling};
use crate::sandbox::faults::Processing;
use crate::sandbox::google;
use crate::sandbox::google::error::invalid_payload;
use crate::sandbox::google::proto_json::{self, Message};

/// Most rows of one request.
const ROWS_MAX: usize = 2000;

/// One of the two uploads.
pub(super) struct Kind {
    pub(super) request: &'static Message,
    /// The field that holds the rows.
    pub(super) list: &'static str,
    /// The `errorCode` key of its own errors.
    pub(super) key: &'static str,
    /// What is said of more than 2000 rows.
    pub(super) too_many: &'static str,
    /// What a row may have only once in a request; none if it may be repeated.
    pub(super) identity: fn(&Value) -> Option<String>,
    pub(super) judge: fn(&mut Desk<'_>, &Value) -> Result<Taken, Rejection>,
}

/// A row that is good.
pub(super) struct Taken {
    pub(super) ruling: Ruling,
    /// What `results` says of it.
    pub(super) result: Value,
}

/// Why a row is not: one thing or several, and whether one of them is that it came before.
pub(super) struct Rejection {
    pub(super) flaws: Vec<Flaw>,
    /// What the ledger makes of it.
    pub(super) ruling: Ruling,
}

impl From<Vec<Flaw>> for Rejection {
    fn from(flaws: Vec<Flaw>) -> Rejection {
        let ruling = Ruling::Reject;
        Rejection { flaws, ruling }
    }
}

impl From<Flaw> for Rejection {
    fn from(flaw: Flaw) -> Rejection {
        vec![flaw].into()
    }
}

/// Where rows are judged, one after the other.
pub(super) struct Desk<'a> {
    pub(super) customer: &'a str,
    pub(super) world: &'a mut google::World,
    pub(super) now: DateTime<Utc>,
    /// Whether nothing is to be stored.
    pub(super) is_dry: bool,
    repeated: BTreeSet<String>,
}

impl Desk<'_> {
    /// The customer's switches; none if every customer is taken.
    pub(super) fn switches(&self) -> Option<&Customer> {
        self.world.ads.customer(self.customer)
    }

    /// Whether the request holds this row's identity more than once.
    pub(super) fn is_repeated(&self, identity: Option<&str>) -> bool {
        identity.is_some_and(|identity| self.repeated.contains(identity))
    }

    /// What is wrong with a customer that sends user data.
    pub(super) fn terms(&self, key: &str) -> Option<Flaw> {
        let refused = self.switches().is_some_and(|it| !it.terms_accepted);
        refused.then(|| Flaw::new(key, "CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS"))
    }
}

/// Judges an upload of a customer that may be asked.
pub(super) fn judge(
    kind: &Kind,
    arrived: &Arrived,
    reading: &Reading,
    world: &mut google::World,
    processing: &Processing,
    answerer: &Answerer,
    now: DateTime<Utc>,
) -> Judgement {
    let request = match proto_json::read(kind.request, &arrived.body) {
        Ok(request) => request,
        Err(wrongs) => {
            let reasons: Vec<&str> = wrongs.iter().map(|wrong| wrong.reason.as_str()).collect();
            return Judgement::refused(reading, &reasons.join("; "), invalid_payload(&wrongs));
        }
    };
    let rows = fields::list(&request, kind.list);
    if let Some(flaw) = flaw_of_request(kind, &request, rows.len()) {
        return Judgement::refused(reading, &flaw.code(), answerer.refuse(400, &flaw));
    }
    let is_dry = request["validate_only"] == true;
    let mut desk = Desk {
        customer: &reading.account,
        world,
        now,
        is_dry,
        repeated: repeated(rows.iter().filter_map(kind.identity)),
    };
    let outcomes =
        rows.iter()
            .enumerate()
            .map(|(index, row)| match processing.row_errors.get(&index) {
                Some(code) => Err(Flaw::coded(code).into()),
                None => (kind.judge)(&mut desk, row),
            });
    let outcomes: Vec<Result<Taken, Rejection>> = outcomes.collect();
    let job_id = request.get("job_id").map(|id| match id {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    answer(kind, outcomes, answerer, is_dry, job_id)
}

/// What is wrong with the request as a whole, in the order of its fields.
fn flaw_of_request(kind: &Kind, request: &Value, row_count: usize) -> Option<Flaw> {
    if row_count == 0 {
        Some(Flaw::new("requestError", "REQUIRED_FIELD_MISSING").at(kind.list))
    } else if row_count > ROWS_MAX {
        Some(Flaw::new(kind.key, kind.too_many).at(kind.list))
    } else if request["partial_failure"] != true {
        let value = "PARTIAL_FAILURE_MODE_REQUIRED";
        Some(Flaw::new("partialFailureError", value).at("partial_failure"))
    } else if request.get("job_id").is_some_and(|id| !is_job_id(id)) {
        Some(Flaw::new(kind.key, "INVALID_JOB_ID").at("job_id"))
    } else {
        None
    }
}

fn is_job_id(id: &Value) -> bool {
    let number = match id {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    number.is_some_and(|number: i64| number >= 1)
}

/// What occurs more than once.
fn repeated(identities: impl Iterator<Item = String>) -> BTreeSet<String> {
    let (mut seen, mut repeated) = (BTreeSet::new(), BTreeSet::new());
    for identity in identities {
        if !seen.insert(identity.clone()) {
            repeated.insert(identity);
        }
    }
    repeated
}

fn answer(
    kind: &Kind,
    outcomes: Vec<Result<Taken, Rejection>>,
    answerer: &Answerer,
    is_dry: bool,
    job_id: Option<String>,
) -> Judgement {
    let (mut judged, mut flaws, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for outcome in outcomes {
        let (ruling, of_row, result) = match outcome {
            Ok(_) if is_dry => (Ruling::Validate, Vec::new(), json!({})),
            Ok(taken) => (taken.ruling, Vec::new(), taken.result),
            Err(rejection) => (rejection.ruling, rejection.flaws, json!({})),
        };
        let codes: Vec<String> = of_row.iter().map(Flaw::code).collect();
        let reason = codes.join("; ");
        judged.push(Judged { ruling, reason });
        flaws.push(of_row);
        results.push(result);
    }
    let mut body = Map::new();
    if let Some(error) = answerer.partial_failure(kind.list, &flaws) {
        body.insert("partialFailureError".to_owned(), error);
    }
    if !is_dry {
        body.insert("results".to_owned(), results.into());
    }
    let job_id = job_id.unwrap_or_else(|| answerer.job_id());
    body.insert("jobId".to_owned(), job_id.into());
    Judgement {
        events: judged,
        refusal: None,
        reply: Reply::json(200, &Value::Object(body)),
    }
}
