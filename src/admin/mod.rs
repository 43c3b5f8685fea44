//! The listener for people and their tools: what stands now, as pages ([`crate::pages`]) and as JSON, and what an operator
//! may do about it.
//!
//! On this machine unless `[admin]` says otherwise. Not for probes and metrics, which need no log-in and have a listener of
//! their own.

pub(crate) mod answer;
mod door;
mod tries;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{Method, Response, StatusCode};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_postgres::types::{ToSql, Type};

use crate::cli::status;
use crate::config::Config;
use crate::config::admin::AdminConfig;
use crate::config::database::DatabaseConfig;
use crate::db::connect::Database;
use crate::pages::{self, Desk};
use crate::telemetry::metrics::Metrics;
use crate::worker::clock::Clock;
use answer::{answer, failed, refused};
use door::{Door, Visitor};

const RESUME: &str = include_str!("../../sql/queries/resume_by_hand.sql");

/// Bodies are not read; what is longer than this is refused.
const BODY_MAX: usize = 4096;

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
    let desk = Desk::new(database, config, clock);
    let door = Door::open(admin.token.clone(), metrics.clone())?;
    Ok(Router::new()
        .route("/status", get(status))
        .route("/destinations", get(destinations))
        .route("/destinations/{name}/resume", post(resume))
        .merge(pages::router())
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(door, door::enter))
        .layer(middleware::from_fn_with_state(desk.clone(), answer::dress))
        .with_state(desk)
        .merge(pages::assets::router()))
}

/// The same as `status --json`.
async fn status(State(desk): State<Desk>) -> Response<Body> {
    match standing(&desk.database).await {
        Ok(all) => answer(StatusCode::OK, &all),
        Err(error) => failed(&error),
    }
}

async fn destinations(State(desk): State<Desk>) -> Response<Body> {
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

/// Lifts a hold after its cause was mended. Only with the token: a page in somebody's browser can send such a request too.
async fn resume(
    State(desk): State<Desk>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Query(Of { rule }): Query<Of>,
) -> Response<Body> {
    if visitor != Visitor::WithToken {
        return refused(
            StatusCode::FORBIDDEN,
            "changes need a token: set admin.token and send it as Authorization: Bearer",
        );
    }
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&name, Type::TEXT),
        (&rule, Type::TEXT),
        (&"resumed by the admin listener", Type::TEXT),
    ];
    let rows = match desk.database.query(RESUME, &params).await {
        Ok(rows) => rows,
        // insufficient_privilege: PostgreSQL's manual, appendix A.
        Err(error) if error.code() == Some("42501") => {
            return refused(
                StatusCode::FORBIDDEN,
                "the listener's login may not lift holds: set admin.database_url to one with conversion_outbox_operator",
            );
        }
        Err(error) => return failed(&error.into()),
    };
    let said = |what: &str| rows.first().is_some_and(|row| row.get(what));
    if !said("known") {
        return refused(
            StatusCode::NOT_FOUND,
            "no worker has registered this destination",
        );
    }
    tracing::info!(
        destination = name,
        "a hold was lifted by the admin listener"
    );
    answer(StatusCode::OK, &json!({ "resumed": said("resumed") }))
}

async fn nowhere() -> Response<Body> {
    refused(
        StatusCode::NOT_FOUND,
        "for tools there is GET /status, GET /destinations and POST /destinations/{name}/resume; for people, the overview leads to every page",
    )
}

async fn not_so(method: Method) -> Response<Body> {
    refused(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not for this address: pages and states are read with GET"),
    )
}
