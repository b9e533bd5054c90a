//! What is noted of a webhook on its way, while somebody follows.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;

use super::Shared;
use super::line::{Kind, Webhook};
use crate::message::{About, attribute};

/// The longest part of a body that is shown, in bytes.
const BODY: usize = 64 << 10;

/// The outcome of a webhook whose sender didn't wait for the answer.
const HUNG_UP: &str = "hung-up";

/// A note of one webhook. It becomes a line when the webhook is answered, or when this is dropped before.
pub struct Note {
    shared: Arc<Shared>,
    began: Instant,
    line: Webhook,
    body: Option<Bytes>,
}

impl Note {
    pub(super) fn new(shared: Arc<Shared>, endpoint: Arc<str>) -> Self {
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let line =
            Webhook { time, endpoint, outcome: Cow::Borrowed(HUNG_UP), ..Webhook::default() };
        Self { shared, began: Instant::now(), line, body: None }
    }

    /// It was read, and this is its body.
    pub fn received(&mut self, id: Arc<str>, body: &Bytes) {
        self.line.id = Some(id);
        self.line.bytes = body.len();
        self.body = self.shared.wants_bodies().then(|| body.clone());
    }

    /// This is what it is.
    pub fn classified(&mut self, about: &About) {
        self.line.r#type = Some(attribute(&about.kind));
        self.line.key = about.key.as_ref().map(attribute);
    }

    /// It calls this function.
    pub fn calls(&mut self, function: &Arc<str>) {
        self.line.functions.push(attribute(function));
    }

    /// It goes to this destination, among others.
    pub fn goes_to(&mut self, destination: &Arc<str>) {
        if !self.line.destinations.contains(destination) {
            self.line.destinations.push(destination.clone());
        }
    }

    /// This became of it.
    pub fn ended(
        &mut self,
        outcome: &'static str,
        reason: Option<&'static str>,
        kind: Option<Kind>,
    ) {
        self.line.outcome = Cow::Borrowed(outcome);
        self.line.reason = reason.filter(|reason| *reason != outcome).map(Cow::Borrowed);
        self.line.kind = kind;
    }

    /// This is what its sender gets.
    pub fn answered(mut self, status: u16) {
        self.line.status = Some(status);
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        // Three digits behind the point say enough.
        line.milliseconds = (self.began.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        // It may have been forbidden meanwhile.
        let body = self.body.take().filter(|_| self.shared.wants_bodies()).map(|body| text(&body));
        self.shared.send(line, body);
    }
}

fn text(body: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&body[..body.len().min(BODY)]).into_owned();
    // What isn't UTF-8 takes more room as text.
    text.truncate(text.floor_char_boundary(BODY));
    text
}
