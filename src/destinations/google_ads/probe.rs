//! Asking the Google Ads API about conversion actions, and whether it would take an upload, without telling it anything.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use url::Url;

use super::super::google::probe::{MARK, Sample, email};
use super::super::{Credential, HttpRequest, Item, Reply, address};
use super::{CLICK, Settings, classify, for_manager, request, time};
use crate::outcome::Answer;

/// A conversion action as the API lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Its id: digits.
    pub id: String,
    /// `ENABLED`, `REMOVED` or `HIDDEN`.
    pub status: String,
    /// What it takes, such as `UPLOAD_CLICKS`.
    pub kind: String,
}

/// `POST /{version}/customers/{customer_id}/googleAds:search` for these actions, by their ids: digits, at least one.
/// Source: google.ads.googleads.v26, `GoogleAdsService.Search`; `…/docs/query/grammar`.
pub fn search_actions(settings: &Settings, base_url: &Url, ids: &[&str]) -> HttpRequest {
    let query = format!(
        "SELECT conversion_action.id, conversion_action.status, conversion_action.type FROM conversion_action \
         WHERE conversion_action.id IN ({})",
        ids.join(", ")
    );
    let path = format!(
        "/{}/customers/{}/googleAds:search",
        settings.api_version, settings.customer_id
    );
    let body = json!({ "query": query }).to_string();
    let request = HttpRequest::post(address(base_url, &path), Credential::Bearer, body);
    for_manager(settings, request)
}

/// The actions of an answer with 2xx. Nothing where it is no such answer; where none was found, Google leaves the list out.
pub fn read_actions(reply: &Reply) -> Option<Vec<Action>> {
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    let empty = Vec::new();
    let rows = match body.as_object()?.get("results") {
        Some(rows) => rows.as_array()?,
        None => &empty,
    };
    let action = |row: &Value| {
        let action = &row["conversionAction"];
        let text = |key: &str| action[key].as_str().map(str::to_owned);
        Some(Action {
            id: text("id")?,
            status: text("status").unwrap_or_default(),
            kind: text("type").unwrap_or_default(),
        })
    };
    rows.iter().map(action).collect()
}

/// What an answer to [`search_actions`] says that is no list.
pub fn classify_search(settings: &Settings, reply: &Reply) -> Answer {
    classify(settings, reply, &[])
}

/// A conversion of nobody for one action, to be validated only. Source: google.ads.googleads.v26,
/// `UploadClickConversionsRequest.validate_only`.
pub fn probe(
    settings: &Settings,
    base_url: &Url,
    action: &str,
    sample: Sample,
    now: DateTime<Utc>,
) -> HttpRequest {
    let mut row = json!({
        "conversionAction": format!("customers/{}/conversionActions/{action}", settings.customer_id),
        "orderId": MARK,
        "conversionDateTime": time(now),
    });
    match sample {
        Sample::Email => {
            row["userIdentifiers"] =
                json!([{ "userIdentifierSource": "FIRST_PARTY", "hashedEmail": email() }]);
        }
        Sample::Click => row["gclid"] = MARK.into(),
    }
    let item = Item::new(row.to_string()).of(CLICK, action);
    request(&validating(settings), base_url, &[&item])
}

/// What the answer to [`probe`] says.
pub fn classify_probe(settings: &Settings, reply: &Reply) -> Answer {
    let item = Item::new("{}".to_owned());
    classify(&validating(settings), reply, &[&item])
}

fn validating(settings: &Settings) -> Settings {
    Settings {
        validate_only: true,
        ..settings.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_and_none_is_an_answer_too() {
        let read = |body: &str| {
            read_actions(&Reply {
                status: 200,
                headers: Vec::new(),
                body: body.as_bytes().to_vec(),
            })
        };
        let one = r#"{"results":[{"conversionAction":{"resourceName":"customers/1/conversionActions/7","id":"7",
            "status":"ENABLED","type":"UPLOAD_CLICKS"}}],"fieldMask":"conversionAction.id"}"#;
        let action = Action {
            id: "7".to_owned(),
            status: "ENABLED".to_owned(),
            kind: "UPLOAD_CLICKS".to_owned(),
        };
        assert_eq!(read(one), Some(vec![action]));
        assert_eq!(read(r#"{"fieldMask":""}"#), Some(Vec::new()));
        for body in ["", "[]", r#"{"results":{}}"#, r#"{"results":[{}]}"#] {
            assert_eq!(read(body), None, "{body}");
        }
    }
}
