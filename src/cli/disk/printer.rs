//! What is printed: dead letters and queues on standard output; progress, failures and the summary on standard error.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::cli::{Failure, eprint};
use crate::publish::dead_letters::{Entry, Line, QueueStatus, ReplayOutcome, Summary};
use crate::telemetry::{stderr, terminal};

/// How many failures are shown one by one.
const MAX_FAILURES: u64 = 10;

/// How often progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// What is reported on.
pub(in crate::cli) enum Action {
    /// Showing dead letters, all or some.
    ListDeadLetters { is_filtered: bool },
    /// Showing the queues.
    ListQueues,
    /// Showing which dead letters would be published, or dropped.
    WouldChange(&'static str),
    /// Showing what would be published from the queue of this destination.
    WouldDrain(String),
    /// Publishing dead letters again.
    Replay,
    /// Removing dead letters.
    Drop,
    /// Publishing a queue.
    Drain,
}

impl Action {
    fn changes(&self) -> bool {
        matches!(self, Self::Replay | Self::Drop | Self::Drain)
    }
}

pub(super) struct Printer {
    action: Action,
    is_json: bool,
    out: BufWriter<Stdout>,
    /// Progress is shown.
    is_terminal: bool,
    /// When something was shown last.
    shown: Instant,
    /// What was counted here, and then what the summary says.
    summary: Summary,
    failed: u64,
    has_ended: bool,
    queues: Vec<QueueStatus>,
}

impl Printer {
    pub(super) fn new(action: Action, is_json: bool) -> Self {
        Self {
            action,
            is_json,
            out: BufWriter::new(io::stdout()),
            is_terminal: io::stderr().is_terminal(),
            shown: Instant::now(),
            summary: Summary::default(),
            failed: 0,
            has_ended: false,
            queues: Vec::new(),
        }
    }

    /// Show a line.
    pub(super) fn take(&mut self, line: Line) -> io::Result<()> {
        if let (Action::WouldDrain(text), Line::Queue(queue)) = (&self.action, &line)
            && *queue.destination != **text
        {
            return Ok(());
        }
        if self.is_json {
            writeln!(self.out, "{}", terminal::json(&serde_json::to_string(&line)?))?;
        }
        match line {
            Line::DeadLetter(entry) => self.dead_letter(&entry)?,
            Line::Queue(queue) => {
                if !self.is_json {
                    writeln!(self.out, "{}", queue_line(&queue))?;
                }
                self.queues.push(queue);
            }
            Line::Progress(summary) => self.summary = summary,
            Line::GivenUp { destination, error } => {
                self.eprint(format_args!(
                    "error: {}: {}",
                    terminal::line(&destination),
                    terminal::line(&error)
                ));
            }
            Line::Summary(summary) => {
                self.summary = summary;
                self.has_ended = true;
            }
        }
        if self.has_ended || self.shown.elapsed() > PROGRESS_INTERVAL {
            self.out.flush()?;
            self.shown = Instant::now();
            if !self.has_ended {
                self.progress();
            }
        }
        Ok(())
    }

    fn dead_letter(&mut self, entry: &Entry) -> io::Result<()> {
        let summary = &mut self.summary;
        match entry.outcome {
            Some(ReplayOutcome::Published) => summary.published += 1,
            Some(ReplayOutcome::Dropped) => summary.dropped += 1,
            Some(ReplayOutcome::Rejected) => summary.rejected += 1,
            Some(ReplayOutcome::Failed) => {}
            None => {
                summary.matched += 1;
                return if self.is_json {
                    Ok(())
                } else {
                    writeln!(self.out, "{}", dead_letter_line(entry))
                };
            }
        }
        let Some(error) = &entry.error else { return Ok(()) };
        self.failed += 1;
        if self.failed <= MAX_FAILURES {
            let is_rejected = entry.outcome == Some(ReplayOutcome::Rejected);
            let what = if is_rejected { "rejected again" } else { "not published" };
            let (id, destination) = (terminal::line(&entry.id), terminal::line(&entry.destination));
            self.eprint(format_args!("{what}: {id} ({destination}): {}", terminal::line(error)));
        }
        Ok(())
    }

    fn progress(&self) {
        if self.is_terminal && self.action.changes() {
            let text = self.counts();
            stderr::text(format_args!("\r\x1b[2K{text} ..."));
        }
    }

    /// Remove the progress that was shown.
    fn clear_progress(&self) {
        if self.is_terminal {
            stderr::text("\r\x1b[2K");
        }
    }

    /// Print a line of its own, in place of progress.
    fn eprint(&self, line: impl std::fmt::Display) {
        self.clear_progress();
        eprint(line);
    }

    fn counts(&self) -> String {
        let Summary { matched, published, rejected, dropped, dead_lettered, left, .. } =
            self.summary;
        match &self.action {
            Action::ListDeadLetters { is_filtered: true } if matched == 0 => {
                "no dead letters match".to_owned()
            }
            Action::ListDeadLetters { .. } => dead_letters(matched),
            Action::ListQueues if matched == 0 => "nothing is queued".to_owned(),
            Action::ListQueues => format!("{matched} queued"),
            Action::WouldChange(participle) => format!("{matched} would be {participle}"),
            Action::WouldDrain(_) => {
                let records: u64 = self.queues.iter().map(|queue| queue.records).sum();
                format!("{records} would be published, in order")
            }
            Action::Drop => format!("{dropped} dropped, {left} left"),
            Action::Drain if dead_lettered == 0 => format!("{published} published, {left} left"),
            Action::Drain => format!(
                "{published} published, {dead_lettered} rejected and kept as dead letters, {left} left"
            ),
            Action::Replay if self.has_ended => {
                format!("{published} published, {rejected} rejected again, {left} left")
            }
            Action::Replay => format!("{published} published, {rejected} rejected again"),
        }
    }

    /// Print the summary. `is_running` says whether a bridge runs.
    pub(super) fn end(&mut self, is_running: bool) -> ExitCode {
        if self.failed > MAX_FAILURES {
            self.eprint(format_args!("... and {} more", self.failed - MAX_FAILURES));
        }
        if let Some(why) = &self.summary.stopped {
            self.eprint(format_args!("error: stopped early: {}", terminal::line(why)));
        }
        self.eprint(self.counts());
        match (&self.action, self.summary.queued, self.summary.dead_letters) {
            (Action::ListDeadLetters { is_filtered: false }, Some(queued @ 1..), _) => {
                self.eprint(format_args!("{queued} queued on disk; see `hookbus spool list`"));
            }
            (Action::ListQueues, _, letters) => {
                self.explain_queues(is_running);
                if let Some(letters @ 1..) = letters {
                    self.eprint(format_args!("{}; see `hookbus dlq list`", dead_letters(letters)));
                }
            }
            _ => {}
        }
        let changes = self.action.changes();
        let is_done = self.summary.stopped.is_none() && !(changes && self.summary.left > 0);
        if changes && !is_done {
            self.eprint(
                "hint: what is left stays on disk; run this again once its destination accepts it",
            );
        }
        if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn explain_queues(&self, is_running: bool) {
        for QueueStatus { destination, records, apart, is_configured, .. } in &self.queues {
            let destination = terminal::line(destination);
            if *apart > 0 {
                self.eprint(format_args!("{apart} queued for {destination} wait apart from the others, because their own subjects or topics take nothing\nhint: /readyz of the bridge names them; the bridge publishes their events as soon as a stream or topic takes them"));
            }
            let hint = match (is_configured, is_running) {
                (true, true) => continue,
                (true, false) => "the bridge publishes them once it runs".to_owned(),
                (false, _) => format!("`hookbus spool drain '{destination}'` publishes them"),
            };
            let note = if *is_configured { "" } else { ", which left the configuration" };
            self.eprint(format_args!("{records} queued for {destination}{note}\nhint: {hint}"));
        }
    }

    pub(super) fn interrupt(&mut self) -> ExitCode {
        let _ = self.out.flush();
        self.eprint(format_args!("interrupted: {}", self.counts()));
        ExitCode::FAILURE
    }

    /// The lines ended without a summary.
    pub(super) fn cut_off(&mut self) -> Failure {
        let _ = self.out.flush();
        self.clear_progress();
        Failure::failed(format_args!("the bridge went away: {}", self.counts()))
            .hint("what was not published stays on disk; run this again when the bridge is back")
    }
}

fn dead_letters(count: u64) -> String {
    match count {
        0 => "no dead letters".to_owned(),
        1 => "1 dead letter".to_owned(),
        _ => format!("{count} dead letters"),
    }
}

fn dead_letter_line(entry: &Entry) -> String {
    let Entry {
        dead_lettered: time,
        id,
        endpoint,
        kind,
        key,
        destination,
        reason,
        detail,
        bytes,
        ..
    } = entry;
    let key = key.as_deref().unwrap_or("-");
    terminal::line(&format!(
        "{time}  {id}  {endpoint}  {kind}  {key}  {destination}  {reason}  {bytes} bytes  {detail}"
    ))
}

fn queue_line(queue: &QueueStatus) -> String {
    let QueueStatus { destination, records, bytes, oldest, .. } = queue;
    let oldest = oldest.as_deref().unwrap_or("-");
    let events = if *records == 1 { "event" } else { "events" };
    terminal::line(&format!("{oldest}  {destination}  {records} {events}  {bytes} bytes"))
}
