//! The listener for people and their tools: what stands now as JSON, and what an operator may do about it.
//!
//! Off unless `[admin]` is in the configuration. Not for probes and metrics, which need no log-in and have a listener of
//! their own.

mod door;
mod tries;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{Response, StatusCode, header};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_postgres::types::{ToSql, Type};

use crate::cli::status;
use crate::config::admin::AdminConfig;
use crate::config::database::DatabaseConfig;
use crate::db::connect::Database;
use crate::telemetry::metrics::Metrics;
use door::{Door, Visitor};

const RESUME: &str = include_str!("../../sql/queries/resume_by_hand.sql");

/// Bodies are not read; what is longer than this is refused.
const BODY_MAX: usize = 4096;

/// Everything the listener answers. A secret that it needs must be readable now.
pub fn router(
    config: &AdminConfig,
    database: &DatabaseConfig,
    metrics: &Metrics,
) -> anyhow::Result<Router> {
    let login = DatabaseConfig {
        url: config
            .database_url
            .as_ref()
            .unwrap_or(&database.url)
            .clone(),
        pool_size: 2,
        ..database.clone()
    };
    let database = Database::open(&login).context("admin.database_url")?;
    let door = Door::open(config.token.clone(), metrics.clone())?;
    Ok(Router::new()
        .route("/status", get(status))
        .route("/destinations", get(destinations))
        .route("/destinations/{name}/resume", post(resume))
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(door, door::enter))
        .with_state(database))
}

/// The same as `status --json`.
async fn status(State(database): State<Database>) -> Response<Body> {
    standing(&database)
        .await
        .map_or_else(failed, |all| answer(StatusCode::OK, &all))
}

async fn destinations(State(database): State<Database>) -> Response<Body> {
    standing(&database)
        .await
        .map_or_else(failed, |all| answer(StatusCode::OK, &all["destinations"]))
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
    State(database): State<Database>,
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
    let rows = match database.query(RESUME, &params).await {
        Ok(rows) => rows,
        // insufficient_privilege: PostgreSQL's manual, appendix A.
        Err(error) if error.code() == Some("42501") => {
            return refused(
                StatusCode::FORBIDDEN,
                "the listener's login may not lift holds: set admin.database_url to one with conversion_outbox_operator",
            );
        }
        Err(error) => return failed(error.into()),
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
        "there is GET /status, GET /destinations and POST /destinations/{name}/resume",
    )
}

/// The database's own words stay in the log.
fn failed(error: anyhow::Error) -> Response<Body> {
    tracing::warn!(
        error = format!("{error:#}"),
        "the admin listener cannot ask the database"
    );
    refused(
        StatusCode::SERVICE_UNAVAILABLE,
        "the database does not answer: see the worker's log",
    )
}

fn refused(status: StatusCode, why: &str) -> Response<Body> {
    answer(status, &json!({ "error": why }))
}

/// Never stored, never read as anything but JSON, and for no other site: there are no CORS headers.
fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        )
        .body(Body::from(format!("{body}\n")))
        .expect("fixed headers")
}
