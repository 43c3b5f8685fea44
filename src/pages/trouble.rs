//! What a page cannot do, and says so.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::db::error::DatabaseError;

/// Why there is no page. Becomes JSON for tools and a page for browsers: see [`super::refused`].
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The request cannot be meant; the text says what would be right.
    Asked(String),
    /// There is no such thing; the text says what to try.
    Absent(String),
    /// The database did not answer, or not as it must.
    Database(anyhow::Error),
}

impl From<DatabaseError> for Trouble {
    fn from(error: DatabaseError) -> Trouble {
        Trouble::Database(error.into())
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
            Trouble::Absent(why) => super::refused(StatusCode::NOT_FOUND, why),
            Trouble::Database(error) => super::failed(&error),
        }
    }
}
