//! The questions of described providers. Mostly a webhook is one, and the worker's reply is the body of the answer; those
//! that hold several are in `each`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::config::Context;
use crate::config::provider::{self, Payload, is_json};
use crate::json::{Reader, quote};
use crate::message::{
    Answer, Body, Content, Outcome, Question, Refusal, Replied, Reply, ReplyHead,
};
use crate::places::{Form, object};
use crate::source::{Dialogue, Identity, Questions, Request, Unasked};
use crate::template::glob;

/// How some types are asked and answered.
#[derive(Debug)]
pub(super) struct Asking {
    types: Vec<String>,
    timeout: Duration,
    payload: Payload,
    content_types: Vec<String>,
    statuses: Vec<StatusCode>,
    headers: Vec<HeaderName>,
    may_be_empty: bool,
    /// As JSON.
    fallback: Option<Bytes>,
}

impl Asking {
    /// As described.
    pub(super) fn new(settings: &provider::Asking) -> Self {
        let statuses =
            settings.statuses.iter().filter_map(|status| StatusCode::from_u16(*status).ok());
        Self {
            types: settings.types.clone(),
            timeout: settings.timeout.get(),
            payload: settings.payload,
            content_types: settings.content_types.clone(),
            statuses: statuses.collect(),
            headers: settings.headers.iter().filter_map(|name| name.parse().ok()).collect(),
            may_be_empty: settings.may_be_empty,
            fallback: settings.fallback.as_ref().map(|value| value.to_string().into()),
        }
    }

    /// What is answered when nobody does, as JSON.
    pub(super) fn fallback(&self) -> Option<Bytes> {
        self.fallback.clone()
    }

    /// The answers to several questions as one reply, which no worker has chosen anything of.
    pub(super) fn of_several(&self, json: Bytes) -> Reply {
        let content_type = self.content_types.first().cloned().unwrap_or_default();
        let status = self.statuses.first().copied().unwrap_or(StatusCode::OK);
        Reply { status, ..Reply::new(Body::Whole(json), content_type) }
    }

    /// Whether an empty reply is an answer.
    pub(super) fn may_be_empty(&self) -> bool {
        self.may_be_empty
    }

    /// Whether a type is asked in this way.
    pub(super) fn is_meant(&self, kind: &str) -> bool {
        self.types.iter().any(|pattern| glob::matches(pattern, kind))
    }

    /// Whether the provider reads such a reply; where not, why.
    pub(super) fn check(&self, reply: &Replied) -> Result<(), &'static str> {
        if self.content_type(reply).is_none() {
            return Err("it has none of the content types that this provider reads");
        }
        if self.status(reply).is_none() {
            return Err("its status is none of those that this provider reads");
        }
        Ok(())
    }

    /// A fallback as a reply: a text stands for itself where the provider doesn't read JSON.
    pub(super) fn fallen_back(&self, json: Bytes) -> Replied {
        let reads_json = self.content_types.iter().any(|listed| is_json(listed));
        let text = (!reads_json)
            .then(|| std::str::from_utf8(&json).ok().and_then(crate::json::content))
            .flatten();
        text.map_or(json, Bytes::from).into()
    }

    /// The content type of a reply: the one that the worker says, or else the first that it fits.
    fn content_type(&self, reply: &Replied) -> Option<&str> {
        let said = reply.head.as_ref().and_then(|head| head.content_type.as_deref());
        let is_said = |listed: &&String| {
            said.is_none_or(|said| essence(listed).eq_ignore_ascii_case(essence(said)))
        };
        let fits = |listed: &&String| {
            reply.body.is_empty() || !is_json(listed) || is_one_document(&reply.body)
        };
        self.content_types.iter().filter(is_said).find(fits).map(String::as_str)
    }

    /// The status of a reply: the one that the worker says, or else the usual one.
    fn status(&self, reply: &Replied) -> Option<StatusCode> {
        match reply.head.as_ref().and_then(|head| head.status) {
            None => self.statuses.first().copied(),
            Some(said) => self.statuses.iter().find(|status| status.as_u16() == said).copied(),
        }
    }

    /// The headers of a reply that may be set.
    fn headers(&self, head: &ReplyHead) -> HeaderMap {
        let said = head.headers.iter().filter_map(|(name, value)| {
            let name = self.headers.iter().find(|known| known.as_str() == name)?;
            Some((name.clone(), HeaderValue::from_str(value).ok()?))
        });
        said.collect()
    }
}

/// A question that is asked in this way.
pub(super) fn question(asking: &Asking) -> Question {
    Question {
        function: None,
        timeout: asking.timeout,
        limit: None,
        is_async: false,
        may_be_empty: asking.may_be_empty,
    }
}

/// What a webhook asks. `form` holds its fields, if it is one.
pub(super) fn questions(
    asking: &Arc<Asking>,
    request: &Request<'_>,
    form: Option<Form>,
    id: Option<Arc<str>>,
) -> Questions {
    let dialogue = Whole::new(asking, request, form, id);
    Questions { all: vec![question(asking)], dialogue: Box::new(dialogue) }
}

/// One webhook that is one question.
struct Whole {
    asking: Arc<Asking>,
    body: Bytes,
    /// The fields of the body, if it is a form: until a worker gets them.
    form: Form,
    query: String,
    /// The id of the delivery, as JSON: a question that comes again has the same.
    id: Option<String>,
}

impl Whole {
    fn new(
        asking: &Arc<Asking>,
        request: &Request<'_>,
        form: Option<Form>,
        id: Option<Arc<str>>,
    ) -> Self {
        // It is a copy of the body. Where a worker gets the body itself, it would be held until the answer.
        let form = form.filter(|_| asking.payload == Payload::Fields);
        Self {
            asking: asking.clone(),
            body: request.body.clone(),
            form: form.unwrap_or_default(),
            query: request.head.uri.query().unwrap_or_default().to_owned(),
            id: id.map(|id| quote(&id)),
        }
    }
}

impl Dialogue for Whole {
    fn payloads<'a>(
        &mut self,
        _: &dyn Fn(usize) -> &'a Context,
        take: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Option<Bytes>> {
        vec![match self.asking.payload {
            Payload::Body => Some(self.body.clone()),
            // Of one byte become six at the most, where all are control characters.
            Payload::Fields => {
                let form = std::mem::take(&mut self.form);
                let most = 6 * (self.body.len() + self.query.len());
                take(most).then(|| object(&Form::of_query(self.query.as_bytes()), &form).into())
            }
        }]
    }

    fn identity(&self, _: usize) -> Option<Identity<'_>> {
        let id = self.id.as_ref()?.as_bytes();
        Some(Identity { id, arguments: &self.body })
    }

    fn check(&self, reply: &Replied) -> Result<(), &'static str> {
        self.asking.check(reply)
    }

    fn fallback(&self) -> Option<Bytes> {
        self.asking.fallback()
    }

    fn reply(self: Box<Self>, answers: Vec<Answer>, _: Unasked) -> Result<Reply, Refusal> {
        let Some(Answer { outcome, content }) = answers.into_iter().next() else {
            return Err(Refusal::Unanswered(Outcome::NoResponders));
        };
        let reply = match content {
            Content::Reply(reply) => reply,
            Content::Fallback(json) => self.asking.fallen_back(json),
            Content::Error(_) | Content::Nothing => return Err(Refusal::Unanswered(outcome)),
        };
        let asking = &self.asking;
        let content_type = match (reply.body.is_empty(), asking.content_type(&reply)) {
            (true, _) | (_, None) => Cow::Borrowed(""),
            (false, Some(content_type)) => Cow::Owned(content_type.to_owned()),
        };
        let status = asking.status(&reply).unwrap_or(StatusCode::OK);
        let headers = reply.head.as_ref().map(|head| asking.headers(head)).unwrap_or_default();
        let answer = Reply::new(Body::Whole(reply.body), content_type);
        Ok(Reply { status, headers, ..answer })
    }
}

/// A content type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn is_one_document(bytes: &[u8]) -> bool {
    let read = |mut reader: Reader<'_>| reader.skip().and_then(|_| reader.end());
    Reader::new(bytes).is_ok_and(|reader| read(reader).is_ok())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_form_is_kept_only_for_a_worker_that_gets_its_fields() {
        let (head, ()) = http::Request::post("/").body(()).unwrap().into_parts();
        let body = Bytes::from_static(b"a=1");
        for (payload, is_kept) in [("fields", true), ("body", false)] {
            let asking = format!("types = [\"*\"]\ntimeout = \"1s\"\npayload = \"{payload}\"");
            let asking = Arc::new(Asking::new(&toml::from_str(&asking).unwrap()));
            let form = Form::of(&body).unwrap();
            let whole = Whole::new(&asking, &Request::new(&head, &body), Some(form), None);
            assert_eq!(whole.form != Form::default(), is_kept, "{payload}");
        }
    }
}
