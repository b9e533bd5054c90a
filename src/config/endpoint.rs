//! `[[endpoint]]`: a path that webhooks arrive at.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::{Auth, Replay, Signature};
use super::facts::{Facts, Routing};
use super::piece::Piece;
use super::rules::{EventRule, QuestionRule, ToolRule};
use super::scheme::Scheme;
use super::secret::Secret;
use super::units::{Rate, Time};

/// `[[endpoint]]`: a path, the provider that posts to it, and what becomes of its webhooks.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Name in subjects, metrics and logs: `[a-z0-9-]+`.
    #[schemars(example = &"shop")]
    pub name: String,
    /// Path of the URL, for example `/shop`.
    #[schemars(example = &"/shop")]
    pub path: String,
    /// The provider: `vapi`, one that is built in (`hookbus providers list`), or a `[provider.NAME]` of this file.
    #[schemars(example = &"vapi")]
    pub source: String,
    /// What its source says of itself.
    #[serde(skip)]
    pub facts: Arc<Facts>,
    /// What tells a repeated delivery, so that it is stored once.
    #[serde(default)]
    pub dedupe: Dedupe,
    /// How long a worker's answer to a tool call is kept: the same call, sent again, gets it, and is not executed
    /// twice. `"0s"` turns it off.
    #[serde(default = "two_minutes")]
    pub answer_window: Time,
    /// Events of this endpoint being handled at the same time, within `http.max_events`; over it: 503.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_events: Option<usize>,
    /// Webhooks with questions of this endpoint being handled at the same time, within `http.max_questions`; over it
    /// they get their fallbacks, or a 503.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_questions: Option<usize>,
    /// How many events may come in a second, a minute or an hour (`"100/s"`, `"6000/m"`, `"10/h"`); over it: 429.
    /// Questions are not counted: a caller is waiting.
    #[serde(default)]
    pub rate_limit: Option<Rate>,
    /// How many events may come at once after a while without any; unset: those of a second.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub rate_burst: Option<u32>,
    /// Networks that may post here, such as `"167.150.224.0/23"`; without any, all may.
    #[serde(default)]
    #[schemars(example = ["167.150.224.0/23"])]
    pub allow_from: Vec<String>,
    /// Headers that count although the signature doesn't cover them, such as a message id; a parameter of the query as
    /// `"query:NAME"`. Anyone who can replay a webhook can change them.
    #[serde(default)]
    #[schemars(example = ["x-webhook-id"])]
    pub trust_unsigned: Vec<String>,
    /// How many deliveries are remembered, to tell repetitions (`replay`); each takes up to 100 bytes of memory.
    /// `"dedupe"` forgets the oldest first. `"refuse"` forgets none whose timestamp would still be accepted, and when
    /// there is no room, new deliveries get a 503. Unset: with `"refuse"` 1,000 for each second of `tolerance` (300,000
    /// for five minutes), else 65,536.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_seen_deliveries: Option<usize>,
    /// The URL that the provider was told, where signatures cover it.
    #[schemars(example = &"https://hooks.example.com/shop")]
    pub public_url: Option<String>,
    /// How long brokers may take before an event goes to the disk, where its sender waits for less than their
    /// `ack_timeout`; unset: what the provider needs.
    #[serde(default)]
    #[schemars(example = &"1.5s")]
    pub ack_within: Option<Time>,
    /// Who may post here; any that accepts is enough.
    #[serde(default)]
    pub auth: Vec<Auth>,
    /// Where events go; the first rule whose types match decides.
    #[serde(default, rename = "event")]
    pub events: Vec<EventRule>,
    /// How questions are asked, by type.
    #[serde(default, rename = "question")]
    pub questions: Vec<QuestionRule>,
    /// How tool calls are asked, by function.
    #[serde(default, rename = "tool")]
    pub tools: Vec<ToolRule>,
    /// Where it is stored what became of each question.
    #[serde(default)]
    pub audit: Option<Audit>,
}

impl Endpoint {
    /// One that speaks with a provider as it is, and takes what it signs with these secrets.
    pub fn of(source: &str, facts: Arc<Facts>, secrets: Vec<Secret>, url: &str) -> Self {
        Self {
            name: source.to_owned(),
            path: "/".to_owned(),
            source: source.to_owned(),
            facts,
            dedupe: Dedupe::default(),
            answer_window: two_minutes(),
            max_events: None,
            max_questions: None,
            rate_limit: None,
            rate_burst: None,
            allow_from: Vec::new(),
            trust_unsigned: Vec::new(),
            max_seen_deliveries: None,
            public_url: Some(url.to_owned()),
            ack_within: None,
            auth: vec![Auth::Signature(Signature { secrets, handshake_tokens: Vec::new() })],
            events: Vec::new(),
            questions: Vec::new(),
            tools: Vec::new(),
            audit: None,
        }
    }

    /// The schemes of signatures that one kind of its authentication accepts.
    pub fn schemes(&self, kind: &Auth) -> Vec<Scheme> {
        match (kind, &self.facts.description) {
            (Auth::Hmac(hmac), _) => vec![hmac.scheme()],
            (Auth::Signature(_), Some(provider)) => provider.signatures.clone(),
            _ => Vec::new(),
        }
    }

    /// The places that decide where a webhook goes, and that some signature doesn't cover.
    pub fn unsigned(&self) -> impl Iterator<Item = &Routing> {
        let schemes: Vec<_> = self.auth.iter().flat_map(|kind| self.schemes(kind)).collect();
        let is_covered = move |piece: &Piece| schemes.iter().all(|scheme| scheme.covers(piece));
        self.facts.routing.iter().filter(move |routing| !is_covered(&routing.piece))
    }

    /// Whether it takes a place as it is, although no signature covers it.
    pub fn trusts(&self, place: &str) -> bool {
        self.trust_unsigned.iter().any(|known| known.eq_ignore_ascii_case(place))
    }

    /// How many deliveries are remembered.
    pub fn max_seen(&self) -> usize {
        const USUAL: usize = 65_536;
        const A_SECOND: usize = 1_000;
        self.max_seen_deliveries.unwrap_or_else(|| {
            let refusing = self.auth.iter().filter_map(|auth| match auth {
                Auth::Hmac(hmac) if hmac.replay == Replay::Refuse => Some(hmac.tolerance.get()),
                _ => None,
            });
            let longest = refusing.max().unwrap_or_default().as_secs();
            usize::try_from(longest).unwrap_or(usize::MAX).saturating_mul(A_SECOND).max(USUAL)
        })
    }
}

/// `[endpoint.audit]`: one event for each question, after its answer: who was asked, what came of it, and how long it
/// took.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Destinations that store these events, at the promises of any event.
    #[schemars(example = ["nats:{endpoint}.audit.{type}"])]
    pub to: Vec<String>,
}

/// What tells a repeated delivery of the same webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dedupe {
    /// The provider's delivery id, where it sends one; else every delivery is a new one.
    #[default]
    DeliveryId,
    /// A hash of the received bytes.
    Body,
    /// Nothing: every delivery is stored, and no `Nats-Msg-Id` is sent.
    Off,
}

fn two_minutes() -> Time {
    Time::seconds(120)
}
