//! The one question whose answer is passed on as it comes.

use std::time::Instant;

use super::questions::{Answered, End, Walk, hold};
use crate::ask::Streamed;
use crate::limit::Permit;
use crate::message::{Answer, Content, Outcome, Refusal, Reply};
use crate::source::Dialogue;

impl Walk {
    /// Ask it; its place is held until the last part.
    pub(super) async fn stream(&self, dialogue: &dyn Dialogue, permit: Option<Permit>) -> Answered {
        let began = Instant::now();
        let (rule, metrics) = (self.rule(0), self.metrics(0));
        let asking = self.asking(0, &metrics);
        let asked = match permit {
            None => Err(Outcome::Overloaded),
            Some(permit) => {
                let ask = self.prepare(0, self.webhook.body.clone(), &metrics, &asking);
                let answer = ask.stream(self.bridge.questions.as_ref(), rule.chunk_timeout).await;
                let reply = |Streamed { body, content_type }| {
                    Reply::bytes(hold(body, permit), content_type)
                };
                answer.map(reply).map_err(|(outcome, _)| outcome)
            }
        };
        let outcome = asked.as_ref().err().copied().unwrap_or(Outcome::Answered);
        metrics.ended(outcome, began.elapsed(), asking.span.ids());
        self.watch(0, &metrics, outcome);
        // What is streamed is not kept.
        let fallback = rule.fallback.clone().filter(|_| asked.is_err());
        let content = fallback.clone().map_or(Content::Nothing, Content::Fallback);
        let answer = Answer { outcome, content };
        let End { record, .. } = self.end(dialogue, 0, answer, asking, false);
        self.audit(vec![record]);
        let fell_back = fallback.is_some();
        let fallback = || fallback.map(Reply::json).ok_or(Refusal::Unanswered(outcome));
        Answered { outcome, fell_back, reused: false, reply: asked.or_else(|_| fallback()) }
    }
}
