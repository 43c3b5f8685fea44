//! What every page has around it: the way to its content and to the other pages, and when and by what it was made.

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use chrono::{DateTime, Utc};
use maud::DOCTYPE;

use super::assets::{MARK, SCRIPT, STYLE};
use super::html::{Markup, html, time};

/// What a page may load: its own files. Nothing is written into a page that a browser would run or style by.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The pages that can be gone to from everywhere, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Overview,
    Coverage,
    Reconciliation,
    Errors,
    DeadLetters,
    Events,
    Destinations,
}

impl Page {
    pub(crate) const ALL: [Page; 7] = [
        Page::Overview,
        Page::Coverage,
        Page::Reconciliation,
        Page::Errors,
        Page::DeadLetters,
        Page::Events,
        Page::Destinations,
    ];

    /// Where it is.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Page::Overview => "/",
            Page::Coverage => "/coverage",
            Page::Reconciliation => "/reconciliation",
            Page::Errors => "/errors",
            Page::DeadLetters => "/dead-letters",
            Page::Events => "/events",
            Page::Destinations => "/destinations",
        }
    }

    /// What it is called.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Page::Overview => "Overview",
            Page::Coverage => "Coverage",
            Page::Reconciliation => "Reconciliation",
            Page::Errors => "Errors",
            Page::DeadLetters => "Dead letters",
            Page::Events => "Events",
            Page::Destinations => "Destinations",
        }
    }
}

/// What all pages of a worker say of it.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// `telemetry.environment`.
    pub(crate) environment: Option<String>,
}

/// One page, without its frame.
pub(crate) struct Sheet {
    /// Which of the pages it belongs to; none for the likes of "there is nothing here".
    pub(crate) page: Option<Page>,
    /// The heading.
    pub(crate) title: String,
    /// How often a script may look whether something has changed, in seconds.
    pub(crate) refresh: Option<u32>,
    /// What stands below the heading.
    pub(crate) body: Markup,
}

impl Sheet {
    /// One of the pages, which keeps itself up to date.
    pub(crate) fn live(page: Page, body: Markup) -> Sheet {
        Sheet {
            page: Some(page),
            title: page.title().to_owned(),
            refresh: Some(15),
            body,
        }
    }
}

impl Frame {
    /// The whole document.
    pub(crate) fn document(&self, sheet: &Sheet, now: DateTime<Utc>) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (sheet.title) " – conversion-outbox" @if let Some(name) = &self.environment { " – " (name) } }
                    link rel="icon" type="image/svg+xml" href=(MARK.path);
                    link rel="stylesheet" href=(STYLE.path);
                    script src=(SCRIPT.path) defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        p.product {
                            a href="/" { "conversion-outbox" }
                            @if let Some(name) = &self.environment { " " span.environment { (name) } }
                        }
                        div.hands { p.operator { a href="/login" { "Operator" } } }
                        (navigation(sheet.page))
                    }
                    main id="main" tabindex="-1" data-refresh=[sheet.refresh] {
                        h1 { (sheet.title) }
                        (sheet.body)
                        p.made { "As of " (time(now)) }
                    }
                    footer.bottom {
                        p { "conversion-outbox " (env!("CARGO_PKG_VERSION")) ". All times and days are UTC." }
                    }
                }
            }
        }
    }

    /// The answer with this page.
    pub(crate) fn answer(
        &self,
        status: StatusCode,
        sheet: &Sheet,
        now: DateTime<Utc>,
    ) -> Response<Body> {
        Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::VARY, "accept")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::REFERRER_POLICY, "same-origin")
            .header("cross-origin-opener-policy", "same-origin")
            .header(header::X_FRAME_OPTIONS, "DENY")
            .header(header::CONTENT_SECURITY_POLICY, POLICY)
            .body(Body::from(self.document(sheet, now).into_string()))
            .expect("fixed headers")
    }
}

fn navigation(current: Option<Page>) -> Markup {
    html! {
        nav aria-label="Pages" {
            ul {
                @for page in Page::ALL {
                    li { a href=(page.path()) aria-current=[(current == Some(page)).then_some("page")] { (page.title()) } }
                }
            }
        }
    }
}
