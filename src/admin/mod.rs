//! The listener for people and their tools: what stands now, as pages ([`crate::pages`]) and as JSON, and what an operator
//! may do about it.
//!
//! On this machine unless `[admin]` says otherwise. Not for probes and metrics, which need no log-in and have a listener of
//! their own.

pub(crate) mod answer;
mod door;
pub(crate) mod form;
mod login;
mod origin;
mod session;
mod tries;

use anyhow::Context;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::status;
use crate::config::Config;
use crate::config::admin::AdminConfig;
use crate::config::database::DatabaseConfig;
use crate::db::connect::Database;
use crate::operations;
use crate::pages::params::Params;
use crate::pages::trouble::Trouble;
use crate::pages::{self, Desk};
use crate::telemetry::metrics::Metrics;
use crate::worker::clock::Clock;
use answer::{answer, failed, refused, wants_html};
use door::Door;
pub(crate) use door::{Counted, Visitor};

/// Bodies are short forms; what is longer than this is refused.
const BODY_MAX: usize = 8192;

/// What is said where a form does not carry the word that it was shown with.
pub(crate) const STALE: &str =
    "this form is too old, or of another session: nothing was done; open its page again";

/// The fields of a form that was sent, in the order of these names; empty where one is missing.
pub(crate) fn fields<const N: usize>(body: &[u8], names: [&str; N]) -> [String; N] {
    let find = |name: &str| {
        let mut sent = url::form_urlencoded::parse(body);
        sent.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    names.map(|name| find(name).unwrap_or_default())
}

/// Everything the listener answers. A secret that it needs must be readable now.
pub fn router(
    admin: &AdminConfig,
    config: &Config,
    metrics: &Metrics,
    clock: Clock,
) -> anyhow::Result<Router> {
    let login = DatabaseConfig {
        url: admin
            .database_url
            .as_ref()
            .unwrap_or(&config.database.url)
            .clone(),
        pool_size: 2,
        ..config.database.clone()
    };
    let database = Database::open(&login).context("admin.database_url")?;
    let desk = Desk::new(database, config, clock.clone());
    admin.check_token()?;
    let door = Door::open(admin.token.clone(), metrics.clone(), clock)?;
    let inside = Router::new()
        .route("/status", get(status))
        .route("/destinations", get(destinations))
        .route("/destinations/{name}/resume", post(resume))
        .merge(pages::router())
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn(pages::only_text))
        .layer(middleware::from_fn_with_state(door.clone(), door::enter))
        .with_state(desk.clone());
    Ok(inside
        .merge(login::router(door, desk.clone()))
        .layer(middleware::from_fn_with_state(desk, answer::dress))
        .merge(pages::assets::router()))
}

/// The same as `status --json`.
async fn status(State(desk): State<Desk>) -> Response<Body> {
    match standing(&desk.database).await {
        Ok(all) => answer(StatusCode::OK, &all),
        Err(error) => failed(&error),
    }
}

/// A page for browsers, JSON for everybody else.
async fn destinations(
    State(desk): State<Desk>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    params: Params,
) -> Response<Body> {
    if wants_html(&headers) {
        let page = pages::destinations::page(&desk, &visitor, params).await;
        return page.unwrap_or_else(IntoResponse::into_response);
    }
    match standing(&desk.database).await {
        Ok(all) => answer(StatusCode::OK, &all["destinations"]),
        Err(error) => failed(&error),
    }
}

async fn standing(database: &Database) -> anyhow::Result<Value> {
    status::json(database).await
}

#[derive(Deserialize)]
struct Of {
    /// Only this conversion action or rule; the destination and all of them without it.
    rule: Option<String>,
}

/// Lifts a hold after its cause was mended. With the token, or with a form that a page of ours showed to an operator: a page
/// in somebody's browser can send such a request too.
async fn resume(
    State(desk): State<Desk>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Query(Of { rule }): Query<Of>,
    body: Bytes,
) -> Response<Body> {
    match visitor {
        Visitor::WithToken => {}
        Visitor::Operator(_) => {
            let done = pages::destinations::resume(&desk, &visitor, name, &body).await;
            return done.unwrap_or_else(IntoResponse::into_response);
        }
        Visitor::OfThisMachine => {
            return refused(
                StatusCode::FORBIDDEN,
                "changes need a token: set admin.token and send it as Authorization: Bearer",
            );
        }
    }
    let reason = Some("resumed by the admin listener");
    match operations::destinations::resume(&desk.database, &name, rule.as_deref(), reason).await {
        Ok(resumed) => {
            tracing::info!(
                destination = name,
                "a hold was lifted by the admin listener"
            );
            answer(StatusCode::OK, &json!({ "resumed": resumed }))
        }
        Err(error) => Trouble::from(error).into_response(),
    }
}

async fn nowhere(headers: HeaderMap) -> Response<Body> {
    refused(
        StatusCode::NOT_FOUND,
        match wants_html(&headers) {
            true => "no page has this address: the overview leads to every page",
            false => {
                "for tools there is GET /status, GET /destinations and POST /destinations/{name}/resume; for people, the overview leads to every page"
            }
        },
    )
}

async fn not_so(method: Method) -> Response<Body> {
    refused(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not for this address: pages and states are read with GET"),
    )
}
