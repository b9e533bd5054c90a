//! What is noted of a webhook on its way, while somebody follows.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::Shared;
use super::line::{Asked, DestinationReceipt, Kind, Question, Webhook};
use crate::message::{HangUp, Metadata, Receipt, Refusal, attribute};
use crate::trace::Trace;

/// The longest part of a body that is shown, in bytes.
const BODY: usize = 64 << 10;

/// The outcome of a webhook whose sender didn't wait for the answer.
const HUNG_UP: &str = "hung-up";

/// A sender that says so soon after its request that nothing more will come has shut down its writing half, and waits
/// for the answer. Later it has lost its patience.
const HALF_CLOSED: Duration = Duration::from_millis(100);

/// A note of one webhook. It becomes a line when the webhook is answered, when its sender hangs up, or when this is
/// dropped before.
pub struct TapRecord {
    shared: Arc<Shared>,
    /// Nothing once it is a line.
    open: Arc<Mutex<Option<Unfinished>>>,
    /// Waits for the sender to hang up.
    watch: AbortHandle,
}

/// What will be a line.
struct Unfinished {
    began: Instant,
    /// When all of the request was there.
    received: Option<Instant>,
    line: Webhook,
    body: Option<Bytes>,
    asked: Vec<(Asked, Bytes)>,
}

impl TapRecord {
    pub(super) fn new(shared: Arc<Shared>, endpoint: Arc<str>, hang_up: Arc<HangUp>) -> Self {
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let line =
            Webhook { time, endpoint, outcome: Cow::Borrowed(HUNG_UP), ..Webhook::default() };
        let unfinished = Unfinished {
            began: Instant::now(),
            received: None,
            line,
            body: None,
            asked: Vec::new(),
        };
        let open = Arc::new(Mutex::new(Some(unfinished)));
        let watch = {
            let (shared, open) = (shared.clone(), open.clone());
            let watch = async move {
                hang_up.told().await;
                let is_late = |received: Instant| received.elapsed() > HALF_CLOSED;
                let hung_up = open.lock().take_if(|open| open.received.is_some_and(is_late));
                if let Some(hung_up) = hung_up {
                    hung_up.finish(&shared);
                }
            };
            tokio::spawn(watch).abort_handle()
        };
        Self { shared, open, watch }
    }

    fn change(&self, change: impl FnOnce(&mut Unfinished)) {
        // After a sender hung up nobody will see it.
        if let Some(open) = &mut *self.open.lock() {
            change(open);
        }
    }

    /// This was asked for, where no webhook could be made of it.
    pub fn asked(&mut self, request: &Arc<str>) {
        self.change(|open| open.line.request = Some(attribute(request)));
    }

    /// It is part of this trace.
    pub fn traced(&mut self, trace: &Trace) {
        self.change(|open| open.line.trace_id = trace.id().map(Into::into));
    }

    /// Its sender is known; the first time counts.
    pub fn authenticated(&self) {
        self.change(|open| {
            let took = open.began.elapsed();
            open.line.authenticated_milliseconds.get_or_insert(milliseconds(took));
        });
    }

    /// It was read, and this is its body.
    pub fn received(&mut self, id: Arc<str>, body: &Bytes) {
        let kept = self.shared.wants_bodies().then(|| body.clone());
        self.change(|open| {
            let now = Instant::now();
            open.received = Some(now);
            open.line.received_milliseconds = Some(milliseconds(now - open.began));
            open.line.id = Some(id);
            open.line.bytes = body.len();
            open.body = kept;
        });
    }

    /// This is what it is.
    pub fn classified(&mut self, metadata: &Metadata) {
        self.change(|open| {
            open.line.r#type = Some(attribute(&metadata.kind));
            open.line.key = metadata.key.as_ref().map(attribute);
        });
    }

    /// It asks this, among other things; nothing where the type is the question.
    pub fn asks(&mut self, function: Option<&Arc<str>>) {
        let question = Question { function: function.map(attribute), ..Question::default() };
        self.change(|open| open.line.questions.push(question));
    }

    /// Where it is noted how its parts end.
    pub fn progress(&self) -> TapProgress {
        TapProgress { shared: self.shared.clone(), open: self.open.clone() }
    }

    /// It goes to this destination, among others.
    pub fn goes_to(&mut self, destination: &Arc<str>) {
        self.change(|open| {
            if !open.line.destinations.contains(destination) {
                open.line.destinations.push(destination.clone());
            }
        });
    }

    /// This became of it.
    pub fn ended(
        &mut self,
        outcome: &'static str,
        reason: Option<&'static str>,
        kind: Option<Kind>,
    ) {
        self.change(|open| {
            open.line.outcome = Cow::Borrowed(outcome);
            open.line.reason = reason.map(Cow::Borrowed);
            open.line.kind = kind;
        });
    }

    /// This is why it was refused, in a sentence.
    pub fn explained(&mut self, error: String) {
        self.change(|open| open.line.error = Some(error));
    }

    /// This is what its sender gets.
    pub fn answered(self, status: u16) {
        self.change(|open| open.line.status = Some(status));
    }
}

/// The parts of a note, its questions and destinations, which end one by one.
#[derive(Clone)]
pub struct TapProgress {
    shared: Arc<Shared>,
    open: Arc<Mutex<Option<Unfinished>>>,
}

impl TapProgress {
    /// Whether somebody would see what workers get.
    pub fn wants_bodies(&self) -> bool {
        self.shared.wants_bodies()
    }

    /// A worker gets this, with this payload.
    pub fn asked(&self, asked: Asked, payload: Bytes) {
        if let Some(open) = &mut *self.open.lock() {
            open.asked.push((asked, payload));
        }
    }

    /// This came of the event at a destination.
    pub fn stored(&self, destination: &Arc<str>, stored: &Result<Receipt, Refusal>) {
        if let Some(open) = &mut *self.open.lock() {
            let outcome = match stored {
                Ok(receipt) => receipt.as_str(),
                Err(Refusal::NotStored(why)) => why,
                Err(refusal) => refusal.reason(),
            };
            open.line.receipts.push(DestinationReceipt {
                destination: destination.clone(),
                outcome: Cow::Borrowed(outcome),
                milliseconds: milliseconds(open.began.elapsed()),
            });
        }
    }

    /// This came of the question at this place.
    pub fn answered(
        &self,
        place: usize,
        outcome: &'static str,
        took: Duration,
        worker: Option<&Arc<str>>,
        reused: bool,
    ) {
        // After a sender hung up nobody will see it.
        if let Some(question) =
            self.open.lock().as_mut().and_then(|open| open.line.questions.get_mut(place))
        {
            question.outcome = Some(Cow::Borrowed(outcome));
            question.milliseconds = Some(milliseconds(took));
            question.worker = worker.cloned();
            question.reused = reused;
        }
    }
}

impl Drop for TapRecord {
    fn drop(&mut self) {
        self.watch.abort();
        let open = self.open.lock().take();
        if let Some(open) = open {
            open.finish(&self.shared);
        }
    }
}

impl Unfinished {
    fn finish(mut self, shared: &Shared) {
        self.line.milliseconds = milliseconds(self.began.elapsed());
        // It may have been forbidden meanwhile.
        if !shared.wants_bodies() {
            return shared.send(self.line, None, Vec::new());
        }
        let mut left = BODY;
        let asked = self.asked.into_iter().map_while(|(asked, payload)| {
            left = left.checked_sub(asked.size())?;
            let payload = text(&payload, left, shared);
            left -= payload.len();
            Some(Asked { payload, ..asked })
        });
        let asked = asked.collect();
        shared.send(self.line, self.body.map(|body| text(&body, BODY, shared)), asked);
    }
}

/// Three digits behind the point say enough.
fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

fn text(body: &[u8], max: usize, shared: &Shared) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(max)]).into_owned();
    let mut text = shared.redaction.load().apply(text);
    // What isn't UTF-8 takes more room as text, and so does what stands for secrets.
    text.truncate(text.floor_char_boundary(max));
    text
}
