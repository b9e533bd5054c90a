//! Which instances say that they answer a subject: `$SRV.INFO` of NATS micro.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use super::client::Client;
use super::report::Finding;
use crate::template::covers;

/// Time for the instances to reply.
const REPLY_TIMEOUT: Duration = Duration::from_millis(500);
/// The queue group that all workers should be in.
const QUEUE_GROUP: &str = "q";

/// One instance that answers the subject.
#[derive(Debug)]
pub(super) struct Instance {
    service: String,
    version: String,
    group: String,
}

#[derive(Deserialize)]
struct Info {
    name: String,
    version: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    subject: String,
    #[serde(default)]
    queue_group: String,
}

/// The instances that answer the subject, and say so.
pub(super) async fn find(client: &Client) -> Result<Vec<Instance>, String> {
    let replies = client.collect("$SRV.INFO", REPLY_TIMEOUT).await?;
    let infos =
        replies.iter().filter_map(|reply| serde_json::from_slice::<Info>(&reply.payload).ok());
    let instances = infos.filter_map(|Info { name, version, endpoints }| {
        let endpoint = endpoints
            .into_iter()
            .find(|endpoint| covers(&endpoint.subject, &client.worker.subject))?;
        Some(Instance { service: name, version, group: endpoint.queue_group })
    });
    Ok(instances.collect())
}

/// What there is to say about them.
pub(super) fn judge(instances: &[Instance]) -> Finding {
    let check = "a service that can be found";
    let Some(first) = instances.first() else {
        return Finding::warning(
            check,
            "no NATS micro service says that it answers this subject",
            "a plain subscriber works, but can't be seen; most NATS clients have services built in",
        );
    };
    let groups: BTreeSet<&str> = instances.iter().map(|instance| instance.group.as_str()).collect();
    let number = if instances.len() == 1 {
        "1 instance".to_owned()
    } else {
        format!("{} instances", instances.len())
    };
    let seen =
        format!("{} {}, {number}, queue group {}", first.service, first.version, list(&groups));
    if groups.len() > 1 || groups.contains("") {
        let hint = "each group gets every question: put all instances into the queue group `q`";
        return Finding::failed(check, seen, hint);
    }
    if !groups.contains(QUEUE_GROUP) {
        let hint = "`q` is what other workers use; in another group beside them, each question is answered twice";
        return Finding::warning(check, seen, hint);
    }
    Finding::ok(check, seen)
}

fn list(groups: &BTreeSet<&str>) -> String {
    let names = groups.iter().map(|group| if group.is_empty() { "(none)" } else { group });
    names.collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    #[test]
    fn all_instances_have_to_be_in_one_group() {
        let judged = |groups: &[&str]| {
            let instance = |group: &&str| Instance {
                service: "weather".to_owned(),
                version: "1.0.0".to_owned(),
                group: (*group).to_owned(),
            };
            judge(&groups.iter().map(instance).collect::<Vec<_>>()).status
        };
        assert_eq!(judged(&[]), Status::Warning);
        assert_eq!(judged(&["q", "q"]), Status::Ok);
        assert_eq!(judged(&["q", "other"]), Status::Failed);
        assert_eq!(judged(&["", ""]), Status::Failed);
        assert_eq!(judged(&["other"]), Status::Warning);
    }
}
