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

use super::emulators::Surroundings;
use super::exchange::{
    Arrived, Channel, Heard, Judged, Judgement, Platform, Reading, Reply, Ruling,
};
use super::faults::{Plan, Question};
use super::listener::{Cut, Ending};
use super::row::Envelope;
use super::state::State;
use super::{Recording, control, emulators, page, routes};

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
    let Some((platform, path)) = routes::route(request.uri().path()) else {
        return Reply::json(404, &json!({"error": routes::ADVICE})).into_response();
    };
    let path = path.to_owned();
    if state.faults().cuts_unread(platform, &path) {
        cut.with(Ending::Reset);
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
    if state.recording == Recording::CountOnly && !emulators::is_call(platform, &path) {
        return sink(&state, platform, &body).into_response();
    }
    let arrived = arrived(platform, path, head, body);
    // A task of its own: a client that gives up must not undo what a platform would go on to do.
    let answer = tokio::spawn(async move { process(&state, &arrived, &cut).await }).await;
    answer.unwrap_or_else(|_| Reply::empty(500)).into_response()
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

/// Counts and says yes.
fn sink(state: &State, platform: Platform, body: &[u8]) -> Reply {
    let marker = emulators::sink_marker(platform);
    let count = std::str::from_utf8(body).map_or(0, |text| text.matches(marker).count());
    let widen = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    state.sink_of(platform).add(widen(count), widen(body.len()));
    emulators::sink_reply(platform, count)
}

/// Processes a request; a call that carries no events is counted around it.
async fn process(state: &State, arrived: &Arrived, cut: &Cut) -> Reply {
    let (platform, path) = (arrived.platform, arrived.path.as_str());
    let is_call = emulators::is_call(platform, path);
    if is_call {
        state.write(|ledger| ledger.begin_call(platform, path));
    }
    let (reply, ending) = undergo(state, arrived, is_call).await;
    let is_whole = ending.is_none();
    if let Some(ending) = ending {
        cut.with(ending);
    }
    if is_call {
        let status = is_whole.then_some(reply.status);
        state.write(|ledger| ledger.end_call(platform, path, status));
    }
    reply
}

/// Faults first, then judge and record, then faults again. Says how the connection is to end where the answer does not
/// simply go out.
async fn undergo(state: &State, arrived: &Arrived, is_call: bool) -> (Reply, Option<Ending>) {
    let reading = emulators::read(arrived, &state.worlds());
    let question = Question {
        platform: arrived.platform,
        path: &arrived.path,
        account: Some(&reading.account),
        events: &reading.events,
    };
    let plan = state.faults().plan(&question);
    wait(state, &plan).await;
    if plan.cut_before {
        if !is_call {
            let reason = "connection reset before anything was stored";
            record_fault(state, arrived, reading, None, reason);
        }
        return (Reply::empty(500), Some(Ending::Reset));
    }
    if let Some(script) = plan.script {
        if !is_call {
            let reason = "answered in a form that no platform has; nothing was stored";
            record_fault(state, arrived, reading, None, reason);
        }
        return (Reply::empty(500), Some(Ending::Script(script.into())));
    }
    if let Some(reply) = plan.answer {
        if !is_call {
            let reason = "answered by a fault rule; nothing was stored";
            record_fault(state, arrived, reading, Some(reply.status), reason);
        }
        return (reply, None);
    }
    let reply = judge_and_record(state, arrived, reading, &plan, is_call);
    for gate in &plan.hold_after {
        gate.pass().await;
    }
    (plan.change(reply), plan.cut_after.then_some(Ending::Reset))
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
    plan: &Plan,
    is_call: bool,
) -> Reply {
    let now = state.clock.now();
    let accounts = state.accounts().clone();
    // Held until the ledger is written: what a world and the ledger remember must have the same order.
    let mut worlds = state.worlds();
    let Judgement {
        events,
        refusal,
        reply,
    } = state.read(|ledger| {
        let around = Surroundings {
            accounts: &accounts,
            worlds: &mut worlds,
            ledger,
            meta_mode: state.meta_mode,
            processing: &plan.processing,
            now,
        };
        emulators::judge(arrived, &reading, around)
    });
    if is_call {
        return reply;
    }
    let status = (!plan.cut_after).then_some(reply.status);
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
