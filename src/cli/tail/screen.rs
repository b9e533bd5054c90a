//! How a webhook looks: a line for people, in columns; or JSON.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Stdout, Write as _};

use crate::cli::eprint;
use crate::live_tail::{Line, Question, Webhook};
use crate::telemetry::terminal;

/// The widest column, in characters; what is longer is cut.
const MAX_COLUMN_CHARS: usize = 40;

/// Columns before the latency: endpoint, type, key, outcome.
const COLUMNS: usize = 4;

pub(super) struct Screen {
    out: Stdout,
    is_json: bool,
    has_colours: bool,
    /// As wide as what was shown so far.
    widths: [usize; COLUMNS],
}

impl Screen {
    pub(super) fn new(is_json: bool) -> Self {
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let has_colours = io::stdout().is_terminal() && !wants_none;
        // Room for what comes most often, so that the columns seldom move.
        Self { out: io::stdout(), is_json, has_colours, widths: [4, 13, 8, 8] }
    }

    pub(super) fn show(&mut self, line: Line) -> io::Result<()> {
        let text = match &line {
            _ if self.is_json => terminal::json(&serde_json::to_string(&line)?),
            Line::Webhook(webhook) => self.line(webhook),
            Line::Lost { count } => {
                eprint(format_args!("{count} webhooks came too fast to be shown"));
                return Ok(());
            }
        };
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    fn line(&mut self, webhook: &Webhook) -> String {
        // A person who watches knows the date.
        let time = webhook.time.split_once('T').map_or(&*webhook.time, |(_, time)| time);
        let outcome = match &webhook.reason {
            Some(reason) => format!("{}:{reason}", webhook.outcome),
            None => webhook.outcome.to_string(),
        };
        let columns = [
            Some(&*webhook.endpoint).filter(|name| !name.is_empty()).unwrap_or("-"),
            webhook.r#type.as_deref().unwrap_or("-"),
            webhook.key.as_deref().unwrap_or("-"),
            &outcome,
        ];
        let mut line = terminal::line(time);
        for (at, column) in columns.into_iter().enumerate() {
            let text = cut(&terminal::line(column));
            let width = &mut self.widths[at];
            *width = (*width).max(text.chars().count());
            let padding = " ".repeat(*width - text.chars().count());
            let text = if at + 1 == COLUMNS { self.painted(webhook, &text) } else { text };
            // Writing to a String can't fail.
            let _ = write!(line, "  {text}{padding}");
        }
        let _ = write!(line, "  {:>8.1} ms", webhook.milliseconds);
        let functions = functions(&webhook.questions);
        let destinations = webhook.destinations.iter().map(ToString::to_string);
        let request = webhook.request.iter().map(|request| cut(request));
        let to: Vec<_> = functions.into_iter().chain(destinations).chain(request).collect();
        if !to.is_empty() {
            let _ = write!(line, "  {}", terminal::line(&to.join(" ")));
        }
        if let Some(error) = &webhook.error {
            let _ = write!(line, "\n    {}", terminal::line(error));
        }
        if let Some(body) = &webhook.body {
            let _ = write!(line, "\n    {}", terminal::line(body));
            if body.len() < webhook.bytes {
                let _ = write!(line, " ... ({} bytes)", webhook.bytes);
            }
        }
        line
    }

    fn painted(&self, webhook: &Webhook, text: &str) -> String {
        let colour = match &*webhook.outcome {
            _ if !self.has_colours => return text.to_owned(),
            "refused" | "dead-lettered" => 31,
            _ if webhook.is_error() => 33,
            _ => 32,
        };
        format!("\x1b[{colour}m{text}\x1b[0m")
    }
}

/// Each with what there is to say of it: one word, where it was answered as usual. The outcome of a webhook that asks one
/// thing is the outcome of that.
fn functions(questions: &[Question]) -> Vec<String> {
    let is_only = questions.len() == 1;
    let text = |question: &Question| {
        let mut text = question.function.as_ref().map(|name| format!("{name}()"));
        let outcome = question.outcome.as_deref().filter(|_| !is_only);
        let took = question.milliseconds.filter(|_| !is_only);
        let words = [
            outcome.map(ToOwned::to_owned),
            took.map(|took| format!("{took:.1}ms")),
            question.worker.as_ref().map(|name| format!("by {name}")),
            question.reused.then(|| "reused".to_owned()),
        ];
        let words: Vec<_> = words.into_iter().flatten().collect();
        if !words.is_empty() {
            let text = text.get_or_insert_default();
            // Writing to a String can't fail.
            let _ = write!(text, "[{}]", words.join(", "));
        }
        text
    };
    questions.iter().filter_map(text).collect()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_COLUMN_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_COLUMN_CHARS - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests;
