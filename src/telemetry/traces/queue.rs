//! The way of a finished span to the exporter: a queue with an end, whose losses are counted.
//!
//! The SDK's own queue drops what finds no room without a word. So it is never filled: this one counts what waits and drops
//! first. Finishing a span is two atomic operations and never waits, whatever the collector does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

use super::super::losses::{Losses, error_type};
use super::kept::kept;

/// Spans that wait at most, unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise.
pub(super) const SPANS_MAX: usize = 2048;

/// Takes finished spans, at most so many at a time.
#[derive(Debug)]
pub(super) struct Queue {
    batches: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    spans_max: usize,
    losses: Arc<Losses>,
}

impl Queue {
    /// Starts the thread that exports. Batch and delay are the SDK's, from `OTEL_BSP_*`.
    pub(super) fn start<E: SpanExporter + 'static>(
        exporter: E,
        spans_max: usize,
        losses: Losses,
    ) -> Queue {
        let (waiting, losses) = (Arc::new(AtomicUsize::new(0)), Arc::new(losses));
        let counted = Counted {
            exporter,
            waiting: waiting.clone(),
            losses: losses.clone(),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(spans_max)
            .build();
        Queue {
            batches: BatchSpanProcessor::builder(counted)
                .with_batch_config(config)
                .build(),
            waiting,
            spans_max,
            losses,
        }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let Some(span) = kept(span) else {
            return;
        };
        let room = |waiting| (waiting < self.spans_max).then_some(waiting + 1);
        let taken = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        if taken.is_ok() {
            self.batches.on_end(span);
        } else {
            self.losses.dropped(1, "queue_full", Instant::now());
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let result = self.batches.shutdown_with_timeout(timeout);
        let left = self.waiting.swap(0, Ordering::Relaxed);
        if left > 0 {
            self.losses.dropped(left, "shut_down", Instant::now());
        }
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// An exporter that says what it took off the queue, and what it lost.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
    losses: Arc<Losses>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let size = batch.len();
        let left = |waiting: usize| Some(waiting.saturating_sub(size));
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .ok();
        let result = self.exporter.export(batch).await;
        if let Err(error) = &result {
            self.losses.failed(size, error_type(error));
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
