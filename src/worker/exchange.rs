//! One request and its answer: token, spans, metrics. Not for what becomes of the events in it.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tracing::{Instrument, Span};

use super::Shared;
use super::lane::{Job, Lane};
use super::recall::Halt;
use super::trace::Attempt;
use super::turns::Turn;
use crate::destinations::request_number::{self, RequestNumber};
use crate::destinations::{HttpRequest, Item, Reply};
use crate::outcome::{Answer, Hold, Notice, Outcome};
use crate::send::SendError;
use crate::telemetry::spans;
use crate::token::{Token, TokenError};

/// What came of a request.
#[derive(Debug)]
pub(super) struct Exchange {
    /// What the answer says.
    pub answer: Answer,
    /// HTTP status, if an answer came.
    pub status: Option<u16>,
    /// When it was sent.
    pub tried_at: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
    /// Of the credential it was signed with; none where it could not be read.
    pub fingerprint: Option<String>,
    /// Each job's attempt, in their order.
    pub attempts: Vec<Attempt>,
    /// Where lines about all of it belong: the only attempt, or the request of several.
    pub scope: Span,
}

/// A question or a request that came back, or why not.
pub(super) struct Answered {
    /// The answer, or how far it got.
    pub reply: Result<Reply, SendError>,
    /// What it was signed with.
    pub token: Token,
    /// The request's.
    pub span: Span,
    /// Why it was not sent once more, although its token alone was refused.
    pub halt: Option<Halt>,
}

/// Why nothing was sent.
pub(super) enum Unsent {
    /// There is nothing to sign with.
    Token(TokenError),
    /// Something was taken back, or nobody could say whether.
    Halted(Halt),
}

/// Why jobs do not go as they were decided.
pub(super) struct Halted {
    /// Why.
    pub halt: Halt,
    /// A request that had carried them, and whose token was refused.
    pub refused: Option<Exchange>,
}

/// Sends the jobs in one request, unless something was taken back since they were claimed.
pub(super) async fn exchange(
    lane: &Lane,
    jobs: &[Job],
    turn: Turn,
    shared: &Shared,
) -> Result<Exchange, Halted> {
    let settings = &lane.destination.settings;
    let items: Vec<&Item> = jobs.iter().map(|job| &job.sendable.item).collect();
    let request = settings.request(&lane.destination.base_url, &items);
    let attempts: Vec<Attempt> = jobs
        .iter()
        .map(|job| Attempt::begin(lane, job, shared))
        .collect();
    let parents: Vec<Span> = attempts.iter().map(|one| one.span.clone()).collect();
    let mut scope = parents.first().cloned().unwrap_or_else(Span::none);
    let tried_at = shared.clock.now();
    let started = Instant::now();

    let answered = signed(lane, request, turn, jobs, &parents, shared, |reply| {
        let answer = settings.classify(reply, &items);
        answer.verdict == crate::outcome::Verdict::All(Outcome::Hold(Hold::Credential))
    })
    .instrument(scope.clone())
    .await;

    let mut halted = None;
    let (answer, status, fingerprint) = match answered {
        Ok(Answered {
            reply,
            token,
            span,
            halt,
        }) => {
            halted = halt;
            if jobs.len() > 1 {
                scope = span;
            }
            let status = reply.as_ref().ok().map(|reply| reply.status);
            let answer = match &reply {
                Ok(reply) => settings.classify(reply, &items),
                Err(error) => unanswered(*error),
            };
            (answer, status, Some(token.fingerprint))
        }
        Err(Unsent::Token(error)) => (untokened(&error), None, lane.credential.fingerprint()),
        Err(Unsent::Halted(halt)) => {
            for attempt in &attempts {
                spans::finish(&attempt.span, "not_sent", None);
            }
            return Err(Halted {
                halt,
                refused: None,
            });
        }
    };
    if let Some(notice) = answer.notice {
        scope.in_scope(|| report_notice(lane, notice, answer.code.as_deref()));
    }
    let exchange = Exchange {
        answer,
        status,
        tried_at,
        took: started.elapsed(),
        fingerprint,
        attempts,
        scope,
    };
    match halted {
        None => Ok(exchange),
        Some(halt) => Err(Halted {
            halt,
            refused: Some(exchange),
        }),
    }
}

/// Sends a request with a token, and once more with a new one if `is_stale` says that the platform refused the token and
/// another can be asked for: a token may be revoked before its time. That second time is rare, and within the same turn: to wait
/// for another one would outlast the lease. Right before each time it looks whether the jobs that the request carries may still
/// go.
pub(super) async fn signed(
    lane: &Lane,
    request: HttpRequest,
    _turn: Turn,
    carried: &[Job],
    parents: &[Span],
    shared: &Shared,
    is_stale: impl Fn(&Reply) -> bool,
) -> Result<Answered, Unsent> {
    let mut refused: Option<(Result<Reply, SendError>, Span)> = None;
    loop {
        let token = lane.credential.token(lane.destination.reach, shared).await;
        let token = token.map_err(Unsent::Token)?;
        if let Err(halt) = shared.recall.look(carried, shared).await {
            return match refused {
                None => Err(Unsent::Halted(halt)),
                Some((reply, span)) => Ok(Answered {
                    reply,
                    token,
                    span,
                    halt: Some(halt),
                }),
            };
        }
        let (reply, span) = once(lane, request.clone(), &token, parents, shared).await;
        let is_refused = reply.as_ref().is_ok_and(&is_stale);
        if is_refused && lane.credential.refuse(&token).await && refused.is_none() {
            refused = Some((reply, span));
            continue;
        }
        return Ok(Answered {
            reply,
            token,
            span,
            halt: None,
        });
    }
}

async fn once(
    lane: &Lane,
    request: HttpRequest,
    token: &Token,
    parents: &[Span],
    shared: &Shared,
) -> (Result<Reply, SendError>, Span) {
    let span = spans::request(request.method.as_str(), &request.url, parents);
    let host = request.url.host_str().unwrap_or_default().to_owned();
    let in_flight = lane.metrics.in_flight();
    let started = Instant::now();
    let sender = shared.sender.within(lane.destination.reach);
    let reply = sender
        .send(request, &token.secret, lane.destination.request_timeout)
        .instrument(span.clone())
        .await;
    let took = started.elapsed();
    drop(in_flight);
    lane.took(took);
    let status = reply.as_ref().ok().map(|reply| reply.status);
    let error_type = reply.as_ref().err().map(|error| error.as_str());
    spans::answered(&span, status, error_type);
    if let (Ok(reply), false) = (&reply, span.is_disabled()) {
        let platform = lane.destination.platform();
        for RequestNumber { header, number } in request_number::of(platform, reply) {
            spans::numbered(&span, header, number);
        }
    }
    let trace = spans::sampled_trace(&span);
    lane.metrics
        .answered(&host, status, error_type, took, trace);
    (reply, span)
}

fn unanswered(error: SendError) -> Answer {
    let outcome = match error {
        SendError::Connect => Outcome::Retry {
            after: None,
            delivered: false,
        },
        SendError::Credential => Outcome::Hold(Hold::Credential),
        SendError::Private => Outcome::Hold(Hold::Configuration),
        SendError::Timeout | SendError::Broken => Outcome::Ambiguous,
    };
    Answer::all(outcome).code(error.as_str())
}

/// Without a token nothing was sent. A token endpoint that is down is a destination that is down.
fn untokened(error: &TokenError) -> Answer {
    match error {
        TokenError::Unavailable(_) => Answer::all(Outcome::Retry {
            after: None,
            delivered: false,
        })
        .code("token_endpoint"),
        TokenError::Private => {
            Answer::all(Outcome::Hold(Hold::Configuration)).code(SendError::Private.as_str())
        }
        TokenError::Refused { code } => {
            Answer::all(Outcome::Hold(Hold::Credential)).code(code.as_str())
        }
        TokenError::Secret(_) | TokenError::Key(_) => {
            Answer::all(Outcome::Hold(Hold::Credential)).code("credential")
        }
    }
}

/// Tells an operator what the platform says beside the verdict.
pub(super) fn report_notice(lane: &Lane, notice: Notice, code: Option<&str>) {
    let advice = match notice {
        Notice::VersionWarning => {
            "the platform warns that this API version is about to end: configure a newer one"
        }
        Notice::CountMismatch => {
            "the platform counted other than what was sent: compare in its events manager"
        }
        Notice::UnrecognisedCode => {
            "the platform answered with a code that is not known: look at the delivery's error_code"
        }
        Notice::WrongAddress => "the address is not the platform's: check base_url",
        Notice::ConsentRefused => {
            "the platform says that events lack the consent it needs: compare the consent column with what your banner asks"
        }
        Notice::BadRequestForm => {
            "the platform cannot read the form of the request: this is a defect, please report it with the delivery's error_code"
        }
    };
    lane.metrics.noticed(notice.as_str());
    tracing::warn!(
        destination = lane.destination.name,
        notice = notice.as_str(),
        code,
        advice,
        "notice from the platform"
    );
}
