//! One span, from its beginning to its end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Ids, Recorded, Trace};

/// The error of a span that was dropped before its end, such as when the sender hung up.
const CANCELLED: &str = "cancelled";

/// Something that takes time; nothing, and free, where it isn't recorded. It ends when it is dropped at the latest.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    recorded: Arc<Recorded>,
    began: Instant,
    ended: Ended,
}

/// A span that is over.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its own ids.
    pub ids: Ids,
    /// The span that it is a part of.
    pub parent: Option<[u8; 8]>,
    /// `tracestate`.
    pub state: Option<Arc<str>>,
    /// What it is to those beside it.
    pub kind: Kind,
    /// Its name, one of few.
    pub name: String,
    /// When it began, on the clock of this machine.
    pub start: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// One word that says how it failed, if it did.
    pub error: Option<&'static str>,
}

/// What a span is to those beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It answers the span above.
    Server,
    /// It waits for the answer of the span below.
    Client,
    /// It is over before the span below begins, or needn't wait for it.
    Producer,
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
    /// Whether it is so.
    Is(bool),
}

/// What is known of a span.
pub struct Attributes<'a>(&'a mut Vec<(&'static str, Value)>);

impl Span {
    pub(super) fn open(
        recorded: Recorded,
        state: Option<Arc<str>>,
        parent: Option<[u8; 8]>,
        kind: Kind,
        name: String,
    ) -> Self {
        let ended = Ended {
            ids: recorded.ids,
            parent,
            state,
            kind,
            name,
            start: SystemTime::now(),
            took: Duration::ZERO,
            attributes: Vec::with_capacity(12),
            error: Some(CANCELLED),
        };
        let recorded = Arc::new(recorded);
        Self(Some(Box::new(Open { recorded, began: Instant::now(), ended })))
    }

    /// The context of what is done in it, if it is recorded.
    pub fn context(&self) -> Option<Trace> {
        let Open { recorded, ended, .. } = &**self.0.as_ref()?;
        let parent = Some(recorded.ids.header(recorded.flags));
        Some(Trace { parent, state: ended.state.clone(), recorded: Some(recorded.clone()) })
    }

    /// What names it, if it is recorded.
    pub fn ids(&self) -> Option<Ids> {
        self.0.as_ref().map(|open| open.ended.ids)
    }

    /// Add attributes. Where it isn't recorded, `tell` isn't called.
    pub fn describe(&mut self, tell: impl FnOnce(&mut Attributes<'_>)) {
        if let Some(open) = &mut self.0 {
            tell(&mut Attributes(&mut open.ended.attributes));
        }
    }

    /// It is over, and failed if there is an `error`: one word that says how.
    pub fn end(mut self, error: Option<&'static str>) {
        if let Some(open) = &mut self.0 {
            open.ended.error = error;
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let Open { recorded, began, mut ended, .. } = *open;
            ended.took = began.elapsed();
            (recorded.tracer.ended)(ended);
        }
    }
}

impl Attributes<'_> {
    /// Something of it.
    pub fn add(&mut self, name: &'static str, value: impl Into<Value>) -> &mut Self {
        self.0.push((name, value.into()));
        self
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<&Arc<str>> for Value {
    fn from(text: &Arc<str>) -> Self {
        text.to_string().into()
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Is(is)
    }
}
