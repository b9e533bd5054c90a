//! `hookbus send`: post a sample or a file as the provider would, once or many times.

mod body;
mod edit;
mod ids;
mod post;
mod sign;
mod tally;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use reqwest::Url;
use tokio::task::JoinSet;

use self::body::{Body, body};
use self::edit::Edit;
use self::post::{ID, OUTCOME, Post, REUSED};
use self::tally::{Tally, milliseconds};
use super::sign::secret;
use super::{CommandResult, Failure, block_on, dev, eprint, print, providers, write};
use crate::config::secret::Secret;
use crate::config::units::Time;
use crate::source;
use crate::telemetry::terminal;

// In `{n}` stands an invisible escape sequence, since clap makes a line break of the bare three characters.
pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus send tool-calls
  hookbus send tool-calls --function get_weather --arguments '{\"city\": \"Oslo\"}'
  hookbus send status-update --set message.call.id=call-7 --set message.status=ended
  hookbus send --provider stripe charge.succeeded --secret \"$STRIPE_SECRET\"
  hookbus send report.json --to https://hooks.example.com/shop --secret \"$SHOP_SECRET\"
  hookbus send status-update --to https://hooks.example.com/shop --config hookbus.toml
  hookbus send transcript --count 10000 --concurrency 50 --set message.call.id=call-{\x1b[0mn}

The body of the answer goes to standard output; its status, outcome, id and latency go to standard error. With --json all
of it is one object on standard output. A sample gets a new call id and new tool call ids in each request, since hookbus
answers a call that comes again as it answered it before; --keep-ids sends those of the sample. A file is sent as it is.";

const SET_HELP: &str = "\
Change a member of the body, such as message.call.id=call-1 or message.messages.0=null; may be repeated. \
The value is JSON if it reads as JSON, else text; {\x1b[0mn} in it becomes the number of the request";

/// What `hookbus send` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A built-in sample of the provider, a file, or - for standard input
    #[arg(value_name = "TYPE|FILE", required_unless_present = "list")]
    what: Option<String>,
    /// List the built-in samples of the provider
    #[arg(long)]
    list: bool,
    /// Post and sign as this provider does (`hookbus providers list`) [default: that of the endpoint with --config, else vapi]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Where to post it [default: where `hookbus dev` has the endpoint of the provider, http://127.0.0.1:8080/NAME]
    #[arg(long, value_name = "URL", value_parser = target)]
    to: Option<Url>,
    /// The secret that the endpoint expects
    #[arg(long, value_name = "SECRET", value_parser = secret)]
    secret: Option<Secret>,
    /// The header that carries the secret as it is [default: as the provider sends or signs it]
    #[arg(long, value_name = "NAME")]
    secret_header: Option<HeaderName>,
    /// Take the secret, the password or the signature that the endpoint with this path demands in a configuration file
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    config: Option<PathBuf>,
    /// A further header, as 'Name: value'; may be repeated
    #[arg(long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Change a member of the body; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE", help = SET_HELP)]
    edits: Vec<Edit>,
    /// Call this function instead (the first call of a sample)
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// With these arguments
    #[arg(long, value_name = "JSON")]
    arguments: Option<String>,
    /// Send N requests, and print a summary instead of the answer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    count: u64,
    /// Send a sample with the ids that it has, so that a second request is a repetition of the first
    #[arg(long)]
    keep_ids: bool,
    /// Print the answer, or the summary, as one JSON object
    #[arg(long)]
    json: bool,
    /// How many requests to send at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    concurrency: u64,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: Time,
}

impl Arguments {
    /// Where to post it.
    fn target(&self) -> Result<Url, Failure> {
        let name = self.provider.as_deref().unwrap_or(dev::ENDPOINT);
        match &self.to {
            Some(to) => Ok(to.clone()),
            None => target(&dev::webhook_url(name)).map_err(Failure::wrong),
        }
    }
}

fn target(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(format!("write the whole address, such as {}", dev::webhook_url(dev::ENDPOINT)))
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is not a header name"))?;
    let value =
        HeaderValue::from_str(value.trim()).map_err(|_| "a header can't hold this value")?;
    Ok((name, value))
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    let to = arguments.target()?;
    let endpoint = match &arguments.config {
        Some(file) => Some(sign::endpoint(file, &to)?),
        None => None,
    };
    let provider = match (&arguments.provider, &endpoint) {
        (Some(name), _) => providers::known(name)?.to_owned(),
        (None, Some(endpoint)) => endpoint.source.clone(),
        (None, None) => source::names_with_code().next().unwrap_or_default().to_owned(),
    };
    if arguments.list {
        return list(&provider);
    }
    let body = body(&arguments, &provider)?;
    let many = arguments.count > 1;
    let post = Post::new(arguments, to, &provider, endpoint.as_ref())?;
    if many { block_on(post_many(post, body)) } else { block_on(post_one(post, body)) }
}

fn list(provider: &str) -> CommandResult {
    let samples = source::samples(provider);
    let width = samples.iter().map(|sample| sample.name.len()).max().unwrap_or_default() + 2;
    let mut text = String::new();
    for sample in samples {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{:width$}{}", sample.name, sample.about);
    }
    print(text.trim_end())
}

const NOBODY_THERE: &str =
    "is `hookbus dev` (or `hookbus serve`) running there? --to names another address";

async fn post_one(post: Post, body: Body) -> CommandResult {
    let answer = match post.send(body.render(1)?).await {
        Ok(answer) => answer,
        Err(error) => return Err(Failure::failed(post.reason(&error)).hint(NOBODY_THERE)),
    };
    if post.json {
        print(&answer.json())?;
    } else {
        eprint(format_args!("{:?} {}", answer.version, answer.status));
        for name in [OUTCOME, REUSED, ID] {
            if let Some(value) = answer.header(name) {
                eprint(format_args!("{name}: {value}"));
            }
        }
        eprint(format_args!("latency: {}", milliseconds(answer.latency)));
        show(&answer.body)?;
    }
    if answer.status.is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    match answer.status {
        StatusCode::UNAUTHORIZED => eprint(
            "hint: --secret SECRET sends the secret of the endpoint, --config FILE whatever it demands",
        ),
        StatusCode::NOT_FOUND => {
            eprint("hint: --to must name the path of an endpoint, such as /shop")
        }
        _ => {}
    }
    Ok(ExitCode::FAILURE)
}

/// The body on standard output: for people with indentation, for programs as it is.
fn show(body: &[u8]) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return write(body);
    }
    if body.is_empty() {
        return Ok(());
    }
    match std::str::from_utf8(body) {
        Ok(body) => print(&shown(body)).map(drop),
        Err(_) => {
            eprint(format_args!("({} bytes that are not text)", body.len()));
            Ok(())
        }
    }
}

/// A body for people.
fn shown(body: &str) -> String {
    let text = edit::indent(body);
    // Where it is JSON, it stays what it is.
    if text == body { text } else { terminal::json(&text) }
}

async fn post_many(post: Post, body: Body) -> CommandResult {
    let (post, body) = (Arc::new(post), Arc::new(body));
    let next = Arc::new(AtomicU64::new(1));
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..post.concurrency.min(post.count) {
        let (post, body, next) = (Arc::clone(&post), Arc::clone(&body), Arc::clone(&next));
        senders.spawn(async move {
            let mut tally = Tally::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > post.count {
                    return Ok(tally);
                }
                match post.send(body.render(number)?).await {
                    Ok(answer) => {
                        let (outcome, reused) = (answer.header(OUTCOME), answer.header(REUSED));
                        let result = tally::Answered::new(answer.status, outcome, reused.is_some());
                        tally.answered(result, answer.latency);
                    }
                    Err(error) => tally.unanswered(post.reason(&error)),
                }
            }
        });
    }
    let mut tally = Tally::default();
    while let Some(sent) = senders.join_next().await {
        let sent: Result<Tally, Failure> =
            sent.map_err(|error| Failure::failed(format_args!("a sender stopped: {error}")))?;
        tally.add(sent?);
    }
    let took = started.elapsed();
    print(&match post.json {
        true => tally.json(took, post.concurrency),
        false => tally.summary(took, post.concurrency),
    })?;
    if let Some(reason) = tally.first_error() {
        return Err(Failure::failed(reason).hint(NOBODY_THERE));
    }
    Ok(if tally.all_fine() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Send {
        #[command(flatten)]
        arguments: Arguments,
    }

    pub(super) fn arguments(words: &[&str]) -> Result<Arguments, clap::Error> {
        let words = ["send"].iter().chain(words);
        Send::try_parse_from(words).map(|send| send.arguments)
    }

    #[test]
    fn wrong_flags_are_refused() {
        for words in [
            &["hang", "--to", "localhost:8080"][..],
            &["hang", "--to", "ftp://localhost/"],
            &["hang", "--header", "no colon"],
            &["hang", "--set", "no-value"],
            &["hang", "--count", "0"],
            &["hang", "--timeout", "5"],
            &[],
            &["hang", "--secret", "s", "--config", "hookbus.toml"],
        ] {
            assert_eq!(arguments(words).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }
}
