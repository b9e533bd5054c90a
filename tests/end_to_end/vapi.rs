//! What Vapi asks, and what it gets for an answer: every question type with every outcome, through the built binary.

mod audit;
mod checks;
mod deadlines;
mod entries;
mod fanout;
mod jobs;
mod load;
mod questions;
mod sender_limits;
mod several;
mod simulations;
mod streams;
mod voice;
mod workers;

use crate::support::{Nats, Question, Reply, Worker};
use std::sync::{Arc, Mutex};

/// A worker whose reply is set from question to question.
struct Scripted {
    worker: Worker,
    next: Arc<Mutex<Reply>>,
}

impl Scripted {
    async fn start(nats: &Nats, subject: &str) -> Scripted {
        let next = Arc::new(Mutex::new(Reply::none()));
        let reply = next.clone();
        let worker = Worker::start(nats, subject, move |_| reply.lock().unwrap().clone()).await;
        Scripted { worker, next }
    }

    fn says(&self, reply: Reply) {
        *self.next.lock().unwrap() = reply;
    }

    /// What it was asked last.
    fn asked(&self) -> Question {
        self.worker.questions().pop().expect("a question")
    }
}
