//! The screen: how the bridge is, the tables, and what is wrong, each where there is room for it.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::figures::{Figures, Look};
use super::format::{bytes, count};
use super::rows::tables;
use super::table::share;
use super::view::View;
use crate::telemetry::terminal;

/// The most lines about problems.
const MAX_PROBLEMS: u16 = 4;

/// A table of one row: its head, the row, and an empty line.
const MIN_TABLE: u16 = 3;

const KEYS: &str = "q quit  p pause  tab one table  s sorted by ";

/// Draw it. With `keys` the last line names them.
pub(super) fn draw(view: &View, keys: bool, area: Rect, buffer: &mut Buffer) {
    let Some((before, now)) = view.looks() else { return };
    let figures = Figures::between(before, now);
    let mut head = head(view, now, &figures, area.width);
    // What matters most comes first.
    head.truncate((area.height / 4).max(1).into());
    let problems = problems(view, now);
    let tables = tables(view, &figures);
    let (below, last) = (head.len() as u16 + 1, u16::from(keys));
    let room = area.height.saturating_sub(below + last);
    let shown = (problems.len() as u16).min(MAX_PROBLEMS.max(room / 5)).min(room / 2);
    let room = room - shown;
    let mut needs = tables.each_ref().map(|table| match table.height() {
        0 => 0,
        // And an empty line.
        lines => lines.saturating_add(1),
    });
    // Where not even one row of each has room, it goes to the first ones.
    let has_rows = needs.iter_mut().filter(|need| **need > 0);
    has_rows.skip((room / MIN_TABLE).max(1).into()).for_each(|need| *need = 0);
    write(head, area, buffer);
    let mut top = area.y + below;
    for (table, height) in tables.iter().zip(share(&needs, room)) {
        let place = Rect { y: top, height: height.saturating_sub(1), ..area };
        table.draw(place.intersection(area), buffer);
        top += height;
    }
    let foot = Rect { y: area.bottom() - (shown + last).min(area.height), ..area };
    write(problems.into_iter().take(shown.into()), foot.intersection(area), buffer);
    if keys {
        let text = format!("{KEYS}{}", view.sort.as_str());
        let line = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
        write([Line::from(text)], line.intersection(area), buffer);
    }
}

/// The lines that all of it takes, when it is drawn so wide.
pub(super) fn height(view: &View, width: u16) -> u16 {
    let Some((before, now)) = view.looks() else { return 0 };
    let figures = Figures::between(before, now);
    let tables: u32 =
        tables(view, &figures).iter().map(|table| u32::from(table.height()) + 1).sum();
    let head = head(view, now, &figures, width).len();
    // Problems may have half of what the others leave.
    let others = head + 2 * problems(view, now).len() + 1;
    u16::try_from(others as u32 + tables).unwrap_or(u16::MAX)
}

fn write<'a>(lines: impl IntoIterator<Item = Line<'a>>, area: Rect, buffer: &mut Buffer) {
    for (y, line) in (area.top()..area.bottom()).zip(lines) {
        line.render(Rect { y, height: 1, ..area }, buffer);
    }
}

impl View {
    fn painted(&self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn bad(&self) -> Style {
        self.painted(Color::Red)
    }

    pub(super) fn odd(&self) -> Style {
        self.painted(Color::Yellow)
    }

    pub(super) fn good(&self) -> Style {
        self.painted(Color::Green)
    }
}

/// The first lines, as many as it takes at this width.
fn head(view: &View, now: &Look, figures: &Figures<'_>, width: u16) -> Vec<Line<'static>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let samples = &now.samples;
    let value = |name| samples.value(name).unwrap_or_default();
    let plain = |text: String| Span::raw(terminal::line(&text));
    let alarm =
        |text: String, is_bad| Span::styled(text, if is_bad { view.bad() } else { Style::new() });
    let mut first = vec![Span::styled(format!("hookbus at {}", view.place), bold)];
    match &view.lost {
        Some(why) => {
            let age = view.age().unwrap_or_default().as_secs();
            let text = format!("{why}; trying again. This is {age} s old");
            first
                .push(Span::styled(terminal::line(&text), view.bad().add_modifier(Modifier::BOLD)));
        }
        None => {
            let style = if now.is_ready { view.good() } else { view.bad() };
            let status = now.readiness.iter().take(1);
            first.extend(status.map(|text| Span::styled(terminal::line(text), style)));
        }
    }
    for line in now.readiness.iter().skip(1).filter(|line| !is_problem(line)) {
        let style = if line.ends_with(": connected") { view.good() } else { view.bad() };
        first.push(Span::styled(terminal::line(line), style));
    }
    if view.is_paused {
        let style = Style::new().add_modifier(Modifier::REVERSED);
        first.push(Span::styled("PAUSED", style));
    }
    let mut second = vec![Span::styled("in flight", bold)];
    let held = samples.sums("hookbus_in_flight", |sample| Some(sample.label("kind")));
    let max = samples.sums("hookbus_in_flight_max", |sample| Some(sample.label("kind")));
    for (kind, held) in held {
        second.push(match max.get(kind) {
            Some(max) => alarm(
                format!("{} {} of {}", terminal::line(kind), count(held), count(*max)),
                held > 0.75 * max,
            ),
            None => plain(format!("{kind} {}", count(held))),
        });
    }
    let held = bytes(value("hookbus_in_flight_bytes"));
    second.push(plain(format!("{held} of {}", bytes(value("hookbus_in_flight_bytes_max")))));
    let mut third = vec![Span::styled("spool", bold), plain(bytes(value("hookbus_spool_bytes")))];
    let waits = value("hookbus_spool_oldest_seconds");
    if waits > 0.0 {
        let waits = humantime::format_duration(Duration::from_secs(waits as u64)).to_string();
        third.push(Span::styled(format!("oldest event {waits}"), view.odd()));
    }
    let letters = value("hookbus_dead_letters");
    let plural = if letters == 1.0 { "" } else { "s" };
    third.push(alarm(format!("{} dead letter{plural}", count(letters)), letters > 0.0));
    let used = figures.rates("process_cpu_seconds_total", |_| Some(()));
    if let Some(used) = used.get(&()) {
        let memory = bytes(value("process_resident_memory_bytes"));
        third.push(plain(format!("cpu {:.1} %", used * 100.0)));
        third.push(plain(format!("memory {memory}")));
    }
    third.push(plain(format!("over {:.0} s", figures.seconds())));
    [first, second, third].into_iter().flat_map(|words| wrapped(words, width)).collect()
}

/// Words with space between them, in as many lines as they take.
fn wrapped(words: Vec<Span<'static>>, width: u16) -> Vec<Line<'static>> {
    const SPACE: &str = "  ";
    let mut lines: Vec<Line<'static>> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.width() + SPACE.len() + word.width() <= usize::from(width) => {
                line.push_span(SPACE);
                line.push_span(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

fn is_problem(line: &str) -> bool {
    line.starts_with("problem: ") || line.starts_with("unanswered: ")
}

fn problems(view: &View, now: &Look) -> Vec<Line<'static>> {
    let workers = match &view.workers {
        Some(Err(error)) => vec![error.clone()],
        Some(Ok(overview)) => overview.problems.clone(),
        None => Vec::new(),
    };
    let lines = now.readiness.iter().skip(1).filter(|line| is_problem(line)).cloned();
    let lines = lines.chain(workers.into_iter().map(|error| format!("workers: {error}")));
    lines.map(|line| Line::styled(terminal::line(&line), view.odd())).collect()
}

#[cfg(test)]
mod tests;
