//! What the tables hold: a row for each endpoint, function and destination.

use ratatui::style::Style;

use super::figures::{self, Figures};
use super::format::{count, latency, rate};
use super::table::{Cell, Column, Table};
use super::view::{Focus, Sort, View};

const ENDPOINTS: [Column; 7] = [
    Column::text("ENDPOINT", 10, 0),
    Column::number("/S", 7, 1),
    Column::number("EVENT P50", 9, 6),
    Column::number("P99", 6, 3),
    Column::number("QUESTION P50", 12, 5),
    Column::number("P99", 6, 4),
    Column::text("OUTCOMES/S", 20, 2),
];

const FUNCTIONS: [Column; 7] = [
    Column::text("FUNCTION OR TYPE", 20, 0),
    Column::number("ASKED/S", 7, 1),
    Column::number("FAILED/S", 8, 2),
    Column::number("P50", 6, 5),
    Column::number("P99", 6, 4),
    Column::number("WORKERS", 7, 3),
    Column::text("SERVICES", 16, 6),
];

const DESTINATIONS: [Column; 7] = [
    Column::text("DESTINATION", 20, 0),
    Column::number("STORED/S", 8, 1),
    Column::number("ERRORS/S", 8, 3),
    Column::number("P50", 6, 6),
    Column::number("P99", 6, 4),
    Column::number("QUEUED", 8, 2),
    Column::number("APART", 6, 5),
];

/// Endpoints, functions and destinations, as far as they are shown, and in the order that is.
pub(super) fn tables(view: &View, figures: &Figures<'_>) -> [Table; 3] {
    let is_shown = |focus| view.focus == Focus::All || view.focus == focus;
    let endpoints = if is_shown(Focus::Endpoints) { figures.endpoints() } else { Vec::new() };
    let workers = view.workers.as_ref().and_then(|workers| workers.as_ref().ok());
    let functions =
        if is_shown(Focus::Functions) { figures.functions(workers) } else { Vec::new() };
    let destinations =
        if is_shown(Focus::Destinations) { figures.destinations() } else { Vec::new() };
    let by = view.sort;
    let endpoints = sorted(by, endpoints, |it| (it.rate, worse(it.events, it.questions)));
    let functions = sorted(by, functions, |it| (it.rate, it.latency.p99));
    let destinations = sorted(by, destinations, |it| (it.rate, it.latency.p99));
    let is_one = functions.windows(2).all(|two| two[0].endpoint == two[1].endpoint);
    [
        Table {
            columns: &ENDPOINTS,
            rows: endpoints.iter().map(|it| endpoint(view, it)).collect(),
        },
        Table {
            columns: &FUNCTIONS,
            rows: functions.iter().map(|it| function(view, it, is_one)).collect(),
        },
        Table {
            columns: &DESTINATIONS,
            rows: destinations.iter().map(|it| destination(view, it)).collect(),
        },
    ]
}

/// Those with the most, or with the longest latency, first; they come in the order of their names.
fn sorted<T>(by: Sort, mut rows: Vec<T>, of: impl Fn(&T) -> (f64, Option<f64>)) -> Vec<T> {
    let key = |row: &T| match by {
        Sort::Rate => of(row).0,
        Sort::P99 => of(row).1.unwrap_or_default(),
        Sort::Name => 0.0,
    };
    rows.sort_by(|one, other| key(other).total_cmp(&key(one)));
    rows
}

fn worse(one: figures::Latency, other: figures::Latency) -> Option<f64> {
    [one.p99, other.p99].into_iter().flatten().reduce(f64::max)
}

fn endpoint(view: &View, endpoint: &figures::Endpoint) -> Vec<Cell> {
    let name = if endpoint.name.is_empty() { "(none)" } else { &endpoint.name };
    let outcomes: Vec<_> = endpoint
        .outcomes
        .iter()
        .map(|(outcome, per_second)| format!("{outcome} {}", rate(*per_second)))
        .collect();
    let is_fine = |outcome: &str| {
        matches!(outcome, "stored" | "answered" | "repeated" | "dropped" | "handshake")
    };
    let has_others = endpoint.outcomes.iter().any(|(outcome, _)| !is_fine(outcome));
    let style = if has_others { view.odd() } else { Style::new() };
    vec![
        Cell::new(name),
        Cell::new(rate(endpoint.rate)),
        Cell::new(latency(endpoint.events.p50)),
        Cell::new(latency(endpoint.events.p99)),
        Cell::new(latency(endpoint.questions.p50)),
        Cell::new(latency(endpoint.questions.p99)),
        Cell::new(outcomes.join(", ")).styled(style),
    ]
}

fn function(view: &View, function: &figures::Function, is_one_endpoint: bool) -> Vec<Cell> {
    use figures::Workers;
    let name = match is_one_endpoint {
        true => function.name.clone(),
        false => format!("{} {}", function.endpoint, function.name),
    };
    let (workers, services) = match &function.workers {
        Workers::Unknown => (Cell::new("?"), ""),
        Workers::None => (Cell::new("none").styled(view.bad()), ""),
        Workers::Some(count, services) => (Cell::new(count.to_string()), &**services),
    };
    vec![
        Cell::new(name),
        Cell::new(rate(function.rate)),
        above_zero(view, function.failed, rate(function.failed)),
        Cell::new(latency(function.latency.p50)),
        Cell::new(latency(function.latency.p99)),
        workers,
        Cell::new(services),
    ]
}

fn destination(view: &View, destination: &figures::Destination) -> Vec<Cell> {
    vec![
        Cell::new(&destination.name),
        Cell::new(rate(destination.rate)),
        above_zero(view, destination.errors, rate(destination.errors)),
        Cell::new(latency(destination.latency.p50)),
        Cell::new(latency(destination.latency.p99)),
        above_zero(view, destination.queued, count(destination.queued)),
        above_zero(view, destination.apart, count(destination.apart)),
    ]
}

/// What should be nothing.
fn above_zero(view: &View, value: f64, text: String) -> Cell {
    let style = if value > 0.0 { view.bad() } else { Style::new() };
    Cell::new(text).styled(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_comes_first() {
        let rows = vec![("a", 1.0, None), ("b", 3.0, Some(0.1)), ("c", 2.0, Some(0.2))];
        let names = |by| -> Vec<_> {
            sorted(by, rows.clone(), |row| (row.1, row.2)).into_iter().map(|row| row.0).collect()
        };
        assert_eq!(names(Sort::Rate), ["b", "c", "a"]);
        assert_eq!(names(Sort::P99), ["c", "b", "a"]);
        assert_eq!(names(Sort::Name), ["a", "b", "c"]);
    }
}
