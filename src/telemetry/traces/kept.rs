//! Which spans are recorded: a share of what went well, and every failure.
//!
//! Whether a try fails is known when it ends, long after the sampler was asked. So the sampler drops nothing: what falls outside
//! the share is recorded without being sampled, and at its end [`Queue`](super::queue::Queue) keeps it if it failed.

use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    ParentBasedSampler, SamplingDecision, SamplingResult, ShouldSample, SpanData,
};

/// Samples as another sampler does, and has the rest recorded until it is known how it ends.
#[derive(Clone, Debug)]
pub(super) struct FailuresKept(pub ParentBasedSampler);

impl ShouldSample for FailuresKept {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let asked =
            self.0
                .should_sample(parent_context, trace_id, name, span_kind, attributes, links);
        let decision = match asked.decision {
            SamplingDecision::Drop => SamplingDecision::RecordOnly,
            other => other,
        };
        SamplingResult { decision, ..asked }
    }
}

/// The span if it is to be exported: sampled, or failed; then as if it had been sampled.
pub(super) fn kept(mut span: SpanData) -> Option<SpanData> {
    let context = &span.span_context;
    if context.is_sampled() {
        return Some(span);
    }
    if !matches!(span.status, Status::Error { .. }) {
        return None;
    }
    span.span_context = SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags().with_sampled(true),
        context.is_remote(),
        context.trace_state().clone(),
    );
    Some(span)
}
