//! The headers of Rest.li that say how a request is to be read. Not for version and token.

use axum::http::header;

use super::world::Mode;
use crate::sandbox::exchange::Arrived;

/// Whether the request speaks Rest.li 2.0.0. Documented as a must; calls without the header were measured to pass, so
/// only the strict mode refuses them. The error says what must be.
pub(super) fn protocol(arrived: &Arrived, mode: Mode) -> Result<(), &'static str> {
    match (text(arrived, "x-restli-protocol-version"), mode) {
        (Some("2.0.0"), _) | (None, Mode::Observed) => Ok(()),
        _ => Err("X-Restli-Protocol-Version: 2.0.0 must be passed as a request header"),
    }
}

/// Whether the request is a batch; the error says what must be.
pub(super) fn is_batch(arrived: &Arrived) -> Result<bool, &'static str> {
    match text(arrived, "x-restli-method") {
        None | Some("CREATE") => Ok(false),
        Some("BATCH_CREATE") => Ok(true),
        Some(_) => Err("X-RestLi-Method must be BATCH_CREATE for a batch, and absent otherwise"),
    }
}

/// Whether the body is declared as JSON.
pub(super) fn is_json(arrived: &Arrived) -> bool {
    let declared = text(arrived, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = declared.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn text<'a>(arrived: &'a Arrived, name: &str) -> Option<&'a str> {
    let value = arrived.headers.get(name)?;
    Some(value.to_str().unwrap_or_default())
}
