//! How fast a body is read: `cargo bench --bench json [NAME]`, in MB/s.
//!
//! serde_json runs next to it over the same bodies: `IgnoredAny` checks the grammar, `&RawValue` the UTF-8 as well, which
//! is the work that `document` does.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that meets an error should fail"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use hookbus::json::{Error, Reader, compact, quote};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Runs of one measurement; the fastest one counts, as the others were disturbed.
const RUNS: usize = 15;
const RUN: Duration = Duration::from_millis(20);

fn main() {
    let wanted =
        std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    println!(
        "{:28} {:>7} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "body", "bytes", "document", "skip", "fields", "IgnoredAny", "RawValue"
    );
    for (name, body) in bodies() {
        if !name.contains(&wanted) {
            continue;
        }
        let text = std::str::from_utf8(&body).expect("bodies are UTF-8");
        println!(
            "{name:28} {:7} {:10.0} {:10.0} {:10.0} {:10.0} {:10.0}",
            body.len(),
            speed(&body, |body| {
                let mut reader = Reader::new(body).unwrap();
                reader.skip().unwrap();
                reader.end().unwrap();
            }),
            speed(&body, |_| {
                Reader::over(black_box(text)).skip().unwrap();
            }),
            speed(&body, |body| {
                black_box(fields(body).unwrap());
            }),
            speed(&body, |body| {
                serde_json::from_slice::<IgnoredAny>(body).unwrap();
            }),
            speed(&body, |body| {
                black_box(serde_json::from_slice::<&RawValue>(body).unwrap());
            }),
        );
    }
}

/// What a source asks of a body: a few fields, two levels down.
fn fields(body: &[u8]) -> Result<[Option<&str>; 3], Error> {
    let mut found = [None; 3];
    let mut reader = Reader::new(body)?;
    reader.object(|reader, key| {
        if key != "message" {
            return Ok(());
        }
        reader.object(|reader, key| {
            match &*key.unescape() {
                "type" => found[0] = Some(reader.skip()?),
                "call" => found[1] = Some(reader.skip()?),
                "toolCallList" => found[2] = Some(reader.skip()?),
                _ => {}
            }
            Ok(())
        })
    })?;
    reader.end()?;
    Ok(found)
}

/// Bodies as services send them, without white space, and as people write them.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let sample = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/vapi/samples");
        std::fs::read_to_string(format!("{folder}/{name}.json")).expect("the sample is there")
    };
    let transcript = sample("transcript");
    let message = |list: &str| {
        format!("{{\"message\": {{\"type\": \"tool-calls\", \"toolCallList\": {list}}}}}")
    };
    let calls = format!("[{}]", [sample("tool-calls").as_str(); 12].join(",\n"));
    let quoted = message(&quote(&compact(&calls)));
    let calls = message(&calls);
    let conversation = sample("conversation-update--large");
    let report = sample("end-of-call-report--large");
    vec![
        ("small", compact(&sample("campaign.predial"))),
        ("transcript", compact(&transcript)),
        ("transcript, indented", transcript),
        ("tool calls", compact(&calls)),
        ("tool calls, indented", calls),
        ("tool calls, in a string", quoted),
        ("conversation", compact(&conversation)),
        ("conversation, spaced", conversation),
        ("report", compact(&report)),
        ("report, spaced", report),
    ]
    .into_iter()
    .map(|(name, body)| (name, body.into_bytes()))
    .collect()
}

/// Megabytes a second.
fn speed(body: &[u8], read: impl Fn(&[u8])) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        let mut rounds = 0_u32;
        while start.elapsed() < RUN {
            for _ in 0..(1 << 16) / body.len() + 1 {
                read(black_box(body));
                rounds += 1;
            }
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(rounds));
    }
    body.len() as f64 / best / 1e6
}
