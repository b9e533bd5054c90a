//! A worker that answers when the test says so.

use crate::support::Nats;
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use std::time::Duration;

pub(crate) struct Held {
    client: async_nats::Client,
    questions: Subscriber,
}

impl Held {
    /// Listens on this subject; returns when the server knows of it.
    pub(crate) async fn on(nats: &Nats, subject: &str) -> Held {
        let client = nats.client().await;
        let questions = client.queue_subscribe(subject.to_owned(), "q".to_owned()).await.unwrap();
        // The server reads a connection's commands in order.
        let inbox = client.new_inbox();
        let mut echo = client.subscribe(inbox.clone()).await.unwrap();
        client.publish(inbox, Bytes::new()).await.unwrap();
        echo.next().await.expect("the server answers");
        Held { client, questions }
    }

    /// The next question.
    pub(crate) async fn next(&mut self) -> Message {
        tokio::time::timeout(Duration::from_secs(20), self.questions.next())
            .await
            .expect("a question")
            .expect("a connection")
    }

    /// Answers a question, and returns when the server has the answer.
    pub(crate) async fn answer(&self, question: &Message, reply: impl Into<Bytes>) {
        let inbox = question.reply.clone().expect("a reply subject");
        self.client.publish(inbox, reply.into()).await.unwrap();
        self.client.flush().await.unwrap();
    }

    /// A part of an answer, which may be followed by another one.
    pub(crate) async fn part(&self, question: &Message, reply: impl Into<Bytes>, more: bool) {
        let inbox = question.reply.clone().expect("a reply subject");
        let mut headers = async_nats::HeaderMap::new();
        #[expect(clippy::disallowed_methods, reason = "a name and a value that are known")]
        headers.insert("Hookbus-More", if more { "true" } else { "false" });
        self.client.publish_with_headers(inbox, headers, reply.into()).await.unwrap();
        self.client.flush().await.unwrap();
    }

    pub(crate) async fn answer_next(&mut self, reply: impl Into<Bytes>) {
        let question = self.next().await;
        self.answer(&question, reply).await;
    }
}
