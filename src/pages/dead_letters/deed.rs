//! Sending dead letters again, or ending them: what would be done, then, with a reason and once, done. Refused is what the
//! commands refuse; a doubt is overruled only by somebody who confirms that very doubt.

use std::collections::BTreeSet;

use axum::body::{Body, Bytes};
use axum::extract::State as Of;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use axum::{Extension, Router};

use super::selection::{AT_ONCE, Selection};
use crate::admin::form::Done;
use crate::admin::{Visitor, fields};
use crate::operations::report::{Refused, Report};
use crate::operations::run::{self, Action, Order};
use crate::pages::frame::{Page, Sheet};
use crate::pages::html::{Markup, Tone, count, deliveries, html, name, notice, sentence, wide};
use crate::pages::params::Params;
use crate::pages::trouble::Trouble;
use crate::pages::{Desk, doing, event};

pub(super) fn router() -> Router<Desk> {
    Router::new()
        .route("/dead-letters/replay", get(look_at_replay).post(replay))
        .route("/dead-letters/skip", get(look_at_skip).post(skip))
}

/// What is asked for.
#[derive(Clone, Debug)]
struct Deed {
    action: Action,
    selection: Selection,
}

impl Deed {
    fn path(&self) -> &'static str {
        match self.action {
            Action::Replay { .. } => "/dead-letters/replay",
            Action::Skip => "/dead-letters/skip",
        }
    }

    fn word(&self) -> &'static str {
        match self.action {
            Action::Replay { .. } => "replay",
            Action::Skip => "skip",
        }
    }

    fn is_forced(&self) -> bool {
        matches!(self.action, Action::Replay { forced: true })
    }

    fn address(&self) -> String {
        let force = if self.is_forced() { "1" } else { "" };
        self.selection.address(self.path(), &[("force", force)])
    }

    /// Looks at them, or with a reason does it.
    async fn run(
        &self,
        desk: &Desk,
        action: Action,
        reason: Option<&str>,
    ) -> Result<Report, Trouble> {
        let filter = self.selection.filter_to_do();
        let order = Order {
            action,
            filter: &filter,
            is_wide: false,
            reason,
        };
        let destinations = &desk.config.destinations;
        Ok(run::run(&desk.database, &order, destinations, desk.now()).await?)
    }

    /// What a force overrules: nothing where nothing is forced.
    async fn doubts(&self, desk: &Desk) -> Result<Vec<Refused>, Trouble> {
        if !self.is_forced() {
            return Ok(Vec::new());
        }
        let plain = self
            .run(desk, Action::Replay { forced: false }, None)
            .await?;
        let doubted = plain.refused.into_iter();
        Ok(doubted.filter(|one| one.can_be_forced).collect())
    }
}

async fn look_at_replay(
    desk: Of<Desk>,
    visitor: Extension<Visitor>,
    params: Params,
) -> Result<Response<Body>, Trouble> {
    let [
        destination,
        state,
        died_of,
        code,
        event_name,
        event_id,
        force,
    ] = params.only([
        "destination",
        "state",
        "died_of",
        "code",
        "event_name",
        "event_id",
        "force",
    ])?;
    let selection = Selection::read([destination, state, died_of, code, event_name, event_id])?;
    let action = Action::Replay {
        forced: force.as_deref() == Some("1"),
    };
    look(&desk.0, &visitor.0, Deed { action, selection }).await
}

async fn look_at_skip(
    desk: Of<Desk>,
    visitor: Extension<Visitor>,
    params: Params,
) -> Result<Response<Body>, Trouble> {
    let selection = Selection::read(params.only(Selection::KEYS)?)?;
    let action = Action::Skip;
    look(&desk.0, &visitor.0, Deed { action, selection }).await
}

/// What would be done, and for an operator the form that does it.
async fn look(desk: &Desk, visitor: &Visitor, deed: Deed) -> Result<Response<Body>, Trouble> {
    particular(&deed)?;
    let report = deed.run(desk, deed.action, None).await?;
    let doubts = deed.doubts(desk).await?;
    let body = html! {
        p { "This is about those that are " (deed.selection.words()) "." }
        (would(&deed, &report))
        (refusals(&deed, &report))
        @if report.total > 0 { (form(desk, visitor, &deed, &report, &doubts)) }
        p { a href="/dead-letters" { "Back to the dead letters" } }
    };
    let title = match deed.action {
        Action::Replay { forced: false } => "Send again",
        Action::Replay { forced: true } => "Send again in spite of a doubt",
        Action::Skip => "Skip",
    };
    let sheet = Sheet {
        page: Some(Page::DeadLetters),
        title: title.to_owned(),
        refresh: None,
        body,
    };
    Ok(desk.show(StatusCode::OK, &sheet))
}

fn particular(deed: &Deed) -> Result<(), Trouble> {
    match deed.selection.is_empty() {
        false => Ok(()),
        true => Err(Trouble::Asked(
            "say which: take a kind from the dead letters".to_owned(),
        )),
    }
}

fn would(deed: &Deed, report: &Report) -> Markup {
    let what = match deed.action {
        Action::Replay { .. } => "would be sent again",
        Action::Skip => "would be ended as cancelled",
    };
    let total = signed(report.total);
    html! {
        p.lead { (deliveries(total)) " " (what) ", " (count(signed(report.refused_total))) " refused." }
        @if total >= AT_ONCE { p { "One form does " (count(AT_ONCE)) " at most, the oldest first. Do it again for the rest." } }
        @if !report.deliveries.is_empty() {
            (wide("What would be done", &html! {
                table {
                    thead { tr { th scope="col" { "Destination" } th scope="col" { "Stands" } th.number scope="col" { "Deliveries" } } }
                    tbody {
                        @for one in &report.deliveries {
                            tr {
                                th scope="row" { (name(&one.destination)) }
                                td { (one.state) @if let Some(reason) = &one.reason { " for " (reason.replace('_', " ")) } }
                                td.number { (count(signed(one.count))) }
                            }
                        }
                    }
                }
            }))
        }
    }
}

fn refusals(deed: &Deed, report: &Report) -> Markup {
    let has_doubts = report.refused.iter().any(|one| one.can_be_forced);
    html! {
        @if !report.refused.is_empty() {
            h2 { "Refused" }
            ul {
                @for one in &report.refused {
                    li {
                        (deliveries(signed(one.count))) " at " (name(&one.destination)) ", " (one.state)
                        ", such as " (event::link(&one.sample_event_id)) ": " (one.because)
                        @if one.can_be_forced { " (a doubt)" } "."
                    }
                }
            }
            @if has_doubts && !deed.is_forced() {
                p {
                    a.button href=(deed.selection.address(deed.path(), &[("force", "1")])) { "Look at sending the doubtful too…" }
                }
            }
        }
    }
}

fn form(
    desk: &Desk,
    visitor: &Visitor,
    deed: &Deed,
    report: &Report,
    doubts: &[Refused],
) -> Markup {
    let Some(operator) = doing::operator(visitor) else {
        return html! {
            (notice(Tone::Calm, &html! { p { "To do it, " a href="/login" { "log in" } " as an operator, or use the command " code { "dead-letters " (deed.word()) } "." } }))
        };
    };
    let address = deed.address();
    let total = deliveries(signed(report.total));
    let (class, label) = match deed.action {
        Action::Replay { forced: false } => ("primary", format!("Send {total} again")),
        Action::Replay { forced: true } => {
            ("danger", format!("Send {total} again, doubts overruled"))
        }
        Action::Skip => ("danger", format!("End {total}")),
    };
    let more = html! {
        (deed.selection.fields())
        @if deed.is_forced() { input type="hidden" name="force" value="1"; }
        @for one in doubts {
            (notice(Tone::Warn, &html! {
                p { (deliveries(signed(one.count))) " at " (name(&one.destination)) ": " (sentence(one.because)) }
                label.check {
                    input type="checkbox" name="doubt" value=(one.refusal) required;
                    " " (confirmed(one.refusal))
                }
            }))
        }
        @if deed.action == Action::Skip {
            p { "What is skipped counts as never sent: refunds of it are not told either." }
        }
        (doing::why())
    };
    doing::confirmation(
        operator,
        desk,
        (deed.path(), &address),
        (class, &label),
        &more,
    )
}

/// What somebody says who overrules a doubt.
fn confirmed(refusal: &str) -> &'static str {
    match refusal {
        "may_count_twice" => {
            "I have looked at the platform. It is not there; if it is, it counts twice."
        }
        "window_over" => {
            "I have looked at the platform. It is not there; the platform will not recognise a repeat."
        }
        "age_used_up" => "It may be that old. I want it sent all the same.",
        _ => "I know of this doubt, and overrule it.",
    }
}

async fn replay(
    desk: Of<Desk>,
    visitor: Extension<Visitor>,
    body: Bytes,
) -> Result<Response<Body>, Trouble> {
    let [force] = fields(&body, ["force"]);
    let forced = force == "1";
    done(desk.0, &visitor.0, Action::Replay { forced }, &body).await
}

async fn skip(
    desk: Of<Desk>,
    visitor: Extension<Visitor>,
    body: Bytes,
) -> Result<Response<Body>, Trouble> {
    done(desk.0, &visitor.0, Action::Skip, &body).await
}

/// Does what the form asks for, once.
async fn done(
    desk: Desk,
    visitor: &Visitor,
    action: Action,
    body: &[u8],
) -> Result<Response<Body>, Trouble> {
    let given = |text: String| (!text.is_empty()).then_some(text);
    let selection = Selection::read(fields(body, Selection::KEYS).map(given))?;
    let deed = Deed { action, selection };
    particular(&deed)?;
    let [word, why] = fields(body, ["form", "reason"]);
    let form = doing::form(visitor, &deed.address(), &word, &desk)?;
    let reason = doing::reason(&why, &form)?;
    let confirmed: BTreeSet<String> = url::form_urlencoded::parse(body)
        .filter(|(key, _)| key == "doubt")
        .map(|(_, value)| value.into_owned())
        .collect();
    let at = desk.clone();
    let work = async move {
        if let Some(number) = doing::audited(&at.database, deed.word(), &reason).await? {
            return Ok(Done::See(doing::told_at(number)));
        }
        let doubts = deed.doubts(&at).await?;
        if let Some(new) = doubts.iter().find(|one| !confirmed.contains(one.refusal)) {
            return Err(Trouble::Asked(format!(
                "nothing was done: a doubt was not confirmed: {}",
                new.because
            )));
        }
        let report = deed.run(&at, deed.action, Some(&reason)).await?;
        Ok(Done::See(match report.audit_no {
            Some(number) => doing::told_at(number),
            // Nothing of it could be done: the same page says why.
            None => deed.address(),
        }))
    };
    doing::once_and_see(&desk, form, work).await
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
