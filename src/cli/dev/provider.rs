//! Endpoints for described providers, beside the one of `hookbus dev` itself.

use std::fmt::Write as _;

use super::{program, quoted, webhook_url};
use crate::config::facts::Facts;
use crate::config::provider;
use crate::source::{self, Sample};
use crate::template::{Template, Vars, glob};

/// Samples that are shown.
const SHOWN: usize = 3;

/// Where its events go with Kafka.
pub(super) fn topic(name: &str) -> String {
    format!("{name}.events")
}

/// The tables of its endpoint.
pub(super) fn settings(name: &str, auth: &str, with_kafka: bool) -> String {
    let stream = name.replace('-', "_").to_ascii_uppercase();
    let mut text = format!(
        r#"
[[nats.stream]]
name = "{stream}_EVENTS"
subjects = ["{name}.events.>"]
max_age = "1d"

[[endpoint]]
name = "{name}"
path = "/{name}"
source = "{name}"
{auth}"#
    );
    if with_kafka {
        // Writing to a String can't fail.
        let _ = write!(
            text,
            "\n[[endpoint.event]]\ntypes = [\"*\"]\nto = [\"nats:{name}.events.{{type}}\", \"kafka:{}\"]\n",
            topic(name)
        );
    }
    text
}

/// What to try with it; `http` is where webhooks go, `flag` is what lets them in.
pub(super) fn commands(name: &str, http: &str, nats: &str, flag: &str) -> String {
    let facts = source::facts(name).unwrap_or_default();
    let url = format!("http://{http}/{name}");
    let to = if url == webhook_url(name) { String::new() } else { format!(" --to {url}") } + flag;
    let asks = |sample: &&Sample| question(&facts, sample).is_some();
    let is_webhook = |sample: &&Sample| {
        let described = facts.description.as_ref();
        described.is_none_or(|provider| provider.methods.contains(&sample.method))
    };
    let samples: Vec<_> = source::samples(name).iter().filter(is_webhook).collect();
    let first = samples.iter().copied().find(asks);
    let others = samples.iter().copied().filter(|sample| !asks(sample));
    let mut text = String::new();
    for sample in first.into_iter().chain(others).take(SHOWN) {
        let what = if asks(&sample) { ", a question: nobody answers it yet" } else { "" };
        // Writing to a String can't fail.
        let _ = write!(
            text,
            "\n  # {}: {}{what}\n  {} send --provider {name} {}{to}\n",
            facts.provider,
            sample.about,
            program(),
            quoted(&sample.name)
        );
    }
    if let Some(sample) = first
        && let Some(asking) = question(&facts, sample)
        && let Some(subject) = subject(name, base(sample))
    {
        let _ = write!(
            text,
            "\n  # answer it, in a third terminal; any client of NATS can\n  {} answer --server {nats} --subject {} -- echo {}\n",
            program(),
            quoted(&subject),
            quoted(answer(asking))
        );
    }
    text
}

/// The type of a sample.
fn base(sample: &Sample) -> &str {
    sample.name.split("--").next().unwrap_or_default()
}

/// What is known of a sample's type, if its sender waits.
fn question<'a>(facts: &'a Facts, sample: &Sample) -> Option<&'a provider::Asking> {
    let asking = facts.description.as_ref()?.questions.iter();
    let is_it = |known: &String| glob::matches(known, base(sample));
    asking.into_iter().find(|asking| asking.types.iter().any(is_it))
}

fn subject(name: &str, kind: &str) -> Option<String> {
    let template = Template::subject("{endpoint}.ask.{type}").ok()?;
    Some(template.render_subject(&Vars { endpoint: name, kind, key: None, function: None }))
}

/// Something that can be sent on.
fn answer(asking: &provider::Asking) -> &'static str {
    let kind = asking.content_types.first().map_or("", String::as_str);
    match provider::is_json(kind) {
        true => "{}",
        false if kind.contains("xml") => "<Response/>",
        false => "ok",
    }
}
