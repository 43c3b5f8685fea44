//! The one road of every platform request: read, faults, judge, record, answer. All branches are here; emulators,
//! faults and ledger compute. Not for the sandbox's own API, which is `control`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::Response;
use axum::http::request::Parts;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::exchange::{
    Arrived, Channel, Heard, Judged, Judgement, Platform, Reading, Reply, Ruling,
};
use super::faults::{Plan, Question};
use super::listener::Cut;
use super::row::Envelope;
use super::state::State;
use super::{Recording, control, ga4, meta, page};

/// Bodies beyond this many bytes are refused unread: no platform takes as much, and memory is bounded.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// All routes of a sandbox.
pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .merge(page::routes())
        .merge(control::routes())
        .fallback(platform_request)
        .with_state(state)
}

/// A request for a platform, or for nobody.
async fn platform_request(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response<Body> {
    let Some((platform, path)) = route(request.uri().path()) else {
        let advice = "nothing here: Meta is at /{version}/{dataset id}/events or below /meta, GA4 at /mp/collect or \
            below /ga4, the sandbox's own API at /_sandbox/";
        return Reply::json(404, &json!({"error": advice})).into_response();
    };
    let path = path.to_owned();
    if state.faults().cuts_unread(platform, &path) {
        cut.now();
        let envelope = envelope(&state, platform, &path, "", &Bytes::new(), None);
        state.write(|ledger| {
            ledger.record_fault(
                &envelope,
                vec![Heard::default()],
                "reset before the body was read",
            )
        });
        return Reply::empty(500).into_response();
    }
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return Reply::empty(413).into_response();
    };
    if state.recording == Recording::CountOnly {
        return sink(&state, platform, &body).into_response();
    }
    let arrived = arrived(platform, path, head, body);
    // A task of its own: a client that gives up must not undo what a platform would go on to do.
    let answer = tokio::spawn(async move { process(&state, &arrived, &cut).await }).await;
    answer.unwrap_or_else(|_| Reply::empty(500)).into_response()
}

/// Which platform a path belongs to, and the path as the platform sees it.
fn route(path: &str) -> Option<(Platform, &str)> {
    for platform in Platform::ALL {
        let below = path
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(platform.as_str()));
        if let Some(rest) = below.filter(|rest| rest.starts_with('/')) {
            return Some((platform, rest));
        }
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    let version = first.strip_prefix('v').unwrap_or(first);
    if path.starts_with("/mp/") || path.starts_with("/debug/mp/") {
        Some((Platform::Ga4, path))
    } else if version.starts_with(|first: char| first.is_ascii_digit()) {
        Some((Platform::Meta, path))
    } else {
        None
    }
}

fn arrived(platform: Platform, path: String, head: Parts, body: Bytes) -> Arrived {
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let query = url::form_urlencoded::parse(query).into_owned().collect();
    Arrived {
        platform,
        method: head.method,
        path,
        query,
        headers: head.headers,
        body,
    }
}

/// Counts and says yes. Meta wants to hear the number of events: `action_source` stands in each of them once.
fn sink(state: &State, platform: Platform, body: &[u8]) -> Reply {
    let marker = match platform {
        Platform::Meta => "\"action_source\"",
        Platform::Ga4 => "\"name\"",
    };
    let count = std::str::from_utf8(body).map_or(0, |text| text.matches(marker).count());
    let widen = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    state.sink_of(platform).add(widen(count), widen(body.len()));
    match platform {
        Platform::Meta => {
            let body =
                format!(r#"{{"events_received":{count},"messages":[],"fbtrace_id":"Asink"}}"#);
            Reply::text(200, "application/json; charset=UTF-8", body)
        }
        Platform::Ga4 => Reply::empty(204),
    }
}

/// Faults first, then judge and record, then faults again.
async fn process(state: &State, arrived: &Arrived, cut: &Cut) -> Reply {
    let reading = match arrived.platform {
        Platform::Meta => meta::read(arrived),
        Platform::Ga4 => ga4::read(arrived),
    };
    let question = Question {
        platform: arrived.platform,
        path: &arrived.path,
        account: Some(&reading.account),
        events: &reading.events,
    };
    let plan = state.faults().plan(&question);
    wait(state, &plan).await;
    if plan.cut_before {
        record_fault(
            state,
            arrived,
            reading,
            None,
            "connection reset before anything was stored",
        );
        cut.now();
        return Reply::empty(500);
    }
    if let Some(reply) = plan.answer {
        record_fault(
            state,
            arrived,
            reading,
            Some(reply.status),
            "answered by a fault rule; nothing was stored",
        );
        return reply;
    }
    let reply = judge_and_record(state, arrived, reading, plan.cut_after);
    for gate in &plan.hold_after {
        gate.pass().await;
    }
    if plan.cut_after {
        cut.now();
    }
    plan.change(reply)
}

/// Waits as the faults want it, or until the sandbox stops.
async fn wait(state: &State, plan: &Plan) {
    if !plan.delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(plan.delay) => {}
            () = state.stopped() => {}
        }
    }
    for gate in &plan.hold_before {
        gate.pass().await;
    }
}

fn judge_and_record(
    state: &State,
    arrived: &Arrived,
    reading: Reading,
    answer_lost: bool,
) -> Reply {
    let now = state.clock.now();
    let accounts = state.accounts().clone();
    let Judgement {
        events,
        refusal,
        reply,
    } = match arrived.platform {
        Platform::Meta => meta::judge(arrived, &reading, &accounts, state.meta_mode, now),
        Platform::Ga4 => ga4::judge(arrived, &reading, &accounts, now),
    };
    let status = (!answer_lost).then_some(reply.status);
    let envelope = envelope(
        state,
        arrived.platform,
        &arrived.path,
        &reading.account,
        &arrived.body,
        status,
    );
    let mut judged: Vec<(Heard, Judged)> = reading.events.into_iter().zip(events).collect();
    if judged.is_empty() {
        let reason = refusal.unwrap_or_else(|| "no event in it".to_owned());
        judged.push((
            Heard::default(),
            Judged {
                ruling: Ruling::Reject,
                reason,
            },
        ));
    }
    if state.recording == Recording::WithoutBodies {
        judged.iter_mut().for_each(|(heard, _)| heard.json.clear());
    }
    state.write(|ledger| ledger.record(&envelope, judged));
    reply
}

fn record_fault(
    state: &State,
    arrived: &Arrived,
    reading: Reading,
    status: Option<u16>,
    reason: &str,
) {
    let envelope = envelope(
        state,
        arrived.platform,
        &arrived.path,
        &reading.account,
        &arrived.body,
        status,
    );
    let events = if reading.events.is_empty() {
        vec![Heard::default()]
    } else {
        reading.events
    };
    state.write(|ledger| ledger.record_fault(&envelope, events, reason));
}

fn envelope(
    state: &State,
    platform: Platform,
    path: &str,
    account: &str,
    body: &Bytes,
    status: Option<u16>,
) -> Envelope {
    let digest = Sha256::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Envelope {
        platform,
        account: account.to_owned(),
        path: path.to_owned(),
        channel: Channel::Server,
        received_at: state.clock.now(),
        status,
        digest,
        body: if state.recording == Recording::Everything {
            body.clone()
        } else {
            Bytes::new()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_platform() {
        for (path, expected) in [
            ("/v26.0/1/events", Some((Platform::Meta, "/v26.0/1/events"))),
            (
                "/meta/v26.0/1/events",
                Some((Platform::Meta, "/v26.0/1/events")),
            ),
            ("/meta/anything", Some((Platform::Meta, "/anything"))),
            ("/12/events", Some((Platform::Meta, "/12/events"))),
            ("/mp/collect", Some((Platform::Ga4, "/mp/collect"))),
            (
                "/ga4/debug/mp/collect",
                Some((Platform::Ga4, "/debug/mp/collect")),
            ),
            (
                "/debug/mp/collect",
                Some((Platform::Ga4, "/debug/mp/collect")),
            ),
            ("/metal/x", None),
            ("/versions", None),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
