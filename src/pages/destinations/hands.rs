//! What an operator does to a destination: pause it or a rule of it, let it go on, and ask its platform whether it would take
//! events.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use axum::{Extension, Router};

use crate::admin::form::{Done, Operator};
use crate::admin::{Visitor, fields};
use crate::config::destination::DestinationConfig;
use crate::doctor::{self, Check, Scope, Verdict, test_event};
use crate::operations::{destinations, known};
use crate::pages::frame::{Page, Sheet};
use crate::pages::html::{Markup, Tone, address, badge, choice, html, name, notice};
use crate::pages::params::Params;
use crate::pages::trouble::Trouble;
use crate::pages::{Desk, doing};
use crate::send::Sender;

pub(super) fn router() -> Router<Desk> {
    Router::new()
        .route("/destinations/{name}/pause", get(look_at_pause).post(pause))
        // Tools ask for it at the same address: see `crate::admin`.
        .route("/destinations/{name}/resume", get(look_at_resume))
        .route("/destinations/{name}/test", get(look_at_test).post(test))
}

/// Where something is done to a destination. A name has letters, digits, - and _ only.
pub(super) fn address_of(destination: &str, what: &str, rule: Option<&str>) -> String {
    let path = format!("/destinations/{destination}/{what}");
    address(&path, &[("rule", rule.unwrap_or_default())])
}

fn page(title: String, body: Markup) -> Sheet {
    Sheet {
        page: Some(Page::Destinations),
        title,
        refresh: None,
        body: html! { (body) p { a href="/destinations" { "Back to the destinations" } } },
    }
}

fn configured<'d>(desk: &'d Desk, name: &str) -> Option<&'d DestinationConfig> {
    desk.config.destinations.iter().find(|one| one.name == name)
}

// --- pause ---

async fn look_at_pause(
    State(desk): State<Desk>,
    Extension(visitor): Extension<Visitor>,
    Path(destination): Path<String>,
    params: Params,
) -> Result<Response<Body>, Trouble> {
    let [rule] = params.only(["rule"])?;
    known::destination(&desk.database, &destination).await?;
    let operator = doing::must_be_operator(&visitor)?;
    let rules = configured(&desk, &destination)
        .map(known::rules_of)
        .unwrap_or_default();
    let whole = (String::new(), "The whole destination".to_owned());
    let rules = rules
        .into_iter()
        .map(|rule| (rule.clone(), format!("Only {rule}")));
    let options: Vec<(String, String)> = std::iter::once(whole).chain(rules).collect();
    let path = address_of(&destination, "pause", None);
    let more = html! {
        @if options.len() > 1 { (choice("rule", "What", &options, rule.as_deref().unwrap_or_default())) }
        (doing::why())
    };
    let body = html! {
        p.lead { "Send nothing to " (name(&destination)) " until somebody resumes it." }
        p { "Nothing is lost and no attempt is used up. Every worker obeys within about a second; requests under way end. What is older than the platform takes when it is resumed expires." }
        (doing::confirmation(operator, &desk, (&path, &path), ("danger", "Pause"), &more))
    };
    Ok(desk.show(StatusCode::OK, &page("Pause".to_owned(), body)))
}

async fn pause(
    State(desk): State<Desk>,
    Extension(visitor): Extension<Visitor>,
    Path(destination): Path<String>,
    body: Bytes,
) -> Result<Response<Body>, Trouble> {
    let [word, rule, why] = fields(&body, ["form", "rule", "reason"]);
    let purpose = address_of(&destination, "pause", None);
    let form = doing::form(&visitor, &purpose, &word, &desk)?;
    let reason = doing::reason(&why, &form)?;
    let rule = Some(rule).filter(|rule| !rule.is_empty());
    if let Some(rule) = &rule {
        known::rule(&desk.config.destinations, &destination, rule)?;
    }
    let database = desk.database.clone();
    doing::once_and_see(&desk, form, async move {
        if doing::audited(&database, "pause", &reason).await?.is_none() {
            destinations::pause(&database, &destination, rule.as_deref(), &reason).await?;
        }
        let number = doing::audited(&database, "pause", &reason).await?;
        Ok(Done::See(
            number.map_or("/destinations".to_owned(), doing::told_at),
        ))
    })
    .await
}

// --- resume ---

async fn look_at_resume(
    State(desk): State<Desk>,
    Extension(visitor): Extension<Visitor>,
    Path(destination): Path<String>,
    params: Params,
) -> Result<Response<Body>, Trouble> {
    let [rule] = params.only(["rule"])?;
    known::destination(&desk.database, &destination).await?;
    let operator = doing::must_be_operator(&visitor)?;
    let path = address_of(&destination, "resume", None);
    let more = html! {
        @if let Some(rule) = &rule { input type="hidden" name="rule" value=(rule); }
        (doing::why())
    };
    let body = html! {
        p.lead {
            @match &rule {
                Some(rule) => { "Let rule " (name(rule)) " of " (name(&destination)) " go on." }
                None => { "Let " (name(&destination)) " and all its rules go on." }
            }
        }
        p { "A pause ends. A hold is lifted: if its cause is not mended, the next request brings it back." }
        (doing::confirmation(operator, &desk, (&path, &path), ("primary", "Resume"), &more))
    };
    Ok(desk.show(StatusCode::OK, &page("Resume".to_owned(), body)))
}

/// The form's way of resuming; tools have their own.
pub(crate) async fn resume(
    desk: &Desk,
    visitor: &Visitor,
    destination: String,
    body: &[u8],
) -> Result<Response<Body>, Trouble> {
    let [word, rule, why] = fields(body, ["form", "rule", "reason"]);
    let purpose = address_of(&destination, "resume", None);
    let form = doing::form(visitor, &purpose, &word, desk)?;
    let reason = doing::reason(&why, &form)?;
    let rule = Some(rule).filter(|rule| !rule.is_empty());
    let database = desk.database.clone();
    doing::once_and_see(desk, form, async move {
        if doing::audited(&database, "resume", &reason)
            .await?
            .is_none()
        {
            destinations::resume(&database, &destination, rule.as_deref(), Some(&reason)).await?;
        }
        let number = doing::audited(&database, "resume", &reason).await?;
        // Somebody was faster: the page says who.
        let as_it_is = address("/destinations", &[("destination", &destination)]);
        Ok(Done::See(number.map_or(as_it_is, doing::told_at)))
    })
    .await
}

// --- test ---

async fn look_at_test(
    State(desk): State<Desk>,
    Extension(visitor): Extension<Visitor>,
    Path(destination): Path<String>,
) -> Result<Response<Body>, Trouble> {
    let config = to_test(&desk, &destination)?;
    let operator = doing::must_be_operator(&visitor)?;
    let body = test_form(&desk, operator, config);
    Ok(desk.show(StatusCode::OK, &page("Test".to_owned(), body)))
}

fn to_test<'d>(desk: &'d Desk, destination: &str) -> Result<&'d DestinationConfig, Trouble> {
    configured(desk, destination).ok_or_else(|| {
        Trouble::Absent(
            "this worker's configuration has no such destination: test it where it is configured"
                .to_owned(),
        )
    })
}

fn test_form(desk: &Desk, operator: &Operator, config: &DestinationConfig) -> Markup {
    let path = address_of(&config.name, "test", None);
    let more = html! {
        (notice(Tone::Warn, &html! {
            p { "On request only: " (test_event::warning(config)) "." }
            label.check { input type="checkbox" name="send" value="1"; " If all else is well, send it. I know that it counts." }
        }))
    };
    html! {
        p.lead { "Ask the platform whether it would take events for " (name(&config.name)) "." }
        p { "Exactly this is sent, to " code { (config.base_url.host_str().unwrap_or_default()) } ":" }
        ul { @for one in doctor::asked(config) { li { (one) } } }
        p { "Nothing of it is counted." }
        (doing::confirmation(operator, desk, (&path, &path), ("primary", "Test"), &more))
    }
}

async fn test(
    State(desk): State<Desk>,
    Extension(visitor): Extension<Visitor>,
    Path(destination): Path<String>,
    body: Bytes,
) -> Result<Response<Body>, Trouble> {
    let [word, send] = fields(&body, ["form", "send"]);
    to_test(&desk, &destination)?;
    let purpose = address_of(&destination, "test", None);
    let form = doing::form(&visitor, &purpose, &word, &desk)?;
    let (config, now, only) = (desk.config.clone(), desk.now(), destination.clone());
    let is_real = send == "1";
    let work = async move {
        let sender = Sender::new().map_err(anyhow::Error::from)?;
        let scope = Scope {
            database: false,
            online: Some(&sender),
            only: Some(&only),
            test_event: is_real,
        };
        let mut checks = doctor::examine(&config, &scope, now).await;
        checks.retain(|check| check.destination.is_some());
        tracing::info!(
            destination = only,
            real_event = is_real,
            "a destination was tested by the page"
        );
        Ok(Done::Found(Arc::new(checks)))
    };
    let (done, counted) = doing::once(&desk, form, work).await?;
    let checks = match done {
        Done::Found(checks) => checks,
        Done::See(_) => Arc::default(),
    };
    let mut response = desk.show(
        StatusCode::OK,
        &page("Test".to_owned(), found(&destination, &checks)),
    );
    if let Some(counted) = counted {
        response.extensions_mut().insert(counted);
    }
    Ok(response)
}

fn found(destination: &str, checks: &[Check]) -> Markup {
    let failed = checks
        .iter()
        .filter(|one| one.verdict == Verdict::Fail)
        .count();
    html! {
        p.lead {
            @match failed {
                0 => { (name(destination)) " would take events, as far as its platform tells." }
                1 => { "Something is wrong with " (name(destination)) "." }
                many => { (many) " things are wrong with " (name(destination)) "." }
            }
        }
        table {
            thead { tr { th scope="col" { "Looked at" } th scope="col" { "Verdict" } th scope="col" { "Seen" } } }
            tbody {
                @for check in checks {
                    tr {
                        th scope="row" { (check.name.replace('_', " ")) }
                        td { (verdict(check.verdict)) }
                        td { (check.seen) @if let Some(fix) = &check.fix { br; span.soft { "Fix: " (fix) } } }
                    }
                }
            }
        }
    }
}

fn verdict(verdict: Verdict) -> Markup {
    let tone = match verdict {
        Verdict::Ok => Tone::Good,
        Verdict::Warn => Tone::Warn,
        Verdict::Fail => Tone::Bad,
        Verdict::Skipped => Tone::Calm,
    };
    badge(tone, verdict.as_str())
}
