//! What the user of a connection may do, found out without anybody noticing.
//!
//! A server tells a user its own permissions (`$SYS.REQ.USER.INFO`), unless a list of what it may publish to leaves that
//! subject out. Then the subjects are tried: since 2.11 a server refuses a message that only asks for its trace as it
//! would refuse any other, and delivers it to nobody (nats-server ADR-41). The trace has to go somewhere that this user
//! may publish to, where nobody takes it for anything else.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::time::timeout;

use super::{Notices, Refusal, header};
use crate::template::overlaps;

/// The subject on which a server says who asks.
const INFO: &str = "$SYS.REQ.USER.INFO";

/// How long a server is waited for.
const ECHO_TIMEOUT: Duration = Duration::from_secs(2);

/// Subjects that are tried at once: the client keeps no more than 128 refusals back.
const MAX_TRIED: usize = 64;

/// It can't be told.
#[derive(Debug)]
pub struct Unknown;

#[derive(Debug, Deserialize)]
struct Told {
    /// Traces have none.
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Debug, Default, Deserialize)]
struct Permissions {
    #[serde(default)]
    publish: Rules,
}

#[derive(Debug, Default, Deserialize)]
struct Rules {
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
}

impl Rules {
    fn permit(&self, subject: &str) -> bool {
        let is_in = |list: &[String]| list.iter().any(|pattern| overlaps(pattern, subject));
        (self.allow.is_empty() || is_in(&self.allow)) && !is_in(&self.deny)
    }
}

/// Which of these the server wouldn't permit: to subscribe to the inbox, or else to publish to these subjects, which
/// must not have wildcards. Nothing else may be done over the connection meanwhile.
pub async fn refused(
    client: &Client,
    notices: &Notices,
    domain: Option<&str>,
    subjects: &BTreeSet<String>,
) -> Result<Vec<Refusal>, Unknown> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|_| Unknown)?;
    let mut asking = Asking { client, notices, inbox: &inbox, answers: &mut answers };
    match asking.info().await? {
        Info::Told(permissions) => {
            let refused = subjects.iter().filter(|subject| !permissions.publish.permit(subject));
            Ok(refused.map(|subject| Refusal::Publish(subject.clone())).collect())
        }
        Info::Refused(refusals) => {
            let no_inbox = Refusal::Subscribe(inbox.clone());
            if refusals.contains(&no_inbox) {
                return Ok(vec![no_inbox]);
            }
            if !client.is_server_compatible(2, 11, 0) {
                return Err(Unknown);
            }
            let api = domain.map_or_else(String::new, |domain| format!("{domain}."));
            for traces in [inbox.clone(), format!("$JS.{api}API.INFO")] {
                if let Some(refused) = asking.attempt(subjects, &traces).await? {
                    return Ok(refused);
                }
            }
            Err(Unknown)
        }
    }
}

/// What came of asking for the permissions.
enum Info {
    Told(Permissions),
    /// That was refused, after all of these.
    Refused(Vec<Refusal>),
}

struct Asking<'a> {
    client: &'a Client,
    notices: &'a Notices,
    inbox: &'a str,
    answers: &'a mut Subscriber,
}

impl Asking<'_> {
    /// Ask for the permissions. A server handles what it reads in order: all refusals before have come with the answer.
    async fn info(&mut self) -> Result<Info, Unknown> {
        let inbox = self.inbox.to_owned();
        let sent = self.client.publish_with_reply(INFO, inbox, Bytes::new()).await;
        sent.map_err(|_| Unknown)?;
        let mut refusals = Vec::new();
        let asked = async {
            loop {
                let refusal = tokio::select! {
                    biased;
                    refusal = self.notices.refusal() => refusal,
                    Some(message) = self.answers.next() => {
                        if message.status.is_some() {
                            return Err(Unknown);
                        }
                        match serde_json::from_slice::<Told>(&message.payload) {
                            Ok(Told { data: Some(data) }) => return Ok(Info::Told(data.permissions)),
                            _ => continue,
                        }
                    }
                };
                let is_last = matches!(&refusal, Refusal::Publish(subject) if subject == INFO)
                    || matches!(&refusal, Refusal::Subscribe(subject) if *subject == self.inbox);
                refusals.push(refusal);
                if is_last {
                    return Ok(Info::Refused(refusals));
                }
            }
        };
        timeout(ECHO_TIMEOUT, asked).await.map_err(|_| Unknown)?
    }

    /// Try each of these subjects; nothing if traces may not be sent there.
    async fn attempt(
        &mut self,
        subjects: &BTreeSet<String>,
        traces: &str,
    ) -> Result<Option<Vec<Refusal>>, Unknown> {
        let mut headers = HeaderMap::new();
        header::insert(&mut headers, "Nats-Trace-Dest", header::encoded(traces));
        header::insert(&mut headers, "Nats-Trace-Only", header::encoded("true"));
        let subjects: Vec<_> = subjects.iter().collect();
        let mut refused = Vec::new();
        for some in subjects.chunks(MAX_TRIED) {
            for subject in some {
                let (subject, headers) = ((*subject).clone(), headers.clone());
                let sent = self.client.publish_with_headers(subject, headers, Bytes::new()).await;
                sent.map_err(|_| Unknown)?;
            }
            let Info::Refused(refusals) = self.info().await? else { return Err(Unknown) };
            if refusals.contains(&Refusal::Publish(traces.to_owned())) {
                return Ok(None);
            }
            let is_tried = |refusal: &Refusal| {
                let Refusal::Publish(subject) = refusal else { return false };
                some.contains(&subject)
            };
            refused.extend(refusals.into_iter().filter(is_tried));
        }
        Ok(Some(refused))
    }
}

#[cfg(test)]
mod tests;
