//! A table that fits: where there is less room, it has fewer columns and rows.

use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{self, Row, Widget};

use crate::telemetry::terminal;

/// Between two columns.
const SPACING: u16 = 1;

/// One column.
pub(super) struct Column {
    pub(super) head: &'static str,
    /// The least that it takes.
    pub(super) width: u16,
    pub(super) is_number: bool,
    /// Of those that don't fit, the one with the highest is left out first.
    pub(super) rank: u8,
}

impl Column {
    /// It takes what room is left, too.
    pub(super) const fn text(head: &'static str, width: u16, rank: u8) -> Self {
        Self { head, width, is_number: false, rank }
    }

    pub(super) const fn number(head: &'static str, width: u16, rank: u8) -> Self {
        Self { head, width, is_number: true, rank }
    }
}

/// Columns, and rows of as many cells.
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Vec<Cell>>,
}

/// What stands in a cell.
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text from outside can't control the terminal.
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self { text: terminal::line(text.as_ref()), style: Style::new() }
    }

    pub(super) fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }
}

impl Table {
    /// The lines that all of it takes; none without rows.
    pub(super) fn height(&self) -> u16 {
        match self.rows.len() {
            0 => 0,
            rows => u16::try_from(rows + 1).unwrap_or(u16::MAX),
        }
    }

    /// Draw as much of it as there is room for. The last line says what is missing.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer) {
        if area.height == 0 || self.rows.is_empty() {
            return;
        }
        let shown = self.fitting(area.width);
        let align = |column: &Column| {
            if column.is_number { Alignment::Right } else { Alignment::Left }
        };
        let head = shown.iter().map(|at| {
            let column = &self.columns[*at];
            Text::from(column.head).alignment(align(column))
        });
        let room = usize::from(area.height - 1);
        let is_cut = self.rows.len() > room;
        let count = if is_cut { room.saturating_sub(1) } else { self.rows.len() };
        let rows = self.rows.iter().take(count).map(|cells| {
            let cells = shown.iter().map(|at| {
                let (cell, column) = (&cells[*at], &self.columns[*at]);
                Text::styled(&*cell.text, cell.style).alignment(align(column))
            });
            Row::new(cells)
        });
        let widths = shown.iter().map(|at| {
            let column = &self.columns[*at];
            match column.is_number {
                true => Constraint::Length(column.width),
                false => Constraint::Min(column.width),
            }
        });
        let bold = Style::new().add_modifier(Modifier::BOLD);
        widgets::Table::new(rows, widths)
            .header(Row::new(head).style(bold))
            .column_spacing(SPACING)
            .render(area, buffer);
        if is_cut && room > 0 {
            let text = format!("... {} more", self.rows.len() - count);
            Line::from(text).render(Rect { y: area.bottom() - 1, height: 1, ..area }, buffer);
        }
    }

    /// The numbers of the columns that there is room for.
    fn fitting(&self, width: u16) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let takes = |shown: &[usize]| -> u16 {
            shown.iter().map(|at| self.columns[*at].width + SPACING).sum::<u16>() - SPACING
        };
        while shown.len() > 1 && takes(&shown) > width {
            let last = shown.iter().enumerate().max_by_key(|(_, at)| self.columns[**at].rank);
            let Some((place, _)) = last else { break };
            shown.remove(place);
        }
        shown
    }
}

/// How many lines each of them gets, where they need so many and there is only so much room.
pub(super) fn share(needs: &[u16], room: u16) -> Vec<u16> {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|at| needs[*at]);
    let mut shares = vec![0; needs.len()];
    let (mut left, mut others) = (room, needs.len() as u16);
    // Those that need little first: what they leave is for the others.
    for at in order {
        shares[at] = needs[at].min(left / others);
        left -= shares[at];
        others -= 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] =
        [Column::text("NAME", 6, 0), Column::number("/S", 5, 1), Column::number("P99", 5, 2)];

    fn drawn(rows: usize, width: u16, height: u16) -> Vec<String> {
        let row = |number: usize| {
            ["a\u{1b}[2Jb\u{9b}c", &number.to_string(), "1ms"].map(Cell::new).into()
        };
        let table = Table { columns: &COLUMNS, rows: (0..rows).map(row).collect() };
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        table.draw(area, &mut buffer);
        lines(&buffer)
    }

    fn lines(buffer: &Buffer) -> Vec<String> {
        let cells = buffer.content().chunks(usize::from(buffer.area.width));
        let line = |cells: &[ratatui::buffer::Cell]| -> String {
            cells.iter().map(ratatui::buffer::Cell::symbol).collect()
        };
        cells.map(|cells| line(cells).trim_end().to_owned()).collect()
    }

    #[test]
    fn text_from_outside_cannot_become_an_escape() {
        let lines = drawn(1, 30, 2);
        assert_eq!(lines[0], "NAME                  /S   P99");
        assert_eq!(lines[1], "a\u{fffd}[2Jb\u{fffd}c               0   1ms");
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out() {
        assert_eq!(drawn(1, 17, 2)[0], "NAME           /S");
        assert_eq!(drawn(1, 8, 2)[0], "NAME");
        // Whatever is left.
        drawn(1, 1, 1);
        drawn(3, 1, 0);
    }

    #[test]
    fn rows_that_do_not_fit_are_counted() {
        let lines = drawn(5, 20, 4);
        assert!(lines[2].contains('1') && lines[3] == "... 3 more", "{lines:?}");
        assert_eq!(drawn(5, 20, 2)[1], "... 5 more");
    }

    #[test]
    fn room_is_shared_by_need() {
        assert_eq!(share(&[3, 4, 5], 20), [3, 4, 5]);
        assert_eq!(share(&[3, 40, 50], 20), [3, 8, 9]);
        assert_eq!(share(&[0, 40, 0], 20), [0, 20, 0]);
        assert_eq!(share(&[5, 5, 5], 0), [0, 0, 0]);
    }
}
