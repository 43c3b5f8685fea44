//! Answers for tools, and what becomes of a refusal where a person looks: JSON for the one, a page for the other.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::Next;
use serde_json::{Value, json};

use super::origin::own_path;
use crate::db::error::DatabaseError;
use crate::pages::Desk;
use crate::pages::frame::Sheet;
use crate::pages::html::{html, sentence};

/// Why there is nothing else to see; travels with the answer until it is known who reads it.
#[derive(Clone, Debug)]
struct Refused(String);

/// Never stored, never read as anything but JSON, and for no other site: there are no CORS headers.
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::VARY, "accept")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        )
        .body(Body::from(format!("{body}\n")))
        .expect("fixed headers")
}

/// Go there with GET: how a form that did something ends, so that loading its page again does nothing.
pub(crate) fn moved(address: &str) -> Response<Body> {
    let mut response = answer(StatusCode::SEE_OTHER, &json!({ "see": address }));
    let to = HeaderValue::from_str(address).expect("addresses of ours are encoded");
    response.headers_mut().insert(header::LOCATION, to);
    response
}

/// There is no answer; `why` says what to do. A browser gets it as a page: see [`dress`].
pub(crate) fn refused(status: StatusCode, why: impl Into<String>) -> Response<Body> {
    let why = why.into();
    let mut response = answer(status, &json!({ "error": why }));
    response.extensions_mut().insert(Refused(why));
    response
}

/// The database's own words stay in the log.
pub(crate) fn failed(error: &anyhow::Error) -> Response<Body> {
    tracing::warn!(
        error = format!("{error:#}"),
        "the admin listener cannot ask the database"
    );
    let why = match error
        .chain()
        .find_map(|cause| cause.downcast_ref::<DatabaseError>())
        .and_then(DatabaseError::code)
    {
        // Tables, columns or functions are not there.
        Some("42P01" | "42703" | "42883" | "3F000") => {
            "the database's schema is not of this version: run conversion-outbox migrate up"
        }
        // Locks, time and connections: PostgreSQL's manual, appendix A.
        Some("55P03" | "57014" | "40P01" | "53300" | "53400") => {
            "the database is too busy to answer in time: try again in a moment; if it lasts, see what it waits for in pg_stat_activity"
        }
        Some("57P01" | "57P02" | "57P03" | "25006") => {
            "the database is starting, stopping or read-only: try again in a moment"
        }
        None => {
            "the database does not answer: see that it runs; the worker's log says how it was asked"
        }
        Some(_) => "the database cannot say: the worker's log has its words",
    };
    refused(StatusCode::SERVICE_UNAVAILABLE, why)
}

/// Turns a refusal into a page where a browser asked. Lies around everything else, so that all refusals look alike.
pub(super) async fn dress(
    State(desk): State<Desk>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let is_browser = wants_html(request.headers());
    let asked = request.uri().path_and_query().map(ToString::to_string);
    let again = asked.filter(|_| request.method() == Method::GET);
    let mut plain = next.run(request).await;
    let Some(Refused(why)) = plain.extensions_mut().remove() else {
        return plain;
    };
    if !is_browser {
        return plain;
    }
    let mut page = desk.show(
        plain.status(),
        &sheet(plain.status(), &why, again.as_deref()),
    );
    for (name, value) in plain.headers() {
        if !page.headers().contains_key(name) && name != header::CONTENT_LENGTH {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

/// `again` is what was asked for: what is not there now may be there later.
fn sheet(status: StatusCode, why: &str, again: Option<&str>) -> Sheet {
    let title = match status {
        StatusCode::BAD_REQUEST => "This cannot be shown",
        StatusCode::UNAUTHORIZED => "Who are you?",
        StatusCode::FORBIDDEN => "Not from here",
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::METHOD_NOT_ALLOWED => "That is not done here",
        StatusCode::TOO_MANY_REQUESTS => "Too often",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        _ => "That did not work",
    };
    Sheet {
        page: None,
        title: title.to_owned(),
        refresh: None,
        body: html! {
            p.lead { (sentence(why)) }
            p.row {
                @if let Some(again) = again.filter(|_| status == StatusCode::SERVICE_UNAVAILABLE).map(own_path) { a.button href=(again) { "Try again" } " " }
                a.button href="/" { "Go to the overview" }
            }
        },
    }
}

/// Whether the request names `text/html`, and nothing of JSON that it would rather have (RFC 9110, section 12.5.1).
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let (mut html, mut json) = (0.0, 0.0);
    for range in accepted {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")))
            .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        match kind.as_str() {
            "text/html" => html = weight,
            "application/json" => json = weight,
            _ => {}
        }
    }
    html > 0.0_f32 && html >= json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_name_html_and_tools_do_not() {
        let asks = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a header"));
            wants_html(&headers)
        };
        assert!(asks(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        ));
        assert!(asks("Text/HTML ; q=0.5"));
        assert!(!asks("*/*"));
        assert!(!asks("application/json, text/html;q=0.9"));
        assert!(!asks("text/html;q=0"));
        assert!(!asks("text/html;q=x"));
        assert!(!wants_html(&HeaderMap::new()));
    }
}
