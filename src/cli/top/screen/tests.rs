use tokio::time::Instant;

use super::*;
use crate::cli::top::view::Focus;
use crate::telemetry::samples::Samples;

const TEXT: &str = "\
hookbus_webhooks_total{endpoint=\"vapi\",type=\"a\",outcome=\"stored\"} 120
hookbus_webhooks_total{endpoint=\"\u{1b}[31mred\",type=\"a\",outcome=\"refused\"} 5
hookbus_webhook_seconds_bucket{le=\"0.1\",endpoint=\"vapi\",kind=\"event\"} 30
hookbus_webhook_seconds_bucket{le=\"+Inf\",endpoint=\"vapi\",kind=\"event\"} 30
hookbus_publish_seconds_bucket{le=\"0.1\",destination=\"nats:{endpoint}.events.{type}\"} 20
hookbus_spool_records{destination=\"nats:{endpoint}.events.{type}\"} 7
hookbus_in_flight{kind=\"event\"} 12
hookbus_in_flight_max{kind=\"event\"} 8192
hookbus_in_flight_bytes 1024
hookbus_in_flight_bytes_max 536870912
hookbus_dead_letters 3
";

fn view(readiness: &[&str]) -> View {
    let mut view = View::new("127.0.0.1:9180".to_owned(), false);
    for text in ["", TEXT] {
        view.looked(Look {
            at: Instant::now(),
            is_ready: true,
            readiness: readiness.iter().map(|line| (*line).to_owned()).collect(),
            samples: Samples::read(text),
        });
    }
    view
}

fn drawn(view: &View, width: u16, height: u16) -> Vec<String> {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw(view, true, area, &mut buffer);
    let lines = buffer.content().chunks(width.into()).map(|cells| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    lines.collect()
}

#[test]
fn everything_has_its_place() {
    let view = view(&["ready", "nats: connected", "problem: x: \u{1b}]0;y\u{7}"]);
    let lines = drawn(&view, 80, 24);
    assert_eq!(lines[0], "hookbus at 127.0.0.1:9180  ready  nats: connected");
    assert_eq!(lines[1], "in flight  event 12 of 8192  1.0 KiB of 512.0 MiB");
    assert!(lines[2].starts_with("spool  0 B  3 dead letters"), "{lines:#?}");
    assert!(lines[4].starts_with("ENDPOINT  ") && lines[4].ends_with("OUTCOMES/S"), "{lines:#?}");
    let text = lines.join("\n");
    assert!(text.contains("\u{fffd}[31mred") && text.contains("\nvapi "), "{text}");
    assert!(text.contains("\nnats:{endpoint}.events.{type} "), "{text}");
    assert_eq!(lines[22], "problem: x: \u{fffd}]0;y\u{fffd}");
    assert!(lines[23].starts_with("q quit"), "{lines:#?}");
}

#[test]
fn it_fits_whatever_there_is() {
    let problems = vec!["problem: something"; 40];
    let readiness = [&["not ready: starting", "nats: down (events)"], &*problems].concat();
    let view = view(&readiness);
    for (width, height) in [(0, 0), (1, 1), (10, 3), (24, 8), (40, 12), (80, 5), (300, 100)] {
        if width > 0 {
            drawn(&view, width, height);
        }
    }
    let lines = drawn(&view, 40, 20);
    assert!(lines.iter().any(|line| line.starts_with("ENDPOINT ")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("problem: ")), "{lines:#?}");
}

#[test]
fn a_loss_and_a_pause_are_said() {
    let mut view = view(&["ready"]);
    view.lost = Some("no answer".to_owned());
    view.is_paused = true;
    let lines = drawn(&view, 100, 24);
    assert!(lines[0].contains("no answer; trying again. This is 0 s old  PAUSED"), "{lines:#?}");
    assert!(!lines[0].contains("ready"), "{lines:#?}");
}

#[test]
fn one_table_may_have_all_the_room() {
    let mut view = view(&["ready"]);
    view.focus = Focus::Destinations;
    let text = drawn(&view, 80, 24).join("\n");
    assert!(text.contains("DESTINATION") && !text.contains("ENDPOINT"), "{text}");
}
