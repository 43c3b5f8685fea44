//! Logging in with the token, once, in a browser; and out.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::{get, post};

use super::answer::{moved, refused};
use super::door::{Door, Refusal, session_cookie};
use super::form::Operator;
use super::origin::{is_from_here, own_path};
use super::session::Session;
use super::{BODY_MAX, fields};
use crate::pages::Desk;
use crate::pages::frame::Sheet;
use crate::pages::html::{Markup, Tone, html, notice};
use crate::pages::params::Params;
use crate::pages::trouble::Trouble;

/// Where logging in is done.
#[derive(Clone)]
struct Reception {
    door: Door,
    desk: Desk,
}

/// What can be asked of the reception without having been let in.
pub(super) fn router(door: Door, desk: Desk) -> Router {
    Router::new()
        .route("/login", get(look).post(log_in))
        .route("/logout", post(log_out))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(Reception { door, desk })
}

async fn look(
    State(Reception { door, desk }): State<Reception>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response<Body>, Trouble> {
    let [next] = params.only(["next"])?;
    let next = own_path(next.as_deref().unwrap_or("/"));
    let body = match door.operator(&headers) {
        _ if !door.has_token() => without_token(),
        Ok(Some(operator)) => logged_in(&operator, &door),
        Ok(None) => token_form(next, None),
        Err(refusal) => return Ok(door.refuse(refusal)),
    };
    Ok(desk.show(StatusCode::OK, &sheet(body)))
}

async fn log_in(
    State(Reception { door, desk }): State<Reception>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if !door.has_token() {
        return refused(
            StatusCode::FORBIDDEN,
            "nobody can log in where no token is set: set admin.token",
        );
    }
    if !is_from_here(&headers) {
        return door.refuse(Refusal::Origin);
    }
    let [token, next] = fields(&body, ["token", "next"]);
    let next = own_path(&next);
    let seal = match door.compare(peer, token.trim()) {
        Ok(seal) => seal,
        Err(Refusal::Token) => {
            door.count("token");
            let said = "That is not the token. Wrong ones make this address wait.";
            let page = sheet(token_form(next, Some(said)));
            return desk.show(StatusCode::UNAUTHORIZED, &page);
        }
        Err(refusal) => return door.refuse(refusal),
    };
    let Some(session) = Session::begin(door.now()) else {
        return refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "the machine gives no random numbers",
        );
    };
    tracing::info!(peer = %peer.ip(), "an operator logged in to the pages");
    let mut response = moved(next);
    let cookie = session_cookie(&session.cookie(&seal), &headers);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

async fn log_out(
    State(Reception { door, .. }): State<Reception>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if !is_from_here(&headers) {
        return door.refuse(Refusal::Origin);
    }
    let operator = match door.operator(&headers) {
        Ok(Some(operator)) => operator,
        Ok(None) => return moved("/login"),
        Err(refusal) => return door.refuse(refusal),
    };
    let [word] = fields(&body, ["form"]);
    if operator.form("log out", &word, door.now()).is_none() {
        door.count("form");
        return refused(StatusCode::FORBIDDEN, super::STALE);
    }
    door.end(&operator);
    let mut response = moved("/login");
    let cookie = session_cookie("", &headers);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

fn sheet(body: Markup) -> Sheet {
    Sheet {
        page: None,
        title: "Operator".to_owned(),
        refresh: None,
        body,
    }
}

fn without_token() -> Markup {
    html! {
        p.lead { "These pages are for reading." }
        p {
            "No token is set, so that only this machine can look, and nobody can change anything here. "
            "To send dead letters again, skip them, or pause a destination, set " code { "admin.token" }
            " in the configuration, or use the commands."
        }
    }
}

fn logged_in(operator: &Operator, door: &Door) -> Markup {
    html! {
        p.lead { "You are logged in." }
        p { "The session ends after half an hour without use, after eight hours in any case, and when the token is replaced." }
        form.stacked method="post" action="/logout" {
            input type="hidden" name="form" value=(operator.word("log out", door.now()));
            button type="submit" { "Log out" }
        }
        p.row { a.button href="/" { "Go to the overview" } }
    }
}

fn token_form(next: &str, said: Option<&str>) -> Markup {
    html! {
        p.lead { "Show the token, once." }
        @if let Some(said) = said { (notice(Tone::Bad, &html! { p role="alert" { (said) } })) }
        form.stacked method="post" action="/login" {
            input type="hidden" name="next" value=(next);
            label.field {
                span { "Token of " code { "admin.token" } }
                input type="password" name="token" required autocomplete="current-password" spellcheck="false";
            }
            button.primary type="submit" { "Log in" }
        }
        @if next != "/" {
            // A browser keeps the session back where another site's link leads here; a link of our own brings it along.
            p { "Logged in already, and came by a link from elsewhere? " a href=(next) { "Go on to the page" } "." }
        }
    }
}
