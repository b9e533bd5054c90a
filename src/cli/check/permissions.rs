//! Whether the user of NATS may do what it has to: hear answers, ask questions, store events.

use std::collections::BTreeSet;

use async_nats::Client;

use super::report::BrokerFindings;
use crate::config::{Config, Nats};
use crate::discovery::Functions;
use crate::nats::streams::RequiredStreams;
use crate::nats::{Notices, Refusal, permissions};

/// Subjects that one line names.
const MAX_NAMED: usize = 5;

const HINT: &str = "add it to the user's permissions";

/// Nothing else may be done over this connection meanwhile.
pub(super) async fn ask(
    client: &Client,
    notices: &Notices,
    config: &Config,
    (nats, required_streams): (&Nats, &RequiredStreams),
    report: &mut BrokerFindings,
) {
    let (named, others) = Functions::new(config).subjects();
    let events: BTreeSet<_> = required_streams.known_subjects().map(str::to_owned).collect();
    let all = named.iter().chain(&others).chain(&events).cloned().collect();
    let found = permissions::refused(client, notices, nats.domain.as_deref(), &all).await;
    let Ok(refused) = found else {
        return report.warn(
            "what this user may publish to can't be found out",
            "to have it checked, let it publish to `$SYS.REQ.USER.INFO`; nothing else depends on that",
        );
    };
    let mut subjects = BTreeSet::new();
    for refusal in refused {
        match refusal {
            Refusal::Publish(subject) => _ = subjects.insert(subject),
            Refusal::Subscribe(_) => report.wrong(
                format!("the server doesn't permit this user to {refusal}: nothing that is asked could be answered, and no event acknowledged"),
                "let it subscribe to what begins with `nats.inbox_prefix`",
            ),
        }
    }
    let some = |of: &BTreeSet<String>| list(of.intersection(&subjects).collect());
    if let Some(list) = some(&named) {
        report.wrong(
            format!("the server doesn't permit this user to publish to {list}, where questions are asked: they would end as `not-permitted`"),
            HINT,
        );
    }
    if let Some(list) = some(&events) {
        report.wrong(
            format!("the server doesn't permit this user to publish to {list}: these events would wait on disk"),
            HINT,
        );
    }
    if let Some(list) = some(&others) {
        report.warn(
            format!("the server doesn't permit this user to publish to {list}: such questions, if they come, end as `not-permitted`"),
            HINT,
        );
    }
}

/// The first of them, in quotes.
fn list(subjects: Vec<&String>) -> Option<String> {
    let named: Vec<_> = subjects.iter().take(MAX_NAMED).map(|text| format!("`{text}`")).collect();
    let more = match subjects.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| named.join(", ") + &more)
}
