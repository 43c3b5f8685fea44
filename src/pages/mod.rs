//! The pages for people: what goes out, what does not, and why. Rendered here, readable without a script, and from sums
//! that are kept as work goes on, so that a page costs the same however much history there is.
//!
//! One file a page, each with its statements in `sql/pages/`; `frame` is what they have in common, `html` how they
//! write. They are served by the admin listener ([`crate::admin`]), which decides who may look.

pub(crate) mod assets;
mod audit;
pub(crate) mod charts;
mod coverage;
mod dead_letters;
pub(crate) mod destinations;
mod doing;
mod errors;
mod event;
pub(crate) mod frame;
pub(crate) mod html;
mod overview;
pub(crate) mod params;
mod reconciliation;
pub(crate) mod trouble;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use axum::middleware::Next;
use axum::routing::get;
use chrono::{DateTime, Utc};

use crate::admin::form::Forms;
use crate::config::Config;
use crate::db::connect::Database;
use crate::worker::clock::Clock;
use frame::{Frame, Page, Sheet};

pub(crate) use crate::admin::answer::{failed, refused};

/// What every page needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    /// With the listener's own login.
    pub(crate) database: Database,
    /// What this worker was told.
    pub(crate) config: Arc<Config>,
    /// What became of forms.
    pub(crate) forms: Forms,
    clock: Clock,
    frame: Arc<Frame>,
}

impl Desk {
    /// `database` is asked, `clock` is the worker's.
    pub(crate) fn new(database: Database, config: &Config, clock: Clock) -> Desk {
        let frame = Frame {
            environment: config.telemetry.environment.clone(),
        };
        Desk {
            database,
            config: Arc::new(config.clone()),
            forms: Forms::default(),
            clock,
            frame: Arc::new(frame),
        }
    }

    /// What time it is.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The answer with this page.
    pub(crate) fn show(&self, status: StatusCode, sheet: &Sheet) -> Response<Body> {
        self.frame.answer(status, sheet, self.now())
    }
}

/// All pages. Who may look is asked before.
pub(crate) fn router() -> Router<Desk> {
    Router::new()
        .merge(event::router())
        .merge(dead_letters::router())
        .merge(destinations::router())
        .merge(audit::router())
        .route(Page::Overview.path(), get(overview::page))
        .route(Page::Coverage.path(), get(coverage::page))
        .route(Page::Errors.path(), get(errors::page))
        .route("/reconciliation", get(reconciliation::show))
        .route(
            "/reconciliation/{entry}/{day}",
            get(reconciliation::show_day),
        )
}

/// PostgreSQL knows no text with a NUL in it, nor one that is not UTF-8, so nothing here has such a name.
pub(crate) async fn only_text(request: Request, next: Next) -> Response<Body> {
    match String::from_utf8(decoded(request.uri().path())) {
        Ok(path) if !path.contains('\0') => next.run(request).await,
        _ => refused(
            StatusCode::BAD_REQUEST,
            "the address is no text: nothing here is called so",
        ),
    }
}

/// The bytes that a path stands for; a % before anything but two hexadecimal digits stands for itself.
fn decoded(path: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits
            .filter(|_| *first == b'%')
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes
}
