//! `hookbus forward`: the flags of [`forward`](crate::forward).

mod found;
mod screen;
mod subjects;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use reqwest::Url;

use self::screen::Screen;
use self::subjects::{EventSubjects, event_subjects};
use super::answer::token;
use super::nats_target::{self, NatsTarget};
use super::sign;
use super::{CommandResult, Failure, block_on, eprint};
use crate::auth::credential::Credential;
use crate::config::secret::Secret;
use crate::config::units::Time;
use crate::config::{Endpoint, Log, librdkafka};
use crate::forward::metrics::{self, Metrics};
use crate::forward::{
    Condition, Delivery, Dialect, Filter, Limits, Questions, Reporter, Server, Stop, jetstream,
    kafka,
};
use crate::http_client;
use crate::serve::Signals;
use crate::telemetry::{self, health::Health};
use crate::worker::{self, Input, Options, ServiceRegistration, Work};
use crate::{source, template};

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus forward --to http://localhost:3000/webhook
  hookbus forward --to http://localhost:3000/webhook --only events --since 1h --open-bodies
  hookbus forward --to http://localhost:3000/webhook --only questions --functions get_weather,book_table
  hookbus forward --to http://localhost:3000/webhook --mine call-7 --queue ann
  hookbus forward --to http://crm:8000/hooks --config hookbus.toml --durable crm --dead-letters shop.dead

Events are read by a consumer of this command's own, so that others get them as well; with --durable several \
instances share them. A question is answered by one worker of its queue group, and this command is one of them. With \
--queue it is in a group of its own: it gets every question beside the others, and the first answer counts. So it is \
with the functions of a pattern, such as get_*, where no rule of the configuration gives them a subject of their own: they \
are picked out of all that is asked, in a group of those who pick the same.

--mine, --where and --dry-run leave the other events to others. They touch questions only together with --queue, since \
one that is taken from the usual group and left out would have no answer.";

/// The usual queue group.
const QUEUE: &str = "q";

/// What `hookbus forward` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to post
    #[arg(long, value_name = "URL", value_parser = address)]
    to: Url,
    /// Post only these
    #[arg(long, value_name = "KIND")]
    only: Option<Only>,
    #[command(flatten)]
    target: nats_target::Flags,
    /// The functions whose questions to answer, with * for any characters [default: with --types none, else all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = QUESTIONS)]
    functions: Vec<String>,
    /// The types whose questions to answer [default: with --functions none, else all]
    #[arg(long, value_name = "TYPES", value_delimiter = ',', help_heading = QUESTIONS)]
    types: Vec<String>,
    /// The queue group: of all workers in one, one gets a question [default: q]
    #[arg(long, value_name = "NAME", value_parser = token, help_heading = QUESTIONS)]
    queue: Option<String>,
    /// The name of the service, as `nats micro list` shows it
    #[arg(long, value_name = "NAME", default_value = "hookbus-forward", value_parser = token, help_heading = QUESTIONS)]
    name: String,
    /// How many more questions may wait; beyond that the answer is the error "busy"
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(0..=10_000), help_heading = QUESTIONS)]
    waiting: u16,
    /// Read events from these subjects instead of those of the endpoint; may be repeated
    #[arg(long = "subject", value_name = "SUBJECT", help_heading = EVENTS)]
    subjects: Vec<String>,
    /// Read events from this topic instead, as kafka:TOPIC, with the brokers of [kafka] in the configuration
    #[arg(long, value_name = "kafka:TOPIC", value_parser = topic, requires = "group", conflicts_with_all = ["durable", "subjects"], help_heading = EVENTS)]
    from: Option<String>,
    /// The consumer group that reads the topic
    #[arg(long, value_name = "NAME", requires = "from", help_heading = EVENTS)]
    group: Option<String>,
    /// Begin with the events of this time [default: with those from now on]; an existing consumer or group goes on where it stands
    #[arg(long, value_name = "TIME", help_heading = EVENTS)]
    since: Option<Time>,
    /// Go on where the consumer of this name stands; instances with the same name share its events
    #[arg(long, value_name = "NAME", value_parser = token, help_heading = EVENTS)]
    durable: Option<String>,
    /// How long the server may take for an event
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = EVENTS)]
    timeout: Time,
    /// Give an event up after so many answers that are no 2xx
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..), help_heading = EVENTS)]
    max_deliver: u64,
    /// Store what is given up on this subject, or with --from in this topic
    #[arg(long, value_name = "SUBJECT|TOPIC", help_heading = EVENTS)]
    dead_letters: Option<String>,
    /// How many events to post at the same time, each of another key, and how many questions to answer
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    concurrency: u16,
    /// Sign each request with this secret, as the provider of the endpoint does
    #[arg(long, value_name = "SECRET", value_parser = sign::secret)]
    sign_with: Option<Secret>,
    /// Post only what has this key, and leave the rest to others
    #[arg(long, value_name = "KEY", conflicts_with_all = ["durable", "from"])]
    mine: Option<String>,
    /// Post only what fits: key=..., type=... or function=..., with * for any characters; may be repeated
    #[arg(long = "where", value_name = "CONDITION", conflicts_with_all = ["durable", "from"])]
    conditions: Vec<Condition>,
    /// Show what would be posted, and post nothing
    #[arg(long, conflicts_with_all = ["durable", "from"])]
    dry_run: bool,
    /// Show the bodies of requests and answers, up to 64 KiB of each
    #[arg(long)]
    open_bodies: bool,
    /// Answer /livez, /readyz and /metrics at this address, such as 127.0.0.1:9181
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// At the end, how long to wait for what is being posted or answered
    #[arg(long, value_name = "TIME", default_value = "20s")]
    drain: Time,
}

const QUESTIONS: &str = "Questions";
const EVENTS: &str = "Events";

/// Where events come from.
enum Events {
    JetStream(jetstream::Events),
    Kafka(kafka::Events),
}

/// One half of what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// What its sender only tells.
    Events,
    /// What its sender waits for.
    Questions,
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    is_http
        .then_some(url)
        .ok_or("write the whole address, such as http://localhost:3000/webhook".to_owned())
}

/// The name behind `kafka:`.
fn topic(text: &str) -> Result<String, String> {
    let topic = text.strip_prefix("kafka:").ok_or("write it as kafka:TOPIC")?;
    let checked = template::Template::topic(topic).map_err(|error| error.to_string());
    checked.map(|_| topic.to_owned())
}

pub(super) fn run(arguments: Arguments, signals: &Signals) -> CommandResult {
    // For what the connection has to say; the lines about requests are said directly.
    telemetry::init(&Log::default(), None);
    let target = arguments.target.load()?;
    let endpoint = endpoint(&target)?;
    let stop = Stop::default();
    let metrics = Arc::new(Metrics::new(Arc::new(Screen::new(arguments.open_bodies))));
    let (health, screen) = (Arc::<Health>::default(), metrics.clone() as Arc<dyn Reporter>);
    health.set_started();
    let server = Arc::new(arguments.server(&endpoint)?);
    let events = arguments.events(&target, &endpoint, &server, &stop, (&screen, &health))?;
    let questions = arguments.questions(&target, &endpoint, &server, (&screen, &health))?;
    if events.is_none() && questions.is_none() {
        return Err(Failure::wrong("there is nothing to post").hint(
            "questions are posted together with --mine, --where or --dry-run only where --queue names a group of this command's own",
        ));
    }
    block_on(async {
        signals.begun();
        if let Some(address) = arguments.admin {
            let listening = metrics::listen(address, health.clone(), metrics).map_err(|error| {
                Failure::failed(format_args!("can't listen on {address}: {error}"))
                    .hint("--admin names another address")
            })?;
            tokio::spawn(listening);
        }
        let asked = async {
            let Some((work, options, registration)) = questions else { return Ok(()) };
            found::tell_picked(&registration);
            found::tell_others(&target, &registration).await;
            // A second signal ends what is being answered.
            let (end, hurry) = (stop.begun(), signals.hurry());
            worker::run(work, options, registration, &target.settings, end, hurry).await?;
            Ok(())
        };
        let told = async {
            let Some(events) = events else { return Ok(()) };
            let (say, hurry) = (|line: &str| eprint(line), signals.hurry());
            let run = match events {
                Events::JetStream(events) => events.run(say, hurry).await.map_err(Failure::from),
                Events::Kafka(events) => events.run(say, hurry).await.map_err(Failure::from),
            };
            run.inspect_err(|_| stop.begin())
        };
        let both = async { tokio::join!(told, asked) };
        let ending = async {
            signals.end().await;
            health.set_draining();
            stop.begin();
            std::future::pending::<()>().await;
        };
        let (told, asked) = tokio::select! {
            ended = both => ended,
            () = ending => (Ok(()), Ok(())),
        };
        told.and(asked)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The endpoint: as configured, or as its provider is where nothing is.
fn endpoint(target: &NatsTarget) -> Result<Endpoint, Failure> {
    if let Some(endpoint) = target.configured() {
        return Ok(endpoint.clone());
    }
    let known: Vec<_> = target.config.endpoints.iter().map(|known| known.name.as_str()).collect();
    if !known.is_empty() {
        let what = format!("the configuration has no endpoint `{}`", target.endpoint);
        return Err(Failure::wrong(what)
            .hint(format_args!("--endpoint names it; there are {}", known.join(", "))));
    }
    let by_name = source::facts(&target.endpoint).map(|facts| (target.endpoint.as_str(), facts));
    let coded = || source::names_with_code().find_map(|name| Some((name, source::facts(name)?)));
    let (name, facts) = by_name.or_else(coded).unwrap_or_default();
    let mut endpoint = Endpoint::of(name, facts, Vec::new(), "");
    endpoint.name.clone_from(&target.endpoint);
    endpoint.auth.clear();
    Ok(endpoint)
}

impl Arguments {
    fn filter(&self) -> Filter {
        let mine = self.mine.as_deref().map(Condition::key);
        Filter::new(mine.into_iter().chain(self.conditions.clone()).collect())
    }

    fn server(&self, endpoint: &Endpoint) -> Result<Server, Failure> {
        let client = http_client::builder(&self.to)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(2 * usize::from(self.concurrency))
            .build()
            .map_err(|error| Failure::failed(http_client::root_cause(&error)))?;
        let credential = match &self.sign_with {
            Some(secret) => sign::with_secret(endpoint, secret)?,
            None => Credential::None,
        };
        Ok(Server::new(client, self.to.clone(), credential))
    }

    fn events(
        &self,
        target: &NatsTarget,
        endpoint: &Endpoint,
        server: &Arc<Server>,
        stop: &Stop,
        (screen, health): (&Arc<dyn Reporter>, &Arc<Health>),
    ) -> Result<Option<Events>, Failure> {
        if self.only == Some(Only::Questions) {
            return Ok(None);
        }
        let limits = Limits {
            concurrency: self.concurrency.into(),
            timeout: self.timeout.get(),
            max_deliver: self.max_deliver,
        };
        let delivery =
            Delivery::new(server.clone(), limits, self.dry_run, stop.clone(), screen.clone());
        let (delivery, dialect) = (Arc::new(delivery), Dialect::new(endpoint));
        if let (Some(topic), Some(group)) = (&self.from, &self.group) {
            let plan = self.kafka(target, topic, group)?;
            return Ok(Some(Events::Kafka(kafka::Events::new(plan, dialect, delivery))));
        }
        let EventSubjects { subjects, optional } = if self.subjects.is_empty() {
            event_subjects(&target.config, endpoint)?
        } else {
            EventSubjects { subjects: self.subjects.clone(), optional: Vec::new() }
        };
        if let Some(subject) = &self.dead_letters {
            check_subject(subject)?;
        }
        let max_body = target.config.http.max_body.get();
        let plan = jetstream::Plan {
            nats: target.settings.clone(),
            domain: target.config.nats.as_ref().and_then(|nats| nats.domain.clone()),
            subjects,
            optional,
            since: self.since.and_then(|since| SystemTime::now().checked_sub(since.get())),
            durable: self.durable.clone(),
            dead_letters: self.dead_letters.clone(),
            health: health.clone(),
            max_bytes: max_body.saturating_mul(self.concurrency.into()),
            drain: self.drain.get(),
        };
        let events = jetstream::Events::new(plan, dialect, self.filter(), delivery);
        Ok(Some(Events::JetStream(events)))
    }

    fn kafka(&self, target: &NatsTarget, topic: &str, group: &str) -> Result<kafka::Plan, Failure> {
        let settings = target.config.kafka.clone().unwrap_or_default();
        if let Some(topic) = &self.dead_letters {
            template::Template::topic(topic).map_err(|error| {
                Failure::wrong(format_args!(
                    "dead letters can't go to the topic `{topic}`: {error}"
                ))
            })?;
            if self.from.as_ref() == Some(topic) {
                return Err(Failure::wrong("dead letters can't go to the topic that is read"));
            }
        }
        Ok(kafka::Plan {
            client: librdkafka::client(&settings),
            producer: librdkafka::producer(&settings, &target.config.http),
            topic: topic.to_owned(),
            group: group.to_owned(),
            since: self.since.and_then(|since| SystemTime::now().checked_sub(since.get())),
            dead_letters: self.dead_letters.clone(),
            drain: self.drain.get(),
        })
    }

    fn questions(
        &self,
        target: &NatsTarget,
        endpoint: &Endpoint,
        server: &Arc<Server>,
        (screen, health): (&Arc<dyn Reporter>, &Arc<Health>),
    ) -> Result<Option<(Work, Options, ServiceRegistration)>, Failure> {
        // A bridge that has Kafka alone asks nobody.
        let has_nats = target.config.nats.is_some() || target.config.kafka.is_none();
        if self.only == Some(Only::Events) || !has_nats {
            return Ok(None);
        }
        let filter = self.filter();
        if self.queue.is_none() && (self.dry_run || !filter.is_open()) {
            if self.only.is_none() {
                eprint("questions are left to others; with --queue NAME they are shown here too");
            }
            return Ok(None);
        }
        let group = self.queue.as_deref().unwrap_or(QUEUE);
        let subscriptions =
            subjects::questions(target, endpoint, &self.functions, &self.types, group)?;
        if subscriptions.is_empty() {
            return Ok(None);
        }
        let registration = ServiceRegistration {
            command: "hookbus forward",
            description: "an HTTP server that hookbus forward posts to",
            health: health.clone(),
            name: self.name.clone(),
            group: group.to_owned(),
            input: Input::Payload,
            subscriptions,
        };
        let options = Options {
            concurrency: self.concurrency.into(),
            waiting: self.waiting.into(),
            drain: self.drain.get(),
        };
        let dialect = Dialect::new(endpoint);
        let questions =
            Questions::new(server.clone(), dialect, filter, self.dry_run, screen.clone());
        Ok(Some((Work::Other(Arc::new(questions)), options, registration)))
    }
}

/// How long a connection is kept for the next request. Less than servers wait for one (2 s and more): a request that meets
/// the end of its connection would be a failure.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time for a connection to the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl From<kafka::Error> for Failure {
    fn from(error: kafka::Error) -> Self {
        let hint = match &error {
            kafka::Error::NoTopic(_) => {
                "declare it with [[kafka.topic]], or create it; a missing topic is not made here"
            }
            kafka::Error::Kafka(_) => {
                "are the brokers of [kafka] in the configuration there? --config names the file"
            }
        };
        Self::failed(error).hint(hint)
    }
}

/// A whole subject, without variables and wildcards.
fn check_subject(subject: &str) -> Result<(), Failure> {
    let problem = match template::Template::subject(subject) {
        Ok(_) if !subject.contains(['{', '*', '>']) => return Ok(()),
        Ok(_) => "it holds a variable or a wildcard".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::wrong(format_args!("dead letters can't go to `{subject}`: {problem}"))
        .hint("write a whole subject, such as shop.dead"))
}

impl From<jetstream::Error> for Failure {
    fn from(error: jetstream::Error) -> Self {
        use jetstream::Error;
        let hint = match &error {
            Error::NoStream(_) => {
                "declare one with [[nats.stream]], or name the subjects with --subject; --only questions reads no events"
            }
            Error::Differs { .. } => {
                "give --durable another name, or delete the consumer where nobody needs its position: `nats consumer rm`"
            }
            Error::Deletes(_) => {
                "give --durable NAME, so that its events wait for this command, and --dead-letters SUBJECT, so that none is lost"
            }
            Error::DeadLetters { .. } => {
                "name a subject of another stream, or one of the same that is no event's"
            }
            Error::Other(_) => return Self::failed(error),
        };
        Self::failed(error).hint(hint)
    }
}
