//! The ids of our spans. A root's span id is the second half of its trace id.
//!
//! So a trace id that is stored beside a delivery is enough to link to the very span of that try, hours later and from
//! another process: a link needs both ids, and the table has room for one. Both halves are random, so the id is as
//! unlikely to meet again as any other.

use std::cell::Cell;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    /// The span id that was given out last on this thread. The SDK asks for a span's id right before that of its trace.
    static LAST: Cell<SpanId> = const { Cell::new(SpanId::INVALID) };
}

/// Gives out random ids, those of a root as described above.
#[derive(Debug, Default)]
pub(super) struct RootedIds(RandomIdGenerator);

impl IdGenerator for RootedIds {
    fn new_trace_id(&self) -> TraceId {
        let mut bytes = self.0.new_trace_id().to_bytes();
        bytes[8..].copy_from_slice(&LAST.get().to_bytes());
        TraceId::from_bytes(bytes)
    }

    fn new_span_id(&self) -> SpanId {
        let id = self.0.new_span_id();
        LAST.set(id);
        id
    }
}

/// The root of a trace that [`RootedIds`] made and that was recorded.
pub(super) fn root_of(trace_id: [u8; 16]) -> SpanContext {
    let (_, second_half) = trace_id.split_at(8);
    let span_id = second_half.try_into().expect("eight of sixteen bytes");
    SpanContext::new(
        TraceId::from_bytes(trace_id),
        SpanId::from_bytes(span_id),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    )
}
