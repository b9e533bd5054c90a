//! The checks, in the order in which they are made.

use std::time::Duration;

use async_nats::HeaderValue;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Call, Client, Heard, Reply};
use super::instances;
use super::report::{Finding, Report};
use crate::message::Outcome;

/// How long to listen for a second answer to the same question.
const LISTEN_TIME: Duration = Duration::from_millis(300);
/// How long an expired question must stay unanswered.
const EXPIRED_TIME: Duration = Duration::from_secs(2);
/// The context of the large question, in bytes.
const LARGE_CONTEXT: usize = 500 << 10;
/// Letters of several scripts, one beyond 16 bits, and one in two parts.
const UNICODE: &str =
    "Z\u{fc}rich \u{6771}\u{4eac} \u{645}\u{631}\u{62d}\u{628}\u{627} \u{1f980} e\u{301}";
/// Longest part of an answer that is shown, in characters.
const MAX_SHOWN_CHARS: usize = 120;

const SILENT_HINT: &str = "reply to every question, with an error where there is no answer; a reply that \
                      is never sent costs the caller the whole time limit";

/// What is to be tried.
pub struct Plan {
    /// Arguments that the worker answers.
    pub right: Value,
    /// Arguments that it doesn't understand.
    pub wrong: Vec<Value>,
    /// Calls at the same time.
    pub parallel: usize,
}

/// Make all checks. An error is one of ours: a question could not be sent.
pub async fn check(client: &Client, plan: &Plan) -> Result<Report, String> {
    let (function, subject) = (client.worker.function.clone(), client.worker.subject.clone());
    Ok(Report::new(function, subject, run(client, plan).await?))
}

async fn run(client: &Client, plan: &Plan) -> Result<Vec<Finding>, String> {
    let right = Call { arguments: plan.right.clone(), ..Call::default() };
    let mut findings = Vec::new();
    let first = client.ask(&Call { listen: LISTEN_TIME, ..right.clone() }).await?;
    let Some(reply) = answered(client, first, &mut findings) else {
        findings.push(Finding::skipped("everything else", "nobody answers"));
        return Ok(findings);
    };
    findings.push(single(&reply));
    findings.push(readable(&reply));
    let instances = instances::find(client).await?;
    findings.push(instances::judge(&instances));

    let traced = client.ask(&Call { is_traced: true, ..right.clone() }).await?;
    findings.push(same("trace context", &reply, traced));
    findings.push(unicode(client, plan).await?);
    let is_room = client.max_payload() > LARGE_CONTEXT + (64 << 10);
    findings.push(if is_room {
        let large = client.ask(&Call { context: LARGE_CONTEXT, ..right.clone() }).await?;
        same("500 KB of context", &reply, large)
    } else {
        Finding::skipped("500 KB of context", "the server takes no message so large (max_payload)")
    });

    let mut errors: Vec<Box<Reply>> = Vec::new();
    for arguments in &plan.wrong {
        let check = format!("wrong arguments {}", shown(&arguments.to_string(), 40));
        let heard = client.ask(&Call { arguments: arguments.clone(), ..Call::default() }).await?;
        findings.push(match heard {
            Heard::Reply(reply) => {
                let seen = entry(&reply);
                if is_error(&reply) {
                    errors.push(reply);
                }
                Finding::ok(check, seen)
            }
            _ => Finding::failed(check, "no reply", SILENT_HINT),
        });
    }
    findings.push(error_headers(&errors));

    let expired = Call { is_expired: true, ..right.clone() };
    findings.push(late(client.ask_late(&expired, EXPIRED_TIME).await?, instances.is_empty()));
    findings.push(parallel(client, &right, plan.parallel).await?);
    Ok(findings)
}

/// The reply to the first question; without one nothing else needs to be tried.
fn answered(client: &Client, heard: Heard, findings: &mut Vec<Finding>) -> Option<Box<Reply>> {
    let check = "an answer in time";
    match heard {
        Heard::Reply(reply) => {
            findings.push(Finding::ok(check, milliseconds(reply.took)));
            Some(reply)
        }
        Heard::NoResponders => {
            let seen = format!("no worker listens on {} (no responders)", client.worker.subject);
            let hint = "is the worker running, at this NATS server, with this account, on this very subject? \
                        --endpoint and --config change the subject";
            findings.push(Finding::failed(check, seen, hint));
            None
        }
        Heard::Silence => {
            let seen = format!(
                "a worker listens, but didn't reply within {}",
                seconds(client.worker.timeout)
            );
            findings.push(Finding::failed(check, seen, SILENT_HINT));
            None
        }
    }
}

fn single(reply: &Reply) -> Finding {
    let check = "one answer to one question";
    match reply.count {
        1 => Finding::ok(check, "1"),
        many => Finding::failed(
            check,
            format!("{many} answers: each instance does the work again"),
            "subscribe in the queue group `q`, in every instance",
        ),
    }
}

fn readable(reply: &Reply) -> Finding {
    let check = "an answer that can be read";
    let seen = entry(reply);
    match reply.outcome {
        Outcome::Answered => Finding::ok(check, seen),
        Outcome::BadReply => Finding::failed(
            check,
            format!("a bad reply of {} bytes; the sender gets {seen}", reply.message.payload.len()),
            "reply with JSON or text in UTF-8 that isn't empty",
        ),
        _ => Finding::failed(
            check,
            format!("an error: {seen}"),
            "give --arguments that the worker answers",
        ),
    }
}

/// Another question that must go as well as the first one.
fn same(check: &str, first: &Reply, heard: Heard) -> Finding {
    match heard {
        Heard::Reply(reply) if reply.outcome == first.outcome => {
            Finding::ok(check, format!("answered in {}", milliseconds(reply.took)))
        }
        Heard::Reply(reply) => Finding::failed(
            check,
            format!("{}: {}", reply.outcome.as_str(), entry(&reply)),
            "the same arguments got another outcome without it",
        ),
        _ => Finding::failed(check, "no reply", SILENT_HINT),
    }
}

/// Whether it survives what isn't ASCII; it may refuse it, but not by silence or by broken text.
async fn unicode(client: &Client, plan: &Plan) -> Result<Finding, String> {
    let check = "unicode in the arguments";
    let Value::Object(mut arguments) = plan.right.clone() else {
        return Ok(Finding::skipped(check, "--arguments is no object"));
    };
    arguments.insert("unicode".to_owned(), json!(UNICODE));
    let call = Call { arguments: arguments.into(), ..Call::default() };
    Ok(match client.ask(&call).await? {
        Heard::Reply(reply) if reply.outcome == Outcome::BadReply => Finding::failed(
            check,
            "a bad reply",
            "write UTF-8: many languages need to be told so when they read or write bytes",
        ),
        Heard::Reply(reply) => Finding::ok(check, entry(&reply)),
        _ => Finding::failed(check, "no reply", SILENT_HINT),
    })
}

fn error_headers(errors: &[Box<Reply>]) -> Finding {
    let check = "errors in their headers";
    let Some(reply) = errors.first() else {
        return Finding::skipped(check, "no error was seen; --wrong gives arguments that make one");
    };
    let headers = reply.message.headers.as_ref();
    let header = |name| headers.and_then(|headers| headers.get(name)).map(HeaderValue::as_str);
    let text = header(NATS_SERVICE_ERROR).unwrap_or_default().trim();
    let code = header(NATS_SERVICE_ERROR_CODE).unwrap_or_default();
    let hint = "set Nats-Service-Error to a sentence for the model, and Nats-Service-Error-Code to a number";
    if text.is_empty() {
        Finding::failed(check, format!("the code {code:?} without a text"), hint)
    } else if code.parse::<u32>().is_err() {
        Finding::failed(check, format!("the code {code:?}, which is no number"), hint)
    } else {
        Finding::ok(check, format!("{code}: {}", shown(text, MAX_SHOWN_CHARS)))
    }
}

fn late(is_answered: bool, is_plain: bool) -> Finding {
    let check = "an expired question is dropped";
    let seen = "it was answered: wasted work, and perhaps done twice";
    let hint =
        "look at Hookbus-Deadline before the work, and at Hookbus-Timeout-Ms where clocks differ";
    match (is_answered, is_plain) {
        (false, _) => Finding::ok(check, format!("no answer in {}", seconds(EXPIRED_TIME))),
        (true, true) => Finding::warning(check, seen, hint),
        (true, false) => Finding::failed(check, seen, hint),
    }
}

async fn parallel(client: &Client, call: &Call, count: usize) -> Result<Finding, String> {
    let check = format!("{count} calls at the same time");
    let began = Instant::now();
    let heard = join_all((0..count).map(|_| client.ask(call))).await;
    let took = began.elapsed();
    let (mut fine, mut errors, mut slowest) = (0, 0, Duration::ZERO);
    for heard in heard {
        if let Heard::Reply(reply) = heard? {
            slowest = slowest.max(reply.took);
            if reply.outcome == Outcome::Answered { fine += 1 } else { errors += 1 }
        }
    }
    let sum = format!(
        "{fine} answered in {}, the slowest took {}",
        milliseconds(took),
        milliseconds(slowest)
    );
    if fine == count {
        return Ok(Finding::ok(check, sum));
    }
    let silent = count - fine - errors;
    Ok(Finding::failed(
        check,
        format!("{sum}; {errors} errors, {silent} without a reply"),
        "answer several at a time: hand what waits to a task or a thread, or start more instances",
    ))
}

/// Whether the worker said that it can't answer.
fn is_error(reply: &Reply) -> bool {
    reply.outcome == Outcome::WorkerError
}

/// What the sender would get for this call, without what it said itself.
fn entry(reply: &Reply) -> String {
    let part =
        ["error", "result"].iter().find_map(|name| Some((*name, reply.entry[*name].as_str()?)));
    match part {
        Some((name, text)) => format!("{name}: {}", shown(text, MAX_SHOWN_CHARS)),
        None => shown(&reply.entry.to_string(), MAX_SHOWN_CHARS),
    }
}

fn shown(text: &str, limit: usize) -> String {
    let mut shown: String = text.chars().take(limit).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
