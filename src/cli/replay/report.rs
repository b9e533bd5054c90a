//! What is shown of it: events on standard output; progress, failures and the end on standard error.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::{Failure, say};
use crate::cli::text;
use crate::publish::replay::{Entry, Line, Outcome, Summary, Waiting};
use crate::telemetry::stderr;

/// How many failures are shown one by one.
const SHOWN: u64 = 10;

/// How often progress is shown.
const SHOW: Duration = Duration::from_millis(100);

/// What is done.
pub(super) enum Action {
    List,
    /// It is shown what would become of them.
    WouldDo(&'static str),
    /// It is shown what queues here.
    WouldDrain(String),
    Publish,
    Drop,
    Drain,
}

pub(super) struct Report {
    action: Action,
    is_json: bool,
    out: BufWriter<Stdout>,
    /// Progress is shown.
    is_terminal: bool,
    /// When something was shown last.
    shown: Instant,
    /// What was counted, until the summary says it.
    summary: Summary,
    failed: u64,
    is_over: bool,
    queues: Vec<Waiting>,
}

impl Report {
    pub(super) fn new(action: Action, is_json: bool) -> Self {
        Self {
            action,
            is_json,
            out: BufWriter::new(io::stdout()),
            is_terminal: io::stderr().is_terminal(),
            shown: Instant::now(),
            summary: Summary::default(),
            failed: 0,
            is_over: false,
            queues: Vec::new(),
        }
    }

    /// Whether the end of what was asked for was seen.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Take a line; an extra one is of something that is shown beside what was asked for.
    pub(super) fn take(&mut self, line: Line, is_extra: bool) -> io::Result<()> {
        let is_end = matches!(line, Line::Summary(_));
        if self.is_json && !(is_end && is_extra) {
            writeln!(self.out, "{}", text::json(&serde_json::to_string(&line)?))?;
        }
        match line {
            Line::Event(entry) => self.event(&entry)?,
            Line::Queue(queue) => self.queues.push(queue),
            Line::Progress(summary) => self.summary = summary,
            Line::GivenUp { destination, error } => {
                self.say(format_args!(
                    "error: {}: {}",
                    text::line(&destination),
                    text::line(&error)
                ));
            }
            Line::Summary(_) if is_extra => {}
            Line::Summary(summary) => {
                self.summary = summary;
                self.is_over = true;
            }
        }
        if is_end || self.shown.elapsed() > SHOW {
            self.out.flush()?;
            self.shown = Instant::now();
            if !is_end {
                self.progress();
            }
        }
        Ok(())
    }

    fn event(&mut self, entry: &Entry) -> io::Result<()> {
        let summary = &mut self.summary;
        match entry.outcome {
            Some(Outcome::Published) => summary.published += 1,
            Some(Outcome::Dropped) => summary.dropped += 1,
            Some(Outcome::Rejected) => summary.rejected += 1,
            Some(Outcome::Failed) => {}
            None => {
                summary.matched += 1;
                return if self.is_json { Ok(()) } else { writeln!(self.out, "{}", line(entry)) };
            }
        }
        let Some(error) = &entry.error else { return Ok(()) };
        self.failed += 1;
        if self.failed <= SHOWN {
            let is_rejected = entry.outcome == Some(Outcome::Rejected);
            let what = if is_rejected { "rejected again" } else { "not published" };
            let (id, destination) = (text::line(&entry.id), text::line(&entry.destination));
            self.say(format_args!("{what}: {id} ({destination}): {}", text::line(error)));
        }
        Ok(())
    }

    fn progress(&self) {
        if !self.is_terminal || matches!(self.action, Action::List | Action::WouldDo(_)) {
            return;
        }
        let text = self.counts();
        stderr::text(format_args!("\r\x1b[2K{text} ..."));
    }

    /// Take away the progress that was shown.
    fn make_room(&self) {
        if self.is_terminal {
            stderr::text("\r\x1b[2K");
        }
    }

    /// A line of its own, where progress stood.
    fn say(&self, line: impl std::fmt::Display) {
        self.make_room();
        say(line);
    }

    fn counts(&self) -> String {
        let Summary { matched, published, rejected, dropped, parked, left, .. } = self.summary;
        match &self.action {
            Action::List if matched == 0 => "nothing is parked that fits".to_owned(),
            Action::List => format!("{matched} parked"),
            Action::WouldDo(what) => format!("{matched} would be {what}"),
            Action::WouldDrain(text) => {
                let queue = self.queues.iter().find(|queue| *queue.destination == **text);
                let records = queue.map_or(0, |queue| queue.records);
                format!("{records} would be published, in order")
            }
            Action::Drop => format!("{dropped} dropped, {left} left"),
            Action::Drain if parked == 0 => format!("{published} published, {left} left"),
            Action::Drain => {
                format!("{published} published, {parked} rejected and parked, {left} left")
            }
            Action::Publish if self.is_over => {
                format!("{published} published, {rejected} rejected again, {left} left")
            }
            Action::Publish => format!("{published} published, {rejected} rejected again"),
        }
    }

    /// The end was seen: sum up. `runs` says whether a bridge does.
    pub(super) fn end(&mut self, runs: bool) -> ExitCode {
        if self.failed > SHOWN {
            self.say(format_args!("... and {} more", self.failed - SHOWN));
        }
        if let Some(why) = &self.summary.stopped {
            self.say(format_args!("error: it ended early: {}", text::line(why)));
        }
        self.say(self.counts());
        let changes = matches!(self.action, Action::Publish | Action::Drop | Action::Drain);
        if matches!(self.action, Action::List) {
            self.name_queues(runs);
        }
        let is_done = self.summary.stopped.is_none() && !(changes && self.summary.left > 0);
        if changes && !is_done {
            self.say(
                "hint: what is left is kept on disk: once its destination takes it, run this again",
            );
        }
        if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn name_queues(&self, runs: bool) {
        for Waiting { destination, records, apart, is_configured, .. } in &self.queues {
            let destination = text::line(destination);
            if *apart > 0 {
                self.say(format_args!("{apart} queued for {destination} wait apart from the others, since their own subjects or topics take nothing\nhint: /readyz of the bridge names them; they are published as soon as there is a stream or topic for them"));
            }
            let hint = match (is_configured, runs) {
                (true, true) => continue,
                (true, false) => "the bridge publishes them once it runs".to_owned(),
                (false, _) => format!("`hookbus replay --queue '{destination}'` publishes them"),
            };
            let whose = if *is_configured { "" } else { ", which is not configured any more" };
            self.say(format_args!("{records} queued for {destination}{whose}\nhint: {hint}"));
        }
    }

    pub(super) fn interrupt(&mut self) -> ExitCode {
        let _ = self.out.flush();
        self.say(format_args!("interrupted: {}", self.counts()));
        ExitCode::FAILURE
    }

    /// The lines ended, and not by a summary.
    pub(super) fn cut_off(&mut self) -> Failure {
        let _ = self.out.flush();
        self.make_room();
        Failure::failed(format_args!("the bridge went away: {}", self.counts()))
            .hint("what was not published is kept on disk: run this again when the bridge is back")
    }
}

/// What `--list` shows of an event.
fn line(entry: &Entry) -> String {
    let Entry { parked, id, endpoint, kind, key, destination, reason, detail, bytes, .. } = entry;
    let key = key.as_deref().unwrap_or("-");
    text::line(&format!(
        "{parked}  {id}  {endpoint}  {kind}  {key}  {destination}  {reason}  {bytes} bytes  {detail}"
    ))
}
