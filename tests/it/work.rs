//! What the tests of claiming and settling share: events in bulk, claims, and results to settle.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use conversion_outbox::claim::{self, Claimed, Terms, Ticket};
use conversion_outbox::consent::Permit;
use conversion_outbox::db::connect::Database;
use conversion_outbox::outcome::{Reason, State};
use conversion_outbox::settle::{Intent, Settlement, Try};

use crate::harness::{GRANTED, Outbox};

/// Length of every lease here; time itself is a parameter.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// Writes this many events as the application.
pub(crate) async fn write_events(outbox: &Outbox, count: i64) {
    let app = outbox.session("app").await;
    app.run(&format!(
        "insert into conversion_outbox.event (event_name, business_id, consent)
         select 'order_paid', 'order-' || n, {GRANTED} from generate_series(1, {count}) n"
    ))
    .await;
}

/// A fixed time, this many seconds after the start of every test.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time") + TimeDelta::seconds(seconds)
}

/// Up to `limit` rows, as seen at a time.
pub(crate) fn terms(limit: i64, seconds: i64) -> Terms {
    Terms {
        limit,
        lease: LEASE,
        clock: Some(at(seconds)),
    }
}

/// Claims fresh events.
pub(crate) async fn claim_events(worker: &Database, limit: i64, seconds: i64) -> Vec<Claimed> {
    claim::claim_events(worker, 0, terms(limit, seconds))
        .await
        .expect("claimed")
}

/// Claims one fresh event; there must be one.
pub(crate) async fn claim_one(worker: &Database, seconds: i64) -> Claimed {
    claim_events(worker, 1, seconds)
        .await
        .pop()
        .expect("an event is due")
}

/// Claims waiting deliveries of `meta`.
pub(crate) async fn claim_due(worker: &Database, seconds: i64) -> Vec<Claimed> {
    claim::claim_due(worker, "meta", 100, terms(100, seconds))
        .await
        .expect("claimed")
}

/// Accepted at the first try.
pub(crate) fn accepted(ticket: Ticket, destination: &str) -> Settlement {
    Settlement {
        ticket,
        destination: destination.to_owned(),
        event: None,
        state: State::Accepted,
        reason: None,
        kept_by: None,
        due_at: None,
        settled_at: Some(at(1)),
        tries: 1,
        attempts: 1,
        first_tried_at: None,
        error_code: None,
        permit: Some(Permit::from_bits(1)),
        expires_at: None,
        receipt: None,
        log: vec![tried("accepted", Some(200))],
    }
}

/// Failed at this try, to be tried again at `seconds`.
pub(crate) fn failed(ticket: Ticket, try_no: i16, seconds: i64) -> Settlement {
    Settlement {
        state: State::Pending,
        reason: Some(Reason::Retry),
        due_at: Some(at(seconds)),
        settled_at: None,
        tries: try_no,
        attempts: try_no,
        error_code: Some("2".to_owned()),
        log: vec![tried("retry", Some(503))],
        ..accepted(ticket, "meta")
    }
}

/// One request.
pub(crate) fn tried(outcome: &'static str, response_code: Option<i16>) -> Try {
    Try {
        outcome,
        is_counted: true,
        tried_at: at(0),
        duration_ms: 12,
        response_code,
        error_code: None,
        payload_hash: [7; 32],
        trace_id: Some([9; 16]),
    }
}

/// The intent to send.
pub(crate) fn intent(ticket: Ticket) -> Intent {
    Intent {
        ticket,
        payload_hash: [7; 32],
        permit: Permit::from_bits(1),
    }
}
