//! The sandbox's own HTTP API below `/_sandbox/`: what arrived, faults, accounts, clock. Not a platform.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State as Shared};
use axum::http::Response;
use axum::routing::{get, post, put};
use chrono::{SecondsFormat, TimeDelta};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::accounts::Account;
use super::exchange::{Platform, Reply};
use super::faults::Fault;
use super::report::{self, Filter};
use super::state::State;
use super::{BrowserEvent, record_browser};

type Answer = Result<Reply, Reply>;

/// Routes of the API.
pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/_sandbox/events", get(events).delete(reset))
        .route("/_sandbox/summary", get(summary))
        .route("/_sandbox/conversions", get(conversions))
        .route("/_sandbox/browser", post(browser))
        .route(
            "/_sandbox/faults",
            get(list_faults).post(add_fault).delete(clear_faults),
        )
        .route("/_sandbox/faults/{id}", axum::routing::delete(remove_fault))
        .route("/_sandbox/faults/{id}/release", post(release_fault))
        .route("/_sandbox/accounts", get(list_accounts))
        .route(
            "/_sandbox/accounts/{platform}/{id}",
            put(put_account).delete(remove_account),
        )
        .route("/_sandbox/google", get(show_google).post(set_up_google))
        .route(
            "/_sandbox/google/tokens",
            axum::routing::delete(revoke_google_tokens),
        )
        .route(
            "/_sandbox/linkedin",
            get(show_linkedin).post(set_up_linkedin),
        )
        .route(
            "/_sandbox/linkedin/tokens",
            axum::routing::delete(revoke_linkedin_tokens),
        )
        .route("/_sandbox/reports", put(set_up_reports))
        .route("/_sandbox/clock", get(clock).put(set_clock))
}

async fn events(
    Shared(state): Shared<Arc<State>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response<Body> {
    finish(Filter::parse(&pairs).map_err(bad_request).map(|filter| {
        let rows = state.read(|ledger| report::events(ledger, &filter));
        Reply::json(200, &Value::Array(rows))
    }))
}

async fn reset(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    state.reset();
    Reply::empty(204).into_response()
}

async fn summary(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    Reply::json(200, &report::summary(&state)).into_response()
}

async fn conversions(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    Reply::json(200, &state.read(report::conversions)).into_response()
}

async fn browser(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response<Body> {
    finish(read::<BrowserEvent>(&body).map(|event| {
        let verdict = record_browser(&state, event);
        Reply::json(200, &json!({"verdict": verdict}))
    }))
}

async fn list_faults(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    Reply::json(200, &json!(state.faults().list())).into_response()
}

async fn add_fault(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response<Body> {
    let added =
        read::<Fault>(&body).and_then(|fault| state.faults().add(fault).map_err(bad_request));
    finish(added.map(|id| Reply::json(201, &json!({"id": id}))))
}

async fn clear_faults(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    state.faults().clear();
    Reply::empty(204).into_response()
}

async fn remove_fault(Shared(state): Shared<Arc<State>>, Path(id): Path<u64>) -> Response<Body> {
    done(
        state.faults().remove(id),
        "no fault rule has this id; GET /_sandbox/faults lists them",
    )
}

async fn release_fault(Shared(state): Shared<Arc<State>>, Path(id): Path<u64>) -> Response<Body> {
    done(
        state.faults().release(id),
        "no fault rule has this id; GET /_sandbox/faults lists them",
    )
}

/// Accounts with the number of their tokens; tokens are never shown.
async fn list_accounts(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    let accounts = state.accounts();
    let list = accounts
        .list()
        .map(|(platform, id, count)| json!({"platform": platform, "account": id, "tokens": count}));
    Reply::json(200, &Value::Array(list.collect())).into_response()
}

async fn put_account(
    Shared(state): Shared<Arc<State>>,
    Path((platform, id)): Path<(String, String)>,
    body: Bytes,
) -> Response<Body> {
    let account =
        with_accounts(&platform).and_then(|platform| Ok((platform, read::<Account>(&body)?)));
    finish(account.map(|(platform, account)| {
        state.accounts().put(platform, id, account);
        Reply::empty(204)
    }))
}

async fn remove_account(
    Shared(state): Shared<Arc<State>>,
    Path((platform, id)): Path<(String, String)>,
) -> Response<Body> {
    match named(&platform) {
        Ok(platform) => done(
            state.accounts().remove(platform, &id),
            "no such account is listed",
        ),
        Err(reply) => reply.into_response(),
    }
}

/// What Google knows, in numbers.
async fn show_google(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    Reply::json(200, &state.worlds().google.show()).into_response()
}

/// Adds to what Google knows.
async fn set_up_google(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response<Body> {
    let set_up = |setup| state.worlds().google.set_up(setup).map_err(bad_request);
    finish(read(&body).and_then(set_up).map(|()| Reply::empty(204)))
}

/// Takes all of Google's access tokens back.
async fn revoke_google_tokens(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    state.worlds().google.revoke_access_tokens();
    Reply::empty(204).into_response()
}

/// What LinkedIn knows, in numbers.
async fn show_linkedin(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    Reply::json(200, &state.worlds().linkedin.show()).into_response()
}

/// Adds to what LinkedIn knows.
async fn set_up_linkedin(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response<Body> {
    let set_up = |setup| state.worlds().linkedin.set_up(setup).map_err(bad_request);
    finish(read(&body).and_then(set_up).map(|()| Reply::empty(204)))
}

/// Takes all of LinkedIn's access tokens back.
async fn revoke_linkedin_tokens(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    state.worlds().linkedin.revoke_access_tokens();
    Reply::empty(204).into_response()
}

/// Says how reports stand to what was counted; what is left out is as at the start.
async fn set_up_reports(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response<Body> {
    let set_up = |settings| state.worlds().reporting.set_up(settings);
    finish(read(&body).map(set_up).map(|()| Reply::empty(204)))
}

async fn clock(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    clock_reply(&state).into_response()
}

/// `{"offset_secs": n}`: how far the sandbox's clock stands from the system's.
async fn set_clock(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response<Body> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Setting {
        offset_secs: i32,
    }
    finish(read::<Setting>(&body).map(|setting| {
        state
            .clock
            .set_offset(TimeDelta::seconds(setting.offset_secs.into()));
        clock_reply(&state)
    }))
}

fn clock_reply(state: &State) -> Reply {
    let now = state
        .clock
        .now()
        .to_rfc3339_opts(SecondsFormat::Millis, true);
    Reply::json(
        200,
        &json!({"now": now, "offset_secs": state.clock.offset().num_seconds()}),
    )
}

fn finish(answer: Answer) -> Response<Body> {
    answer.unwrap_or_else(|refusal| refusal).into_response()
}

fn done(found: bool, advice: &str) -> Response<Body> {
    let reply = if found {
        Reply::empty(204)
    } else {
        Reply::json(404, &json!({"error": advice}))
    };
    reply.into_response()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Reply> {
    serde_json::from_slice(body).map_err(bad_request)
}

fn named(platform: &str) -> Result<Platform, Reply> {
    Platform::named(platform).ok_or_else(|| {
        bad_request(format!(
            "the platform must be one of: {}",
            Platform::texts()
        ))
    })
}

/// A platform whose accounts and tokens are listed. Google's tokens come from its token endpoint.
fn with_accounts(platform: &str) -> Result<Platform, Reply> {
    match named(platform)? {
        Platform::GoogleDataManager | Platform::GoogleAds => Err(bad_request(
            "Google's credentials and conversion actions are set up with POST /_sandbox/google",
        )),
        platform => Ok(platform),
    }
}

fn bad_request(why: impl std::fmt::Display) -> Reply {
    Reply::json(400, &json!({"error": why.to_string()}))
}
