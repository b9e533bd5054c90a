//! Traces: the context that a webhook belongs to, and the spans of what is done for it.
//!
//! Without a [`Tracer`] a context is passed on as it came, and a [`Span`] costs one check of an `Option`. With one, a
//! webhook is a span below its sender's, and what goes to brokers and workers is the context of the span that they are
//! asked in, so that theirs hang below it. A sender's decision to sample is respected; where there is none, chance decides,
//! and the context holds the decision.
//!
//! When a span ends, its tracer passes it to the function that it was created with. That function must not block: a
//! webhook waits for it.

mod context;
mod span;

use std::sync::Arc;

use http::HeaderMap;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

pub use self::context::Ids;
use self::context::{Flags, Parent};
pub use self::span::{Attributes, Ended, Kind, Span, Value};

/// W3C trace context.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// `traceparent`, well-formed.
    pub parent: Option<Arc<str>>,
    /// `tracestate`, when there is a parent.
    pub state: Option<Arc<str>>,
    /// The span that `parent` names, if it is one of ours that is recorded.
    recorded: Option<Arc<Recorded>>,
}

#[derive(Debug)]
struct Recorded {
    tracer: Arc<Tracer>,
    ids: Ids,
    flags: Flags,
}

/// Makes spans.
pub struct Tracer {
    /// Of the traces that begin here, those whose id is below this are recorded.
    bound: u64,
    ended: Box<dyn Fn(Ended) + Send + Sync>,
}

impl Tracer {
    /// A tracer that records this part of the traces that begin here, and hands spans that ended to `ended`.
    pub fn new(ratio: f64, ended: impl Fn(Ended) + Send + Sync + 'static) -> Self {
        // As the SDKs of OpenTelemetry decide, so that they agree on a trace: by the last eight bytes of its id.
        let bound = (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
        Self { bound, ended: Box::new(ended) }
    }

    /// The span of a request, below the one that its headers name, and the context of what is done for it.
    pub fn receive(
        self: &Arc<Self>,
        headers: &HeaderMap,
        name: impl FnOnce() -> String,
    ) -> (Trace, Span) {
        let (parent, received) = Trace::read(headers).unzip();
        let received = received.unwrap_or_default();
        let (trace, flags) = match &parent {
            Some(parent) if !parent.flags.is_sampled() => return (received, Span::default()),
            Some(parent) => (parent.ids.trace, parent.flags),
            None => self.begin(),
        };
        let ids = Ids { trace, span: RandomIdGenerator::default().new_span_id().to_bytes() };
        if !flags.is_sampled() {
            return (Trace { parent: Some(ids.header(flags)), ..received }, Span::default());
        }
        let recorded = Recorded { tracer: self.clone(), ids, flags };
        let state = received.state;
        let span =
            Span::open(recorded, state, parent.map(|parent| parent.ids.span), Kind::Server, name());
        (span.context().unwrap_or_default(), span)
    }

    /// The id of a new trace, and whether it is recorded.
    fn begin(&self) -> ([u8; 16], Flags) {
        let id = RandomIdGenerator::default().new_trace_id().to_bytes();
        let last_eight_bytes = u128::from_be_bytes(id) as u64;
        (id, Flags::sampled(last_eight_bytes >> 1 < self.bound))
    }
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracer").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl Trace {
    /// A context of elsewhere.
    pub fn new(parent: Option<Arc<str>>, state: Option<Arc<str>>) -> Self {
        Self { parent, state, recorded: None }
    }

    /// The context in the headers of a request (W3C Trace Context, §3.2). A malformed one is as good as none.
    pub fn received(headers: &HeaderMap) -> Self {
        Self::read(headers).map(|(_, trace)| trace).unwrap_or_default()
    }

    /// The same, with the span that it names.
    fn read(headers: &HeaderMap) -> Option<(Parent, Self)> {
        let text = |name| headers.get(name)?.to_str().ok().filter(|text: &&str| !text.is_empty());
        let written = text("traceparent")?;
        let parent = Parent::parse(written)?;
        let state = text("tracestate").filter(|state| state.len() <= 512);
        Some((parent, Self::new(Some(written.into()), state.map(Into::into))))
    }

    /// The id of the trace, as it is written in `traceparent`.
    pub fn id(&self) -> Option<&str> {
        self.parent.as_deref()?.split('-').nth(1)
    }

    /// What names the span that this is the context of, if it is recorded.
    pub fn ids(&self) -> Option<Ids> {
        self.recorded.as_ref().map(|recorded| recorded.ids)
    }

    /// A span below the one that this is the context of, if that is recorded.
    pub fn child(&self, kind: Kind, name: impl FnOnce() -> String) -> Span {
        let Some(recorded) = &self.recorded else { return Span::default() };
        let Recorded { tracer, ids: Ids { trace, span: parent }, flags } = &**recorded;
        let span = RandomIdGenerator::default().new_span_id().to_bytes();
        let child =
            Recorded { tracer: tracer.clone(), ids: Ids { trace: *trace, span }, flags: *flags };
        Span::open(child, self.state.clone(), Some(*parent), kind, name())
    }
}

#[cfg(test)]
mod tests;
