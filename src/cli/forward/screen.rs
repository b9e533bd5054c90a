//! One line a request, as in `hookbus tail`; with bodies where they are wanted.

use std::fmt::Write as _;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::cli::eprint;
use crate::forward::{About, Kind, Report, Reporter, Request};
use crate::telemetry::terminal;

/// The widest column, in characters; what is longer is cut.
const MAX_COLUMN_CHARS: usize = 40;

/// Bytes of a body that are shown.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Prints what happens.
pub(super) struct Screen {
    has_bodies: bool,
    /// As wide as what was shown so far: type or function, key.
    widths: Mutex<[usize; 2]>,
}

impl Screen {
    pub(super) fn new(has_bodies: bool) -> Self {
        Self { has_bodies, widths: Mutex::new([13, 8]) }
    }

    /// What a request is about, in columns.
    fn head(&self, about: &About) -> String {
        let kind = match about.kind {
            Kind::Event => "event   ",
            Kind::Question => "question",
        };
        let name = match &about.function {
            Some(function) => format!("{function}()"),
            None => about.name.clone(),
        };
        let mut head = format!("{}  {kind}", now());
        let mut widths = self.widths.lock();
        for (width, text) in widths.iter_mut().zip([&*name, about.key.as_deref().unwrap_or("-")]) {
            let text = cut(&terminal::line(text));
            *width = (*width).max(text.chars().count());
            // Writing to a String can't fail.
            let _ = write!(head, "  {text}{}", " ".repeat(*width - text.chars().count()));
        }
        head
    }
}

impl Reporter for Screen {
    fn request(&self, report: &Report<'_>) {
        let status = report.status.map_or("-".to_owned(), |status| status.to_string());
        let milliseconds = report.took.as_secs_f64() * 1e3;
        let mut line = format!("{}  {status:>3}  {milliseconds:>8.1} ms", self.head(report.about));
        if let Some(note) = &report.note {
            let _ = write!(line, "  {}", terminal::line(note));
        }
        if self.has_bodies {
            add_body(&mut line, '>', &report.request.body);
            add_body(&mut line, '<', report.answer);
        }
        eprint(line);
    }

    fn dry(&self, about: &About, request: &Request) {
        let mut lines = format!("{}  would be posted", self.head(about));
        for (name, value) in &request.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let _ = write!(lines, "\n    {name}: {}", terminal::line(&value));
        }
        add_body(&mut lines, '>', &request.body);
        eprint(lines);
    }

    fn given_up(&self, what: &str, kept: Option<&str>) {
        eprint(match kept {
            Some(to) => format!("WARN an event is a dead letter now, in {to}: {what}"),
            None => format!("WARN gave up an event: {what}"),
        });
    }

    fn say(&self, text: String) {
        eprint(text);
    }
}

fn add_body(lines: &mut String, mark: char, body: &[u8]) {
    if body.is_empty() {
        return;
    }
    let shown = &body[..body.len().min(MAX_BODY_BYTES)];
    let _ = write!(lines, "\n    {mark} {}", terminal::line(&String::from_utf8_lossy(shown)));
    if shown.len() < body.len() {
        let _ = write!(lines, " ... ({} bytes)", body.len());
    }
}

/// The time of day; a person who watches knows the date.
fn now() -> String {
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    now.split_once('T').map_or(now.clone(), |(_, time)| time.to_owned())
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_COLUMN_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_COLUMN_CHARS - 3).chain("...".chars()).collect()
}
