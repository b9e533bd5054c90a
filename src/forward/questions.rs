//! Questions: posted to the server, its answer brought back as that of a worker.

use std::fmt;
use std::sync::Arc;

use async_nats::HeaderMap;
use http::StatusCode;
use http::header::HeaderValue;
use tokio::time::Instant;

use super::about::About;
use super::filter::Filter;
use super::http::{Answered, Failed, Server};
use super::report::{Report, Reporter};
use super::request::Dialect;
use crate::config::provider::Asking;
use crate::nats::header::insert;
use crate::source;
use crate::worker::{Answer, AnswerError, Answerer, Answering, Question};

/// Asks the server.
pub struct Questions {
    server: Arc<Server>,
    dialect: Dialect,
    filter: Filter,
    is_dry: bool,
    reporter: Arc<dyn Reporter>,
}

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Questions {
    /// Those that fit the filter; with `is_dry` none is posted.
    pub fn new(
        server: Arc<Server>,
        dialect: Dialect,
        filter: Filter,
        is_dry: bool,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        Self { server, dialect, filter, is_dry, reporter }
    }

    async fn ask(&self, question: &Question, limit: usize) -> Result<Answer, AnswerError> {
        let (about, mut request) = self.dialect.question(question);
        request.set("hookbus-deadline", &question.deadline_ms().to_string());
        request.set("hookbus-timeout-ms", &question.left_ms().to_string());
        let began = Instant::now();
        let asked = self.server.ask(&request, question.deadline, limit).await;
        let answer = match &asked {
            Ok(answered) => self.read(&about, question, answered),
            Err(failed @ Failed::Late) => Err(AnswerError::new(504, failed.to_string())),
            Err(failed) => Err(AnswerError::new(502, failed.to_string())),
        };
        self.reporter.request(&Report {
            about: &about,
            request: &request,
            status: asked.as_ref().ok().map(|answered| answered.status.as_u16()),
            outcome: match (&asked, &answer) {
                (Err(failed), _) => failed.as_str(),
                (Ok(answered), Err(_)) if answered.status.is_success() => "bad-answer",
                _ => "",
            },
            answer: asked.as_ref().map_or(&[][..], |answered| &answered.body),
            note: answer.as_ref().err().map(|failed| failed.text.clone()),
            took: began.elapsed(),
        });
        answer
    }

    /// What the bridge gets of an answer.
    fn read(
        &self,
        about: &About,
        question: &Question,
        answered: &Answered,
    ) -> Result<Answer, AnswerError> {
        let bad = |text: &str| AnswerError::new(502, text);
        let asking = self.dialect.asking(&about.name);
        let status = answered.status;
        let is_known = asking.is_some_and(|asking| asking.statuses.contains(&status.as_u16()));
        if !status.is_success() && !is_known {
            // A 504 of the bridge's own is never sent.
            let code = if status.is_client_error() { status.as_u16() } else { 502 };
            return Err(AnswerError::new(code, format!("the server answered {status}")));
        }
        if self.dialect.is_answered_in_bytes(&about.name) {
            return Ok(with_content_type(answered));
        }
        let Ok(text) = std::str::from_utf8(&answered.body) else {
            return Err(bad("the server's answer is not UTF-8"));
        };
        if about.function.is_some() {
            let reply = source::reply_of_server(&about.name, question.payload(), text);
            return reply.map(Answer::from).map_err(bad);
        }
        if text.is_empty() && !asking.is_some_and(|asking| asking.may_be_empty) {
            return Err(bad("the server's answer is empty"));
        }
        let headers = asking.map(|asking| headers(asking, answered)).unwrap_or_default();
        Ok(Answer { body: answered.body.clone(), headers })
    }
}

impl Answerer for Questions {
    fn accepts(&self, question: &Question) -> bool {
        let fits = self.filter.fits(&self.dialect.about(question));
        if fits && self.is_dry {
            let (about, request) = self.dialect.question(question);
            self.reporter.dry(&about, &request);
        }
        fits && !self.is_dry
    }

    fn answer<'a>(&'a self, question: &'a Question, limit: usize) -> Answering<'a> {
        Box::pin(self.ask(question, limit))
    }

    fn report(&self, question: &Question, outcome: &str) {
        let name = question.name.escape_debug();
        self.reporter.say(format!("{name} {}: {outcome}", question.id()));
    }
}

/// The bytes of an answer, and what they are.
fn with_content_type(answered: &Answered) -> Answer {
    let mut headers = HeaderMap::new();
    let said = answered.header("content-type").and_then(|said| said.parse().ok());
    if let Some(said) = said {
        insert(&mut headers, "Hookbus-Content-Type", said);
    }
    Answer { body: answered.body.clone(), headers }
}

/// What of the head of an answer its provider reads. What it doesn't read is left to the bridge.
fn headers(asking: &Asking, answered: &Answered) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let status = answered.status.as_u16();
    if asking.statuses.contains(&status)
        && answered.status != StatusCode::OK
        && let Ok(status) = status.to_string().parse()
    {
        insert(&mut headers, "Hookbus-Status", status);
    }
    let essence =
        |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_read =
        |said: &&str| asking.content_types.iter().any(|known| essence(known) == essence(said));
    let said = answered.header("content-type").filter(is_read);
    if let Some(said) = said.and_then(|said| said.parse().ok()) {
        insert(&mut headers, "Hookbus-Content-Type", said);
    }
    for name in &asking.headers {
        let value = answered.headers.get(name.as_str()).map(HeaderValue::to_str);
        if let Some(Ok(value)) = value
            && let (Ok(name), Ok(value)) =
                (format!("Hookbus-Header-{name}").parse::<async_nats::HeaderName>(), value.parse())
        {
            append(&mut headers, name, value);
        }
    }
    headers
}

#[expect(
    clippy::disallowed_methods,
    reason = "both were made by their FromStr, which refuses line breaks"
)]
fn append(headers: &mut HeaderMap, name: async_nats::HeaderName, value: async_nats::HeaderValue) {
    headers.insert(name, value);
}
