//! A signature of one request: what its head shows was judged, and its body is to come.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::request::Parts;
use ring::{digest, hmac};

use super::input::Input;
use super::key::Key;
use super::layout::Read;
use super::{Scheme, hex, is_form, message, text};
use crate::auth::secret::same;
use crate::auth::{Cause, only};
use crate::config::piece::Piece;
use crate::places::{self, Content, Form, Values};

/// What a signature that was found to be right says.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof<'a> {
    /// It itself.
    pub signature: Vec<u8>,
    /// The number of the secret that made it.
    pub key: usize,
    /// The time of signing as it was sent, where it is signed.
    pub time: Cow<'a, str>,
    /// The same in seconds since 1970.
    pub at: Option<u64>,
}

/// A signature whose headers are in order, and whose bytes are to come.
pub struct Signed<'a> {
    pub(super) scheme: &'a Scheme,
    pub(super) read: Read<'a>,
    pub(super) time: Cow<'a, str>,
    pub(super) now: SystemTime,
    /// The same, since 1970.
    pub(super) at: Option<Duration>,
    /// The signatures as far as the body has come, for each URL by each key; none for one that comes in one piece.
    pub(super) begun: Vec<hmac::Context>,
}

impl<'a> Signed<'a> {
    /// The time of signing since 1970, where the head shows it.
    pub const fn at(&self) -> Option<Duration> {
        self.at
    }

    /// The next piece of a body.
    pub fn part(&mut self, head: &Parts, part: &[u8]) {
        if !self.scheme.is_streamed() {
            return;
        }
        if self.begun.is_empty() {
            let before = self.scheme.message.iter().take_while(|piece| **piece != Piece::Body);
            // A body that is read for the message isn't signed as it comes.
            let values = self.scheme.places.read_head(head);
            for url in self.scheme.urls(head) {
                for key in &self.scheme.keys {
                    if let Key::Secret(key) = key {
                        let mut context = hmac::Context::with_key(key);
                        for piece in before.clone() {
                            context.update(&self.bytes(piece, head, &url, b"", &values));
                        }
                        self.begun.push(context);
                    }
                }
            }
        }
        self.begun.iter_mut().for_each(|context| context.update(part));
    }

    /// Whether one of the signatures is that of these bytes, by any of the keys.
    pub fn verify(self, head: &Parts, body: &[u8]) -> Result<Proof<'a>, Cause> {
        self.verify_form(head, body, &mut None)
    }

    /// The same. If the fields of the body are known, they are taken from `form`; if they had to be found, they are left
    /// there.
    pub fn verify_form(
        mut self,
        head: &Parts,
        body: &[u8],
        form: &mut Option<Form>,
    ) -> Result<Proof<'a>, Cause> {
        let mut sorted = Vec::new();
        let form = match self.scheme.reads_form(head) {
            false => None,
            true => {
                let form = match form {
                    Some(form) => form,
                    // Fields behind the last one that is read would not be signed.
                    None => form.insert(Form::of(body).map_err(|_| Cause::Malformed)?),
                };
                if self.scheme.message.contains(&Piece::FormSorted) {
                    sorted = places::sorted(form);
                }
                Some(&*form)
            }
        };
        let values = self.read_body(head, body, form)?;
        self.scheme.check_message(&values)?;
        let begun = std::mem::take(&mut self.begun);
        let message = &self.scheme.message;
        let after = match begun.len() {
            0 => 0,
            _ => message.iter().position(|piece| *piece == Piece::Body).map_or(0, |at| at + 1),
        };
        let mut begun = begun.into_iter();
        let (signatures, mut right) = (&self.read.signatures, None);
        for url in self.scheme.urls(head) {
            // All keys are tried, so that the time doesn't tell which fits. Which form of the URL does is no secret.
            for (key, number) in self.scheme.keys.iter().zip(&self.scheme.numbers) {
                let mut signed = match key {
                    Key::Secret(key) => {
                        let begun = begun.next();
                        Input::Mac(begun.unwrap_or_else(|| hmac::Context::with_key(key)))
                    }
                    Key::Public(key) => Input::Bytes(key, Vec::new()),
                };
                for piece in &message[after..] {
                    match piece {
                        Piece::FormSorted => signed.update(&sorted),
                        _ => signed.update(&self.bytes(piece, head, &url, body, &values)),
                    }
                }
                let fitting = signed.fitting(signatures);
                right = right.or(fitting.map(|at| (at, *number)));
            }
            if right.is_some() {
                break;
            }
        }
        let (at, key) = right.ok_or(Cause::Mismatch)?;
        let signature = self.read.signatures.swap_remove(at);
        self.check_body_hash(&values, body)?;
        // A time in the body is one only now that nobody can have changed it.
        if let Some(timed) = self.scheme.time.as_ref().filter(|timed| !timed.is_in_head()) {
            let text = self.scheme.value(&values, &timed.at)?;
            self.at = Some(timed.check(text, self.now)?);
            self.time = Cow::Owned(text.to_owned());
        }
        // What isn't signed says nothing.
        let is_timed = self.scheme.signs_time();
        let (time, at) = if is_timed { (self.time, self.at) } else { (Cow::Borrowed(""), None) };
        let at = at.map(|at| at.as_secs());
        Ok(Proof { signature, key, time, at })
    }

    /// What the scheme needs of the query and of the body; of a body that holds the signature also that.
    fn read_body<'b>(
        &mut self,
        head: &'b Parts,
        body: &'b [u8],
        form: Option<&'b Form>,
    ) -> Result<Values<'b>, Cause> {
        let places = &self.scheme.places;
        if places.is_empty() {
            return Ok(Values::default());
        }
        let content = match (places.reads_body(), form) {
            (false, _) => Content::Unread,
            (true, Some(form)) if is_form(head) => Content::Form(form),
            (true, _) => Content::Json(body),
        };
        let values = places.read(head, content).map_err(|_| Cause::Malformed)?;
        if let Some(at) = &self.scheme.at {
            let written = self.scheme.value(&values, at)?;
            self.read.signatures = self.scheme.read(written)?.signatures;
        }
        Ok(values)
    }

    /// Whether the body is the one whose hash was signed.
    fn check_body_hash(&self, values: &Values<'_>, body: &[u8]) -> Result<(), Cause> {
        let Some(place) = &self.scheme.body_hash else { return Ok(()) };
        let written = self.scheme.value(values, place)?;
        let hash = hex(written.as_bytes()).ok_or(Cause::Malformed)?;
        let is_it = same(&hash, digest::digest(&digest::SHA256, body).as_ref());
        if is_it { Ok(()) } else { Err(Cause::Mismatch) }
    }

    pub(super) fn time_text(&self, head: &'a Parts, at: &Piece) -> Result<&'a str, Cause> {
        match at {
            Piece::Header(name) => text(only(&head.headers, name)?),
            Piece::Pair(name) => self.read.pair(name).ok_or(Cause::Malformed),
            Piece::Time => self.read.time.ok_or(Cause::Malformed),
            _ => Err(Cause::Malformed),
        }
    }

    /// What stands for a piece of the message.
    fn bytes<'b>(
        &'b self,
        piece: &'b Piece,
        head: &'b Parts,
        url: &'b str,
        body: &'b [u8],
        values: &'b Values<'_>,
    ) -> Cow<'b, [u8]> {
        match piece {
            Piece::Time => Cow::Borrowed(self.time.as_bytes()),
            Piece::Pair(name) => Cow::Borrowed(self.read.pair(name).unwrap_or_default().as_bytes()),
            Piece::Optional(parts) => {
                message::optional(parts, |part| self.bytes(part, head, url, body, values))
            }
            place => match self.scheme.places.number(place) {
                Some(_) => {
                    Cow::Borrowed(self.scheme.value(values, place).unwrap_or_default().as_bytes())
                }
                None => message::bytes(place, head, url, body),
            },
        }
    }
}
