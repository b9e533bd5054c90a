//! What no single value can show: names that repeat, templates that don't work, rules that never
//! decide, brokers that nobody named, subjects that get into each other's way.
//!
//! Every check says what it finds and goes on. It looks at typed settings and at their places in
//! the file side by side; a place that the walk over the shape has complained about already is
//! passed over in silence.

mod admin;
mod auth;
mod capture;
mod endpoint;
mod kafka;
mod nats;
mod provider;
mod rules;
mod telemetry;
mod tls;

use std::path::Path;

use super::Config;
use super::load::tree::Node;
use super::problem::Problems;
use super::sources::{Judge, Sources};
use super::units::{Size, Time};
use crate::template;

/// No broker takes a larger message.
const LARGEST_BODY: Size = Size::mib(1_024);
/// No machine has more memory, and counting it can't overflow.
const LARGEST_IN_FLIGHT: Size = Size::mib(1 << 20);

/// Problems what is wrong with settings whose shape is right.
pub(super) fn check(config: &Config, root: Node<'_>, sources: Sources, report: &mut Problems<'_>) {
    let names = (sources.names)();
    let mut checks = Checks { config, root, sources: &names, judge: sources.judge, report };
    checks.http();
    let proxies = root.get("http").get("trusted_proxies");
    auth::networks(&mut checks, proxies, &config.http.trusted_proxies);
    admin::check(&mut checks);
    telemetry::check(&mut checks);
    checks.spool();
    checks.brokers();
    if let Some(nats) = &config.nats {
        nats::check(&mut checks, nats, root.get("nats"));
    }
    if let Some(kafka) = &config.kafka {
        kafka::check(&mut checks, kafka, root.get("kafka"));
    }
    provider::check(&mut checks);
    endpoint::check(&mut checks);
    checks.drain();
    capture::check(&mut checks);
}

struct Checks<'a, 'r, 't> {
    config: &'a Config,
    root: Node<'a>,
    /// The names of the sources that are known without the file.
    sources: &'a [&'static str],
    /// Says why a provider can't read a fallback.
    judge: Judge,
    report: &'r mut Problems<'t>,
}

impl Checks<'_, '_, '_> {
    fn error(&mut self, node: Node<'_>, message: impl Into<String>, hint: impl Into<String>) {
        if !node.is_broken() {
            self.report.error(node.start(), message, hint);
        }
    }

    fn warning(&mut self, node: Node<'_>, message: impl Into<String>, hint: impl Into<String>) {
        if !node.is_broken() {
            self.report.warning(node.start(), message, hint);
        }
    }

    /// Problems what is wrong with a template that stands at this node.
    fn template_error(&mut self, node: Node<'_>, error: template::Error) {
        if node.is_broken() {
            return;
        }
        match node.written() {
            None => {
                let at = node.inside(self.report.text(), error.offset);
                self.report.error(at, error.message, error.hint.unwrap_or_default());
            }
            // The error quotes what came from the environment.
            Some(written) => self.report.error(
                node.start(),
                format!("`{written}` doesn't make a usable name with these variables"),
                "names hold literals and `{endpoint}`, `{type}`, `{key}` or `{function}`; look at what the variables hold",
            ),
        }
    }

    /// Problems a time that must not be zero.
    fn not_zero(&mut self, node: Node<'_>, key: &str, time: Time) {
        if time.get().is_zero() {
            self.error(
                node.get(key),
                format!("`{key}` can't be zero: nothing would ever be in time"),
                "write a time such as \"5s\"",
            );
        }
    }

    /// Problems a file that can't be opened.
    fn file(&mut self, node: Node<'_>, key: &str, path: Option<&Path>) {
        let node = node.get(key);
        let Some(path) = path else { return };
        if let Err(error) = std::fs::File::open(path) {
            let path = shown(node, &path.display().to_string());
            self.error(
                node,
                format!("`{key}`: the file `{path}` can't be opened: {}", error.kind()),
                "relative paths begin at the directory of the configuration file",
            );
        }
    }

    fn http(&mut self) {
        let http = &self.config.http;
        let node = self.root.get("http");
        for (key, time) in [
            ("header_timeout", http.header_timeout),
            ("keep_alive", http.keep_alive),
            ("body_timeout", http.body_timeout),
            ("write_timeout", http.write_timeout),
            ("unverified_timeout", http.unverified_timeout),
        ] {
            self.not_zero(node, key, time);
        }
        let body = node.get("max_body");
        let in_flight = node.get("max_in_flight_bytes");
        if http.max_body.get() == 0 {
            self.error(
                body,
                "`max_body` can't be zero: every body would be too large",
                "write a size such as \"8MiB\"",
            );
        } else if http.max_in_flight_bytes < http.max_body && !body.is_broken() {
            let node = if in_flight.is_written() { in_flight } else { body };
            let (all, one): (Size, Size) = (http.max_in_flight_bytes, http.max_body);
            self.error(
                node,
                format!("`max_in_flight_bytes` ({all}) is less than `max_body` ({one}): the largest body would never fit"),
                "raise `max_in_flight_bytes` or lower `max_body`",
            );
        }

        let unverified = node.get("max_unverified_bytes");
        if let Some(size) = http.max_unverified_bytes.filter(|size| *size < http.max_body) {
            self.error(
                unverified,
                format!("`max_unverified_bytes` ({size}) is less than `max_body` ({}): with a signature the largest body would never fit", http.max_body),
                "raise `max_unverified_bytes` or lower `max_body`",
            );
        }

        for (node, key, size, limit) in [
            (unverified, "max_unverified_bytes", http.unverified_bytes(), LARGEST_IN_FLIGHT),
            (body, "max_body", http.max_body, LARGEST_BODY),
            (in_flight, "max_in_flight_bytes", http.max_in_flight_bytes, LARGEST_IN_FLIGHT),
        ] {
            if size > limit {
                self.error(
                    node,
                    format!("`{key}` can't be more than {limit}"),
                    "write a smaller size",
                );
            }
        }

        self.shutdown_delay();
        tls::listener(self, node, http.tls.as_ref());
        tls::listener(self, self.root.get("admin"), self.config.admin.tls.as_ref());

        let admin = self.root.get("admin").get("listen");
        let listen = node.get("listen");
        let (public, private) = (http.listen, self.config.admin.listen);
        let same_address = public.ip() == private.ip()
            || public.ip().is_unspecified()
            || private.ip().is_unspecified();
        if public.port() == private.port()
            && public.port() != 0
            && same_address
            && !listen.is_broken()
        {
            let node = if admin.is_written() { admin } else { listen };
            self.error(
                node,
                format!("`[http]` and `[admin]` both listen on port {}", public.port()),
                "give them different ports",
            );
        }
    }

    /// Whether a load balancer that is there can notice a stop.
    fn shutdown_delay(&mut self) {
        let http = &self.config.http;
        let node = self.root.get("http");
        let delay = node.get("shutdown_delay");
        let behind = match (&http.health, http.trusted_proxies.is_empty()) {
            (Some(_), _) => "health",
            // Who has written that it is zero has one process behind its proxy.
            (None, false) if !delay.is_written() => "trusted_proxies",
            _ => return,
        };
        if http.shutdown_delay.get().is_zero() {
            self.warning(
                if delay.is_written() { delay } else { node.get(behind) },
                format!("with `{behind}` there is a load balancer, but `shutdown_delay` is zero: it would send requests to a process that has stopped listening"),
                "set `shutdown_delay` to more than it takes the load balancer to notice, such as \"10s\"; with one process behind it and no `health`, write \"0s\"",
            );
        }
    }

    fn spool(&mut self) {
        let spool = &self.config.spool;
        let node = self.root.get("spool");
        self.not_zero(node, "sync_timeout", spool.sync_timeout);
        if spool.max_bytes.get() == 0 {
            self.error(
                node.get("max_bytes"),
                "`max_bytes` can't be zero: nothing could ever be kept",
                "write a size such as \"10GiB\", or `enabled = false` to do without a spool",
            );
        }
        if spool.dir.as_os_str().is_empty() {
            self.error(
                node.get("dir"),
                "`dir` can't be empty",
                "write a directory such as \"hookbus-spool\", on a disk that keeps its files",
            );
        }
    }

    /// Whether events can go anywhere, and questions be asked.
    fn brokers(&mut self) {
        let config = self.config;
        let endpoints = self.root.get("endpoint");
        if config.endpoints.is_empty() {
            self.error(
                endpoints,
                "there is no `[[endpoint]]`: nothing could be received",
                "add one with `name`, `path`, `source` and `[[endpoint.auth]]`",
            );
            return;
        }
        let is_unclear = self.root.get("nats").is_broken() || self.root.get("kafka").is_broken();
        if config.nats.is_some() || is_unclear {
            return;
        }
        if config.kafka.is_none() {
            let keeps = |endpoint: &&super::Endpoint| !endpoint::drops_everything(endpoint);
            if config.endpoints.iter().any(|endpoint| keeps(&endpoint)) {
                self.error(
                    endpoints.at(0),
                    "there is neither `[nats]` nor `[kafka]`: events could be stored nowhere",
                    "add `[nats]` with `servers`, `[kafka]` with `brokers`, or both",
                );
                return;
            }
        }
        let rules = config.endpoints.iter().enumerate().find_map(|(at, endpoint)| {
            let node = endpoints.at(at);
            let first = |key, is_empty: bool| (!is_empty).then(|| node.get(key).at(0));
            first("question", endpoint.questions.is_empty())
                .or(first("tool", endpoint.tools.is_empty()))
        });
        self.warning(
            rules.unwrap_or(endpoints.at(0)),
            "without `[nats]` no worker can be asked: every question ends as `no-responders`, with its fallback if it has one",
            "add `[nats]` if the sender asks questions or calls tools",
        );
    }

    /// Whether questions in flight can end before the process does.
    fn drain(&mut self) {
        if self.config.nats.is_none() {
            return;
        }
        let facts = self.config.endpoints.iter().map(|endpoint| &endpoint.facts);
        let defaults = facts.flat_map(|facts| {
            facts.questions.iter().map(|asked| asked.timeout).chain(facts.call_timeout)
        });
        let rules = self.config.endpoints.iter().flat_map(|endpoint| {
            let questions = endpoint.questions.iter().filter_map(|rule| rule.timeout);
            questions.chain(endpoint.tools.iter().filter_map(|rule| rule.timeout))
        });
        let Some(longest) = defaults.chain(rules).max() else {
            return;
        };
        let drain = self.config.http.drain;
        if drain < longest {
            self.warning(
                self.root.get("http").get("drain"),
                format!("`drain` ({drain}) is shorter than a question may take ({longest}): a stop would cut it off"),
                format!("set `drain = \"{longest}\"` or more"),
            );
        }
    }
}

/// A value as a message shows it: as it was written, when it holds values of the environment.
fn shown(node: Node<'_>, text: &str) -> String {
    let text = node.written().unwrap_or(text);
    let short: String = text.chars().take(100).collect();
    short.escape_debug().to_string().replace("\\\"", "\"")
}
