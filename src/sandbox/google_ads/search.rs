//! `googleAds:search` over conversion actions: which exist, what they take, whether they are enabled. Not for reading
//! queries. An empty part of an answer is left out, as proto JSON does it: no `results` means none.

use serde_json::{Map, Value, json};

use super::failure::{Answerer, Flaw};
use super::fields::text;
use super::messages;
use super::query::{Condition, Field, Query};
use crate::sandbox::exchange::{Arrived, Judgement, Reading, Reply};
use crate::sandbox::google::error::invalid_payload;
use crate::sandbox::google::proto_json;
use crate::sandbox::google::{self, ActionKind, ActionStatus, ConversionAction, Found};

/// Answers a search of a customer that may be asked.
pub(super) fn judge(
    arrived: &Arrived,
    reading: &Reading,
    customer: &str,
    world: &google::World,
    answerer: &Answerer,
) -> Judgement {
    let request = match proto_json::read(&messages::SEARCH, &arrived.body) {
        Ok(request) => request,
        Err(wrongs) => {
            let reply = invalid_payload(&wrongs);
            return Judgement::refused(reading, "INVALID_ARGUMENT: no such search", reply);
        }
    };
    match answer(&request, customer, world) {
        Ok(body) => Judgement::of_call(Reply::json(200, &body)),
        Err(flaw) => Judgement::refused(reading, &flaw.code(), answerer.refuse(400, &flaw)),
    }
}

fn answer(request: &Value, customer: &str, world: &google::World) -> Result<Value, Flaw> {
    if request.get("page_size").is_some() {
        return Err(Flaw::new("requestError", "PAGE_SIZE_NOT_SUPPORTED").at("page_size"));
    }
    if text(request, "page_token").is_some() {
        return Err(Flaw::new("requestError", "INVALID_PAGE_TOKEN").at("page_token"));
    }
    let query = text(request, "query")
        .ok_or_else(|| Flaw::new("requestError", "REQUIRED_FIELD_MISSING").at("query"))?;
    let query = Query::parse(query)?;
    if request["validate_only"] == true {
        return Ok(json!({}));
    }
    let actions = actions(&query, customer, world);
    let fits = |action: &ConversionAction| {
        let mut conditions = query.conditions.iter();
        conditions.all(|condition| holds(condition, action))
    };
    let most = query.limit.unwrap_or(usize::MAX);
    let found = actions.iter().filter(|action| fits(action)).take(most);
    let results: Vec<Value> = found
        .map(|action| json!({"conversionAction": shown(action, &query.selected)}))
        .collect();
    let paths = query.selected.iter().map(|field| field.json_name());
    let paths: Vec<String> = paths
        .map(|name| format!("conversionAction.{name}"))
        .collect();
    let mut body = Map::new();
    if !results.is_empty() {
        body.insert("results".to_owned(), results.into());
    }
    body.insert("fieldMask".to_owned(), paths.join(",").into());
    Ok(Value::Object(body))
}

/// Every action the customer uses. Where none is listed, every one exists that the query names by its id: it is
/// enabled and takes uploaded clicks.
fn actions(query: &Query, customer: &str, world: &google::World) -> Vec<ConversionAction> {
    let listed = world.actions().filter(|action| action.is_used_by(customer));
    let named = query.conditions.iter();
    let named = named.filter(|condition| condition.field == Field::Id && condition.is_among);
    let invented = named.flat_map(|condition| &condition.values);
    let invented = invented.filter(|id| world.action(id) == Found::AnyGoes);
    let invented =
        invented.map(|id| ConversionAction::upload_clicks(customer, id, Default::default()));
    listed.cloned().chain(invented).collect()
}

fn holds(condition: &Condition, action: &ConversionAction) -> bool {
    let value = value_of(action, condition.field);
    condition.values.contains(&value) == condition.is_among
}

/// The action with the selected fields; its resource name is always told.
fn shown(action: &ConversionAction, selected: &[Field]) -> Value {
    let fields = [Field::ResourceName].iter().chain(selected);
    let fields = fields.map(|field| {
        let value = value_of(action, *field);
        (field.json_name().to_owned(), Value::from(value))
    });
    Value::Object(fields.collect())
}

fn value_of(action: &ConversionAction, field: Field) -> String {
    match field {
        Field::ResourceName => {
            format!("customers/{}/conversionActions/{}", action.owner, action.id)
        }
        Field::Id => action.id.clone(),
        Field::Name => match &action.name {
            Some(name) => name.clone(),
            None => format!("Conversion action {}", action.id),
        },
        Field::Status => match action.status {
            ActionStatus::Enabled => "ENABLED",
            ActionStatus::Removed => "REMOVED",
            ActionStatus::Hidden => "HIDDEN",
        }
        .to_owned(),
        Field::Type => match action.kind {
            ActionKind::UploadClicks => "UPLOAD_CLICKS",
            ActionKind::Webpage => "WEBPAGE",
            ActionKind::UploadCalls => "UPLOAD_CALLS",
            ActionKind::StoreSales => "STORE_SALES",
        }
        .to_owned(),
    }
}
