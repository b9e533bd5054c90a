//! Who else answers the questions that this command is about to answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::cli::eprint;
use crate::cli::nats_target::NatsTarget;
use crate::discovery;
use crate::template::overlaps;
use crate::worker::{ServiceRegistration, Subscription, Target};

/// Time to connect; where that takes longer, the worker says why.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Say which functions are picked out of what others are asked too.
pub(super) fn tell_picked(registration: &ServiceRegistration) {
    for Subscription { subject, target, group } in &registration.subscriptions {
        if let (Target::Functions(selection), Some(group)) = (target, group) {
            let patterns = selection.patterns.join(", ");
            eprint(format!(
                "no rule gives {patterns} a subject of their own: they are picked out of {subject}, in the queue group \
                 `{group}`; other workers there are asked as well, and the first answer counts"
            ));
        }
    }
}

/// Say which workers share the questions, as far as NATS micro shows them.
pub(super) async fn tell_others(target: &NatsTarget, registration: &ServiceRegistration) {
    let connecting = target.settings.connect(Arc::default());
    let Ok(Ok(client)) = timeout(CONNECT_TIMEOUT, connecting).await else { return };
    let found = discovery::discover(&client, &target.inbox_prefix).await;
    for service in &found.services {
        for endpoint in &service.endpoints {
            let (subject, group) = (&endpoint.subject, &endpoint.queue_group);
            let shared =
                registration.subscriptions.iter().filter(|ours| overlaps(&ours.subject, subject));
            let ours: Vec<&String> =
                shared.map(|ours| ours.group.as_ref().unwrap_or(&registration.group)).collect();
            if ours.is_empty() {
                continue;
            }
            let who = format!("{} {} ({})", service.name, service.version, service.id);
            eprint(if ours.contains(&group) {
                format!(
                    "{who} answers {subject} too, in the same queue group: each question goes to one of you; \
                     --queue NAME gets every question, beside the others"
                )
            } else {
                format!(
                    "{who} answers {subject} too, in the queue group `{group}`: the first answer counts"
                )
            });
        }
    }
}
