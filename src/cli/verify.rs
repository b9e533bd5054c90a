//! `hookbus verify`: why a captured request is or isn't accepted, step by step, offline.

mod capture;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use http::Uri;

use self::capture::Capture;
use super::{CONFIG_FILE, CommandResult, Failure, eprint, load, print, providers};
use crate::auth::diagnosis::{self, Attempt};
use crate::config::secret::Secret;
use crate::config::{Auth, Endpoint};
use crate::source::{self, Meaning, Request};
use crate::template::nearest;

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus verify shop request.txt              a raw HTTP request, against an endpoint of hookbus.toml
  hookbus verify --provider stripe request.har --secret \"$STRIPE_SECRET\"
  hookbus verify --provider slack --headers headers.txt --body body.txt --secret \"$SLACK_SECRET\"
  hookbus verify shop curl.txt --body body.json --at 2026-11-30T09:15:00Z

FILE holds a request as it came over the wire, what `curl -v` printed about it, or an HTTP archive (HAR) of a browser or \
a proxy. The clock of the signature is now, unless --at says when the request came. Nothing is sent anywhere, and no \
secret is shown. The exit code is 0 if it is accepted, 1 if it is refused.";

/// What `hookbus verify` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The endpoint of the configuration that the request was for, unless --provider is given
    #[arg(value_name = "ENDPOINT")]
    first: Option<String>,
    /// The captured request; - for standard input
    #[arg(value_name = "FILE")]
    second: Option<String>,
    /// Verify as this provider signs (`hookbus providers list`), with --secret
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// A secret, instead of the configured ones; may be repeated
    #[arg(long = "secret", value_name = "SECRET", value_parser = secret)]
    secrets: Vec<Secret>,
    /// The configuration; with --provider its other endpoints are looked at too [default: hookbus.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The URL that the provider was told, instead of the configured `public_url`
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// When the request came: RFC 3339, or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<SystemTime>,
    /// Its headers, one `Name: value` a line, or as a JSON object
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
    /// Its body, byte for byte
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

/// Whatever it is: an error of clap would repeat the value.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

fn time(text: &str) -> Result<SystemTime, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        return time.ok_or_else(|| format!("`{text}` is too late"));
    }
    humantime::parse_rfc3339_weak(text)
        .map_err(|_| "write it like 2026-11-30T09:15:00Z, or as Unix seconds".to_owned())
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    let (name, file) = match (&arguments.provider, &arguments.first, &arguments.second) {
        (Some(_), file, None) => (None, file.as_deref()),
        (Some(_), _, Some(_)) => {
            return Err(
                Failure::wrong("--provider replaces ENDPOINT").hint("leave one of them out")
            );
        }
        (None, Some(name), file) => (Some(name.as_str()), file.as_deref()),
        (None, None, _) => {
            return Err(Failure::wrong("there is nothing to verify it against")
                .hint("name an endpoint of the configuration, or --provider"));
        }
    };
    let config = match (&arguments.config, name) {
        (Some(file), _) => Some(load(file)?),
        (None, Some(_)) => Some(load(Path::new(CONFIG_FILE))?),
        (None, None) => None,
    };
    let all = config.map(|config| config.endpoints).unwrap_or_default();
    let mut endpoint = match (&arguments.provider, name) {
        (Some(provider), _) => of_provider(providers::known(provider)?, &arguments.secrets)?,
        (None, name) => named(&all, name.unwrap_or_default())?,
    };
    if !arguments.secrets.is_empty() {
        endpoint.auth.iter_mut().for_each(|kind| replace(kind, &arguments.secrets));
    }
    if let Some(url) = &arguments.url {
        endpoint.public_url = Some(url.clone());
        // Without a request line that is where it came to.
        if let (Some(_), Ok(url)) = (&arguments.provider, url.parse::<Uri>()) {
            url.path().clone_into(&mut endpoint.path);
        }
    }
    let capture = capture(&arguments, file, &endpoint)?;
    let others: Vec<_> = all.iter().collect();
    verify(&endpoint, &others, &capture, arguments.at.unwrap_or_else(SystemTime::now))
}

/// The endpoint of this name.
fn named(all: &[Endpoint], name: &str) -> Result<Endpoint, Failure> {
    let names = || all.iter().map(|endpoint| endpoint.name.as_str());
    if let Some(endpoint) = all.iter().find(|endpoint| endpoint.name == name) {
        return Ok(endpoint.clone());
    }
    let failure = Failure::wrong(format_args!("the configuration has no endpoint `{name}`"));
    Err(match nearest(name, names()) {
        Some(near) => failure.hint(format_args!("did you mean `{near}`?")),
        None => {
            let names: Vec<_> = names().collect();
            failure.hint(format_args!("there are {}", names.join(", ")))
        }
    })
}

/// An endpoint that takes what a provider signs.
fn of_provider(name: &str, secrets: &[Secret]) -> Result<Endpoint, Failure> {
    let facts = source::facts(name).unwrap_or_default();
    let header = facts.secret_header;
    let signs = facts.description.as_ref().is_some_and(|provider| provider.has_signatures());
    let mut endpoint = Endpoint::of(name, facts, secrets.to_vec(), "");
    endpoint.public_url = None;
    if let Some(header) = header {
        let (header, prefix) = (header.to_owned(), String::new());
        endpoint.auth = vec![Auth::Secret { header, prefix, secrets: secrets.to_vec() }];
    } else if !signs {
        let title = &endpoint.facts.provider;
        return Err(Failure::wrong(format_args!("{title} signs nothing that could be verified"))
            .hint("name an endpoint of the configuration instead: it says what is demanded"));
    }
    if secrets.is_empty() {
        return Err(Failure::wrong("a secret is needed").hint(
            "--secret SECRET; or name an endpoint of the configuration instead of --provider",
        ));
    }
    Ok(endpoint)
}

/// The same way in with other secrets.
fn replace(kind: &mut Auth, with: &[Secret]) {
    let own = match kind {
        Auth::Secret { secrets, .. } => secrets,
        Auth::Basic { passwords, .. } => passwords,
        Auth::Signature(settings) => &mut settings.secrets,
        Auth::Hmac(settings) => &mut settings.secrets,
        Auth::Jwt(_) | Auth::None {} => return,
    };
    *own = with.to_vec();
}

/// The request, from the files that hold it.
fn capture(
    arguments: &Arguments,
    file: Option<&str>,
    endpoint: &Endpoint,
) -> Result<Capture, Failure> {
    let mut capture = match (file, &arguments.headers) {
        (Some(_), Some(_)) => {
            return Err(Failure::wrong("--headers replaces FILE").hint("leave one of them out"));
        }
        (Some(file), None) => {
            capture::request(&read(file)?, &endpoint.path).map_err(|why| unreadable(file, &why))?
        }
        (None, Some(headers)) => {
            let name = headers.display().to_string();
            capture::headers(&read(&name)?, &endpoint.path)
                .map_err(|why| unreadable(&name, &why))?
        }
        (None, None) => {
            return Err(Failure::wrong("there is no request to verify")
                .hint("name a FILE that holds it, or --headers FILE and --body FILE"));
        }
    };
    if let Some(body) = &arguments.body {
        capture.body = Some(read(&body.display().to_string())?.into());
    }
    Ok(capture)
}

fn unreadable(file: &str, why: &str) -> Failure {
    Failure::wrong(format_args!("{file}: {why}")).hint(
        "it takes a raw HTTP request, the output of `curl -v`, or HAR; --headers and --body take them one by one",
    )
}

/// A file, or standard input.
fn read(name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match name {
        "-" => std::io::stdin().lock().read_to_end(&mut bytes).map(drop),
        name => std::fs::read(name).map(|read| bytes = read),
    };
    match read {
        Ok(()) => Ok(bytes),
        Err(error) => Err(Failure::wrong(format_args!("can't read {name}: {error}"))),
    }
}

fn verify(
    endpoint: &Endpoint,
    others: &[&Endpoint],
    capture: &Capture,
    now: SystemTime,
) -> CommandResult {
    let head = &capture.head;
    let body = capture.body.clone().unwrap_or_default();
    capture.notes(&body).iter().for_each(|note| eprint(format_args!("note: {note}")));
    let source = source::of(endpoint);
    let (method, path) = (&head.method, head.uri.path());
    let at = humantime::format_rfc3339_seconds(now);
    let mut text =
        format!("{method} {path} with {} bytes, for `{}`, as of {at}\n", body.len(), endpoint.name);
    if source.handshake(head).is_some() {
        text.push_str("\naccepted: a handshake, which is answered without authentication");
        return print(&text);
    }
    let attempts = diagnosis::attempts(endpoint, others, head, &body, now);
    for attempt in &attempts {
        text.push_str(&steps(attempt));
    }
    // Writing to a String can't fail.
    let accepted = attempts.iter().find(|attempt| attempt.refused.is_none());
    let code = match (accepted, diagnosis::nearest(&attempts)) {
        (None, Some(cause)) => {
            let (reason, what, hint) = (cause.reason.as_str(), &cause.what, &cause.hint);
            let _ = write!(text, "\nrefused ({reason}): {what}\nhint: {hint}");
            ExitCode::FAILURE
        }
        (None, None) => {
            text.push_str("\nrefused: the endpoint has no `[[endpoint.auth]]`");
            ExitCode::FAILURE
        }
        (Some(attempt), _) => {
            let _ = write!(text, "\naccepted: {}", attempt.way);
            if capture.is_compressed() {
                return print(&text);
            }
            let _ = match source.classify(Request::new(head, &body)) {
                Ok(webhook) => {
                    let kind = webhook.metadata.kind;
                    match webhook.meaning {
                        Meaning::Handshake(_) => write!(text, "; a handshake"),
                        Meaning::Event => write!(text, "; an event of type `{kind}`"),
                        Meaning::Questions(_) => write!(text, "; a question of type `{kind}`"),
                    }
                }
                Err(refusal) => write!(text, "; it would be refused all the same: {refusal}"),
            };
            ExitCode::SUCCESS
        }
    };
    print(&text)?;
    Ok(code)
}

/// One way in, a line for each thing that was looked at.
fn steps(attempt: &Attempt) -> String {
    let mut text = format!("\n{}\n", attempt.way);
    for step in &attempt.steps {
        let verdict = if step.is_fine { "ok" } else { "no" };
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {verdict}  {:10} {}", step.name, step.text);
    }
    text
}
