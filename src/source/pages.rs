//! `docs/providers/`: a page for each provider and the table of all, made from the descriptions.
//!
//! A test compares, and `UPDATE_DOCS=1 cargo test pages` rewrites.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::{Evidence, Page, built_in, example, facts, names, page, samples};
use crate::config::provider::{After, Asking, BodyKind, Handshake, Payload, Provider, Texts};
use crate::config::scheme::{Algorithm, Scheme};

/// The groups of the table, in its order.
const GROUPS: [(&str, &str, &str); 3] = [
    ("voice", "Voice and telephony", "Calls, and who speaks in them."),
    ("answers", "Chats that wait for answers", "Commands, buttons and messages of people."),
    ("events", "Events", "Everything else: payments, code, shops, mail, identities, alerts."),
];

const MADE: &str =
    "<!-- Made from src/source by `UPDATE_DOCS=1 cargo test pages`: change it there. -->\n\n";

#[test]
fn the_pages_say_what_the_descriptions_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers");
    let mut pages: BTreeMap<String, String> =
        names().into_iter().map(|name| (format!("{name}.md"), whole(name))).collect();
    pages.insert("README.md".to_owned(), table());
    let is_updated = std::env::var_os("UPDATE_DOCS").is_some();
    if is_updated {
        std::fs::create_dir_all(&folder).unwrap();
    }
    let mut there: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort_unstable();
    for (name, text) in &pages {
        let path = folder.join(name);
        match is_updated {
            true => std::fs::write(&path, text).unwrap(),
            false => assert!(
                std::fs::read_to_string(&path).is_ok_and(|before| before == *text),
                "docs/providers/{name} is not what its description says; run `UPDATE_DOCS=1 cargo test pages`"
            ),
        }
    }
    if !is_updated {
        let known: Vec<_> = pages.into_keys().collect();
        assert_eq!(there, known, "a page without a provider");
    }
}

#[test]
fn every_provider_has_a_group() {
    for name in names() {
        let page = page(name).unwrap();
        assert!(GROUPS.iter().any(|(group, ..)| *group == page.group), "{name}: {}", page.group);
    }
}

/// The table of all.
fn table() -> String {
    let count = names().len();
    let mut out = format!(
        "# Providers\n\n{MADE}{count} providers are built in. An endpoint speaks with one by `source = \"NAME\"`; \
         `hookbus providers show NAME` prints its description, `hookbus send --provider NAME` posts a sample as it would. \
         One that isn't here takes [a minute to add](../add-a-provider.md).\n\n\
         Facts rest on the vendor's own SDK or sample code (sdk), on the vendor's documentation (docs), or on neither \
         (unverified: the page says what is open).\n"
    );
    for (group, heading, about) in GROUPS {
        write!(out, "\n## {heading}\n\n{about}\n\n| Provider | `source` | | Waits for answers | Facts |\n|---|---|---|---|---|\n").unwrap();
        for name in names() {
            let (page, facts) = (page(name).unwrap(), facts(name).unwrap());
            if page.group != group {
                continue;
            }
            let asks = if facts.asked().next().is_some() { "yes" } else { "" };
            writeln!(
                out,
                "| [{}]({name}.md) | `{name}` | {} | {asks} | {} |",
                facts.provider,
                page.summary.trim(),
                page.evidence.as_str()
            )
            .unwrap();
        }
    }
    out
}

fn whole(name: &str) -> String {
    let (page, facts) = (page(name).unwrap(), facts(name).unwrap());
    let provider = built_in(name).map(|known| &*known.provider);
    let mut out = format!("# {}\n\n{MADE}{}\n\n", facts.provider, page.summary.trim());
    out.push_str(&overview(name, page, provider));
    section(&mut out, "Set it up", &page.setup);
    section(&mut out, "The secret", &page.secret);
    let example = example(name).unwrap();
    section(&mut out, "The endpoint", &format!("```toml\n{}\n```", example.trim_end()));
    section(&mut out, "Routes", &page.route);
    section(&mut out, "Types", &types(&facts.events));
    if let Some(provider) = provider {
        section(&mut out, "Questions and answers", &questions(provider, page));
        section(&mut out, "What the sender gets", &acknowledged(provider));
        section(&mut out, "Handshakes", &handshakes(provider));
    } else {
        section(&mut out, "Questions and answers", &page.answers);
    }
    section(&mut out, "Timeouts and retries", &page.retries);
    section(&mut out, "Try it", &trial(name));
    section(&mut out, "Notes", &page.notes);
    out
}

fn section(out: &mut String, heading: &str, text: &str) {
    if !text.trim().is_empty() {
        write!(out, "\n## {heading}\n\n{}\n", text.trim()).unwrap();
    }
}

fn overview(name: &str, page: &Page, provider: Option<&Provider>) -> String {
    let evidence = match page.evidence {
        Evidence::Sdk => "the vendor's own SDK or sample code",
        Evidence::Docs => "the vendor's documentation",
        Evidence::Unverified => "neither the vendor's code nor its documentation: see the notes",
    };
    let mut out = format!("| | |\n|---|---|\n| Source | `source = \"{name}\"` |\n");
    let mut row = |name: &str, text: String| {
        if !text.is_empty() {
            writeln!(out, "| {name} | {} |", text.replace('|', "\\|")).unwrap();
        }
    };
    row("Facts rest on", evidence.to_owned());
    let Some(provider) = provider else { return out };
    row("Documentation", provider.docs.as_ref().map(|url| format!("<{url}>")).unwrap_or_default());
    let methods: Vec<_> = provider.methods.iter().map(|method| method.as_str()).collect();
    let body = match provider.body {
        BodyKind::Json => "JSON",
        BodyKind::Form => "a form",
        BodyKind::JsonOrForm => "JSON or a form",
        BodyKind::Any => "JSON, a form, or anything else",
        BodyKind::Bytes => "anything",
    };
    row("Webhooks", format!("{} with {body}", methods.join(", ")));
    let ways = provider.signatures.iter().map(scheme);
    let ways =
        ways.chain(provider.tokens.iter().map(|token| format!("a secret at `{}`", token.at)));
    let ways = ways.chain(provider.jwts.iter().map(|jwt| {
        format!(
            "a JWT in `{}`, with the body's SHA-256 in its claim `{}`",
            jwt.header, jwt.body_hash
        )
    }));
    row("Verified by", ways.collect::<Vec<_>>().join("; "));
    row("Type", texts(&provider.r#type));
    row("Delivery id", texts(&provider.id));
    row("Key", texts(&provider.key));
    row("CloudEvents type", format!("`{}.TYPE`", provider.event_prefix.trim_end_matches('.')));
    out
}

fn texts(texts: &Texts) -> String {
    let all: Vec<_> = texts.all().iter().map(|text| format!("`{text}`")).collect();
    all.join(", else ")
}

fn scheme(scheme: &Scheme) -> String {
    let algorithm = match scheme.algorithm {
        Algorithm::HmacSha256 => "HMAC-SHA-256",
        Algorithm::HmacSha512 => "HMAC-SHA-512",
        Algorithm::HmacSha1 => "HMAC-SHA-1",
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::EcdsaP256Sha256 => "ECDSA P-256",
        Algorithm::RsaPkcs1Sha256 => "RSA-SHA-256",
    };
    let headers = scheme.headers.iter().map(|header| format!("`{header}`"));
    let at = scheme.at.iter().map(|at| format!("`{at}`"));
    let places: Vec<_> = headers.chain(at).collect();
    let time = match &scheme.time {
        Some(_) => format!(", within {}", scheme.tolerance),
        None => String::new(),
    };
    format!("{algorithm} of `{}` in {}{time}", scheme.message, places.join(" or "))
}

fn types(known: &[String]) -> String {
    if known.is_empty() {
        return String::new();
    }
    let all: Vec<_> = known.iter().map(|kind| format!("`{kind}`")).collect();
    format!(
        "Metrics show these by name, and all others as `other`; rules may name any type.\n\n{}",
        all.join(", ")
    )
}

fn questions(provider: &Provider, page: &Page) -> String {
    if provider.questions.is_empty() {
        return String::new();
    }
    let mut out =
        "| Types | Answered within | The sender waits | Content types | Statuses | Headers | Without an answer |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for asking in &provider.questions {
        writeln!(out, "{}", question(asking)).unwrap();
    }
    let as_fields = provider.questions.iter().any(|asking| asking.payload == Payload::Fields);
    let payload = match as_fields {
        true => "one JSON object of the fields of the query and the form",
        false => "the body as it came",
    };
    write!(
        out,
        "\nThe subject is `{{endpoint}}.ask.{{type}}` unless a rule names another; workers get {payload}. \
         [Answering questions](../workers.md#questions-of-described-providers) has the headers of a reply.\n\n{}",
        page.answers.trim()
    )
    .unwrap();
    out
}

fn question(asking: &Asking) -> String {
    let code = |words: &[String]| {
        words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    };
    let statuses: Vec<_> = asking.statuses.iter().map(u16::to_string).collect();
    let limit = asking.limit.map(|limit| limit.to_string()).unwrap_or_default();
    let fallback = match &asking.fallback {
        Some(value) => format!("`{value}`"),
        None => "your fallback, else an error status".to_owned(),
    };
    format!(
        "| {} | {} | {limit} | {} | {} | {} | {} |",
        code(&asking.types),
        asking.timeout,
        code(&asking.content_types),
        statuses.join(", "),
        code(&asking.headers),
        fallback.replace('|', "\\|")
    )
}

fn acknowledged(provider: &Provider) -> String {
    let settings = &provider.acknowledge;
    let body = match settings.body.as_str() {
        "" => "no body".to_owned(),
        body => format!("`{body}`"),
    };
    let mut out = format!(
        "For an event {} with {body} once its brokers have it, {} where it waits on disk.",
        settings.stored, settings.spooled
    );
    if let Some(within) = settings.within {
        write!(out, " Brokers get {within}; then the event goes to the disk, because the sender doesn't wait for long.").unwrap();
    }
    let refuse = &provider.refuse;
    let all = [
        (401, refuse.unauthorized),
        (400, refuse.malformed),
        (413, refuse.too_large),
        (415, refuse.encoding),
        (429, refuse.rate_limited),
        (503, refuse.unavailable),
    ];
    let all =
        all.iter().filter_map(|(usual, other)| Some(format!("{} instead of {usual}", (*other)?)));
    let all: Vec<_> = all.collect();
    if !all.is_empty() {
        write!(out, " Refusals: {}.", all.join(", ")).unwrap();
    }
    out
}

fn handshakes(provider: &Provider) -> String {
    let lines: Vec<_> = provider.handshakes.iter().map(handshake).collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!("Answered by hookbus, and never stored:\n\n{}", lines.join("\n")),
    }
}

fn handshake(settings: &Handshake) -> String {
    let mut conditions: Vec<_> =
        settings.when.iter().map(|(place, is)| format!("`{place}` is `{is}`")).collect();
    conditions.extend(settings.present.iter().map(|place| format!("`{place}` is there")));
    conditions.extend(settings.absent.iter().map(|place| format!("`{place}` isn't there")));
    if !settings.only.is_empty() {
        conditions.push(format!("the body holds nothing but `{}`", settings.only.join("`, `")));
    }
    let when = match conditions.is_empty() {
        true => String::new(),
        false => format!(" where {}", conditions.join(" and ")),
    };
    let after = match settings.after {
        After::Authentication => "authenticated as a webhook",
        After::Token => "with the right token",
        After::Nothing => "without authentication",
    };
    let answer = match settings.body.as_str() {
        "" => "no body".to_owned(),
        body => format!("`{body}`"),
    };
    format!("- {}{when}, {after}: {} with {answer}", settings.method.as_str(), settings.status)
}

fn trial(name: &str) -> String {
    let samples = samples(name);
    let Some(first) = samples.first() else { return String::new() };
    let mut out = match built_in(name) {
        Some(_) => format!(
            "```sh\nhookbus dev --provider {name}\nhookbus send --provider {name} '{}'\n```\n",
            first.name
        ),
        None => format!("```sh\nhookbus dev\nhookbus send {}\n```\n", first.name),
    };
    out.push_str("\n| Sample | |\n|---|---|\n");
    for sample in samples {
        writeln!(out, "| `{}` | {} |", sample.name, sample.about).unwrap();
    }
    out
}
