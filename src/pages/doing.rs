//! What an operator does here: a form that names what will be done and asks why, and the one time that it is done.
//!
//! Each form carries a word under the session's seal ([`crate::admin::form`]), good for this form alone. It counts once:
//! this process remembers what became of it, and any other finds its key in the reason of the audit's row.

use std::future::Future;

use axum::body::Body;
use axum::http::Response;
use tokio_postgres::types::{ToSql, Type};

use super::Desk;
use super::html::{Markup, html};
use super::trouble::Trouble;
use crate::admin::answer::moved;
use crate::admin::form::{Done, Form, Operator};
use crate::admin::{Counted, STALE, Visitor};
use crate::cli::by_hand;
use crate::db::connect::Database;

const BY_FORM: &str = include_str!("../../sql/pages/audit_by_form.sql");

/// So much of what somebody writes goes into the audit; there is room left for the form's key.
const REASON_MAX: usize = 400;

/// What stands between somebody's own words and the form's key.
const BY_PAGE: &str = " (by the page, form ";

const NO_OPERATOR: &str = "only an operator who is logged in here may do that: set admin.token, and log in with it under Operator";

/// Who may change something here.
pub(super) fn operator(visitor: &Visitor) -> Option<&Operator> {
    match visitor {
        Visitor::Operator(operator) => Some(operator),
        Visitor::WithToken | Visitor::OfThisMachine => None,
    }
}

/// The operator, or what to do to be one.
pub(super) fn must_be_operator(visitor: &Visitor) -> Result<&Operator, Trouble> {
    operator(visitor).ok_or(Trouble::Forbidden(NO_OPERATOR))
}

/// The form that came back for this purpose, or why it does not count.
pub(super) fn form(
    visitor: &Visitor,
    purpose: &str,
    word: &str,
    desk: &Desk,
) -> Result<Form, Trouble> {
    let operator = operator(visitor).ok_or(Trouble::Form(NO_OPERATOR))?;
    let form = operator.form(purpose, word, desk.now());
    form.ok_or(Trouble::Form(STALE))
}

/// The part of a form that says why and that it is meant. `action` is its address, `purpose` what the seal is for.
pub(super) fn confirmation(
    operator: &Operator,
    desk: &Desk,
    (action, purpose): (&str, &str),
    button: (&str, &str),
    more: &Markup,
) -> Markup {
    let (class, label) = button;
    html! {
        form.stacked method="post" action=(action) {
            input type="hidden" name="form" value=(operator.word(purpose, desk.now()));
            (more)
            button class=(class) type="submit" { (label) }
        }
    }
}

/// The field for why something is done.
pub(super) fn why() -> Markup {
    html! {
        label.field {
            span { "Why, in your own words and without naming a person: it stands in the audit" }
            textarea name="reason" required maxlength=(REASON_MAX) rows="2" {}
        }
    }
}

/// Somebody's reason as it stands in the audit: with the way it came, and the form it came by.
pub(super) fn reason(text: &str, form: &Form) -> Result<String, Trouble> {
    let text = by_hand::reason(text).map_err(|why| Trouble::Asked(format!("the reason {why}")))?;
    if text.chars().count() > REASON_MAX {
        return Err(Trouble::Asked(format!(
            "the reason must have 1 to {REASON_MAX} characters"
        )));
    }
    Ok(format!("{text}{BY_PAGE}{})", form.key()))
}

/// What somebody wrote, of a reason as the audit has it, and whether it came by a page.
pub(super) fn own_words(reason: &str) -> (&str, bool) {
    let key = |rest: &str| {
        rest.strip_suffix(')')
            .is_some_and(|key| key.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    match reason.rsplit_once(BY_PAGE) {
        Some((text, rest)) if key(rest) => (text, true),
        _ => (reason, false),
    }
}

/// The number of the audit's row with this reason, which holds the key of a form; nothing where that form did nothing yet.
pub(super) async fn audited(
    database: &Database,
    action: &str,
    reason: &str,
) -> Result<Option<i64>, Trouble> {
    let params = [
        (&action as &(dyn ToSql + Sync), Type::TEXT),
        (&reason, Type::TEXT),
    ];
    let rows = database.query(BY_FORM, &params).await?;
    Ok(rows
        .first()
        .map(|row| row.try_get("audit_no"))
        .transpose()?)
}

/// Where a row of the audit is told.
pub(super) fn told_at(audit_no: i64) -> String {
    format!("/audit/{audit_no}")
}

/// Does the work of a form, unless it has been done, and leads to what became of it.
pub(super) async fn once(
    desk: &Desk,
    form: Form,
    work: impl Future<Output = Result<Done, Trouble>> + Send + 'static,
) -> Result<(Done, Option<Counted>), Trouble> {
    let (done, is_repeat) = desk.forms.once(form, work).await?;
    Ok((done, is_repeat.then_some(Counted("repeat"))))
}

/// Does the work of a form that ends at an address.
pub(super) async fn once_and_see(
    desk: &Desk,
    form: Form,
    work: impl Future<Output = Result<Done, Trouble>> + Send + 'static,
) -> Result<Response<Body>, Trouble> {
    let (done, counted) = once(desk, form, work).await?;
    let mut response = match &done {
        Done::See(address) => moved(address),
        Done::Found(_) => moved("/destinations"),
    };
    if let Some(counted) = counted {
        response.extensions_mut().insert(counted);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::own_words;

    #[test]
    fn the_key_of_a_form_is_not_somebody_s_words() {
        for (reason, told) in [
            (
                "relaunch (by the page, form 0123456789abcdef)",
                ("relaunch", true),
            ),
            ("by hand", ("by hand", false)),
            (
                "x (by the page, form of mine)",
                ("x (by the page, form of mine)", false),
            ),
        ] {
            assert_eq!(own_words(reason), told);
        }
    }
}
