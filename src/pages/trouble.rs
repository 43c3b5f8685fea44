//! What a page cannot do, and says so.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::admin::Counted;
use crate::db::error::DatabaseError;
use crate::operations::known::{KnownError, Unknown};
use crate::operations::run::RunError;

/// Why there is no page. Becomes JSON for tools and a page for browsers: see [`super::refused`].
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The request cannot be meant; the text says what would be right.
    Asked(String),
    /// There is no such thing; the text says what to try.
    Absent(String),
    /// Whoever asks may not do that; the text says who may.
    Forbidden(&'static str),
    /// A form that was not shown to whoever sends it; the text says what to do.
    Form(&'static str),
    /// The database did not answer, or not as it must.
    Database(anyhow::Error),
}

impl From<DatabaseError> for Trouble {
    fn from(error: DatabaseError) -> Trouble {
        Trouble::Database(error.into())
    }
}

impl From<KnownError> for Trouble {
    fn from(error: KnownError) -> Trouble {
        match error {
            KnownError::Unknown(unknown) => unknown.into(),
            KnownError::Database(error) => error.into(),
        }
    }
}

impl From<Unknown> for Trouble {
    fn from(unknown: Unknown) -> Trouble {
        Trouble::Absent(unknown.to_string())
    }
}

impl From<RunError> for Trouble {
    fn from(error: RunError) -> Trouble {
        match error {
            RunError::Unknown(unknown) => unknown.into(),
            RunError::Database(error) => error.into(),
        }
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Trouble {
        Trouble::Database(error.into())
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Trouble {
        Trouble::Database(error)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        match self {
            Trouble::Asked(why) => super::refused(StatusCode::BAD_REQUEST, why),
            Trouble::Forbidden(why) => super::refused(StatusCode::FORBIDDEN, why),
            Trouble::Form(why) => {
                let mut response = super::refused(StatusCode::FORBIDDEN, why);
                response.extensions_mut().insert(Counted("form"));
                response
            }
            Trouble::Absent(why) => super::refused(StatusCode::NOT_FOUND, why),
            Trouble::Database(error) if is_forbidden(&error) => super::refused(
                StatusCode::FORBIDDEN,
                "the listener's login may not see or do that: set admin.database_url to one with conversion_outbox_operator",
            ),
            Trouble::Database(error) => super::failed(&error),
        }
    }
}

/// Whether the login lacks a right: `insufficient_privilege` of PostgreSQL's manual, appendix A.
fn is_forbidden(error: &anyhow::Error) -> bool {
    let refused = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<DatabaseError>())
        .and_then(DatabaseError::code);
    refused == Some("42501")
}
