//! Providers that are described and not coded: `[provider.NAME]`, read once into what each webhook is held against.
//!
//! Nothing is looked up by name for a webhook: the places of all texts are read together, and a text knows the numbers
//! of its places.

mod condition;
mod dialogue;
mod each;
mod handshake;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode, header};

use self::condition::Condition;
use self::dialogue::Asking;
use self::each::Each;
use self::handshake::Handshake;
use crate::config::Endpoint;
use crate::config::piece::{Piece, pieces};
use crate::config::provider::{self, Acknowledge, After, BodyKind, Payload, Provider, Refuse};
use crate::config::scheme::Scheme;
use crate::config::sources::QuestionKind;
use crate::message::{Body, KnownType, Metadata, Refusal, Reply};
use crate::places::{self, Content, Form, Places, Text, Values};
use crate::source::{Classified, Meaning, Request, Source};

/// The dialect of a described provider.
pub(super) struct Described {
    event_prefix: String,
    body: BodyKind,
    /// Those of webhooks.
    methods: Vec<Method>,
    /// Those and those of handshakes, as in the header `Allow`.
    allowed: String,
    /// What is read of a webhook.
    places: Places,
    /// Whether that, or a worker, gets something of a form.
    reads_form: bool,
    types: Vec<(Condition, Text)>,
    /// The texts that a type may stand in, for a refusal of a webhook without one.
    expected: String,
    ids: Vec<Believed>,
    keys: Vec<Believed>,
    /// Types with a metric label of their own, sorted.
    labels: Vec<Arc<str>>,
    /// Where there may be several in one webhook, with what makes them.
    questions: Vec<(Arc<Asking>, Option<Each>)>,
    acknowledge: Acknowledge,
    ack_within: Option<Duration>,
    refuse: Refuse,
    /// Of senders that have proved what senders of webhooks have to.
    proven: Vec<Handshake>,
    /// What is read of a head that may be a handshake's.
    head_places: Places,
    /// Of senders that don't have to.
    unproven: Vec<Handshake>,
}

/// How a body is read.
#[derive(Clone, Copy)]
enum Shape {
    /// As one JSON document.
    Json,
    /// As a form.
    Form,
    /// Not at all.
    Bytes,
}

/// Why a described provider couldn't read a fallback.
pub(super) fn judge_fallback(
    provider: &Provider,
    asked: QuestionKind<'_>,
    fallback: &serde_json::Value,
) -> Result<(), &'static str> {
    let QuestionKind::Type(kind) = asked else { return Ok(()) };
    let mut all = provider.questions.iter().map(Asking::new);
    let Some(asking) = all.find(|asking| asking.is_meant(kind)) else { return Ok(()) };
    let reply = asking.fallen_back(fallback.to_string().into());
    if reply.body.is_empty() && !asking.may_be_empty() {
        return Err("it is empty");
    }
    asking.check(&reply)
}

impl Described {
    /// As an endpoint speaks it. What can't be used was a problem of the configuration, and is left out.
    pub(super) fn new(provider: &Provider, endpoint: &Endpoint) -> Self {
        let (mut places, mut head_places) = (Places::default(), Places::default());
        let rules = provider.type_rules.iter().filter_map(|rule| {
            let condition = Condition::new(&rule.when, &rule.present, &rule.absent, &mut places)?;
            Some((condition, text(&rule.r#type, &mut places)?))
        });
        let mut types: Vec<_> = rules.collect();
        let plain = provider.r#type.all().iter();
        types.extend(plain.filter_map(|one| Some((Condition::default(), text(one, &mut places)?))));
        let kinds = endpoint.auth.iter();
        let schemes: Vec<_> = kinds.flat_map(|kind| endpoint.schemes(kind)).collect();
        let mut believed = |texts: &provider::Texts| -> Vec<Believed> {
            let new = |text: &String| Believed::new(text, &schemes, endpoint, &mut places);
            texts.all().iter().filter_map(new).collect()
        };
        let (ids, keys) = (believed(&provider.id), believed(&provider.key));
        let (mut proven, mut unproven) = (Vec::new(), Vec::new());
        for settings in &provider.handshakes {
            match settings.after {
                After::Authentication => {
                    proven.extend(Handshake::new(settings, endpoint, &mut places));
                }
                After::Token | After::Nothing => {
                    unproven.extend(Handshake::new(settings, endpoint, &mut head_places));
                }
            }
        }
        let questions = provider.questions.iter().map(|asking| {
            let each = asking.each.as_ref().and_then(|each| Each::new(each, &mut places));
            (Arc::new(Asking::new(asking)), each)
        });
        let questions: Vec<_> = questions.collect();
        let expected: Vec<_> =
            provider.r#type.all().iter().map(|text| format!("`{text}`")).collect();
        Self {
            event_prefix: format!("{}.", provider.event_prefix.trim_end_matches('.')),
            body: provider.body,
            methods: provider.methods.iter().map(|method| (*method).into()).collect(),
            allowed: allowed(provider),
            types,
            expected: expected.join(", "),
            ids,
            keys,
            labels: labels(provider),
            questions,
            acknowledge: provider.acknowledge.clone(),
            ack_within: endpoint.ack_within.or(provider.acknowledge.within).map(|time| time.get()),
            refuse: provider.refuse.clone(),
            reads_form: places.reads_form()
                || provider.questions.iter().any(|asking| asking.payload == Payload::Fields),
            places,
            proven,
            head_places,
            unproven,
        }
    }

    /// How the body of a request is to be read.
    fn shape(&self, request: &Request<'_>) -> Result<Shape, Refusal> {
        if request.body.is_empty() && request.head.method != Method::POST {
            return Ok(Shape::Bytes);
        }
        match (self.body, is_form(request.head)) {
            (BodyKind::Bytes, _) => Ok(Shape::Bytes),
            (BodyKind::Json, _) | (BodyKind::JsonOrForm | BodyKind::Any, false) => Ok(Shape::Json),
            (BodyKind::Form | BodyKind::JsonOrForm | BodyKind::Any, true) => Ok(Shape::Form),
            (BodyKind::Form, false) => {
                Err(Refusal::Malformed("the body is not a form by its content type".into()))
            }
        }
    }

    fn kind<'a>(&self, values: &Values<'a>) -> Result<Cow<'a, str>, Refusal> {
        let fitting = self.types.iter().filter(|(condition, _)| condition.holds(values));
        if let Some(kind) = fitting.filter_map(|(_, text)| text.fill(values)).next() {
            return Ok(kind);
        }
        let is_ambiguous = self.types.iter().any(|(_, text)| text.is_ambiguous(values));
        Err(Refusal::Malformed(match is_ambiguous {
            true => "what the type is made of comes more than once".into(),
            false => format!("there is no type: it is expected in {}", self.expected).into(),
        }))
    }

    /// The number of a type.
    fn label(&self, kind: &str) -> usize {
        let found = self.labels.binary_search_by(|label| (**label).cmp(kind));
        found.unwrap_or(self.labels.len())
    }
}

impl Source for Described {
    fn classify(&self, mut request: Request<'_>) -> Result<Classified, Refusal> {
        let shape = self.shape(&request)?;
        let malformed = |error: places::Error| Refusal::Malformed(error.to_string().into());
        let form = match (shape, request.form.take()) {
            (Shape::Form, None) if self.reads_form => match Form::of(request.body) {
                Err(_) if self.body == BodyKind::Any => None,
                found => Some(found.map_err(malformed)?),
            },
            (Shape::Form, found) => found,
            (Shape::Json | Shape::Bytes, _) => None,
        };
        let content = match (shape, &form) {
            (Shape::Json, _) => Content::Json(request.body),
            (Shape::Form, Some(form)) => Content::Form(form),
            (Shape::Form, None) | (Shape::Bytes, _) => Content::Unread,
        };
        let read = |content| self.places.read(request.head, content);
        let values = match (read(content), self.body) {
            (Err(_), BodyKind::Any) => read(Content::Unread),
            (values, _) => values,
        };
        let values = values.map_err(malformed)?;
        if let Some(handshake) = self.proven.iter().find(|it| it.is_it(&request, &values)) {
            let metadata =
                Metadata { kind: HANDSHAKE.clone(), label: self.labels.len(), key: None };
            let meaning = Meaning::Handshake(handshake.answer(&values)?);
            return Ok(Classified { metadata, delivery_id: None, meaning });
        }
        if !self.is_webhook(&request.head.method) {
            return Err(Refusal::Method { allowed: self.allowed.clone().into() });
        }
        let kind = self.kind(&values)?;
        let first = |texts: &[Believed]| {
            let mut usable = texts.iter().filter(|it| it.is_covered(request.scheme));
            usable.find_map(|it| it.text.fill(&values))
        };
        let delivery_id: Option<Arc<str>> = first(&self.ids).map(Into::into);
        let asking = self.questions.iter().find(|(asking, _)| asking.is_meant(&kind));
        let metadata = Metadata {
            label: self.label(&kind),
            kind: kind.into(),
            key: first(&self.keys).map(Into::into),
        };
        let meaning = match asking {
            None => Meaning::Event,
            Some((asking, each)) => {
                let id = delivery_id.clone();
                Meaning::Questions(match each {
                    Some(each) => each.questions(asking, &request, &values, id)?,
                    None => dialogue::questions(asking, &request, form, id),
                })
            }
        };
        Ok(Classified { metadata, delivery_id, meaning })
    }

    fn types(&self) -> Vec<KnownType> {
        let asks = |name: &str| self.questions.iter().any(|(asking, _)| asking.is_meant(name));
        let known = |name: &Arc<str>| KnownType { name: name.clone(), asks: asks(name) };
        self.labels.iter().map(known).collect()
    }

    fn event_prefix(&self) -> &str {
        &self.event_prefix
    }

    fn methods(&self) -> &str {
        &self.allowed
    }

    fn is_webhook(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }

    fn handshake(&self, head: &Parts) -> Option<Result<Reply, Refusal>> {
        if self.unproven.is_empty() {
            return None;
        }
        let values = self.head_places.read_head(head);
        let nothing = Bytes::new();
        let request = Request::new(head, &nothing);
        let handshake = self.unproven.iter().find(|it| it.is_it(&request, &values))?;
        Some(handshake.answer(&values))
    }

    fn acknowledge(&self, is_accepted: bool) -> Reply {
        let Acknowledge { stored, spooled, content_type, body, .. } = &self.acknowledge;
        let status = StatusCode::from_u16(if is_accepted { *spooled } else { *stored });
        let reply = Reply::new(Body::Whole(body.clone().into()), content_type.clone());
        Reply { status: status.unwrap_or(StatusCode::OK), ..reply }
    }

    fn ack_within(&self) -> Option<Duration> {
        self.ack_within
    }

    fn refusals(&self) -> Refuse {
        self.refuse.clone()
    }
}

/// The type of what is no event.
static HANDSHAKE: LazyLock<Arc<str>> = LazyLock::new(|| "handshake".into());

/// A text with places, if it can be used.
fn text(text: &str, places: &mut Places) -> Option<Text> {
    Text::new(&pieces(text).ok()?, places)
}

/// A text that counts where nobody but the provider can have written it.
struct Believed {
    text: Text,
    /// Whether each scheme of the endpoint covers it, or the endpoint trusts it as it is.
    by_scheme: Vec<bool>,
}

impl Believed {
    fn new(
        written: &str,
        schemes: &[Scheme],
        endpoint: &Endpoint,
        places: &mut Places,
    ) -> Option<Self> {
        let pieces = pieces(written).ok()?;
        let is_covered = |scheme: &Scheme, piece: &Piece| {
            scheme.covers(piece) || endpoint.trusts(&piece.trusted_name())
        };
        let by_scheme =
            schemes.iter().map(|scheme| pieces.iter().all(|piece| is_covered(scheme, piece)));
        let by_scheme = by_scheme.collect();
        Some(Self { text: Text::new(&pieces, places)?, by_scheme })
    }

    /// Whether it counts in a request that a signature of this scheme let in. Where none did, a sender that could change it
    /// has the secret.
    fn is_covered(&self, scheme: Option<usize>) -> bool {
        scheme.is_none_or(|scheme| self.by_scheme.get(scheme).copied().unwrap_or(false))
    }
}

/// The methods that are taken, each once.
fn allowed(provider: &Provider) -> String {
    let mut all: Vec<&str> = Vec::new();
    let handshakes = provider.handshakes.iter().map(|handshake| &handshake.method);
    for method in provider.methods.iter().chain(handshakes).map(provider::Method::as_str) {
        if !all.contains(&method) {
            all.push(method);
        }
    }
    all.join(", ")
}

/// Types that are known by name: those that are said to be, and those that stand in the description as they are.
fn labels(provider: &Provider) -> Vec<Arc<str>> {
    let is_literal = |text: &&String| !text.contains(['{', '*']);
    let plain =
        provider.r#type.all().iter().chain(provider.type_rules.iter().map(|rule| &rule.r#type));
    let asked = provider.questions.iter().flat_map(|asking| &asking.types);
    let all = provider.known_types.iter().chain(plain.chain(asked).filter(is_literal));
    let mut labels: Vec<Arc<str>> = all.map(|name| name.as_str().into()).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// Whether a request says that its body is a form.
fn is_form(head: &Parts) -> bool {
    let content_type = head.headers.get(header::CONTENT_TYPE);
    content_type.and_then(|value| value.to_str().ok()).is_some_and(places::is_form)
}
