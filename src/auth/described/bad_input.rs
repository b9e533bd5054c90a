//! What every built-in provider is sent that it should not take: each is refused for the right reason, and nothing
//! panics.

#![expect(clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use super::*;
use crate::auth::Cause;
use crate::config::piece::{Piece, pieces, pieces_in_json, signed_pieces};
use crate::config::provider::{After, BodyKind, Texts, is_json};
use crate::places::MAX_FIELDS;

/// A provider as an endpoint speaks it, with one of its webhooks.
struct Case {
    name: String,
    known: &'static BuiltIn,
    endpoint: Endpoint,
    auth: Arc<Auth>,
    draft: Draft,
    /// Where the proof stands; none where only the provider can sign.
    proof: Vec<Piece>,
}

impl Case {
    /// All samples that are no handshakes.
    fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for known in all() {
            let endpoint = endpoint(known);
            let auth = Arc::new(Auth::new(&endpoint, &[], &Issuers::default()));
            for sample in &known.samples {
                let blank = Draft::of(&endpoint, sample);
                let signed = blank.clone().signed(&endpoint, SystemTime::now());
                let (draft, proof) = signed.unwrap_or((blank, Vec::new()));
                let (head, body) = draft.build();
                let is_event = source::of(&endpoint).handshake(&head).is_none()
                    && classify(&endpoint, &head, &body)
                        .is_ok_and(|it| !matches!(it.meaning, Meaning::Handshake(_)));
                if is_event {
                    let name = format!("{} {}", known.name, sample.name);
                    let (endpoint, auth) = (endpoint.clone(), auth.clone());
                    cases.push(Self { name, known, endpoint, auth, draft, proof });
                }
            }
        }
        assert!(cases.len() >= all().len(), "each provider has a webhook");
        cases
    }

    fn is_signed(&self) -> bool {
        !self.proof.is_empty()
    }

    /// Whether a signature, or the hash in a token, is one of the body.
    fn covers_body(&self) -> bool {
        let provider = &self.known.provider;
        let body = Piece::Pointer(Vec::new());
        let covers = |scheme: &Scheme| scheme.covers(&body) || scheme.covers(&Piece::FormSorted);
        let is_bound = !provider.signatures.is_empty() || !provider.jwts.is_empty();
        is_bound && provider.signatures.iter().all(covers) && provider.tokens.is_empty()
    }

    async fn refusal(&self, draft: &Draft) -> Option<Cause> {
        let (head, body) = draft.build();
        authenticate(&self.auth, &head, &body).await.err()
    }

    fn classify(&self, draft: &Draft) -> Result<Classified, Refusal> {
        let (head, body) = draft.build();
        classify(&self.endpoint, &head, &body)
    }
}

#[tokio::test]
async fn what_proves_nothing_is_refused() {
    let mut wrong: Vec<String> = Vec::new();
    for case in Case::all() {
        let mut expect = async |what: &str, draft: &Draft, causes: &[Cause]| {
            let cause = case.refusal(draft).await;
            if !cause.is_some_and(|cause| causes.contains(&cause)) {
                wrong.push(format!("{}, {what}: {cause:?} instead of {causes:?}", case.name));
            }
        };
        let any = [
            Cause::Missing,
            Cause::Malformed,
            Cause::Mismatch,
            Cause::TooOld,
            Cause::FromFuture,
            Cause::Audience,
        ];
        let headers: Vec<String> = match case.is_signed() {
            true => {
                let headers = case.proof.iter().filter_map(|piece| match piece {
                    Piece::Header(name) => Some(name.clone()),
                    _ => None,
                });
                headers.collect()
            }
            // Whatever they hold: nobody here has the key.
            false => {
                case.known.provider.signatures.iter().flat_map(|it| it.headers.clone()).collect()
            }
        };
        if case.is_signed() {
            assert_eq!(case.refusal(&case.draft).await, None, "{}", case.name);
        }
        for name in &headers {
            let at = Piece::Header(name.clone());
            let mut without = case.draft.clone();
            without.headers.retain(|(known, _)| known != name);
            // Another scheme may do without, and then something else is wrong with it.
            let is_alone = case.is_signed() && case.known.provider.signatures.len() <= 1;
            let messages = case.known.provider.signatures.iter().map(|it| &it.message);
            let mut pieces = messages.flat_map(|it| signed_pieces(it).unwrap());
            let is_optional =
                |it: Piece| matches!(&it, Piece::Optional(parts) if parts.contains(&at));
            let is_alone = is_alone && !pieces.any(is_optional);
            let causes = if is_alone { &[Cause::Missing][..] } else { &any };
            expect(&format!("without {name}"), &without, causes).await;
            let value =
                |draft: &Draft| draft.headers.iter().find(|(known, _)| known == name).cloned();
            let mut doubled = case.draft.clone();
            doubled.headers.extend(value(&case.draft));
            let causes = if is_alone { &[Cause::Malformed][..] } else { &any };
            expect(&format!("{name} twice"), &doubled, causes).await;
            let many = vec!["v1=ab"; 100].join(",");
            for text in
                ["", " ", ",", "=", "v1=", "v1,", "t=1,v1=", "sha256=", "a,b,c,d", "\u{e9}", &many]
            {
                let mut draft = case.draft.clone();
                draft.put(&at, text);
                expect(&format!("{name}: {text:?}"), &draft, &any).await;
            }
        }
        // The proof of somebody else.
        if case.is_signed() && case.known.provider.has_signatures() {
            let scheme = case.known.provider.signatures.first();
            let other = match scheme.map(|scheme| scheme.key) {
                Some(KeyForm::Base64) => format!("{}b3RoZXI=", scheme.unwrap().key_prefix),
                Some(KeyForm::Hex) => "cd".repeat(32),
                _ => "another-secret".to_owned(),
            };
            let (endpoint, _) = configured(case.known, &other);
            let mut blank = case.draft.clone();
            blank.headers.retain(|(name, _)| !headers.contains(name));
            let (draft, _) = blank.signed(&endpoint.unwrap(), SystemTime::now()).unwrap();
            expect("another secret", &draft, &[Cause::Mismatch]).await;
        }
        if case.covers_body() && !case.draft.body.is_empty() && case.is_signed() {
            let mut bent = case.draft.clone();
            bent.body.push(' ');
            expect("a longer body", &bent, &[Cause::Mismatch]).await;
            bent.body.clear();
            expect("no body", &bent, &[Cause::Mismatch, Cause::Missing, Cause::Malformed]).await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_was_signed_at_another_time_is_refused() {
    let mut wrong: Vec<String> = Vec::new();
    let mut count = 0;
    for case in Case::all().iter().filter(|case| case.is_signed()) {
        let provider = &case.known.provider;
        let Some(scheme) = provider.signatures.first() else { continue };
        let is_timed = scheme.time.is_some() || scheme.layout == Layout::Positional;
        if !is_timed {
            continue;
        }
        count += 1;
        let (tolerance, now) = (scheme.tolerance.get(), SystemTime::now());
        let minute = Duration::from_secs(60);
        for (what, at, expected) in [
            ("too old", now - tolerance - minute, Some(Cause::TooOld)),
            ("too far ahead", now + tolerance + minute, Some(Cause::FromFuture)),
            ("almost too old", now - tolerance.saturating_sub(minute / 2), None),
            ("almost too far ahead", now + tolerance.saturating_sub(minute / 2), None),
        ] {
            let (draft, _) = case.draft.clone().signed(&case.endpoint, at).unwrap();
            let cause = case.refusal(&draft).await;
            if cause != expected {
                wrong.push(format!("{}, {what}: {cause:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 20, "{count}");
}

/// Anybody could sign with nothing, and a key that can't be read lets nobody in without saying so.
#[test]
fn secrets_that_are_none_are_problems_of_the_configuration() {
    for known in all().into_iter().filter(|known| known.provider.has_signatures()) {
        let (endpoint, problems) = configured(known, "");
        assert!(endpoint.is_none() && !problems.is_empty(), "{}: an empty secret", known.name);
        let schemes = &known.provider.signatures;
        let is_text = |scheme: &Scheme| matches!(scheme.key, KeyForm::Text | KeyForm::Sha1OfText);
        let takes_any = schemes.iter().any(is_text)
            || !known.provider.jwts.is_empty()
            || !known.provider.tokens.is_empty();
        let (endpoint, problems) = configured(known, "no key: %%");
        let is_told = endpoint.is_none() && !problems.is_empty();
        assert_eq!(is_told, !takes_any, "{}: {problems:#?}", known.name);
    }
}

/// Whatever an authenticated body is: it has a type that its description knows, or it is refused.
#[test]
fn strange_bodies_are_refused_or_have_a_type() {
    let nested = format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000));
    let long = format!("a={}", "x".repeat(2_000));
    let many = vec!["a=1"; 2_000].join("&");
    let bodies = [
        "",
        " ",
        "null",
        "7",
        "\"x\"",
        "true",
        "[]",
        "{}",
        "[[]]",
        "[null]",
        "{",
        "[1",
        "{\"a\":1}{}",
        "\u{feff}{}",
        "\0",
        "a",
        "a=1&b=%",
        "a=%zz&=&&=x",
        "=",
        &nested,
        &long,
        &many,
    ];
    let readable = ["null", "7", "\"x\"", "true", "[]", "{}", "[[]]", "[null]", &nested];
    for case in Case::all() {
        let provider = &case.known.provider;
        let is_json = provider.body == BodyKind::Json;
        // A type that no body is needed for.
        let is_of_head = |text: &String| !text.contains("{/") && !text.contains("{form:");
        let rules = provider.type_rules.iter().map(|rule| &rule.r#type);
        let has_other = provider.r#type.all().iter().chain(rules).any(is_of_head);
        for body in bodies {
            let mut draft = case.draft.clone();
            draft.body = body.to_owned();
            for kind in ["application/json", "application/x-www-form-urlencoded", "text/plain"] {
                draft.put(&Piece::Header("content-type".to_owned()), kind);
                let short = &body[..body.len().min(20)];
                match case.classify(&draft) {
                    Err(Refusal::Malformed(_) | Refusal::Method { .. }) => {}
                    Err(other) => panic!("{}: {short:?} as {kind:?}: {other}", case.name),
                    Ok(classified) => {
                        assert!(!classified.metadata.kind.is_empty(), "{}", case.name);
                        let is_readable =
                            readable.contains(&body) || case.draft.method != Method::POST;
                        let name = &case.name;
                        assert!(
                            !is_json || is_readable,
                            "{name}: {short:?} as {kind:?} is no JSON"
                        );
                        let is_handshake = matches!(classified.meaning, Meaning::Handshake(_));
                        let is_known = has_other || is_handshake;
                        assert!(
                            is_known,
                            "{name}: {short:?} as {kind:?} is {}",
                            classified.metadata.kind
                        );
                    }
                }
            }
        }
    }
}

/// More fields than are read are refused where one of them is needed; a field that comes twice says nothing.
#[tokio::test]
async fn forms_are_read_once_and_whole() {
    let mut count = 0;
    let is_form = |case: &Case| {
        case.draft.headers.iter().any(|(_, value)| value.contains("x-www-form-urlencoded"))
    };
    for case in Case::all().iter().filter(|case| is_form(case)) {
        count += 1;
        let sign = |body: String| {
            let mut draft = case.draft.clone();
            draft.body = body;
            draft
                .signed(&case.endpoint, SystemTime::now())
                .map_or_else(|| case.draft.clone(), |(draft, _)| draft)
        };
        let sorts =
            case.known.provider.signatures.iter().any(|it| it.message.contains("{form-sorted}"));
        let rest = "&z=1".repeat(10_000);
        let many = match sorts {
            false => sign(format!("{}{rest}", case.draft.body)),
            // By somebody who overlooks those that are too many.
            true => {
                let count = case.draft.body.split('&').count();
                let read = "&z=1".repeat(MAX_FIELDS - count);
                let mut draft = sign(format!("{}{read}", case.draft.body));
                draft.body.push_str(&rest);
                draft
            }
        };
        let is_refused = matches!(case.classify(&many), Err(Refusal::Malformed(_)));
        // Of what may be anything the head is read.
        assert!(is_refused || case.known.provider.body == BodyKind::Any, "{}", case.name);
        let expected = sorts.then_some(Cause::Malformed);
        assert_eq!(case.refusal(&many).await, expected, "{}", case.name);
        let plain = case.classify(&case.draft).unwrap().metadata;
        let fields: Vec<_> = case.draft.body.split('&').collect();
        for field in &fields {
            let doubled = sign(format!("{}&{field}", case.draft.body));
            assert_eq!(case.refusal(&doubled).await, None, "{}: {field} twice", case.name);
            if let Ok(classified) = case.classify(&doubled) {
                let metadata = classified.metadata;
                // What isn't unambiguous is left out, and never taken from one of the two.
                let is_same = metadata.key == plain.key
                    || metadata.key.as_deref().is_none_or(|key| !field.contains(key));
                assert!(is_same, "{}: {field} twice", case.name);
            }
        }
        // Cut anywhere, it is what is left of it, or refused.
        for end in (0..case.draft.body.len()).step_by(7) {
            if let Some(part) = case.draft.body.get(..end) {
                let _ = case.classify(&sign(part.to_owned()));
            }
        }
    }
    assert!(count >= 5, "{count}");
}

/// A place of the description, if this text is nothing else.
fn place(texts: &Texts) -> Option<Piece> {
    let mut all = texts.all().iter().filter_map(|text| match &*pieces(text).ok()? {
        [one @ (Piece::Header(_) | Piece::Pointer(_))] => Some(one.clone()),
        _ => None,
    });
    all.next()
}

fn holds(draft: &Draft, at: &Piece) -> bool {
    match at {
        Piece::Header(name) => draft.headers.iter().any(|(known, _)| known == name),
        Piece::Pointer(keys) => {
            let json = serde_json::from_str::<serde_json::Value>(&draft.body);
            json.is_ok_and(|json| json.pointer(&format!("/{}", keys.join("/"))).is_some())
        }
        _ => false,
    }
}

#[test]
fn types_and_ids_may_be_anything() {
    let (mut kinds, mut ids) = (0, 0);
    for case in Case::all() {
        let provider = &case.known.provider;
        if let Some(at) = place(&provider.r#type)
            && provider.type_rules.is_empty()
            && provider.handshakes.is_empty()
            && holds(&case.draft, &at)
        {
            let mut draft = case.draft.clone();
            draft.put(&at, "never-heard.of");
            let metadata = case.classify(&draft).unwrap().metadata;
            assert!(metadata.kind.contains("never-heard.of"), "{}: {}", case.name, metadata.kind);
            assert_eq!(metadata.label, source::of(&case.endpoint).types().len(), "{}", case.name);
            kinds += 1;
        }
        if let Some(at) = place(&provider.id)
            && holds(&case.draft, &at)
        {
            ids += 1;
            let plain = case.classify(&case.draft).unwrap().metadata.kind;
            for text in ["", &"x".repeat(300), "\u{e9}\u{1f980}"] {
                let mut draft = case.draft.clone();
                draft.put(&at, text);
                let classified = case.classify(&draft).unwrap();
                let is_type = place(&provider.r#type) == Some(at.clone());
                assert!(is_type || classified.metadata.kind == plain, "{}", case.name);
                // A header that isn't ASCII holds no text.
                let is_read = matches!(at, Piece::Pointer(_)) || text.is_ascii();
                let others = classified.delivery_id.as_deref() != Some(text);
                assert!(!is_read || text.is_empty() || !others, "{}: {text:?}", case.name);
                assert_ne!(classified.delivery_id.as_deref(), Some(""), "{}", case.name);
            }
        }
    }
    assert!(kinds > 20 && ids > 30, "{kinds} types, {ids} ids");
}

/// With several families of headers the id is that of the one whose signature was right.
#[tokio::test]
async fn an_id_counts_that_was_signed() {
    let known = all()
        .into_iter()
        .find(|known| known.provider.signatures.len() > 2 && known.name.contains("standard"));
    let known = known.unwrap();
    let endpoint = endpoint(known);
    let auth = Auth::new(&endpoint, &[], &Issuers::default());
    let (mut draft, _) =
        Draft::of(&endpoint, &known.samples[0]).signed(&endpoint, SystemTime::now()).unwrap();
    let said = draft.headers.iter().find(|(name, _)| name == "webhook-id").unwrap().1.clone();
    // The two families differ by nothing but their names.
    for (name, _) in &mut draft.headers {
        *name = name.replace("webhook-", "svix-");
    }
    for forged in [
        &[][..],
        &[("webhook-id", "forged")],
        &[("webhook-id", "forged"), ("webhook-signature", "v1,AAAA"), ("webhook-timestamp", "1")],
    ] {
        let mut draft = draft.clone();
        draft.headers.extend(forged.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())));
        let (head, body) = draft.build();
        let delivery = auth
            .head(&head, &Client::new(Ipv4Addr::LOCALHOST))
            .await
            .unwrap()
            .body(&body, &mut None)
            .unwrap();
        let request = Request { scheme: delivery.scheme, ..Request::new(&head, &body) };
        let classified = source::of(&endpoint).classify(request).unwrap();
        assert_eq!(classified.delivery_id.as_deref(), Some(&*said), "{forged:?}");
    }
}

/// What is answered before the sender has proved anything proves nothing itself.
#[tokio::test]
async fn handshakes_sign_nothing_that_somebody_else_wrote() {
    let mut signing = 0;
    for known in all() {
        let endpoint = endpoint(known);
        for handshake in &known.provider.handshakes {
            let is_keyed = handshake.body.contains("{hmac-");
            signing += usize::from(is_keyed);
            if is_json(&handshake.content_type) && !handshake.body.is_empty() {
                let filled =
                    pieces_in_json(&handshake.body).unwrap().into_iter().map(|piece| match piece {
                        Piece::Text(text) => text,
                        _ => "x".to_owned(),
                    });
                let filled: String = filled.collect();
                let read = serde_json::from_str::<serde_json::Value>(&filled);
                assert!(read.is_ok(), "{}: {filled}", known.name);
            }
            assert!(!is_keyed || handshake.guard.is_some(), "{}", known.name);
        }
        for sample in &known.samples {
            let draft = Draft::of(&endpoint, sample);
            let (head, body) = draft.build();
            let auth = Arc::new(Auth::new(&endpoint, &[], &Issuers::default()));
            let unproven = source::of(&endpoint).handshake(&head);
            let answered = match &unproven {
                Some(answer) => answer.is_ok(),
                None => false,
            };
            let is_after =
                |after: After| known.provider.handshakes.iter().any(|it| it.after == after);
            let needs_nothing = is_after(After::Nothing) || is_after(After::Token);
            assert!(needs_nothing || unproven.is_none(), "{} {}", known.name, sample.name);
            if answered && !is_after(After::Nothing) {
                panic!("{} {}: answered without its token", known.name, sample.name);
            }
            if unproven.is_none() && known.provider.has_signatures() {
                let cause = authenticate(&auth, &head, &body).await.err();
                assert!(cause.is_some(), "{} {} without a signature", known.name, sample.name);
            }
        }
    }
    assert!(signing >= 2, "{signing}");
}
