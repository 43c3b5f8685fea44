//! Style, script and mark of the pages: in the binary, at addresses that carry a hash of their content, so that a browser
//! may keep them for ever.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::get;
use sha2::{Digest, Sha256};

/// One file.
pub(crate) struct Asset {
    /// Where it is served.
    pub(crate) path: String,
    etag: String,
    content_type: &'static str,
    body: &'static str,
}

impl Asset {
    fn new(name: &str, content_type: &'static str, body: &'static str) -> Asset {
        let hash: String = Sha256::digest(body)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Asset {
            path: format!("/assets/{hash}/{name}"),
            etag: format!("\"{hash}\""),
            content_type,
            body,
        }
    }
}

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "style.css",
        "text/css; charset=utf-8",
        include_str!("style.css"),
    )
});

pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "script.js",
        "text/javascript; charset=utf-8",
        include_str!("script.js"),
    )
});

pub(crate) static MARK: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("mark.svg", "image/svg+xml", include_str!("mark.svg")));

/// The files, for everybody: they say nothing about anybody, and whoever has yet to log in needs them.
pub(crate) fn router() -> Router {
    [&STYLE, &SCRIPT, &MARK]
        .into_iter()
        .fold(Router::new(), |router, asset| {
            let asset: &'static Asset = asset;
            router.route(
                &asset.path,
                get(move |headers: HeaderMap| async move { serve(asset, &headers) }),
            )
        })
}

fn serve(asset: &'static Asset, headers: &HeaderMap) -> Response<Body> {
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim().trim_start_matches("W/") == asset.etag);
    let (status, body) = match known {
        true => (StatusCode::NOT_MODIFIED, ""),
        false => (StatusCode::OK, asset.body),
    };
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, asset.content_type)
        .header(header::CACHE_CONTROL, "public, max-age=31536000, immutable")
        .header(header::ETAG, &asset.etag)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        )
        .body(Body::from(body))
        .expect("fixed headers")
}
