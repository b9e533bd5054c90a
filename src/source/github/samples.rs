//! Webhooks as GitHub posts them.

use crate::source::Sample;

macro_rules! sample {
    ($name:literal, $about:literal) => {
        Sample {
            name: $name,
            about: $about,
            body: include_str!(concat!("samples/", $name, ".json")),
            headers: &[("x-github-event", $name), ("x-github-delivery", "{uuid}")],
        }
    };
}

/// All samples.
pub const ALL: &[Sample] = &[
    sample!("ping", "event: a webhook was set up at GitHub"),
    sample!("push", "event: commits were pushed"),
    sample!("pull_request", "event: a pull request was opened"),
];
