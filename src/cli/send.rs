//! `hookbus send`: post a sample or a file as the provider would, once or many times.

mod edit;
mod tally;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};
use reqwest::{Client, Url, redirect};
use tokio::task::JoinSet;

use self::edit::Edit;
use self::tally::{Tally, milliseconds};
use super::{Failure, Outcome, block_on, print, say, write};
use crate::config::secret::Secret;
use crate::config::units::Time;
use crate::source::vapi::samples;

// In `{n}` stands an invisible escape sequence, since clap makes a line break of the bare three characters.
pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus send tool-calls
  hookbus send tool-calls --function get_weather --arguments '{\"city\": \"Oslo\"}'
  hookbus send status-update --set message.call.id=call-7 --set message.status=ended
  hookbus send report.json --to https://hooks.example.com/vapi --secret \"$VAPI_SECRET\"
  hookbus send transcript --count 10000 --concurrency 50 --set message.call.id=call-{\x1b[0mn}";

const SET_HELP: &str = "\
Change a member of the body, such as message.call.id=call-1 or message.messages.0=null; may be repeated. \
The value is JSON if it reads as JSON, else text; {\x1b[0mn} in it becomes the number of the request";

/// Where `hookbus dev` listens.
pub(super) const DEFAULT_TARGET: &str = "http://127.0.0.1:8080/vapi";

/// What `hookbus send` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A built-in sample, a file, or - for standard input
    #[arg(value_name = "TYPE|FILE", required_unless_present = "list")]
    what: Option<String>,
    /// List the built-in samples
    #[arg(long)]
    list: bool,
    /// Where to post it
    #[arg(long, value_name = "URL", default_value = DEFAULT_TARGET, value_parser = target)]
    to: Url,
    /// The secret that the endpoint expects
    #[arg(long, value_name = "SECRET", value_parser = secret)]
    secret: Option<Secret>,
    /// The header that carries the secret
    #[arg(long, value_name = "NAME", default_value = "x-vapi-secret")]
    secret_header: HeaderName,
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
    /// Post it so many times, and sum up instead of showing the answer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    count: u64,
    /// So many at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    concurrency: u64,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: Time,
}

fn target(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(format!("write the whole address, such as {DEFAULT_TARGET}"))
    }
}

/// Whatever it is: an error of clap would repeat the value.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is not a header name"))?;
    let value =
        HeaderValue::from_str(value.trim()).map_err(|_| "a header can't hold this value")?;
    Ok((name, value))
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    if arguments.list {
        return list();
    }
    let body = body(&arguments)?;
    let many = arguments.count > 1;
    let post = Post::new(arguments)?;
    if many { block_on(post_many(post, body)) } else { block_on(post_one(post, body)) }
}

fn list() -> Outcome {
    let width = samples::ALL.iter().map(|sample| sample.name.len()).max();
    let width = width.unwrap_or_default() + 2;
    let mut text = String::new();
    for sample in samples::ALL {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{:width$}{}", sample.name, sample.about);
    }
    print(text.trim_end())
}

/// The body to post: bytes as they are, or what the edits make of them.
struct Body {
    original: Bytes,
    edits: Vec<Edit>,
    numbered: bool,
}

impl Body {
    /// The body of the request with this number.
    fn render(&self, number: u64) -> Result<Bytes, Failure> {
        if self.edits.is_empty() {
            return Ok(self.original.clone());
        }
        let text = std::str::from_utf8(&self.original)
            .map_err(|_| Failure::wrong("can't change the body: it is not UTF-8"))?;
        edit::apply(text, &self.edits, number)
            .map(Bytes::from)
            .map_err(|problem| Failure::wrong(format_args!("can't change the body: {problem}")))
    }
}

fn body(arguments: &Arguments) -> Result<Body, Failure> {
    let original = read(arguments.what.as_deref().unwrap_or_default())?;
    let mut edits = Vec::new();
    if arguments.function.is_some() || arguments.arguments.is_some() {
        edits = call_edits(&original, arguments)?;
    }
    edits.extend(arguments.edits.iter().cloned());
    let mut body = Body { original, numbered: edits.iter().any(Edit::is_numbered), edits };
    // Every mistake shows here, before anything is sent.
    let first = body.render(1)?;
    if !body.numbered {
        body.original = first;
        body.edits.clear();
    }
    Ok(body)
}

fn read(what: &str) -> Result<Bytes, Failure> {
    if let Some(sample) = samples::find(what) {
        return Ok(Bytes::from_static(sample.body.as_bytes()));
    }
    if what == "-" {
        let mut bytes = Vec::new();
        return match io::stdin().lock().read_to_end(&mut bytes) {
            Ok(_) => Ok(Bytes::from(bytes)),
            Err(error) => Err(Failure::failed(format_args!("can't read standard input: {error}"))),
        };
    }
    let path = Path::new(what);
    if !path.exists() {
        return Err(unknown(what));
    }
    std::fs::read(path)
        .map(Bytes::from)
        .map_err(|error| Failure::failed(format_args!("can't read {what}: {error}")))
}

fn unknown(what: &str) -> Failure {
    let failure = Failure::wrong(format_args!("there is no sample and no file `{what}`"));
    let likeness = |name: &str| strsim::jaro_winkler(what, name);
    let nearest = samples::ALL
        .iter()
        .map(|sample| sample.name)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(name) if likeness(name) > 0.8 => failure
            .hint(format_args!("did you mean `{name}`? `hookbus send --list` shows all samples")),
        _ => failure.hint("`hookbus send --list` shows all samples"),
    }
}

/// The edits that `--function` and `--arguments` stand for: wherever the webhook says them.
fn call_edits(body: &[u8], arguments: &Arguments) -> Result<Vec<Edit>, Failure> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Failure::wrong("can't change the body: it is not UTF-8"))?;
    let mut edits = Vec::new();
    if let Some(function) = &arguments.function {
        // Also of a function that is called `true` or `1`.
        let value = serde_json::Value::from(function.as_str()).to_string();
        edits.extend(Edit::wherever(text, edit::FUNCTION_NAMES, &value));
    }
    if let Some(value) = &arguments.arguments {
        edits.extend(Edit::wherever(text, edit::FUNCTION_ARGUMENTS, value));
    }
    if edits.is_empty() {
        return Err(Failure::wrong(
            "--function and --arguments need a webhook that holds a tool call",
        )
        .hint("such as `tool-calls`; --set changes any other webhook"));
    }
    Ok(edits)
}

/// Everything about a request but its body.
struct Post {
    client: Client,
    to: Url,
    headers: HeaderMap,
    timeout: Time,
    count: u64,
    concurrency: u64,
}

/// What came back.
struct Answer {
    version: Version,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    latency: Duration,
}

impl Answer {
    fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

impl Post {
    fn new(arguments: Arguments) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(secret) = arguments.secret {
            let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| {
                Failure::wrong("--secret holds characters that a header can't carry")
            })?;
            value.set_sensitive(true);
            headers.insert(arguments.secret_header, value);
        }
        for (name, _) in &arguments.headers {
            headers.remove(name);
        }
        for (name, value) in arguments.headers {
            headers.append(name, value);
        }
        Ok(Self {
            client: client(&arguments.to, arguments.timeout).map_err(|error| {
                Failure::failed(format_args!("can't set up HTTP: {}", root_cause(&error)))
            })?,
            to: arguments.to,
            headers,
            timeout: arguments.timeout,
            count: arguments.count,
            concurrency: arguments.concurrency,
        })
    }

    async fn send(&self, body: Bytes) -> Result<Answer, reqwest::Error> {
        let started = Instant::now();
        let request = self.client.post(self.to.clone()).headers(self.headers.clone());
        let response = request.body(body).send().await?;
        let (version, status, headers) =
            (response.version(), response.status(), response.headers().clone());
        let body = response.bytes().await?;
        Ok(Answer { version, status, headers, body, latency: started.elapsed() })
    }

    /// Why there was no answer, without the parts of the address that may be secret.
    fn reason(&self, error: &reqwest::Error) -> String {
        let place = self.to.host_str().unwrap_or_default();
        let port = self.to.port_or_known_default().unwrap_or_default();
        if error.is_timeout() {
            format!("no answer from {place}:{port} within {}", self.timeout)
        } else if error.is_connect() {
            format!("can't connect to {place}:{port}: {}", root_cause(error))
        } else {
            format!("no answer from {place}:{port}: {}", root_cause(error))
        }
    }
}

fn client(to: &Url, timeout: Time) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .user_agent(concat!("hookbus/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(timeout.get())
        .tcp_nodelay(true);
    if is_loopback(to) {
        builder = builder.no_proxy();
    }
    if to.scheme() == "http" {
        // Without it the system's certificates are loaded, which takes time and fails where there are none.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

const NOBODY_THERE: &str =
    "is `hookbus dev` (or `hookbus serve`) running there? --to names another address";

async fn post_one(post: Post, body: Body) -> Outcome {
    let answer = match post.send(body.render(1)?).await {
        Ok(answer) => answer,
        Err(error) => return Err(Failure::failed(post.reason(&error)).hint(NOBODY_THERE)),
    };
    say(format_args!("{:?} {}", answer.version, answer.status));
    for name in ["hookbus-outcome", "hookbus-id"] {
        if let Some(value) = answer.header(name) {
            say(format_args!("{name}: {value}"));
        }
    }
    say(format_args!("latency: {}", milliseconds(answer.latency)));
    show(&answer.body)?;
    if answer.status.is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    match answer.status {
        StatusCode::UNAUTHORIZED => say("hint: --secret SECRET sends the secret of the endpoint"),
        StatusCode::NOT_FOUND => say("hint: --to must name the path of an endpoint, such as /vapi"),
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
        Ok(text) => print(&edit::indent(text)).map(drop),
        Err(_) => {
            say(format_args!("({} bytes that are not text)", body.len()));
            Ok(())
        }
    }
}

async fn post_many(post: Post, body: Body) -> Outcome {
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
                        let outcome = answer.header("hookbus-outcome");
                        tally.answered(answer.status, outcome.as_deref(), answer.latency);
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
    print(&tally.summary(started.elapsed(), post.concurrency))?;
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

    fn arguments(words: &[&str]) -> Result<Arguments, clap::Error> {
        let words = ["send"].iter().chain(words);
        Send::try_parse_from(words).map(|send| send.arguments)
    }

    fn rendered(words: &[&str], number: u64) -> serde_json::Value {
        let body = body(&arguments(words).unwrap()).unwrap();
        serde_json::from_slice(&body.render(number).unwrap()).unwrap()
    }

    #[test]
    fn a_sample_is_sent_byte_for_byte() {
        for sample in samples::ALL {
            let body = body(&arguments(&[sample.name]).unwrap()).unwrap();
            assert_eq!(body.render(1).unwrap(), sample.body.as_bytes());
        }
    }

    #[test]
    fn the_number_of_the_request_goes_into_values() {
        let words =
            ["transcript", "--set", "message.call.id=call-{n}", "--set", "message.turn={n}"];
        let body = rendered(&words, 7);
        assert_eq!(body["message"]["call"]["id"], "call-7");
        assert_eq!(body["message"]["turn"], 7);
    }

    #[test]
    fn the_function_changes_wherever_a_sample_says_it() {
        let samples = samples::ALL.iter().filter(|sample| {
            sample.name.starts_with("tool-calls") || sample.name.starts_with("function-call")
        });
        for sample in samples {
            let words =
                [sample.name, "--function", "get_weather", "--arguments", r#"{"city": "Oslo"}"#];
            let text = rendered(&words, 1)["message"].to_string();
            assert!(text.contains("get_weather") && text.contains("Oslo"), "{}", sample.name);
            if !sample.name.contains("parallel") && !sample.name.contains("mixed") {
                let first = rendered(&words, 1)["message"]["toolCallList"].to_string();
                assert!(!first.contains("lookup_appointment"), "{}: {first}", sample.name);
            }
        }
        let refused = body(&arguments(&["hang", "--function", "x"]).unwrap()).err().unwrap();
        assert!(refused.text.contains("holds a tool call"), "{}", refused.text);
    }

    #[test]
    fn a_misspelt_sample_gets_a_suggestion() {
        let text = unknown("tool-call").text;
        assert!(text.contains("did you mean `tool-calls`?"), "{text}");
        assert!(!unknown("zzz").text.contains("did you mean"));
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
        ] {
            assert_eq!(arguments(words).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }

    #[test]
    fn a_proxy_is_not_asked_for_this_machine() {
        for (url, local) in [
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]:8080/", true),
            ("http://localhost/", true),
            ("http://example.com/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), local, "{url}");
        }
    }
}
