//! The desk: who is let in, who waits, who is answered, and the one line that is said about each question.
//!
//! Nothing in here grows without a bound: questions over a number or over a sum of bytes
//! are told that it is busy.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::say;
use super::lines::Lines;
use super::outlet::Outlet;
use super::program::Program;
use super::question::{Failed, Question};

/// Payload bytes of all questions together, in KiB.
const MOST_KIB: u32 = 128 << 10;
/// Time to say that it is busy.
const SHORT: Duration = Duration::from_secs(1);
/// Time for an error to leave after the deadline, where that was our own.
const AFTER: Duration = Duration::from_secs(2);

/// Who works the answers out.
#[derive(Debug)]
pub(super) enum Work {
    /// A program that is started for each question.
    Each(Program),
    /// One that keeps running.
    Lines(Lines),
}

/// Where questions come in and answers go out.
#[derive(Debug)]
pub(super) struct Desk {
    work: Work,
    pub(super) outlet: Arc<Outlet>,
    /// Questions that are worked on or wait.
    places: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
    /// Questions that are worked on. They get their turns in order.
    turns: Semaphore,
    tasks: Mutex<JoinSet<()>>,
}

/// A place at the desk, given back when it is dropped.
type Seat = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Desk {
    /// So many questions at a time, and so many more that may wait.
    pub(super) fn new(
        work: Work,
        outlet: Arc<Outlet>,
        concurrency: usize,
        waiting: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            work,
            outlet,
            places: Arc::new(Semaphore::new(concurrency + waiting)),
            kibibytes: Arc::new(Semaphore::new(MOST_KIB as usize)),
            turns: Semaphore::new(concurrency),
            tasks: Mutex::default(),
        })
    }

    /// Take a question, unless it is too late or too much.
    pub(super) async fn take(self: &Arc<Self>, question: Question) {
        if question.request.message.reply.is_none() {
            return report(&question, "dropped, since nobody waits for a reply");
        }
        if question.is_expired() {
            return report(&question, "dropped, since it is past its deadline");
        }
        let Some(seat) = self.seat(question.size()) else {
            let busy = Failed::new(503, "busy: too many questions at the same time");
            let told = self.outlet.reply(&question, Err(busy), Instant::now() + SHORT).await;
            return report(&question, &with("refused, since it is busy", told));
        };
        let desk = self.clone();
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move { desk.serve(question, seat).await });
    }

    fn seat(&self, bytes: usize) -> Option<Seat> {
        let kibibytes = u32::try_from(bytes.div_ceil(1 << 10)).ok()?.max(1);
        let place = self.places.clone().try_acquire_owned().ok()?;
        Some((place, self.kibibytes.clone().try_acquire_many_owned(kibibytes).ok()?))
    }

    async fn serve(&self, question: Question, _seat: Seat) {
        let Ok(turn) = timeout_at(question.deadline, self.turns.acquire()).await else {
            return report(&question, "dropped, since its deadline passed while it waited");
        };
        let answer = match self.answer(&question).await {
            Err(failed) if failed.code == 504 && question.is_limited => {
                // Whoever asked has stopped waiting, and hears nothing that comes now.
                return report(&question, "too slow: its deadline passed");
            }
            answer => answer,
        };
        drop(turn);
        let how = match &answer {
            Ok(_) => "answered".to_owned(),
            Err(Failed { code, .. }) => format!("failed ({code})"),
        };
        let deadline = if question.is_limited { question.deadline } else { Instant::now() + AFTER };
        let told = self.outlet.reply(&question, answer, deadline).await;
        report(&question, &with(&how, told));
    }

    async fn answer(&self, question: &Question) -> Result<Bytes, Failed> {
        let limit = self.outlet.limit();
        let input = question.input()?;
        match &self.work {
            Work::Each(program) => program.answer(question, input, limit).await,
            Work::Lines(lines) => lines.answer(question, &input, limit).await,
        }
    }

    /// Wait for the questions that are worked on, until the limit or until it shall hurry; then end them.
    pub(super) async fn finish(&self, limit: Duration, hurry: impl Future<Output = ()>) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.try_join_next().is_some() {}
        if !tasks.is_empty() {
            say(format_args!("stopping: {} in flight, {}s at most", tasks.len(), limit.as_secs()));
        }
        let finishing = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            _ = timeout(limit, finishing) => {}
            () = hurry => say("stopped without waiting"),
        }
        // Ends their programs as well.
        tasks.shutdown().await;
        self.outlet.flush().await;
        if let Work::Lines(lines) = &self.work {
            lines.stop().await;
        }
    }
}

fn with(how: &str, told: Result<(), String>) -> String {
    match told {
        Ok(()) => how.to_owned(),
        Err(reason) => format!("{how}, but it can't be said: {reason}"),
    }
}

/// The one line about a question.
fn report(question: &Question, how: &str) {
    let took = question.arrived.elapsed().as_millis();
    let name = question.name.escape_debug();
    say(format_args!("{name} {}: {how} ({took} ms)", question.id()));
}
