//! Webhooks that are one question as a whole.

use bytes::Bytes;

use super::facts::{self, Schema};
use super::{reply, server};
use crate::config::Context;
use crate::message::{Answer, Question, Refusal, Replied, Reply};
use crate::source::{Dialogue, Identity, Questions, Unasked};

/// The question of a message of this type.
pub(super) fn question(
    body: &Bytes,
    kind: &str,
    schema: Option<Schema>,
    holders: server::Holders<'_>,
) -> Questions {
    let question = Question {
        function: None,
        timeout: facts::timeout(kind),
        limit: server::limit(kind, holders),
        is_async: false,
        may_be_empty: false,
    };
    Questions { all: vec![question], dialogue: Box::new(One { body: body.clone(), schema }) }
}

struct One {
    body: Bytes,
    /// Nothing where the answer is passed on as it comes.
    schema: Option<Schema>,
}

impl Dialogue for One {
    /// The webhook's own bytes.
    fn payloads<'a>(
        &mut self,
        _: &dyn Fn(usize) -> &'a Context,
        _: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Option<Bytes>> {
        vec![Some(self.body.clone())]
    }

    fn identity(&self, _: usize) -> Option<Identity<'_>> {
        None
    }

    fn check(&self, reply: &Replied) -> Result<(), &'static str> {
        self.schema.map_or(Ok(()), |schema| reply::check(schema, &reply.body))
    }

    fn is_streamed(&self) -> bool {
        self.schema.is_none()
    }

    fn fallback(&self) -> Option<Bytes> {
        let is_search = self.schema == Some(Schema::KnowledgeBase);
        is_search.then_some(Bytes::from_static(br#"{"documents":[]}"#))
    }

    fn reply(self: Box<Self>, answers: Vec<Answer>, _: Unasked) -> Result<Reply, Refusal> {
        reply::single(answers)
    }
}
