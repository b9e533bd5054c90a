//! Admits questions, lets them wait, has them answered, and logs one line about each.
//!
//! Nothing in here grows without a bound: questions over a number or over a sum of bytes get the error "busy".

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::json_lines::JsonLines;
use super::log;
use super::process::Process;
use super::question::{Answer, AnswerError, Question};
use super::reply_sender::ReplySender;

/// Limit for the payloads of all questions together, in KiB.
const MAX_PAYLOAD_KIB: u32 = 128 << 10;
/// Time for the error "busy" to leave.
const BUSY_REPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for an error to leave after the deadline, where the question named none.
const ERROR_REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// An answer that is being worked out.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, AnswerError>> + Send + 'a>>;

/// Works answers out by other means than a program.
pub trait Answerer: fmt::Debug + Send + Sync {
    /// Whether a question is for it. One that isn't gets no reply, so that others may give one.
    fn accepts(&self, question: &Question) -> bool {
        let _ = question;
        true
    }

    /// The answer, of at most `limit` bytes, before the question's deadline.
    fn answer<'a>(&'a self, question: &'a Question, limit: usize) -> Answering<'a>;

    /// Tell of a question that isn't answered, or whose answer can't be sent.
    fn report(&self, question: &Question, outcome: &str);
}

/// What works the answers out.
#[derive(Debug)]
pub(super) enum Runner {
    /// A program that is started for each question.
    PerQuestion(Process),
    /// One that keeps running.
    JsonLines(JsonLines),
    /// Something else.
    Other(Arc<dyn Answerer>),
}

/// Where questions come in and answers go out.
#[derive(Debug)]
pub(super) struct Dispatcher {
    runner: Runner,
    pub(super) replies: Arc<ReplySender>,
    /// Questions that are worked on or wait.
    slots: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
    /// Questions that are worked on. They get their turns in order.
    turns: Semaphore,
    tasks: Mutex<JoinSet<()>>,
}

/// Room for a question, given back when it is dropped.
type Admission = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Dispatcher {
    /// For `concurrency` questions at a time, and `waiting` more that may wait.
    pub(super) fn new(
        runner: Runner,
        replies: Arc<ReplySender>,
        concurrency: usize,
        waiting: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            runner,
            replies,
            slots: Arc::new(Semaphore::new(concurrency + waiting)),
            kibibytes: Arc::new(Semaphore::new(MAX_PAYLOAD_KIB as usize)),
            turns: Semaphore::new(concurrency),
            tasks: Mutex::default(),
        })
    }

    /// Take a question, unless it is too late or too much.
    pub(super) async fn take(self: &Arc<Self>, question: Question) {
        if let Runner::Other(answerer) = &self.runner
            && !answerer.accepts(&question)
        {
            return;
        }
        if question.request.message.reply.is_none() {
            return self.report(&question, "dropped, since no reply is expected");
        }
        if question.is_expired() {
            return self.report(&question, "dropped, since it is past its deadline");
        }
        let Some(admission) = self.admit(question.size()) else {
            let busy = AnswerError::new(503, "busy: too many questions at the same time");
            let sent =
                self.replies.reply(&question, Err(busy), Instant::now() + BUSY_REPLY_TIMEOUT).await;
            return self.report(&question, &with("refused, since it is busy", sent));
        };
        let dispatcher = self.clone();
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move { dispatcher.serve(question, admission).await });
    }

    fn admit(&self, bytes: usize) -> Option<Admission> {
        let kibibytes = u32::try_from(bytes.div_ceil(1 << 10)).ok()?.max(1);
        let slot = self.slots.clone().try_acquire_owned().ok()?;
        Some((slot, self.kibibytes.clone().try_acquire_many_owned(kibibytes).ok()?))
    }

    async fn serve(&self, question: Question, _admission: Admission) {
        let Ok(turn) = timeout_at(question.deadline, self.turns.acquire()).await else {
            return self.report(&question, "dropped, since its deadline passed while it waited");
        };
        let answer = match self.answer(&question).await {
            Err(failed) if failed.code == 504 && question.is_limited => {
                // The bridge has stopped waiting for a reply.
                return self.report_answer(&question, "too slow: its deadline passed", Ok(()));
            }
            answer => answer,
        };
        drop(turn);
        let outcome = match &answer {
            Ok(_) => "answered".to_owned(),
            Err(AnswerError { code, .. }) => format!("failed ({code})"),
        };
        let deadline = if question.is_limited {
            question.deadline
        } else {
            Instant::now() + ERROR_REPLY_TIMEOUT
        };
        let sent = self.replies.reply(&question, answer, deadline).await;
        self.report_answer(&question, &outcome, sent);
    }

    async fn answer(&self, question: &Question) -> Result<Answer, AnswerError> {
        let limit = self.replies.limit();
        let answer = match &self.runner {
            Runner::PerQuestion(program) => {
                program.answer(question, question.input()?, limit).await?
            }
            Runner::JsonLines(lines) => lines.answer(question, &question.input()?, limit).await?,
            Runner::Other(answerer) => return answerer.answer(question, limit).await,
        };
        Ok(answer.into())
    }

    /// Log what came of a question. Other answerers than programs have told of it, unless it can't be sent.
    fn report_answer(&self, question: &Question, outcome: &str, sent: Result<(), String>) {
        if sent.is_err() || !matches!(self.runner, Runner::Other(_)) {
            self.report(question, &with(outcome, sent));
        }
    }

    /// Log the one line about a question.
    fn report(&self, question: &Question, outcome: &str) {
        if let Runner::Other(answerer) = &self.runner {
            return answerer.report(question, outcome);
        }
        let took = question.arrived.elapsed().as_millis();
        let name = question.name.escape_debug();
        log(format_args!("{name} {}: {outcome} ({took} ms)", question.id()));
    }

    /// Wait for the questions that are worked on, until the limit or until `hurry` ends; then end them.
    pub(super) async fn finish(&self, limit: Duration, hurry: impl Future<Output = ()>) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.try_join_next().is_some() {}
        if !tasks.is_empty() {
            log(format_args!("stopping: {} in flight, {}s at most", tasks.len(), limit.as_secs()));
        }
        let finishing = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            _ = timeout(limit, finishing) => {}
            () = hurry => log("stopped without waiting"),
        }
        // Ends their programs as well.
        tasks.shutdown().await;
        self.replies.flush().await;
        if let Runner::JsonLines(lines) = &self.runner {
            lines.stop().await;
        }
    }
}

/// The outcome, and why the sender doesn't hear of it.
fn with(outcome: &str, sent: Result<(), String>) -> String {
    match sent {
        Ok(()) => outcome.to_owned(),
        Err(reason) => format!("{outcome}, but it can't be said: {reason}"),
    }
}
